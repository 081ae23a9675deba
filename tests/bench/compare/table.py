"""Results as a Markdown table: the floor's figures, and those of the brokers as multiples of it."""
from __future__ import annotations

import statistics

from scenarios import ALL, FAULTS, RATE

FLOOR = 'floor'


def number(value) -> str:
    if value is None:
        return '-'
    if abs(value) >= 100:
        return f'{value:,.0f}'
    if abs(value) >= 10:
        return f'{value:.1f}'
    return f'{value:.2f}'


def fault_of(result: dict) -> str:
    if 'error' in result:
        return result['error']
    if result.get('ok', 1):
        return ''
    return ', '.join(f'{key} {result[key]}' for key in FAULTS if result.get(key)) or 'counts differ'


class Table:
    """Results are added one by one; rows appear in the order of the scenarios."""

    def __init__(self, pick: str = 'median', spread: bool = False, rates: bool = False):
        self.pick, self.spread, self.rates = pick, spread, rates
        self.names: list = []
        self.rows: dict = {}
        self.faults: dict = {}

    def add(self, broker: str, name: str, result: dict):
        if broker not in self.names:
            self.names.append(broker)
        for row, unit, less, value in ALL[name].rows(result) if 'error' not in result else ():
            self.rows.setdefault((row, unit, less), {}).setdefault(broker, []).append(value)
        if fault := fault_of(result):
            self.faults.setdefault((name, broker), []).append(fault)

    def chosen(self, key, broker: str):
        values = self.rows[key].get(broker)
        if not values:
            return None
        if self.pick == 'median':
            return statistics.median(values)
        return min(values) if key[2] else max(values)

    def cell(self, key, broker: str) -> str:
        value = self.chosen(key, broker)
        if value is None:
            return '-'
        text = number(value)
        values = self.rows[key][broker]
        if self.spread and len(values) > 1:
            text += f' ({number(min(values))} to {number(max(values))})'
        floor = self.chosen(key, FLOOR)
        if broker != FLOOR and floor and floor > 0:
            text = f'**{value / floor:.2f}** · {text}'
        if (key[0].split(' ')[0], broker) in self.faults:
            text += ' !'
        return text

    def lines(self) -> list:
        lines = ['| scenario | figure | ' + ' | '.join(self.names) + ' |', '|' + '---|' * (2 + len(self.names))]
        for key in self.rows:
            if key[1] in (RATE[1], 'cycles a second') and not self.rates:
                continue
            cells = ' | '.join(self.cell(key, name) for name in self.names)
            lines.append(f'| {key[0]} | {key[1]} | {cells} |')
        if self.faults:
            lines += ['', 'Marked `!`: a run was not right, or did not end.', '']
            lines += [f'- {name}, {broker}: {"; ".join(sorted(set(what)))}' for (name, broker), what in self.faults.items()]
        return lines
