"""Topic names and filters: wildcards where none may be, empty ones, deep and long ones, shared ones of every kind."""
from __future__ import annotations

import wire
from expect import CLOSED, IGNORED, Disconnect, Outcome, accepted, answered, dropped
from features import offered
from malformed.case import CLIENT_ID, FIRST, MALFORMED, PROTOCOL_ERROR, Book, bad
from malformed.templates import NO_MATCHING, VERSIONS, publish_answer

NAME_INVALID, FILTER_INVALID, NOT_AUTHORIZED = 0x90, 0x8F, 0x87

BAD_NAMES = {
    'plus': '+',
    'hash': '#',
    'plus-level': 'p/+',
    'hash-level': 'p/#',
    'plus-inside': 'p/a+b',
    'hash-inside': 'p/a#',
    'plus-first': '+/p',
    'hash-first': '#/p',
    'plus-in-the-middle': 'p/+/q',
    'share-with-wildcard': '$share/g/p/+',
}
GOOD_NAMES = {
    'slash': '/',
    'slashes': '//',
    'leading-slash': '/p',
    'trailing-slash': 'p/',
    'space': 'p /q',
    'dollar': '$',
    'dollar-x': '$x',
    'dollar-inside': 'p/$x',
    'one-letter': 'p',
    'dollar-share': '$share',
    '200-levels': '/' * 199,
    'longest': 'p' * 65535,
    'case': 'P/p',
    'dots': 'p/../q',
    'proto': '__proto__',
    'quote': "p';--",
}
BAD_FILTERS = {
    'empty': '',
    'hash-not-last': 's/#/t',
    'hash-glued': 's/t#',
    'hash-glued-in-front': 's/#t',
    'two-hashes': '#/#',
    'plus-glued': 's/t+',
    'plus-glued-in-front': 's/+t',
    'two-plus': 's/++',
    'plus-hash': 's/+#',
    'hash-plus': 's/#+',
    'hash-slash': '#/',
    'hash-twice': '##',
    'plus-inside': 's/t+u/v',
}
GOOD_FILTERS = {
    'under': 's/f/#',
    'one': 's/f/+',
    'plus-in-the-middle': 's/+/f',
    'both': 's/+/f/#',
    'several-plus': 's/+/+/+',
    'dollar': '$',
    'dollar-x': '$x',
    'dollar-x-hash': '$x/#',
    'space': 's/ ',
    'share-alone': '$share',
    '200-levels': '/'.join('s' * 200),
    'longest': 's' * 65535,
    'shares': '$shares/g/s',
    'upper-case': '$SHARE/g/s',
    'proto': '__proto__',
    'trailing-slash': 's/',
}
# These match what other cases publish, or are matched by it.
WIDE_FILTERS = {
    'hash': '#',
    'plus': '+',
    'plus-plus': '+/+',
    'slash': '/',
    'slashes': '//',
    'slash-hash': '/#',
    'plus-hash': '+/#',
    'slash-plus': '/+',
    'plus-slash': '+/',
    'shared-hash': '$share/g/#',
    'shared-plus': '$share/g/+',
}
BAD_SHARES = {
    'no-name': '$share/',
    'empty-name': '$share//s',
    'no-filter': '$share/g',
    'empty-filter': '$share/g/',
    'plus-in-name': '$share/g+/s',
    'hash-in-name': '$share/g#/s',
    'plus-name': '$share/+/s',
    'hash-name': '$share/#',
    'hash-name-and-filter': '$share/#/s',
    'only-slashes': '$share///',
}
BAD_IN_SHARES = {'hash-not-last': '$share/g/#/s', 'plus-glued': '$share/g/s+', 'hash-glued': '$share/g/s#'}
GOOD_SHARES = {
    'plain': '$share/g/s/f',
    'wildcard': '$share/g/s/#',
    'plus': '$share/g/s/+',
    'leading-slash': '$share/g//s',
    'unicode-name': '$share/ü/s',
    'dollar-name': '$share/$share/s',
    'nested': '$share/g/$share/h/s',
}

TOPIC_RULE = 'choices.md: topic names that break 4.7 are malformed '


