"""Ten thousand clients at a time, again and again: nothing of them stays behind."""
from __future__ import annotations

import os
import resource
import subprocess
import sys

from cases.figures import Exporter
from harness import collector, equal, expect, wait_until

TESTS, test = collector()

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'crowd.py')
CROWD = 10_000
SPARE_DESCRIPTORS = 200
# Until heap and tables are as large as a crowd makes them; how the reactors share it differs a little each time.
WARM_UP = 2
ROUNDS = 4
MAY_GROW = 3 << 20  # 80 bytes for each client of the rounds that count


class Crowd:
    """The program crowd.py; its clients are served once this exists."""

    def __init__(self, case, broker, number: int, count: int):
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM, f'{broker.port}', f'{number}', f'{count}'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        case.stack.callback(self.kill)
        self.name = f'crowd {number}'
        equal('served', self.process.stdout.readline().strip(), self.name)

    def leave(self):
        said, _ = self.process.communicate('go\n')
        equal(('', 0), (said, self.process.returncode), self.name)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@test
def ten_thousand_clients_come_and_go_and_leave_neither_memory_nor_descriptors_behind(case):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = 2 * CROWD if hard == resource.RLIM_INFINITY else min(2 * CROWD, hard)
    count = min(CROWD, files - SPARE_DESCRIPTORS)
    broker = case.start_broker(
        wrapper=('prlimit', f'--nofile={files}:{files}', '--'),
        # Who is cut off is counted until the broker has read of it, which may be after the next ones have come.
        listeners=[{'name': 'local', 'transport': 'tcp', 'bind': '127.0.0.1:0', 'max_connections': 2 * CROWD}],
        # On a machine that is busy enough, ten seconds may lie between a client's SYN and its CONNECT.
        limits={'connect_timeout': '5m'},
        sys={'interval': '1s'},
    )
    exporter = Exporter(case, broker)
    idle = broker.open_files()
    grown = []
    for number in range(WARM_UP + ROUNDS):
        crowd = Crowd(case, broker, number, count)
        expect(broker.open_files() >= idle + count, 'all of them stand together')
        crowd.leave()
        wait_until(lambda: broker.open_files() <= idle, f'{idle} descriptors')
        grown.append(broker.resident_bytes())
    expect(max(grown[WARM_UP:]) - grown[WARM_UP - 1] <= MAY_GROW, f'resident after each round: {grown}')
    wait_until(
        lambda: [exporter.numbers.get(name) for name in ('clients/total', 'subscriptions/count')] == [1, 1],
        'nobody but who reads the figures to be left',
    )
    equal([], broker.lines('refused'))
    case.end(broker)
