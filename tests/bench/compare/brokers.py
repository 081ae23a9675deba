"""The brokers that are measured: each is started for one run, on a free port of 127.0.0.1 and with its configuration in a
scratch folder, and stopped after it."""
from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.path.abspath(os.environ.get('MQLOOP_BUILD', os.path.join(ROOT, 'build')))
LOAD = os.path.join(BUILD, 'bench', 'load')
MQLOOPD = os.path.abspath(os.environ.get('MQLOOPD', os.path.join(BUILD, 'bin', 'mqloopd')))
PATIENCE = 60.0  # seconds; under valgrind or on a busy machine everything is slow


class Failed(Exception):
    """A broker that does not start, or ends by itself."""


def wait_for(condition, process):
    end = time.monotonic() + PATIENCE
    while not (result := condition()):
        if process.poll() is not None:
            raise Failed(f'it ended with status {process.returncode}')
        if time.monotonic() > end:
            raise Failed(f'it does not listen within {PATIENCE:.0f} s')
        time.sleep(0.01)
    return result


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


class Broker:
    """One running process. `wrapper` are words before its command, e.g. of strace."""

    name = ''
    takes_web_socket = False
    is_floor = False

    def __init__(self, folder: str, web_socket: bool = False, wrapper=()):
        self.folder = folder
        self.web_socket = web_socket
        self.wrapper = list(wrapper)
        self.log = os.path.join(folder, 'log')
        os.makedirs(folder, exist_ok=True)
        self.process = None
        self.port = 0
        try:
            self.port = self.start()
        except Failed as fault:
            words = self.log_text().strip().splitlines() or ['it said nothing']
            raise Failed(f'{self.name}: {fault}: {words[-1]}') from fault
        finally:
            if self.port == 0:
                self.kill()

    @classmethod
    def missing(cls) -> str:
        """Why it cannot be measured here; '' when it can."""
        return ''

    def start(self) -> int:
        """Starts the process and returns its port once it listens."""
        raise NotImplementedError

    def run(self, *command):
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(
                [*self.wrapper, *command], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def log_text(self) -> str:
        with open(self.log, encoding='utf-8', errors='replace') as log:
            return log.read()

    @property
    def pid(self) -> int:
        """Of the broker itself: a tracer runs it as its child."""
        if self.wrapper and self.wrapper[0] == 'strace':
            with open(f'/proc/{self.process.pid}/task/{self.process.pid}/children', encoding='ascii') as file:
                return int(file.read().split()[0])
        return self.process.pid

    def stop(self):
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            if self.wrapper:
                os.kill(self.pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()


class Floor(Broker):
    name = 'floor'
    takes_web_socket = True
    is_floor = True

    def start(self) -> int:
        self.run(os.path.join(BUILD, 'bench', 'floor'), '0', *(['ws'] if self.web_socket else []))
        return int(wait_for(lambda: re.search(r'^(\d+)\n', self.log_text(), re.MULTILINE), self.process)[1])


class Mqloop(Broker):
    """As it comes, but for the limits that the scenarios would reach."""

    name = 'mqloop'
    takes_web_socket = True
    threads = 1
    settings: dict = {}

    def start(self) -> int:
        transport = 'websocket' if self.web_socket else 'tcp'
        config = {
            'version': 1,
            'node': {'data_dir': 'data', 'threads': self.threads},
            'listeners': [{'name': 'local', 'transport': transport, 'bind': '127.0.0.1:0', 'max_connections': 100000}],
            **self.settings,
        }
        path = os.path.join(self.folder, 'mqloop.yaml')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(config, file)  # JSON is YAML
        self.run(MQLOOPD, '-c', path)
        wait_for(lambda: 'mqloopd started' in self.log_text(), self.process)
        return int(re.search(r'listening.*127\.0\.0\.1:(\d+)', self.log_text())[1])


class Mqloop2(Mqloop):
    name = 'mqloop-2'
    threads = 2


class MqloopQuiet(Mqloop):
    """Without a line in the log for each connection, as Mosquitto is here."""

    name = 'mqloop-quiet'
    settings = {'logging': {'levels': {'connection': 'warn'}}}


class Durable(Mqloop):
    """With publisher_sqlite. `before` are words of the load generator: what happens before anything is measured."""

    name = 'mqloop-sqlite'
    settings = {'publisher': {'plugin': 'publisher_sqlite'}}
    before: tuple = ()

    def start(self) -> int:
        port = super().start()
        if self.before:
            command = [LOAD, *self.before, '--payload', '1000', '--port', str(port)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0 or not json.loads(done.stdout or '{}').get('ok'):
                raise Failed(f'its store cannot be filled: {done.stdout}{done.stderr}')
            time.sleep(2)  # a checkpoint may be under way
        return port


class DurableQueued(Durable):
    name = 'mqloop-sqlite-queued'
    before = ('offline', '--sessions', '100', '--n', '1000', '--leave')


class DurableRetained(Durable):
    name = 'mqloop-sqlite-retained'
    before = ('retained', '--retained', '100000', '--leave')


class Mosquitto(Broker):
    """Debian's. It writes without waiting, as the others do, and drops nothing that the scenarios queue."""

    name = 'mosquitto'
    takes_web_socket = True

    @classmethod
    def missing(cls) -> str:
        return '' if cls.program() else 'mosquitto is not installed'

    @staticmethod
    def program() -> str:
        return shutil.which('mosquitto', path=os.environ.get('PATH', '') + ':/usr/sbin:/usr/local/sbin') or ''

    def start(self) -> int:
        port = free_port()
        path = os.path.join(self.folder, 'mosquitto.conf')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(
                # Its 2.0.11 does not start with nothing but WebSocket, and takes every address unless told IPv4.
                (f'listener {port} 127.0.0.1\nprotocol websockets\nsocket_domain ipv4\n' if self.web_socket else '')
                + f'listener {free_port() if self.web_socket else port} 127.0.0.1\n'
                'allow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\nmax_inflight_messages 0\n'
                'persistence false\nconnection_messages false\nlog_type error\n'
            )
        self.run(self.program(), '-c', path)
        wait_for(lambda: answers(port), self.process)
        return port


class Running:
    """A broker that somebody else has started: NAME=HOST:PORT:PID, PID may be @FILE. It is never stopped."""

    takes_web_socket = False
    is_floor = False

    def __init__(self, text: str):
        self.name, _, place = text.partition('=')
        self.host, self.port, self.pid_text = place.split(':', 2)

    @property
    def pid(self) -> int:
        if self.pid_text.startswith('@'):
            with open(self.pid_text[1:], encoding='ascii') as file:
                return int(file.read())
        return int(self.pid_text)

    def missing(self) -> str:
        return ''

    def __call__(self, folder: str, web_socket: bool = False, wrapper=()):  # as if it were started
        return self

    def stop(self):
        pass

    kill = stop


USUAL = (Floor, Mqloop, Mqloop2, Mosquitto)
KINDS = {kind.name: kind for kind in (*USUAL, MqloopQuiet, Durable, DurableQueued, DurableRetained)}
