"""PUBLISH with QoS 0, 1 and 2, from clients and to them."""
import wire
from exchange.dsl import VERSIONS, exchange

NO_MATCHING = 0x10
UNKNOWN = 0x92


@exchange(both='MQTT-3.3.4-1')
def qos_0_is_not_answered(t):
    t.client('a').connects().publishes(t.topic()).pings()


@exchange(both='MQTT-3.3.4-1')
def qos_1_is_answered_by_puback(t):
    watcher = t.client('w').connects().subscribes((t.topic(), 0))
    t.client('a').connects().publishes(t.topic(), b'x', 1, packet_id=0x1234).pings()
    watcher.receives(t.topic()).pings()


@exchange(both='MQTT-3.3.4-1')
def qos_2_is_answered_by_pubrec_and_pubcomp(t):
    watcher = t.client('w').connects().subscribes((t.topic(), 0))
    t.client('a').connects().publishes(t.topic(), b'x', 2, packet_id=0xFFFE).pings()
    watcher.receives(t.topic()).pings()


@exchange(five='choices.md: nobody subscribes: 0x10')
def nobody_subscribes_is_said(t):
    a = t.client('a').connects()
    a.publishes(t.topic(), b'x', 1, code=NO_MATCHING).publishes(t.topic(), b'x', 2, code=NO_MATCHING)


@exchange(three='MQTT-2.3.1-6', five='MQTT-2.2.1-5')
def acknowledgements_repeat_the_identifier(t):
    a = t.client('a').connects()
    for packet_id in (1, 255, 256, 0x7FFF, 0x8000, 0xFFFF):
        a.publishes(t.topic(), b'x', 1, packet_id, NO_MATCHING).publishes(t.topic(), b'x', 2, packet_id, NO_MATCHING)


def delivery_of(published, granted):
    """The lower of the published and the granted QoS."""

    def write(t):
        subscriber = t.client('s').connects().subscribes((t.topic(), granted))
        t.client('p').connects().publishes(t.topic(), b'payload', published)
        subscriber.receives(t.topic(), b'payload', min(published, granted)).pings()

    write.__name__ = f'published_with_qos_{published}_and_granted_{granted}_is_delivered_with_{min(published, granted)}'
    write.__module__ = __name__
    return write


def delivery_between(sender, receiver, qos):
    def write(t):
        subscriber = t.client('s', receiver).connects().subscribes((t.topic(), qos))
        t.client('p', sender).connects().publishes(t.topic(), 'ünïcode'.encode(), qos)
        subscriber.receives(t.topic(), 'ünïcode'.encode(), qos).pings()

    write.__name__ = f'qos_{qos}_from_version_{sender}_to_version_{receiver}'
    write.__module__ = __name__
    return write


for first in range(3):
    for second in range(3):
        exchange(three='MQTT-3.8.4-6', five='MQTT-3.8.4-8')(delivery_of(first, second))
    for one in VERSIONS:
        for other in VERSIONS:
            if one != other:
                exchange(both='MQTT-4.5.0-1', versions=(one,))(delivery_between(one, other, first))


@exchange(both='MQTT-3.3.1-3')
def dup_of_the_publisher_is_not_forwarded(t):
    subscriber = t.client('s').connects().subscribes((t.topic(), 2))
    publisher = t.client('p').connects()
    publisher.publishes(t.topic(), b'1', 1, dup=True).publishes(t.topic(), b'2', 2, dup=True)
    subscriber.receives(t.topic(), b'1', 1).receives(t.topic(), b'2', 2)


@exchange(three='MQTT-4.3.2-2', five='MQTT-4.3.2-5')
def qos_1_with_the_same_identifier_is_a_new_message_after_puback(t):
    subscriber = t.client('s').connects().subscribes((t.topic(), 1))
    publisher = t.client('p').connects()
    publisher.publishes(t.topic(), b'same', 1, 7).publishes(t.topic(), b'same', 1, 7, dup=True)
    subscriber.receives(t.topic(), b'same', 1).receives(t.topic(), b'same', 1).pings()


