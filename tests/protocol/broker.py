"""The broker under test: a real process on a free port of 127.0.0.1, with all its files in a folder that goes away."""
from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

MQLOOPD_YAML = '''version: 1
node: {{data_dir: "{folder}/data"}}
publisher: {{plugin: publisher_memory}}
listeners:
  - {{name: test, transport: tcp, bind: "127.0.0.1:{port}"}}
{plugins}'''

# Speaks enhanced authentication; it passes all clients on that do not ask for it.
EXCHANGE_YAML = '''plugins: [{{name: exchange, path: "{plugin}", timeout: 1s, config: {{delay: 50ms}}}}]
auth: {{chains: {{default: {{authenticate: [exchange]}}}}}}
'''

# For comparisons only: the limits that mqloop's defaults announce, as far as mosquitto can be told.
MOSQUITTO_CONF = '''listener {port} 127.0.0.1
allow_anonymous true
max_packet_size 1048576
max_inflight_messages 100
max_topic_alias 16
'''


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class BrokerFailed(Exception):
    pass


class Broker:
    def __init__(self, program: str):
        self.program = os.path.abspath(program)
        if not os.access(self.program, os.X_OK):
            raise BrokerFailed(f'{program} is not an executable file; build it first, or name another by MQLOOPD')
        self.folder = tempfile.mkdtemp(prefix='mqloop-protocol-')
        self.process = None
        self.address = ('127.0.0.1', 0)
        self.generation = 0

    def start(self):
        for _ in range(3):  # another process may take the free port before the broker does
            self.launch()
            if self.listens():
                return
            self.kill()
        raise BrokerFailed(f'{self.program} does not listen:\n{self.log_tail()}')

    def launch(self):
        self.generation += 1
        self.address = ('127.0.0.1', free_port())
        os.makedirs(f'{self.folder}/data', exist_ok=True)
        template = MOSQUITTO_CONF if os.path.basename(self.program) == 'mosquitto' else MQLOOPD_YAML
        config = f'{self.folder}/broker.conf'
        with open(config, 'w') as out:
            out.write(template.format(folder=self.folder, port=self.address[1], plugins=self.plugins()))
        with open(self.log_path(), 'wb') as log:
            self.process = subprocess.Popen(
                [self.program, '-c', config], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )

    def plugins(self) -> str:
        build = os.path.dirname(os.path.dirname(self.program))
        return EXCHANGE_YAML.format(plugin=f'{build}/tests/samples/exchange.so')

    def listens(self) -> bool:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(self.address, 1).close()
                return True
            except OSError:
                time.sleep(0.02)
        return False

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> str:
        """Asks the broker to end as an operator does; '' or what was wrong with that."""
        if not self.alive():
            return f'the broker had ended by itself with status {self.process.returncode}:\n{self.log_tail()}'
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            return 'the broker did not end within 30 s of SIGTERM'
        return '' if status == 0 else f'the broker ended with status {status}:\n{self.log_tail()}'

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def log_path(self) -> str:
        return f'{self.folder}/broker-{self.generation}.log'

    def log_tail(self, lines: int = 40) -> str:
        try:
            with open(self.log_path(), errors='replace') as log:
                return ''.join(log.readlines()[-lines:])
        except OSError:
            return ''

    def clean_up(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
