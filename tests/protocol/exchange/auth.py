"""Enhanced authentication: AUTH before CONNACK and on an open connection.

The broker has the plugin `exchange`, which does as the Authentication Data of the client says; see
tests/plugin/samples/exchange.cc for its words.
"""
import wire
from exchange.dsl import exchange
from expect import Connack, Disconnect
from wire import AUTH_DATA, AUTH_METHOD, Will

SUCCESS, CONTINUE, AGAIN = 0x00, 0x18, 0x19
PROTOCOL_ERROR, MALFORMED, NOT_AUTHORIZED, TOO_LARGE = 0x82, 0x81, 0x87, 0x95


def words(data='', method='TOLD'):
    """The properties of an exchange."""
    return ((AUTH_METHOD, method),) + (((AUTH_DATA, data),) if data else ())


def auth(code, data='', method='TOLD'):
    return wire.auth(code, words(data, method))


def asks(t, nick, data, props=(), **fields):
    """A client that has sent CONNECT with these data."""
    client = t.client(nick).opens()
    return client.sends(wire.connect(5, client.client_id, props=words(data) + tuple(props), **fields))


def enters(t, nick, props=(), **fields):
    """A client that was let in at once."""
    return asks(t, nick, 'accept', props, **fields).gets(Connack(5, wanted={AUTH_METHOD: b'TOLD', AUTH_DATA: None}))


# ---- before CONNACK


@exchange(five='MQTT-4.12.0-2 MQTT-4.12.0-5')
def a_challenge_is_auth_0x18_with_the_method(t):
    asks(t, 'a', 'challenge nonce').gets(auth(CONTINUE, 'nonce'))


@exchange(five='MQTT-4.12.0-2')
def a_challenge_may_be_without_data(t):
    asks(t, 'a', 'challenge').gets(auth(CONTINUE))


@exchange(five='MQTT-4.12.0-5')
def connack_repeats_the_method_and_brings_the_last_data(t):
    a = asks(t, 'a', 'challenge one', user='bob').gets(auth(CONTINUE, 'one'))
    for number in ('two', 'three', 'four'):
        a.sends(auth(CONTINUE, f'challenge {number}')).gets(auth(CONTINUE, number))
    a.sends(auth(CONTINUE, 'tell'))
    a.gets(Connack(5, wanted={AUTH_METHOD: b'TOLD', AUTH_DATA: b'step 5 user bob'})).pings()


@exchange(five='MQTT-4.12.0-5')
def each_method_is_repeated_as_it_was_named(t):
    a = t.client('a').opens()
    a.sends(wire.connect(5, a.client_id, props=words('challenge x', 'TOLD-2'))).gets(auth(CONTINUE, 'x', 'TOLD-2'))
    a.sends(auth(CONTINUE, 'accept y', 'TOLD-2'))
    a.gets(Connack(5, wanted={AUTH_METHOD: b'TOLD-2', AUTH_DATA: b'y'}))


@exchange(five='MQTT-4.12.0-1')
def a_method_that_nobody_knows_is_refused(t):
    for number, method in enumerate(('SCRAM-SHA-256', 'told', 'TOLD ', 'TOLD-22', '')):
        a = t.client(f'a{number}').opens()
        a.sends(wire.connect(5, a.client_id, props=words('accept', method))).gets(Connack(5, 0x8C)).closed()


@exchange(five='MQTT-4.12.0-4')
def a_refusal_is_a_connack_and_the_end(t):
    for code in (0x80, 0x83, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x9F):
        asks(t, f'at-once-{code}', f'reject {code:x}').gets(Connack(5, code)).closed()
        a = asks(t, f'later-{code}', 'challenge x').gets(auth(CONTINUE, 'x'))
        a.sends(auth(CONTINUE, f'reject {code:x}')).gets(Connack(5, code)).closed()


@exchange(five='MQTT-3.2.2-8')
def a_code_that_connack_cannot_carry_is_not_authorized(t):
    for code in (0x00, 0x18, 0x8B, 0x8D, 0x8E, 0x91, 0x93):
        asks(t, f'a{code}', f'reject {code:x}').gets(Connack(5, NOT_AUTHORIZED)).closed()


