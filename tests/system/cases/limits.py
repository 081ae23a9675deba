"""Clients that stop, dawdle, crowd or will not read: what a limit does to them, and that the others do not notice."""
from __future__ import annotations

import contextlib
import time

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
    wait_until(lambda: broker.open_files() == before, 'every descriptor to be closed')
    expect(all(client.socket.fileno() >= 0 for client in sockets), 'the clients have closed nothing')
    case.end(broker)


def resident_memory(broker) -> int:
    with open(f'/proc/{broker.pid}/status', encoding='ascii') as file:
        return 1024 * int(next(line for line in file if line.startswith('VmRSS')).split()[1])


@test
def cve_2017_7651_what_strangers_claim_to_send_takes_no_memory(case):
    broker = case.start_broker()
    case.raw(5, 'first', broker).ping()
    before = resident_memory(broker)
    waiting = [case.socket(broker) for _ in range(400)]
    for client in waiting:  # within packet_size_before_connect, so the rest is waited for
        client.send(bytes([0x10]) + wire.varint(65_000) + b'\0\4MQTT\5\2\0\0')
    for length in (65_537, 268_435_455):
        greedy = case.socket(broker)
        greedy.send(bytes([0x10]) + wire.varint(length) + b'\0\4MQTT\5\2\0\0')
        greedy.end()
    wait_until(lambda: broker.open_files() >= 400, 'all of them to be there')
    case.raw(5, 'second', broker).ping()
    grown = resident_memory(broker) - before
    expect(grown < 10_000_000, f'{grown} bytes more for 400 clients that claim 26 MB')
    case.end(broker)
