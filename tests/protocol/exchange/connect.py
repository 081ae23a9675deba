"""CONNECT and CONNACK, Keep Alive, PINGREQ, DISCONNECT."""
import string

import wire
from exchange.dsl import exchange
from features import offered
from expect import Connack, Disconnect, Exactly


def absent_or(*values):
    def judge(value):
        return value is None or value in values

    judge.__doc__ = f'absent or one of {values}'
    return judge


@exchange(both='MQTT-3.2.0-1')
def connack_comes_before_any_other_packet(t):
    a = t.client('a').opens()
    a.sends(wire.connect(t.version, a.client_id) + wire.PING).gets(Connack(t.version)).gets(wire.PONG)


@exchange(three='MQTT-3.2.2-1', five='MQTT-3.2.2-2')
def clean_start_is_answered_by_session_present_0(t):
    t.client('a').connects(clean=True, session_present=False).leaves()


@exchange(both='MQTT-3.2.2-3')
def a_new_session_is_not_present(t):
    t.client('a').connects(clean=False, session_present=False).leaves()


@exchange(three='MQTT-3.1.4-4', five='MQTT-3.1.4-5')
def user_name_and_password_do_not_hinder_who_may_come_in_anyway(t):
    t.client('a').connects(user='user', password=b'\x00secret\xff').pings().leaves()


@exchange(five='MQTT-3.1.2-19')
def a_password_without_a_user_name_is_legal_in_5(t):
    t.client('a').connects(password=b'token').pings().leaves()


@exchange(both='MQTT-3.1.3-6', versions=(4, 5))
def two_empty_identifiers_are_two_clients(t):
    a, b = t.client('a'), t.client('b')
    a.connects(client_id='')
    b.connects(client_id='')
    a.pings()
    b.pings()


@exchange(five='MQTT-3.2.2-16')
def assigned_identifiers_are_all_different(t):
    seen = set()

    def is_new(value):
        """one that no other connection has"""
        return bool(value) and value not in seen and not seen.add(value)

    for nick in 'abcdef':
        t.client(nick).connects(client_id='', wanted={wire.ASSIGNED_CLIENT_ID: is_new})


@exchange(five='MQTT-3.1.3-7')
def an_assigned_identifier_names_the_session(t):
    assigned = {}

    def noted(value):
        """some identifier"""
        assigned['id'] = value
        return bool(value)

    keep = ((wire.SESSION_EXPIRY, 60),)
    a = t.client('a').connects(client_id='', props=keep, wanted={wire.ASSIGNED_CLIENT_ID: noted})
    a.subscribes((t.topic(), 1)).leaves()
    a.opens().sends(lambda _: wire.connect(5, assigned['id'], clean=False)).gets(
        Connack(5, session_present=True)
    ).pings()


@exchange(five='MQTT-3.2.2-16')
def a_given_identifier_is_not_assigned(t):
    t.client('a').connects(wanted={wire.ASSIGNED_CLIENT_ID: None})


@exchange(both='MQTT-3.1.3-5', alone=True)
def identifiers_of_1_to_23_letters_and_digits_are_accepted(t):
    characters = string.digits + string.ascii_letters
    names = list(characters) + [(characters * 2)[size : 2 * size] for size in range(2, 24)]
    for number, name in enumerate(names):
        t.client(f'c{number}').connects(client_id=name).leaves()


@exchange(five='MQTT-3.2.2-19 MQTT-3.1.2-24')
def a_refusal_has_no_reason_string_where_it_would_be_too_large(t):
    for size in (5, 20, 30):
        a = t.client(f'a{size}').opens()
        a.sends(wire.connect(5, 'x' * 1025, props=((wire.MAXIMUM_PACKET_SIZE, size),)))
        a.gets(Exactly(wire.connack(5, 0x85), 5)).closed()
    b = t.client('b').opens()  # four bytes are too few for any CONNACK of 5.0
    b.sends(wire.connect(5, 'x' * 1025, props=((wire.MAXIMUM_PACKET_SIZE, 4),))).closed()


@exchange(five='MQTT-3.1.2-24')
def a_client_that_cannot_take_connack_is_refused_and_takes_nobody_over(t):
    old = t.client('old').connects()
    new = old.again('new').opens()
    new.sends(wire.connect(5, old.client_id, props=((wire.MAXIMUM_PACKET_SIZE, 8),)))
    new.gets(Connack(5, 0x95)).closed()
    old.pings()


@exchange(five='MQTT-3.1.2-24')
def a_suback_that_the_client_cannot_take_ends_the_connection(t):
    a = t.client('a').connects(props=((wire.MAXIMUM_PACKET_SIZE, 64),))
    a.subscribes(*((t.topic(f's{number}'), 0) for number in range(64 - 5)))
    a.sends(wire.subscribe(5, 2, *((t.topic(f's{number}'), 0) for number in range(64 - 4)))).closed(0x95)