@exchange(five='MQTT-4.12.0-4')
def who_named_a_method_does_not_get_in_without_it(t):
    asks(t, 'a', 'pass').gets(Connack(5, NOT_AUTHORIZED)).closed()
    b = asks(t, 'b', 'challenge x').gets(auth(CONTINUE, 'x'))
    b.sends(auth(CONTINUE, 'pass')).gets(Connack(5, NOT_AUTHORIZED)).closed()


@exchange(five='choices.md, broken rules: while authentication runs CONNACK with the code, then close')
def a_plugin_that_fails_refuses(t):
    for number, (word, code) in enumerate((('throw', 0x83), ('drop', 0x88), ('long 65536', 0x83))):
        asks(t, f'a{number}', word).gets(Connack(5, code)).closed()
        b = asks(t, f'b{number}', 'challenge x').gets(auth(CONTINUE, 'x'))
        b.sends(auth(CONTINUE, word)).gets(Connack(5, code)).closed()


@exchange(five='MQTT-4.12.0-2')
def a_late_answer_continues_the_exchange(t):
    a = asks(t, 'a', 'late challenge x').gets(auth(CONTINUE, 'x'))
    a.sends(auth(CONTINUE, 'late challenge y')).gets(auth(CONTINUE, 'y'))
    a.sends(auth(CONTINUE, 'late accept z')).gets(Connack(5, wanted={AUTH_DATA: b'z'})).pings()


@exchange(five='MQTT-4.12.0-4')
def an_answer_that_never_comes_is_a_refusal(t):
    asks(t, 'a', 'never').gets(Connack(5, 0x88)).closed()
    b = asks(t, 'b', 'challenge x').gets(auth(CONTINUE, 'x'))
    b.sends(auth(CONTINUE, 'never')).gets(Connack(5, 0x88)).closed()


@exchange(five='MQTT-3.1.2-30 MQTT-4.12.0-3')
def only_auth_and_disconnect_may_come_before_connack(t):
    topic = t.topic()
    packets = {
        'ping': wire.PING,
        'publish': wire.publish(5, topic),
        'subscribe': wire.subscribe(5, 1, (topic, 0)),
        'unsubscribe': wire.unsubscribe(5, 1, topic),
        'puback': wire.puback(5, 1),
        'pubrel': wire.pubrel(5, 1),
        'connect': wire.connect(5, 'another'),
    }
    for name, packet in packets.items():
        a = asks(t, name, 'challenge x').gets(auth(CONTINUE, 'x'))
        a.sends(packet + auth(CONTINUE, 'accept')).gets(Connack(5, PROTOCOL_ERROR)).closed()


@exchange(five='MQTT-4.13.1-1')
def cve_2021_28166_what_only_a_server_sends_is_a_protocol_error_in_an_exchange_too(t):
    packets = {
        'connack': wire.connack(5),
        'suback': wire.suback(5, 1, 0),
        'unsuback': wire.unsuback(5, 1, 0),
        'pingresp': wire.PONG,
    }
    for name, packet in packets.items():
        a = asks(t, 'a' + name, 'challenge x').gets(auth(CONTINUE, 'x'))
        a.sends(packet).gets(Connack(5, PROTOCOL_ERROR)).closed()
        b = enters(t, 'b' + name).sends(auth(AGAIN, 'challenge x')).gets(auth(CONTINUE, 'x'))
        b.sends(packet).closed(PROTOCOL_ERROR)


@exchange(five='MQTT-3.1.2-30')
def disconnect_before_connack_ends_it_and_leaves_no_will(t):
    watching = t.client('w').connects().subscribes((t.topic('will'), 0), (t.topic('m'), 0))
    for number, (code, props) in enumerate(((0, ()), (4, ()), (0, ((wire.SESSION_EXPIRY, 5),)), (0x80, ()))):
        a = asks(t, f'a{number}', 'challenge x', will=Will(t.topic('will'), b'gone')).gets(auth(CONTINUE, 'x'))
        a.sends(wire.disconnect(5, code, props)).closed()
    watching.markers(t.client('m').connects(), t.topic('m'))


@exchange(five='MQTT-4.12.0-5')
def another_method_is_a_protocol_error(t):
    a = asks(t, 'a', 'challenge x').gets(auth(CONTINUE, 'x'))
    a.sends(auth(CONTINUE, 'accept', 'TOLD-2')).gets(Connack(5, PROTOCOL_ERROR)).closed()
    enters(t, 'b').sends(auth(AGAIN, 'accept', 'TOLD-2')).closed(PROTOCOL_ERROR)


