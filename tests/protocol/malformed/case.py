"""A malformed-packet case and the book that collects them: bytes to send, the exact answer, the rule behind it."""
from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import wire
from expect import CLOSED, Connack, Outcome, describe, dropped, refused, show

# Stands for the client identifier in a case's bytes; each case gets one of its own, of the same length.
CLIENT_ID = b'@CLIENT-NAME@'

MALFORMED, PROTOCOL_ERROR = 0x81, 0x82


@dataclass(frozen=True)
class Setup:
    """How far the connection has come when the case's bytes are sent."""

    name: str
    connected: bool = True
    pipelined: bool = False  # the case rides in the segment of its CONNECT, before CONNACK is seen
    clean: bool = True
    props: tuple = ()  # of the CONNECT, 5.0 only
    after: tuple = ()  # (bytes to send, patterns to await) pairs after CONNACK

    def connect(self, version: int, client_id: bytes) -> bytes:
        return wire.connect(version, client_id, self.clean, props=self.props)


FIRST = Setup('first', connected=False)
CONNECTED = Setup('connected')
PIPELINED = Setup('pipelined', pipelined=True)


@dataclass(frozen=True)
class Case:
    name: str
    version: int
    rule: str
    parts: tuple[bytes, ...]  # sent one after the other; between two of them the server must stay silent
    outcomes: tuple[Outcome, ...]
    setup: Setup = CONNECTED
    then: str = ''  # 'fin': the client finishes sending; '': it waits for the answer
    early: bool = False  # the server may answer before the last part has come
    alone: bool = False  # disturbs or is disturbed by others: runs while nothing else does
    client_id: bytes = field(default=b'', compare=False)

    def explain(self) -> str:
        lines = [
            f'case     {self.name}',
            f'rule     {self.rule}',
            f'version  {self.version}',
            f'setup    {self.setup.name}'
            + (': ' + show(self.setup.connect(self.version, self.client_id)) if self.setup.connected else ''),
        ]
        for sent, awaited in self.setup.after:
            lines += [f'         > {show(sent)}'] + [f'         < {one}' for one in awaited]
        lines += [f'sent     {show(part, 400)}' for part in self.parts]
        if self.then == 'fin':
            lines.append('         and the client finishes sending')
        return '\n'.join(lines + [f'expected {describe(self.outcomes)}'])


class Book:
    """All cases, by name. The same bytes in the same setup come in once only, under the first name given."""

    def __init__(self):
        self.cases: dict[str, Case] = {}
        self.seen: set = set()

    def add(self, name, version, rule, parts, outcomes, setup=CONNECTED, then='', early=False, alone=False):
        parts = (parts,) if isinstance(parts, bytes) else tuple(parts)
        name = f'malformed/{name}/v{version}/{setup.name}'
        same = (parts, setup, then, version if setup.connected else 0)
        if same in self.seen:
            return
        if name in self.cases:
            raise ValueError(f'two cases named {name}')
        client_id = b'c' + hashlib.blake2b(name.encode(), digest_size=6).hexdigest().encode()
        parts = with_client_id(parts, client_id)
        if setup.pipelined:
            connack = Connack(version)
            outcomes = tuple(Outcome((connack, *one.packets), one.end) for one in outcomes)
        self.seen.add(same)
        self.cases[name] = Case(name, version, rule, parts, tuple(outcomes), setup, then, early, alone, client_id)

    def both(self, name, version, rule, parts, outcomes, **more):
        """After CONNACK was seen, and in the same segment as CONNECT."""
        for setup in (CONNECTED, PIPELINED):
            self.add(name, version, rule, parts, outcomes, setup=setup, **more)


def with_client_id(parts, client_id: bytes):
    """The placeholder may be cut in two by the border of two parts."""
    whole, at, found = b''.join(parts).replace(CLIENT_ID, client_id), 0, []
    for part in parts:
        found.append(whole[at : at + len(part)])
        at += len(part)
    return tuple(found)


def bad(version: int, *codes: int, connecting=False):
    """The answer to a packet that breaks a rule: CONNACK while connecting, DISCONNECT later; 3.x just closes."""
    if connecting:
        return tuple(one for code in codes for one in refused(5, code)) if version == 5 else CLOSED
    return dropped(version, *codes)


def unique(cases) -> None:
    """Client identifiers are cut hashes: two equal ones would take each other's session over."""
    seen: dict[bytes, str] = {}
    for case in cases:
        if seen.setdefault(case.client_id, case.name) != case.name:
            raise ValueError(f'{case.name} and {seen[case.client_id]} share a client identifier')