def names(book: Book):
    for version in VERSIONS:
        wildcard = '[MQTT-3.3.2-2] no wildcards in a topic name'
        for qos in range(3):
            for name, topic in BAD_NAMES.items():
                book.both(
                    f'topic-name/{name}/publish{qos}',
                    version,
                    TOPIC_RULE + wildcard,
                    wire.publish(version, topic, b'x', qos, 10),
                    bad(version, MALFORMED),
                )
                book.both(
                    f'topic-name/{name}/publish{qos}-retained-and-empty',
                    version,
                    TOPIC_RULE + wildcard,
                    wire.publish(version, topic, b'', qos, 10, retain=True),
                    bad(version, MALFORMED),
                )
            book.both(
                f'topic-name/empty/publish{qos}',
                version,
                '[MQTT-4.7.3-1]; rules.md, PUBLISH: an empty topic without ' 'an alias is a Protocol Error',
                wire.publish(version, '', b'x', qos, 10),
                bad(version, PROTOCOL_ERROR),
            )
            for name, topic in GOOD_NAMES.items():
                book.both(
                    f'topic-name/good-{name}/publish{qos}',
                    version,
                    'rules.md, topics: a topic name like any other',
                    wire.publish(version, topic, b'x', qos, 10),
                    publish_answer(version, qos),
                    alone=True,
                )
        for name, topic in {**BAD_NAMES, 'empty': ''}.items():
            rule = (
                TOPIC_RULE + '[MQTT-4.7.3-1]'
                if name == 'empty'
                else TOPIC_RULE + '[MQTT-4.7.1-1]'
                if version < 5
                else TOPIC_RULE + '[MQTT-4.7.0-1]'
            )
            codes = (MALFORMED, PROTOCOL_ERROR) if name == 'empty' else (MALFORMED,)
            book.add(
                f'will-topic/{name}',
                version,
                rule,
                wire.connect(version, CLIENT_ID, will=wire.Will(topic, b'x')),
                bad(version, *codes, connecting=True),
                setup=FIRST,
            )
        for name, topic in GOOD_NAMES.items():
            if name != 'longest':  # longer than a server must read from a stranger
                book.add(
                    f'will-topic/good-{name}',
                    version,
                    'rules.md, topics: a topic name like any other',
                    wire.connect(version, CLIENT_ID, will=wire.Will(topic, b'x')),
                    accepted(version),
                    setup=FIRST,
                )
        too_deep_to_publish(book, version)
        server_topics(book, version)


def too_deep_to_publish(book: Book, version):
    topic = '/' * 200
    rule = (
        'choices.md: up to 200 levels; a well-formed topic beyond is refused with 0x90 by acknowledgement or DISCONNECT'
    )
    closed = dropped(version, NAME_INVALID)
    for name, deep in {'201-levels': topic, '65535-slashes': '/' * 65535}.items():
        book.both(f'topic-name/{name}/publish0', version, rule, wire.publish(version, deep, b'x'), closed + IGNORED)
        for qos, answer in ((1, wire.puback), (2, wire.pubrec)):
            book.both(
                f'topic-name/{name}/publish{qos}',
                version,
                rule,
                wire.publish(version, deep, b'x', qos, 10),
                closed + answered(version, answer(version, 10, NAME_INVALID if version == 5 else 0)),
            )


def server_topics(book: Book, version):
    """$SYS belongs to the server."""
    rule = 'choices.md: clients cannot publish to $SYS: refused by either code (5.0), dropped or closed (3.x)'
    for name, topic in {'sys': '$SYS', 'sys-broker': '$SYS/broker/version'}.items():
        closed = dropped(version, NAME_INVALID, NOT_AUTHORIZED)
        book.both(f'topic-name/{name}/publish0', version, rule, wire.publish(version, topic, b'x'), closed + IGNORED)
        for qos, answer in ((1, wire.puback), (2, wire.pubrec)):
            refused = tuple(
                one
                for code in ((NAME_INVALID, NOT_AUTHORIZED) if version == 5 else (0,))
                for one in answered(version, answer(version, 10, code))
            )
            book.both(
                f'topic-name/{name}/publish{qos}',
                version,
                rule,
                wire.publish(version, topic, b'x', qos, 10),
                closed + refused,
            )


def filters(book: Book):
    for version in VERSIONS:
        for name, one in (*BAD_FILTERS.items(), *BAD_IN_SHARES.items()):
            rule = 'choices.md: topic filters that break 4.7 are malformed ' + (
                '[MQTT-4.7.3-1]'
                if name == 'empty'
                else '[MQTT-4.7.1-1]'
                if 'hash' in name
                else '[MQTT-4.7.1-2]'
                if version == 5
                else '[MQTT-4.7.1-3]'
            )
            shared = 'shared-' if one.startswith('$share') else ''
            in_place(book, version, shared + name, one, rule, bad(version, MALFORMED))
        for name, one in BAD_SHARES.items():
            if version == 5:
                in_place(
                    book,
                    version,
                    'share-' + name,
                    one,
                    '[MQTT-4.8.2-1] [MQTT-4.8.2-2] a bad $share filter: malformed '
                    'as a filter, or a Protocol Error for breaking 4.8',
                    bad(5, MALFORMED, PROTOCOL_ERROR),
                )
            else:
                shares_in_3x(book, version, name, one)
        for name, one in {**GOOD_FILTERS, **GOOD_SHARES}.items():
            good_filter(book, version, name, one, alone=False)
        for name, one in WIDE_FILTERS.items():
            good_filter(book, version, 'wide-' + name, one, alone=True)
        too_deep_to_subscribe(book, version)


def in_place(book: Book, version, name, one, rule, outcomes):
    book.both(f'filter/{name}/subscribe', version, rule, wire.subscribe(version, 10, (one, 0)), outcomes)
    book.both(
        f'filter/{name}/subscribe-second', version, rule, wire.subscribe(version, 10, ('s/1', 0), (one, 1)), outcomes
    )
    book.both(f'filter/{name}/unsubscribe', version, rule, wire.unsubscribe(version, 10, one), outcomes)
    book.both(f'filter/{name}/unsubscribe-second', version, rule, wire.unsubscribe(version, 10, 's/1', one), outcomes)


