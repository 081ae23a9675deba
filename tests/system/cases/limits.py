"""Clients that stop, dawdle, crowd or will not read: what a limit does to them, and that the others do not notice."""
from __future__ import annotations

import contextlib
import time

import harness
import wire
from harness import PATIENCE, RawClient, collector, equal, expect, wait_until

TESTS, test = collector()


def listener(**options) -> list:
    return [{'name': 'local', 'transport': 'tcp', 'bind': '127.0.0.1:0', **options}]


@test
def a_client_that_falls_silent_is_cut_off_after_one_and_a_half_times_its_keep_alive(case):
    silent = {version: case.raw(version, f'{version}', keep_alive=2) for version in (3, 4, 5)}
    for version, client in silent.items():
        packets, _ = client.end()
        equal(['e0'] if version == 5 else [], [packet[:1].hex() for packet in packets], f'version {version}')
        if version == 5:
            equal(0x8D, packets[0][2], 'Keep Alive timeout')
        line = case.shared.wait_for_line('disconnected', f'client={case.id(f"{version}")} ')
        expect('Keep Alive' in line, line)


@test
def keep_alive_is_never_cut_short_and_any_packet_renews_it(case):
    client = case.raw(5, keep_alive=2)
    for _ in range(4):
        time.sleep(1.2)
        client.ping()
    packets, waited = client.end()
    equal(0x8D, packets[0][2])
    expect(waited >= 2.9, f'cut off after {waited:.2f} s')


@test
def keep_alive_0_means_no_end(case):
    forever, limited = case.raw(4, 'forever', keep_alive=0), case.raw(4, 'limited', keep_alive=1)
    limited.end()
    forever.ping()


@test
def the_longest_keep_alive_is_announced(case):
    broker = case.start_broker(limits={'keep_alive': {'max': '2s'}})
    client = RawClient(broker.port, 5)
    case.stack.callback(client.close)
    client.send(wire.connect(5, 'c', keep_alive=600))
    reader = wire.Reader(wire.body_of(client.receive()))
    reader.take(2)
    equal(2, dict(reader.properties()).get(wire.SERVER_KEEP_ALIVE))
    packets, waited = client.end()
    equal(0x8D, packets[0][2])
    expect(waited >= 2.9, f'cut off after {waited:.2f} s')
    case.end(broker)


@test
def who_does_not_connect_in_time_is_cut_off(case):
    broker = case.start_broker(limits={'connect_timeout': '1s'})
    silent, dawdler, served = case.socket(broker), case.socket(broker), case.raw(5, 'served', broker)
    dawdler.send(wire.connect(5, 'c')[:10])
    for client in (silent, dawdler):
        packets, waited = client.end()
        expect(waited < 20, 'it takes a second')
        equal([], packets)
    time.sleep(0.5)
    served.ping()
    broker.wait_for_line('connection closed')
    case.end(broker)


@test
def a_full_listener_refuses_more_until_somebody_leaves(case):
    broker = case.start_broker(listeners=listener(max_connections=3))
    clients = [case.raw(5, f'{i}', broker) for i in range(3)]
    extra = [case.socket(broker) for _ in range(50)]
    for one in extra:
        equal([], one.end()[0])
    broker.wait_for_line('warn listener refused', 'max_connections')
    equal(1, len(broker.lines('warn listener refused', 'max_connections')), 'one line a minute')
    for client in clients:
        client.ping()
    clients[0].send(wire.disconnect(5))
    clients[0].end()
    wait_until(lambda: broker.lines('disconnected', case.id('0')), 'the first to leave')
    connects_in_the_end(case, broker)
    case.end(broker)


@test
def the_brokers_limit_counts_all_listeners(case):
    listeners = listener() + [{**listener()[0], 'name': 'other'}]
    broker = case.start_broker(listeners=listeners, limits={'max_connections': 2})
    other = RawClient(broker.ports()['other'], 4)
    case.stack.callback(other.close)
    other.connect('other')
    mine = case.raw(4, 'mine', broker)
    equal([], case.socket(broker).end()[0])
    broker.wait_for_line('warn listener refused', 'limits.max_connections')
    mine.ping()
    other.close()
    connects_in_the_end(case, broker)
    case.end(broker)


@test
def an_address_has_its_share_of_a_listener_and_no_more(case):
    broker = case.start_broker(listeners=listener(max_connections_per_address=3))
    clients = [case.raw(5, f'{i}', broker) for i in range(3)]
    for _ in range(20):
        equal([], case.socket(broker).end()[0])
    line = broker.wait_for_line('warn listener refused', 'max_connections_per_address')
    expect('from=127.0.0.1:' in line, line)
    neighbour = RawClient(broker.port, 4, address='127.0.0.2')
    case.stack.callback(neighbour.close)
    neighbour.connect('neighbour')
    for client in clients:
        client.ping()
    clients[0].send(wire.disconnect(5))
    clients[0].end()
    connects_in_the_end(case, broker)
    case.end(broker)


