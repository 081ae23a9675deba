"""Strings: bytes that are not UTF-8, code points that are forbidden or frowned upon, lengths that point nowhere.

Every string field of every packet is tried, the string properties of 5.0 among them.
"""
from __future__ import annotations

from dataclasses import dataclass

import wire
from malformed.case import CLIENT_ID, MALFORMED, Book
from malformed.lengths import place
from malformed.templates import VERSIONS, Template, connect_full, connect_minimal, publish, subscribe, unsubscribe
from tables import property_table

NOT_UTF8 = {
    'continuation-alone': b'\x80',
    'last-continuation-alone': b'\xbf',
    'two-continuations': b'\x80\xbf',
    'lead-2-alone': b'\xc3',
    'lead-2-then-ascii': b'\xc3a',
    'lead-3-cut': b'\xe2\x82',
    'lead-3-then-ascii': b'\xe2\x82a',
    'lead-4-cut': b'\xf0\x9f\x98',
    'lead-4-then-ascii': b'\xf0\x9f\x98a',
    'lead-4-cut-to-two': b'\xf0\x9f',
    'overlong-2-c0': b'\xc0\xaf',
    'overlong-2-c1': b'\xc1\xbf',
    'overlong-3': b'\xe0\x80\xaf',
    'overlong-3-highest': b'\xe0\x9f\xbf',
    'overlong-4': b'\xf0\x80\x80\xaf',
    'overlong-4-highest': b'\xf0\x8f\xbf\xbf',
    'overlong-nul': b'\xc0\x80',
    'overlong-nul-3': b'\xe0\x80\x80',
    'surrogate-d800': b'\xed\xa0\x80',
    'surrogate-dbff': b'\xed\xaf\xbf',
    'surrogate-dc00': b'\xed\xb0\x80',
    'surrogate-dfff': b'\xed\xbf\xbf',
    'surrogate-pair': b'\xed\xa0\xbd\xed\xb8\x80',
    'above-10ffff': b'\xf4\x90\x80\x80',
    'lead-f5': b'\xf5\x80\x80\x80',
    'lead-f7': b'\xf7\xbf\xbf\xbf',
    'lead-5': b'\xf8\x88\x80\x80\x80',
    'lead-6': b'\xfc\x84\x80\x80\x80\x80',
    'byte-fe': b'\xfe',
    'byte-ff': b'\xff',
    'latin-1': b'caf\xe9',
    'utf-16-mark': b'\xff\xfe',
}
NUL = {'nul': b'\x00', 'nul-in-the-middle': b'a\x00b', 'nul-last': b'a\x00'}
FROWNED_UPON = {
    'control-01': b'\x01',
    'control-1f': b'\x1f',
    'delete-7f': b'\x7f',
    'control-85': b'\xc2\x85',
    'noncharacter-fdd0': b'\xef\xb7\x90',
    'noncharacter-fffe': b'\xef\xbf\xbe',
    'noncharacter-ffff': b'\xef\xbf\xbf',
    'noncharacter-1ffff': b'\xf0\x9f\xbf\xbf',
    'noncharacter-10ffff': b'\xf4\x8f\xbf\xbf',
}
GOOD = {
    'two-bytes-lowest': b'\xc2\xa0',
    'two-bytes-highest': b'\xdf\xbf',
    'three-bytes-lowest': b'\xe0\xa0\x80',
    'before-surrogates': b'\xed\x9f\xbf',
    'after-surrogates': b'\xee\x80\x80',
    'four-bytes-lowest': b'\xf0\x90\x80\x80',
    'emoji': '😀'.encode(),
    'replacement': b'\xef\xbf\xbd',
    'byte-order-mark': b'\xef\xbb\xbf',
    'not-normalized': 'e\u0301'.encode(),
    'backslash-quote-space': b'\\ "\'%',
}

UTF8_RULE = {3: '[MQTT-1.5.3-1]', 4: '[MQTT-1.5.3-1]', 5: '[MQTT-1.5.4-1]'}
NUL_RULE = {3: '[MQTT-1.5.3-2]', 4: '[MQTT-1.5.3-2]', 5: '[MQTT-1.5.4-2]'}
FEFF_RULE = {3: '[MQTT-1.5.3-3]', 4: '[MQTT-1.5.3-3]', 5: '[MQTT-1.5.4-3]'}


@dataclass(frozen=True)
class Hole:
    """A place for a string: a packet whose field `field` is rebuilt around it."""

    name: str
    template: Template
    field: str
    before: bytes = b''  # stands before the string's bytes inside the field's value
    wrap: object = wire.string

    def filled(self, text: bytes) -> bytes:
        return self.template.with_field(self.field, self.wrap(self.before + text))


