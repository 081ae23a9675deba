"""Receive Maximum and Maximum Packet Size, in both directions."""
import wire
from exchange.dsl import exchange
from expect import Disconnect, Exactly


@exchange(five='MQTT-3.3.4-9 MQTT-4.9.0-2')
def the_server_keeps_to_the_clients_receive_maximum(t):
    subscriber = t.client('s').connects(props=((wire.RECEIVE_MAXIMUM, 2),)).subscribes((t.topic(), 1))
    publisher = t.client('p').connects()
    for number in range(5):
        publisher.publishes(t.topic(), str(number).encode(), 1)
    subscriber.receives(t.topic(), b'0', 1, slot='m0', answer=False)
    subscriber.receives(t.topic(), b'1', 1, slot='m1', answer=False)
    subscriber.hears_nothing(0.2).acks(wire.PUBACK, 'm0')
    subscriber.receives(t.topic(), b'2', 1, slot='m2', answer=False).hears_nothing(0.2)
    subscriber.acks(wire.PUBACK, 'm1').receives(t.topic(), b'3', 1).receives(t.topic(), b'4', 1)
    subscriber.acks(wire.PUBACK, 'm2').pings()


@exchange(five='MQTT-4.9.0-2')
def a_qos_2_flow_counts_until_pubcomp(t):
    subscriber = t.client('s').connects(props=((wire.RECEIVE_MAXIMUM, 1),)).subscribes((t.topic(), 2))
    t.client('p').connects().publishes(t.topic(), b'0', 2).publishes(t.topic(), b'1', 1)
    subscriber.receives(t.topic(), b'0', 2, slot='m', answer=False).acks(wire.PUBREC, 'm').gets_ack(wire.PUBREL, 'm')
    subscriber.hears_nothing(0.2).acks(wire.PUBCOMP, 'm').receives(t.topic(), b'1', 1).pings()


@exchange(five='MQTT-4.9.0-2')
def a_pubrec_with_an_error_gives_the_place_back(t):
    subscriber = t.client('s').connects(props=((wire.RECEIVE_MAXIMUM, 1),)).subscribes((t.topic(), 2))
    t.client('p').connects().publishes(t.topic(), b'0', 2).publishes(t.topic(), b'1', 2)
    subscriber.receives(t.topic(), b'0', 2, slot='m', answer=False).acks(wire.PUBREC, 'm', 0x80)
    subscriber.receives(t.topic(), b'1', 2).pings()


@exchange(five='MQTT-3.3.4-10 MQTT-4.9.0-3')
def a_full_window_holds_nothing_else_up(t):
    subscriber = t.client('s').connects(props=((wire.RECEIVE_MAXIMUM, 1),)).subscribes((t.topic(), 1))
    publisher = t.client('p').connects().publishes(t.topic(), b'0', 1)
    subscriber.receives(t.topic(), b'0', 1, answer=False)
    publisher.publishes(t.topic(), b'waits', 1)
    subscriber.pings().subscribes((t.topic('other'), 0)).unsubscribes(t.topic('other'))
    subscriber.publishes(t.topic('nobody'), b'x', 1, code=0x10)


@exchange(five='MQTT-3.3.4-7')
def the_receive_maximum_may_be_used_to_the_full(t):
    a = t.client('a').connects()
    for number in range(1, 101):
        a.sends(wire.publish(5, t.topic(), b'x', 2, number)).gets(wire.pubrec(5, number, 0x10))
    a.pings().sends(wire.pubrel(5, 50)).gets(wire.pubcomp(5, 50))
    a.sends(wire.publish(5, t.topic(), b'x', 2, 101)).gets(wire.pubrec(5, 101, 0x10)).pings()


@exchange(five='rules.md, flow control: one PUBLISH too many is 0x93')
def one_publish_above_the_receive_maximum_is_refused(t):
    a = t.client('a').connects()
    for number in range(1, 101):
        a.sends(wire.publish(5, t.topic(), b'x', 2, number)).gets(wire.pubrec(5, number, 0x10))
    a.sends(wire.publish(5, t.topic(), b'x', 2, 101)).closed(0x93)