@exchange(five='section 4.12.1: re-authentication begins after CONNACK')
def auth_0x19_before_connack_is_a_protocol_error(t):
    a = asks(t, 'a', 'challenge x').gets(auth(CONTINUE, 'x'))
    a.sends(auth(AGAIN, 'accept')).gets(Connack(5, PROTOCOL_ERROR)).closed()


@exchange(five='MQTT-3.15.2-1')
def auth_has_one_of_the_codes_of_a_client(t):
    for code in (0x00, 0x01, 0x17, 0x1A, 0x80, 0x87, 0x8C, 0xFF):
        a = asks(t, f'a{code}', 'challenge x').gets(auth(CONTINUE, 'x'))
        a.sends(auth(code, 'accept')).gets(Connack(5, PROTOCOL_ERROR)).closed()
        enters(t, f'b{code}').sends(auth(code, 'accept')).closed(PROTOCOL_ERROR)


@exchange(five='MQTT-3.15.1-1')
def auth_with_flags_is_malformed(t):
    for flags in (1, 2, 4, 8, 15):
        bad = wire.packet(wire.AUTH, b'\x18' + wire.properties(*words('accept')), flags)
        a = asks(t, f'a{flags}', 'challenge x').gets(auth(CONTINUE, 'x'))
        a.sends(bad).gets(Connack(5, MALFORMED)).closed()
        enters(t, f'b{flags}').sends(bad).closed(MALFORMED)


@exchange(five='rules.md, acknowledgement lengths: of length 0 or without a method it is a Protocol Error')
def auth_without_its_method_is_a_protocol_error(t):
    bad = {
        'empty': wire.packet(wire.AUTH),
        'no-properties': wire.packet(wire.AUTH, b'\x18\x00'),
        'data-alone': wire.auth(CONTINUE, ((AUTH_DATA, b'accept'),)),
        'reason-alone': wire.auth(CONTINUE, ((wire.REASON_STRING, 'why'),)),
    }
    for name, packet in bad.items():
        a = asks(t, 'a' + name, 'challenge x').gets(auth(CONTINUE, 'x'))
        a.sends(packet).gets(Connack(5, PROTOCOL_ERROR)).closed()
        enters(t, 'b' + name).sends(packet).closed(PROTOCOL_ERROR)


@exchange(five='rules.md, acknowledgement lengths: AUTH of length 1 is malformed')
def auth_of_length_1_is_malformed(t):
    bad = wire.packet(wire.AUTH, b'\x18')
    asks(t, 'a', 'challenge x').gets(auth(CONTINUE, 'x')).sends(bad).gets(Connack(5, MALFORMED)).closed()
    enters(t, 'b').sends(bad).closed(MALFORMED)


@exchange(five='section 2.2.2.2: what may stand in AUTH, and how often')
def auth_has_its_own_properties_only_and_each_once(t):
    good = words('accept')
    bad = {
        'method-twice': (good + ((AUTH_METHOD, 'TOLD'),), PROTOCOL_ERROR),
        'data-twice': (good + ((AUTH_DATA, b'accept'),), PROTOCOL_ERROR),
        'reason-twice': (good + ((wire.REASON_STRING, 'a'), (wire.REASON_STRING, 'b')), PROTOCOL_ERROR),
        'session-expiry': (good + ((wire.SESSION_EXPIRY, 1),), MALFORMED),
        'server-reference': (good + ((wire.SERVER_REFERENCE, 'x'),), MALFORMED),
        'unknown': (good + (b'\x7f\x00',), MALFORMED),
    }
    for name, (props, code) in bad.items():
        a = asks(t, 'a' + name, 'challenge x').gets(auth(CONTINUE, 'x'))
        a.sends(wire.auth(CONTINUE, props)).gets(Connack(5, code)).closed()
        enters(t, 'b' + name).sends(wire.auth(AGAIN, props)).closed(code)


@exchange(five='section 3.15.2.2: a Reason String and User Properties may come with AUTH')
def auth_may_explain_itself(t):
    more = ((wire.REASON_STRING, 'because'), (wire.USER_PROPERTY, ('a', '1')), (wire.USER_PROPERTY, ('a', '1')))
    a = asks(t, 'a', 'challenge x').gets(auth(CONTINUE, 'x'))
    a.sends(wire.auth(CONTINUE, words('accept') + more)).gets(Connack(5))
    a.sends(wire.auth(AGAIN, more + words('accept'))).gets(auth(SUCCESS))


