"""Known vulnerabilities that show in a process: its memory, descriptors, CPU time and log, and odd pairs of options.

The conversations among them are in tests/protocol/exchange/vulnerabilities.py, all of them are listed in
tests/conformance/vulnerabilities.tsv.
"""
from __future__ import annotations

import contextlib
import itertools
import re
import socket
import time

import wire
from harness import RawClient, collector, connection_bytes, equal, expect, kept_files, wait_until

TESTS, test = collector()
MEGABYTE = 1024 * 1024


def memory(broker) -> int:
    """Bytes that are the process's own and in memory."""
    with open(f'/proc/{broker.pid}/status', encoding='ascii') as file:
        return int(re.search(r'RssAnon:\s+(\d+) kB', file.read()).group(1)) * 1024


def grows_less_than(limit: int, broker, work, rounds: int = 3):
    """What is lost each time makes every round cost the same; what is kept for later use costs once."""
    work()
    before = memory(broker)
    for _ in range(rounds):
        work()
    grown = memory(broker) - before
    expect(grown < limit, f'{grown // 1024} KiB more after {rounds} rounds')


def refused(broker, packet: bytes) -> bytes:
    """All that comes back until the broker closes."""
    client = RawClient(broker.port, 5)
    with contextlib.closing(client), contextlib.suppress(ConnectionError):
        client.send(packet)
        packets, _ = client.end()
        return b''.join(packets)
    return b''


@test
def cve_2017_7651_a_thousand_huge_claims_cost_no_memory(case):
    broker = case.start_broker()
    before = memory(broker)
    clients = [case.socket(broker) for _ in range(1000)]
    for number, client in enumerate(clients):
        length = wire.varint(60_000 if number % 2 else 256 * MEGABYTE - 1)
        with contextlib.suppress(ConnectionError):
            client.send(b'\x10' + length + b'\0\4MQTT\5\2')
    case.raw(5, 'other', broker).ping()
    grown = memory(broker) - before
    expect(grown < 10 * MEGABYTE + 1000 * connection_bytes(), f'{grown // 1024} KiB for a thousand claims')
    for client in clients:
        client.close()
    case.end(broker)


@test
def cve_2017_7654_crafted_connects_leave_nothing_behind(case):
    broker = case.start_broker(limits={'max_connections': 5000})
    will = wire.Will('w/#', b'w' * 20_000, props=((wire.USER_PROPERTY, ('k' * 100, 'v' * 100)),))
    whole = wire.connect(5, 'c', user='u' * 10_000, password=b'p' * 10_000, will=will)
    old = wire.connect(4, 'c', user='u' * 20_000, will=will)
    crafted = (whole, old, whole[:-1] + b'\xff' * 20, b'\x10' + whole[2:])

    def work():
        for _ in range(250):
            for packet in crafted:
                refused(broker, packet)

    grows_less_than(10 * MEGABYTE, broker, work)  # a round brings 30 MB
    case.end(broker)


@test
def cve_2023_5632_silent_connections_cost_no_cpu_time(case):
    broker = case.start_broker()
    clients = [case.raw(3 + number % 3, f'{number}', broker, keep_alive=0) for number in range(1000)]
    clients[0].subscribe('t')
    time.sleep(1)
    before = broker.cpu_seconds()
    time.sleep(8)
    used = broker.cpu_seconds() - before
    expect(used < 0.08, f'{used:.2f} s of CPU time in 8 s')
    clients[0].ping()
    case.end(broker)


@test
def cve_2023_33656_messages_leave_nothing_behind(case):
    broker = case.start_broker()
    subscriber, publisher = case.raw(5, 's', broker, keep_alive=0), case.raw(5, 'p', broker, keep_alive=0)
    for client in (subscriber, publisher):
        if client.socket.family == socket.AF_INET:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    subscriber.subscribe('t', 2)
    props = ((wire.USER_PROPERTY, ('name', 'v' * 500)), (wire.CORRELATION_DATA, b'c' * 500))

    def work():
        for number in range(600):
            qos = number % 3
            publisher.send(wire.publish(5, 't', b'x' * 20_000, qos, 7, retain=number % 7 == 0, props=props))
            if qos == 2:
                publisher.receive()
                publisher.send(wire.pubrel(5, 7))
            if qos:
                publisher.receive()
            body = wire.body_of(subscriber.receive())
            identifier = int.from_bytes(body[3:5], 'big')
            if qos == 1:
                subscriber.send(wire.puback(5, identifier))
            if qos == 2:
                subscriber.send(wire.pubrec(5, identifier))
                subscriber.receive()
                subscriber.send(wire.pubcomp(5, identifier))
        subscriber.ping()

    grows_less_than(6 * MEGABYTE, broker, work)  # a round brings 12 MB
    case.end(broker)