def holes(version) -> list[Hole]:
    full = connect_full(version)
    found = [
        Hole('connect/client-id', connect_minimal(version), 'client id', CLIENT_ID),
        Hole('connect/will-topic', full, 'will topic', b'w/'),
        Hole('connect/user-name', full, 'user name'),
        *(Hole(f'publish{qos}/topic', publish(version, qos), 'topic', b'p/') for qos in range(3)),
        Hole('subscribe/filter', subscribe(version), 'filter 1', b's/'),
        Hole('subscribe/second-filter', subscribe(version, 3), 'filter 2', b's/'),
        Hole('unsubscribe/filter', unsubscribe(version), 'filter 1', b's/'),
        Hole('unsubscribe/second-filter', unsubscribe(version, 2), 'filter 2', b's/'),
    ]
    return found + (property_holes() if version == 5 else [])


def property_holes() -> list[Hole]:
    """The string properties of each packet."""
    from malformed.properties import carriers  # the one list of packets that carry properties

    found = []
    for carrier in carriers():
        if carrier.packet == 'AUTH':
            continue  # no AUTH is legal on these connections, so nothing could be told from its answer
        for one in property_table().values():
            if carrier.packet not in one.packets or one.identifier == wire.AUTH_METHOD:
                continue
            name = one.name.lower().replace(' ', '-')
            if one.kind == 'utf8':
                found.append(
                    Hole(
                        f'{carrier.name}/{name}',
                        carrier.template,
                        carrier.field,
                        b'p/',
                        lambda text, i=one: wire.properties((i.identifier, text)),
                    )
                )
            elif one.kind == 'utf8 pair':
                found.append(
                    Hole(
                        f'{carrier.name}/{name}-name',
                        carrier.template,
                        carrier.field,
                        wrap=lambda text, i=one: wire.properties((i.identifier, (text, 'v'))),
                    )
                )
                found.append(
                    Hole(
                        f'{carrier.name}/{name}-value',
                        carrier.template,
                        carrier.field,
                        wrap=lambda text, i=one: wire.properties((i.identifier, ('k', text))),
                    )
                )
    return found


def add_to(book: Book):
    for version in VERSIONS:
        for hole in holes(version):
            bad, answer = hole.template.bad(MALFORMED), hole.template.answer
            for name, text in NOT_UTF8.items():
                place(
                    book,
                    hole.template,
                    f'string/{hole.name}/{name}',
                    UTF8_RULE[version] + ' strings are valid UTF-8',
                    hole.filled(text),
                    bad,
                )
            for name, text in NUL.items():
                place(
                    book,
                    hole.template,
                    f'string/{hole.name}/{name}',
                    NUL_RULE[version] + ' no U+0000 in a string',
                    hole.filled(text),
                    bad,
                )
            for name, text in FROWNED_UPON.items():
                place(
                    book,
                    hole.template,
                    f'string/{hole.name}/{name}',
                    'control characters and non-characters: the '
                    'standard says SHOULD NOT and lets the receiver treat them as malformed',
                    hole.filled(text),
                    bad + answer,
                )
            for name, text in GOOD.items():
                place(
                    book,
                    hole.template,
                    f'string/{hole.name}/{name}',
                    FEFF_RULE[version] + ' valid UTF-8 is taken as ' 'it is, U+FEFF and unnormalized text included',
                    hole.filled(text),
                    answer,
                )
        lengths(book, version)


def lengths(book: Book, version):
    """The two bytes of length of each string field pointing beyond the end of the packet."""
    full = connect_full(version)
    fields = [
        (full, 'client id'),
        (full, 'will topic'),
        (full, 'will payload'),
        (full, 'user name'),
        (full, 'password'),
        *((publish(version, qos), 'topic') for qos in range(3)),
        (subscribe(version), 'filter 1'),
        (subscribe(version, 3), 'filter 3'),
        (unsubscribe(version), 'filter 1'),
        (unsubscribe(version, 2), 'filter 2'),
    ]
    for template, name in fields:
        data = next(one.data for one in template.fields if one.name == name)
        rest = template.body[template.body.rindex(data) :]
        for label, length in {
            'one-beyond-the-end': len(rest) - 1,
            'far-beyond-the-end': 0x7FFF,
            'ffff': 0xFFFF,
        }.items():
            place(
                book,
                template,
                f'string-length/{template.name}/{name.replace(" ", "-")}/{label}',
                'a length that runs past the end of the packet is malformed (1.5.4; rules.md, fixed header)',
                template.with_field(name, wire.u16(length) + data[2:]),
                template.bad(MALFORMED),
            )
