"""How long PUBACK takes for a QoS 1 message that a durable session which is away is to get, beside what a commit takes: the
publisher's clock, and the broker's own figure of the same run. With one message in flight, and with 32.

  scripts/crash-test --latency [--rounds 3] [--keep FOLDER]     the folder tells which disk

The aim is a median of at most 1.5 times the median commit and 0.3 ms: a message that finds a commit under way waits for the end
of that and for its own."""
from __future__ import annotations

import os
import socket
import statistics
import time

import wire
from brokers import Failed, Mqloop

SECONDS = 4.0
WINDOWS = (1, 32)
FIGURES = '$SYS/broker/publisher/publisher_sqlite/'
SAID_EVERY = 1.0  # second: how often the broker tells them


class Plain:
    """A client that waits for each answer."""

    def __init__(self, address, name: str, keep: int = 0):
        self.socket = socket.create_connection(address, 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = b''
        props = ((wire.SESSION_EXPIRY, keep),) if keep else ()
        self.socket.sendall(wire.connect(5, name, clean=True, keep_alive=0, will=None, props=props))
        self.expect(wire.CONNACK)

    def packets(self) -> list:
        """(first byte, body) of those that have come, at least one."""
        found = []
        while not found:
            data = self.socket.recv(65536)
            if not data:
                raise Failed('the broker closed a connection')
            self.input += data
            at = 0
            while (end := self.end_of_packet(at)) is not None:
                start, stop = end
                found.append((self.input[at], self.input[start:stop]))
                at = stop
            self.input = self.input[at:]
        return found

    def end_of_packet(self, at: int):
        """(start of the body, end) of the packet at that place; None when it is not complete."""
        length, shift = 0, 0
        for start in range(at + 1, len(self.input)):
            byte = self.input[start]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                stop = start + 1 + length
                return (start + 1, stop) if stop <= len(self.input) else None
        return None

    def expect(self, kind: int):
        first, body = self.packets()[0]
        if first >> 4 != kind:
            raise Failed(f'packet {first >> 4} instead of {kind}')
        return body

    def subscribe(self, topic_filter: str, qos: int):
        self.socket.sendall(wire.subscribe(5, 1, (topic_filter, qos)))

    def leave(self):
        self.socket.sendall(wire.disconnect(5))
        self.socket.close()


def acknowledged(address, window: int) -> list:
    """Seconds from PUBLISH to PUBACK, of each message in so long a time."""
    client, sent, taken = Plain(address, 'publisher'), {}, []
    end, number = time.monotonic() + SECONDS, 0
    while (now := time.monotonic()) < end or sent:
        fresh = range(number + 1, number + 1 + (window - len(sent) if now < end else 0))
        number = fresh.stop - 1
        sent.update({each % 65535 + 1: now for each in fresh})
        client.socket.sendall(b''.join(wire.publish(5, 't', bytes(100), 1, each % 65535 + 1) for each in fresh))
        for first, body in client.packets():
            if first >> 4 != wire.PUBACK or (len(body) > 2 and body[2] >= 0x80):
                raise Failed(f'packet {first >> 4} instead of an acknowledgement')
            taken.append(time.monotonic() - sent.pop(int.from_bytes(body[:2], 'big')))
    client.leave()
    return taken


def figures(address, wanted) -> dict:
    """What the broker says of its publisher, when it has said it once more."""
    time.sleep(2 * SAID_EVERY)
    client, found = Plain(address, 'reader'), {}
    client.subscribe(FIGURES + '#', 0)
    while not set(wanted) <= set(found):
        for first, body in client.packets():
            if first >> 4 == wire.PUBLISH:
                at = 2 + int.from_bytes(body[:2], 'big')
                found[body[2:at].decode().removeprefix(FIGURES)] = body[at + 1 :]
    client.leave()
    return {name: int(found[name]) for name in wanted}


def measure(folder: str, window: int, options) -> tuple:
    """Medians in ms, of the acknowledgements and of the commits; acknowledgements a second and messages of a commit."""
    broker = Mqloop(folder, options)
    broker.settings['sys'] = {'interval': f'{SAID_EVERY:.0f}s'}
    broker.start()
    try:
        away = Plain(broker.address, 'away', keep=3600)
        away.subscribe('t', 1)
        away.expect(wire.SUBACK)
        away.leave()
        taken = acknowledged(broker.address, window)
        found = figures(broker.address, ('commit/latency/p50_us', 'commits'))
        fault = broker.stop()
        if fault:
            raise Failed(fault)
    finally:
        broker.kill()
    commits = found['commits']
    return statistics.median(taken) * 1e3, found['commit/latency/p50_us'] / 1e3, len(taken) / SECONDS, len(taken) / commits


def run(folder: str, options) -> int:
    """1 when the aim was missed in most of the rounds."""
    print('| in flight | PUBACK, ms p50 | commit, ms p50 | aim, ms | acknowledged a second | messages of a commit |')
    print('|---|---|---|---|---|---|')
    is_missed = False
    for window in WINDOWS:
        rounds = [
            measure(os.path.join(folder, f'{window}-{number}'), window, options) for number in range(options.rounds)
        ]
        taken, commit, rate, size = (statistics.median(column) for column in zip(*rounds))
        missed = sum(1 for found in rounds if found[0] > 1.5 * found[1] + 0.3)
        is_missed |= missed * 2 > len(rounds)
        print(f'| {window} | {taken:.2f} | {commit:.2f} | {1.5 * commit + 0.3:.2f} | {rate:.0f} | {size:.1f} |')
    return 1 if is_missed else 0
