"""What a service manager is told by way of $NOTIFY_SOCKET: ready, reloading, stopping, and that every reactor turns."""
from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time

from harness import BUILD, LOCAL, PATIENCE, RawClient, collector, equal, expect, wait_until

import wire

TESTS, test = collector()


class Manager:
    """The socket of a service manager, and what came in by it."""

    def __init__(self, case, name: str, **environment):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        case.stack.callback(self.socket.close)
        self.socket.bind(f'\0{name[1:]}' if name[0] == '@' else name)
        self.socket.settimeout(PATIENCE)
        self.environment = [f'NOTIFY_SOCKET={name}', *(f'{key}={value}' for key, value in environment.items())]

    @property
    def wrapper(self) -> tuple:
        return ('env', *self.environment)

    def next(self) -> dict:
        """The next message."""
        text = self.socket.recv(4096).decode()
        return dict(line.split('=', 1) for line in text.split('\n'))

    def wait_for(self, key: str) -> dict:
        while key not in (message := self.next()):
            pass
        return message

    def waiting(self) -> list:
        """What has come in by now."""
        messages = []
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.append(self.next())
        self.socket.settimeout(PATIENCE)
        return messages


def short_path(case) -> str:
    """The path of a socket has 108 bytes at most."""
    folder = os.open(os.path.dirname(case.file('x')), os.O_PATH)
    case.stack.callback(os.close, folder)
    return f'/proc/{os.getpid()}/fd/{folder}/notify'


@test
def ready_is_told_when_clients_are_served_and_stopping_before_the_end(case):
    for kind, name in (('path', short_path(case)), ('abstract', f'@mqloop-{os.getpid()}-{case.threads}')):
        manager = Manager(case, name)
        broker = case.start_broker(kind, wrapper=manager.wrapper, listeners=[LOCAL])
        ready = manager.next()
        equal('1', ready['READY'], kind)
        equal(f'listening: local 127.0.0.1:{broker.port}', ready['STATUS'])
        case.raw(4, kind, broker).ping()
        equal([], manager.waiting(), 'nobody asked for a watchdog')
        case.end(broker)
        equal('1', manager.next()['STOPPING'])
        equal([], manager.waiting(), 'nothing after that')


@test
def a_broker_that_cannot_start_is_never_ready(case):
    manager = Manager(case, short_path(case))
    with socket.create_server(('127.0.0.1', 0)) as taken:
        address = f'127.0.0.1:{taken.getsockname()[1]}'
        try:
            case.start_broker(
                wrapper=manager.wrapper, listeners=[{'name': 'local', 'transport': 'tcp', 'bind': address}]
            )
        except AssertionError as fault:
            expect('status 4' in str(fault), str(fault))
        else:
            raise AssertionError('it listens on an address that is taken')
    equal([], manager.waiting())


@test
def a_notify_socket_that_is_not_there_keeps_the_broker_from_starting(case):
    try:
        case.start_broker(wrapper=('env', f'NOTIFY_SOCKET={case.file("nobody")}'))
    except AssertionError as fault:
        expect('status 1' in str(fault) and 'NOTIFY_SOCKET: ' in str(fault), str(fault))
    else:
        raise AssertionError('it started, and nobody will ever know')


@test
def the_watchdog_of_another_process_is_not_fed(case):
    manager = Manager(case, short_path(case), WATCHDOG_USEC=20_000, WATCHDOG_PID=1)
    broker = case.start_broker(wrapper=manager.wrapper)
    equal('1', manager.next()['READY'])
    for i in range(10):
        case.raw(4, f'{i}', broker).ping()
    time.sleep(0.2)
    equal([], manager.waiting())
    case.end(broker)


PERIOD = 0.2  # seconds


@test
def a_reactor_that_is_stuck_starves_the_watchdog_and_one_that_goes_on_feeds_it_again(case):
    began, release = case.file('began'), case.file('release')
    manager = Manager(case, short_path(case), WATCHDOG_USEC=int(PERIOD * 1_000_000))
    broker = case.start_broker(
        wrapper=manager.wrapper,
        plugins=[
            {
                'name': 'blocks',
                'path': os.path.join(BUILD, 'tests', 'samples', 'blocks.so'),
                'config': {'until': release, 'began': began},
            }
        ],
        auth={'chains': {'default': {'authenticate': ['blocks']}}},
    )
    for _ in range(5):
        equal({'WATCHDOG': '1'}, manager.wait_for('WATCHDOG'))

    other = case.raw(4, 'other', broker)  # has reactor 0
    stuck = RawClient(broker.port, 4)
    case.stack.callback(stuck.close)
    stuck.send(wire.connect(4, 'block'))
    wait_until(lambda: os.path.exists(began), 'the hook that blocks')
    if case.threads == 1:
        time.sleep(4 * PERIOD)  # the round that was under way has come to its end
    else:
        broker.wait_for_line('error mqloopd', 'does not turn its loop', 'reactors=1')
        other.ping()
    manager.waiting()
    time.sleep(5 * PERIOD)
    equal([], manager.waiting(), 'fed though a reactor is stuck')

    with open(release, 'wb'):
        pass
    manager.wait_for('WATCHDOG')
    manager.wait_for('WATCHDOG')
    equal(b'\x20\x02\x00\x00', stuck.receive(), 'CONNACK')
    equal(case.threads - 1, len(broker.lines('does not turn its loop')), 'told once, and by a reactor that turns')
    case.end(broker)


@test
def a_reload_is_told_from_its_begin_to_its_end_whether_it_is_taken_or_not(case):
    manager = Manager(case, short_path(case))
    broker = case.start_broker(wrapper=manager.wrapper, listeners=[LOCAL])
    equal('1', manager.next()['READY'])
    for text in ('{"version": 1, "nonsense": 1}', json.dumps({**broker.settings, 'logging': {'level': 'debug'}})):
        with open(broker.config, 'w', encoding='utf-8') as file:
            file.write(text)
        before = time.monotonic_ns() // 1000
        broker.send_signal(signal.SIGHUP)
        reloading = manager.next()
        equal('1', reloading['RELOADING'], text)
        expect(before <= int(reloading['MONOTONIC_USEC']) <= time.monotonic_ns() // 1000, reloading)
        ready = manager.next()
        equal('1', ready['READY'], text)
        equal(f'listening: local 127.0.0.1:{broker.port}', ready['STATUS'])
    case.raw(4, 'still', broker).ping()
    case.end(broker)
