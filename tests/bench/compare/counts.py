"""System calls and allocations for each message, counted by strace and valgrind. Of two runs of different length the
difference is taken, so that what starting and connecting needs drops out."""
from __future__ import annotations

import os
import re
import shutil

import measure
from brokers import Failed

TOOLS = ('strace', 'valgrind')
LONGER = 6  # times
ATTEMPTS = 3  # a longer run may get no further when the machine is busy


def missing() -> str:
    return ', '.join(tool for tool in TOOLS if not shutil.which(tool))


def is_countable(scenario) -> bool:
    return scenario.arguments[0] in ('pairs', 'fanout', 'fanin', 'connect')


def system_calls(text: str) -> int:
    """Of the summary of `strace -c`: its last line has the total."""
    return int(re.search(r'^ *100\.00 +\S+ +(?:\d+ +)?(\d+) +(?:\d+ +)?total$', text, re.MULTILINE)[1])


def allocations(text: str) -> int:
    """Of what valgrind says at the end."""
    return int(re.search(r'total heap usage: ([\d,]+) allocs', text)[1].replace(',', ''))


def one_run(generator, kind, scenario, words: list, tool: str):
    """(what was counted, messages or cycles)"""
    with measure.scratch() as folder:
        out = os.path.join(folder, 'counts')
        wrapper = {
            'strace': ('strace', '-f', '-c', '-o', out, '--'),
            'valgrind': ('valgrind', '--leak-check=no', f'--log-file={out}', '--'),
        }[tool]
        broker = kind(os.path.join(folder, 'broker'), scenario.over_web_socket, wrapper)
        try:
            result = generator.load(broker, words)
        finally:
            broker.stop()
        if 'error' in result:
            raise Failed(result['error'])
        with open(out, encoding='utf-8', errors='replace') as file:
            counted = (system_calls if tool == 'strace' else allocations)(file.read())
        return counted, result.get('delivered_total', result.get('completed'))


def each_message(generator, kind, scenario, short: list, long: list, tool: str) -> float:
    first, few = one_run(generator, kind, scenario, short, tool)
    for _ in range(ATTEMPTS):
        last, many = one_run(generator, kind, scenario, long, tool)
        if many > few:
            return (last - first) / (many - few)
    raise Failed('the longer run has no more messages')


def lines(generator, kinds, scenarios, command, say) -> list:
    """A Markdown table. `command(scenario, times)` are the generator's words for a run that is so many times as long."""
    table = [
        '| scenario | figure | ' + ' | '.join(kind.name for kind in kinds) + ' |',
        '|' + '---|' * (2 + len(kinds)),
    ]
    for scenario in filter(is_countable, scenarios):
        for tool, figure in zip(TOOLS, ('system calls', 'allocations')):
            cells = []
            for kind in kinds:
                if not measure.is_able(kind, scenario):
                    cells.append('-')
                    continue
                try:
                    runs = command(scenario, 1), command(scenario, LONGER)
                    value = each_message(generator, kind, scenario, *runs, tool)
                    cells.append(f'{value:.3f}')
                except Failed as fault:
                    cells.append(f'- ({fault})')
                say(f'{scenario.name} {kind.name}: {cells[-1]} {figure}')
            table.append(f'| {scenario.name} | {figure} | {" | ".join(cells)} |')
    return table