@exchange(three='MQTT-4.3.3-2', five='MQTT-4.3.3-10')
def qos_2_is_delivered_once_however_often_it_comes_before_pubrel(t):
    v = t.version
    subscriber = t.client('s').connects().subscribes((t.topic(), 2))
    publisher = t.client('p').connects().sends(wire.publish(v, t.topic(), b'once', 2, 7)).gets(wire.pubrec(v, 7))
    for dup in (True, False, True):
        publisher.sends(wire.publish(v, t.topic(), b'once', 2, 7, dup=dup)).gets(wire.pubrec(v, 7))
    publisher.sends(wire.pubrel(v, 7)).gets(wire.pubcomp(v, 7))
    subscriber.receives(t.topic(), b'once', 2).markers(publisher, t.topic(), 2)


@exchange(three='MQTT-4.3.3-2', five='MQTT-4.3.3-12')
def qos_2_with_the_same_identifier_is_a_new_message_after_pubcomp(t):
    subscriber = t.client('s').connects().subscribes((t.topic(), 2))
    publisher = t.client('p').connects()
    publisher.publishes(t.topic(), b'same', 2, 7).publishes(t.topic(), b'same', 2, 7)
    subscriber.receives(t.topic(), b'same', 2).receives(t.topic(), b'same', 2).pings()


@exchange(three='MQTT-4.3.3-2', five='MQTT-4.3.3-8')
def open_qos_2_flows_do_not_mix(t):
    v, numbers = t.version, (1, 2, 3)
    subscribers = {n: t.client(f's{n}').connects().subscribes((t.topic(str(n)), 2)) for n in numbers}
    publisher = t.client('p').connects()
    for n in numbers:
        publisher.sends(wire.publish(v, t.topic(str(n)), b'x', 2, n)).gets(wire.pubrec(v, n))
    for n in (2, 3, 1):
        publisher.sends(wire.pubrel(v, n)).gets(wire.pubcomp(v, n))
    for n in numbers:
        subscribers[n].receives(t.topic(str(n)), b'x', 2).pings()


@exchange(three='MQTT-4.3.3-1', five='MQTT-4.3.3-5')
def open_deliveries_of_qos_2_do_not_mix(t):
    subscriber = t.client('s').connects().subscribes((t.topic(), 2))
    publisher, numbers = t.client('p').connects(), (1, 2, 3)
    for n in numbers:
        publisher.publishes(t.topic(), str(n).encode(), 2)
    for n in numbers:
        subscriber.receives(t.topic(), str(n).encode(), 2, answer=False, slot=f'm{n}')
    for n in numbers:
        subscriber.acks(wire.PUBREC, f'm{n}').gets_ack(wire.PUBREL, f'm{n}')
    for n in numbers:
        subscriber.acks(wire.PUBCOMP, f'm{n}')
    subscriber.pings()


@exchange(three='MQTT-4.3.3-2', five='MQTT-4.3.3-11')
def pubrel_of_an_unknown_identifier_is_answered(t):
    a = t.client('a').connects()
    a.sends(wire.pubrel(t.version, 77)).gets(wire.pubcomp(t.version, 77, t.code(UNKNOWN))).pings()


@exchange(three='MQTT-4.3.3-1', five='MQTT-4.3.3-4')
def pubrec_is_answered_by_pubrel(t):
    subscriber = t.client('s').connects().subscribes((t.topic(), 2))
    t.client('p').connects().publishes(t.topic(), b'x', 2)
    subscriber.receives(t.topic(), b'x', 2, answer=False, slot='m')
    subscriber.acks(wire.PUBREC, 'm').gets_ack(wire.PUBREL, 'm')
    subscriber.acks(wire.PUBREC, 'm').gets_ack(wire.PUBREL, 'm')  # a repeated PUBREC gets its PUBREL again
    subscriber.acks(wire.PUBCOMP, 'm').pings()
    subscriber.acks(wire.PUBREC, 'm').gets_ack(wire.PUBREL, 'm', t.code(UNKNOWN)).pings()


