"""Properties of 5.0: every identifier in every packet, once, twice, cut, of another type, with every illegal value."""
from __future__ import annotations

from dataclasses import dataclass

import wire
from expect import refused
from malformed.case import MALFORMED, PROTOCOL_ERROR, Book, Setup, bad
from malformed.lengths import place
from malformed.templates import (
    ACKS,
    Field,
    Template,
    acknowledgement,
    connect_full,
    connect_minimal,
    disconnect,
    properties_field,
    publish,
    subscribe,
    unsubscribe,
)
from tables import property_table

BAD_METHOD = 0x8C
ALIAS_INVALID = 0x94
TOPIC_ALIAS_MAXIMUM = 16  # what the broker announces by default (config.md, limits.topic_alias_maximum)

# Values that a packet may carry, the first one the plainest.
LEGAL = {
    1: (0, 1),
    2: (60, 1, 0xFFFFFFFF),
    3: ('text/plain', ''),
    8: ('p/back', '/'),
    9: (b'\x00\xff', b''),
    11: (7, 1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455),
    17: (0, 1, 0xFFFFFFFF),
    18: ('id',),
    19: (60,),
    21: ('method',),
    22: (b'data',),
    23: (1, 0),
    24: (0, 1, 0xFFFFFFFF),
    25: (0, 1),
    26: ('info',),
    28: ('other',),
    31: ('because', ''),
    33: (20, 1, 65535),
    34: (10, 0, 65535),
    35: (1, TOPIC_ALIAS_MAXIMUM),
    36: (1,),
    37: (1,),
    38: (('k', 'v'), ('', ''), ('k' * 300, 'v' * 300)),
    39: (100000, 1024, 0xFFFFFFFF),
    40: (1,),
    41: (1,),
    42: (1,),
}

# Values that no packet may carry, the code they earn, and why.
ILLEGAL = {
    1: ((2, 255), PROTOCOL_ERROR, 'Payload Format Indicator is 0 or 1'),
    8: (('p/+', '#', 'p/#', '+'), PROTOCOL_ERROR, '[MQTT-3.3.2-14] no wildcards in a Response Topic'),
    11: ((0,), PROTOCOL_ERROR, 'Subscription Identifier 0 is a Protocol Error'),
    23: ((2, 255), PROTOCOL_ERROR, 'Request Problem Information is 0 or 1'),
    25: ((2, 255), PROTOCOL_ERROR, 'Request Response Information is 0 or 1'),
    33: ((0,), PROTOCOL_ERROR, 'Receive Maximum 0 is a Protocol Error'),
    35: (
        (0, TOPIC_ALIAS_MAXIMUM + 1, 65535),
        ALIAS_INVALID,
        '[MQTT-3.3.2-8] [MQTT-3.3.2-9] alias 0 or above the maximum',
    ),
    39: ((0,), PROTOCOL_ERROR, 'Maximum Packet Size 0 is a Protocol Error'),
}


@dataclass(frozen=True)
class Carrier:
    """A packet, or the will of a CONNECT, with a property section to fill."""

    name: str
    packet: str  # its name in properties.tsv
    template: Template
    field: str = 'properties'

    def with_section(self, section: bytes) -> bytes:
        return self.template.with_field(self.field, section)


def auth_template() -> Template:
    fields = (Field('reason code', 'byte', b'\x18'),) + properties_field(5, (wire.AUTH_METHOD, 'method'))
    return Template('auth', wire.AUTH, 5, fields, bad(5, PROTOCOL_ERROR))