def shares_in_3x(book: Book, version, name, one):
    rule = (
        '3.1.1 knows no $share; mqloop does for 3.x too (choices.md), so a bad one is closed, refused or a plain filter'
    )
    wildcard_broken = '+' in name or '#' in one and not one.endswith('/#') or one.startswith('$share/g+')
    plain = () if wildcard_broken else answered(version, wire.suback(version, 10, 0))
    book.both(
        f'filter/share-{name}/subscribe',
        version,
        rule,
        wire.subscribe(version, 10, (one, 0)),
        CLOSED + answered(version, wire.suback(version, 10, 0x80)) + plain,
    )
    book.both(
        f'filter/share-{name}/unsubscribe',
        version,
        rule,
        wire.unsubscribe(version, 10, one),
        CLOSED + answered(version, wire.unsuback(version, 10)),
    )


def good_filter(book: Book, version, name, one, alone):
    rule, code = 'rules.md, topics and SUBSCRIBE: a filter like any other', 1
    if one.startswith('$share/') and not offered('shared subscriptions'):
        rule, code = 'shared subscriptions are not offered: 0x9E, 0x80 in 3.x', 0x9E if version == 5 else 0x80
    book.both(
        f'filter/good-{name}/subscribe',
        version,
        rule,
        wire.subscribe(version, 10, (one, 1)),
        answered(version, wire.suback(version, 10, code)),
        alone=alone,
    )
    book.both(
        f'filter/good-{name}/unsubscribe',
        version,
        'choices.md: UNSUBSCRIBE of an unknown filter is 0x11'
        if version == 5
        else '[MQTT-3.10.4-5] UNSUBACK even if nothing was deleted',
        wire.unsubscribe(version, 10, one),
        answered(version, wire.unsuback(version, 10, 0x11)),
    )


def too_deep_to_subscribe(book: Book, version):
    rule = 'choices.md: up to 200 levels; a well-formed filter beyond is refused with 0x8F by SUBACK or DISCONNECT'
    refusal = FILTER_INVALID if version == 5 else 0x80
    for name, deep in {
        '201-levels': '/' * 200,
        '65535-slashes': '/' * 65535,
        'shared-201-levels': '$share/g/' + '/' * 200,
    }.items():
        book.both(
            f'filter/{name}/subscribe',
            version,
            rule,
            wire.subscribe(version, 10, (deep, 0)),
            dropped(version, FILTER_INVALID) + answered(version, wire.suback(version, 10, refusal)),
        )
        codes = [(0x11,), (FILTER_INVALID,)] if version == 5 else [()]
        book.both(
            f'filter/{name}/unsubscribe',
            version,
            rule + '; nothing can be subscribed by it',
            wire.unsubscribe(version, 10, deep),
            dropped(version, FILTER_INVALID)
            + tuple(one for code in codes for one in answered(version, wire.unsuback(version, 10, *code))),
        )


def aliases(book: Book):
    """Topic aliases of 5.0; the broker announces a maximum of 16."""
    for qos in range(3):
        for alias in (1, 2, 16):
            book.both(
                f'alias/unknown-{alias}/publish{qos}',
                5,
                'rules.md, PUBLISH: an alias unknown is a Protocol Error',
                wire.publish(5, '', b'x', qos, 10, props=((wire.TOPIC_ALIAS, alias),)),
                bad(5, PROTOCOL_ERROR),
            )
            sent = wire.publish(5, 'p/a', b'x', qos, 10, props=((wire.TOPIC_ALIAS, alias),))
            again = wire.publish(5, '', b'x', qos, 11, props=((wire.TOPIC_ALIAS, alias),))
            answers = (
                ()
                if qos == 0
                else tuple((wire.puback if qos == 1 else wire.pubrec)(5, i, NO_MATCHING) for i in (10, 11))
            )
            book.both(
                f'alias/used-{alias}/publish{qos}',
                5,
                '[MQTT-3.3.2-12] every alias from 1 to the maximum',
                sent + again,
                answered(5, *answers),
            )
        for alias in (0, 17, 255, 256, 65535):
            book.both(
                f'alias/invalid-{alias}-with-empty-topic/publish{qos}',
                5,
                'alias 0 or above the maximum is 0x94, an '
                'empty topic without a known alias 0x82: both rules are broken',
                wire.publish(5, '', b'x', qos, 10, props=((wire.TOPIC_ALIAS, alias),)),
                bad(5, 0x94, PROTOCOL_ERROR),
            )
        closed = (Outcome((Disconnect(PROTOCOL_ERROR),), 'closed'),)
        book.both(
            f'alias/of-another/publish{qos}',
            5,
            'an alias never set on this connection is unknown whatever others are',
            wire.publish(5, 'p/a', b'x', 0, props=((wire.TOPIC_ALIAS, 3),))
            + wire.publish(5, '', b'x', qos, 10, props=((wire.TOPIC_ALIAS, 4),)),
            closed,
        )


def add_to(book: Book):
    names(book)
    filters(book)
    aliases(book)
