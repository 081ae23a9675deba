"""Known vulnerabilities of brokers as the conversations that would show them: tests/conformance/vulnerabilities.tsv."""
import wire
from exchange.dsl import exchange
from expect import Connack
from malformed.properties import LEGAL
from tables import property_table

NOT_UTF8 = (b'\x80', b'\xc3', b'\xe2\x82', b'\xed\xa0\x80', b'\xc0\xaf', b'\xf4\x90\x80\x80', b'\xff', b'a\x00b')
STRINGS = {'three': 'MQTT-1.5.3-1', 'five': 'MQTT-1.5.4-1'}


def keep(t, seconds=60):
    return {'clean': False, 'props': ((wire.SESSION_EXPIRY, seconds),)} if t.five else {'clean': False}


@exchange(**STRINGS)
def cve_2017_7653_what_is_not_utf8_reaches_nobody(t):
    watcher = t.client('w').connects().subscribes((t.topic('#'), 0))
    for number, bad in enumerate(NOT_UTF8):
        topic = t.topic('').encode() + bad
        t.client(f'p{number}').connects().sends(wire.publish(t.version, topic, b'x', 1, 1)).closed(0x81)
        will = t.client(f'w{number}').opens()
        will.sends(wire.connect(t.version, f'{t.prefix}w', will=wire.Will(topic, b'x')))
        if t.five:
            will.gets(Connack(5, 0x81))
        will.closed()
    watcher.markers(t.client('m').connects(), t.topic('m'))


@exchange(both='MQTT-4.7.2-1', alone=True)
def cve_2018_12543_topics_that_begin_with_a_dollar_are_topics(t):
    own = t.topic().replace('/', '-')
    a = t.client('a').connects()
    for topic in ('$', '$x', f'$/{own}', f'$CONTROL/{own}', f'$SYSTEM/{own}', f'$shares/{own}', '$share', f'${own}'):
        a.subscribes((topic, 1)).sends(wire.publish(t.version, topic, b'x', 0)).receives(topic, b'x', 0)
        a.unsubscribes(topic)
    a.pings()


def will_matrix(delay, expiry, ending):
    """A will whose delay is longer, as long or shorter than its session lives, however the connection ends."""

    def write(t):
        watcher = t.client('w').connects().subscribes((t.topic('will'), 2))
        will = wire.Will(t.topic('will'), b'gone', 1, props=((wire.WILL_DELAY, delay),))
        a = t.client('a').connects(will=will, props=((wire.SESSION_EXPIRY, expiry),))
        if ending == 'drop':
            a.drops()
        else:
            a.leaves(0x04)
        watcher.receives(t.topic('will'), b'gone', 1).pings()
        if delay != expiry or not delay:
            a.again('c').connects(clean=False, session_present=delay < expiry)

    write.__name__ = f'cve_2019_11778_a_will_delay_of_{delay}_and_an_expiry_of_{expiry}_ended_by_{ending}'
    write.__module__ = __name__
    return write


for one_ending in ('drop', 'disconnect_4'):
    for one_delay, one_expiry in ((0, 0), (60, 0), (60, 1), (1, 1), (1, 60), (0, 60), (4294967295, 1)):
        exchange(five='MQTT-3.1.2-8')(will_matrix(one_delay, one_expiry, one_ending))


@exchange(five='rules.md, wills: a take-over with Clean Start ends the session: will at once whatever its delay')
def cve_2019_11778_a_clean_take_over_ends_any_delay(t):
    watcher = t.client('w').connects().subscribes((t.topic('will'), 2))
    for delay, expiry in ((60, 0), (60, 1), (0, 60), (4294967295, 4294967295)):
        will = wire.Will(t.topic('will'), b'gone', 1, props=((wire.WILL_DELAY, delay),))
        old = t.client(f'a{delay}-{expiry}').connects(will=will, props=((wire.SESSION_EXPIRY, expiry),))
        old.again(f'b{delay}-{expiry}').connects()
        old.closed(0x8E)
        watcher.receives(t.topic('will'), b'gone', 1)
    watcher.pings()