def carriers() -> list[Carrier]:
    found = [
        Carrier('connect', 'CONNECT', connect_minimal(5)),
        Carrier('connect-full', 'CONNECT', connect_full(5)),
        Carrier('will', 'Will', connect_full(5), 'will properties'),
    ]
    found += [Carrier(f'publish{qos}', 'PUBLISH', publish(5, qos)) for qos in range(3)]
    found += [Carrier(wire.NAMES[kind].lower(), wire.NAMES[kind], acknowledgement(kind, 5, '-full')) for kind in ACKS]
    return found + [
        Carrier('subscribe', 'SUBSCRIBE', subscribe(5)),
        Carrier('unsubscribe', 'UNSUBSCRIBE', unsubscribe(5)),
        Carrier('disconnect', 'DISCONNECT', disconnect(5, '-full')),
        Carrier('auth', 'AUTH', auth_template()),
    ]


def add(book: Book, carrier: Carrier, name, rule, section: bytes, outcomes, setup=None):
    full = f'property/{carrier.name}/{name}'
    if setup:
        book.add(full, 5, rule, carrier.with_section(section), outcomes, setup=setup)
    else:
        place(book, carrier.template, full, rule, carrier.with_section(section), outcomes)


def codes(carrier: Carrier, *found: int):
    """AUTH may not come at all on these connections, so that is as good a reason to close as any other."""
    return carrier.template.bad(*found, *((PROTOCOL_ERROR,) if carrier.packet == 'AUTH' else ()))


def legal_outcomes(carrier: Carrier, identifier: int):
    if identifier == wire.AUTH_METHOD and carrier.packet == 'CONNECT':
        return (
            refused(5, BAD_METHOD),
            'rules.md, CONNECT: an Authentication Method without support is 0x8C [MQTT-4.12.0-1]',
        )
    if identifier == wire.AUTH_DATA and carrier.packet == 'CONNECT':
        return refused(5, PROTOCOL_ERROR), 'Authentication Data without a method is a Protocol Error'
    if carrier.packet == 'AUTH':
        return bad(5, PROTOCOL_ERROR), '[MQTT-4.12.0-7] no AUTH without an Authentication Method in CONNECT'
    return carrier.template.answer, 'a property that this packet may carry'


def legal(book: Book, carrier: Carrier, one):
    """Once with each legal value, twice, and amid User Properties."""
    outcomes, rule = legal_outcomes(carrier, one.identifier)
    for value in LEGAL[one.identifier]:
        shown = str(value)[:20] if not isinstance(value, (bytes, tuple)) else f'{LEGAL[one.identifier].index(value)}'
        found, why = outcomes, rule
        if (one.identifier, carrier.packet) == (wire.SESSION_EXPIRY, 'DISCONNECT') and value:
            kept = Setup('session-expiry-5', props=((wire.SESSION_EXPIRY, 5),))
            add(
                book,
                carrier,
                f'{one.identifier}/legal-{shown}',
                rule,
                wire.properties((one.identifier, value)),
                found,
                kept,
            )
            found, why = bad(5, PROTOCOL_ERROR), 'DISCONNECT may not raise a Session Expiry Interval of 0 (3.14.2.2.2)'
        add(
            book,
            carrier,
            f'{one.identifier}/legal-{shown.replace("/", "|") or "empty"}',
            why,
            wire.properties((one.identifier, value)),
            found,
        )
    plain = wire.prop(one.identifier, LEGAL[one.identifier][0])
    user = wire.prop(wire.USER_PROPERTY, ('k', 'v'))
    add(book, carrier, f'{one.identifier}/between-user-properties', rule, wire.properties(user, plain, user), outcomes)
    if carrier.packet in one.repeats:
        add(
            book,
            carrier,
            f'{one.identifier}/sixty-times',
            'User Property may stand any number of times',
            wire.properties(*[plain] * 60),
            outcomes,
        )
    else:
        twice = 'rules.md, properties: twice where it may not repeat is a Protocol Error'
        add(
            book,
            carrier,
            f'{one.identifier}/twice',
            twice,
            wire.properties(plain, plain),
            codes(carrier, PROTOCOL_ERROR),
        )
        add(
            book,
            carrier,
            f'{one.identifier}/twice-around-a-user-property',
            twice,
            wire.properties(plain, user, plain),
            codes(carrier, PROTOCOL_ERROR),
        )
    cut(book, carrier, one.identifier, plain, MALFORMED)
    wrong_type(book, carrier, one)


