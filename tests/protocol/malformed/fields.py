"""Whole fields left out, put in twice, and in the place of another: where what the rest then means can be told.

The judge of that is a reader of its own, written from the standard's grammar: a mutilated body is a case only when that
reader finds it broken, so no case depends on what the bytes happen to mean.
"""
from __future__ import annotations

import wire
from expect import CLOSED, refused
from malformed.case import FIRST, MALFORMED, PROTOCOL_ERROR, Book, bad
from malformed.lengths import place
from malformed.properties import carriers, codes
from malformed.templates import VERSIONS, Template, valid
from wire import BadPacket, Reader

QUOTA = 0x97


class Broken(Exception):
    """The body does not hold exactly the fields of its packet."""


def text(reader: Reader) -> bytes:
    found = reader.string()
    try:
        found.decode('utf-8')
    except UnicodeDecodeError as fault:
        raise Broken from fault
    if b'\0' in found:
        raise Broken
    return found


def section(reader: Reader, version: int):
    if version == 5:
        reader.properties()


def read_filters(reader: Reader, with_options: bool):
    """At least one filter, each of them whole."""
    while True:
        text(reader)
        if with_options:
            reader.uint(1)
        if reader.at == len(reader.data):
            return


def read_connect(reader: Reader, version: int):
    if reader.string() != wire.raw('MQIsdp' if version == 3 else 'MQTT') or reader.uint(1) != version:
        raise Broken
    flags = reader.uint(1)
    reader.uint(2)
    section(reader, version)
    text(reader)
    if flags & 4:
        section(reader, version)
        text(reader)
        reader.string()
    if flags & 0x80:
        text(reader)
    if flags & 0x40:
        reader.string()


def is_broken(template: Template, body: bytes) -> bool:
    """Whether the body cannot be one of this packet, by its fields alone."""
    reader, version = Reader(body), template.version
    try:
        if template.connecting:
            read_connect(reader, version)
        elif template.kind in (wire.SUBSCRIBE, wire.UNSUBSCRIBE):
            reader.uint(2)
            section(reader, version)
            read_filters(reader, template.kind == wire.SUBSCRIBE)
        else:
            return False  # their rest is a payload, or may be left out
        if reader.rest():
            raise Broken
    except (BadPacket, Broken):
        return True
    return False


def mutilated(template: Template):
    """(name, body) of the packet with each field missing, twice, and exchanged with the next one."""
    fields = [one.data for one in template.fields]
    for i, one in enumerate(template.fields):
        name = one.name.replace(' ', '-')
        yield f'without-{name}', b''.join(fields[:i] + fields[i + 1 :])
        yield f'twice-{name}', b''.join(fields[: i + 1] + fields[i:])
        yield f'three-times-{name}', b''.join(fields[: i + 1] + [fields[i]] * 2 + fields[i + 1 :])
        for j in range(i + 1, len(fields)):
            changed = list(fields)
            changed[i], changed[j] = fields[j], fields[i]
            yield f'{name}-in-place-of-{template.fields[j].name.replace(" ", "-")}', b''.join(changed)


def whole_fields(book: Book):
    for version in VERSIONS:
        for template in valid(version):
            for name, body in mutilated(template):
                if not is_broken(template, body):
                    continue
                known = 7 if body[:7] == template.body[:7] else 0
                outcomes = template.bad(MALFORMED, PROTOCOL_ERROR, known_to=known)
                if template.connecting:
                    # Which rule is met first decides whether the version is known by then, and which it is.
                    outcomes += other_refusals(version)
                place(
                    book,
                    template,
                    f'field/{template.name}/{name}',
                    'rules.md, fixed header and CONNECT: the body does not hold exactly the fields of its packet, '
                    'whichever of them is missed first',
                    wire.packet(template.kind, body, template.flags),
                    outcomes,
                )


def other_refusals(version: int):
    """A CONNECT whose first fields are broken may be closed, refused for its name or level, or for what follows."""
    found = CLOSED + refused(4, 1) + refused(5, 0x84)
    return found + refused(4, 2) if version < 5 else found + bad(5, MALFORMED, PROTOCOL_ERROR, connecting=True)