@test
def a_client_above_its_rate_is_read_later_and_not_cut_off(case):
    broker = case.start_broker(limits={'rates': {'publish_per_client': '20/s', 'bytes_per_client': '1MiB/s'}})
    client, other = case.raw(5, 'fast', broker, keep_alive=1), case.raw(5, 'other', broker)
    client.subscribe('t')
    start = time.monotonic()
    client.send(wire.publish(5, 't', b'x') * 60)
    other.ping()
    for _ in range(60):
        equal(b'\x30', client.receive()[:1])
    expect(time.monotonic() - start >= 1.9, 'a burst of 20, then 40 at 20 a second')
    client.ping()
    case.end(broker)


@test
def cve_2020_13849_who_sends_its_connect_byte_by_byte_is_cut_off_in_time(case):
    """SlowITe: what comes does not renew the time that a CONNECT has."""
    broker = case.start_broker(limits={'connect_timeout': '1s', 'keep_alive': {'max': '1s'}})
    slow = case.socket(broker)
    start = time.monotonic()
    with contextlib.suppress(ConnectionError):
        for byte in wire.connect(5, 'c' * 1000):
            slow.send(bytes([byte]))
            time.sleep(0.05)
            expect(time.monotonic() - start < 20, 'it takes a second')
    # And who has connected holds its place no longer than the longest Keep Alive, whatever it asked for.
    greedy = RawClient(broker.port, 5)
    case.stack.callback(greedy.close)
    greedy.send(wire.connect(5, 'greedy', keep_alive=65535))
    packets, _ = greedy.end()
    equal(0x8D, packets[-1][2], 'Keep Alive timeout')
    case.end(broker)


def crowd_of(case, broker, count: int) -> list:
    clients = []
    for _ in range(count):
        clients.append(RawClient(broker.port, 4))
        case.stack.callback(clients[-1].close)
    return clients


@test
def cve_2023_5632_a_thousand_silent_connections_cost_no_time(case):
    broker = case.start_broker(listeners=listener(max_connections=1100))
    clients = crowd_of(case, broker, 1000)
    for i, client in enumerate(clients):
        client.send(wire.connect(4, f'{i}', keep_alive=60))
    for client in clients:
        equal(wire.connack(4), client.receive())
    before = broker.cpu_seconds()
    time.sleep(10)
    used = broker.cpu_seconds() - before
    expect(used < 0.1, f'{used:.2f} s of processor time in 10 s: below 1 %')
    clients[-1].ping()
    case.end(broker)


@test
def cve_2017_7651_a_thousand_strangers_that_claim_256_mib_each_take_no_memory(case):
    broker = case.start_broker(listeners=listener(max_connections=1100))
    before = broker.resident_bytes()
    strangers = crowd_of(case, broker, 1000)
    for stranger in strangers[:500]:
        stranger.send(bytes([0x10]) + wire.varint(268_435_455) + b'\0\4MQTT\4\2')
    for stranger in strangers[500:]:  # as much as the limit lets a stranger claim, and nothing of it
        stranger.send(bytes([0x10]) + wire.varint(65_000) + b'\0\4MQTT\4\2')
    for stranger in strangers[:500]:
        equal([], stranger.end()[0])
    case.raw(5, 'served', broker).ping()
    grown = broker.resident_bytes() - before
    expect(grown < 10 << 20, f'{grown >> 10} KiB more than before')
    case.end(broker)


@test
def cve_2021_33176_topics_beyond_the_limits_are_refused_and_take_no_memory(case):
    broker = case.start_broker(limits={'subscriptions': {'max_per_client': 5}, 'topics': {'max_levels': 10}})
    before = broker.resident_bytes()
    for i in range(50):
        deep = case.raw(5, f'deep{i}', broker)
        deep.send(wire.publish(5, '/'.join(f'{i}' for _ in range(10_000)), b'', retain=True))
        equal(0x90, deep.end()[0][-1][2], 'Topic Name invalid')
    greedy = case.raw(5, 'greedy', broker)
    greedy.send(wire.subscribe(5, 1, *[(f'{i}/a/b', 0) for i in range(2_000)], ('/'.join('x' * 5_000), 0)))
    codes = wire.body_of(greedy.receive())[3:]
    equal([0] * 5 + [0x97] * 1_995 + [0x8F], list(codes), 'five, Quota exceeded, Topic Filter invalid')
    grown = broker.resident_bytes() - before
    expect(grown < 10 << 20, f'{grown >> 10} KiB more than before')
    case.end(broker)


