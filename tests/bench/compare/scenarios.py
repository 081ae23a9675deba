"""The scenarios of scripts/bench: what the load generator is asked to do, which sets they belong to, and which of its
figures make a row of the table."""
from __future__ import annotations

import dataclasses

# (key of the generator's JSON, its unit in the table, whether less of it is better)
CPU = ('broker_us_per_msg', 'µs CPU a message', True)
RATE = ('msgs_s', 'messages a second', False)
FLOW = (CPU, RATE)
LATENCY = (('p50_us', 'µs p50', True), ('p99_us', 'µs p99', True), CPU)
CONNECT = (('broker_us_per_msg', 'µs CPU a cycle', True), ('connects_s', 'cycles a second', False))
IDLE = (
    ('rss_bytes_per_conn', 'bytes a connection', True),
    ('rss_bytes_per_conn_touched', 'bytes after a message', True),
    ('touch_us_per_msg', 'µs CPU a message', True),
)
STEP = (  # of each step of `subs`
    ('subscribe_us', 'µs CPU a filter', True),
    ('rss_bytes_per_sub', 'bytes a filter', True),
    ('match_us', 'µs CPU a message', True),
)
CHURN = (('cycle_us', 'µs CPU a filter on and off', True), ('rss_bytes_per_cycle', 'bytes left of each', True))
RETAINED = (
    ('store_us', 'µs CPU to store', True),
    ('replay_us', 'µs CPU to replay', True),
    ('find_us', 'µs CPU to find by r/+/K/t', True),
    ('clear_us', 'µs CPU to clear', True),
    ('rss_bytes_per_msg', 'bytes a message', True),
)
OFFLINE = (
    ('queue_us', 'µs CPU to queue', True),
    ('drain_us', 'µs CPU to deliver', True),
    ('rss_bytes_per_queued', 'bytes a queued message', True),
)
BESIDE = (
    ('idle_p50_us', 'µs p50 at rest', True),
    ('idle_p99_us', 'µs p99 at rest', True),
    ('busy_p50_us', 'µs p50', True),
    ('busy_p99_us', 'µs p99', True),
    ('p99_ratio', 'times the p99 at rest', True),
    ('broker_us_per_msg', 'µs CPU a message beside', True),
)
# What of a result tells why it was not right.
FAULTS = (
    *('lost', 'gaps', 'disorder', 'bad', 'stalls', 'unacked', 'closed', 'failed', 'wrong', 'unwanted', 'pair_lost'),
    *('pair_disorder', 'broker_died'),
)

WINDOW = ['--secs', '{secs}', '--warm', '{warm}']
# What shows that all works, instead of what measures: sizes for the {names} of the arguments, and for options with a number.
QUICK_SIZES = {'warm': 0.05, 'rate': 500, 'connects': 50, 'idle': 50, 'retained': 300, 'steps': '100,300'}
QUICK = {
    '--pairs': 6,
    '--subs': 9,
    '--pubs': 6,
    '--n': 50,
    '--msgs': 500,
    '--finds': 3,
    '--filters': 200,
    '--sessions': 5,
    '--retained': 300,
    '--hold': 0,
    '--conc': 10,
}


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    sets: tuple
    arguments: tuple
    figures: tuple
    on_floor: bool = True  # whether the floor can do it
    is_apart: bool = False  # `beside`: the pairs talk through a floor of their own

    @property
    def over_web_socket(self) -> bool:
        return '--ws' in self.arguments

    def command(self, sizes: dict, quick: bool) -> list:
        words = [word.format(**sizes) for word in self.arguments]
        if not quick:
            return words
        for i, (option, value) in enumerate(zip(self.arguments, self.arguments[1:])):
            if option in QUICK and value.isdigit():
                words[i + 1] = str(min(int(value), QUICK[option]))
        return [*words, '--settle', '0.1']

    def rows(self, result: dict):
        """(row, unit, less is better, value) of each figure that the result has."""
        if self.figures is STEP:
            for step in result.get('steps', ()):
                for key, unit, less in STEP:
                    if key in step:
                        yield f'{self.name} at {step["subs"]:,}', unit, less, step[key]
        else:
            for key, unit, less in self.figures:
                if key in result:
                    yield self.name, unit, less, result[key]


