"""The fixed header: every first byte in every state, every kind of Remaining Length."""
from __future__ import annotations

import wire
from expect import CLOSED, answered
from malformed.case import FIRST, MALFORMED, PROTOCOL_ERROR, Book, bad
from malformed.templates import END, VERSIONS, connect_minimal, server_only, valid

SERVER_ONLY = (wire.CONNACK, wire.SUBACK, wire.UNSUBACK, wire.PINGRESP)
PACKET_TOO_LARGE = 0x95
LARGEST = b'\xff\xff\xff\x7f'  # Remaining Length 268,435,455

FIRST_RULE = '[MQTT-3.1.0-1] the first packet is CONNECT; its version being unknown, any other just ends the connection'
FLAGS_RULE = {
    3: 'rules.md, fixed header: flags other than the table\'s are malformed [MQTT-2.2.2-2]',
    4: '[MQTT-2.2.2-2] invalid fixed-header flags close the connection',
    5: '[MQTT-2.1.3-1] reserved fixed-header flags carry the listed value; others are malformed',
}


# Statements that name the flags of one packet.
FLAGS_STATEMENTS = {
    wire.PUBREL: ' [MQTT-3.6.1-1]',
    wire.SUBSCRIBE: ' [MQTT-3.8.1-1]',
    wire.UNSUBSCRIBE: ' [MQTT-3.10.1-1]',
    wire.DISCONNECT: ' [MQTT-3.14.1-1]',
}


def legal_flags(version: int, kind: int, flags: int) -> bool:
    if kind == wire.PUBLISH:
        return flags >> 1 & 3 != 3 and not (flags & 8 and flags >> 1 & 3 == 0)
    if version == 3 and kind in (wire.PUBREL, wire.SUBSCRIBE, wire.UNSUBSCRIBE):
        return flags in (2, 0x0A)  # MQTT 3.1 gives DUP a meaning here
    return flags == wire.REQUIRED_FLAGS.get(kind, 0)


def empty_packet_outcomes(version, kind, flags):
    """The answer to a packet of Remaining Length 0 after CONNACK, or None where that packet is legal."""
    if kind == wire.PINGREQ and flags == 0:
        return answered(version, wire.PONG)
    if kind == wire.DISCONNECT and flags == 0:
        return END
    if kind in (0, wire.CONNECT, *SERVER_ONLY):
        return bad(version, MALFORMED, PROTOCOL_ERROR)
    if kind == wire.AUTH:
        return bad(version, PROTOCOL_ERROR) if flags == 0 else bad(version, MALFORMED, PROTOCOL_ERROR)
    return bad(version, MALFORMED)


def first_bytes(book: Book):
    """All 256 first bytes with Remaining Length 0, before CONNECT and after CONNACK."""
    for first in range(256):
        kind, flags = first >> 4, first & 15
        name = f'header/first-byte-{first:02x}'
        book.add(name, 5, FIRST_RULE, bytes((first, 0)), CLOSED, setup=FIRST)
        for version in VERSIONS:
            if version == 3 and kind not in (0, 15) and not legal_flags(3, kind, flags):
                continue  # see flags(): 3.1 leaves them alone
            rule = (
                f'Remaining Length must hold exactly the packet, flags must be legal, type {kind} must be one that '
                'a client may send after CONNACK; where several of these are broken any of their codes will do'
            )
            book.both(name, version, rule, bytes((first, 0)), empty_packet_outcomes(version, kind, flags))


def flags(book: Book):
    """Well-formed packets with each illegal value of the four flag bits."""
    for version in VERSIONS:
        for template in valid(version):
            for value in range(16):
                if legal_flags(version, template.kind, value):
                    continue
                sent = wire.packet(template.kind, template.body, value)
                name = f'header/flags-{value:04b}/{template.name}'
                if template.connecting:
                    book.add(
                        name, version, FLAGS_RULE[version] + '; no version is known yet', sent, CLOSED, setup=FIRST
                    )
                    continue
                outcomes = bad(version, MALFORMED)
                rule = FLAGS_RULE[version] + FLAGS_STATEMENTS.get(template.kind, '')
                if template.kind == wire.PUBLISH:
                    rule = (
                        '[MQTT-3.3.1-4] QoS bits are never both 1'
                        if value >> 1 & 3 == 3
                        else '[MQTT-3.3.1-2] DUP is 0 on every QoS 0 message; rules.md: malformed'
                    )
                elif version == 3:
                    outcomes += template.answer
                    rule = 'MQTT 3.1 calls these bits unused and binds nobody to check them: closed or served'
                book.both(name, version, rule, sent, outcomes)