@exchange(both='choices.md: topics of up to 200 levels, and no recursion in any walk')
def cve_2026_95844_deep_topics_are_refused_or_walked_wherever_they_stand(t):
    five, v, deep = t.five, t.version, '/' * 65535
    t.client('publish').connects().sends(wire.publish(v, deep, b'x', 1, 1)).closed(0x90)
    refused = 0x8F if five else 0x80
    a = t.client('subscribe').connects()
    a.subscribes((deep, 1), (t.topic(), 1), codes=[refused, 1])
    a.unsubscribes(t.topic())
    a.sends(wire.subscribe(v, 3, ('+/' * 32767 + '#', 1))).gets(wire.suback(v, 3, refused)).pings()
    will = t.client('will').opens()
    will.sends(wire.connect(v, will.client_id, will=wire.Will('/' * 60000, b'x')))
    if five:
        will.gets(Connack(5, 0x90))
    will.closed()
    if five:
        a.subscribes((t.topic('r'), 0)).publishes(t.topic('r'), props=((wire.RESPONSE_TOPIC, '/' * 8000),))
        a.receives(t.topic('r'), props=((wire.RESPONSE_TOPIC, '/' * 8000),)).unsubscribes(t.topic('r'))
    bottom = t.topic('/'.join(['d'] * 190))
    a.publishes(bottom, b'kept', 1, retain=True, code=0x10)
    a.subscribes((t.topic('#'), 1)).receives(bottom, b'kept', 1, retain=True)
    a.publishes(bottom, b'', 0, retain=False).receives(bottom, b'')


@exchange(both='choices.md: topics of up to 200 levels')
def cve_2021_33176_a_filter_beyond_the_levels_costs_nothing_and_the_rest_is_served(t):
    refused = 0x8F if t.five else 0x80
    a = t.client('a').connects()
    deep = [('/'.join([t.topic(str(number))] + ['x'] * 300), 0) for number in range(50)]
    for _ in range(4):
        a.subscribes(*deep, codes=[refused] * 50)
    a.subscribes((t.topic(), 0)).publishes(t.topic()).receives(t.topic()).pings()


@exchange(three='MQTT-4.7.3-1', five='MQTT-4.7.3-1')
def cve_2021_34432_nothing_is_too_short_to_be_judged(t):
    v, five = t.version, t.five
    broken = {
        'topic': (wire.publish(v, '', b'x'), 0x82),
        'topic of qos 1': (wire.publish(v, '', b'x', 1, 1), 0x82),
        'retained topic': (wire.publish(v, '', b'', 1, 1, retain=True), 0x82),
        'filter': (wire.subscribe(v, 1, ('', 0)), 0x81),
        'unsubscribed filter': (wire.unsubscribe(v, 1, ''), 0x81),
    }
    for name, (sent, code) in broken.items():
        t.client(name).connects().sends(sent).closed(code)
    a = t.client('fine').connects(will=wire.Will(t.topic('w'), b''), user='', password=b'').subscribes((t.topic(), 0))
    props = ((wire.USER_PROPERTY, ('', '')), (wire.CONTENT_TYPE, ''), (wire.CORRELATION_DATA, b'')) if five else ()
    a.publishes(t.topic(), b'', props=props).receives(t.topic(), b'', props=props).pings()


@exchange(five='rules.md, properties: an identifier that the packet may not carry is malformed')
def cve_2023_3592_a_will_with_a_property_that_does_not_belong_there_is_refused(t):
    for one in property_table().values():
        if 'Will' in one.packets:
            continue
        for times in (1, 2):
            a = t.client(f'a{one.identifier}-{times}').opens()
            props = ((one.identifier, LEGAL[one.identifier][0]),) * times
            a.sends(wire.connect(5, a.client_id, will=wire.Will(t.topic(), b'x', props=props)))
            a.gets(Connack(5, 0x81)).closed()


@exchange(both='MQTT-4.1.0-1')
def cve_2024_8376_subscriptions_come_and_go_in_every_order_over_reconnects(t):
    """The order in which model-based sequences found faults: each prefix of the list, resumed and discarded in turn."""
    filters = [t.topic('a'), t.topic('a/#'), t.topic('+'), t.topic('a/+/c')]
    publisher = t.client('p').connects()
    a = t.client('a')
    present = False
    for number in range(12):
        clean = number % 5 == 4
        present = present and not clean
        fields = {**keep(t), 'clean': clean} if t.five else {'clean': clean}
        a.connects(session_present=present, **fields)
        mine = filters[: 1 + number % 4]
        a.subscribes(*[(one, number % 3) for one in mine])
        a.unsubscribes(*mine[1:], codes=[0] * len(mine[1:])) if mine[1:] else None
        publisher.publishes(t.topic('a'), b'x', number % 3)
        a.receives(t.topic('a'), b'x', number % 3)
        a.unsubscribes(mine[0], mine[0], codes=[0, 0x11])
        publisher.publishes(t.topic('a'), b'y', 1, code=0x10)
        a.pings()
        (a.drops if number % 2 else a.leaves)()
        present = t.five or not clean
    a.connects(clean=True, session_present=False)