def connects_in_the_end(case, broker):
    """The place of one who left becomes free a moment after the end of its connection."""

    def served():
        client = RawClient(broker.port, 4)
        case.stack.callback(client.close)
        try:
            client.send(wire.connect(4, 'next'))
            return client.receive()[:1] == b'\x20'
        except ConnectionError:
            return False

    wait_until(served, 'a free place')


# ---- readers that do not read ----

CHUNK = b'x' * 50_000


def sleeper(case, broker, qos: int, version: int = 5) -> RawClient:
    client = RawClient(broker.port, version, receive_buffer=4096)
    case.stack.callback(client.close)
    client.connect('sleeper', keep_alive=0)
    client.subscribe('t', qos)
    return client


def flood(case, broker, count: int, qos: int = 0):
    """Publishes numbered messages, and is served all the time: the publisher does not pay for the reader."""
    sender = case.raw(5, f'sender{qos}', broker)
    for i in range(count):
        sender.send(wire.publish(5, 't', b'%06d' % i + CHUNK, qos, i + 1 if qos else None))
        if qos:
            equal(b'\x40', sender.receive()[:1], 'PUBACK')
    sender.ping()
    return sender


@test
def a_reader_that_is_slow_loses_messages_of_qos_0_and_stays(case):
    broker = case.start_broker(limits={'output': {'soft': '64KiB', 'hard': '64MiB', 'stall': 'infinite'}})
    reader = sleeper(case, broker, 0)
    flood(case, broker, 600)
    reader.send(wire.PING)
    numbers = []
    while (packet := reader.receive()) and packet != wire.PONG:
        numbers.append(int(wire.body_of(packet)[4:10]))
    equal(wire.PONG, packet, 'the connection lives')
    expect(0 < len(numbers) < 600, f'{len(numbers)} of 600 arrived')
    equal(sorted(set(numbers)), numbers, 'in their order, each once')
    flood(case, broker, 1)
    equal(0, int(wire.body_of(reader.receive())[4:10]), 'and it is served again')
    case.end(broker)


@test
def a_reader_that_takes_nothing_is_cut_off_after_the_stall_time(case):
    broker = case.start_broker(limits={'output': {'soft': '64KiB', 'hard': '64MiB', 'stall': '1s'}})
    sleeper(case, broker, 0)
    cut_off = ('disconnected', 'client=sleeper')
    wait_until(lambda: flood(case, broker, 20) and broker.lines(*cut_off), 'the end of the stalled connection')
    line = broker.lines(*cut_off)[0]
    expect('limits.output.stall' in line, line)
    case.end(broker)


@test
def a_client_that_asks_without_end_and_takes_no_answer_is_cut_off(case):
    """What is not PUBLISH cannot be dropped or put off; the hard limit is what bounds it."""
    broker = case.start_broker(limits={'output': {'soft': '16KiB', 'hard': '64KiB', 'stall': 'infinite'}})
    asking = sleeper(case, broker, 0)
    with contextlib.suppress(ConnectionError):
        for _ in range(400):
            asking.send(wire.PING * 50_000)
    line = broker.wait_for_line('disconnected', 'client=sleeper')
    expect('limits.output.hard' in line, line)
    case.end(broker)


@test
def messages_of_qos_1_wait_for_a_slow_reader_and_none_is_lost(case):
    broker = case.start_broker(limits={'output': {'soft': '64KiB', 'hard': '64MiB', 'stall': 'infinite'}})
    reader = sleeper(case, broker, 1)
    flood(case, broker, 300, qos=1)
    numbers = []
    while len(numbers) < 300:
        body = wire.body_of(reader.receive())
        reader.send(wire.puback(5, int.from_bytes(body[3:5], 'big')))
        numbers.append(int(body[6:12]))
    equal(list(range(300)), numbers)
    case.end(broker)


@test
def a_full_queue_of_an_absent_client_drops_its_oldest(case):
    broker = case.start_broker(limits={'session': {'max_queued_messages': 10}})
    absent = case.raw(4, 'absent', broker, clean=False)
    absent.subscribe('t', 1)
    absent.send(wire.disconnect(4))
    absent.end()
    sender = case.raw(4, 'sender', broker)
    for i in range(30):
        sender.send(wire.publish(4, 't', f'{i}', 1, i + 1))
        sender.receive()
    back = RawClient(broker.port, 4)
    case.stack.callback(back.close)
    back.send(wire.connect(4, case.id('absent'), clean=False))
    equal(wire.connack(4, 0, True), back.receive())
    equal([f'{i}'.encode() for i in range(20, 30)], [wire.body_of(back.receive())[5:] for _ in range(10)])
    case.end(broker)


