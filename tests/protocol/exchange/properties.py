"""Properties of 5.0 that travel with a message, Message Expiry Interval and Topic Alias."""
import wire
from exchange.dsl import exchange


def forwarded(name, statement, *props):
    def write(t):
        subscriber = t.client('s').connects().subscribes((t.topic(), 2))
        publisher = t.client('p').connects()
        for qos in range(3):
            publisher.publishes(t.topic(), b'payload', qos, props=props)
            subscriber.receives(t.topic(), b'payload', qos, props=props)
        subscriber.pings()

    write.__name__, write.__module__ = name, __name__
    exchange(five=statement)(write)


forwarded('payload_format_0_is_forwarded', 'MQTT-3.3.2-4', (wire.PAYLOAD_FORMAT, 0))
forwarded('payload_format_1_is_forwarded', 'MQTT-3.3.2-4', (wire.PAYLOAD_FORMAT, 1))
forwarded('content_type_is_forwarded', 'MQTT-3.3.2-20', (wire.CONTENT_TYPE, 'application/ünï'))
forwarded('empty_content_type_is_forwarded', 'MQTT-3.3.2-20', (wire.CONTENT_TYPE, ''))
forwarded('response_topic_is_forwarded', 'MQTT-3.3.2-15', (wire.RESPONSE_TOPIC, 'answers/to/me'))
forwarded('correlation_data_is_forwarded', 'MQTT-3.3.2-16', (wire.CORRELATION_DATA, bytes(range(256))))
forwarded('empty_correlation_data_is_forwarded', 'MQTT-3.3.2-16', (wire.CORRELATION_DATA, b''))
forwarded(
    'user_properties_keep_their_order',
    'MQTT-3.3.2-17 MQTT-3.3.2-18',
    *[(wire.USER_PROPERTY, pair) for pair in (('z', '1'), ('a', '2'), ('z', '1'), ('', ''), ('a', '1'), ('m', 'ü'))],
)
forwarded(
    'sixty_user_properties_arrive', 'MQTT-3.3.2-18', *[(wire.USER_PROPERTY, (f'name{i}', 'v' * i)) for i in range(60)]
)
forwarded(
    'all_of_them_together',
    'MQTT-3.3.2-17',
    (wire.USER_PROPERTY, ('a', '1')),
    (wire.CORRELATION_DATA, b'1'),
    (wire.CONTENT_TYPE, 'c'),
    (wire.USER_PROPERTY, ('a', '2')),
    (wire.RESPONSE_TOPIC, 'r'),
    (wire.PAYLOAD_FORMAT, 1),
    (wire.USER_PROPERTY, ('a', '0')),
)


@exchange(five='MQTT-3.3.2-17')
def properties_are_kept_in_the_queue(t):
    props = ((wire.CONTENT_TYPE, 'c'), (wire.USER_PROPERTY, ('a', '1')), (wire.USER_PROPERTY, ('a', '0')))
    keep = {'clean': False, 'props': ((wire.SESSION_EXPIRY, 60),)}
    a = t.client('a').connects(**keep).subscribes((t.topic(), 1)).leaves()
    t.client('p').connects().publishes(t.topic(), b'x', 1, props=props)
    a.connects(session_present=True, **keep).receives(t.topic(), b'x', 1, props=props, slot='m', answer=False).drops()
    a.connects(session_present=True, **keep).receives(t.topic(), b'x', 1, props=props, slot='m', dup=True)


@exchange(five='MQTT-4.5.0-1')
def clients_of_3x_get_the_message_without_its_properties(t):
    old = [t.client(f's{v}', v).connects().subscribes((t.topic(), 1)) for v in (3, 4)]
    t.client('p').connects().publishes(t.topic(), b'x', 1, props=((wire.CONTENT_TYPE, 'c'), (wire.PAYLOAD_FORMAT, 1)))
    for one in old:
        one.receives(t.topic(), b'x', 1).pings()


# ---- Message Expiry Interval


def at_most(limit, slack=5):
    def judge(value):
        return max(limit - slack, 0) <= value <= limit

    judge.__doc__ = f'{max(limit - slack, 0)} to {limit}'
    return judge