def too_many_properties(book: Book):
    """config.md: at most 64 User Properties and 16 KiB of properties in one packet, whichever packet it is."""
    pair = wire.prop(wire.USER_PROPERTY, ('k', 'v'))
    long_pair = wire.prop(wire.USER_PROPERTY, ('k' * 1000, 'v' * 1000))
    for carrier in carriers():
        for name, part, times in (
            ('65-user-properties', pair, 65),
            ('1000-user-properties', pair, 1000),
            ('16-kib-and-more', long_pair, 9),
        ):
            place(
                book,
                carrier.template,
                f'field/{carrier.name}/{name}',
                'vulnerability 26: more properties than are taken are a quota exceeded (0x97), however small each is',
                carrier.with_section(wire.properties(*[part] * times)),
                codes(carrier, QUOTA),
            )


def trailing_packets(book: Book):
    """What follows a broken packet in the same segment is not handled, whatever it is."""
    for version in VERSIONS:
        broken = {
            'reserved-flags': wire.packet(wire.PUBACK, wire.u16(10), 1),
            'no-filter': wire.packet(wire.SUBSCRIBE, wire.u16(10) + (b'\0' if version == 5 else b'')),
            'wildcard-topic': wire.publish(version, 'p/#', b'x', 1, 10),
            'second-connect': wire.connect(version, 'somebody'),
            'server-packet': wire.suback(version, 10, 0),
        }
        codes_of = {'reserved-flags': (MALFORMED,), 'wildcard-topic': (MALFORMED,)}
        for name, sent in broken.items():
            for template in valid(version):
                book.both(
                    f'after/{name}/{template.name}',
                    version,
                    '[MQTT-4.8.0-1] the connection ends with the broken packet'
                    if version < 5
                    else '[MQTT-4.13.1-1] the connection ends with the broken packet',
                    sent + template.bytes,
                    bad(version, *codes_of.get(name, (PROTOCOL_ERROR,))),
                )


def auth_before_and_after(book: Book):
    """AUTH where none may come: first of all, and on a connection without a method, in every shape."""
    method = ((wire.AUTH_METHOD, 'method'),)
    shapes = {
        'empty': wire.packet(wire.AUTH),
        'code-alone': wire.packet(wire.AUTH, b'\x18'),
        'without-method': wire.auth(0x18),
        'with-method': wire.auth(0x18, method),
        'with-method-and-data': wire.auth(0x18, method + ((wire.AUTH_DATA, b'\x00\xff'),)),
        'reauthenticate': wire.auth(0x19, method),
        'success': wire.auth(0x00, method),
        'data-alone': wire.auth(0x18, ((wire.AUTH_DATA, b'data'),)),
        'with-reason': wire.auth(0x18, method + ((wire.REASON_STRING, 'because'),)),
        'twice-the-method': wire.auth(0x18, method * 2),
        'cut-in-the-method': wire.packet(wire.AUTH, b'\x18\x09\x15\x00\x06met'),
        'unknown-code': wire.auth(0x01, method),
        'trailing': wire.packet(wire.AUTH, wire.auth(0x18, method)[2:] + b'\0'),
    }
    for name, sent in shapes.items():
        for version in VERSIONS:
            rule = '[MQTT-3.1.0-1] the first packet is CONNECT'
            book.add(f'auth/{name}-first', version, rule, sent, CLOSED, setup=FIRST)
            book.both(
                f'auth/{name}',
                version,
                'packet type 15 is reserved in 3.x [MQTT-4.8.0-1]'
                if version < 5
                else '[MQTT-4.12.0-7] no AUTH on a connection without an Authentication Method; where it is broken '
                'besides, that code will do too',
                sent,
                bad(version, PROTOCOL_ERROR, MALFORMED),
            )


def add_to(book: Book):
    whole_fields(book)
    too_many_properties(book)
    trailing_packets(book)
    auth_before_and_after(book)
