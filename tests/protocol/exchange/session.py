"""Sessions that outlive their connection: what is kept, what is sent again and in which order, and when they end."""
import wire
from exchange.dsl import exchange


def keep(t, seconds=60):
    """CONNECT's fields for a session that stays."""
    return {'clean': False, 'props': ((wire.SESSION_EXPIRY, seconds),)} if t.five else {'clean': False}


@exchange(three='MQTT-3.2.2-2', five='MQTT-3.2.2-3')
def a_kept_session_is_present(t):
    a = t.client('a').connects(**keep(t)).leaves()
    a.connects(session_present=True, **keep(t)).drops()
    a.connects(session_present=True, **keep(t)).leaves()
    a.connects(clean=True, session_present=False)


@exchange(three='MQTT-3.1.2-6', five='MQTT-3.1.2-4')
def clean_start_discards_subscriptions_and_messages(t):
    a = t.client('a').connects(**keep(t)).subscribes((t.topic(), 1)).leaves()
    publisher = t.client('p').connects().publishes(t.topic(), b'queued', 1)
    a.connects(clean=True, session_present=False).pings().leaves()
    publisher.publishes(t.topic(), b'x', 1, code=0x10)
    a.connects(clean=False, session_present=False).subscribes((t.topic('m'), 0)).markers(publisher, t.topic('m'))


@exchange(three='MQTT-3.1.2-6', five='MQTT-4.1.0-2')
def a_session_without_expiry_ends_with_its_connection(t):
    a = t.client('a').connects(clean=True).subscribes((t.topic(), 1)).leaves()
    publisher = t.client('p').connects().publishes(t.topic(), b'x', 1, code=0x10)
    a.connects(clean=False, session_present=False).subscribes((t.topic('m'), 0)).markers(publisher, t.topic('m'))


@exchange(three='MQTT-3.1.2-5', five='MQTT-4.5.0-1')
def qos_1_and_2_are_kept_for_who_is_away(t):
    a = t.client('a').connects(**keep(t)).subscribes((t.topic(), 2)).leaves()
    publisher = t.client('p').connects()
    for number in range(20):
        publisher.publishes(t.topic(), str(number).encode(), 1 + number % 2)
    a.connects(session_present=True, **keep(t))
    for number in range(20):
        a.receives(t.topic(), str(number).encode(), 1 + number % 2)
    a.pings()


@exchange(both='choices.md: QoS 0 for an absent client is dropped')
def qos_0_is_not_kept(t):
    a = t.client('a').connects(**keep(t)).subscribes((t.topic(), 1)).leaves()
    publisher = t.client('p').connects().publishes(t.topic(), b'0', 0).publishes(t.topic(), b'1', 1)
    a.connects(session_present=True, **keep(t)).receives(t.topic(), b'1', 1).markers(publisher, t.topic())


@exchange(both='choices.md: QoS 0 for an absent client is dropped')
def what_a_subscription_of_qos_0_would_get_is_not_kept(t):
    a = t.client('a').connects(**keep(t)).subscribes((t.topic(), 0)).leaves()
    publisher = t.client('p').connects().publishes(t.topic(), b'1', 2)
    a.connects(session_present=True, **keep(t)).markers(publisher, t.topic())


@exchange(three='MQTT-3.1.2-4', five='MQTT-3.1.2-5')
def subscriptions_live_on(t):
    a = t.client('a').connects(**keep(t)).subscribes((t.topic('a'), 1), (t.topic('b'), 2), (t.topic('c'), 0))
    a.unsubscribes(t.topic('b')).drops()
    a.connects(session_present=True, **keep(t))
    publisher = t.client('p').connects()
    for topic in 'abc':
        publisher.publishes(t.topic(topic), b'x', 1, code=0x10 if topic == 'b' else 0)
    a.receives(t.topic('a'), b'x', 1).receives(t.topic('c'), b'x', 0).pings()


@exchange(both='MQTT-4.4.0-1 MQTT-3.3.1-1')
def unacknowledged_publish_is_sent_again_with_dup_and_its_identifier(t):
    a = t.client('a').connects(**keep(t)).subscribes((t.topic(), 2))
    t.client('p').connects().publishes(t.topic(), b'1', 1).publishes(t.topic(), b'2', 2)
    a.receives(t.topic(), b'1', 1, slot='m1', answer=False).receives(
        t.topic(), b'2', 2, slot='m2', answer=False
    ).drops()
    a.connects(session_present=True, **keep(t))
    a.receives(t.topic(), b'1', 1, slot='m1', dup=True).receives(t.topic(), b'2', 2, slot='m2', dup=True).pings()


@exchange(both='MQTT-4.4.0-1')
def what_was_sent_twice_is_sent_a_third_time(t):
    a = t.client('a').connects(**keep(t)).subscribes((t.topic(), 1))
    t.client('p').connects().publishes(t.topic(), b'1', 1)
    a.receives(t.topic(), b'1', 1, slot='m', answer=False).drops()
    for _ in range(3):
        a.connects(session_present=True, **keep(t)).receives(
            t.topic(), b'1', 1, slot='m', dup=True, answer=False
        ).drops()
    a.connects(session_present=True, **keep(t)).receives(t.topic(), b'1', 1, slot='m', dup=True).leaves()
    a.connects(session_present=True, **keep(t)).pings()