@exchange(five='MQTT-3.3.2-6')
def a_message_expiry_is_forwarded_and_never_grows(t):
    subscribers = [t.client(f's{i}').connects().subscribes((t.topic(), 1)) for i in range(6)]
    publishers = [t.client(f'p{i}').connects() for i in range(4)]
    for _ in range(10):
        for publisher in publishers:
            publisher.publishes(t.topic(), b'x', 1, props=((wire.MESSAGE_EXPIRY, 60),))
            for subscriber in subscribers:
                subscriber.receives(t.topic(), b'x', 1, props=((wire.MESSAGE_EXPIRY, at_most(60)),))


@exchange(five='MQTT-3.3.2-6')
def the_time_spent_waiting_is_taken_off(t):
    keep = {'clean': False, 'props': ((wire.SESSION_EXPIRY, 60),)}
    a = t.client('a').connects(**keep).subscribes((t.topic(), 1)).leaves()
    t.client('p').connects().publishes(t.topic(), b'x', 1, props=((wire.MESSAGE_EXPIRY, 60),))
    t.waits(2.2)
    a.connects(session_present=True, **keep).receives(t.topic(), b'x', 1, props=((wire.MESSAGE_EXPIRY, at_most(58)),))


@exchange(five='MQTT-3.3.2-5')
def what_expired_in_the_queue_is_not_delivered(t):
    keep = {'clean': False, 'props': ((wire.SESSION_EXPIRY, 60),)}
    a = t.client('a').connects(**keep).subscribes((t.topic(), 2)).leaves()
    publisher = t.client('p').connects().publishes(t.topic(), b'old', 1, props=((wire.MESSAGE_EXPIRY, 1),))
    publisher.publishes(t.topic(), b'old', 2, props=((wire.MESSAGE_EXPIRY, 1),)).publishes(t.topic(), b'young', 1)
    t.waits(2.2)
    a.connects(session_present=True, **keep).receives(t.topic(), b'young', 1).pings()


@exchange(five='MQTT-3.3.2-5')
def what_expired_behind_a_full_window_is_not_delivered(t):
    a = t.client('a').connects(props=((wire.RECEIVE_MAXIMUM, 1),)).subscribes((t.topic(), 1))
    publisher = t.client('p').connects().publishes(t.topic(), b'first', 1)
    a.receives(t.topic(), b'first', 1, slot='m', answer=False)
    publisher.publishes(t.topic(), b'old', 1, props=((wire.MESSAGE_EXPIRY, 1),)).publishes(t.topic(), b'young', 1)
    t.waits(2.2)
    a.acks(wire.PUBACK, 'm').receives(t.topic(), b'young', 1).pings()


@exchange(five='MQTT-4.3.3-7 MQTT-4.4.0-1')
def what_was_sent_before_it_expired_is_sent_again(t):
    keep = {'clean': False, 'props': ((wire.SESSION_EXPIRY, 60),)}
    a = t.client('a').connects(**keep).subscribes((t.topic(), 2))
    t.client('p').connects().publishes(t.topic(), b'x', 2, props=((wire.MESSAGE_EXPIRY, 2),))
    a.receives(t.topic(), b'x', 2, props=((wire.MESSAGE_EXPIRY, at_most(2)),), slot='m', answer=False).drops()
    t.waits(3.2)
    a.connects(session_present=True, **keep)
    a.receives(t.topic(), b'x', 2, props=((wire.MESSAGE_EXPIRY, at_most(2)),), slot='m', dup=True)


# ---- Topic Alias, from the client


@exchange(five='MQTT-3.3.2-12')
def an_alias_stands_for_its_topic(t):
    subscriber = t.client('s').connects().subscribes((t.topic('#'), 1))
    publisher = t.client('p').connects()
    for alias in (1, 16):
        publisher.publishes(t.topic(str(alias)), b'set', 1, props=((wire.TOPIC_ALIAS, alias),))
        publisher.publishes('', b'used', 0, props=((wire.TOPIC_ALIAS, alias),))
        publisher.publishes('', b'again', 1, props=((wire.TOPIC_ALIAS, alias),))
        subscriber.receives(t.topic(str(alias)), b'set', 1).receives(t.topic(str(alias)), b'used', 0)
        subscriber.receives(t.topic(str(alias)), b'again', 1)


