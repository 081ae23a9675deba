"""What every system test stands on: a broker process, the folder and the names of one test, and waiting with an end."""
from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time

import wire
from certificates import Authority

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('MQLOOP_BUILD', os.path.join(ROOT, 'build'))
MQLOOPD = os.path.abspath(os.environ.get('MQLOOPD', os.path.join(BUILD, 'bin', 'mqloopd')))
# How long what must happen may take on a machine that has much else to do.
PATIENCE = 40.0
# What those clients connect by that can: `tcp`, `unix`, `tls`, `websocket` or `wss`. tests/system/run sets it.
TRANSPORT = 'tcp'
LOCAL = {'name': 'local', 'transport': 'tcp', 'bind': '127.0.0.1:0'}


def expect(condition, what: str):
    if not condition:
        raise AssertionError(what)


def equal(expected, got, what: str = ''):
    if expected != got:
        raise AssertionError(f'{what}\nexpected: {expected!r}\ngot:      {got!r}')


def wait_until(condition, what: str, seconds: float = PATIENCE):
    end = time.monotonic() + seconds
    while not (result := condition()):
        expect(time.monotonic() < end, f'waited in vain for {what}')
        time.sleep(0.02)
    return result


def collector():
    """A list of tests and the decorator that fills it: one of each in every module of cases."""
    tests = []

    def test(function):
        tests.append(function)
        return function

    return tests, test


def kept_files() -> int:
    """Descriptors that a broker may keep once somebody has come by the transport."""
    return 12 if TRANSPORT in ('websocket', 'wss') else 0


def kept_threads() -> int:
    """The same of threads: workers, for handshakes."""
    return 4 if TRANSPORT in ('tls', 'wss') else 0


def connection_bytes() -> int:
    """What a connection needs beside what MQTT does."""
    return 25 * 1024 if TRANSPORT in ('tls', 'wss') else 0


class TlsSocket(ssl.SSLSocket):
    def shutdown(self, how: int):
        """Of the connection below: what comes the other way is TLS still."""
        socket.socket.shutdown(self, how)


class Ways:
    """How brokers are reached by another transport than TCP, by their ports on 127.0.0.1."""

    unix: dict = {}
    tls: dict = {}
    web: dict = {}
    authority: Authority | None = None  # of all brokers that are reached by TLS

    @classmethod
    def of_mosquitto(cls, port: int) -> list:
        """The arguments with which mosquitto's clients find a broker."""
        if port in cls.tls:
            return ['-h', 'localhost', '-p', str(cls.tls[port]), '--cafile', cls.authority.root]
        return ['--unix', cls.unix[port]] if port in cls.unix else ['-p', str(port)]

    @classmethod
    def certificate(cls) -> dict:
        if cls.authority is None:
            folder = tempfile.TemporaryDirectory(prefix='mqloop-certificates-')
            atexit.register(folder.cleanup)
            cls.authority = Authority(folder.name)
            cls.pair = cls.authority.issue('server', '/CN=localhost').as_settings()
        return cls.pair

    @classmethod
    def wrap(cls, connected: socket.socket) -> socket.socket:
        context = ssl.create_default_context(cafile=cls.authority.root)
        context.sslsocket_class = TlsSocket
        return context.wrap_socket(connected, server_hostname='localhost')


