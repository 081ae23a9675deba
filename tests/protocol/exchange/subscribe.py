"""SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK and what they do to delivery."""
import wire
from exchange.dsl import exchange

NO_SUBSCRIPTION = 0x11
NO_LOCAL, AS_PUBLISHED, ONLY_IF_NEW, NO_RETAINED = 0x04, 0x08, 0x10, 0x20


@exchange(three='MQTT-3.8.4-1 MQTT-3.8.4-2', five='MQTT-3.8.4-1 MQTT-3.8.4-2')
def subscribe_is_answered_by_suback_with_its_identifier(t):
    a = t.client('a').connects()
    for packet_id in (1, 255, 256, 0xFFFF):
        a.subscribes((t.topic(), 0), packet_id=packet_id)


@exchange(three='MQTT-3.8.4-5 MQTT-3.9.3-1', five='MQTT-3.8.4-6 MQTT-3.9.3-1')
def one_code_per_filter_in_order(t):
    t.client('a').connects().subscribes(*[(t.topic(str(i)), qos) for i, qos in enumerate((2, 0, 1, 1, 0, 2))])


@exchange(three='MQTT-3.8.4-4', five='MQTT-3.8.4-5')
def many_filters_in_one_packet_behave_as_many_packets(t):
    a = t.client('a').connects().subscribes(*[(t.topic(str(i)), i % 3) for i in range(200)])
    publisher = t.client('p').connects()
    for i in (0, 1, 2, 100, 199):
        publisher.publishes(t.topic(str(i)), b'x', 2)
        a.receives(t.topic(str(i)), b'x', i % 3)


@exchange(three='MQTT-3.8.4-4', five='MQTT-3.8.4-5')
def the_same_filter_twice_in_one_packet_is_one_subscription(t):
    a = t.client('a').connects().subscribes((t.topic(), 0), (t.topic(), 1))
    t.client('p').connects().publishes(t.topic(), b'x', 2)
    a.receives(t.topic(), b'x', 1).pings()


@exchange(three='MQTT-3.8.4-3', five='MQTT-3.8.4-3')
def the_same_filter_again_replaces_the_subscription(t):
    a = t.client('a').connects().subscribes((t.topic(), 2))
    publisher = t.client('p').connects().publishes(t.topic(), b'1', 2)
    a.receives(t.topic(), b'1', 2).subscribes((t.topic(), 0))
    publisher.publishes(t.topic(), b'2', 2)
    a.receives(t.topic(), b'2', 0).subscribes((t.topic(), 1))
    publisher.publishes(t.topic(), b'3', 2)
    a.receives(t.topic(), b'3', 1).pings()


@exchange(three='MQTT-3.3.5-1', five='MQTT-3.3.4-2')
def overlapping_subscriptions_give_one_copy_of_the_highest_qos(t):
    a = t.client('a').connects().subscribes((t.topic('a/b'), 0), (t.topic('a/+'), 2), (t.topic('#'), 1))
    publisher = t.client('p').connects()
    for qos in range(3):
        publisher.publishes(t.topic('a/b'), b'x', qos)
        a.receives(t.topic('a/b'), b'x', qos)
    a.markers(publisher, t.topic('m'), 0)


@exchange(three='MQTT-3.10.4-4', five='MQTT-3.10.4-4 MQTT-3.10.4-5')
def unsubscribe_is_answered_by_unsuback_with_its_identifier(t):
    a = t.client('a').connects()
    for packet_id in (1, 255, 256, 0xFFFF):
        a.subscribes((t.topic(), 0)).unsubscribes(t.topic(), packet_id=packet_id)


@exchange(three='MQTT-3.10.4-5', five='choices.md: UNSUBSCRIBE of an unknown filter is 0x11')
def unsubscribing_what_was_not_subscribed_is_answered(t):
    t.client('a').connects().unsubscribes(t.topic(), codes=[NO_SUBSCRIPTION])


@exchange(three='MQTT-3.10.4-6', five='MQTT-3.11.3-1')
def unsuback_has_one_code_per_filter_in_order(t):
    a = t.client('a').connects().subscribes((t.topic('1'), 0), (t.topic('3'), 0))
    a.unsubscribes(t.topic('1'), t.topic('2'), t.topic('3'), t.topic('1'), codes=[0, 0x11, 0, 0x11])


@exchange(three='MQTT-3.10.4-2', five='MQTT-3.10.4-2')
def nothing_is_delivered_after_unsubscribe(t):
    a = t.client('a').connects().subscribes((t.topic(), 1), (t.topic('m'), 0)).unsubscribes(t.topic())
    publisher = t.client('p').connects().publishes(t.topic(), b'x', 1, code=0x10)
    a.markers(publisher, t.topic('m'))


@exchange(three='MQTT-3.10.4-1', five='MQTT-3.10.4-1')
def filters_are_compared_character_by_character(t):
    a = t.client('a').connects().subscribes((t.topic('+'), 0))
    a.unsubscribes(t.topic('a'), t.topic('#'), t.topic('+/'), t.topic(), codes=[NO_SUBSCRIPTION] * 4)
    t.client('p').connects().publishes(t.topic('a'))
    a.receives(t.topic('a')).unsubscribes(t.topic('+'))


@exchange(three='MQTT-3.10.4-3', five='MQTT-3.10.4-3')
def a_qos_2_delivery_is_finished_after_unsubscribe(t):
    a = t.client('a').connects().subscribes((t.topic(), 2))
    t.client('p').connects().publishes(t.topic(), b'x', 2)
    a.receives(t.topic(), b'x', 2, slot='m', answer=False).unsubscribes(t.topic())
    a.acks(wire.PUBREC, 'm').gets_ack(wire.PUBREL, 'm').acks(wire.PUBCOMP, 'm').pings()


