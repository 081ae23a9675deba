"""One run: a fresh broker, one scenario of the load generator against it, its result."""
from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import threading

from brokers import LOAD, Failed, Floor


class Generator:
    """Runs the load generator, several at a time if need be; stop() ends what runs from another thread. With `realtime`
    it and the broker go before everything else on the machine, the broker first."""

    def __init__(self, limit: float, realtime: bool = False):
        self.limit = limit
        self.wrapper = ('chrt', '-r', '1') if realtime else ()
        self.brokers_wrapper = ('chrt', '-r', '2') if realtime else ()
        self.lock = threading.Lock()
        self.running: set = set()
        self.stopped = False

    def load(self, broker, words: list) -> dict:
        """What the generator prints, or {'error': why not}."""
        host = getattr(broker, 'host', '127.0.0.1')
        command = [*self.wrapper, LOAD, *words, '--host', host, '--port', str(broker.port), '--pid', str(broker.pid)]
        with self.lock:
            if self.stopped:
                return {'error': 'stopped'}
            process = subprocess.Popen(
                [*command, '--limit', str(self.limit)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            self.running.add(process)
        try:
            output, errors = process.communicate(timeout=self.limit + 20)
        except subprocess.TimeoutExpired:
            return {'error': 'timed out'}
        finally:
            process.kill()
            process.wait()
            with self.lock:
                self.running.discard(process)
        if process.returncode or not output.startswith('{'):
            return {'error': (errors.strip().splitlines() or ['no result'])[-1]}
        return json.loads(output)

    def stop(self):
        with self.lock:
            self.stopped = True
            for process in self.running:
                process.kill()


@contextlib.contextmanager
def scratch():
    """A folder that goes away. A broker that gives up root still reads its configuration there."""
    with tempfile.TemporaryDirectory(prefix='mqloop-bench-', ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        yield folder


def run(generator: Generator, kind, scenario, words: list) -> dict:
    """The scenario against a broker that is started for it."""
    with scratch() as folder, contextlib.ExitStack() as running:
        try:
            broker = kind(folder, scenario.over_web_socket, generator.brokers_wrapper)
            running.callback(broker.stop)
            if scenario.is_apart:
                floor = Floor(os.path.join(folder, 'floor'), wrapper=generator.brokers_wrapper)
                running.callback(floor.stop)
                words = [*words, '--pair-port', str(floor.port)]
        except Failed as fault:
            return {'error': str(fault)}
        return generator.load(broker, words)


def is_able(kind, scenario) -> bool:
    """Whether the broker can do it at all."""
    if kind.is_floor and not scenario.on_floor:
        return False
    return kind.takes_web_socket or not scenario.over_web_socket