@exchange(both='MQTT-4.4.0-1')
def nothing_is_sent_again_on_a_living_connection(t):
    subscriber = t.client('s').connects().subscribes((t.topic(), 2))
    publisher = t.client('p').connects().publishes(t.topic(), b'1', 1).publishes(t.topic(), b'2', 2)
    subscriber.receives(t.topic(), b'1', 1, answer=False).receives(t.topic(), b'2', 2, answer=False)
    subscriber.hears_nothing(2.5).markers(publisher, t.topic(), 0)


@exchange(five='MQTT-4.3.3-4')
def a_pubrec_with_an_error_ends_the_flow(t):
    subscriber = t.client('s').connects().subscribes((t.topic(), 2))
    publisher = t.client('p').connects().publishes(t.topic(), b'x', 2)
    subscriber.receives(t.topic(), b'x', 2, answer=False, slot='m').acks(wire.PUBREC, 'm', 0x97)
    subscriber.markers(publisher, t.topic())


@exchange(both='MQTT-3.3.1-2')
def empty_payloads_are_delivered(t):
    subscriber = t.client('s').connects().subscribes((t.topic(), 2))
    publisher = t.client('p').connects()
    for qos in range(3):
        publisher.publishes(t.topic(), b'', qos)
        subscriber.receives(t.topic(), b'', qos)


@exchange(three='MQTT-1.5.3-3', five='MQTT-1.5.4-3')
def u_feff_is_neither_skipped_nor_stripped(t):
    name = t.topic('\ufeffa\ufeff')
    a = t.client('a').connects().subscribes((name, 0), (t.topic('a'), 0)).publishes(name, b'1').receives(name, b'1')
    a.publishes(t.topic('a'), b'2').receives(t.topic('a'), b'2').pings()


@exchange(three='MQTT-3.3.2-3', five='MQTT-3.3.2-3')
def payloads_of_every_length_that_changes_the_header_arrive_whole(t):
    a = t.client('a').connects().subscribes((t.topic(), 0))
    for size in (100, 127, 128, 2047, 2048, 2049, 4096, 16383, 16384, 65535, 65536, 200000):
        payload = bytes(i * 7 % 256 for i in range(size))
        a.publishes(t.topic(), payload).receives(t.topic(), payload)


@exchange(three='config.md: limits.maximum_packet_size 1MiB', five='MQTT-3.2.2-15')
def a_packet_of_exactly_the_maximum_size_is_served(t):
    room = (1 << 20) - 1 - 3 - len(wire.string(t.topic())) - (1 if t.five else 0)
    subscriber = t.client('s').connects().subscribes((t.topic(), 0))
    t.client('a').connects().publishes(t.topic(), b'm' * room).pings()
    subscriber.receives(t.topic(), b'm' * room)


@exchange(three='config.md: limits.maximum_packet_size 1MiB', five='MQTT-3.2.2-15')
def a_packet_one_byte_above_the_maximum_size_is_refused(t):
    a = t.client('a').connects()
    a.sends(b'\x30' + wire.varint((1 << 20) - 3)).closed(0x95)


@exchange(both='MQTT-4.6.0-5', versions=(3, 4, 5))
def a_hundred_messages_arrive_in_order(t):
    subscriber = t.client('s').connects().subscribes((t.topic(), 2))
    publisher = t.client('p').connects()
    for number in range(100):
        publisher.publishes(t.topic(), str(number).encode(), number % 2, number + 1)
    for number in range(100):
        subscriber.receives(t.topic(), str(number).encode(), number % 2)


@exchange(three='MQTT-4.5.0-1', five='MQTT-4.5.0-1')
def every_subscriber_gets_its_copy(t):
    subscribers = [t.client(f's{i}', 3 + i % 3).connects().subscribes((t.topic(), i % 3)) for i in range(9)]
    publisher = t.client('p').connects()
    for number in range(5):
        publisher.publishes(t.topic(), str(number).encode(), 2)
    for i, subscriber in enumerate(subscribers):
        for number in range(5):
            subscriber.receives(t.topic(), str(number).encode(), i % 3)


@exchange(three='MQTT-3.3.2-3', five='MQTT-3.3.2-3')
def a_client_hears_itself(t):
    t.client('a').connects().subscribes((t.topic(), 1)).sends(wire.publish(t.version, t.topic(), b'me')).receives(
        t.topic(), b'me'
    ).pings()
