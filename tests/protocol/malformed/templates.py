"""The grammar: every packet a client may send, field by field, with what a packet means that ends before a field.

Topics to publish to are under p/, filters under s/, wills under w/, so that no case delivers anything to another.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import wire
from expect import CLOSED, IGNORED, Outcome, accepted, answered
from malformed.case import CLIENT_ID, MALFORMED, PROTOCOL_ERROR, bad
from wire import properties, string, u8, u16

VERSIONS = (3, 4, 5)
NO_MATCHING = 0x10
UNKNOWN_ID = 0x92
END = (Outcome((), 'closed'),)


@dataclass(frozen=True)
class Field:
    name: str
    kind: str  # byte, u16, string, binary, properties, payload
    data: bytes  # as encoded
    role: str = ''  # of a string: client id, topic, filter, text; of a u16: packet id
    if_absent: object = MALFORMED  # the code for a packet that ends before this field, or the outcomes of a valid one


@dataclass(frozen=True)
class Template:
    name: str
    kind: int
    version: int
    fields: tuple[Field, ...]
    answer: tuple[Outcome, ...]  # to the packet as it stands
    flags: int | None = None
    rule: str = ''

    @property
    def connecting(self) -> bool:
        return self.kind == wire.CONNECT

    @property
    def body(self) -> bytes:
        return b''.join(one.data for one in self.fields)

    @property
    def bytes(self) -> bytes:
        return wire.packet(self.kind, self.body, self.flags)

    def with_field(self, name: str, data: bytes) -> bytes:
        """The packet with one field's bytes replaced, Remaining Length made right."""
        fields = [replace(one, data=data) if one.name == name else one for one in self.fields]
        return wire.packet(self.kind, b''.join(one.data for one in fields), self.flags)

    def bad(self, *codes: int, known_to: int | None = None):
        """The answer when a rule is broken. A CONNECT is answered only once its version is known: `known_to` bytes of
        the body arrived, and name and level take seven of them in 5.0."""
        if self.connecting and known_to is not None and known_to < 7:
            return CLOSED
        return bad(self.version, *codes, connecting=self.connecting)


def properties_field(version, *pairs, name='properties', if_absent=MALFORMED):
    return (Field(name, 'properties', properties(*pairs), if_absent=if_absent),) if version == 5 else ()


def text(name, value, role='text', **more):
    return Field(name, 'string', string(value), role, **more)


def packet_id(value, **more):
    return Field('packet id', 'u16', u16(value), 'packet id', **more)


def connect_head(version, flags, keep_alive=60):
    return (
        Field('protocol name', 'string', wire.protocol_name(version), 'protocol'),
        Field('protocol level', 'byte', u8(version)),
        Field('connect flags', 'byte', u8(flags)),
        Field('keep alive', 'u16', u16(keep_alive)),
    )


def connect_minimal(version):
    fields = connect_head(version, 2) + properties_field(version) + (text('client id', CLIENT_ID, 'client id'),)
    return Template('connect', wire.CONNECT, version, fields, accepted(version))


def connect_full(version):
    fields = connect_head(version, 0xC6 | 1 << 3)
    fields += properties_field(
        version, (wire.SESSION_EXPIRY, 0), (wire.RECEIVE_MAXIMUM, 20), (wire.USER_PROPERTY, ('name', 'value'))
    )
    fields += (text('client id', CLIENT_ID, 'client id'),)
    fields += properties_field(
        version,
        (wire.WILL_DELAY, 0),
        (wire.CONTENT_TYPE, 'text/plain'),
        (wire.USER_PROPERTY, ('a', 'b')),
        name='will properties',
    )
    fields += (
        text('will topic', 'w/gone', 'topic'),
        Field('will payload', 'binary', string('gone')),
        text('user name', 'user'),
        Field('password', 'binary', string('secret')),
    )
    return Template('connect-full', wire.CONNECT, version, fields, accepted(version))


def publish_answer(version, qos, identifier=10):
    code = NO_MATCHING if version == 5 else 0
    if qos == 0:
        return IGNORED
    return answered(version, (wire.puback if qos == 1 else wire.pubrec)(version, identifier, code))


def publish(version, qos, pairs=(), name=''):
    fields = (text('topic', f'p/q{qos}', 'topic'),) + ((packet_id(10),) if qos else ())
    answer = publish_answer(version, qos)
    fields += properties_field(version, *pairs)
    fields += (Field('payload', 'payload', b'payload', if_absent=answer),)
    return Template(f'publish{qos}{name}', wire.PUBLISH, version, fields, answer, qos << 1)


