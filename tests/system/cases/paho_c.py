"""Paho C, the client inside most embedded software: two small programs, compiled here, without persistence."""
from __future__ import annotations

import functools
import os
import shutil
import subprocess
import threading

import wire
from harness import PATIENCE, Case, collector, equal

TESTS, test = collector()

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COMPILING = threading.Lock()
# The libraries that speak TLS too, as programs use them.
LIBRARIES = {'sync': 'paho-mqtt3cs', 'async': 'paho-mqtt3as'}


@functools.cache
def compiled(name: str, folder: str) -> str:
    program = os.path.join(folder, name)
    compiler = os.environ.get('CC') or shutil.which('gcc') or 'cc'
    subprocess.run(
        [compiler, '-O1', '-Wall', '-Wextra', '-Werror', '-o', program, os.path.join(HERE, 'paho_c', f'{name}.c')]
        + [f'-l{LIBRARIES[name]}', '-lpthread'],
        check=True, timeout=120,
    )
    return program


def run(case: Case, name: str, *arguments: str):
    with COMPILING:
        program = compiled(name, os.path.dirname(os.path.dirname(case.file('x'))))
    done = subprocess.run(
        [program, f'tcp://127.0.0.1:{case.port}', case.prefix, *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
    )
    equal((0, 'ok\n', ''), (done.returncode, done.stdout, done.stderr), f'{name} {" ".join(arguments)}')


@test
def every_quality_of_service_by_the_synchronous_client(case):
    for version in '345':
        run(case, 'sync', version, 'every_qos')


@test
def a_retained_message_by_the_synchronous_client(case):
    for version in '345':
        run(case, 'sync', version, 'retained')


@test
def a_resumed_session_by_the_synchronous_client(case):
    for version in '345':
        run(case, 'sync', version, 'resumed')


@test
def a_will_of_a_program_that_dies(case):
    for version in (3, 4, 5):
        topic = f'{case.prefix}/{version}/will'
        witness = case.raw(version, 'witness')
        witness.subscribe(topic, 1)
        run(case, 'sync', f'{version}', 'will')
        equal(wire.publish(version, topic, 'gone', 1, 1), witness.receive())


@test
def a_stream_of_messages_by_the_asynchronous_client(case):
    for version in '345':
        for qos in '012':
            run(case, 'async', version, qos, '100')
