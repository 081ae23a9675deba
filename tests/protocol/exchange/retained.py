"""Retained messages. Topics are the conversation's own, so nothing needs to be cleared afterwards."""
import wire
from exchange.dsl import exchange

ONLY_IF_NEW, NO_RETAINED, AS_PUBLISHED = 0x10, 0x20, 0x08


@exchange(three='MQTT-3.3.1-6 MQTT-3.3.1-8', five='MQTT-3.3.1-9')
def a_new_subscription_gets_the_kept_message_with_retain_1(t):
    t.client('p').connects().publishes(t.topic(), b'kept', 1, retain=True, code=0x10)
    t.client('s').connects().subscribes((t.topic(), 1)).receives(t.topic(), b'kept', 1, retain=True).pings()


@exchange(three='MQTT-3.3.1-9', five='MQTT-3.3.1-12')
def an_established_subscription_gets_it_with_retain_0(t):
    subscriber = t.client('s').connects().subscribes((t.topic(), 1))
    t.client('p').connects().publishes(t.topic(), b'kept', 1, retain=True)
    subscriber.receives(t.topic(), b'kept', 1, retain=False).pings()


@exchange(three='MQTT-3.3.1-5', five='MQTT-3.3.1-5')
def the_last_message_is_kept(t):
    publisher = t.client('p').connects()
    for payload in (b'1', b'2', b'3'):
        publisher.publishes(t.topic(), payload, retain=True)
    t.client('s').connects().subscribes((t.topic(), 1)).receives(t.topic(), b'3', retain=True).pings()


@exchange(three='MQTT-3.3.1-7', five='MQTT-3.3.1-5')
def a_kept_message_of_qos_0_replaces_one_of_qos_2(t):
    publisher = t.client('p').connects().publishes(t.topic(), b'1', 2, retain=True, code=0x10)
    publisher.publishes(t.topic(), b'2', 0, retain=True)
    t.client('s').connects().subscribes((t.topic(), 2)).receives(t.topic(), b'2', 0, retain=True).pings()


@exchange(three='MQTT-3.3.1-10', five='MQTT-3.3.1-6')
def an_empty_message_removes_what_was_kept(t):
    publisher = t.client('p').connects().publishes(t.topic(), b'1', 1, retain=True, code=0x10)
    publisher.publishes(t.topic(), b'', 1, retain=True, code=0x10)
    t.client('s').connects().subscribes((t.topic(), 1)).markers(publisher, t.topic())


@exchange(three='MQTT-3.3.1-10', five='MQTT-3.3.1-6')
def an_empty_retained_message_is_forwarded_as_usual(t):
    subscriber = t.client('s').connects().subscribes((t.topic(), 1))
    t.client('p').connects().publishes(t.topic(), b'', 1, retain=True)
    subscriber.receives(t.topic(), b'', 1, retain=False).pings()


@exchange(three='MQTT-3.3.1-11', five='MQTT-3.3.1-7')
def an_empty_message_is_never_kept(t):
    publisher = t.client('p').connects().publishes(t.topic(), b'', 1, retain=True, code=0x10)
    t.client('s').connects().subscribes((t.topic(), 1)).markers(publisher, t.topic())


@exchange(three='MQTT-3.3.1-12', five='MQTT-3.3.1-8')
def a_message_without_retain_touches_nothing_kept(t):
    publisher = t.client('p').connects().publishes(t.topic(), b'kept', 1, retain=True, code=0x10)
    publisher.publishes(t.topic(), b'passing', 1, code=0x10).publishes(t.topic(), b'', 1, code=0x10)
    publisher.publishes(t.topic('other'), b'passing', 1, code=0x10)
    t.client('s').connects().subscribes((t.topic('#'), 1)).receives(t.topic(), b'kept', 1, retain=True).pings()


@exchange(three='MQTT-3.3.1-6', five='MQTT-3.3.1-9')
def a_wildcard_gets_every_kept_message_once(t):
    publisher = t.client('p').connects()
    publisher.publishes(t.topic('a'), b'1', retain=True)
    subscriber = t.client('s').connects().subscribes((t.topic('+'), 0)).receives(t.topic('a'), b'1', retain=True)
    publisher.publishes(t.topic('b/c'), b'2', retain=True)
    t.client('d').connects().subscribes((t.topic('+/c'), 0)).receives(t.topic('b/c'), b'2', retain=True).pings()
    t.client('e').connects().subscribes((t.topic('a/#'), 0)).receives(t.topic('a'), b'1', retain=True).pings()
    t.client('f').connects().subscribes((t.topic('b/#'), 0)).receives(t.topic('b/c'), b'2', retain=True).pings()
    subscriber.pings()


@exchange(three='MQTT-3.8.4-3', five='MQTT-3.8.4-4')
def subscribing_again_sends_the_kept_message_again(t):
    t.client('p').connects().publishes(t.topic(), b'kept', 1, retain=True, code=0x10)
    subscriber = t.client('s').connects()
    for qos in (0, 1, 1, 0):
        subscriber.subscribes((t.topic(), qos)).receives(t.topic(), b'kept', qos, retain=True).pings()


@exchange(three='MQTT-3.8.4-6', five='MQTT-3.8.4-8')
def a_kept_message_comes_with_the_lower_qos(t):
    publisher = t.client('p').connects()
    for qos in range(3):
        publisher.publishes(t.topic(str(qos)), b'kept', qos, retain=True, code=0x10)
    subscriber = t.client('s').connects()
    for kept in range(3):
        for granted in range(3):
            subscriber.subscribes((t.topic(str(kept)), granted))
            subscriber.receives(t.topic(str(kept)), b'kept', min(kept, granted), retain=True)