@exchange(three='MQTT-4.4.0-1', five='MQTT-4.4.0-1 MQTT-4.3.3-6')
def after_pubrec_it_is_pubrel_that_is_sent_again(t):
    a = t.client('a').connects(**keep(t)).subscribes((t.topic(), 2))
    t.client('p').connects().publishes(t.topic(), b'x', 2)
    a.receives(t.topic(), b'x', 2, slot='m', answer=False).acks(wire.PUBREC, 'm').gets_ack(wire.PUBREL, 'm').drops()
    a.connects(session_present=True, **keep(t)).gets_ack(wire.PUBREL, 'm').drops()
    a.connects(session_present=True, **keep(t)).gets_ack(wire.PUBREL, 'm').acks(wire.PUBCOMP, 'm').leaves()
    a.connects(session_present=True, **keep(t)).pings()


@exchange(
    three='MQTT-4.4.0-1 rules.md, sessions: in their original order',
    five='MQTT-4.4.0-1 rules.md, sessions: in ' 'their original order',
)
def publish_and_pubrel_are_sent_again_in_their_original_order(t):
    a = t.client('a').connects(**keep(t)).subscribes((t.topic(), 2))
    publisher = t.client('p').connects()
    for number, qos in enumerate((2, 1, 2, 1)):
        publisher.publishes(t.topic(), str(number).encode(), qos)
    for number, qos in enumerate((2, 1, 2, 1)):
        a.receives(t.topic(), str(number).encode(), qos, slot=f'm{number}', answer=False)
    a.acks(wire.PUBREC, 'm2').gets_ack(wire.PUBREL, 'm2').drops()
    publisher.publishes(t.topic(), b'new', 1)
    a.connects(session_present=True, **keep(t))
    a.receives(t.topic(), b'0', 2, slot='m0', dup=True, answer=False)
    a.receives(t.topic(), b'1', 1, slot='m1', dup=True, answer=False)
    a.gets_ack(wire.PUBREL, 'm2').receives(t.topic(), b'3', 1, slot='m3', dup=True, answer=False)
    a.receives(t.topic(), b'new', 1)
    a.acks(wire.PUBACK, 'm1').acks(wire.PUBCOMP, 'm2').acks(wire.PUBACK, 'm3').acks(wire.PUBREC, 'm0')
    a.gets_ack(wire.PUBREL, 'm0').acks(wire.PUBCOMP, 'm0').pings()


@exchange(three='MQTT-4.3.2-1', five='MQTT-4.3.2-3')
def what_was_acknowledged_is_not_sent_again(t):
    a = t.client('a').connects(**keep(t)).subscribes((t.topic(), 2))
    t.client('p').connects().publishes(t.topic(), b'1', 1).publishes(t.topic(), b'2', 2)
    a.receives(t.topic(), b'1', 1).receives(t.topic(), b'2', 2).pings().drops()
    a.connects(session_present=True, **keep(t)).pings()


@exchange(five='MQTT-4.4.0-2')
def what_was_refused_is_not_sent_again(t):
    a = t.client('a').connects(**keep(t)).subscribes((t.topic(), 2))
    t.client('p').connects().publishes(t.topic(), b'1', 1).publishes(t.topic(), b'2', 2)
    a.receives(t.topic(), b'1', 1, slot='m1', answer=False).receives(t.topic(), b'2', 2, slot='m2', answer=False)
    a.acks(wire.PUBACK, 'm1', 0x80).acks(wire.PUBREC, 'm2', 0x99).pings().drops()
    a.connects(session_present=True, **keep(t)).pings()


@exchange(three='MQTT-4.3.3-2', five='MQTT-4.3.3-10')
def a_received_qos_2_identifier_is_remembered(t):
    v = t.version
    subscriber = t.client('s').connects().subscribes((t.topic(), 2))
    a = (
        t.client('a')
        .connects(**keep(t))
        .sends(wire.publish(v, t.topic(), b'once', 2, 7))
        .gets(wire.pubrec(v, 7))
        .drops()
    )
    a.connects(session_present=True, **keep(t))
    a.sends(wire.publish(v, t.topic(), b'once', 2, 7, dup=True)).gets(wire.pubrec(v, 7)).drops()
    a.connects(session_present=True, **keep(t)).sends(wire.pubrel(v, 7)).gets(wire.pubcomp(v, 7))
    subscriber.receives(t.topic(), b'once', 2).markers(a, t.topic(), 1)


@exchange(three='MQTT-3.1.2-6', five='MQTT-3.1.2-4')
def clean_start_forgets_received_qos_2_identifiers(t):
    v = t.version
    a = t.client('a').connects(**keep(t)).sends(wire.publish(v, t.topic(), b'x', 2, 7))
    a.gets(wire.pubrec(v, 7, t.code(0x10))).drops().connects(clean=True)
    a.sends(wire.pubrel(v, 7)).gets(wire.pubcomp(v, 7, t.code(0x92))).pings()