@exchange(five='MQTT-3.15.2-2 MQTT-3.15.2-3 MQTT-3.1.2-24')
def no_auth_is_larger_than_the_client_takes(t):
    """What is left of AUTH is what it is for, so one that is too large ends the connection."""
    for size, fits in ((21, True), (20, False)):  # 21 bytes: the challenge below
        props = ((wire.MAXIMUM_PACKET_SIZE, size),)
        a = asks(t, f'a{size}', 'challenge 1234567', props)
        if fits:
            a.gets(auth(CONTINUE, '1234567')).sends(wire.disconnect(5)).closed()
        else:
            a.gets(Connack(5, TOO_LARGE)).closed()


@exchange(five='rules.md, CONNECT: a client may send on without waiting for CONNACK')
def what_comes_with_the_last_auth_is_handled_after_connack(t):
    a = asks(t, 'a', 'challenge x').gets(auth(CONTINUE, 'x'))
    a.sends(auth(CONTINUE, 'late accept') + wire.subscribe(5, 1, (t.topic(), 0)) + wire.publish(5, t.topic(), b'y'))
    a.gets(Connack(5)).gets(wire.suback(5, 1, 0)).receives(t.topic(), b'y').pings()


@exchange(five='MQTT-3.1.4-6')
def what_follows_a_refused_auth_is_not_handled(t):
    watching = t.client('w').connects().subscribes((t.topic(), 0))
    a = asks(t, 'a', 'challenge x').gets(auth(CONTINUE, 'x'))
    a.sends(auth(CONTINUE, 'late reject 87') + wire.publish(5, t.topic(), b'y')).gets(Connack(5, 0x87)).closed()
    watching.markers(t.client('m').connects(), t.topic())


@exchange(five='section 4.12: an exchange byte by byte is an exchange like any other')
def an_exchange_byte_by_byte(t):
    a = t.client('a').opens()
    a.sends_slowly(wire.connect(5, a.client_id, props=words('challenge x'))).gets(auth(CONTINUE, 'x'))
    a.sends_slowly(auth(CONTINUE, 'accept y')).gets(Connack(5, wanted={AUTH_DATA: b'y'}))
    a.sends_slowly(auth(AGAIN, 'accept z')).gets(auth(SUCCESS, 'z'))


@exchange(five='section 4.12: a session is resumed after an exchange as after any CONNECT')
def a_session_is_resumed_after_an_exchange(t):
    keep = ((wire.SESSION_EXPIRY, 60),)
    a = enters(t, 'a', keep).subscribes((t.topic(), 1)).leaves()
    t.client('p').connects().publishes(t.topic(), b'hello', 1)
    a.opens().sends(wire.connect(5, a.client_id, clean=False, props=words('challenge x') + keep))
    a.gets(auth(CONTINUE, 'x')).sends(auth(CONTINUE, 'accept y'))
    a.gets(Connack(5, session_present=True, wanted={AUTH_DATA: b'y'})).receives(t.topic(), b'hello', 1)
    a.sends(auth(AGAIN, 'accept z')).gets(auth(SUCCESS, 'z'))


@exchange(five='MQTT-3.1.4-3')
def nobody_is_taken_over_before_the_exchange_has_succeeded(t):
    old = enters(t, 'old')
    new = old.again('new').opens()
    new.sends(wire.connect(5, old.client_id, props=words('challenge x'))).gets(auth(CONTINUE, 'x'))
    old.pings()
    new.sends(auth(CONTINUE, 'reject 87')).gets(Connack(5, 0x87)).closed()
    old.pings()
    new.opens().sends(wire.connect(5, old.client_id, props=words('challenge x'))).gets(auth(CONTINUE, 'x'))
    new.sends(auth(CONTINUE, 'accept')).gets(Connack(5))
    old.closed(0x8E)


# ---- on an open connection


@exchange(five='MQTT-4.12.0-7')
def auth_of_who_named_no_method_is_a_protocol_error(t):
    for code in (CONTINUE, AGAIN):
        t.client(f'a{code}').connects().sends(auth(code, 'accept')).closed(PROTOCOL_ERROR)