@exchange(three='MQTT-3.1.0-2', five='MQTT-3.1.0-2')
def cve_2024_36856_a_second_connect_in_the_same_segment_ends_its_own_connection_alone(t):
    other = t.client('other').connects()
    for version in (3, 4, 5):
        a, v = t.client(f'a{version}').opens(), t.version
        a.sends(wire.connect(v, a.client_id) + wire.connect(version, a.client_id) * 20 + wire.PING)
        a.gets(Connack(v)).closed(0x82)
    other.pings()


@exchange(five='MQTT-4.12.0-6')
def no_authentication_method_comes_back_where_none_was_sent(t):
    t.client('a').connects(wanted={wire.AUTH_METHOD: None, wire.AUTH_DATA: None})


@exchange(five='MQTT-3.1.2-28')
def no_response_information_where_none_was_asked_for(t):
    t.client('a').connects(props=((wire.REQUEST_RESPONSE_INFO, 0),), wanted={26: None})


@exchange(five='choices.md: CONNACK announces all limits that differ from the standard\'s defaults')
def connack_announces_the_limits(t):
    t.client('a').connects(
        wanted={wire.RECEIVE_MAXIMUM: 100, wire.TOPIC_ALIAS_MAXIMUM: 16, wire.MAXIMUM_PACKET_SIZE: 1 << 20}
    )


@exchange(five='MQTT-3.2.2-9')
def what_is_fully_supported_is_not_announced_as_missing(t):
    shared = absent_or(1) if offered('shared subscriptions') else 0
    wanted = {36: None, 37: absent_or(1), 40: absent_or(1), 41: absent_or(1), 42: shared}
    t.client('a').connects(wanted=wanted)


@exchange(five='MQTT-3.2.2-22')
def a_keep_alive_within_the_limit_is_not_replaced(t):
    t.client('a').connects(keep_alive=60, wanted={wire.SERVER_KEEP_ALIVE: absent_or(60)})


@exchange(five='properties.tsv: the Session Expiry Interval of CONNACK is the one in use')
def session_expiry_is_granted_as_asked(t):
    t.client('a').connects(props=((wire.SESSION_EXPIRY, 77),), wanted={wire.SESSION_EXPIRY: absent_or(77)})


@exchange(both='MQTT-3.12.4-1')
def pingreq_is_answered_by_pingresp(t):
    a = t.client('a').connects()
    a.sends(wire.PING).gets(wire.PONG)


@exchange(both='MQTT-3.12.4-1')
def three_hundred_pingreqs_in_one_segment_get_as_many_answers(t):
    a = t.client('a').connects().sends(wire.PING * 300)
    for _ in range(300):
        a.gets(wire.PONG)
    a.pings()


@exchange(both='rules.md, CONNECT: a client may send on without waiting for CONNACK')
def a_whole_conversation_in_one_segment_is_answered_in_order(t):
    a, v = t.client('a').opens(), t.version
    a.sends(
        wire.connect(v, a.client_id)
        + wire.subscribe(v, 1, (t.topic(), 1))
        + wire.publish(v, t.topic(), b'x', 1, 2)
        + wire.unsubscribe(v, 3, t.topic())
        + wire.PING
        + wire.disconnect(v)
    )
    a.gets(Connack(v)).gets(wire.suback(v, 1, 1))


@exchange(both='rules.md, fixed header: packets may arrive in any pieces')
def a_conversation_byte_by_byte_is_answered_like_any_other(t):
    a, v = t.client('a').opens(), t.version
    a.sends_slowly(wire.connect(v, a.client_id)).gets(Connack(v))
    a.sends_slowly(wire.subscribe(v, 1, (t.topic(), 0))).gets(wire.suback(v, 1, 0))
    a.sends_slowly(wire.publish(v, t.topic(), b'hello')).receives(t.topic(), b'hello')
    a.sends_slowly(wire.PING).gets(wire.PONG)
    a.sends_slowly(wire.disconnect(v)).closed()


@exchange(three='MQTT-3.14.4-3', five='MQTT-3.14.4-3')
def disconnect_is_answered_by_closing_alone(t):
    t.client('a').connects().leaves()


@exchange(three='MQTT-3.14.4-2', five='MQTT-3.14.4-1')
def what_follows_disconnect_is_not_handled(t):
    watcher = t.client('w').connects().subscribes((t.topic(), 0))
    a = t.client('a').connects()
    a.sends(wire.disconnect(t.version) + wire.publish(t.version, t.topic(), b'late')).closed()
    watcher.markers(t.client('m').connects(), t.topic())


