"""CONNECT itself: names and levels, all 256 flag bytes, client identifiers, what follows a refused one."""
from __future__ import annotations

import wire
from expect import CLOSED, accepted, refused
from malformed.case import CLIENT_ID, FIRST, MALFORMED, PROTOCOL_ERROR, Book, bad
from malformed.templates import VERSIONS, connect_minimal
from wire import properties, string, u8, u16

UNSUPPORTED = 0x84
BAD_NAMES = {
    'empty': '',
    'short': 'MQT',
    'long': 'MQTTT',
    'lower-case': 'mqtt',
    'mixed-case': 'Mqtt',
    'trailing-nul': 'MQTT\0',
    'leading-space': ' MQTT',
    'other-3.1': 'MQIsdP',
    'short-3.1': 'MQIsd',
    'long-3.1': 'MQIsdpp',
    'http': 'HTTP',
    'zeros': '\0\0\0\0',
    'not-utf8': b'\xff\xfe\xfd\xfc',
    'long-name': 'M' * 300,
}


def rest_of(version, client_id=CLIENT_ID, flags=2):
    return u8(flags) + u16(60) + (properties() if version == 5 else b'') + string(client_id)


def names_and_levels(book: Book):
    for name, text in BAD_NAMES.items():
        for level in VERSIONS:
            answer = refused(5, UNSUPPORTED) if level == 5 else refused(4, 1)
            book.add(
                f'connect/protocol-name-{name}',
                level,
                '[MQTT-3.1.2-1] another protocol name: close; a CONNACK before ' 'that is allowed',
                wire.packet(wire.CONNECT, string(text) + u8(level) + rest_of(level)),
                CLOSED + answer,
                setup=FIRST,
            )
    for name in ('MQTT', 'MQIsdp'):
        for level in range(256):
            if (name, level) in (('MQTT', 4), ('MQTT', 5), ('MQIsdp', 3)):
                continue
            old, new = refused(4, 1), refused(5, UNSUPPORTED)
            if name == 'MQTT' and level < 4:
                outcomes, rule, version = old, '[MQTT-3.1.2-2] unsupported level: CONNACK 0x01, then close', 4
            elif name == 'MQTT':
                outcomes, rule, version = (
                    new,
                    'choices.md: unsupported level 0x84, for who is newer than 5.0 ' '[MQTT-3.1.2-2]',
                    5,
                )
            else:
                outcomes, rule, version = (
                    CLOSED + old + new,
                    'MQIsdp has level 3 and no other: an unknown name or an ' 'unsupported level',
                    3,
                )
            if level >= 128:
                outcomes = outcomes + old + new
                rule += '; the top bit is what bridges of some brokers set upon 3 or 4, so either form of CONNACK'
            book.add(
                f'connect/level-{level}-{name}',
                version,
                rule,
                wire.packet(wire.CONNECT, string(name) + u8(level) + rest_of(5)),
                outcomes,
                setup=FIRST,
            )


def flag_verdict(version, flags):
    """Why these connect flags are wrong, or ''."""
    will, qos, retain = flags & 4, flags >> 3 & 3, flags & 0x20
    five = version == 5
    if flags & 1:
        return '[MQTT-3.1.2-3] the reserved connect flag is 0'
    if not will and qos:
        return '[MQTT-3.1.2-11] Will QoS without a will' if five else '[MQTT-3.1.2-13] Will QoS without a will'
    if not will and retain:
        return '[MQTT-3.1.2-13] Will Retain without a will' if five else '[MQTT-3.1.2-15] Will Retain without a will'
    if qos == 3:
        return '[MQTT-3.1.2-12] Will QoS 3 is malformed' if five else '[MQTT-3.1.2-14] Will QoS is never 3'
    if not five and flags & 0x40 and not flags & 0x80:
        return '[MQTT-3.1.2-22] a password without a user name'
    return ''


def payload_for(version, flags, client_id=CLIENT_ID):
    fields = [string(client_id)]
    if flags & 4:
        fields.append((properties() if version == 5 else b'') + string('w/flags'))
        fields.append(string(''))  # nothing is retained by an empty will
    if flags & 0x80:
        fields.append(string('user'))
    if flags & 0x40:
        fields.append(string('secret'))
    return fields


def all_flags(book: Book):
    """Every flag byte, with a payload as the flags say, one field short and one field long."""
    for version in VERSIONS:
        head = wire.protocol_name(version) + u8(version)
        for flags in range(256):
            fields = payload_for(version, flags)
            middle = u8(flags) + u16(60) + (properties() if version == 5 else b'')
            why, answer = flag_verdict(version, flags), accepted(version)
            wrong = bad(version, MALFORMED, connecting=True)
            outcomes = wrong if why else answer
            if version == 3 and why and flags & 0x18 != 0x18 and not (flags & 0x40 and not flags & 0x80):
                outcomes, why = wrong + answer, why + '; MQTT 3.1 does not say what a server does about it'

            def add(name, rule, payload, expected):
                book.add(
                    f'connect/flags-{flags:08b}{name}',
                    version,
                    rule,
                    wire.packet(wire.CONNECT, head + middle + b''.join(payload)),
                    expected,
                    setup=FIRST,
                )

            add('', why or 'rules.md, CONNECT: legal flags and a payload to match', fields, outcomes)
            if not why:
                rule = 'rules.md, CONNECT: a payload shorter or longer than the flags say is malformed'
                add('-one-field-short', rule, fields[:-1], wrong)
                add('-one-field-long', rule, fields + [string('more')], wrong)


