"""Packets cut short, packets with something behind them, unfinished packets: at every byte of every packet."""
from __future__ import annotations

import wire
from expect import CLOSED
from malformed.case import CONNECTED, FIRST, MALFORMED, Book
from malformed.templates import ACKS, VERSIONS, Template, valid

HOLDS = 'rules.md, fixed header: Remaining Length that does not hold exactly the packet is malformed'


def place(book: Book, template: Template, name, rule, sent, outcomes, **more):
    """CONNECT comes first on its connection; all others after CONNACK, seen or not."""
    if template.connecting:
        book.add(name, template.version, rule, sent, outcomes, setup=FIRST, **more)
    else:
        book.both(name, template.version, rule, sent, outcomes, **more)


def ends_at(template: Template, size: int):
    """The outcomes for a packet whose body ends after `size` bytes, and why."""
    at = 0
    for one in template.fields:
        if at == size:
            absent = one.if_absent
            if isinstance(absent, int):
                return template.bad(absent, known_to=size), f'the packet ends before its {one.name}'
            return absent, f'the packet may end before its {one.name}'
        if size < at + len(one.data):
            if one.kind == 'payload':
                return template.answer, 'a payload may have any length'
            return template.bad(MALFORMED, known_to=size), f'the packet ends inside its {one.name}; {HOLDS}'
        at += len(one.data)
    raise AssertionError('the packet does not end here')


def cuts(book: Book):
    """The body cut at each byte, Remaining Length adjusted: the packet is too short for its fields."""
    for version in VERSIONS:
        for template in valid(version):
            for size in range(len(template.body)):
                outcomes, why = ends_at(template, size)
                sent = wire.packet(template.kind, template.body[:size], template.flags)
                place(book, template, f'cut/{template.name}/{size}', why, sent, outcomes)


def trailing(book: Book):
    """Bytes behind the last field, counted by Remaining Length."""
    behind = {
        'zero': b'\x00',
        'two-zeros': b'\x00\x00',
        'three-zeros': b'\x00\x00\x00',
        'ff': b'\xff',
        'string': wire.string('more'),
    }
    for version in VERSIONS:
        for template in valid(version):
            if template.kind == wire.PUBLISH:
                continue  # a longer payload
            open_ended = version == 5 and (
                template.kind in range(wire.PUBACK, wire.PUBCOMP + 1) or template.kind == wire.DISCONNECT
            )
            if open_ended and not template.name.endswith('-full'):
                continue  # the next byte would be a reason code or a property length
            for name, more in behind.items():
                if template.kind == wire.UNSUBSCRIBE and name == 'string':
                    continue  # one filter more
                sent = wire.packet(template.kind, template.body + more, template.flags)
                rule = f'bytes behind the last field; {HOLDS}'
                outcomes = template.bad(MALFORMED)
                if (
                    template.kind == wire.SUBSCRIBE
                    and name == 'three-zeros'
                    or (template.kind == wire.UNSUBSCRIBE and 'zeros' in name)
                ):
                    rule = 'an empty topic filter [MQTT-4.7.3-1]; choices.md: malformed'
                place(book, template, f'trailing/{template.name}/{name}', rule, sent, outcomes)


def one_off(book: Book):
    """Each packet with Remaining Length one short, and one long with the missing byte coming late."""
    for version in VERSIONS:
        for template in valid(version):
            body = template.body
            if not body:
                continue
            first = template.bytes[:1]
            if template.fields[-1].kind != 'payload':
                outcomes, why = ends_at(template, len(body) - 1)
                if outcomes == template.bad(MALFORMED):
                    place(
                        book,
                        template,
                        f'one-short/{template.name}',
                        why + '; what follows is not looked at',
                        first + wire.varint(len(body) - 1) + body,
                        outcomes,
                    )
            open_ended = version == 5 and not template.name.endswith('-full')
            if template.kind == wire.PUBLISH or (
                template.kind in (*range(wire.PUBACK, wire.PUBCOMP + 1), wire.DISCONNECT) and open_ended
            ):
                outcomes, why = late_byte(template)
            else:
                outcomes, why = template.bad(MALFORMED), f'one byte behind the last field; {HOLDS}'
            # No acknowledgement of 3.x has that length, so it may be refused before the byte has come.
            early = version < 5 and template.kind in ACKS
            book.add(
                f'one-long/{template.name}',
                version,
                ('the last byte need not be awaited: ' if early else 'the last byte is awaited in silence; then: ')
                + why,
                (first + wire.varint(len(body) + 1) + body, b'\x00'),
                outcomes,
                setup=FIRST if template.connecting else CONNECTED,
                early=early,
            )


def late_byte(template: Template):
    """Where one byte more makes another legal packet: a payload, a reason code 0x00, a property length 0."""
    return template.answer, 'the byte 0x00 makes a packet that is as good as before'


def unfinished(book: Book):
    """Each valid packet stopped at each byte: the client ends there, or goes on after a while."""
    for version in VERSIONS:
        for template in valid(version):
            whole = template.bytes
            for size in range(1, len(whole)):
                name = f'{template.name}/{size}'
                setup = FIRST if template.connecting else CONNECTED
                book.add(
                    f'unfinished/{name}',
                    version,
                    'an unfinished packet has no effect and no answer; the ' 'connection ends with the client\'s',
                    whole[:size],
                    CLOSED,
                    then='fin',
                    setup=setup,
                )
                book.add(
                    f'split/{name}',
                    version,
                    'packets may arrive in any pieces',
                    (whole[:size], whole[size:]),
                    template.answer,
                    setup=setup,
                )


def add_to(book: Book):
    cuts(book)
    trailing(book)
    one_off(book)
    unfinished(book)
