"""The brokers that are killed: each has a folder, a port that it keeps over its starts, and settings under which nothing is
dropped for lack of room."""
from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import ending

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('MQLOOP_BUILD', os.path.join(ROOT, 'build')))
MQLOOPD = os.path.abspath(os.environ.get('MQLOOPD', os.path.join(BUILD, 'bin', 'mqloopd')))
START_SECONDS = 60.0


class Failed(Exception):
    """A broker that does not start, or ends by itself."""


def free_port() -> int:
    """One that no connection is given by chance, so that it is still free when the broker comes back."""
    for _ in range(100):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', port)) != 0:
                return port
    raise Failed('no port is free')


class Broker:
    def __init__(self, folder: str):
        self.folder = folder
        self.data = os.path.join(folder, 'data')
        os.makedirs(self.data, exist_ok=True)
        self.port = free_port()
        self.process = None
        self.starts = 0

    @property
    def address(self) -> tuple:
        return '127.0.0.1', self.port

    @property
    def pid(self) -> int:
        return self.process.pid

    def command(self) -> list:
        raise NotImplementedError

    def database(self) -> str:
        """The SQLite file in which it keeps things; '' when there is none."""
        return ''

    def launch(self, environment=None):
        self.starts += 1
        with open(self.log_path(), 'ab') as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env={**os.environ, **(environment or {})},
            )

    def start(self, environment=None):
        self.launch(environment)
        if not self.listens():
            raise Failed(f'the broker ended with status {self.process.returncode}:\n{self.log_tail()}')

    def listens(self) -> bool:
        """False: it has ended before."""
        end = time.monotonic() + START_SECONDS
        while self.is_alive():
            ending.heed()
            try:
                socket.create_connection(self.address, 1).close()
                return True
            except OSError:
                if time.monotonic() > end:
                    raise Failed(f'the broker does not listen within {START_SECONDS:.0f} s') from None
                time.sleep(0.005)
        return False

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def was_killed(self) -> bool:
        return self.process is not None and self.process.poll() == -signal.SIGKILL

    def freeze(self, calls_may_be_under_way: bool):
        """It does nothing any more. A call to the kernel that waits (D), such as for a sync, stops before it returns: its end
        is waited for where the broker is to `thaw`."""
        if not self.is_alive():
            return
        self.process.send_signal(signal.SIGSTOP)
        tasks = f'/proc/{self.process.pid}/task'
        still = 'TtZX' + ('D' if calls_may_be_under_way else '')
        while any(self._state(f'{tasks}/{task}/stat') not in still for task in os.listdir(tasks)):
            time.sleep(0.001)

    def thaw(self):
        if self.is_alive():
            self.process.send_signal(signal.SIGCONT)

    @staticmethod
    def _state(stat: str) -> str:
        try:
            with open(stat, encoding='ascii') as file:
                return file.read().rpartition(')')[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            return 'X'

    def kill(self):
        if self.is_alive():
            self.process.kill()
        if self.process:
            self.process.wait()

    def stop(self) -> str:
        """Asks it to end; '' or what was wrong with that."""
        if not self.is_alive():
            return f'the broker had ended with status {self.process.returncode}:\n{self.log_tail()}'
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return f'the broker did not end within {START_SECONDS:.0f} s of SIGTERM'
        return '' if status == 0 else f'the broker ended with status {status}:\n{self.log_tail()}'

    def log_path(self) -> str:
        return os.path.join(self.folder, 'log')

    def log(self) -> str:
        with open(self.log_path(), encoding='utf-8', errors='replace') as file:
            return file.read()

    def log_tail(self, lines: int = 15) -> str:
        return '\n'.join(self.log().splitlines()[-lines:])


class Mqloop(Broker):
    def __init__(self, folder: str, options):
        super().__init__(folder)
        self.program = MQLOOPD
        if options.variant:
            self.program = os.path.join(BUILD, 'variants', options.variant, 'bin', 'mqloopd')
        if not os.access(self.program, os.X_OK):
            raise Failed(f'{self.program} is not built')
        self.threads = options.reactors
        plugin = {'plugin': f'publisher_{options.publisher}'}
        if options.publisher not in ('memory', 'fake'):
            plugin['config'] = {'path': os.path.join(self.data, 'mqloop.db'), 'durability': options.durability}
        self.settings = {
            'version': 1,
            'node': {'data_dir': self.data, 'threads': self.threads},
            'publisher': plugin,
            'listeners': [{'name': 'local', 'transport': 'tcp', 'bind': f'127.0.0.1:{self.port}'}],
            'limits': {'session': {'max_queued_messages': 10_000_000, 'max_queued_bytes': '4GiB'}},
        }

    def command(self) -> list:
        path = os.path.join(self.folder, 'mqloop.yaml')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(self.settings, file)  # JSON is YAML
        return [self.program, '-c', path]

    def database(self) -> str:
        path = os.path.join(self.data, 'mqloop.db')
        return path if os.path.exists(path) else ''


class Mosquitto(Broker):
    """Debian's. As it comes it keeps its persistence file; with `autosave` it writes that after every change."""

    def __init__(self, folder: str, options):
        super().__init__(folder)
        self.is_autosaving = options.broker == 'mosquitto-autosave'

    @staticmethod
    def program() -> str:
        return shutil.which('mosquitto', path=os.environ.get('PATH', '') + ':/usr/sbin:/usr/local/sbin') or ''

    def command(self) -> list:
        if not self.program():
            raise Failed('mosquitto is not installed')
        path = os.path.join(self.folder, 'mosquitto.conf')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(
                f'listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\n'
                f'persistence true\npersistence_location {self.data}/\nuser {owner_of(self.data)}\n'
            )
            if self.is_autosaving:
                file.write('autosave_on_changes true\nautosave_interval 1\n')
        return [self.program(), '-c', path]


def owner_of(path: str) -> str:
    """As root it would become another user, who may not write here."""
    return 'root' if os.stat(path).st_uid == 0 else str(os.stat(path).st_uid)


KINDS = {'mqloop': Mqloop, 'mosquitto': Mosquitto, 'mosquitto-autosave': Mosquitto}


def database_fault(broker: Broker) -> str:
    """What SQLite, and our own tool, find wrong with a copy of what a killed broker has left; '' for nothing."""
    source = broker.database()
    if not source:
        return ''
    folder = os.path.join(broker.folder, 'copy')
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    copy = os.path.join(folder, 'copy.db')
    for suffix in ('', '-wal'):
        if os.path.exists(source + suffix):
            shutil.copyfile(source + suffix, copy + suffix)
    try:
        with sqlite3.connect(copy) as connection:
            found = [row[0] for row in connection.execute('PRAGMA integrity_check')]
        connection.close()
    except sqlite3.Error as error:
        found = [str(error)]
    if found != ['ok']:
        return f'integrity_check: {found[:3]}'
    tool = os.path.join(os.path.dirname(broker.program), 'mqloop')
    done = subprocess.run([tool, 'db', 'check', copy], capture_output=True, text=True, check=False, timeout=120)
    return '' if done.returncode == 0 else f'mqloop db check: {(done.stdout + done.stderr).strip()[-300:]}'