@exchange(five='MQTT-3.3.2-5')
def mosquitto_3702_a_message_that_was_kept_expired_and_cleared_is_not_owed_any_more(t):
    a = t.client('a').connects(**keep(t)).subscribes((t.topic('#'), 1)).leaves()
    publisher = t.client('p').connects()
    for number in range(3):
        publisher.publishes(t.topic(str(number)), b'old', 1, retain=True, props=((wire.MESSAGE_EXPIRY, 1),))
    publisher.publishes(t.topic('1'), b'', 0, retain=True)
    publisher.publishes(t.topic('2'), b'new', 1, retain=True)
    t.waits(2.2)
    a.connects(session_present=True, **keep(t)).receives(t.topic('2'), b'new', 1).pings()
    late = t.client('l').connects().subscribes((t.topic('#'), 1)).receives(t.topic('2'), b'new', 1, retain=True)
    late.pings()


@exchange(both='rules.md, properties: a variable byte integer of more than four bytes is malformed')
def cve_2026_21888_a_fifth_byte_of_a_variable_byte_integer_is_not_read(t):
    five_bytes = b'\xff\xff\xff\xff\x7f'
    for number, ending in enumerate((five_bytes, five_bytes[:4], b'\x80\x80\x80\x80\x01', b'\x80\x80\x80\x80')):
        t.client(f'r{number}').connects().sends(b'\x30' + ending).closed(0x81)
    if t.five:
        bodies = [
            wire.packet(wire.PUBLISH, wire.string('a') + five_bytes),
            wire.packet(wire.PUBLISH, wire.string('a') + five_bytes[:4]),
            wire.packet(wire.SUBSCRIBE, wire.u16(1) + five_bytes),
            wire.packet(wire.SUBSCRIBE, wire.u16(1) + b'\x06\x0b' + five_bytes + wire.string('a') + b'\0'),
            wire.packet(wire.PUBACK, wire.u16(1) + b'\0' + five_bytes),
            wire.packet(wire.DISCONNECT, b'\0' + five_bytes),
        ]
        for number, sent in enumerate(bodies):
            t.client(f'p{number}').connects().sends(sent).closed(0x81)


@exchange(both='rules.md, fixed header: Remaining Length that does not hold exactly the packet is malformed')
def nanomq_2268_subscribe_without_options_and_publish_without_identifier_are_malformed(t):
    properties = b'\0' if t.five else b''
    for number, sent in enumerate(
        (
            wire.packet(wire.SUBSCRIBE, wire.u16(1) + properties + wire.string(t.topic())),
            wire.packet(wire.SUBSCRIBE, wire.u16(1) + properties + wire.string(t.topic()) + b'\0' + wire.string('b')),
            wire.packet(wire.SUBSCRIBE, wire.u16(1)[:1]),
            wire.packet(wire.PUBLISH, wire.string(t.topic()), 2),
            wire.packet(wire.PUBLISH, wire.string(t.topic()) + b'\0', 4),
            wire.packet(wire.PUBLISH, b'\0', 2),
        )
    ):
        t.client(f'a{number}').connects().sends(sent).closed(0x81)


def crafted_retained_messages(t):
    v, p = t.version, t.client('p').connects()
    p.publishes(t.topic('empty'), b'', 2, retain=True, code=0x10)
    p.publishes(t.topic('binary'), bytes(range(256)), 1, retain=True, dup=True, code=0x10)
    p.publishes(t.topic('//'), b'slashes', 1, retain=True, code=0x10)
    p.publishes(t.topic('large'), b'x' * 300000, 1, retain=True, code=0x10)
    if t.five:
        many = tuple((wire.USER_PROPERTY, (f'k{i}', 'v' * 100)) for i in range(60))
        p.publishes(t.topic('many'), b'm', 1, retain=True, code=0x10, props=many)
        p.publishes(t.topic('gone'), b'g', 1, retain=True, code=0x10, props=((wire.MESSAGE_EXPIRY, 0),))
    for number, bad in enumerate(('#', 'a/+', '', 'a\0b')):
        broken = wire.publish(v, bad and t.topic(bad), b'x', 1, 1, retain=True)
        t.client(f'b{number}').connects().sends(broken).closed(0x82 if bad == '' else 0x81)
    for number, topic in enumerate(('binary', '//', 'large')):
        payload = {'binary': bytes(range(256)), '//': b'slashes', 'large': b'x' * 300000}[topic]
        s = t.client(f's{number}').connects().subscribes((t.topic(topic), 1))
        s.receives(t.topic(topic), payload, 1, retain=True).pings()
    t.client('e').connects().subscribes((t.topic('empty'), 2), (t.topic('gone'), 2)).pings()


