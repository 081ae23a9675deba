"""The encodings of MQTT 3.1, 3.1.1 and 5.0, written from the standard alone and knowing nothing of mqloop.

Every builder takes the version first (3, 4 or 5) where the versions differ and returns bytes. Nothing is validated:
most callers want to break a rule on purpose.
"""
from __future__ import annotations

(
    CONNECT,
    CONNACK,
    PUBLISH,
    PUBACK,
    PUBREC,
    PUBREL,
    PUBCOMP,
    SUBSCRIBE,
    SUBACK,
    UNSUBSCRIBE,
    UNSUBACK,
    PINGREQ,
    PINGRESP,
    DISCONNECT,
    AUTH,
) = range(1, 16)

NAMES = {
    CONNECT: 'CONNECT',
    CONNACK: 'CONNACK',
    PUBLISH: 'PUBLISH',
    PUBACK: 'PUBACK',
    PUBREC: 'PUBREC',
    PUBREL: 'PUBREL',
    PUBCOMP: 'PUBCOMP',
    SUBSCRIBE: 'SUBSCRIBE',
    SUBACK: 'SUBACK',
    UNSUBSCRIBE: 'UNSUBSCRIBE',
    UNSUBACK: 'UNSUBACK',
    PINGREQ: 'PINGREQ',
    PINGRESP: 'PINGRESP',
    DISCONNECT: 'DISCONNECT',
    AUTH: 'AUTH',
}

# The fixed header's flags where the table of 2.1.3 prescribes something else than zero; PUBLISH has flags of its own.
REQUIRED_FLAGS = {PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}

PING = b'\xc0\x00'
PONG = b'\xd0\x00'


def u8(value: int) -> bytes:
    return value.to_bytes(1, 'big')


def u16(value: int) -> bytes:
    return value.to_bytes(2, 'big')


def u32(value: int) -> bytes:
    return value.to_bytes(4, 'big')


def varint(value: int, size: int = 0) -> bytes:
    """A variable byte integer; `size` pads it to more bytes than it needs, which the standard forbids."""
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        more = value > 0 or len(out) + 1 < size
        out.append(low | (0x80 if more else 0))
        if not more:
            return bytes(out)