@test
def cve_2024_48077_full_queues_drain_and_the_broker_goes_on(case):
    limits = {'output': {'soft': '16KiB', 'hard': '64MiB', 'stall': 'infinite'}, 'session': {'max_queued_messages': 20}}
    broker = case.start_broker(limits=limits)
    readers = []
    for number in range(5):
        client = RawClient(broker.port, 5, receive_buffer=4096)
        case.stack.callback(client.close)
        client.connect(f'sleeper{number}', keep_alive=0)
        client.subscribe('t', 1)
        readers.append(client)
    sender = case.raw(5, 'sender', broker)
    for number in range(400):
        sender.send(wire.publish(5, 't', b'%06d' % number + b'x' * 20_000, 1, 1))
        equal(b'\x40', sender.receive()[:1], 'PUBACK')
    for client in readers:
        client.send(wire.PING)
        got, answered = [], False
        while not answered or not got or got[-1] != 399:
            packet = client.receive()
            expect(packet, 'the connection ended')
            answered = answered or packet == wire.PONG
            if packet[0] >> 4 == wire.PUBLISH:
                body = wire.body_of(packet)
                got.append(int(body[6:12]))
                client.send(wire.puback(5, int.from_bytes(body[3:5], 'big')))
        expect(len(got) < 400 and got == sorted(set(got)), 'the newest came, in order, and not all')
    sender.send(wire.publish(5, 't', b'999999', 1, 1))
    for client in readers:
        equal(b'999999', wire.body_of(client.receive())[6:], 'and what comes later comes at once')
    case.end(broker)


@test
def cve_2025_56352_a_refused_connect_gives_its_descriptor_back(case):
    broker = case.start_broker(limits={'connect_timeout': '1h'})
    other = case.raw(5, 'other', broker)
    before = broker.open_files()
    kinds = {
        wire.connect(5, 'c', props=((wire.RECEIVE_MAXIMUM, 0),)): 0x82,
        wire.connect(5, 'c', props=((wire.AUTH_METHOD, 'none'),)): 0x8C,
        wire.connect(4, '', clean=False): 2,
        wire.packet(wire.CONNECT, wire.string('MQTT') + b'\6\2\0\0\0\0\0'): 0x84,
        b'\x10\x00': None,
    }
    for _ in range(40):
        for packet, code in kinds.items():
            answer = refused(broker, packet)
            equal([code] if code else [], [answer[3]] if answer else [], answer.hex(' '))
    wait_until(lambda: broker.open_files() <= before + kept_files(), 'all descriptors but those of before to be closed')
    other.ping()
    case.end(broker)


@test
def cve_2026_95845_what_waits_for_one_client_is_bounded_in_count_and_in_bytes(case):
    for key, value, size, most in (('max_queued_messages', 10, 10, 10), ('max_queued_bytes', '64KiB', 10_000, 6)):
        broker = case.start_broker(key, limits={'session': {key: value}})
        absent = RawClient(broker.port, 4)
        absent.connect('absent', clean=False)
        absent.subscribe('t', 1)
        absent.close()
        broker.wait_for_line('disconnected', 'client=absent')
        sender = case.raw(4, 'sender', broker)
        for number in range(100):
            sender.send(wire.publish(4, 't', b'%06d' % number + b'x' * size, 1, 1))
            sender.receive()
        back = RawClient(broker.port, 4)
        case.stack.callback(back.close)
        back.send(wire.connect(4, 'absent', clean=False))
        equal(wire.connack(4, 0, True), back.receive())
        back.send(wire.PING)
        got = []
        while (packet := back.receive()) != wire.PONG:
            got.append(int(wire.body_of(packet)[5:11]))
        expect(0 < len(got) <= most and got[-1] == 99, f'{len(got)} of 100 waited, the last was {got[-1:]}')
        case.end(broker)


@test
def emqx_17657_no_secret_of_a_client_is_in_the_log(case):
    """Password, payload, will, properties: none of them is told, however much is told."""
    canary = 'CANARY7c1f'
    broker = case.start_broker(logging={'level': 'trace'})
    will = wire.Will('w', canary, props=((wire.USER_PROPERTY, (canary, canary)), (wire.CORRELATION_DATA, canary)))
    for version in (3, 4, 5):
        client = case.raw(version, f'{version}', broker, user='name', password=canary, will=will)
        client.subscribe('t')
        props = ((wire.USER_PROPERTY, (canary, canary)),) if version == 5 else ()
        client.send(wire.publish(version, 't', canary, 0, props=props))
        client.receive()
        client.close()
        broker.wait_for_line('disconnected', case.id(f'{version}'))
    refused(broker, wire.connect(5, 'c', user='name', password=canary, props=((wire.AUTH_METHOD, 'none'),)))
    refused(broker, wire.connect(5, 'c', props=((wire.AUTH_DATA, canary),)))
    expect(not broker.lines(canary), f'the log tells a secret:\n{broker.lines(canary)[:1]}')
    case.end(broker)


# ---- every pair of values of two options, while clients are served ----