@test
def cve_2026_95845_the_queue_of_a_session_is_bounded_in_bytes_too(case):
    broker = case.start_broker(limits={'session': {'max_queued_bytes': '100KiB', 'overflow': 'drop_new'}})
    absent = case.raw(4, 'absent', broker, clean=False)
    absent.subscribe('t', 1)
    absent.send(wire.disconnect(4))
    absent.end()
    flood(case, broker, 40, qos=1)
    back = RawClient(broker.port, 4)
    case.stack.callback(back.close)
    back.send(wire.connect(4, case.id('absent'), clean=False))
    equal(wire.connack(4, 0, True), back.receive())
    equal([b'000000', b'000001'], [wire.body_of(back.receive())[5:11] for _ in range(2)])
    back.ping()
    back.send(wire.disconnect(4))
    line = broker.wait_for_line('disconnected', f'client={case.id("absent")} ', 'drops')
    expect('queue_full: 38' in line, line)
    broker.wait_for_line('warn delivery dropping messages', 'cause=queue_full')
    case.end(broker)


@test
def a_full_queue_may_end_the_connection_of_a_client(case):
    session = {'max_queued_messages': 5, 'overflow': 'disconnect'}
    broker = case.start_broker(limits={'max_in_flight': 100, 'session': session})
    client = case.raw(5, 'client', broker)
    client.send(wire.subscribe(5, 1, ('t', 1)))
    client.receive()
    sender = case.raw(5, 'sender', broker)
    for i in range(200):  # the client acknowledges nothing: what may be in flight to it is, then its queue is full
        sender.send(wire.publish(5, 't', b'x', 1, i + 1))
        sender.receive()
    equal(0x97, client.end()[0][-1][2], 'Quota exceeded')
    case.end(broker)


@test
def cve_2024_48077_queues_that_were_full_drain_again(case):
    broker = case.start_broker(
        limits={
            'max_in_flight': 100,
            'session': {'max_queued_messages': 50},
            'output': {'soft': '64KiB', 'hard': '64MiB', 'stall': 'infinite'},
        }
    )
    readers = []
    for i in range(4):
        readers.append(RawClient(broker.port, 5, receive_buffer=4096))
        case.stack.callback(readers[-1].close)
        readers[-1].connect(f'reader{i}', keep_alive=0)
        readers[-1].subscribe('t', 1)
    flood(case, broker, 400, qos=1)  # window, queue and output of all are full
    for reader in readers:
        last = -1
        while last != 399:
            body = wire.body_of(reader.receive())
            reader.send(wire.puback(5, int.from_bytes(body[3:5], 'big')))
            expect(int(body[6:12]) > last, 'in their order')
            last = int(body[6:12])
    flood(case, broker, 1, qos=1)
    for reader in readers:
        equal(b'000000', wire.body_of(reader.receive())[6:12], 'all are served again')
    case.end(broker)


@test
def a_packet_above_the_announced_size_ends_its_connection(case):
    broker = case.start_broker(limits={'maximum_packet_size': '10KiB'})
    clients = {version: case.raw(version, f'{version}', broker) for version in (3, 4, 5)}
    for version, client in clients.items():
        client.send(wire.publish(version, 't', b'x' * 10_240))
        packets, _ = client.end()
        equal(['95'] if version == 5 else [], [packet[2:3].hex() for packet in packets], 'Packet too large')
    case.raw(5, 'other', broker).ping()
    case.end(broker)


@test
def a_large_first_packet_is_not_waited_for(case):
    client = case.socket()
    client.send(bytes([0x10]) + wire.varint(200_000_000) + b'\0\4MQTT\5')
    _, waited = client.end()
    expect(waited < PATIENCE / 2, 'the end came at once')


@test
def cve_2025_56352_refused_connections_are_closed_though_their_clients_keep_them_open(case):
    broker = case.start_broker()
    case.raw(5, 'first', broker).ping()
    before = broker.open_files()
    refused = [
        wire.connect(4, 'x' * 1025),  # identifier not valid
        wire.connect(3, ''),
        wire.packet(wire.CONNECT, wire.string('MQTT') + b'\x06\x02\0\0\0\0'),  # a level of tomorrow
        wire.connect(5, 'c', props=((wire.AUTH_METHOD, 'unknown'),)),
        wire.connect(5, 'c', props=((wire.RECEIVE_MAXIMUM, 0),)),
        wire.packet(wire.CONNECT, wire.string('HTTP') + b'\x04\x02\0\0\0\0'),  # closed without a word
        wire.PING,
    ]
    sockets = [case.socket(broker) for _ in range(10 * len(refused))]
    for number, client in enumerate(sockets):
        client.send(refused[number % len(refused)])
    for client in sockets:
        client.end()
    kept = 4 if harness.TRANSPORT in ('websocket', 'wss') else 0  # libwebsockets' own, once it has had so many
    wait_until(lambda: broker.open_files() <= before + kept, 'every descriptor to be closed')
    expect(all(client.socket.fileno() >= 0 for client in sockets), 'the clients have closed nothing')
    case.end(broker)