@exchange(three='MQTT-3.8.4-1', versions=(3,))
def subscribe_and_unsubscribe_may_carry_dup_in_31(t):
    a = t.client('a').connects()
    a.sends(b'\x8a' + wire.subscribe(3, 1, (t.topic(), 0))[1:]).gets(wire.suback(3, 1, 0))
    a.sends(b'\xaa' + wire.unsubscribe(3, 2, t.topic())[1:]).gets(wire.unsuback(3, 2))


# ---- 5.0: options and identifiers


@exchange(five='MQTT-3.8.3-3')
def no_local_keeps_a_client_from_hearing_itself(t):
    a = t.client('a').connects().subscribes((t.topic(), NO_LOCAL))
    a.publishes(t.topic(), b'own')
    other = t.client('o').connects().publishes(t.topic(), b'other')
    a.receives(t.topic(), b'other').markers(other, t.topic())


@exchange(five='MQTT-3.8.3-3')
def no_local_of_one_filter_does_not_silence_another(t):
    a = t.client('a').connects().subscribes((t.topic('a'), NO_LOCAL | 1), (t.topic('#'), 0))
    a.sends(wire.publish(5, t.topic('a'), b'own')).receives(t.topic('a'), b'own').pings()


@exchange(five='MQTT-3.3.1-12')
def without_retain_as_published_retain_is_cleared(t):
    a = t.client('a').connects().subscribes((t.topic(), 0))
    t.client('p').connects().publishes(t.topic(), b'x', retain=True)
    a.receives(t.topic(), b'x', retain=False)


@exchange(five='MQTT-3.3.1-13')
def retain_as_published_forwards_retain_as_received(t):
    a = t.client('a').connects().subscribes((t.topic(), AS_PUBLISHED | 1))
    publisher = t.client('p').connects().publishes(t.topic(), b'1', retain=True).publishes(t.topic(), b'2')
    a.receives(t.topic(), b'1', retain=True).receives(t.topic(), b'2', retain=False)
    publisher.publishes(t.topic(), b'', 1, retain=True)
    a.receives(t.topic(), b'', 1, retain=True)


@exchange(five='MQTT-3.3.4-3')
def a_subscription_identifier_comes_with_its_messages(t):
    a = t.client('a').connects()
    for number, identifier in enumerate((1, 127, 128, 16384, 268435455)):
        a.subscribes((t.topic(str(number)), 1), props=((wire.SUBSCRIPTION_ID, identifier),))
        t.client(f'p{number}').connects().publishes(t.topic(str(number)), b'x', 1)
        a.receives(t.topic(str(number)), b'x', 1, props=((wire.SUBSCRIPTION_ID, identifier),))


@exchange(five='MQTT-3.3.4-4')
def one_copy_carries_the_identifiers_of_all_its_subscriptions(t):
    a = t.client('a').connects()
    a.subscribes((t.topic('a'), 0), props=((wire.SUBSCRIPTION_ID, 5),))
    a.subscribes((t.topic('+'), 1), props=((wire.SUBSCRIPTION_ID, 6),))
    a.subscribes((t.topic('#'), 0))
    publisher = t.client('p').connects().publishes(t.topic('a'), b'x', 1)
    a.receives(t.topic('a'), b'x', 1, props=((wire.SUBSCRIPTION_ID, 5), (wire.SUBSCRIPTION_ID, 6)))
    publisher.publishes(t.topic('b'), b'y')
    a.receives(t.topic('b'), b'y', props=((wire.SUBSCRIPTION_ID, 6),)).pings()


@exchange(five='MQTT-3.8.4-3')
def replacing_a_subscription_replaces_its_identifier(t):
    a = t.client('a').connects().subscribes((t.topic(), 0), props=((wire.SUBSCRIPTION_ID, 5),))
    a.subscribes((t.topic(), 0), props=((wire.SUBSCRIPTION_ID, 6),))
    publisher = t.client('p').connects().publishes(t.topic(), b'1')
    a.receives(t.topic(), b'1', props=((wire.SUBSCRIPTION_ID, 6),)).subscribes((t.topic(), 0))
    publisher.publishes(t.topic(), b'2')
    a.receives(t.topic(), b'2')


@exchange(five='MQTT-3.3.4-3')
def identifiers_stay_with_a_session(t):
    keep = {'props': ((wire.SESSION_EXPIRY, 60),)}
    a = t.client('a').connects(**keep).subscribes((t.topic(), 1), props=((wire.SUBSCRIPTION_ID, 9),)).leaves()
    t.client('p').connects().publishes(t.topic(), b'x', 1)
    a.connects(clean=False, session_present=True, **keep)
    a.receives(t.topic(), b'x', 1, props=((wire.SUBSCRIPTION_ID, 9),)).leaves(props=((wire.SESSION_EXPIRY, 0),))


@exchange(three='MQTT-3.3.4-1', five='MQTT-3.3.4-1')
def subscribing_takes_effect_before_what_follows_it(t):
    v, a = t.version, t.client('a').connects()
    a.sends(
        wire.subscribe(v, 1, (t.topic(), 0))
        + wire.publish(v, t.topic(), b'x')
        + wire.unsubscribe(v, 2, t.topic())
        + wire.publish(v, t.topic(), b'y')
    )
    a.gets(wire.suback(v, 1, 0)).receives(t.topic(), b'x').gets(
        wire.unsuback(v, 2) if v < 5 else wire.unsuback(5, 2, 0)
    )
    a.pings()
