"""Wills: when they are published, when not, and how they look."""
import wire
from exchange.dsl import exchange
from wire import Will


def watcher(t, qos=2):
    return t.client('w').connects().subscribes((t.topic('will'), qos), (t.topic('m'), 0))


def no_will(t, watching):
    watching.markers(t.client('m').connects(), t.topic('m'))


@exchange(three='MQTT-3.1.2-8', five='MQTT-3.1.2-8')
def a_dropped_connection_publishes_its_will(t):
    watching = watcher(t)
    t.client('a').connects(will=Will(t.topic('will'), b'gone', 1)).drops()
    watching.receives(t.topic('will'), b'gone', 1).pings()


@exchange(three='MQTT-3.1.2-8', five='MQTT-3.1.2-8')
def a_connection_closed_without_disconnect_publishes_its_will(t):
    watching = watcher(t)
    t.client('a').connects(will=Will(t.topic('will'), b'gone', 2)).finishes().closed()
    watching.receives(t.topic('will'), b'gone', 2).pings()


@exchange(three='MQTT-3.14.4-3 MQTT-3.1.2-10', five='MQTT-3.14.4-3 MQTT-3.1.2-10')
def disconnect_drops_the_will(t):
    watching = watcher(t)
    t.client('a').connects(will=Will(t.topic('will'), b'gone', 1)).leaves()
    no_will(t, watching)


@exchange(three='MQTT-3.1.2-12', five='MQTT-3.1.2-8')
def without_a_will_nothing_is_published(t):
    watching = watcher(t)
    t.client('a').connects().drops()
    no_will(t, watching)


@exchange(three='MQTT-3.1.2-8', five='MQTT-3.1.2-8')
def a_broken_rule_publishes_the_will(t):
    watching = watcher(t)
    t.client('a').connects(will=Will(t.topic('will'), b'gone')).sends(b'\xc1\x00').closed(0x81)
    watching.receives(t.topic('will'), b'gone').pings()


@exchange(three='MQTT-3.1.0-2 MQTT-3.1.2-8', five='MQTT-3.1.0-2 MQTT-3.1.2-8')
def a_second_connect_publishes_the_will(t):
    watching = watcher(t)
    a = t.client('a').connects(will=Will(t.topic('will'), b'gone'))
    a.sends(wire.connect(t.version, a.client_id)).closed(0x82)
    watching.receives(t.topic('will'), b'gone').pings()


@exchange(three='MQTT-3.1.2-24', five='MQTT-3.1.2-22')
def a_keep_alive_that_runs_out_publishes_the_will(t):
    watching = watcher(t)
    t.client('a').connects(keep_alive=1, will=Will(t.topic('will'), b'gone', 1)).closed(0x8D)
    watching.receives(t.topic('will'), b'gone', 1).pings()


@exchange(three='MQTT-3.1.4-2', five='MQTT-3.1.4-3')
def a_take_over_publishes_the_will_of_the_old_connection(t):
    watching = watcher(t)
    old = t.client('a').connects(will=Will(t.topic('will'), b'gone', 1))
    new = old.again('b').connects()
    old.closed(0x8E)
    watching.receives(t.topic('will'), b'gone', 1).pings()
    new.pings()


@exchange(three='MQTT-3.1.2-10', five='MQTT-3.1.2-10')
def a_will_is_published_once(t):
    watching = watcher(t)
    a = t.client('a').connects(will=Will(t.topic('will'), b'gone', 1)).drops()
    watching.receives(t.topic('will'), b'gone', 1)
    a.connects().drops()
    no_will(t, watching)


@exchange(three='MQTT-3.1.2-16', five='MQTT-3.1.2-14')
def will_retain_0_keeps_nothing(t):
    watching = watcher(t)
    t.client('a').connects(will=Will(t.topic('will'), b'gone', 1, retain=False)).drops()
    watching.receives(t.topic('will'), b'gone', 1)
    late = t.client('l').connects().subscribes((t.topic('will'), 0))
    late.markers(t.client('p').connects(), t.topic('will'))