def server_packets(book: Book):
    """Packets that only a server may send, and a second CONNECT."""
    for version in VERSIONS:
        for name, sent in server_only(version):
            rule = (
                'a packet that only a server sends is a Protocol Error [MQTT-4.13.1-1]'
                if version == 5
                else ('a packet that only a server sends breaks the protocol [MQTT-4.8.0-1]')
            )
            book.both(f'direction/{name}', version, rule, sent, bad(version, PROTOCOL_ERROR))
            book.add(f'direction/{name}', version, FIRST_RULE, sent, CLOSED, setup=FIRST)
        for second in VERSIONS:
            rule = '[MQTT-3.1.0-2] a second CONNECT ends the connection'
            book.both(
                f'direction/second-connect-of-version-{second}',
                version,
                rule,
                connect_minimal(second).bytes,
                bad(version, PROTOCOL_ERROR),
            )


def before_connect(book: Book):
    """Every well-formed packet but CONNECT as the first one."""
    for version in VERSIONS:
        for template in valid(version):
            if not template.connecting:
                book.add(f'first/{template.name}', version, FIRST_RULE, template.bytes, CLOSED, setup=FIRST)
                book.add(
                    f'first/{template.name}-then-connect',
                    version,
                    FIRST_RULE + '; a CONNECT after it comes too late',
                    template.bytes + connect_minimal(version).bytes,
                    CLOSED,
                    setup=FIRST,
                )
                book.add(
                    f'first/{template.name}-unfinished',
                    version,
                    FIRST_RULE + '; its first byte is enough to tell',
                    template.bytes[:1],
                    CLOSED,
                    setup=FIRST,
                )


def remaining_length(book: Book):
    too_long = {
        'five-bytes': b'\x80\x80\x80\x80\x01',
        'five-bytes-of-ff': b'\xff\xff\xff\xff\x7f',
        'five-bytes-of-zero': b'\x80\x80\x80\x80\x00',
        'six-bytes': b'\xff\xff\xff\xff\xff\x01',
    }
    for version in VERSIONS:
        for template in valid(version):
            first = template.bytes[:1]
            for name, length in too_long.items():
                rule = 'rules.md, properties: a variable byte integer of more than four bytes is malformed'
                if template.connecting:
                    book.add(
                        f'remaining-length/{name}/{template.name}',
                        version,
                        rule + '; no version is known yet',
                        first + length,
                        CLOSED,
                        setup=FIRST,
                    )
                else:
                    book.both(
                        f'remaining-length/{name}/{template.name}',
                        version,
                        rule,
                        first + length,
                        bad(version, MALFORMED),
                    )
            not_minimal(book, version, template)
            if len(template.body):
                longest(book, version, template)


def not_minimal(book: Book, version, template):
    """A Remaining Length in more bytes than it needs."""
    for size in range(2, 5):
        length = wire.varint(len(template.body), size)
        if len(wire.varint(len(template.body))) == size:
            continue
        sent = template.bytes[:1] + length + template.body
        name = f'remaining-length/padded-to-{size}-bytes/{template.name}'
        if version == 5 and template.connecting:
            book.add(
                name,
                version,
                '[MQTT-1.5.5-1] the fewest bytes that hold the value; no version is known yet, or '
                'known from the bytes that came along',
                sent,
                CLOSED + template.bad(MALFORMED),
                setup=FIRST,
            )
        elif version == 5:
            book.both(
                name,
                version,
                '[MQTT-1.5.5-1] a variable byte integer uses the fewest bytes that hold its value',
                sent,
                bad(version, MALFORMED),
            )
        else:
            rule = '3.x describes the encoding without forbidding longer forms: closed or served'
            if template.connecting:
                book.add(name, version, rule, sent, CLOSED + template.answer, setup=FIRST)
            else:
                book.both(name, version, rule, sent, CLOSED + template.answer)


def longest(book: Book, version, template):
    """A Remaining Length beyond the announced Maximum Packet Size is refused before the bytes arrive."""
    sent = template.bytes[:1] + LARGEST
    name = f'remaining-length/largest/{template.name}'
    if template.connecting:
        book.add(
            name,
            version,
            'more than 64 KiB before CONNECT is not awaited (config.md, ' 'limits.packet_size_before_connect)',
            sent,
            CLOSED,
            setup=FIRST,
        )
    elif template.kind in (wire.PUBLISH, wire.SUBSCRIBE, wire.UNSUBSCRIBE):
        book.both(
            name,
            version,
            '[MQTT-3.2.2-15] a packet larger than the Maximum Packet Size that CONNACK announced, '
            'judged at the fixed header'
            if version == 5
            else 'a packet above limits.maximum_packet_size closes ' 'the connection, judged at the fixed header',
            sent,
            bad(version, PACKET_TOO_LARGE),
        )
    else:
        book.both(
            name,
            version,
            'larger than Maximum Packet Size and longer than this packet can be: either will do',
            sent,
            bad(version, PACKET_TOO_LARGE, MALFORMED),
        )


def add_to(book: Book):
    first_bytes(book)
    flags(book)
    server_packets(book)
    before_connect(book)
    remaining_length(book)