FACTORS = {
    'limits.receive_maximum': (1, 65535),
    'limits.max_in_flight': (1, 65535),
    'limits.topic_alias_maximum': (0, 65535),
    'limits.max_qos': (0, 1, 2),
    'limits.maximum_packet_size': ('64B', '256MiB'),
    'limits.packet_size_before_connect': ('64B', '256MiB'),
    'limits.connect_timeout': ('100ms', '1h'),
    'limits.max_connections': (3, 1_000_000),
    'limits.retain.enabled': (True, False),
    'limits.retain.max_messages': (1, 1_000_000),
    'limits.retain.max_bytes': ('1KiB', '1GiB'),
    'limits.topics.max_levels': (1, 200, 65535),
    'limits.topics.max_length': ('1B', '65535B'),
    'limits.subscriptions.max_per_client': (0, 1),
    'limits.subscriptions.wildcard': (True, False),
    'limits.session.max_expiry_interval': ('0s', '1s', 'infinite'),
    'limits.session.max_queued_messages': (1, 1_000_000),
    'limits.session.max_queued_bytes': ('1KiB', '1GiB'),
    'limits.session.overflow': ('drop_oldest', 'drop_new', 'disconnect'),
    'limits.session.queue_qos0': (True, False),
    'limits.output.soft and hard': (('4KiB', '4KiB'), ('4KiB', '1GiB'), ('1GiB', '1GiB')),
    'limits.output.stall': ('1s', 'infinite'),
    'limits.reactor_backlog': ('64KiB', '1GiB'),
    'limits.keep_alive.max': ('1s', '65535s'),
    'limits.keep_alive.grace': (1, 10),
    'logging.level': ('info', 'trace'),
    'logging.format': ('text', 'json'),
    'shutdown.drain': ('0s', '1s'),
    'shutdown.send_disconnect': (True, False),
    'shutdown.publish_wills': (True, False),
}


def pairwise(factors: dict) -> list:
    """A few configurations in which every value of every option meets every value of every other one."""
    names = list(factors)
    missing = {
        (a, x, b, y) for a, b in itertools.combinations(names, 2) for x in factors[a] for y in factors[b]
    }
    rows = []
    while missing:
        row = {}
        for name in names:  # the value that meets the most of what is missing
            def gain(value):
                return sum((other, row[other], name, value) in missing for other in row)

            row[name] = max(factors[name], key=lambda value: (gain(value), -rows_with(rows, name, value)))
        met = {(a, row[a], b, row[b]) for a, b in itertools.combinations(names, 2)} & missing
        if not met:  # the greedy choice was exhausted: begin with one that is missing
            a, x, b, y = min(missing, key=str)
            row[a], row[b] = x, y
            met = {(a, row[a], b, row[b])} | {
                (c, row[c], d, row[d]) for c, d in itertools.combinations(names, 2)
            } & missing
        missing -= met
        rows.append(row)
    return rows


def rows_with(rows, name, value) -> int:
    return sum(row[name] == value for row in rows)


def nested(row: dict) -> dict:
    settings: dict = {}
    for path, value in row.items():
        *blocks, key = path.split('.')
        place = settings
        for block in blocks:
            place = place.setdefault(block, {})
        keys = key.split(' and ')
        place.update(zip(keys, value if len(keys) > 1 else (value,)))
    return settings


def serve_some(broker):
    """A little of everything. Small limits refuse and cut off as they should: only the broker must not mind."""
    kept = {'clean': False, 'props': ((wire.SESSION_EXPIRY, 60), (wire.RECEIVE_MAXIMUM, 2))}
    for version in (5, 4, 3):
        for round_ in range(2):
            clients = []
            for name in 'ab':
                with contextlib.suppress(ConnectionError):
                    client = RawClient(broker.port, version)
                    client.socket.settimeout(10)
                    clients.append(client)
                    fields = {**kept, 'keep_alive': 1} if version == 5 else {'clean': False}
                    client.send(wire.connect(version, name, will=wire.Will('t', b'w', 0), **fields))
                    client.send(wire.subscribe(version, 1, ('t', 2), ('#', 0)) + wire.subscribe(version, 2, ('a/b', 1)))
            for number, client in enumerate(clients * 2):
                with contextlib.suppress(ConnectionError):
                    for qos in (0, 1, 2, 1):
                        client.send(wire.publish(version, 't', b'x' * 30 * qos, qos, 10 + qos, retain=number == 0))
                    client.send(wire.publish(version, 'a/b', b'y' * 3000, 0) * 3 + wire.PING)
            for number, client in enumerate(clients):
                with contextlib.suppress(ConnectionError):
                    if round_ and number:
                        client.send(wire.disconnect(version))
                    while (packet := client.receive()) and packet != wire.PONG:
                        pass
                client.close()


@test
def cve_2026_42209_every_pair_of_options_serves_and_ends_in_order(case):
    rows = pairwise(FACTORS)
    expect(len(rows) >= 9, 'three values times three')
    for number, row in enumerate(rows):
        broker = None
        try:
            broker = case.start_broker(f'pair{number}', **nested(row))
            serve_some(broker)
            case.end(broker)
        except AssertionError as fault:
            raise AssertionError(f'{fault}\nwith {row}') from fault
