"""Values of single bytes and identifiers: reason codes, packet identifiers, subscription options, all of them."""
from __future__ import annotations

import wire
from expect import IGNORED, Exactly, Outcome, answered
from malformed.case import MALFORMED, PROTOCOL_ERROR, Book, Setup, bad
from malformed.templates import ACKS, END, NO_MATCHING, VERSIONS, ack_answer
from tables import client_codes

CODE_RULE = {
    wire.PUBACK: '[MQTT-3.4.2-1]',
    wire.PUBREC: '[MQTT-3.5.2-1]',
    wire.PUBREL: '[MQTT-3.6.2-1]',
    wire.PUBCOMP: '[MQTT-3.7.2-1]',
    wire.DISCONNECT: '[MQTT-3.14.2-1]',
    wire.AUTH: '[MQTT-3.15.2-1]',
}


def reason_codes(book: Book):
    """All 256 codes in every packet of a client that has one, with and without a property length behind."""
    for kind in ACKS:
        name = wire.NAMES[kind]
        for code in range(256):
            legal = code in client_codes(name)
            outcomes = ack_answer(kind, 5) if legal else bad(5, PROTOCOL_ERROR)
            if legal and kind == wire.PUBREC and code >= 0x80:
                outcomes = IGNORED  # ends a flow that does not exist: no PUBREL
            rule = f'{CODE_RULE[kind]} {name} uses one of its listed reason codes; choices.md: else 0x82'
            for form, tail in (('short', b''), ('with-properties', b'\x00')):
                book.both(
                    f'reason-code/{name.lower()}-{code:02x}/{form}',
                    5,
                    rule,
                    wire.packet(kind, wire.u16(10) + wire.u8(code) + tail),
                    outcomes,
                )
    for code in range(256):
        legal = code in client_codes('DISCONNECT')
        rule = f'{CODE_RULE[wire.DISCONNECT]} DISCONNECT uses one of the reason codes a client may send; else 0x82'
        for form, tail in (('short', b''), ('with-properties', b'\x00')):
            book.both(
                f'reason-code/disconnect-{code:02x}/{form}',
                5,
                rule,
                wire.packet(wire.DISCONNECT, wire.u8(code) + tail),
                END if legal else bad(5, PROTOCOL_ERROR),
            )
        rule = (
            f'{CODE_RULE[wire.AUTH]} [MQTT-4.12.0-7] whatever its code, no AUTH may come on a connection without an '
            'Authentication Method'
        )
        book.both(
            f'reason-code/auth-{code:02x}',
            5,
            rule,
            wire.auth(code, ((wire.AUTH_METHOD, 'method'),)),
            bad(5, PROTOCOL_ERROR),
        )
    book.both(
        'reason-code/auth-without-properties',
        5,
        'rules.md, acknowledgement lengths: AUTH of length 1 is malformed;' ' that it came at all is a Protocol Error',
        wire.packet(wire.AUTH, b'\x18'),
        bad(5, MALFORMED, PROTOCOL_ERROR),
    )


def bodies_in_3x(book: Book):
    """3.x knows no reason codes and no properties: an acknowledgement is two bytes, DISCONNECT has no body."""
    for version in (3, 4):
        for kind in ACKS:
            for name, tail in {'code': b'\x00', 'code-and-properties': b'\x00\x00'}.items():
                book.both(
                    f'body-of-5/{wire.NAMES[kind].lower()}-{name}',
                    version,
                    'rules.md, fixed header: Remaining ' 'Length of an acknowledgement is 2',
                    wire.packet(kind, wire.u16(10) + tail),
                    bad(version),
                )
        for name, body in {'code': b'\x00', 'will-code': b'\x04', 'code-and-properties': b'\x00\x00'}.items():
            book.both(
                f'body-of-5/disconnect-{name}',
                version,
                'rules.md, fixed header: DISCONNECT has no body',
                wire.packet(wire.DISCONNECT, body),
                bad(version),
            )
        for code in (0x00, 0x18, 0x19):
            book.both(
                f'body-of-5/auth-{code:02x}',
                version,
                'packet type 15 is reserved in 3.x [MQTT-4.8.0-1]',
                wire.auth(code, ((wire.AUTH_METHOD, 'method'),)),
                bad(version),
            )
    for kind in (wire.PINGREQ,):
        for version in VERSIONS:
            for name, body in {'zero': b'\x00', 'two-bytes': b'\x00\x0a', 'properties': b'\x00\x00\x00'}.items():
                book.both(
                    f'pingreq-with-body/{name}',
                    version,
                    'rules.md, fixed header: PINGREQ with a body is malformed',
                    wire.packet(kind, body),
                    bad(version, MALFORMED),
                )


# A PUBLISH of QoS 2 was received and awaits its PUBREL.
IN_FLIGHT_QOS2 = {
    v: Setup(
        'qos2-in-flight',
        after=(
            (wire.publish(v, 'p/q2', b'x', 2, 10), (Exactly(wire.pubrec(v, 10, NO_MATCHING if v == 5 else 0), v),)),
        ),
    )
    for v in VERSIONS
}


