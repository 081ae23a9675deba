"""What a server may answer: patterns of single packets, and whole outcomes of a malformed-packet case.

A pattern judges one packet of the server and returns '' when it fits, else what is wrong with it. Freedom that the
standard leaves (a Reason String, the order of properties, what CONNACK announces) is granted here and nowhere else.
"""
from __future__ import annotations

from dataclasses import dataclass

from wire import (
    CONNACK,
    DISCONNECT,
    NAMES,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    REASON_STRING,
    SERVER_REFERENCE,
    SUBACK,
    TOPIC_ALIAS,
    UNSUBACK,
    USER_PROPERTY,
    BadPacket,
    Reader,
    body_of,
    packet,
    properties,
    string,
)

CONNACK_PROPERTIES = {17, 18, 19, 21, 22, 26, 28, 31, 33, 34, 36, 37, 38, 39, 40, 41, 42}


def show(data: bytes, limit: int = 96) -> str:
    if len(data) <= limit:
        return data.hex(' ') or '(nothing)'
    return f'{data[:limit].hex(" ")} ... ({len(data)} bytes)'


def singles(pairs, allowed: set[int]) -> str:
    """Only allowed identifiers, and only User Property more than once."""
    seen = set()
    for identifier, _ in pairs:
        if identifier not in allowed:
            return f'property {identifier} may not stand in this packet'
        if identifier in seen and identifier != USER_PROPERTY:
            return f'property {identifier} stands twice'
        seen.add(identifier)
    return ''


class Pattern:
    text = ''

    def check(self, whole: bytes) -> str:
        raise NotImplementedError

    def judge(self, whole: bytes) -> str:
        try:
            return self.check(whole)
        except BadPacket as fault:
            return f'is not well-formed: {fault}'

    def __str__(self) -> str:
        return self.text


class Exactly(Pattern):
    """These bytes; with `reason_string` an acknowledgement of 5.0 may carry a Reason String and User Properties too."""

    def __init__(self, data: bytes, version: int = 4):
        self.data, self.version = data, version
        self.text = show(data)

    def check(self, whole: bytes) -> str:
        if whole == self.data or self.version == 5 and without_reason_string(whole) == self.data:
            return ''
        return 'differs'


def without_reason_string(whole: bytes) -> bytes:
    """An acknowledgement as it would be without the human-readable properties, again in its shortest form."""
    kind, body = whole[0] >> 4, Reader(body_of(whole))
    if kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        if len(body.data) < 4:
            return whole
        head, pairs, tail = body.take(3), body.properties(), body.rest()
        kept = [p for p in pairs if p[0] not in (REASON_STRING, USER_PROPERTY)]
        if tail or kept or len(pairs) == 0:
            return whole
        return packet(kind, head if head[2] else head[:2])
    if kind in (SUBACK, UNSUBACK):
        head, pairs = body.take(2), body.properties()
        kept = [p for p in pairs if p[0] not in (REASON_STRING, USER_PROPERTY)]
        return packet(kind, head + properties(*kept) + body.rest())
    return whole


class Connack(Pattern):
    """A CONNACK of the version with this code; the properties are the server's own unless `wanted` names them.

    MQTT 3.1 has no Session Present and calls that byte unused, so there it may be 0 always.
    """

    def __init__(self, version: int, code: int = 0, session_present: bool = False, wanted=None):
        self.version, self.code, self.session_present, self.wanted = version, code, session_present, wanted or {}
        self.text = f'CONNACK 0x{code:02x} (version {version}, Session Present {int(session_present)})'
        if self.wanted:
            self.text += f' with properties {self.wanted}'

    def check(self, whole: bytes) -> str:
        if self.version < 5:
            allowed = {int(self.session_present), 0} if self.version == 3 else {int(self.session_present)}
            return '' if whole in {bytes((0x20, 2, flags, self.code)) for flags in allowed} else 'differs'
        if whole[0] != CONNACK << 4:
            return 'is not CONNACK'
        body = Reader(body_of(whole))
        flags, code, pairs = body.uint(1), body.uint(1), body.properties()
        if body.rest():
            return 'has bytes after its properties'
        if (flags, code) != (int(self.session_present), self.code):
            return f'has flags 0x{flags:02x}, code 0x{code:02x}'
        fault = singles(pairs, CONNACK_PROPERTIES)
        found = dict(pairs)
        for identifier, value in self.wanted.items():
            good = (
                identifier not in found
                if value is None
                else (value(found.get(identifier)) if callable(value) else found.get(identifier) == value)
            )
            if not good:
                fault = fault or f'has property {identifier} = {found.get(identifier)!r}'
        return fault


class Disconnect(Pattern):
    """A server's DISCONNECT of 5.0; Reason String, User Property and Server Reference may be there [MQTT-3.14.2-2]."""

    def __init__(self, code: int, at_most: int = 0):
        self.code, self.at_most = code, at_most
        self.text = f'DISCONNECT 0x{code:02x}' + (f' of at most {at_most} bytes' if at_most else '')

    def check(self, whole: bytes) -> str:
        if whole[0] != DISCONNECT << 4:
            return 'is not DISCONNECT'
        if self.at_most and len(whole) > self.at_most:
            return f'has {len(whole)} bytes'
        body = Reader(body_of(whole))
        code = body.uint(1) if body.data else 0
        pairs = body.properties() if body.at < len(body.data) else []
        if body.rest():
            return 'has bytes after its properties'
        if code != self.code:
            return f'has code 0x{code:02x}'
        return singles(pairs, {REASON_STRING, USER_PROPERTY, SERVER_REFERENCE})