@exchange(three='MQTT-3.1.2-7', five='MQTT-3.3.1-5')
def a_kept_message_outlives_its_publisher(t):
    t.client('p').connects().publishes(t.topic(), b'kept', 1, retain=True, code=0x10).drops()
    t.client('s').connects().subscribes((t.topic(), 0)).receives(t.topic(), b'kept', retain=True).pings()


@exchange(three='MQTT-3.3.2-3', five='MQTT-3.3.2-3')
def kept_messages_of_other_topics_do_not_come(t):
    publisher = t.client('p').connects()
    for topic in ('a', 'a/b/c', 'b', 'a/', '/a/b'):
        publisher.publishes(t.topic(topic), b'kept', retain=True)
    t.client('s').connects().subscribes((t.topic('a/b'), 0), (t.topic('A'), 0)).markers(publisher, t.topic('a/b'))


@exchange(both='MQTT-4.7.2-1', alone=True)
def a_leading_wildcard_gets_no_kept_message_of_a_dollar_topic(t):
    own = t.topic('x')
    publisher = t.client('p').connects().publishes(f'$kept/{own}', b'kept', 1, retain=True, code=0x10)
    subscriber = t.client('s').connects().subscribes((f'+/{own}', 1)).pings()
    subscriber.subscribes((f'$kept/{own}', 1)).receives(f'$kept/{own}', b'kept', 1, retain=True)
    publisher.publishes(f'$kept/{own}', b'', 1, retain=True)
    subscriber.receives(f'$kept/{own}', b'', 1)


# ---- 5.0


@exchange(five='MQTT-3.3.1-10')
def retain_handling_1_sends_kept_messages_to_new_subscriptions_only(t):
    publisher = t.client('p').connects().publishes(t.topic(), b'kept', 1, retain=True, code=0x10)
    subscriber = t.client('s').connects()
    subscriber.subscribes((t.topic(), ONLY_IF_NEW | 1)).receives(t.topic(), b'kept', 1, retain=True)
    subscriber.subscribes((t.topic(), ONLY_IF_NEW | 1)).markers(publisher, t.topic(), 1)
    subscriber.unsubscribes(t.topic())
    subscriber.subscribes((t.topic(), ONLY_IF_NEW)).receives(t.topic(), b'kept', 0, retain=True).pings()


@exchange(five='MQTT-3.3.1-11')
def retain_handling_2_sends_none(t):
    publisher = t.client('p').connects().publishes(t.topic(), b'kept', 1, retain=True, code=0x10)
    t.client('s').connects().subscribes((t.topic(), NO_RETAINED | 1)).markers(publisher, t.topic())


@exchange(five='MQTT-3.3.1-9')
def a_kept_message_has_retain_1_with_and_without_retain_as_published(t):
    t.client('p').connects().publishes(t.topic(), b'kept', 1, retain=True, code=0x10)
    subscriber = t.client('s').connects()
    subscriber.subscribes((t.topic(), AS_PUBLISHED | 1)).receives(t.topic(), b'kept', 1, retain=True)
    subscriber.subscribes((t.topic(), 1)).receives(t.topic(), b'kept', 1, retain=True).pings()


@exchange(five='MQTT-3.3.2-20')
def a_kept_message_keeps_its_properties(t):
    props = (
        (wire.CONTENT_TYPE, 'text/plain'),
        (wire.RESPONSE_TOPIC, 'back'),
        (wire.CORRELATION_DATA, b'\x00\x01'),
        (wire.PAYLOAD_FORMAT, 1),
        (wire.USER_PROPERTY, ('a', '1')),
        (wire.USER_PROPERTY, ('a', '2')),
    )
    t.client('p').connects().publishes(t.topic(), b'kept', 1, retain=True, props=props, code=0x10)
    t.client('s').connects().subscribes((t.topic(), 1)).receives(t.topic(), b'kept', 1, retain=True, props=props)


@exchange(five='MQTT-3.3.4-3')
def a_kept_message_comes_with_the_subscription_identifier(t):
    t.client('p').connects().publishes(t.topic(), b'kept', 1, retain=True, code=0x10)
    t.client('s').connects().subscribes((t.topic(), 1), props=((wire.SUBSCRIPTION_ID, 33),)).receives(
        t.topic(), b'kept', 1, retain=True, props=((wire.SUBSCRIPTION_ID, 33),)
    ).pings()


@exchange(five='rules.md, expiry: not delivered from the retained store once expired')
def an_expired_kept_message_is_not_sent(t):
    publisher = t.client('p').connects()
    publisher.publishes(t.topic(), b'kept', 1, retain=True, props=((wire.MESSAGE_EXPIRY, 1),), code=0x10)
    t.waits(2.2)
    t.client('s').connects().subscribes((t.topic(), 1)).markers(publisher, t.topic())


@exchange(five='MQTT-3.3.2-6')
def a_kept_message_comes_with_the_time_that_is_left(t):
    publisher = t.client('p').connects()
    publisher.publishes(t.topic(), b'kept', 1, retain=True, props=((wire.MESSAGE_EXPIRY, 100),), code=0x10)
    t.waits(1.2)

    def is_less(value):
        """94 to 99"""
        return 94 <= value <= 99

    t.client('s').connects().subscribes((t.topic(), 1)).receives(
        t.topic(), b'kept', 1, retain=True, props=((wire.MESSAGE_EXPIRY, is_less),)
    )