@exchange(both='MQTT-3.3.1-6', versions=(3, 4))
def cve_2024_42645_a_crafted_retained_message_trips_nothing(t):
    crafted_retained_messages(t)


@exchange(five='MQTT-3.3.1-9')
def cve_2024_42645_a_crafted_retained_message_of_5_trips_nothing(t):
    crafted_retained_messages(t)


@exchange(both='MQTT-3.1.3-2')
def cve_2026_95847_identifiers_that_look_like_each_others_parts_are_different_clients(t):
    """One is the beginning of the other, or ends like a name that a broker could have made of it."""
    endings = ('', '_meta', ':meta', '/meta', '.meta', '-1', '\x7f', '_', '#', '+', '%00')
    publisher = t.client('p').connects()
    clients = []
    for number, ending in enumerate(endings):
        one = t.client(f'c{number}')
        one.client_id = f'{t.prefix}id{ending}'
        one.connects(**keep(t)).subscribes((t.topic(str(number)), 1)).leaves()
        clients.append(one)
    for number in range(len(endings)):
        publisher.publishes(t.topic(str(number)), f'for {number}'.encode(), 1)
    for number, one in enumerate(clients):
        one.connects(session_present=True, **keep(t)).receives(t.topic(str(number)), f'for {number}'.encode(), 1)
        one.pings().leaves().connects(clean=True).leaves()


@exchange(both='MQTT-4.7.2-1', alone=True)
def cve_2026_58214_no_wildcard_reaches_topics_that_begin_with_a_dollar(t):
    own = t.topic().replace('/', '-')
    a = t.client('a').connects()
    a.subscribes(*[(one, 0) for one in ('#', '+/#', '+', '+/+', '+/+/#', f'+/{own}', f'+/{own}/#')])
    publisher = t.client('p').connects()
    for topic in (f'$MQTT/{own}', f'$SYSTEM/{own}/x', f'${own}', f'$/{own}', f'$mqloop/{own}'):
        publisher.publishes(topic, b'x')
    publisher.publishes(own, b'marker')
    a.receives(own, b'marker').pings()


@exchange(both='choices.md: client identifiers may be hostile to all but MQTT', alone=True)
def ghsa_52qw_whmv_87c5_names_that_other_languages_know_are_names(t):
    publisher = t.client('p').connects()
    for number, name in enumerate(('__proto__', 'constructor', 'toString', 'hasOwnProperty', 'null', 'NaN', 'length')):
        a = t.client(f'a{number}')
        a.client_id = name
        a.connects(**keep(t)).subscribes((t.topic(name), 1)).leaves()
        props = ((wire.USER_PROPERTY, (name, name)),) if t.five else ()
        publisher.publishes(t.topic(name), name.encode(), 1, props=props)
        a.connects(session_present=True, **keep(t)).receives(t.topic(name), name.encode(), 1, props=props)
        a.leaves().connects(clean=True).leaves()


@exchange(both='MQTT-3.1.0-2')
def cve_2024_36856_connect_again_in_the_same_segment_ends_the_connection(t):
    watcher = t.client('w').connects().subscribes((t.topic(), 0))
    for times in (2, 3, 50):
        a = t.client(f'a{times}').opens()
        a.sends(wire.connect(t.version, a.client_id, will=wire.Will(t.topic(), str(times).encode())) * times)
        a.gets(Connack(t.version)).closed(0x82)
        watcher.receives(t.topic(), str(times).encode())
    watcher.pings()


@exchange(three='MQTT-3.1.4-2', five='MQTT-3.1.4-3')
def sol_17_a_take_over_leaves_one_connection_that_hears(t):
    publisher = t.client('p').connects()
    old = t.client('a0').connects(**keep(t)).subscribes((t.topic(), 1))
    for number in range(1, 6):
        new = old.again(f'a{number}').connects(session_present=True, **keep(t))
        old.closed(0x8E)
        publisher.publishes(t.topic(), str(number).encode(), 1)
        new.receives(t.topic(), str(number).encode(), 1).pings()
        old = new


