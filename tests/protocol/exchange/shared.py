"""Shared subscriptions: $share/NAME/FILTER, of 5.0 and, by mqloop's choice, of 3.x."""
import wire
from exchange.dsl import exchange


@exchange(three='choices.md: $share for 3.x too', five='MQTT-4.8.2-1')
def each_message_goes_to_one_member_of_a_group(t):
    shared = f'$share/group/{t.topic()}'
    a = t.client('a').connects().subscribes((shared, 1))
    b = t.client('b').connects().subscribes((shared, 1))
    publisher = t.client('p').connects()
    for number in range(4):
        publisher.publishes(t.topic(), b'same', 1)
    for _ in range(2):  # round robin
        a.receives(t.topic(), b'same', 1)
        b.receives(t.topic(), b'same', 1)
    a.pings()
    b.pings()


@exchange(three='choices.md: $share for 3.x too', five='MQTT-4.8.2-3')
def a_group_and_its_neighbours_all_get_the_message(t):
    first = t.client('a').connects().subscribes((f'$share/one/{t.topic()}', 2))
    second = t.client('b').connects().subscribes((f'$share/two/{t.topic("#")}', 1))
    plain = t.client('c').connects().subscribes((t.topic('+'), 0))
    t.client('p').connects().publishes(t.topic(), b'x', 2)
    first.receives(t.topic(), b'x', 2).pings()
    second.receives(t.topic(), b'x', 1).pings()
    plain.receives(t.topic(), b'x', 0).pings()


@exchange(
    three='choices.md: $share for 3.x too',
    five='rules.md, SUBSCRIBE: no retained messages on a shared subscription',
)
def a_shared_subscription_gets_no_retained_messages(t):
    publisher = t.client('p').connects().publishes(t.topic(), b'kept', 1, retain=True, code=0x10)
    a = t.client('a').connects().subscribes((f'$share/group/{t.topic()}', 1))
    a.markers(publisher, t.topic())


@exchange(three='choices.md: $share for 3.x too', five='MQTT-3.10.4-1')
def a_shared_filter_is_unsubscribed_by_its_whole_name(t):
    shared = f'$share/group/{t.topic()}'
    a = t.client('a').connects().subscribes((shared, 1), (t.topic('m'), 0))
    a.unsubscribes(t.topic(), f'$share/other/{t.topic()}', shared, codes=[0x11, 0x11, 0])
    publisher = t.client('p').connects().publishes(t.topic(), b'x', 1, code=0x10)
    a.markers(publisher, t.topic('m'))


@exchange(three='choices.md: online members first', five='choices.md: online members first')
def a_member_that_left_gets_nothing_while_another_is_there(t):
    shared = f'$share/group/{t.topic()}'
    a = t.client('a').connects().subscribes((shared, 1))
    t.client('b').connects().subscribes((shared, 1)).leaves()
    publisher = t.client('p').connects()
    for number in range(3):
        publisher.publishes(t.topic(), str(number).encode(), 1)
        a.receives(t.topic(), str(number).encode(), 1)


def chosen_and_other(t, qos, **chosen_session):
    """A member that was chosen for a message and has not answered, one that joined later, and the publisher."""
    shared = f'$share/group/{t.topic()}'
    chosen = t.client('a').connects(**chosen_session).subscribes((shared, 2))
    publisher = t.client('p').connects().publishes(t.topic(), b'x', qos)
    chosen.receives(t.topic(), b'x', qos, slot='m', answer=False)
    other = t.client('b').connects().subscribes((shared, 2), (t.topic('m'), 0))
    return chosen, other, publisher


@exchange(five='MQTT-4.8.2-6')
def a_refused_message_of_qos_1_goes_to_no_other_member(t):
    chosen, other, publisher = chosen_and_other(t, 1)
    chosen.acks(wire.PUBACK, 'm', 0x80).pings()
    other.markers(publisher, t.topic('m'))


@exchange(five='MQTT-4.8.2-6')
def a_refused_message_of_qos_2_goes_to_no_other_member(t):
    chosen, other, publisher = chosen_and_other(t, 2)
    chosen.acks(wire.PUBREC, 'm', 0x80).pings()
    other.markers(publisher, t.topic('m'))


@exchange(five='MQTT-4.8.2-4')
def a_qos_2_delivery_is_completed_to_the_member_it_began_with(t):
    keep = {'clean': False, 'props': ((wire.SESSION_EXPIRY, 60),)}
    chosen, other, publisher = chosen_and_other(t, 2, **keep)
    chosen.drops().connects(session_present=True, **keep).receives(t.topic(), b'x', 2, slot='m', dup=True).pings()
    other.markers(publisher, t.topic('m'))


@exchange(five='MQTT-4.8.2-5')
def a_qos_2_message_once_sent_dies_with_the_session(t):
    chosen, other, publisher = chosen_and_other(t, 2)
    chosen.leaves()
    other.markers(publisher, t.topic('m'))


@exchange(
    three='choices.md: $share',
    five='choices.md: $share: what a member has not acknowledged of QoS 1 goes to another',
)
def a_qos_1_message_unacknowledged_at_the_end_of_a_session_goes_to_another(t):
    chosen, other, _ = chosen_and_other(t, 1)
    chosen.leaves()
    other.receives(t.topic(), b'x', 1).pings()


@exchange(three='choices.md: $share', five='choices.md: none online: queued for a durable member')
def a_group_whose_members_are_away_keeps_the_message(t):
    keep = {'clean': False, 'props': ((wire.SESSION_EXPIRY, 60),)} if t.five else {'clean': False}
    a = t.client('a').connects(**keep).subscribes((f'$share/group/{t.topic()}', 1)).leaves()
    t.client('p').connects().publishes(t.topic(), b'x', 1)
    a.connects(session_present=True, **keep).receives(t.topic(), b'x', 1).pings()