@exchange(five='MQTT-4.9.0-2')
def a_repeated_publish_does_not_count_twice(t):
    t.client('s').connects().subscribes((t.topic(), 0))
    a = t.client('a').connects()
    for number in range(1, 101):
        a.sends(wire.publish(5, t.topic(), b'x', 2, number)).gets(wire.pubrec(5, number))
    a.sends(wire.publish(5, t.topic(), b'x', 2, 1, dup=True)).gets(wire.pubrec(5, 1)).pings()


@exchange(five='MQTT-3.1.2-24 MQTT-3.1.2-25')
def what_is_too_large_for_a_client_is_dropped_as_if_delivered(t):
    small = t.client('s').connects(props=((wire.MAXIMUM_PACKET_SIZE, 200),)).subscribes((t.topic(), 1))
    large = t.client('l').connects().subscribes((t.topic(), 1))
    t.client('p').connects().publishes(t.topic(), b'1', 1).publishes(t.topic(), b'2' * 300, 1).publishes(
        t.topic(), b'3', 1
    )
    for payload in (b'1', b'2' * 300, b'3'):
        large.receives(t.topic(), payload, 1)
    small.receives(t.topic(), b'1', 1).receives(t.topic(), b'3', 1).pings()


@exchange(five='MQTT-3.1.2-24')
def a_packet_of_exactly_the_clients_maximum_is_sent(t):
    room = 200 - 3 - len(wire.string(t.topic())) - 1
    small = t.client('s').connects(props=((wire.MAXIMUM_PACKET_SIZE, 200),)).subscribes((t.topic(), 0))
    publisher = t.client('p').connects().publishes(t.topic(), b'y' * (room + 1)).publishes(t.topic(), b'z' * room)
    small.receives(t.topic(), b'z' * room).markers(publisher, t.topic())


@exchange(five='MQTT-3.1.2-25')
def a_retained_message_too_large_for_a_client_is_dropped(t):
    publisher = t.client('p').connects().publishes(t.topic(), b'R' * 300, retain=True)
    small = t.client('s').connects(props=((wire.MAXIMUM_PACKET_SIZE, 200),)).subscribes((t.topic(), 0))
    small.markers(publisher, t.topic())


@exchange(five='MQTT-3.14.2-3')
def no_reason_string_where_it_would_be_too_large(t):
    a = t.client('a').connects(props=((wire.MAXIMUM_PACKET_SIZE, 64),))
    a.sends(wire.subscribe(5, 1, ('s/' + 'x' * 500 + '/#/y', 0))).gets(Disconnect(0x81, at_most=64)).closed()


@exchange(five='MQTT-3.1.2-29')
def without_problem_information_an_acknowledgement_has_no_properties(t):
    a = t.client('a').connects(props=((wire.REQUEST_PROBLEM_INFO, 0),))
    a.sends(wire.pubrel(5, 77)).gets(Exactly(wire.pubcomp(5, 77, 0x92)))
    a.sends(wire.publish(5, t.topic(), b'x', 1, 1)).gets(Exactly(wire.puback(5, 1, 0x10)))
    a.sends(wire.unsubscribe(5, 2, t.topic())).gets(Exactly(wire.unsuback(5, 2, 0x11)))
    a.sends(wire.subscribe(5, 3, (t.topic(), 0))).gets(Exactly(wire.suback(5, 3, 0)))


@exchange(three='MQTT-2.3.1-4', five='MQTT-2.2.1-4')
def a_hundred_deliveries_in_flight_have_a_hundred_identifiers(t):
    subscriber = t.client('s').connects().subscribes((t.topic(), 1))
    publisher = t.client('p').connects()
    for number in range(100):
        publisher.publishes(t.topic(), b'x', 1, number + 1)
    for number in range(100):
        subscriber.receives(t.topic(), b'x', 1, slot=f'm{number}', answer=False)
    subscriber.checks('all identifiers differ', lambda slots: len(set(slots.values())) == 100)
    for number in reversed(range(100)):
        subscriber.acks(wire.PUBACK, f'm{number}')
    subscriber.pings()
