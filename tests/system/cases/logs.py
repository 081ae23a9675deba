"""What the log tells of clients, and that no client can write lines of its own into it."""
from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess

import wire
from harness import BUILD, MQLOOPD, PATIENCE, RawClient, collector, equal, expect, wait_until

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


CANARY = 'c4n4ry'


def everything_secret(case, broker, version: int):
    """A client whose password, will and messages hold the canary is let in, one is refused, one breaks the rules."""
    will = wire.Will('will', f'will {CANARY}')

    def enter(name: str) -> RawClient:
        client = RawClient(broker.port, version)
        case.stack.callback(client.close)
        client.connect(f'accept-{name}-{version}', user='bob', password=f'right {CANARY}', will=will)
        return client

    kept = enter('kept')
    kept.subscribe('#', 2)
    for qos in (0, 1, 2):
        kept.send(wire.publish(version, 't', f'payload {CANARY}', qos, qos + 1))
    refused = RawClient(broker.port, version)
    case.stack.callback(refused.close)
    refused.send(wire.connect(version, f'reject-{version}', user='bob', password=f'wrong {CANARY}', will=will))
    told = refused.end()[0]
    broken = enter('broken')
    broken.send(wire.publish(version, 't/#', f'payload {CANARY}', 0))
    # To itself the payload may have come back before.
    told += [packet for packet in broken.end()[0] if packet[0] >> 4 != wire.PUBLISH]
    expect(CANARY.encode() not in b''.join(told), 'what a client is told holds no secret')
    kept.socket.close()  # and the will is published


@test
def emqx_17657_neither_passwords_nor_payloads_are_in_the_log_at_any_level_or_in_a_refusal(case):
    answers = {'name': 'answers', 'path': os.path.join(BUILD, 'tests', 'samples', 'answers.so')}
    for level, output_format in (('error', 'text'), ('warn', 'json'), ('info', 'text'), ('debug', 'json'),
                                 ('trace', 'text'), ('trace', 'json')):
        broker = case.start_broker(
            f'{level}-{output_format}',
            logging={
                'level': level,
                'format': output_format,
                'levels': {'mqloopd': 'info', 'listener': 'info'} if level in ('error', 'warn') else {},
            },
            plugins=[answers],
            auth={'anonymous': 'never', 'chains': {'default': {'authenticate': ['answers']}}},
        )
        for version in (3, 4, 5):
            everything_secret(case, broker, version)
        case.end(broker)
        with open(broker.log_file(), 'rb') as file:
            expect(CANARY.encode() not in file.read(), f'the canary sings at level {level}')
        expect(level in ('error', 'warn') or broker.lines('disconnected'), 'there is a log')
        expect(level != 'trace' or broker.lines('PUBLISH'), 'packets are traced')


def way_out(case, broker, version: int, way: str) -> str:
    """Goes in and out again in one way; the client identifier."""
    client = case.raw(version, f'{way}-{version}', broker, keep_alive=1 if way == 'silent' else 0)
    if way == 'said':
        client.send(wire.disconnect(version))
    elif way == 'closed':
        client.socket.shutdown(socket.SHUT_WR)
    elif way == 'reset':
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        client.socket.close()
        return case.id(f'{way}-{version}')
    elif way == 'broken':
        client.send(b'\x00\x00')
    elif way == 'second_connect':
        client.send(wire.connect(version, 'x'))
    client.end()
    return case.id(f'{way}-{version}')


@test
def each_way_out_has_one_line_with_its_reason(case):
    broker = case.start_broker()
    for version in (4, 5):
        for way, reason in (
            ('said', 'DISCONNECT'),
            ('closed', 'the client closed the connection'),
            ('reset', ''),
            ('broken', ''),
            ('second_connect', ''),
            ('silent', ''),
        ):
            name = way_out(case, broker, version, way)
            line = broker.wait_for_line('connection disconnected', f'client={name} ', 'reason=')
            expect(reason in line and 'reason=""' not in line, line)
        first = case.raw(version, f'taken-{version}', broker)
        second = case.raw(version, f'taken-{version}', broker)
        first.end()
        second.send(wire.disconnect(version))
        second.end()
        wait_until(lambda: len(broker.lines('connection disconnected', f'taken-{version} ')) == 2, 'both to be gone')
    case.end(broker)
    connected, gone = broker.lines('connection connected'), broker.lines('connection disconnected')
    equal((16, 16), (len(connected), len(gone)))
    for lines in (connected, gone):
        names = [line.split(' client=')[1].split(' ')[0] for line in lines]
        for name in names:
            equal(2 if 'taken' in name else 1, names.count(name), name)


@test
def the_level_of_one_module_leaves_the_others_alone(case):
    for name, level, levels, expected in (
        ('more', 'error', {'mqloopd': 'info', 'listener': 'info'}, {'mqloopd', 'listener'}),
        ('less', 'trace', {'connection': 'error', 'packet': 'info'}, {'mqloopd', 'listener'}),
    ):
        broker = case.start_broker(name, logging={'level': level, 'levels': levels})
        case.raw(4, 'c', broker).ping()
        case.end(broker)
        equal(expected, {line.split(' ')[2] for line in broker.log().splitlines()}, name)


@test
def the_system_log_gets_a_datagram_for_each_line(case):
    """In a mount namespace of its own, whose /dev/log is this test's."""
    if os.geteuid() != 0:
        return  # nobody else may make one; the unit tests of the log need none
    folder = os.path.join('/tmp', f'mqloop-log-{os.getpid()}-{case.threads}')
    os.mkdir(folder)
    case.stack.callback(shutil.rmtree, folder)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    case.stack.callback(listener.close)
    listener.bind(f'{folder}/log')
    listener.settimeout(PATIENCE)
    in_namespace = (
        'mount --make-rprivate / && mount --rbind /dev "$0/dev" && mount -t tmpfs none /dev && '
        'for node in null zero urandom random full tty; do touch /dev/$node && mount --bind "$0/dev/$node" /dev/$node; done && '
        'touch /dev/log && mount --bind "$0/log" /dev/log && exec "$@"'
    )
    os.mkdir(f'{folder}/dev')
    broker = Syslogged(case, listener, ('unshare', '--mount', '--', 'sh', '-c', in_namespace, folder))
    case.stack.callback(broker.kill)
    for line in broker.lines:
        expect(line.startswith(f'<30>') and f' mqloopd[{broker.process.pid}]: ' in line, line)
    expect(any(' mqloopd started ' in line for line in broker.lines), broker.lines)
    broker.process.send_signal(signal.SIGTERM)
    equal(0, broker.process.wait(PATIENCE))
    listener.setblocking(False)
    rest = []
    with contextlib.suppress(BlockingIOError):
        while True:
            rest.append(listener.recv(4096).decode())
    expect(rest and rest[-1].endswith(' mqloopd stopped'), rest)
    equal(b'', broker.stderr(), 'nothing is left for stderr')


class Syslogged:
    """A broker that logs to the system's log, up to the line that says that it has started."""

    def __init__(self, case, listener, wrapper):
        config = case.file('syslog.yaml')
        with open(config, 'w', encoding='ascii') as file:
            file.write('version: 1\nlogging: {output: syslog}\nlisteners: [{name: local, bind: "127.0.0.1:0"}]\n')
        self.process = subprocess.Popen(
            [*wrapper, MQLOOPD, '-c', config], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self.lines = []
        while not any(' mqloopd started ' in line for line in self.lines):
            expect(self.process.poll() is None, f'it ended with {self.process.returncode}')
            self.lines.append(listener.recv(4096).decode())

    def stderr(self) -> bytes:
        return self.process.stderr.read()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