def client_ids(book: Book):
    for version in VERSIONS:
        invalid = refused(5, 0x85) if version == 5 else refused(version, 2)
        for length in (23, 24, 255, 256, 1023, 1024):
            text = CLIENT_ID + b'x' * (length - len(CLIENT_ID))
            book.add(
                f'connect/client-id-of-{length}',
                version,
                'choices.md: any valid UTF-8 up to 1024 bytes [MQTT-3.1.3-5]',
                wire.connect(version, text),
                accepted(version),
                setup=FIRST,
            )
        for length in (1025, 4096, 65000):
            text = CLIENT_ID + b'x' * (length - len(CLIENT_ID))
            book.add(
                f'connect/client-id-of-{length}',
                version,
                'choices.md: client identifiers up to 1024 bytes; a '
                'rejected one is 0x85 (5.0) or 0x02 ' + ('[MQTT-3.1.3-8]' if version == 5 else '[MQTT-3.1.3-9]'),
                wire.connect(version, text),
                invalid,
                setup=FIRST,
            )
        for name, hostile in {
            'hash': '#',
            'plus': '+',
            'slash': '/',
            'dots': '../..',
            'space': ' ',
            'proto': '__proto__',
            'percent': '%c%u',
            'quote': "';--",
            'tag': '<script>',
            'meta': '_meta',
        }.items():
            book.add(
                f'connect/client-id-with-{name}',
                version,
                'choices.md: client identifiers may be hostile to all but MQTT',
                wire.connect(version, CLIENT_ID + hostile.encode()),
                accepted(version),
                setup=FIRST,
            )
        empty_client_id(book, version)


def empty_client_id(book: Book, version):
    for clean in (True, False):
        if version == 5:
            outcomes, rule = (
                accepted(5, wanted={wire.ASSIGNED_CLIENT_ID: bool}),
                '[MQTT-3.2.2-16] an empty client identifier is answered by an Assigned Client Identifier',
            )
        elif version == 4 and clean:
            outcomes, rule = accepted(4), '[MQTT-3.1.3-6] an empty identifier is allowed with Clean Session 1'
        elif version == 4:
            outcomes, rule = refused(4, 2), '[MQTT-3.1.3-8] empty identifier with Clean Session 0: 0x02, then close'
        else:
            outcomes, rule = refused(3, 2), 'choices.md: 3.1 has no empty client identifier: always 0x02'
        book.add(
            f'connect/client-id-empty-clean-{int(clean)}',
            version,
            rule,
            wire.connect(version, '', clean),
            outcomes,
            setup=FIRST,
        )


def after_a_refusal(book: Book):
    """What comes behind a refused CONNECT is not handled, however good it is."""
    rule = {
        5: '[MQTT-3.1.4-6] nothing is handled after a refusal',
        4: '[MQTT-3.1.4-5] nothing is handled after a refusal',
        3: 'choices.md: nothing after a refusal is handled',
    }
    more = {
        'pingreq': lambda v: wire.PING,
        'publish1': lambda v: wire.publish(v, 'p/q1', b'x', 1, 10),
        'subscribe': lambda v: wire.subscribe(v, 10, ('s/1', 0)),
        'connect': lambda v: connect_minimal(v).bytes,
        'disconnect': lambda v: wire.disconnect(v),
        'garbage': lambda v: b'\xff' * 40,
        'many-pingreqs': lambda v: wire.PING * 500,
    }
    for version in VERSIONS:
        refusals = {
            'malformed': (
                wire.packet(wire.CONNECT, wire.protocol_name(version) + u8(version) + rest_of(version, flags=3)),
                bad(version, MALFORMED, connecting=True),
            )
        }
        if version == 5:
            refusals['protocol-error'] = (
                wire.connect(5, CLIENT_ID, props=((wire.RECEIVE_MAXIMUM, 0),)),
                refused(5, PROTOCOL_ERROR),
            )
            refusals['unsupported'] = (
                wire.packet(wire.CONNECT, string('MQTT') + u8(6) + rest_of(5)),
                refused(5, UNSUPPORTED),
            )
            refusals['method'] = (wire.connect(5, CLIENT_ID, props=((wire.AUTH_METHOD, 'm'),)), refused(5, 0x8C))
        else:
            refusals['identifier'] = (wire.connect(version, '', clean=False), refused(version, 2))
        for name, (sent, outcomes) in refusals.items():
            for behind, build in more.items():
                book.add(
                    f'connect/refused-{name}-then-{behind}',
                    version,
                    rule[version],
                    sent + build(version),
                    outcomes,
                    setup=FIRST,
                )


def add_to(book: Book):
    names_and_levels(book)
    all_flags(book)
    client_ids(book)
    after_a_refusal(book)