PUBLISH_PROPERTIES = (
    (wire.PAYLOAD_FORMAT, 1),
    (wire.MESSAGE_EXPIRY, 60),
    (wire.CONTENT_TYPE, 'text/plain'),
    (wire.RESPONSE_TOPIC, 'p/back'),
    (wire.CORRELATION_DATA, b'\x00\xff'),
    (wire.TOPIC_ALIAS, 1),
    (wire.USER_PROPERTY, ('name', 'value')),
)


def ack_answer(kind, version, identifier=10):
    """To an acknowledgement of something that was never sent (rules.md, PUBLISH)."""
    unknown = UNKNOWN_ID if version == 5 else 0
    if kind == wire.PUBREC:
        return answered(version, wire.pubrel(version, identifier, unknown))
    if kind == wire.PUBREL:
        return answered(version, wire.pubcomp(version, identifier, unknown))
    return IGNORED


def acknowledgement(kind, version, form=''):
    """`form`: '' identifier alone, '-code' with a reason code, '-full' with properties too (5.0)."""
    answer = ack_answer(kind, version)
    fields = (packet_id(10),)
    if form:
        fields += (Field('reason code', 'byte', u8(0), if_absent=answer),)
    if form == '-full':
        fields += properties_field(
            version, (wire.REASON_STRING, 'because'), (wire.USER_PROPERTY, ('k', 'v')), if_absent=answer
        )
    return Template(wire.NAMES[kind].lower() + form, kind, version, fields, answer)


def suback_answer(version, *codes):
    return answered(version, wire.suback(version, 10, *codes))


def no_filter(version):
    return bad(version, PROTOCOL_ERROR)


def subscribe(version, filters=1, pairs=(), name=''):
    fields = (packet_id(10),) + properties_field(version, *pairs)
    for i in range(filters):
        fields += (
            text(
                f'filter {i + 1}',
                f's/{i + 1}',
                'filter',
                if_absent=suback_answer(version, *range(i)) if i else PROTOCOL_ERROR,
            ),
            Field(f'options {i + 1}', 'byte', u8(i)),
        )
    return Template(
        f'subscribe{filters}{name}', wire.SUBSCRIBE, version, fields, suback_answer(version, *range(filters))
    )


def unsuback_answer(version, filters):
    return answered(version, wire.unsuback(version, 10, *[0x11] * filters))


def unsubscribe(version, filters=1, pairs=(), name=''):
    fields = (packet_id(10),) + properties_field(version, *pairs)
    for i in range(filters):
        fields += (
            text(
                f'filter {i + 1}',
                f's/{i + 1}',
                'filter',
                if_absent=unsuback_answer(version, i) if i else PROTOCOL_ERROR,
            ),
        )
    return Template(f'unsubscribe{filters}{name}', wire.UNSUBSCRIBE, version, fields, unsuback_answer(version, filters))


def pingreq(version):
    return Template('pingreq', wire.PINGREQ, version, (), answered(version, wire.PONG))


def disconnect(version, form=''):
    fields = ()
    if form:
        fields += (Field('reason code', 'byte', u8(0), if_absent=END),)
    if form == '-full':
        fields += properties_field(
            version,
            (wire.SESSION_EXPIRY, 0),
            (wire.REASON_STRING, 'bye'),
            (wire.USER_PROPERTY, ('k', 'v')),
            if_absent=END,
        )
    return Template('disconnect' + form, wire.DISCONNECT, version, fields, END)


ACKS = (wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP)
USER_PAIR = ((wire.USER_PROPERTY, ('k', 'v')),)


def valid(version) -> list[Template]:
    """Every shape of every packet that a client may send and a server must understand."""
    found = [
        connect_minimal(version),
        connect_full(version),
        *(publish(version, qos) for qos in range(3)),
        *(acknowledgement(kind, version) for kind in ACKS),
        subscribe(version),
        subscribe(version, 3),
        unsubscribe(version),
        unsubscribe(version, 2),
        pingreq(version),
        disconnect(version),
    ]
    if version == 5:
        found += [publish(5, qos, PUBLISH_PROPERTIES, '-full') for qos in range(3)]
        found += [acknowledgement(kind, 5, form) for kind in ACKS for form in ('-code', '-full')]
        found += [
            subscribe(5, 1, ((wire.SUBSCRIPTION_ID, 7),) + USER_PAIR, '-full'),
            unsubscribe(5, 1, USER_PAIR, '-full'),
            disconnect(5, '-code'),
            disconnect(5, '-full'),
        ]
    return found


def server_only(version) -> list[tuple[str, bytes]]:
    """Well-formed packets that only a server sends."""
    return [
        ('connack', wire.connack(version)),
        ('suback', wire.suback(version, 10, 0)),
        ('unsuback', wire.unsuback(version, 10, 0)),
        ('pingresp', wire.PONG),
    ]
