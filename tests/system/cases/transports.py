"""What connections travel on: Unix sockets, TCP and its options, proxies that speak the PROXY protocol, systemd's sockets."""
from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import stat
import struct
import subprocess

import wire
from harness import BUILD, LOCAL, PATIENCE, Broker, RawClient, collector, equal, expect, wait_until

TESTS, test = collector()

NOT_AUTHORIZED = 0x87
PEER_NAME = os.path.abspath(os.path.join(BUILD, 'tests', 'samples', 'peer_name.so'))
BY_PEER_NAME = {
    'plugins': [{'name': 'names', 'path': PEER_NAME}],
    'auth': {'anonymous': 'never', 'chains': {'default': {'authenticate': ['names']}}},
}
SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'


def me() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


class SocketFolder:
    """A folder with a name that is short enough for a socket in it, however deep the test's own folder lies."""

    def __init__(self, case):
        self.folder = case.file('sockets')
        os.makedirs(self.folder, exist_ok=True)
        self.fd = os.open(self.folder, os.O_PATH)
        case.stack.callback(os.close, self.fd)

    def real(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def connect(self, name: str) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        client.connect(f'/proc/self/fd/{self.fd}/{name}')
        return client


def adopt(case, client: socket.socket, version: int = 5) -> RawClient:
    raw = RawClient.over(client, version)
    case.stack.callback(raw.close)
    return raw


def line(source: str) -> bytes:
    return f'PROXY TCP4 {source} 198.51.100.2 51234 1883\r\n'.encode()


def option(kind: int, value: bytes) -> bytes:
    return struct.pack('>BH', kind, len(value)) + value


def binary(source: str, options: bytes = b'') -> bytes:
    block = socket.inet_aton(source) + socket.inet_aton('198.51.100.2') + struct.pack('>HH', 51234, 1883) + options
    return SIGNATURE + struct.pack('>BBH', 0x21, 0x11, len(block)) + block


def certificate(name: str, verify: int = 0) -> bytes:
    return option(0x20, struct.pack('>BI', 3, verify) + option(0x22, name.encode()))


def by_proxy(case, port: int, header: bytes, source: str = '127.0.0.1') -> RawClient:
    client = RawClient(port, 5, address=source)
    case.stack.callback(client.close)
    client.send(header)
    return client


def connack(client: RawClient, client_id: str) -> int:
    client.send(wire.connect(5, client_id))
    packet = client.receive()
    equal(b'\x20', packet[:1], 'CONNACK')
    return packet[3]


def expect_mistake(case, what: str, name: str = 'wrong', status: int = 4, **settings):
    """A broker that does not start, and says why."""
    try:
        case.start_broker(name, **settings)
    except AssertionError as fault:
        expect(f'status {status}' in str(fault) and what in str(fault), str(fault))
    else:
        raise AssertionError(f'it started, without {what}')
    finally:
        case.own[:] = [broker for broker in case.own if not broker.has_ended()]


# ---- Unix sockets ----------------------------------------------------------------------------------------------------


class UnixBroker:
    """A broker with a Unix socket in its own folder, which it is told by a path that may not be too long."""

    def __init__(self, case, name: str = 'own', listener: dict | None = None, **settings):
        # The socket is reached by the folder's descriptor: the path of the test's folder may be too long for a socket.
        self.sockets = SocketFolder(case)
        self.path = f'/proc/{os.getpid()}/fd/{self.sockets.fd}/m'
        self.listeners = [LOCAL, {'name': 'sock', 'transport': 'unix', 'path': self.path, **(listener or {})}]
        self.broker: Broker = case.start_broker(name, listeners=self.listeners, **settings)
        self.case = case

    def client(self, version: int = 5) -> RawClient:
        return adopt(self.case, self.sockets.connect('m'), version)

    def facts(self):
        try:
            return os.lstat(self.sockets.real('m'))
        except FileNotFoundError:
            return None


@test
def a_client_on_a_unix_socket_is_served_and_the_socket_goes_with_the_broker(case):
    own = UnixBroker(case, listener={'mode': '0640'})
    expect(stat.S_ISSOCK(own.facts().st_mode), 'no socket')
    equal(0o640, stat.S_IMODE(own.facts().st_mode))
    subscriber = own.client()
    subscriber.connect(case.id('sub'))
    subscriber.subscribe(case.topic('t'), 1)
    publisher = case.raw(5, 'pub', own.broker)
    publisher.send(wire.publish(5, case.topic('t'), b'over the socket', qos=1, packet_id=1))
    expect(b'over the socket' in subscriber.receive(), 'the message')
    own.broker.wait_for_line('connected', case.id('sub'), f'from=unix:{me()}:{os.getpid()}', 'listener=sock')
    case.end(own.broker)
    equal(None, own.facts(), 'the socket is left behind')


@test
def large_messages_pass_a_unix_socket(case):
    own = UnixBroker(case)
    client = own.client()
    client.connect(case.id())
    client.subscribe(case.topic('t'), 1)
    payload = os.urandom(900_000)
    client.send(wire.publish(5, case.topic('t'), payload, qos=1, packet_id=1))
    packets = [client.receive(), client.receive()]
    expect(any(payload in packet for packet in packets), 'the message came back whole')
    case.end(own.broker)


@test
def mosquittos_clients_reach_a_unix_socket(case):
    own = UnixBroker(case)
    path = f'/proc/{os.getpid()}/fd/{own.sockets.fd}/m'
    subscriber = subprocess.Popen(
        ['mosquitto_sub', '--unix', path, '-i', case.id('sub'), '-t', case.topic('t'), '-q', '1', '-C', '1'],
        stdout=subprocess.PIPE,
    )
    case.stack.callback(subscriber.wait)
    case.stack.callback(subscriber.kill)
    own.broker.wait_for_line('connected', case.id('sub'))
    subprocess.run(
        ['mosquitto_pub', '--unix', path, '-i', case.id('pub'), '-t', case.topic('t'), '-m', 'hello', '-q', '1', '-r'],
        check=True,
        timeout=PATIENCE,
    )
    equal((b'hello\n', None), subscriber.communicate(timeout=PATIENCE))
    case.end(own.broker)


@test
def a_stale_socket_is_replaced_and_a_file_is_not(case):
    own = UnixBroker(case)
    own.broker.kill()
    expect(stat.S_ISSOCK(own.facts().st_mode), 'a broker that was killed leaves its socket')
    again: Broker = case.start_broker('again', listeners=own.listeners)
    own.client().connect(case.id())
    expect_mistake(case, f'already used by pid {again.pid} (mqloopd)', 'second', listeners=own.listeners)
    own.client().connect(case.id('still'))
    case.end(again)
    with open(own.sockets.real('m'), 'w', encoding='ascii') as file:
        file.write('precious')
    expect_mistake(case, 'something is there that is no socket', 'third', listeners=own.listeners)
    with open(own.sockets.real('m'), encoding='ascii') as file:
        equal('precious', file.read())


@test
def authenticators_are_told_the_user_of_the_peer(case):
    own = UnixBroker(case, **BY_PEER_NAME)
    own.client().connect(case.id())
    own.broker.wait_for_line('connected', case.id(), f'user={me()} ')
    other = RawClient(own.broker.port, 5)
    case.stack.callback(other.close)
    equal(NOT_AUTHORIZED, connack(other, case.id('tcp')))
    own.broker.wait_for_line('deny', 'nobody is known')
    case.end(own.broker)


@test
def a_unix_socket_alone_may_have_no_chain_and_one_behind_a_proxy_may_not(case):
    own = UnixBroker(case, listener={'chain': 'none'})
    own.client().connect(case.id())
    case.end(own.broker)
    listener = {**own.listeners[1], 'proxy_protocol': {'from': [me()]}}
    expect_mistake(case, 'none lets anyone in', 'wrong', status=3, listeners=[LOCAL, listener])


@test
def a_reload_changes_the_mode_and_keeps_the_socket_and_those_who_are_connected(case):
    own = UnixBroker(case)
    client = own.client()
    client.connect(case.id())
    before = own.facts().st_ino
    settings = {**own.broker.settings, 'listeners': [LOCAL, {**own.listeners[1], 'mode': '0600'}]}
    with open(own.broker.config, 'w', encoding='utf-8') as file:
        json.dump(settings, file)
    own.broker.send_signal(signal.SIGHUP)
    own.broker.wait_for_line('config reloaded', 'changes=1')
    equal((before, 0o600), (own.facts().st_ino, stat.S_IMODE(own.facts().st_mode)))
    client.ping()
    own.client().connect(case.id('new'))
    case.end(own.broker)
    equal(None, own.facts())


# ---- TCP -------------------------------------------------------------------------------------------------------------


@test
def each_of_several_listeners_has_options_of_its_own(case):
    others = [
        {**LOCAL, 'name': 'a', 'nodelay': False, 'backlog': 7, 'interface': 'lo'},
        {**LOCAL, 'name': 'b', 'tcp_keep_alive': {'idle': '60s'}, 'chain': 'none'},
    ]
    broker = case.start_broker(listeners=[LOCAL, *others])
    for name, port in broker.ports().items():
        client = RawClient(port, 5)
        case.stack.callback(client.close)
        client.connect(case.id(name))
    equal({'local', 'a', 'b'}, set(broker.ports()))
    case.end(broker)


@test
def an_interface_that_is_not_there_keeps_the_broker_from_starting(case):
    listener = {**LOCAL, 'interface': 'nowhere7'}
    expect_mistake(case, "there is no network interface 'nowhere7'", status=4, listeners=[listener])


@test
def lists_of_addresses_say_who_may_come_and_hold_with_a_reload(case):
    listener = {**LOCAL, 'allow_from': ['127.0.0.0/8'], 'deny_from': ['127.0.0.9']}
    broker = case.start_broker(listeners=[listener])

    def come(source: str) -> bool:
        client = RawClient(broker.port, 5, address=source)
        case.stack.callback(client.close)
        try:
            client.send(wire.connect(5, case.id(source)))
        except ConnectionError:
            return False
        return client.receive() != b''

    equal([True, False], [come('127.0.0.8'), come('127.0.0.9')])
    broker.wait_for_line('refused', 'from=127.0.0.9:', 'the address is in deny_from')
    settings = {**broker.settings, 'listeners': [{**listener, 'allow_from': ['127.0.0.9', '127.0.0.7'], 'deny_from': []}]}
    with open(broker.config, 'w', encoding='utf-8') as file:
        json.dump(settings, file)
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line('config reloaded', 'changes=2')
    equal([False, True], [come('127.0.0.8'), come('127.0.0.9')])
    case.end(broker)


# ---- the PROXY protocol ----------------------------------------------------------------------------------------------


def behind_proxy(**more) -> dict:
    return {**LOCAL, 'name': 'behind', 'proxy_protocol': {'from': ['127.0.0.1'], **more}}


ANYBODY = {'auth': {'anonymous': 'always', 'i_accept_the_risk': True}}


@test
def the_client_behind_a_proxy_is_the_one_that_is_logged_counted_and_compared(case):
    listener = {**behind_proxy(), 'max_connections_per_address': 1, 'deny_from': ['203.0.113.0/24']}
    broker = case.start_broker(listeners=[LOCAL, listener], **ANYBODY)
    port = broker.ports()['behind']
    for header, source in ((line('192.0.2.1'), '192.0.2.1'), (binary('192.0.2.2'), '192.0.2.2')):
        by_proxy(case, port, header).connect(case.id(source))
        broker.wait_for_line('connected', case.id(source), f'from={source}:51234')
    equal(b'', by_proxy(case, port, line('192.0.2.1')).receive(), 'a second one of this address')
    broker.wait_for_line('refused', 'from=192.0.2.1:51234', 'max_connections_per_address')
    equal(b'', by_proxy(case, port, binary('203.0.113.7')).receive(), 'one that is denied')
    case.end(broker)


@test
def who_comes_by_a_proxy_is_no_local_client(case):
    broker = case.start_broker(listeners=[LOCAL, behind_proxy()])
    port = broker.ports()['behind']
    local = SIGNATURE + b'\x20\0\0\0'
    for name, header, code in (
        ('told', line('127.0.0.1'), NOT_AUTHORIZED),
        ('unknown', b'PROXY UNKNOWN\r\n', NOT_AUTHORIZED),
        ('itself', local, 0),
    ):
        equal(code, connack(by_proxy(case, port, header), case.id(name)), name)
    case.end(broker)


@test
def who_does_not_speak_as_a_trusted_proxy_is_closed_logged_and_counted(case):
    listener = behind_proxy(header_timeout='200ms')
    for name, header, source, why in (
        ('none', wire.connect(5, 'x'), '127.0.0.1', 'what came is no PROXY header'),
        ('late', line('192.0.2.1')[:-1], '127.0.0.1', 'no whole PROXY header in time'),
        ('large', SIGNATURE + b'\x21\x11\xff\xff', '127.0.0.1', 'longer than 8192 bytes'),
        ('untrusted', line('192.0.2.1'), '127.0.0.2', 'no proxy that proxy_protocol.from names'),
    ):
        broker = case.start_broker(name, listeners=[LOCAL, listener], sys={'interval': '1s'}, **ANYBODY)
        client = RawClient(broker.ports()['behind'], 5, address=source)
        case.stack.callback(client.close)
        try:
            client.send(header)
        except ConnectionError:
            pass
        equal(b'', client.receive(), name)
        broker.wait_for_line('warn listener refused', f'from={source}:', 'listener=behind', why)
        reader = case.raw(5, 'sys', broker)
        reader.subscribe('$SYS/broker/connections/refused')
        while not reader.receive().endswith(b'1'):
            pass
        case.end(broker)


@test
def authenticators_are_told_the_certificate_that_the_proxy_was_shown(case):
    broker = case.start_broker(listeners=[LOCAL, behind_proxy(version='v2')], **BY_PEER_NAME)
    port = broker.ports()['behind']
    good = by_proxy(case, port, binary('192.0.2.1', certificate('sensor7')))
    good.connect(case.id('good'))
    broker.wait_for_line('connected', case.id('good'), 'user=sensor7 ')
    bad = by_proxy(case, port, binary('192.0.2.1', certificate('sensor7', 1)))
    equal(NOT_AUTHORIZED, connack(bad, case.id('bad')))
    none = by_proxy(case, port, binary('192.0.2.1'))
    equal(NOT_AUTHORIZED, connack(none, case.id('none')))
    case.end(broker)


@test
def a_unix_socket_takes_the_proxys_header_and_not_its_user_for_the_client(case):
    own = UnixBroker(case, listener={'proxy_protocol': {'from': [me()]}}, **BY_PEER_NAME)
    client = own.client()
    client.send(binary('192.0.2.1', certificate('sensor7')))
    client.connect(case.id())
    own.broker.wait_for_line('connected', case.id(), 'user=sensor7 ', 'from=192.0.2.1:51234')
    other = own.client()
    other.send(binary('192.0.2.1'))
    equal(NOT_AUTHORIZED, connack(other, case.id('other')))
    case.end(own.broker)


@test
def a_reload_changes_whom_to_believe_on_the_same_address(case):
    broker = case.start_broker(listeners=[LOCAL, behind_proxy()], **ANYBODY)
    port = broker.ports()['behind']
    stays = by_proxy(case, port, line('192.0.2.1'))
    stays.connect(case.id('stays'))
    changed = {**behind_proxy(), 'bind': f'127.0.0.1:{port}', 'proxy_protocol': {'from': ['127.0.0.3']}}
    with open(broker.config, 'w', encoding='utf-8') as file:
        json.dump({**broker.settings, 'listeners': [LOCAL, changed]}, file)
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line('config reloaded')
    stays.ping()
    by_proxy(case, port, line('192.0.2.2'), '127.0.0.3').connect(case.id('new'))
    other = RawClient(port, 5)
    case.stack.callback(other.close)
    equal(b'', other.receive(), 'who was believed before')
    case.end(broker)


# ---- sockets of systemd ----------------------------------------------------------------------------------------------


def activated(case, fdname: str, *addresses: str) -> tuple:
    return (
        'systemd-socket-activate',
        *(f'--listen={address}' for address in addresses),
        f'--fdname={fdname}',
        # It waits for the first connection, and then becomes the broker.
    )


def free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as probe:
        return probe.getsockname()[1]


@test
def sockets_that_systemd_has_opened_are_taken_by_their_name(case):
    port = free_port()
    folder = case.file('own')
    os.makedirs(folder, exist_ok=True)
    waiting: list = []

    def knock():
        client = socket.socket()
        client.settimeout(PATIENCE)
        if client.connect_ex(('127.0.0.1', port)) != 0:
            client.close()
            return False
        waiting.append(client)
        return True

    class Knocking(Broker):
        """The activator starts the broker for the first who comes."""

        def ports(self):
            if not waiting:
                wait_until(knock, 'the activator to listen')
            return super().ports()

    broker = Knocking(
        folder,
        'own',
        threads=case.threads,
        wrapper=activated(case, 'mqtt', f'127.0.0.1:{port}'),
        listeners=[LOCAL, {'name': 'passed', 'transport': 'tcp', 'systemd_socket': 'mqtt'}],
    )
    case.stack.callback(broker.kill)
    case.own.append(broker)
    equal(port, broker.ports()['passed'])
    first = adopt(case, waiting[0])
    first.connect(case.id('first'))
    with open(broker.config, 'w', encoding='utf-8') as file:
        changed = {'name': 'passed', 'transport': 'tcp', 'systemd_socket': 'mqtt', 'nodelay': False}
        json.dump({**broker.settings, 'listeners': [LOCAL, changed]}, file)
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line('config reloaded')
    first.ping()
    second = RawClient(port, 5)
    case.stack.callback(second.close)
    second.connect(case.id('second'))
    case.end(broker)


@test
def a_name_that_systemd_has_no_socket_for_keeps_the_broker_from_starting(case):
    listener = {'name': 'passed', 'transport': 'tcp', 'systemd_socket': 'mqtt'}
    expect_mistake(case, 'none were passed: is there a socket unit', listeners=[LOCAL, listener])
