"""Slowloris: thousands of connections that say what they have to say byte by byte, and would never be done."""
from __future__ import annotations

import os
import resource
import subprocess
import sys

import wire
from harness import Ways, collector, equal, expect, wait_until

TESTS, test = collector()

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'slow.py')
MANY = 5000
SPARE_DESCRIPTORS = 200
MAY_KEEP = 12  # what reactors have once they have had a connection
# How the reactors share a crowd differs each time, and so what each of them is made large for.
ROUNDS = 3
MAY_GROW = 2 << 20  # in the last: 400 bytes for each


def stand_and_fall(case, broker, words: str, count: int):
    """They stand, a client that is none of them is served meanwhile, and all of them are closed."""
    normal = case.raw(5, 'normal', broker)
    normal.subscribe(case.topic('t'))
    port = broker.ports()['slow']
    process = subprocess.Popen([sys.executable, PROGRAM, f'{port}', words, f'{count}'], stdout=subprocess.PIPE, text=True)
    try:
        equal('standing\n', process.stdout.readline())
        while process.poll() is None:
            normal.send(wire.publish(5, case.topic('t'), 'm', 0, 0))
            equal(b'\x30', normal.receive()[:1])
            normal.ping()
        equal(('closed\n', 0), (process.stdout.read(), process.returncode))
    finally:
        process.kill()
        process.communicate()
        normal.close()


def outlives_the_slow(case, words: str, **listener):
    """As many as the limit of descriptors allows, MANY at most: `ulimit -Hn` tells."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = 2 * MANY if hard == resource.RLIM_INFINITY else min(2 * MANY, hard)
    count = min(MANY, files - SPARE_DESCRIPTORS)
    broker = case.start_broker(
        wrapper=('prlimit', f'--nofile={files}:{files}', '--'),
        listeners=[
            {'name': 'local', 'transport': 'tcp', 'bind': '127.0.0.1:0'},
            {'name': 'slow', 'bind': '127.0.0.1:0', 'max_connections': 2 * MANY, **listener},
        ],
        limits={'connect_timeout': '2s'},
    )
    idle, resident = broker.open_files(), []
    for _ in range(ROUNDS):
        stand_and_fall(case, broker, words, count)
        wait_until(lambda: broker.open_files() <= idle + MAY_KEEP, f'{idle} descriptors')
        resident.append(broker.resident_bytes())
    expect(resident[-1] - resident[-2] <= MAY_GROW, f'resident after each: {resident}')
    case.end(broker)


@test
def five_thousand_slow_connections_by_tcp_are_closed_and_disturb_nobody(case):
    outlives_the_slow(case, 'mqtt', transport='tcp')


@test
def five_thousand_slow_connections_by_websocket_are_closed_and_disturb_nobody(case):
    outlives_the_slow(case, 'websocket', transport='websocket')


@test
def five_thousand_slow_connections_by_tls_are_closed_and_disturb_nobody(case):
    outlives_the_slow(case, 'tls', transport='tls', tls=Ways.certificate())


@test
def five_thousand_slow_connections_by_wss_are_closed_and_disturb_nobody(case):
    outlives_the_slow(case, 'tls', transport='websocket', tls=Ways.certificate())
