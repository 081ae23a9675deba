"""One broker over its reactors: sessions have a home that connections move to, and nobody outside can tell."""
from __future__ import annotations

import socket
import threading

import wire
from harness import RawClient, collector, equal, expect, kept_files, wait_until

TESTS, test = collector()


@test
def a_session_is_found_from_every_connection(case):
    """Connections go to the reactor with the fewest; a resumed session must be there wherever one arrives."""
    sender = case.raw(4, 'sender')
    first = case.raw(4, 'c', clean=False)
    first.subscribe(case.topic('t'), 1)
    for i in range(40):
        others = [case.raw(4, f'filler{j}') for j in range(i % 3)]  # shifts which reactor is next
        client = RawClient(case.port, 4)
        case.stack.callback(client.close)
        client.send(wire.connect(4, case.id('c'), clean=False))
        equal(wire.connack(4, 0, True), client.receive(), f'connection {i}')
        sender.send(wire.publish(4, case.topic('t'), f'{i}', 1, 1))
        sender.receive()
        message = wire.body_of(client.receive())
        equal(f'{i}'.encode(), message[-len(f'{i}'):])
        identifier = int.from_bytes(message[2 + len(case.topic('t')):][:2], 'big')
        client.send(wire.puback(4, identifier))
        client.ping()
        for other in others:
            other.close()


@test
def bytes_sent_behind_connect_arrive_with_the_connection(case):
    """A client need not wait for CONNACK; what it has sent moves with it."""
    case.raw(5, 'c', clean=False, props=((wire.SESSION_EXPIRY, 100),))
    for i in range(30):
        client = RawClient(case.port, 5)
        case.stack.callback(client.close)
        topic = case.topic(f'{i}')
        client.send(
            wire.connect(5, case.id('c'), clean=False, props=((wire.SESSION_EXPIRY, 100),))
            + wire.subscribe(5, 1, (topic, 0)) + wire.publish(5, topic, 'm', 1, 2) + wire.PING
        )
        kinds = sorted(client.receive()[0] >> 4 for _ in range(5))
        equal([wire.CONNACK, wire.PUBLISH, wire.PUBACK, wire.SUBACK, 13], kinds, f'connection {i}')
        filler = case.raw(5, f'filler{i}')
        if i % 2:
            filler.close()


@test
def clients_that_fight_for_one_identifier_leave_one_connected(case):
    """Eight at a time, connecting again and again; in the end there is one, and it works."""
    broker = case.start_broker()
    stop = threading.Event()
    failures = []

    def fight(number: int):
        try:
            while not stop.is_set():
                client = RawClient(broker.port, 5)
                client.send(wire.connect(5, 'prize', clean=bool(number % 2), props=((wire.SESSION_EXPIRY, 50),)))
                answer = client.receive()
                if answer and answer[0] != 0x20:
                    failures.append(answer)
                client.close()
        except OSError as fault:
            failures.append(fault)

    fighters = [threading.Thread(target=fight, args=(i,)) for i in range(8)]
    for fighter in fighters:
        fighter.start()
    wait_until(lambda: len(broker.lines('connected', 'client=prize')) >= 500, '500 connections')
    stop.set()
    for fighter in fighters:
        fighter.join()
    equal([], failures[:3])
    last = RawClient(broker.port, 5)
    case.stack.callback(last.close)
    last.connect('prize', clean=False)
    last.subscribe('t', 1)
    last.send(wire.publish(5, 't', 'm', 1, 5))
    equal({wire.PUBLISH, wire.PUBACK}, {last.receive()[0] >> 4 for _ in range(2)})
    case.end(broker)


@test
def connections_that_come_and_go_leave_no_descriptor_behind(case):
    broker = case.start_broker()
    case.raw(4, 'warm', broker)
    before = broker.open_files()
    for i in range(100):
        clients = [case.raw(5, f'{i % 7}-{j}', broker) for j in range(5)]
        for j, client in enumerate(clients):
            if j % 2:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')  # closes by a reset
            client.close()
    wait_until(lambda: broker.open_files() <= before + kept_files(), f'{before} descriptors')
    expect(not broker.has_ended(), 'it lives')
    case.end(broker)


@test
def a_fan_out_to_thousands_is_complete_and_in_order_and_a_pair_goes_on(case):
    """More subscribers than a turn serves, on every reactor; a pair of clients works meanwhile."""
    topic = case.topic('wide')
    subscribers = []
    broker = case.start_broker()
    for i in range(1100 * case.threads):
        client = RawClient(broker.port, 4)
        case.stack.callback(client.close)
        client.send(wire.connect(4, case.id(f's{i}')) + wire.subscribe(4, 1, (topic, 1)))
        subscribers.append(client)
    for client in subscribers:
        client.receive()
        client.receive()
    source, pair = RawClient(broker.port, 4), RawClient(broker.port, 4)
    for client, name in ((source, 'source'), (pair, 'pair')):
        case.stack.callback(client.close)
        client.send(wire.connect(4, case.id(name)))
        client.receive()
    pair.subscribe(case.topic('pair'), 0)
    messages = 40
    source.send(b''.join(wire.publish(4, topic, f'{i}') for i in range(messages)))
    for i in range(20):
        pair.send(wire.publish(4, case.topic('pair'), f'{i}'))
        equal(f'{i}'.encode(), wire.body_of(pair.receive())[2 + len(case.topic('pair')):])
    for client in subscribers:
        got = [wire.body_of(client.receive())[2 + len(topic):] for _ in range(messages)]
        equal([f'{i}'.encode() for i in range(messages)], got)