@exchange(three='MQTT-3.1.2-17', five='MQTT-3.1.2-15')
def will_retain_1_keeps_the_will(t):
    watching = watcher(t)
    t.client('a').connects(will=Will(t.topic('will'), b'gone', 1, retain=True)).drops()
    watching.receives(t.topic('will'), b'gone', 1, retain=False)
    late = t.client('l').connects().subscribes((t.topic('will'), 2))
    late.receives(t.topic('will'), b'gone', 1, retain=True).pings()


@exchange(three='MQTT-3.1.2-9', five='MQTT-3.1.2-9')
def a_will_has_its_own_qos(t):
    for qos in range(3):
        watching = t.client(f'w{qos}').connects().subscribes((t.topic(str(qos)), 2))
        t.client(f'a{qos}').connects(will=Will(t.topic(str(qos)), b'gone', qos)).drops()
        watching.receives(t.topic(str(qos)), b'gone', qos).pings()


@exchange(three='MQTT-3.1.2-9', five='MQTT-3.1.2-9')
def a_will_may_be_empty_or_binary(t):
    for nick, payload in (('x', b''), ('y', bytes(range(256)))):
        watching = t.client('w' + nick).connects().subscribes((t.topic(nick), 0))
        t.client('a' + nick).connects(will=Will(t.topic(nick), payload)).drops()
        watching.receives(t.topic(nick), payload).pings()


@exchange(three='MQTT-4.5.0-1', five='MQTT-4.5.0-1')
def a_will_is_queued_for_who_is_away(t):
    keep = {'props': ((wire.SESSION_EXPIRY, 60),)} if t.five else {}
    away = t.client('w').connects(clean=False, **keep).subscribes((t.topic('will'), 1)).leaves()
    t.client('a').connects(will=Will(t.topic('will'), b'gone', 1)).drops()
    t.waits(0.1)
    away.connects(clean=False, session_present=True, **keep).receives(t.topic('will'), b'gone', 1)


@exchange(
    three='MQTT-3.1.2-6 MQTT-3.1.2-8',
    five='rules.md, wills: a take-over of a connection without expiry ends the session: will at once, Session Present 0',
)
def a_take_over_of_a_session_without_expiry_publishes_the_will_at_once(t):
    watching = watcher(t)
    will = Will(t.topic('will'), b'gone', 1, props=((wire.WILL_DELAY, 60),))
    old = t.client('a').connects(will=will)
    new = old.again('b').connects(clean=False, session_present=False)
    old.closed(0x8E)
    watching.receives(t.topic('will'), b'gone', 1).pings()
    new.pings()


# ---- 5.0


@exchange(five='MQTT-3.1.2-8')
def disconnect_0x04_publishes_the_will(t):
    watching = watcher(t)
    t.client('a').connects(will=Will(t.topic('will'), b'gone', 1)).leaves(0x04)
    watching.receives(t.topic('will'), b'gone', 1).pings()


@exchange(five='MQTT-3.1.2-8')
def any_disconnect_but_0x00_publishes_the_will(t):
    watching = watcher(t)
    for code in (0x80, 0x81, 0x98):
        t.client(f'a{code}').connects(will=Will(t.topic('will'), b'gone', 1)).leaves(code)
        watching.receives(t.topic('will'), b'gone', 1)


@exchange(five='MQTT-3.1.3-10')
def a_will_keeps_its_properties(t):
    props = (
        (wire.PAYLOAD_FORMAT, 1),
        (wire.CONTENT_TYPE, 'text/plain'),
        (wire.RESPONSE_TOPIC, 'back'),
        (wire.CORRELATION_DATA, b'\x00\xff'),
        (wire.USER_PROPERTY, ('b', '2')),
        (wire.USER_PROPERTY, ('a', '1')),
        (wire.USER_PROPERTY, ('b', '1')),
    )
    watching = watcher(t)
    t.client('a').connects(will=Will(t.topic('will'), b'gone', 1, props=props)).drops()
    watching.receives(t.topic('will'), b'gone', 1, props=props)


@exchange(five='properties.tsv: a Will Delay Interval is for the server alone')
def the_will_delay_is_not_forwarded(t):
    watching = watcher(t)
    t.client('a').connects(will=Will(t.topic('will'), b'gone', props=((wire.WILL_DELAY, 0),))).drops()
    watching.receives(t.topic('will'), b'gone', props=())