def packet_ids(book: Book):
    """Identifier 0, identifiers of nothing, and the same ones while a QoS 2 flow is open."""
    for version in VERSIONS:
        rule = ('[MQTT-2.2.1-3]' if version == 5 else '[MQTT-2.3.1-1]') + ' a packet identifier is not zero'
        wrong = (MALFORMED, PROTOCOL_ERROR)
        requests = {
            'publish1': wire.publish(version, 'p/q1', b'x', 1, 0),
            'publish2': wire.publish(version, 'p/q2', b'x', 2, 0),
            'subscribe': wire.subscribe(version, 0, ('s/1', 0)),
            'unsubscribe': wire.unsubscribe(version, 0, 's/1'),
        }
        for name, sent in requests.items():
            book.both(
                f'packet-id/zero/{name}',
                version,
                rule + '; the standard does not say whether malformed or a ' 'Protocol Error',
                sent,
                bad(version, *wrong),
            )
        for kind in ACKS:
            name = wire.NAMES[kind].lower()
            book.both(
                f'packet-id/zero/{name}',
                version,
                rule + '; vulnerability 82: malformed',
                wire.packet(kind, wire.u16(0)),
                bad(version, MALFORMED),
            )
            for identifier in (1, 2, 127, 128, 255, 256, 32767, 32768, 65534, 65535):
                sent = wire.packet(kind, wire.u16(identifier))
                rule_unknown = 'rules.md, PUBLISH: an acknowledgement of an unknown identifier changes no state'
                book.both(
                    f'packet-id/unknown-{identifier}/{name}',
                    version,
                    rule_unknown,
                    sent,
                    ack_answer(kind, version, identifier),
                )
                book.both(
                    f'packet-id/unknown-{identifier}/{name}-three-times',
                    version,
                    rule_unknown,
                    sent * 3,
                    tuple(Outcome(one.packets * 3, one.end) for one in ack_answer(kind, version, identifier)),
                )
            if kind != wire.PUBREL:
                book.add(
                    f'packet-id/of-a-received-publish/{name}',
                    version,
                    'an acknowledgement of the client belongs to '
                    'what the server sent, not to a PUBLISH of its own with that identifier',
                    wire.packet(kind, wire.u16(10)),
                    ack_answer(kind, version),
                    setup=IN_FLIGHT_QOS2[version],
                )
        book.add(
            'packet-id/released',
            version,
            '[MQTT-4.3.3-11] PUBCOMP with PUBREL\'s identifier'
            if version == 5
            else '[MQTT-4.3.3-2] PUBCOMP for PUBREL',
            wire.pubrel(version, 10),
            answered(version, wire.pubcomp(version, 10)),
            setup=IN_FLIGHT_QOS2[version],
        )
        book.add(
            'packet-id/released-twice',
            version,
            'the identifier is free after PUBCOMP: a second PUBREL is unknown',
            wire.pubrel(version, 10) * 2,
            answered(version, wire.pubcomp(version, 10), wire.pubcomp(version, 10, 0x92 if version == 5 else 0)),
            setup=IN_FLIGHT_QOS2[version],
        )
        book.add(
            'packet-id/published-again',
            version,
            '[MQTT-4.3.3-10] until PUBREL, PUBREC again'
            if version == 5
            else '[MQTT-4.3.3-2] until PUBREL, PUBREC again',
            wire.publish(version, 'p/q2', b'x', 2, 10, dup=True),
            repeated_pubrec(version),
            setup=IN_FLIGHT_QOS2[version],
        )
        book.add(
            'packet-id/published-again-without-dup',
            version,
            'DUP decides nothing: the identifier is in use',
            wire.publish(version, 'p/q2', b'x', 2, 10),
            repeated_pubrec(version),
            setup=IN_FLIGHT_QOS2[version],
        )


def repeated_pubrec(version):
    """PUBREC again; in 5.0 with 0x10 once more or plainly 0x00, since nothing was matched a second time."""
    codes = (NO_MATCHING, 0) if version == 5 else (0,)
    return tuple(one for code in codes for one in answered(version, wire.pubrec(version, 10, code)))


def subscription_options(book: Book):
    """All 256 options bytes, in the first and in a later place of the packet."""
    for version in VERSIONS:
        for options in range(256):
            qos, handling, reserved = options & 3, options >> 4 & 3, options & (0xC0 if version == 5 else 0xFC)
            granted = answered(version, wire.suback(version, 10, qos))
            later = answered(version, wire.suback(version, 10, 0, qos))
            if version == 5 and reserved:
                rule, wrong = '[MQTT-3.8.3-5] reserved option bits set: malformed', bad(5, MALFORMED)
            elif version == 5 and (qos == 3 or handling == 3):
                rule, wrong = 'rules.md, SUBSCRIBE: Maximum QoS 3 or Retain Handling 3 is a Protocol Error', bad(
                    5, PROTOCOL_ERROR
                )
            elif qos == 3 or reserved:
                rule, wrong = '[MQTT-3.8.3-4] reserved bits set or QoS not 0, 1, 2: malformed, close', bad(version)
                if version == 3 and qos != 3:
                    rule = 'MQTT 3.1 says of these bits only that they are not used: closed or granted'
                    granted, later = wrong + granted, wrong + later
                    wrong = ()
            else:
                rule, wrong = '[MQTT-3.8.4-5] granted' if version < 5 else '[MQTT-3.8.4-6] granted', ()
            book.both(
                f'options/{options:02x}', version, rule, wire.subscribe(version, 10, ('s/o', options)), wrong or granted
            )
            book.add(
                f'options/{options:02x}-second',
                version,
                rule,
                wire.subscribe(version, 10, ('s/1', 0), ('s/o', options)),
                wrong or later,
            )
    for options in (0x04, 0x05, 0x06, 0x0C, 0x14, 0x2E):
        book.both(
            f'options/shared-no-local-{options:02x}',
            5,
            '[MQTT-3.8.3-4] No Local on a shared subscription',
            wire.subscribe(5, 10, ('$share/g/s/o', options)),
            bad(5, PROTOCOL_ERROR),
        )


def add_to(book: Book):
    reason_codes(book)
    bodies_in_3x(book)
    packet_ids(book)
    subscription_options(book)