@exchange(five='rules.md, PUBLISH: aliases live as long as the network connection')
def an_alias_may_be_set_anew(t):
    subscriber = t.client('s').connects().subscribes((t.topic('#'), 0))
    publisher = t.client('p').connects()
    for topic in 'abc':
        publisher.publishes(t.topic(topic), b'set', props=((wire.TOPIC_ALIAS, 3),))
        publisher.publishes('', b'used', props=((wire.TOPIC_ALIAS, 3),))
        subscriber.receives(t.topic(topic), b'set').receives(t.topic(topic), b'used')


@exchange(five='MQTT-3.3.2-7')
def aliases_do_not_outlive_the_connection(t):
    keep = {'clean': False, 'props': ((wire.SESSION_EXPIRY, 60),)}
    a = t.client('a').connects(**keep).publishes(t.topic(), b'x', props=((wire.TOPIC_ALIAS, 1),)).pings().leaves()
    a.connects(session_present=True, **keep)
    a.sends(wire.publish(5, '', b'x', props=((wire.TOPIC_ALIAS, 1),))).closed(0x82)


@exchange(five='rules.md, PUBLISH: one table per connection and direction')
def aliases_of_two_clients_do_not_mix(t):
    subscriber = t.client('s').connects().subscribes((t.topic('#'), 0))
    clients = [t.client(nick).connects() for nick in 'abc']
    for nick, one in zip('abc', clients):
        one.publishes(t.topic(nick), b'set', props=((wire.TOPIC_ALIAS, 1),))
        subscriber.receives(t.topic(nick), b'set')
    for nick, one in zip('abc', clients):
        one.publishes('', b'used', props=((wire.TOPIC_ALIAS, 1),))
        subscriber.receives(t.topic(nick), b'used')


@exchange(five='MQTT-3.1.2-27')
def a_client_that_allows_no_aliases_gets_none(t):
    for nick, props in (('a', ()), ('b', ((wire.TOPIC_ALIAS_MAXIMUM, 0),))):
        subscriber = t.client('s' + nick).connects(props=props).subscribes((t.topic(nick), 0))
        publisher = t.client('p' + nick).connects()
        for _ in range(5):
            publisher.publishes(t.topic(nick), b'x', props=((wire.TOPIC_ALIAS, 2),))
            subscriber.receives(t.topic(nick), b'x')


@exchange(five='MQTT-3.3.2-2')
def a_message_published_by_alias_can_be_kept(t):
    publisher = t.client('p').connects().publishes(t.topic(), b'x', props=((wire.TOPIC_ALIAS, 2),))
    publisher.publishes('', b'kept', 1, retain=True, props=((wire.TOPIC_ALIAS, 2),), code=0x10)
    t.client('s').connects().subscribes((t.topic(), 0)).receives(t.topic(), b'kept', retain=True)


# ---- Topic Alias, from the server


@exchange(five='MQTT-3.1.2-26 MQTT-3.3.2-11')
def aliases_to_a_client_stay_within_its_maximum(t):
    subscriber = t.client('s').connects(props=((wire.TOPIC_ALIAS_MAXIMUM, 2),)).subscribes((t.topic('#'), 1))
    publisher = t.client('p').connects()
    for _ in range(4):
        for topic in 'abcd':
            publisher.publishes(t.topic(topic), topic.encode(), 1)
            subscriber.receives_by_alias(t.topic(topic), topic.encode(), 1, maximum=2)


@exchange(five='MQTT-3.3.2-7')
def aliases_to_a_client_begin_anew_with_its_connection(t):
    keep = {'clean': False, 'props': ((wire.SESSION_EXPIRY, 60), (wire.TOPIC_ALIAS_MAXIMUM, 5))}
    publisher = t.client('p').connects()
    a = t.client('a').connects(**keep).subscribes((t.topic(), 1))
    for session_present in (None, True, True):
        if session_present:
            a.leaves().connects(session_present=True, **keep)
        for _ in range(3):
            publisher.publishes(t.topic(), b'x', 1)
            a.receives_by_alias(t.topic(), b'x', 1, maximum=5)


@exchange(five='MQTT-4.3.3-13')
def a_qos_2_exchange_is_finished_even_if_the_message_expired(t):
    a = t.client('a').connects()
    a.sends(wire.publish(5, t.topic(), b'x', 2, 7, props=((wire.MESSAGE_EXPIRY, 1),))).gets(wire.pubrec(5, 7, 0x10))
    a.hears_nothing(2.2).sends(wire.pubrel(5, 7)).gets(wire.pubcomp(5, 7)).pings()
