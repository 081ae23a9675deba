"""Real clients, each a process: it is told what to do by words on its standard input, a line each, and writes its records to
its standard output. tests/crash/paho_python.py and paho_c.c are such programs:

    PROGRAM publish PORT NAME VERSION TOPIC:QOS:RETAIN ...     go RATE | settle | quit
    PROGRAM subscribe PORT NAME VERSION QOS FILTER             online | offline | quit
"""
from __future__ import annotations

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NUMBERS = {'send': (2,), 'ack': (2,), 'got': (2, 3), 'session': (1, 2)}


def paho_python() -> list:
    return ['/usr/bin/python3', os.path.join(HERE, 'paho_python.py')]


def paho_c(folder: str) -> list:
    program = os.path.join(folder, 'paho_c')
    if not os.path.exists(program):
        compiler = os.environ.get('CC') or shutil.which('gcc') or 'cc'
        source = os.path.join(HERE, 'paho_c.c')
        subprocess.run(
            [compiler, '-O1', '-Wall', '-Wextra', '-Werror', '-o', program, source, '-lpaho-mqtt3cs', '-lpthread'],
            check=True, timeout=120,
        )
    return [program]


class ProcessClient:
    def __init__(self, loop, name: str, tell, command: list):
        self.loop, self.name, self.tell_checker = loop, name, tell
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.output = self.process.stdout.fileno()
        os.set_blocking(self.output, False)
        self.rest = b''
        self.is_settled, self.is_subscribed = True, False
        self.is_connected, self.wants_online = False, False
        loop.watch(self.output, self.on_event)
        loop.clients.append(self)

    def order(self, *words):
        self.process.stdin.write((' '.join(map(str, words)) + '\n').encode())
        self.process.stdin.flush()

    def go(self, rate: float):
        self.is_settled = False
        self.order('go', rate)

    def settle(self):
        self.order('settle')

    def online(self):
        self.wants_online = True
        self.order('online')

    def offline(self):
        self.wants_online = self.is_connected = False
        self.order('offline')

    def is_ready(self) -> bool:
        return self.is_connected and self.is_subscribed

    def leave(self):
        if self.output < 0:
            return
        self.loop.forget(self.output)
        self.loop.clients.remove(self)
        self.output = -1
        self.process.kill()
        self.process.communicate()

    def tick(self):
        pass

    def on_event(self, _):
        data = os.read(self.output, 262144)
        if not data:
            raise RuntimeError(f'{self.name} ended with status {self.process.wait()}')
        lines = (self.rest + data).split(b'\n')
        self.rest = lines.pop()
        for line in lines:
            self.on_record(line.decode().split(' '))

    def on_record(self, words: list):
        word = words[0]
        for index in NUMBERS.get(word, ()):
            words[index] = int(words[index])
        if word == 'session':
            self.is_connected = True
        elif word == 'closed':
            self.is_connected = False
            return
        elif word == 'suback':
            self.is_subscribed = True
        elif word == 'settled':
            self.is_settled = True
        self.loop.news += 1
        self.tell_checker(self.name, tuple(words))


if __name__ == '__main__':
    sys.exit(__doc__)
