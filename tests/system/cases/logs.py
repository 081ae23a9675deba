"""What the log tells of clients, and that no client can write lines of its own into it."""
from __future__ import annotations

import json

import wire
from harness import RawClient, collector, equal, expect

TESTS, test = collector()


@test
def connect_disconnect_and_refusal_have_a_line_each(case):
    loopback = {'name': 'local', 'transport': 'tcp', 'bind': '127.0.0.1:0'}
    broker = case.start_broker(listeners=[loopback, {**loopback, 'name': 'closed', 'anonymous': 'never'}])
    client = case.raw(5, 'c', broker, user='bob')
    client.send(wire.disconnect(5))
    client.end()
    line = broker.wait_for_line('connection connected', f'client={case.id("c")} ')
    for part in ('info', 'from=127.0.0.1:', 'listener=local', 'version=5.0', 'session=new'):
        expect(part in line, f'{part} in {line}')
    expect('bob' not in line, f'who comes in anonymously has no user name: {line}')
    broker.wait_for_line('connection disconnected', f'client={case.id("c")} ', 'from=127.0.0.1:', 'reason=DISCONNECT')

    closed = broker.ports()['closed']
    for version, code in ((5, 0x87), (4, 5), (3, 5)):
        refused = RawClient(closed, version)
        case.stack.callback(refused.close)
        refused.send(wire.connect(version, f'refused{version}', user='bob', password='s3cret'))
        equal(code, refused.receive()[3], f'version {version}')
        equal([], refused.end()[0])
        line = broker.wait_for_line('auth deny', f'client=refused{version} ')
        for part in ('user=bob', 'from=127.0.0.1:', 'listener=closed', 'by=auth.anonymous'):
            expect(part in line, f'{part} in {line}')
    expect('s3cret' not in broker.log(), 'a password is never written down')
    case.end(broker)


HOSTILE = (
    'x\n2026-01-01T00:00:00.000+00:00 info mqloopd started forged=yes',
    'x\r\n\x1b[2J\x1b[31mforged=yes',
    'a" forged=yes event="stopped',
    'back\\slash\\n forged=yes',
    'line\u2028separator\u0085next forged=yes',
    '{"event":"forged=yes"}',
)


def knock(case, broker, version: int, text: str):
    """As client identifier, user name and topic; the broker may refuse some, and tells so on lines of its own."""
    client = RawClient(broker.port, version)
    case.stack.callback(client.close)
    client.send(wire.connect(version, text, user=text, password=b'p'))
    answer = client.receive()
    if answer and answer[3] == 0:
        client.send(wire.subscribe(version, 1, (text, 1)) + wire.publish(version, text, text, 1, 7))
        client.send(wire.packet(wire.DISCONNECT, b'\x04\x63' if version == 5 else b'\x01'))
        client.end()
    client.close()


@test
def a_client_cannot_forge_a_line_of_text(case):
    broker = case.start_broker(logging={'level': 'trace'})
    for version in (4, 5):
        for text in HOSTILE:
            knock(case, broker, version, text)
    fault = broker.stop()
    expect(not fault, fault)
    own = [line for line in broker.log().splitlines() if line.split(' ')[2:4] == ['mqloopd', 'started']]
    equal(1, len(own), 'only mqloopd says that it started')
    with open(broker.log_file(), 'rb') as file:
        raw = file.read()
    for byte in (b'\r', b'\x1b', b'\xc2\x85', b'\xe2\x80\xa8'):
        expect(byte not in raw, f'{byte!r} is escaped')
    text = raw.decode('utf-8', errors='strict')
    expect('forged=yes' in text, 'what they said is in the log')
    for line in text.splitlines():
        expect(line[:2] == '20' and line[10] == 'T' and line[23] in '+-', f'a line of its own: {line!r}')
        outside_of_quotes = line.replace('\\\\', '').replace('\\"', '').split('"')[::2]
        expect('forged=yes' not in ''.join(outside_of_quotes), line)


@test
def a_client_cannot_forge_a_line_of_json(case):
    broker = case.start_broker(logging={'format': 'json', 'level': 'trace'})
    for version in (4, 5):
        for text in HOSTILE:
            knock(case, broker, version, text)
    fault = broker.stop()
    expect(not fault, fault)
    events = []
    with open(broker.log_file(), encoding='utf-8') as file:
        for line in file.read().split('\n')[:-1]:
            entry = json.loads(line)
            equal(['time', 'level', 'module', 'event'], list(entry)[:4])
            events.append(entry['event'])
    equal(1, events.count('started'))
    equal(1, events.count('stopped'))