@exchange(five='MQTT-3.1.2-8')
def a_delayed_will_waits_for_its_delay(t):
    watching = watcher(t)
    will = Will(t.topic('will'), b'gone', 1, props=((wire.WILL_DELAY, 1),))
    a = t.client('a').connects(will=will, props=((wire.SESSION_EXPIRY, 60),))
    t.starts_the_clock()
    a.drops()
    watching.receives(t.topic('will'), b'gone', 1).pings()
    t.has_taken(1.0)


@exchange(five='MQTT-3.1.3-9')
def a_client_that_is_back_in_time_has_no_will(t):
    watching = watcher(t)
    will = Will(t.topic('will'), b'gone', 1, props=((wire.WILL_DELAY, 1),))
    keep = {'props': ((wire.SESSION_EXPIRY, 60),)}
    a = t.client('a').connects(will=will, **keep).drops()
    a.connects(clean=False, session_present=True, **keep)
    t.waits(1.6)
    no_will(t, watching)
    a.pings()


@exchange(five='MQTT-3.1.2-8')
def the_end_of_the_session_ends_the_delay(t):
    watching = watcher(t)
    will = Will(t.topic('will'), b'gone', 1, props=((wire.WILL_DELAY, 60),))
    a = t.client('a').connects(will=will, props=((wire.SESSION_EXPIRY, 1),))
    t.starts_the_clock()
    a.drops()
    watching.receives(t.topic('will'), b'gone', 1).pings()
    t.has_taken(1.0)


@exchange(five='rules.md, wills: without a Session Expiry Interval the session, and so the delay, ends at once')
def a_delay_without_a_session_is_none(t):
    watching = watcher(t)
    t.client('a').connects(will=Will(t.topic('will'), b'gone', 1, props=((wire.WILL_DELAY, 60),))).drops()
    watching.receives(t.topic('will'), b'gone', 1).pings()


@exchange(five='rules.md, wills: a take-over with Clean Start ends the session: will at once whatever its delay')
def a_clean_start_ends_the_delay(t):
    watching = watcher(t)
    will = Will(t.topic('will'), b'gone', 1, props=((wire.WILL_DELAY, 60),))
    old = t.client('a').connects(will=will, props=((wire.SESSION_EXPIRY, 60),))
    old.again('b').connects(clean=True)
    old.closed(0x8E)
    watching.receives(t.topic('will'), b'gone', 1).pings()


@exchange(five='MQTT-3.1.3-9')
def a_take_over_that_resumes_the_session_in_time_has_no_will(t):
    watching = watcher(t)
    keep = {'props': ((wire.SESSION_EXPIRY, 60),)}
    old = t.client('a').connects(will=Will(t.topic('will'), b'gone', 1, props=((wire.WILL_DELAY, 1),)), **keep)
    old.again('b').connects(clean=False, session_present=True, **keep)
    old.closed(0x8E)
    t.waits(1.5)
    no_will(t, watching)


@exchange(five='MQTT-3.1.2-7')
def the_will_of_the_last_connect_counts(t):
    watching = watcher(t)
    keep = {'props': ((wire.SESSION_EXPIRY, 60),)}
    a = t.client('a').connects(will=Will(t.topic('will'), b'first', 1), **keep).leaves()
    a.connects(clean=False, session_present=True, will=Will(t.topic('will'), b'second', 1), **keep).drops()
    watching.receives(t.topic('will'), b'second', 1).pings()


@exchange(five='MQTT-3.3.2-6')
def a_wills_message_expiry_counts_from_its_publication(t):
    def is_100(value):
        """95 to 100"""
        return 95 <= value <= 100

    watching = watcher(t)
    will = Will(t.topic('will'), b'gone', 1, props=((wire.WILL_DELAY, 1), (wire.MESSAGE_EXPIRY, 100)))
    t.client('a').connects(will=will, props=((wire.SESSION_EXPIRY, 60),)).drops()
    watching.receives(t.topic('will'), b'gone', 1, props=((wire.MESSAGE_EXPIRY, is_100),)).pings()