def raw(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def string(text: str | bytes) -> bytes:
    """Two bytes of length, then the bytes: a UTF-8 string or binary data."""
    data = raw(text)
    return u16(len(data)) + data


def packet(kind: int, body: bytes = b'', flags: int | None = None) -> bytes:
    nibble = REQUIRED_FLAGS.get(kind, 0) if flags is None else flags
    return u8(kind << 4 | nibble) + varint(len(body)) + body


# Properties: one (identifier, value) pair each; the value's type follows from the identifier (table 2-4 of 5.0).
PROPERTY_TYPES = {
    1: 'byte',
    2: 'u32',
    3: 'utf8',
    8: 'utf8',
    9: 'binary',
    11: 'varint',
    17: 'u32',
    18: 'utf8',
    19: 'u16',
    21: 'utf8',
    22: 'binary',
    23: 'byte',
    24: 'u32',
    25: 'byte',
    26: 'utf8',
    28: 'utf8',
    31: 'utf8',
    33: 'u16',
    34: 'u16',
    35: 'u16',
    36: 'byte',
    37: 'byte',
    38: 'utf8 pair',
    39: 'u32',
    40: 'byte',
    41: 'byte',
    42: 'byte',
}

ENCODERS = {
    'byte': u8,
    'u16': u16,
    'u32': u32,
    'varint': varint,
    'utf8': string,
    'binary': string,
    'utf8 pair': lambda pair: string(pair[0]) + string(pair[1]),
}

PAYLOAD_FORMAT, MESSAGE_EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION_DATA, SUBSCRIPTION_ID = 1, 2, 3, 8, 9, 11
SESSION_EXPIRY, ASSIGNED_CLIENT_ID, SERVER_KEEP_ALIVE, AUTH_METHOD, AUTH_DATA = 17, 18, 19, 21, 22
REQUEST_PROBLEM_INFO, WILL_DELAY, REQUEST_RESPONSE_INFO, SERVER_REFERENCE, REASON_STRING = 23, 24, 25, 28, 31
RECEIVE_MAXIMUM, TOPIC_ALIAS_MAXIMUM, TOPIC_ALIAS, USER_PROPERTY, MAXIMUM_PACKET_SIZE = 33, 34, 35, 38, 39


def prop(identifier: int, value) -> bytes:
    return varint(identifier) + ENCODERS[PROPERTY_TYPES[identifier]](value)


def properties(*pairs) -> bytes:
    """The property length and the properties, each a (identifier, value) pair or bytes as they are."""
    body = b''.join(p if isinstance(p, bytes) else prop(*p) for p in pairs)
    return varint(len(body)) + body


def section(version: int, pairs) -> bytes:
    return properties(*pairs) if version == 5 else b''


def protocol_name(version: int) -> bytes:
    return string('MQIsdp' if version == 3 else 'MQTT')


class Will:
    def __init__(self, topic, payload=b'', qos=0, retain=False, props=()):
        self.topic, self.payload, self.qos, self.retain, self.props = topic, payload, qos, retain, props


def connect(
    version: int, client_id, clean=True, keep_alive=60, will: Will | None = None, user=None, password=None, props=()
) -> bytes:
    flags = (2 if clean else 0) | (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
    if will:
        flags |= 4 | will.qos << 3 | (0x20 if will.retain else 0)
    body = protocol_name(version) + u8(version) + u8(flags) + u16(keep_alive) + section(version, props)
    body += string(client_id)
    if will:
        body += section(version, will.props) + string(will.topic) + string(will.payload)
    body += b'' if user is None else string(user)
    body += b'' if password is None else string(password)
    return packet(CONNECT, body)


def connack(version: int, code=0, session_present=False, props=()) -> bytes:
    return packet(CONNACK, u8(int(session_present)) + u8(code) + section(version, props))


def publish(version: int, topic, payload=b'', qos=0, packet_id=None, retain=False, dup=False, props=()) -> bytes:
    flags = (8 if dup else 0) | qos << 1 | int(retain)
    body = string(topic) + (u16(packet_id) if qos else b'') + section(version, props) + raw(payload)
    return packet(PUBLISH, body, flags)


def ack(kind: int, version: int, packet_id: int, code=0, props=()) -> bytes:
    """PUBACK, PUBREC, PUBREL, PUBCOMP in the shortest form that carries the meaning."""
    body = u16(packet_id)
    if version == 5 and (code or props):
        body += u8(code) + (properties(*props) if props else b'')
    return packet(kind, body)


def puback(version, packet_id, code=0, props=()):
    return ack(PUBACK, version, packet_id, code, props)


def pubrec(version, packet_id, code=0, props=()):
    return ack(PUBREC, version, packet_id, code, props)


def pubrel(version, packet_id, code=0, props=()):
    return ack(PUBREL, version, packet_id, code, props)


def pubcomp(version, packet_id, code=0, props=()):
    return ack(PUBCOMP, version, packet_id, code, props)


def subscribe(version: int, packet_id: int, *filters, props=()) -> bytes:
    """Each filter a (topic filter, options byte) pair."""
    body = b''.join(string(name) + u8(options) for name, options in filters)
    return packet(SUBSCRIBE, u16(packet_id) + section(version, props) + body)


def suback(version: int, packet_id: int, *codes, props=()) -> bytes:
    return packet(SUBACK, u16(packet_id) + section(version, props) + bytes(codes))


def unsubscribe(version: int, packet_id: int, *filters, props=()) -> bytes:
    return packet(UNSUBSCRIBE, u16(packet_id) + section(version, props) + b''.join(string(f) for f in filters))


def unsuback(version: int, packet_id: int, *codes, props=()) -> bytes:
    """5.0 has one code per filter, 3.x has the identifier alone."""
    return packet(UNSUBACK, u16(packet_id) + (properties(*props) + bytes(codes) if version == 5 else b''))


def disconnect(version: int, code=0, props=()) -> bytes:
    if version < 5 or not (code or props):
        return packet(DISCONNECT)
    return packet(DISCONNECT, u8(code) + (properties(*props) if props else b''))


def auth(code=0, props=()) -> bytes:
    return packet(AUTH, u8(code) + properties(*props))


# ---- reading what the server sends ----------------------------------------------------------------------------------


class BadPacket(Exception):
    """The server sent bytes that are no MQTT packet."""


def split_packet(data: bytes) -> tuple[bytes, bytes]:
    """The first whole packet and the rest; (b'', data) while the packet is unfinished."""
    length = 0
    for i in range(4):
        if len(data) < 2 + i:
            return b'', data
        length |= (data[1 + i] & 0x7F) << 7 * i
        if data[1 + i] < 0x80:
            end = 2 + i + length
            return (data[:end], data[end:]) if len(data) >= end else (b'', data)
    raise BadPacket('Remaining Length of more than four bytes: ' + data[:6].hex(' '))


def body_of(whole: bytes) -> bytes:
    start = 2
    while whole[start - 1] >= 0x80:
        start += 1
    return whole[start:]


class Reader:
    """Walks a packet's body; running past the end is a BadPacket."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise BadPacket('a field runs past the end of the packet')
        self.at += size
        return self.data[self.at - size : self.at]

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), 'big')

    def string(self) -> bytes:
        return self.take(self.uint(2))

    def varint(self) -> int:
        start, value = self.at, 0
        for i in range(4):
            byte = self.uint(1)
            value |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                if self.data[start : self.at] != varint(value):
                    raise BadPacket('a variable byte integer that is longer than needed [MQTT-1.5.5-1]')
                return value
        raise BadPacket('a variable byte integer of more than four bytes')

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)

    def value(self, kind: str):
        if kind == 'varint':
            return self.varint()
        if kind == 'utf8 pair':
            return self.string(), self.string()
        return self.uint({'byte': 1, 'u16': 2, 'u32': 4}[kind]) if kind in ('byte', 'u16', 'u32') else self.string()

    def properties(self) -> list[tuple[int, object]]:
        inner = Reader(self.take(self.varint()))
        pairs = []
        while inner.at < len(inner.data):
            identifier = inner.varint()
            if identifier not in PROPERTY_TYPES:
                raise BadPacket(f'unknown property {identifier}')
            pairs.append((identifier, inner.value(PROPERTY_TYPES[identifier])))
        return pairs