def flow(name: str, sets, *words, on_floor: bool = True) -> Scenario:
    return Scenario(name, sets, (*words, *WINDOW), FLOW, on_floor)


def pairs(name: str, sets, qos: int, count: int = 50, window: int = 32, *more) -> Scenario:
    return flow(name, sets, 'pairs', '--qos', str(qos), '--pairs', str(count), '--window', str(window), *more)


def fanout(name: str, sets, qos: int, *more, on_floor: bool = True) -> Scenario:
    words = ('fanout', '--qos', str(qos), '--pubs', '1', '--subs', '500', '--window', '8')
    return flow(name, sets, *words, *more, on_floor=on_floor)


def fanin(name: str, sets, qos: int, *more, on_floor: bool = True) -> Scenario:
    return flow(name, sets, 'fanin', '--qos', str(qos), '--pubs', '200', '--window', '8', *more, on_floor=on_floor)


def latency(name: str, sets, *words) -> Scenario:
    return Scenario(name, sets, ('latency', *words, *WINDOW), LATENCY)


FLOWS = (
    pairs('pairs-q0', ('flows', 'short'), 0),
    pairs('pairs-q1', ('flows', 'short'), 1),
    pairs('pairs-q2', ('flows', 'short'), 2),
    pairs('pairs-v5-q1', ('flows',), 1, 50, 32, '--v', '5'),
    pairs('pairs-q0-1k', ('flows',), 0, 50, 32, '--payload', '1024'),
    pairs('pairs-q0-1000', ('flows',), 0, 1000, 4),
    pairs('pairs-q0-w1', ('flows',), 0, 200, 1),
    pairs('pairs-q1-w1', ('flows',), 1, 200, 1),
    fanout('fanout-q0', ('flows', 'short'), 0),
    fanout('fanout-q1', ('flows', 'short'), 1),
    fanout('fanout-q0-1k', ('flows',), 0, '--payload', '1024'),
    fanin('fanin-q0', ('flows', 'short'), 0),
    fanin('fanin-q1', ('flows',), 1),
    fanin('shared-q1', ('flows', 'short'), 1, '--group', '4'),
    Scenario('connect', ('flows', 'short'), ('connect', '--n', '{connects}', '--conc', '100'), CONNECT),
    latency('latency-q0', ('flows',), '--qos', '0', '--pairs', '50', '--rate', '{rate}', '--spin'),
    latency('latency-q1', ('flows',), '--qos', '1', '--pairs', '50', '--rate', '{rate}', '--spin'),
    latency('latency-fanout', ('flows',), '--shape', 'fanout', '--pubs', '1', '--subs', '100', '--rate', '100', '--spin'),
)

STATE = (
    Scenario('idle', ('state',), ('idle', '--n', '{idle}', '--conc', '200', '--hold', '1'), IDLE),
    Scenario('subs', ('state',), ('subs', '--steps', '{steps}', '--msgs', '100000'), STEP, False),
    Scenario('churn', ('state',), ('churn', '--n', '200000', '--filters', '100000'), CHURN, False),
    Scenario('churn-v5', ('state',), ('churn', '--v', '5', '--n', '200000', '--filters', '100000'), CHURN, False),
    Scenario('retained', ('state',), ('retained', '--retained', '{retained}', '--finds', '100'), RETAINED, False),
    Scenario('offline-own', ('state',), ('offline', '--sessions', '100', '--n', '1000'), OFFLINE, False),
    Scenario(
        'offline-shared', ('state',), ('offline', '--sessions', '100', '--n', '1000', '--topics', 'shared'), OFFLINE, False
    ),
)

