"""What is refused stays refused, whatever way a message or a session takes: known vulnerabilities, and the choices that
MQTT leaves for who lacks a right. The sample `answers` does what a client's name says."""
import wire
from inside import BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED, answers
from served import SAMPLES, Client, Served

KEEP = ((wire.SESSION_EXPIRY, 60),)
NOBODY = 0x10


def chains(**found):
    """Each name a chain: `default` and others."""
    return f'''plugins:
  - {{name: door, path: "{SAMPLES}/answers.so", config: {{at: connect}}}}
  - {{name: rights, path: "{SAMPLES}/answers.so", config: {{at: access}}}}
  - {{name: more, path: "{SAMPLES}/answers.so", config: {{at: access}}}}
auth:
  chains: {{{", ".join(f"{name}: {{{chain}}}" for name, chain in found.items())}}}
'''


def test_cve_2018_20145_the_rights_of_each_listener_are_its_own():
    rights, door = 'authorize: [rights]', 'authenticate: [door]'
    for default, other in ((rights, door), (door, rights)):
        with Served(chains(default=default, other=other), side='chain: other') as broker:
            for address, chain in ((broker.address, default), (broker.side_address, other)):
                with Client(address) as client:
                    refused = chain.startswith('authenticate')
                    assert client.connect('reject-1') == (BAD_USER_NAME_OR_PASSWORD if refused else 0), chain
                    if not refused:
                        assert client.publish('a') == NOT_AUTHORIZED, chain
                with Client(address) as client:
                    assert client.connect('accept-1') == 0
                    assert client.publish('a') == NOBODY, chain


def test_mosquitto_2_0_12_a_qos_2_message_that_was_refused_is_not_delivered_by_coming_again():
    with Served(answers('access')) as broker:
        subscriber = broker.client('accept-1')
        assert subscriber.subscribe('t') == [0]
        for name in ('reject-1', 'late-reject-1'):
            client = broker.client(name, clean=False, props=KEEP)
            client.send(wire.publish(5, 't', 'secret', 2, 7))
            assert client.expect(wire.PUBREC)[2] == NOT_AUTHORIZED
            client.socket.close()
            again = Client(broker.address)
            assert again.connect(name, clean=False, props=KEEP) == 0
            again.send(wire.publish(5, 't', 'secret', 2, 7, dup=True))
            assert again.expect(wire.PUBREC)[2] == NOT_AUTHORIZED, 'it is asked for again'
            again.send(wire.pubrel(5, 7))
            assert again.expect(wire.PUBCOMP)[2] == 0x92, 'there is nothing to release'
            again.socket.close()
        assert broker.client('accept-2').publish('t', 'marker') == 0
        assert subscriber.expect(wire.PUBLISH).endswith(b'marker')


def test_home_assistant_4571_an_allow_of_the_first_does_not_silence_the_second():
    """`more` is told to deny what `door`, which is asked before it, allows."""
    yaml = chains(default='authorize: [door, rights]')
    with Served(yaml) as broker:  # `door` is at connect: for access it allows everybody
        assert broker.client('reject-1').publish('a') == NOT_AUTHORIZED
        assert broker.client('accept-1').publish('a') == NOBODY
    with Served(chains(default='authorize: [rights, door]')) as broker:
        assert broker.client('reject-1').publish('a') == NOT_AUTHORIZED


def test_cve_2026_85058_a_will_needs_the_right_to_publish():
    with Served(answers('access')) as broker:
        subscriber = broker.client('accept-1')
        assert subscriber.subscribe('will') == [0]
        for version, code in ((5, NOT_AUTHORIZED), (4, 5), (3, 5)):
            for name in ('reject-1', 'late-reject-1', 'nobody-allows'):
                assert broker.refusal(name, version=version, will=wire.Will('will', name)) == code, (version, name)
        client = broker.client('accept-2', will=wire.Will('will', 'allowed'))
        client.socket.close()
        assert subscriber.expect(wire.PUBLISH).endswith(b'allowed')


def test_publish_without_permission_is_refused_in_5_and_acknowledged_in_3_x_and_never_delivered():
    with Served(answers('access')) as broker:
        subscriber = broker.client('accept-1')
        assert subscriber.subscribe('t') == [0]
        for version in (3, 4, 5):
            client = broker.client('reject-1', version=version)
            refused = bytes([NOT_AUTHORIZED]) if version == 5 else b''
            client.send(wire.publish(version, 't', 'secret', 0))
            client.send(wire.publish(version, 't', 'secret', 1, 7))
            assert client.expect(wire.PUBACK)[2:3] == refused
            client.send(wire.publish(version, 't', 'secret', 2, 8))
            assert client.expect(wire.PUBREC)[2:3] == refused
            if version < 5:
                client.send(wire.pubrel(version, 8))
                client.expect(wire.PUBCOMP)
            client.send(wire.PING)
            client.expect(wire.PINGRESP)
            client.socket.close()
        assert broker.client('accept-2').publish('t', 'marker') == 0
        assert subscriber.expect(wire.PUBLISH).endswith(b'marker')


def test_subscribe_without_permission_is_refused_in_every_version():
    with Served(answers('access')) as broker:
        for version, code in ((3, 0x80), (4, 0x80), (5, NOT_AUTHORIZED)):
            client = broker.client('reject-1', version=version)
            assert client.subscribe('t', 'a/#', '+', version=version) == [code] * 3
            assert broker.client('accept-1').publish('t', 'secret') == NOBODY
            client.send(wire.PING)
            client.expect(wire.PINGRESP)
            client.socket.close()


def test_error_while_a_packet_is_handled_ends_the_connection_that_carried_it_and_no_other():
    """[MQTT-4.8.0-2] of 3.1.1: a plugin that throws or lets the reply fall."""
    with Served(answers('connect')) as broker:
        other = broker.client('accept-1', version=4)
        for name, answer in (('throw-1', b''), ('drop-1', wire.connack(4, 3))):
            with Client(broker.address) as client:
                client.start_connecting(name, version=4)
                assert client.next() == answer, 'no return code says what throwing is'
                assert client.next() == b'', 'it is closed'
        other.send(wire.PING)
        other.expect(wire.PINGRESP)
