"""The $SYS tree, read as people and their monitoring read it."""
from __future__ import annotations

import re
import subprocess
import threading
import time

import wire
from harness import PATIENCE, RawClient, collector, equal, expect, wait_until

TESTS, test = collector()

# What exporters for mosquitto turn into metrics.
COUNTERS = (
    'bytes/received bytes/sent messages/received messages/sent publish/bytes/received publish/bytes/sent '
    'publish/messages/received publish/messages/sent publish/messages/dropped'
).split()
GAUGES = (
    'clients/connected clients/disconnected clients/total clients/maximum clients/expired messages/stored '
    'store/messages/count store/messages/bytes subscriptions/count heap/current heap/maximum'
).split() + ['retained messages/count']
LOADS = [
    f'load/{what}/{over}'
    for what in 'messages/received messages/sent publish/received publish/sent publish/dropped bytes/received bytes/sent '
    'sockets connections'.split()
    for over in ('1min', '5min', '15min')
]


@test
def mosquitto_sub_shows_every_figure_at_once(case):
    broker = case.start_broker()
    done = subprocess.run(
        ['mosquitto_sub', '-p', str(broker.port), '-t', '$SYS/broker/#', '-F', '%t=%p', '-W', '3'],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
    )
    equal(27, done.returncode, f'it waits for more until its time is over: {done.stderr}')
    figures = dict(line.removeprefix('$SYS/broker/').split('=', 1) for line in done.stdout.splitlines())
    equal(set(), {*COUNTERS, *GAUGES, *LOADS, 'version', 'uptime'} - set(figures), 'missing')
    expect(all(re.fullmatch(r'\d+|\d+\.\d\d|\d+ seconds|mqloop version [\d.]+', value) for value in figures.values()), figures)
    case.end(broker)


class Exporter:
    """Subscribes once and keeps the latest number of every topic, as exporters do."""

    def __init__(self, case, broker):
        self.client = RawClient(broker.port, 4)
        case.stack.callback(self.client.close)
        self.client.connect(case.id('exporter'))
        self.numbers: dict = {}
        self.client.subscribe('$SYS/#')
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while packet := self.client.receive():
            reader = wire.Reader(wire.body_of(packet))
            topic = reader.string().decode().removeprefix('$SYS/broker/')
            number = re.match(r'[\d.]+', reader.rest().decode())
            if number:
                self.numbers[topic] = float(number.group())


@test
def an_exporter_sees_what_happens(case):
    broker = case.start_broker(sys={'interval': '1s'})
    exporter = Exporter(case, broker)
    wait_until(lambda: all(topic in exporter.numbers for topic in COUNTERS + GAUGES + LOADS), 'every figure')
    before = dict(exporter.numbers)
    absent = case.raw(4, 'absent', broker, clean=False)
    absent.subscribe('t', 1)
    absent.send(wire.disconnect(4))
    absent.end()
    sender = case.raw(4, 'sender', broker)
    for i in range(20):
        sender.send(wire.publish(4, 't', b'0123456789', 1, i + 1))
        sender.receive()
    sender.send(wire.publish(4, 'kept', b'x', retain=True))
    sender.ping()

    def settled():
        now = exporter.numbers
        return (
            now['publish/messages/received'] - before['publish/messages/received'] == 21
            and now['publish/bytes/received'] - before['publish/bytes/received'] == 201
            and now['clients/disconnected'] == 1 and now['clients/connected'] == 2 and now['clients/total'] == 3
            and now['retained messages/count'] == 1 and now['store/messages/count'] == 21
            and now['subscriptions/count'] == 2 and now['load/publish/received/1min'] > 0
            and now['heap/current'] > 1 << 20
        )  # fmt: skip

    wait_until(settled, 'the figures to say so')
    uptime = exporter.numbers['uptime']
    wait_until(lambda: exporter.numbers['uptime'] > uptime, 'time to pass')
    case.end(broker)


@test
def nobody_who_asks_for_everything_gets_the_figures(case):
    broker = case.start_broker(sys={'interval': '1s'})
    client = case.raw(5, 'all', broker)
    client.send(wire.subscribe(5, 1, ('#', 0), ('+/broker/#', 0)))
    client.receive()
    time.sleep(2.5)
    client.ping()  # nothing came before the answer
    case.end(broker)