# Sessions that outlive their connections; for mqloop-sqlite, and to see what that costs beside mqloop.
DURABLE = tuple(
    flow(
        f'durable-q{qos}', ('durable',), 'pairs', '--qos', str(qos), '--pairs', '50', '--window', '32', '--durable',
        on_floor=False,
    )
    for qos in (0, 1, 2)
)

MIXES = (
    pairs('size-16', ('mixes',), 0, 50, 32, '--payload', '16'),
    pairs('size-256', ('mixes',), 0, 50, 32, '--payload', '256'),
    pairs('size-4k', ('mixes',), 0, 50, 16, '--payload', '4096'),
    pairs('size-16k', ('mixes',), 0, 20, 8, '--payload', '16384'),
    pairs('size-64k', ('mixes',), 0, 20, 2, '--payload', '65536'),
    pairs('size-64k-q1', ('mixes',), 1, 20, 2, '--payload', '65536'),
    pairs('depth-10', ('mixes',), 0, 50, 32, '--depth', '10'),
    pairs('depth-50', ('mixes',), 0, 50, 32, '--depth', '50'),
    fanin('depth-50-fanin', ('mixes',), 0, '--depth', '50'),
    pairs('mix-pairs', ('mixes',), 0, 60, 32, '--mix'),
    fanout('mix-fanout-q2', ('mixes',), 2, '--mix', on_floor=False),
    fanout('mix-fanout-v5', ('mixes',), 1, '--mix', '--v', '5', on_floor=False),
    fanin('mix-fanin', ('mixes',), 0, '--mix', on_floor=False),
    fanout('fanout-q1-v5', ('mixes',), 1, '--v', '5'),
    fanout('fanout-q2', ('mixes',), 2),
    flow('down-q1-q0', ('mixes',), 'pairs', '--qos', '1', '--subqos', '0', '--pairs', '50', on_floor=False),
    latency('many-quiet', ('mixes',), '--qos', '1', '--pairs', '5000', '--rate', '{rate}'),
    pairs('many-w1', ('mixes',), 1, 5000, 1),
    fanin('shared-q0-v5', ('mixes',), 0, '--group', '4', '--v', '5'),
)


def over_web_socket(name: str, *more) -> Scenario:
    of = next(scenario for scenario in FLOWS + STATE if scenario.name == name)
    suffix = '-wsf' if more else '-ws'
    return dataclasses.replace(of, name=name + suffix, sets=('ws',), arguments=(*of.arguments, '--ws', *more))


WEB_SOCKET = (
    *map(over_web_socket, ('pairs-q0', 'pairs-q1', 'pairs-q2', 'pairs-q0-w1', 'fanout-q0', 'fanin-q0', 'connect', 'idle')),
    *(over_web_socket(name, '--ws-frame-per-packet') for name in ('pairs-q0', 'pairs-q1', 'fanin-q0')),
)


def beside(name: str, by: str, *words, on_floor: bool = False, is_apart: bool = False) -> Scenario:
    words = ('beside', '--by', by, *words, '--pairs', '4', '--rate', '1000', '--secs', '{secs}')
    return Scenario(name, ('beside',), words, BESIDE, on_floor, is_apart)


WIDE = ('--n', '10000', '--sessions', '90000')
BESIDES = (
    beside('beside-fanout', 'fanout', *WIDE),
    beside('beside-fanout-apart', 'fanout', *WIDE, is_apart=True),
    beside('beside-flood', 'flood', on_floor=True),
    beside('beside-flood-apart', 'flood', is_apart=True),
    beside('beside-replay', 'replay', '--retained', '200000'),
    beside('beside-replay-apart', 'replay', '--retained', '200000', is_apart=True),
)

ALL = {scenario.name: scenario for scenario in FLOWS + STATE + DURABLE + MIXES + WEB_SOCKET + BESIDES}
SETS = ('short', 'flows', 'state', 'durable', 'mixes', 'ws', 'beside')


def of_sets(names) -> list:
    return [scenario for scenario in ALL.values() if set(names) & set(scenario.sets)]