@exchange(five='MQTT-3.14.2-1')
def a_client_may_disconnect_with_an_error_of_its_own(t):
    for number, code in enumerate((0x04, 0x80, 0x81, 0x82, 0x93, 0x99)):
        t.client(f'c{number}').connects().leaves(code)


# ---- Keep Alive


@exchange(three='MQTT-3.1.2-24', five='MQTT-3.1.2-22')
def a_silent_client_is_cut_off_after_one_and_a_half_keep_alives(t):
    t.starts_the_clock()
    t.client('a').connects(keep_alive=1).closed(0x8D)
    t.has_taken(1.5)


@exchange(three='MQTT-3.1.2-24', five='MQTT-3.1.2-22')
def keep_alive_0_is_for_ever(t):
    t.client('a').connects(keep_alive=0).hears_nothing(2.5).pings()


@exchange(three='MQTT-3.1.2-23', five='MQTT-3.1.2-20')
def pingreq_keeps_the_connection(t):
    a = t.client('a').connects(keep_alive=2)
    for _ in range(2):
        a.hears_nothing(1.8).pings()
    t.starts_the_clock()
    a.pings().closed(0x8D)
    t.has_taken(3.0)


@exchange(three='MQTT-3.1.2-24', five='MQTT-3.1.2-22')
def any_packet_of_the_client_keeps_the_connection(t):
    a = t.client('a').connects(keep_alive=2)
    for _ in range(2):
        a.hears_nothing(1.8).publishes(t.topic())
    a.pings()


@exchange(three='MQTT-3.1.2-24', five='MQTT-3.1.2-22')
def what_the_server_sends_does_not_keep_the_connection(t):
    publisher = t.client('p').connects()
    a = t.client('a').connects(keep_alive=1).subscribes((t.topic(), 0))
    for _ in range(8):  # never one and a half Keep Alives without a message
        t.waits(0.4)
        publisher.publishes(t.topic())
    a.was_closed_amid_messages(0x8D)


# ---- take-over


@exchange(three='MQTT-3.1.4-2', five='MQTT-3.1.4-3')
def the_older_connection_of_an_identifier_is_ended(t):
    old = t.client('old').connects()
    new = old.again('new').connects()
    old.closed(0x8E)
    new.pings()


@exchange(three='MQTT-3.1.4-2', five='MQTT-3.1.4-3')
def a_take_over_brings_the_session_along(t):
    keep = {'props': ((wire.SESSION_EXPIRY, 60),)} if t.five else {}
    publisher = t.client('p').connects()
    old = t.client('old').connects(clean=False, **keep).subscribes((t.topic(), 1))
    new = old.again('new').connects(clean=False, session_present=True, **keep)
    old.closed(0x8E)
    publisher.publishes(t.topic(), b'hello', 1)
    new.receives(t.topic(), b'hello', 1)


@exchange(three='MQTT-3.1.2-6', five='MQTT-3.1.2-4')
def a_take_over_with_clean_start_ends_the_session(t):
    keep = {'props': ((wire.SESSION_EXPIRY, 60),)} if t.five else {}
    publisher = t.client('p').connects()
    old = t.client('old').connects(clean=False, **keep).subscribes((t.topic('gone'), 1))
    new = old.again('new').connects(clean=True, session_present=False).subscribes((t.topic('here'), 0))
    old.closed(0x8E)
    publisher.publishes(t.topic('gone'), b'hello', 1, code=0x10)
    new.markers(publisher, t.topic('here'))


@exchange(three='MQTT-3.1.4-2', five='MQTT-3.1.4-3')
def a_session_may_be_taken_over_by_a_client_of_another_version(t):
    for other in (v for v in (3, 4, 5) if v != t.version):
        keep = {'props': ((wire.SESSION_EXPIRY, 60),)} if t.five else {}
        old = t.client(f'old{other}').connects(clean=False, **keep).subscribes((t.topic(str(other)), 1))
        new = old.again(f'new{other}', other).connects(clean=False, session_present=True)
        old.closed(0x8E)
        t.client(f'p{other}').connects().publishes(t.topic(str(other)), b'hello', 1)
        new.receives(t.topic(str(other)), b'hello', 1)


@exchange(three='MQTT-3.1.4-2', five='MQTT-3.1.4-3')
def the_last_of_many_take_overs_is_alone(t):
    last = t.client('a0').connects()
    for number in range(1, 12):
        new = last.again(f'a{number}').connects()
        last.closed(0x8E)
        last = new
    last.pings()


@exchange(five='choices.md: a server\'s DISCONNECT says why')
def a_broken_rule_is_told_by_its_code(t):
    a = t.client('a').connects().sends(wire.subscribe(5, 1, ('a/#/b', 0)))
    a.gets(Disconnect(0x81)).closed()
