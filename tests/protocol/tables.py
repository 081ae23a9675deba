"""The tables of the standard, read from their one copy in the tree: properties, reason codes, numbered statements."""
from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass
from functools import lru_cache

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'core', 'mqtt', 'tables')


def rows(name: str) -> list[dict[str, str]]:
    with open(os.path.join(FOLDER, name), encoding='utf-8', newline='') as table:
        return list(csv.DictReader(table, delimiter='\t', quoting=csv.QUOTE_NONE))


@dataclass(frozen=True)
class Property:
    identifier: int
    name: str
    kind: str
    packets: frozenset[str]  # those that a client may send it in
    server_only: frozenset[str]  # those that only a server may send it in
    repeats: frozenset[str]  # those in which it may stand more than once


@lru_cache(None)
def property_table() -> dict[int, Property]:
    table = {}
    for row in rows('properties.tsv'):
        names, server_only = set(), set()
        for part in re.split(r'[,;]', next(v for k, v in row.items() if k.startswith('packets'))):
            name, _, direction = part.strip().partition(' ')
            (server_only if 'S>C' in direction else names).add(name)
        if row['packets (C>S: only from client, S>C: only from server)'].startswith('every'):
            names = set(CLIENT_PACKETS)
        repeats = names if row['may repeat'] == 'yes' else set()
        identifier = int(row['id'])
        table[identifier] = Property(
            identifier, row['name'], row['type'], frozenset(names), frozenset(server_only), frozenset(repeats)
        )
    return table


CLIENT_PACKETS = (
    'CONNECT',
    'Will',
    'PUBLISH',
    'PUBACK',
    'PUBREC',
    'PUBREL',
    'PUBCOMP',
    'SUBSCRIBE',
    'UNSUBSCRIBE',
    'DISCONNECT',
    'AUTH',
)


@lru_cache(None)
def client_codes(packet_name: str) -> frozenset[int]:
    """The reason codes with which a client may send this packet."""
    codes = set()
    for row in rows('reason-codes.tsv'):
        cell = next(v for k, v in row.items() if k.startswith('packets'))
        for name, marks in re.findall(r'\b([A-Z]+)(\([SC]\)|\b)', re.sub(r'\([^SC)][^)]*\)', '', cell)):
            if name == packet_name and marks != '(S)':
                codes.add(int(row['code'], 16))
    return frozenset(codes)


@lru_cache(None)
def statements() -> frozenset[tuple[str, str]]:
    return frozenset((row['version'], row['id']) for row in rows('mqtt-statements.tsv'))


def unknown_citations(version: int, rule: str) -> list[str]:
    """Statement numbers in a rule's text that the table of that version does not have (3.1 borrows 3.1.1's)."""
    edition = '5.0' if version == 5 else '3.1.1'
    cited = re.findall(r'\[(MQTT-[0-9.]+-\d+)\]', rule)
    return [one for one in cited if (edition, one) not in statements()]