def cut(book: Book, carrier: Carrier, identifier, plain: bytes, *wrong: int):
    """The property section ends inside the property, wherever that may be."""
    for size in range(1, len(plain)):
        add(
            book,
            carrier,
            f'{identifier}/cut-to-{size}',
            'rules.md, properties: a value cut short is malformed',
            wire.properties(plain[:size]),
            codes(carrier, *wrong),
        )


def wrong_type(book: Book, carrier: Carrier, one):
    """The value encoded as each other type; what is left over or missing then makes the section malformed."""
    width = {'byte': 1, 'u16': 2, 'u32': 4}
    rule = 'rules.md, properties: a value of the wrong type is malformed'
    head = wire.varint(one.identifier)
    if one.kind in width:
        for kind, size in width.items():
            # 01 00 00 00 read as a shorter number leaves 00, which is no identifier
            if kind != one.kind:
                value = b'\x01\x00\x00\x00'[:size] if size > width[one.kind] else b'\x01' * size
                if one.kind == 'u16' and size == 4:
                    value = b'\x00\x01\x00\x00'
                add(
                    book,
                    carrier,
                    f'{one.identifier}/as-{kind}',
                    rule,
                    wire.properties(head + value),
                    codes(carrier, MALFORMED),
                )
    elif one.kind in ('utf8', 'binary', 'utf8 pair'):
        for kind, value in {'byte': b'\x01', 'u16': b'\x00\x01', 'u32': b'\x7f\x01\x00\x00'}.items():
            add(
                book,
                carrier,
                f'{one.identifier}/as-{kind}',
                rule,
                wire.properties(head + value),
                codes(carrier, MALFORMED),
            )
        if one.kind == 'utf8 pair':
            add(
                book,
                carrier,
                f'{one.identifier}/as-single-string',
                rule,
                wire.properties(head + wire.string('k')),
                codes(carrier, MALFORMED),
            )
    else:  # varint
        for name, value in {
            'padded': b'\x87\x00',
            'five-bytes': b'\x80\x80\x80\x80\x01',
            'unfinished': b'\x87',
            'unfinished-3': b'\xff\xff\xff',
        }.items():
            add(
                book,
                carrier,
                f'{one.identifier}/{name}',
                '[MQTT-1.5.5-1] the fewest bytes, and never more than four',
                wire.properties(head + value),
                codes(carrier, MALFORMED),
            )


def illegal_values(book: Book, carrier: Carrier, one):
    values, code, rule = ILLEGAL[one.identifier]
    for value in values:
        shown = str(value).replace('/', '|')
        add(
            book,
            carrier,
            f'{one.identifier}/illegal-{shown}',
            rule,
            wire.properties((one.identifier, value)),
            codes(carrier, code),
        )
    if one.identifier == wire.RESPONSE_TOPIC:
        add(
            book,
            carrier,
            f'{one.identifier}/empty',
            'a Response Topic is a topic name, and those have at least one '
            'character [MQTT-4.7.3-1]; as a topic that breaks 4.7 malformed, as a bad value a Protocol Error',
            wire.properties((one.identifier, '')),
            codes(carrier, MALFORMED, PROTOCOL_ERROR),
        )