@exchange(both='MQTT-4.4.0-1')
def the_rest_of_a_full_window_follows_the_resent_part(t):
    limit = {'props': ((wire.SESSION_EXPIRY, 60), (wire.RECEIVE_MAXIMUM, 2))} if t.five else {}
    a = t.client('a').connects(clean=False, **limit).subscribes((t.topic(), 1)).leaves()
    publisher = t.client('p').connects()
    for number in range(130):
        publisher.publishes(t.topic(), str(number).encode(), 1)
    a.connects(clean=False, session_present=True, **limit)
    a.receives(t.topic(), b'0', 1, slot='m0', answer=False).receives(
        t.topic(), b'1', 1, slot='m1', answer=False
    ).drops()
    a.connects(clean=False, session_present=True, **limit)
    a.receives(t.topic(), b'0', 1, slot='m0', dup=True, answer=False)
    a.receives(t.topic(), b'1', 1, slot='m1', dup=True, answer=False)
    if t.five:
        a.hears_nothing(0.2).acks(wire.PUBACK, 'm0').acks(wire.PUBACK, 'm1')
        for number in range(2, 130):
            a.receives(t.topic(), str(number).encode(), 1)
        a.pings()


@exchange(three='MQTT-3.1.2-4', versions=(3, 4))
def a_session_of_3x_can_be_resumed_by_5(t):
    a = t.client('a').connects(clean=False).subscribes((t.topic(), 1)).leaves()
    t.client('p').connects().publishes(t.topic(), b'x', 1)
    a.again('b', 5).connects(clean=False, session_present=True).receives(t.topic(), b'x', 1).leaves()
    a.again('c', 5).connects(clean=False, session_present=False)  # 5.0: no Session Expiry Interval, so it ended


@exchange(five='MQTT-3.1.2-5')
def a_session_of_5_can_be_resumed_by_311(t):
    props = ((wire.CONTENT_TYPE, 'text/plain'), (wire.USER_PROPERTY, ('a', '1')))
    a = t.client('a').connects(**keep(t)).subscribes((t.topic(), 1), props=((wire.SUBSCRIPTION_ID, 9),)).leaves()
    t.client('p').connects().publishes(t.topic(), b'x', 1, props=props)
    a.again('b', 4).connects(clean=False, session_present=True).receives(t.topic(), b'x', 1).pings()


# ---- 5.0: Session Expiry Interval


@exchange(five='MQTT-4.1.0-2')
def a_session_ends_when_its_expiry_has_passed(t):
    a = t.client('a').connects(**keep(t, 1)).subscribes((t.topic(), 1)).leaves()
    t.waits(2.2)
    a.connects(clean=False, session_present=False)


@exchange(five='MQTT-3.1.2-23')
def a_session_is_kept_until_its_expiry(t):
    a = t.client('a').connects(**keep(t, 3)).drops()
    t.waits(1.5)
    a.connects(session_present=True, **keep(t, 3))


@exchange(five='MQTT-4.1.0-1')
def expiry_does_not_run_while_the_connection_is_open(t):
    a = t.client('a').connects(**keep(t, 1)).hears_nothing(2.0).leaves()
    a.connects(clean=False, session_present=True)


@exchange(five='MQTT-3.1.2-23')
def expiry_0xffffffff_is_never(t):
    a = t.client('a').connects(**keep(t, 0xFFFFFFFF)).drops()
    t.waits(1.2)
    a.connects(clean=False, session_present=True)


@exchange(five='MQTT-3.1.2-23')
def clean_start_says_nothing_about_the_end_of_the_session(t):
    a = t.client('a').connects(clean=True, props=((wire.SESSION_EXPIRY, 60),)).leaves()
    a.connects(clean=False, session_present=True).leaves()
    a.connects(clean=False, session_present=False)


@exchange(five='rules.md, sessions: DISCONNECT may set a new expiry')
def disconnect_may_end_the_session(t):
    a = t.client('a').connects(**keep(t)).leaves(props=((wire.SESSION_EXPIRY, 0),))
    a.connects(clean=False, session_present=False)


@exchange(five='rules.md, sessions: DISCONNECT may set a new expiry')
def disconnect_may_lengthen_the_session(t):
    a = t.client('a').connects(**keep(t, 1)).leaves(props=((wire.SESSION_EXPIRY, 60),))
    t.waits(2.2)
    a.connects(clean=False, session_present=True)


@exchange(five='rules.md, sessions: but not from 0 to more')
def disconnect_may_not_begin_a_session(t):
    a = t.client('a').connects().sends(wire.disconnect(5, 0, ((wire.SESSION_EXPIRY, 60),))).closed(0x82)
    a.connects(clean=False, session_present=False)


@exchange(five='rules.md, wills: a take-over of a connection whose Session Expiry Interval is 0 ends the session')
def a_take_over_of_a_session_without_expiry_finds_none(t):
    old = t.client('old').connects().subscribes((t.topic(), 1))
    new = old.again('new').connects(clean=False, session_present=False)
    old.closed(0x8E)
    t.client('p').connects().publishes(t.topic(), b'x', 1, code=0x10)
    new.pings()