class Broker:
    """A mqloopd process. Settings are given as they would stand in the file, e.g. limits={'connect_timeout': '1s'}."""

    def __init__(self, folder: str, name: str, threads: int = 1, wrapper=(), web: bool = False, **settings):
        self.folder, self.name = folder, name
        os.makedirs(folder, exist_ok=True)
        self.settings = {'version': 1, 'node': {'data_dir': 'data', 'threads': threads}, **settings}
        # A test that has listeners of its own is about them; its clients go on by TCP.
        self.folder_fd, self.socket = -1, ''
        if 'listeners' not in settings and TRANSPORT == 'unix':
            # However deep the folder lies, a path of a socket has 107 bytes at most.
            self.folder_fd = os.open(folder, os.O_PATH)
            self.socket = f'/proc/{os.getpid()}/fd/{self.folder_fd}/m'
        by_tls = 'listeners' not in settings and TRANSPORT == 'tls'
        by_web = 'listeners' not in settings and TRANSPORT in ('websocket', 'wss')
        web_listener = {**LOCAL, 'name': 'web', 'transport': 'websocket'}
        secure = {'tls': Ways.certificate()} if web or TRANSPORT == 'wss' else {}
        self.settings.setdefault(
            'listeners',
            [
                LOCAL,
                *([{'name': 'sock', 'transport': 'unix', 'path': self.socket}] if self.socket else []),
                *([{**LOCAL, 'name': 'secure', 'transport': 'tls', 'tls': Ways.certificate()}] if by_tls else []),
                *([web_listener, {**web_listener, 'name': 'wss', **secure}] if web else []),
                *([{**web_listener, 'name': 'way', **(secure if TRANSPORT == 'wss' else {})}] if by_web else []),
            ],
        )
        self.settings['node'] |= {'data_dir': 'data', 'threads': threads}
        self.config = os.path.join(folder, 'mqloop.yaml')
        with open(self.config, 'w', encoding='utf-8') as file:
            json.dump(self.settings, file)  # JSON is YAML
        self.errors = os.path.join(folder, 'stderr')
        with open(self.errors, 'wb') as log:
            self.process = subprocess.Popen(
                [*wrapper, MQLOOPD, '-c', self.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
            )
        try:
            self.port = self.ports()['local']
            if self.socket:
                Ways.unix[self.port] = self.socket
            if by_tls:
                Ways.tls[self.port] = self.ports()['secure']
            if by_web:
                Ways.web[self.port] = self.ports()['way']
        except AssertionError:
            self.kill()
            raise

    def ports(self) -> dict:
        """Of each listener, as the log tells them once all are open."""
        wait_until(lambda: self.has_ended() or self.lines('started'), f'{self.name} to start')
        expect(not self.has_ended(), f'{self.name} ended with status {self.process.returncode}:\n{self.log_tail()}')
        found = re.findall(r'listening["\s,]+.*?listener[":=]+(\w+).*?127\.0\.0\.1:(\d+)', self.log())
        return {name: int(port) for name, port in found}

    @property
    def pid(self) -> int:
        return self.process.pid

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def log_file(self) -> str:
        output = self.settings.get('logging', {}).get('output', 'stderr')
        return self.errors if output == 'stderr' else os.path.join(self.folder, output['file'])

    def log(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            with open(self.log_file(), encoding='utf-8', errors='surrogateescape') as file:
                return file.read()
        return ''

    def log_tail(self, lines: int = 12) -> str:
        return '\n'.join(self.log().splitlines()[-lines:]) + '\n'

    def lines(self, *parts: str) -> list:
        """The lines of the log that contain all of `parts`."""
        return [line for line in self.log().splitlines() if all(part in line for part in parts)]

    def wait_for_line(self, *parts: str) -> str:
        return wait_until(lambda: self.lines(*parts), f'a line of the log with {parts}')[-1]

    def cpu_seconds(self) -> float:
        with open(f'/proc/{self.pid}/stat', encoding='ascii') as file:
            fields = file.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def resident_bytes(self) -> int:
        with open(f'/proc/{self.pid}/statm', encoding='ascii') as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')

    def open_files(self) -> int:
        return len(os.listdir(f'/proc/{self.pid}/fd'))

    def send_signal(self, number: int):
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Asks the broker to end; '' or what was wrong with that."""
        if self.has_ended():
            return f'{self.name} had ended by itself with status {self.process.returncode}:\n{self.log_tail()}'
        self.send_signal(number)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return f'{self.name} did not end within {PATIENCE} s of signal {number}:\n{self.log_tail()}'
        return '' if status == 0 else f'{self.name} ended with status {status}:\n{self.log_tail()}'

    def kill(self):
        if not self.has_ended():
            self.process.kill()
            self.process.wait()
        if self.folder_fd >= 0:
            os.close(self.folder_fd)
            self.folder_fd = -1
            if Ways.unix.get(getattr(self, 'port', None)) == self.socket:
                del Ways.unix[self.port]
        Ways.tls.pop(getattr(self, 'port', None), None)
        Ways.web.pop(getattr(self, 'port', None), None)


class Test:
    def __init__(self, name: str, function, threads: int):
        self.name, self.function, self.threads = name, function, threads

    def __str__(self):
        return f'{self.name}/{self.threads}'


class Case:
    """One test while it runs: its broker, its names, which no other test uses, and what is to be put away after it."""

    def __init__(self, test: Test, shared: Broker, folder: str):
        self.threads = test.threads
        self.shared = shared
        self.folder = folder
        self.prefix = test.name.replace('.', '/')
        self.stack = contextlib.ExitStack()
        self.own: list = []

    @property
    def port(self) -> int:
        return self.shared.port

    @property
    def brokers(self) -> list:
        return self.own or [self.shared]

    def id(self, name: str = 'client') -> str:
        return f'{self.prefix}/{name}'

    def topic(self, name: str) -> str:
        return f'{self.prefix}/{name}'

    def file(self, name: str) -> str:
        os.makedirs(self.folder, exist_ok=True)
        return os.path.join(self.folder, name)

    def start_broker(self, name: str = 'own', **settings) -> Broker:
        broker = Broker(self.file(name), name, threads=self.threads, **settings)
        self.stack.callback(broker.kill)
        self.own.append(broker)
        return broker

    def end(self, broker: Broker):
        """The last step of a test that has a broker of its own: it must still end in order."""
        fault = broker.stop()
        expect(not fault, fault)

    def raw(self, version: int, name: str = 'raw', broker: Broker | None = None, **options) -> RawClient:
        client = RawClient((broker or self.shared).port, version)
        self.stack.callback(client.close)
        client.connect(self.id(name), **options)
        return client

    def socket(self, broker: Broker | None = None) -> RawClient:
        """Connected by TCP alone."""
        client = RawClient((broker or self.shared).port, 5)
        self.stack.callback(client.close)
        return client

    def clean_up(self):
        self.stack.close()


def aside(one: socket.socket) -> socket.socket:
    """The same socket on a high descriptor: the low ones are left to Paho, whose select() takes no others."""
    try:
        moved = socket.socket(fileno=fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 1024))
    except OSError:  # the limit of descriptors is lower than that
        return one
    moved.settimeout(one.gettimeout())
    one.close()
    return moved


class RawClient:
    """A client that does only what it is told, for those that misbehave."""

    def __init__(self, port: int, version: int, receive_buffer: int = 0, address: str = '127.0.0.1'):
        self.version = version
        self.buffer = b''
        by_socket = port in Ways.unix and address == '127.0.0.1'
        self.socket = aside(socket.socket(socket.AF_UNIX if by_socket else socket.AF_INET))
        self.socket.settimeout(PATIENCE)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if by_socket:
            self.socket.connect(Ways.unix[port])
            return
        self.socket.bind((address, 0))  # who it seems to be
        self.socket.connect(('127.0.0.1', Ways.tls.get(port) or Ways.web.get(port, port)))
        if port in Ways.tls or (port in Ways.web and TRANSPORT == 'wss'):
            self.socket = Ways.wrap(self.socket)
        if port in Ways.web:
            from web_socket import WebSocketPipe  # which stands on this

            self.socket = WebSocketPipe(self.socket)

    @classmethod
    def over(cls, connected: socket.socket, version: int) -> RawClient:
        """On a connection that somebody else has made."""
        client = cls.__new__(cls)
        client.version, client.buffer, client.socket = version, b'', connected
        return client

    def send(self, data: bytes):
        try:
            self.socket.sendall(data)
        except ssl.SSLEOFError as fault:  # as it is by TCP
            raise ConnectionResetError from fault

    def receive(self) -> bytes:
        """The next whole packet; b'' at the end of the connection, by a reset too."""
        while True:
            whole, self.buffer = wire.split_packet(self.buffer)
            if whole:
                return whole
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLEOFError):
                return b''
            if not data:
                return b''
            self.buffer += data

    def connect(self, client_id, **options):
        self.send(wire.connect(self.version, client_id, **options))
        answer = self.receive()
        expect(answer[:1] == b'\x20' and answer[3] == 0, f'no CONNACK with 0 but {answer.hex(" ")}')

    def subscribe(self, topic: str, qos: int = 0):
        self.send(wire.subscribe(self.version, 1, (topic, qos)))
        equal(b'\x90', self.receive()[:1], 'SUBACK')

    def ping(self):
        self.send(wire.PING)
        equal(wire.PONG, self.receive(), 'PINGRESP')

    def end(self) -> tuple:
        """(what came before the end of the connection, how many seconds that took)"""
        start, packets = time.monotonic(), []
        while packet := self.receive():
            packets.append(packet)
        return packets, time.monotonic() - start

    def close(self):
        self.socket.close()
