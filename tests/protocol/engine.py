"""Runs cases and exchanges against a broker: many at a time, each failure told in full, a dead broker never missed."""
from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from exchange.dsl import Exchange, play
from expect import Connack, name_of, show
from link import END, SILENCE, Link
from wire import PING, PONG

QUIET = 0.03  # seconds in which an unfinished packet must stay unanswered
DYING = 0.2  # seconds that a process may take from closing its sockets to its end


@dataclass
class Options:
    address: tuple[str, int]
    timeout: float = 10.0  # for any single answer
    jobs: int = 100
    ran: object = lambda _name: None  # told the name of each test that passed


@dataclass
class Failure:
    name: str
    text: str


class Watch:
    """What runs now and ran just before, so that a broker's death can be laid at somebody's door.

    The recent ones count too: to a test that awaits nothing but the end of its connection, a death looks like success.
    """

    def __init__(self, alive):
        self.alive = alive
        self.running: dict[str, object] = {}
        self.recent: deque = deque(maxlen=200)
        self.suspects: list = []

    def broker_died(self) -> bool:
        if not self.suspects and not self.alive():
            self.suspects = list(self.running.values()) + list(reversed(self.recent))
        return bool(self.suspects)


async def observe(link: Link, outcomes, timeout: float) -> str:
    """Reads until exactly one of the outcomes is complete; '' or what came instead.

    An outcome that leaves the connection open is proved by PINGREQ and its PINGRESP, with nothing between.
    """
    got, live, pinged = [], list(outcomes), False
    while True:
        if not pinged and any(one.end == 'open' and len(one.packets) == len(got) for one in live):
            link.send(PING)
            pinged = True
        item = await link.next(timeout)
        if item is END:
            if any(one.end == 'closed' and len(one.packets) == len(got) for one in live):
                return ''
            return told(got) + 'the connection closed'
        if item is SILENCE:
            return told(got) + f'nothing more within {timeout:g} s'
        if pinged and item == PONG and any(one.end == 'open' and len(one.packets) == len(got) for one in live):
            return ''
        faults = []
        next_live = []
        for one in live:
            fault = one.packets[len(got)].judge(item) if len(one.packets) > len(got) else 'is one packet too many'
            if fault:
                faults.append(fault)
            else:
                next_live.append(one)
        got.append(item)
        if not next_live:
            return told(got) + f'which {faults[0]}'
        live = next_live


def told(got) -> str:
    return ''.join(f'{name_of(one)} {show(one)}, ' for one in got)


async def prepare(link: Link, case, timeout: float) -> str:
    """Brings the connection to where the case begins."""
    setup = case.setup
    link.send(setup.connect(case.version, case.client_id))
    fault = await expect_packet(link, Connack(case.version), timeout)
    for sent, patterns in setup.after:
        link.send(sent)
        for pattern in patterns:
            fault = fault or await expect_packet(link, pattern, timeout)
    return fault and 'setup: ' + fault


async def expect_packet(link: Link, pattern, timeout: float) -> str:
    item = await link.next(timeout)
    if item is END:
        return f'the connection closed instead of {pattern}'
    if item is SILENCE:
        return f'nothing within {timeout:g} s instead of {pattern}'
    fault = pattern.judge(item)
    return fault and f'{name_of(item)} {show(item)} {fault}; expected {pattern}'


async def run_case(case, options: Options) -> str:
    link = await Link.open(options.address)
    try:
        first = case.parts[0]
        if case.setup.pipelined:
            first = case.setup.connect(case.version, case.client_id) + first
        elif case.setup.connected:
            fault = await prepare(link, case, options.timeout)
            if fault:
                return fault
        link.send(first)
        for part in case.parts[1:]:
            early = await link.next(QUIET)
            if early is not SILENCE and not case.early:
                return 'an unfinished packet was answered: ' + ('closed' if early is END else show(early))
            if isinstance(early, bytes):
                link.put_back([early])
            link.send(part)
        if case.then == 'fin':
            link.finish_sending()
        fault = await observe(link, case.outcomes, options.timeout)
        if not fault and not link.ended:
            link.send(b'\xe0\x00')  # leave in good order: no will, no session
        return fault
    finally:
        link.close()


async def run_test(test, options: Options) -> str:
    if isinstance(test, Exchange):
        return await play(test, options)
    return await run_case(test, options)


async def run_one(test, options: Options, watch: Watch) -> Failure | None:
    watch.running[test.name] = test
    try:
        fault = await run_test(test, options)
    except OSError as error:
        fault = f'the connection failed: {error}'
    if fault:
        await asyncio.sleep(DYING)
        if watch.broker_died():
            return None  # judged later, alone
    watch.running.pop(test.name, None)
    watch.recent.append(test)
    return Failure(test.name, f'{test.explain()}\ngot      {fault}') if fault else None


async def run_tests(tests, options: Options, watch: Watch) -> tuple[int, list[Failure]]:
    """How many passed, and what failed.

    Tests marked `alone` come first, one after the other; the rest `jobs` at a time, the exchanges first since they wait
    for clocks.
    """
    failures: list[Failure] = []
    passed = 0
    for group, jobs in (([t for t in tests if t.alone], 1), ([t for t in tests if not t.alone], options.jobs)):
        queue = iter(group)

        async def work():
            nonlocal passed
            for test in queue:
                if watch.broker_died():
                    return
                failure = await run_one(test, options, watch)
                if failure:
                    failures.append(failure)
                elif not watch.suspects:
                    passed += 1
                    options.ran(test.name)

        await asyncio.gather(*(work() for _ in range(jobs)))
    await asyncio.sleep(DYING)
    return passed, failures