def misplaced(book: Book, carrier: Carrier, one):
    """A property that this packet may not carry."""
    wrong, rule = (MALFORMED,), 'rules.md, properties: an identifier that the packet may not carry is malformed'
    if carrier.packet in one.server_only:
        wrong, rule = (
            MALFORMED,
            PROTOCOL_ERROR,
        ), 'only a server may send it in this packet: not allowed at all, or not ' 'from this side'
    if (one.identifier, carrier.packet) == (wire.SUBSCRIPTION_ID, 'PUBLISH'):
        wrong, rule = (PROTOCOL_ERROR,), '[MQTT-3.3.4-6] a client\'s PUBLISH carries no Subscription Identifier'
    for value in LEGAL[one.identifier][:2]:
        shown = LEGAL[one.identifier].index(value)
        add(
            book,
            carrier,
            f'{one.identifier}/misplaced-{shown}',
            rule,
            wire.properties((one.identifier, value)),
            codes(carrier, *wrong),
        )
    plain = wire.prop(one.identifier, LEGAL[one.identifier][0])
    add(
        book,
        carrier,
        f'{one.identifier}/misplaced-after-a-user-property',
        rule,
        wire.properties((wire.USER_PROPERTY, ('k', 'v')), plain),
        codes(carrier, *wrong),
    )
    cut(book, carrier, one.identifier, plain[:2], MALFORMED, *wrong)


def unknown(book: Book, carrier: Carrier):
    for identifier in (*range(128), 128, 200, 255, 256, 16384, 268435455):
        if identifier not in wire.PROPERTY_TYPES:
            add(
                book,
                carrier,
                f'unknown-{identifier}',
                'rules.md, properties: an unknown identifier is malformed',
                wire.properties(wire.varint(identifier) + b'\x01'),
                codes(carrier, MALFORMED),
            )


def sections(book: Book, carrier: Carrier):
    """The property length itself."""
    rule = '[MQTT-1.5.5-1] the property length uses the fewest bytes'
    user = wire.prop(wire.USER_PROPERTY, ('k', 'v'))
    for size in range(2, 5):
        add(book, carrier, f'length/zero-in-{size}-bytes', rule, wire.varint(0, size), codes(carrier, MALFORMED))
        add(
            book,
            carrier,
            f'length/padded-to-{size}-bytes',
            rule,
            wire.varint(len(user), size) + user,
            codes(carrier, MALFORMED),
        )
    rule = 'rules.md, properties: a variable byte integer of more than four bytes is malformed'
    for name, length in {'five-bytes': b'\x80\x80\x80\x80\x01', 'five-bytes-ff': b'\xff\xff\xff\xff\x7f'}.items():
        add(book, carrier, f'length/{name}', rule, length, codes(carrier, MALFORMED))
    rule = 'a property length that runs past the end of the packet is malformed'
    for length in (200, 16383, 16384, 268435455):
        add(book, carrier, f'length/{length}-too-long', rule, wire.varint(length) + user, codes(carrier, MALFORMED))
    for value in (b'\x80\x01', b'\xa6\x00', b'\xff\xff\xff\xff\x01'):
        add(
            book,
            carrier,
            f'identifier-{value.hex()}',
            'a property identifier is a variable byte integer: padded, too ' 'long or unknown ones are malformed',
            wire.properties(value),
            codes(carrier, MALFORMED),
        )


def authentication(book: Book):
    """Authentication in CONNECT where no method is supported."""
    carrier = carriers()[0]
    both = wire.properties((wire.AUTH_METHOD, 'method'), (wire.AUTH_DATA, b'data'))
    add(
        book,
        carrier,
        'method-and-data',
        'rules.md, CONNECT: a method without support is 0x8C [MQTT-4.12.0-1]',
        both,
        refused(5, BAD_METHOD),
    )
    add(
        book,
        carrier,
        'data-before-method',
        'properties stand in any order',
        wire.properties((wire.AUTH_DATA, b'data'), (wire.AUTH_METHOD, 'method')),
        refused(5, BAD_METHOD),
    )


def add_to(book: Book):
    table = property_table()
    for carrier in carriers():
        for one in table.values():
            if carrier.packet in one.packets:
                legal(book, carrier, one)
                if one.identifier in ILLEGAL:
                    illegal_values(book, carrier, one)
            else:
                misplaced(book, carrier, one)
        unknown(book, carrier)
        sections(book, carrier)
    authentication(book)