@exchange(both='rules.md, fixed header: a Remaining Length of more than four bytes is malformed')
def cve_2019_19307_the_largest_remaining_lengths_end_the_connection(t):
    ff = b'\xff'
    for number, length in enumerate((ff * 3 + b'\x7f', ff * 4, ff * 8 + b'\x7f')):
        t.client(f'first{number}').opens().sends(b'\x10' + length).closed()
        t.client(f'other{number}').opens().sends(b'\x30' + length).closed()
        t.client(f'later{number}').connects().sends(b'\x30' + length).closed(0x95 if number == 0 else 0x81)
        t.client(f'ack{number}').connects().sends(b'\x82' + length).closed(0x95 if number == 0 else 0x81)


def acknowledgements_of_nothing(t):
    """Unknown, zero, and of an exchange in another state: the exchange that runs goes on as if nothing had come."""
    v = t.version
    a = t.client('a').connects().subscribes((t.topic(), 2))
    publisher = t.client('p').connects().publishes(t.topic(), b'2', 2).publishes(t.topic(), b'1', 1)
    a.receives(t.topic(), b'2', 2, slot='two', answer=False).receives(t.topic(), b'1', 1, slot='one', answer=False)
    for identifier in (777, 0x7FFF, 0xFFFF):
        a.sends(wire.puback(v, identifier)).sends(wire.pubcomp(v, identifier))
        a.sends(wire.pubrec(v, identifier)).gets(wire.pubrel(v, identifier, t.code(0x92)))
        a.sends(wire.pubrel(v, identifier)).gets(wire.pubcomp(v, identifier, t.code(0x92)))
    a.acks(wire.PUBREC, 'two').gets_ack(wire.PUBREL, 'two').acks(wire.PUBCOMP, 'two').acks(wire.PUBACK, 'one')
    a.markers(publisher, t.topic(), 2)
    for kind in (wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP):
        t.client(f'zero-{kind}').connects().sends(wire.packet(kind, b'\0\0')).closed(0x81)


@exchange(both='MQTT-4.3.3-1', versions=(3, 4))
def unknown_identifiers_in_acknowledgements_change_nothing(t):
    acknowledgements_of_nothing(t)


@exchange(five='rules.md, PUBLISH: acknowledgements of unknown identifiers')
def unknown_identifiers_in_acknowledgements_of_5_change_nothing(t):
    acknowledgements_of_nothing(t)


@exchange(three='MQTT-4.7.1-1', five='MQTT-4.7.0-1')
def wildcards_in_names_are_refused_at_every_entry(t):
    v, watcher = t.version, t.client('w').connects().subscribes((t.topic('#'), 0))
    for number, bad in enumerate(('#', '+', 'a/#', 'a/+/b', 'a+', 'a\0')):
        topic = t.topic(bad)
        for qos in range(3):
            t.client(f'p{number}{qos}').connects().sends(wire.publish(v, topic, b'x', qos, 1)).closed(0x81)
        t.client(f'c{number}').connects().sends(wire.publish(v, topic, b'', 1, 1, retain=True)).closed(0x81)
        will = t.client(f'w{number}').opens()
        will.sends(wire.connect(v, f'{t.prefix}w{number}', will=wire.Will(topic, b'x')))
        if t.five:
            will.gets(Connack(5, 0x81))
        will.closed()
        if t.five:
            back = wire.publish(5, t.topic('r'), b'x', 0, props=((wire.RESPONSE_TOPIC, topic),))
            t.client(f'r{number}').connects().sends(back).closed(0x81 if '\0' in bad else 0x82)
    watcher.markers(t.client('m').connects(), t.topic('m'))


@exchange(both='MQTT-3.1.0-2')
def cve_2024_25767_what_connect_brought_is_not_used_after_its_connection(t):
    """Every field filled, and the connection gone at each point of its life; AddressSanitizer looks on."""
    will = wire.Will(t.topic('w'), b'w' * 3000, 1)
    fields = {'user': 'u' * 3000, 'password': b'p' * 3000, 'will': will, **keep(t)}
    whole = wire.connect(t.version, f'{t.prefix}gone', **fields)
    for number, size in enumerate((1, 12, len(whole) // 2, len(whole) - 1, len(whole))):
        t.client(f'a{number}').opens().sends(whole[:size]).drops()
    a = t.client('gone')
    for _ in range(3):
        more = wire.subscribe(t.version, 1, (t.topic(), 1)) + wire.publish(t.version, t.topic(), b'x', 2, 2)
        a.opens().sends(whole + more).drops()
    t.client('b').connects().pings()