@exchange(five='MQTT-4.12.1-1 MQTT-4.12.0-5')
def a_reauthentication_ends_in_auth_0x00(t):
    a = enters(t, 'a', user='bob').sends(auth(AGAIN, 'tell')).gets(auth(SUCCESS, 'step 1 user bob again'))
    a.sends(auth(AGAIN, 'challenge x')).gets(auth(CONTINUE, 'x'))
    a.sends(auth(CONTINUE, 'late challenge y')).gets(auth(CONTINUE, 'y'))
    a.sends(auth(CONTINUE, 'tell')).gets(auth(SUCCESS, 'step 3 user bob again')).pings()
    a.sends(auth(AGAIN, 'late accept')).gets(auth(SUCCESS)).pings()


@exchange(five='rules.md, CONNECT: during re-authentication all else may go on under the old one')
def all_else_goes_on_during_a_reauthentication(t):
    publisher = t.client('p').connects()
    a = enters(t, 'a')
    a.sends(auth(AGAIN, 'challenge x')).gets(auth(CONTINUE, 'x')).pings().subscribes((t.topic(), 1))
    publisher.publishes(t.topic(), b'one', 1)
    a.receives(t.topic(), b'one', 1)
    a.sends(auth(CONTINUE, 'never') + wire.PING).gets(wire.PONG)
    a.publishes(t.topic('nobody'), b'two', 1, code=0x10).unsubscribes(t.topic())


@exchange(five='MQTT-4.12.1-2')
def a_failed_reauthentication_is_a_disconnect(t):
    watching = t.client('w').connects().subscribes((t.topic('will'), 0))
    will = Will(t.topic('will'), b'gone')
    for code in (0x80, 0x83, 0x87, 0x89):
        enters(t, f'a{code}', will=will).sends(auth(AGAIN, f'reject {code:x}')).closed(code)
        watching.receives(t.topic('will'), b'gone')
    b = enters(t, 'b').sends(auth(AGAIN, 'challenge x')).gets(auth(CONTINUE, 'x'))
    b.sends(auth(CONTINUE, 'late reject 87')).closed(NOT_AUTHORIZED)


@exchange(five='MQTT-3.14.2-1 MQTT-4.12.1-2')
def a_code_that_disconnect_cannot_carry_is_not_authorized(t):
    for number, word in enumerate(('reject 86', 'reject 88', 'reject 8c', 'pass', 'drop', 'never')):
        enters(t, f'a{number}').sends(auth(AGAIN, word)).closed(NOT_AUTHORIZED)
    enters(t, 'b').sends(auth(AGAIN, 'throw')).closed(0x83)


@exchange(five='a session belongs to the identity that opened it, also when its client authenticates anew')
def a_reauthentication_cannot_change_the_user_name(t):
    a = enters(t, 'a', user='bob').sends(auth(AGAIN, 'as bob')).gets(auth(SUCCESS))
    a.sends(auth(AGAIN, 'as mallory')).closed(NOT_AUTHORIZED)
    enters(t, 'b').sends(auth(AGAIN, 'as bob')).closed(NOT_AUTHORIZED)


@exchange(five='section 4.12.1: AUTH 0x18 answers a challenge, and there is one re-authentication at a time')
def auth_out_of_turn_is_a_protocol_error(t):
    enters(t, 'a').sends(auth(CONTINUE, 'accept')).closed(PROTOCOL_ERROR)
    b = enters(t, 'b').sends(auth(AGAIN, 'challenge x')).gets(auth(CONTINUE, 'x'))
    b.sends(auth(AGAIN, 'accept')).closed(PROTOCOL_ERROR)
    for code in (CONTINUE, AGAIN):
        enters(t, f'c{code}').sends(auth(AGAIN, 'never') + auth(code, 'accept')).closed(PROTOCOL_ERROR)
    d = enters(t, 'd').sends(auth(AGAIN, 'accept')).gets(auth(SUCCESS))
    d.sends(auth(CONTINUE, 'accept')).closed(PROTOCOL_ERROR)


@exchange(five='MQTT-3.1.4-3')
def a_take_over_ends_a_reauthentication(t):
    old = enters(t, 'old').sends(auth(AGAIN, 'never'))
    new = old.again('new').connects()
    old.gets(Disconnect(0x8E)).closed()
    new.pings()