class Delivery(Pattern):
    """A PUBLISH from the server: the fields exactly, properties in any order but User Properties in theirs.

    `packet_id` is a number, or None for any non-zero one. A property's value may be a function that judges it.
    """

    def __init__(self, version, topic, payload=b'', qos=0, retain=False, dup=False, props=(), packet_id=None):
        self.version, self.topic, self.payload = version, topic.encode(), payload
        self.qos, self.retain, self.dup, self.props = qos, retain, dup, props
        self.packet_id = packet_id
        shown = ', '.join(f'{k}={v if not callable(v) else v.__doc__}' for k, v in props)
        self.text = (
            f'PUBLISH {topic} payload {show(payload, 24)} QoS {qos} retain {int(retain)} dup {int(dup)} '
            f'id {"any" if packet_id is None and qos else packet_id} properties [{shown}]'
        )

    def check(self, whole: bytes) -> str:
        if whole[0] >> 4 != PUBLISH:
            return 'is not PUBLISH'
        flags = (8 if self.dup else 0) | self.qos << 1 | int(self.retain)
        if whole[0] & 15 != flags:
            return f'has flags {whole[0] & 15:04b}, not {flags:04b}'
        body = Reader(body_of(whole))
        topic = body.string()
        if topic != self.topic:
            return f'has topic {topic!r}'
        packet_id = body.uint(2) if self.qos else None
        if self.qos and (packet_id == 0 or self.packet_id not in (None, packet_id)):
            return f'has packet identifier {packet_id}'
        fault = self.check_properties(body.properties() if self.version == 5 else [])
        payload = body.rest()
        return fault or ('' if payload == self.payload else f'has payload {show(payload, 24)}')

    def check_properties(self, found) -> str:
        wanted = [
            (k, tuple(map(str.encode, v)) if isinstance(v, tuple) else v.encode() if isinstance(v, str) else v)
            for k, v in self.props
        ]
        ordered = [sorted((p for p in side), key=lambda p: p[0]) for side in (found, wanted)]
        if [p[0] for p in ordered[0]] != [p[0] for p in ordered[1]]:
            return f'has properties {found}'
        ordered = [sorted(side, key=lambda p: (p[0], p[1] if p[0] == 11 else 0)) for side in ordered]
        for (identifier, got), (_, want) in zip(*ordered):
            if not (want(got) if callable(want) else want == got):
                return f'has property {identifier} = {got!r}'
        return ''

    def identifier(self, whole: bytes) -> int:
        body = Reader(body_of(whole))
        body.string()
        return body.uint(2)


class DeliveryByAlias(Delivery):
    """A PUBLISH whose topic may be an alias; `aliases` is what this connection has been told so far."""

    def __init__(self, version, topic, payload, qos, maximum: int, aliases: dict):
        super().__init__(version, topic, payload, qos)
        self.maximum, self.aliases = maximum, aliases
        self.text += f' by an alias of at most {maximum}, or without'

    def check(self, whole: bytes) -> str:
        body = Reader(body_of(whole))
        topic = body.string()
        head = body.take(2) if self.qos else b''
        pairs = body.properties()
        alias = dict(pairs).get(TOPIC_ALIAS)
        if alias is not None:
            if not 1 <= alias <= self.maximum:
                return f'has alias {alias} [MQTT-3.1.2-26]'
            if topic:
                self.aliases[alias] = topic
            elif alias not in self.aliases:
                return f'has alias {alias}, which was never set'
            topic = self.aliases[alias]
        kept = [p for p in pairs if p[0] != TOPIC_ALIAS]
        plain = packet(PUBLISH, string(topic) + head + properties(*kept) + body.rest(), whole[0] & 15)
        return super().check(plain)


# ---- outcomes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """The packets that answer a case, then whether the connection ends ('closed') or serves on ('open')."""

    packets: tuple[Pattern, ...]
    end: str

    def __str__(self) -> str:
        parts = [str(p) for p in self.packets] or (['no packet'] if self.end == 'closed' else ['no answer'])
        return ', '.join(parts) + (', then close' if self.end == 'closed' else ', and the connection serves on')


CLOSED = (Outcome((), 'closed'),)
IGNORED = (Outcome((), 'open'),)


def refused(version: int, code: int):
    return (Outcome((Connack(version, code),), 'closed'),)


def accepted(version: int, session_present=False, wanted=None):
    return (Outcome((Connack(version, 0, session_present, wanted),), 'open'),)


def dropped(version: int, *codes: int):
    """The answer to a bad packet after CONNACK: DISCONNECT and close in 5.0, just close in 3.x (rules.md, 4.13)."""
    if version < 5:
        return CLOSED
    return tuple(Outcome((Disconnect(code),), 'closed') for code in codes)


def answered(version: int, *packets: bytes):
    return (Outcome(tuple(Exactly(p, version) for p in packets), 'open'),)


def describe(outcomes) -> str:
    return '  or  '.join(str(o) for o in outcomes)


def name_of(whole: bytes) -> str:
    return NAMES.get(whole[0] >> 4, 'reserved type 0') if whole else 'nothing'
