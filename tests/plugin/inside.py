"""Answers of every kind, late ones above all, in a broker that runs. The sample `answers` does what a client's name says."""
import threading
import time

import wire
from served import SAMPLES, PATIENCE, Client, Served

BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED, SERVER_UNAVAILABLE, FAILED = 0x86, 0x87, 0x88, 0x83


def answers(at, options='', delay='100ms', anonymous='loopback'):
    chain = 'authenticate' if at == 'connect' else 'authorize'
    return f'''plugins:
  - {{name: answers, path: "{SAMPLES}/answers.so", config: {{at: {at}, delay: {delay}}}{options}}}
auth:
  anonymous: {anonymous}
  chains: {{default: {{{chain}: [answers]}}}}
'''


# ---- authenticate ----------------------------------------------------------------------------------------------------


def test_authenticator_answers_at_once():
    with Served(answers('connect')) as broker:
        broker.client('accept-1')
        assert broker.refusal('reject-1') == BAD_USER_NAME_OR_PASSWORD
        broker.client('somebody')  # passed, and let in anonymously
        broker.wait_for_log('told to refuse')


def test_after_the_last_pass_the_rule_for_anonymous_clients_decides():
    with Served(answers('connect', anonymous='never')) as broker:
        broker.client('accept-1')
        assert broker.refusal('somebody') >= 0x80


def test_authenticator_answers_late_from_another_thread():
    with Served(answers('connect', delay='300ms')) as broker:
        begin = time.monotonic()
        broker.client('late-1')
        assert time.monotonic() - begin >= 0.3
        assert broker.refusal('late-reject-1') == BAD_USER_NAME_OR_PASSWORD


def test_what_a_client_sends_while_its_authenticator_thinks_is_kept():
    with Served(answers('connect')) as broker, Client(broker.address) as client:
        client.send(
            wire.connect(5, 'late-1'),
            wire.subscribe(5, 1, ('a', 0)),
            wire.publish(5, 'a', 'hello', 1, 2),
            wire.PING,
        )
        assert client.expect(wire.CONNACK)[1] == 0
        assert client.expect(wire.SUBACK)[-1] == 0
        kinds = sorted(client.next()[0] >> 4 for _ in range(3))
        assert kinds == [wire.PUBLISH, wire.PUBACK, wire.PINGRESP], kinds


def test_3_1_1_client_gets_the_return_code():
    with Served(answers('connect')) as broker:
        assert broker.refusal('late-reject-1', version=4) == 4
        assert broker.refusal('drop-1', version=4) == 3


def test_dropped_reply_refuses():
    with Served(answers('connect')) as broker:
        assert broker.refusal('drop-1') == SERVER_UNAVAILABLE


def test_exception_refuses_and_the_broker_goes_on():
    with Served(answers('connect')) as broker:
        assert broker.refusal('throw-1') == FAILED
        assert broker.refusal('throw-2') == FAILED
        broker.client('accept-1')
        broker.wait_for_log('what="told to throw"')


def test_second_and_third_answer_are_ignored():
    with Served(answers('connect', delay='1ms')) as broker:
        for i in range(20):
            assert broker.refusal(f'twice-{i}') == BAD_USER_NAME_OR_PASSWORD
        broker.client('accept-1')


def test_deadline_refuses():
    with Served(answers('connect', ', timeout: 300ms, on_timeout: deny')) as broker:
        begin = time.monotonic()
        assert broker.refusal('never-1') == SERVER_UNAVAILABLE
        waited = time.monotonic() - begin
        assert 0.29 <= waited < PATIENCE, waited  # a loop counts whole milliseconds, from the beginning of a turn
        broker.wait_for_log('no answer in time')


def test_deadline_with_on_timeout_pass_asks_on():
    with Served(answers('connect', ', timeout: 300ms, on_timeout: pass')) as broker:
        broker.client('never-1')


def test_answer_after_the_deadline_is_ignored():
    with Served(answers('connect', ', timeout: 50ms', delay='300ms')) as broker:
        assert broker.refusal('late-1') == SERVER_UNAVAILABLE
        time.sleep(0.4)
        broker.client('accept-1')


def test_clients_that_go_before_their_answer_harm_nobody():
    with Served(answers('connect', delay='200ms')) as broker:
        for round_ in range(3):
            for i in range(50):
                with Client(broker.address) as client:
                    client.start_connecting(f'late-{i}')
            broker.client(f'accept-{round_}')
            time.sleep(0.15)
        time.sleep(0.3)
        broker.client('late-1')


def test_broker_stops_in_order_while_answers_are_owed():
    with Served(answers('connect', ', timeout: 1h')) as broker:
        client = Client(broker.address)
        client.start_connecting('never-1')
        broker.client('accept-1')


def test_slow_authenticator_slows_only_the_client_that_waits():
    with Served(answers('connect', delay='2s', options=', timeout: 30s')) as broker:
        waiting = Client(broker.address)
        begin = time.monotonic()
        waiting.start_connecting('late-1')
        rounds, slowest = exchange_until(broker, 'accept', lambda: time.monotonic() - begin > 1.5)
        assert waiting.expect(wire.CONNACK)[1] == 0
        assert time.monotonic() - begin >= 2
        assert rounds >= 20 and slowest < 1, f'{rounds} exchanges, the slowest took {slowest:.3f} s'


def exchange_until(broker, word, over):
    """Another client's messages to itself: how many, and the longest that one took."""
    client = broker.client(f'{word}-other')
    assert client.subscribe('other') == [0]
    rounds, slowest = 0, 0.0
    while not over():
        begin = time.monotonic()
        client.send(wire.publish(5, 'other', str(rounds)))
        client.expect(wire.PUBLISH)
        slowest = max(slowest, time.monotonic() - begin)
        rounds += 1
    return rounds, slowest


# ---- authorize -------------------------------------------------------------------------------------------------------


def test_authorizer_answers_at_once():
    with Served(answers('access')) as broker:
        assert broker.client('accept-1').publish('a') in (0, 0x10)
        assert broker.client('reject-1').publish('a') == NOT_AUTHORIZED
        assert broker.client('nobody-allows').publish('a') == NOT_AUTHORIZED
        assert broker.client('accept-2').subscribe('a', 'b/#') == [0, 0]
        assert broker.client('reject-2').subscribe('a', 'b/#') == [NOT_AUTHORIZED, NOT_AUTHORIZED]


def test_authorizer_answers_late_from_another_thread():
    with Served(answers('access')) as broker:
        begin = time.monotonic()
        assert broker.client('late-1').publish('a') in (0, 0x10)
        assert time.monotonic() - begin >= 0.1
        assert broker.client('late-reject-1').publish('a') == NOT_AUTHORIZED


def test_each_filter_of_a_subscribe_is_answered_late():
    with Served(answers('access')) as broker:
        client = broker.client('late-1')
        assert client.subscribe('a', 'b/+', 'c/#') == [0, 0, 0]
        assert broker.client('late-reject-1').subscribe('a', 'b') == [NOT_AUTHORIZED, NOT_AUTHORIZED]
        other = broker.client('accept-1')
        other.publish('b/x', 'hello')
        assert client.expect(wire.PUBLISH).endswith(b'hello')


def test_messages_keep_their_order_while_each_waits_for_its_answer():
    with Served(answers('access', delay='10ms')) as broker:
        subscriber = broker.client('accept-1')
        assert subscriber.subscribe('order') == [0]
        publisher = broker.client('late-1')
        publisher.send(*(wire.publish(5, 'order', str(i), i % 2, i + 1) for i in range(20)), wire.PING)
        got = [subscriber.expect(wire.PUBLISH)[8:].decode() for _ in range(20)]
        assert got == [str(i) for i in range(20)], got
        kinds = [publisher.next()[0] >> 4 for _ in range(11)]
        assert kinds == [wire.PUBACK] * 10 + [wire.PINGRESP], kinds


def test_authorizer_that_throws_drops_or_keeps_silent_denies():
    with Served(answers('access', ', timeout: 200ms')) as broker:
        for word in ('throw', 'drop', 'never', 'twice'):
            client = broker.client(f'{word}-1')
            assert client.publish('a') == NOT_AUTHORIZED, word
            assert client.subscribe('a') == [NOT_AUTHORIZED], word


def test_authorizer_that_times_out_with_pass_leaves_it_to_the_others():
    yaml = f'''plugins:
  - {{name: silent, path: "{SAMPLES}/answers.so", timeout: 200ms, on_timeout: pass, config: {{at: access}}}}
  - {{name: generous, path: "{SAMPLES}/answers.so", config: {{at: connect}}}}
auth: {{chains: {{default: {{authorize: [generous, silent]}}}}}}
'''
    with Served(yaml) as broker:
        assert broker.client('never-1').publish('a') in (0, 0x10)


def test_client_that_goes_while_its_publish_waits_harms_nobody():
    with Served(answers('access', delay='200ms')) as broker:
        for i in range(30):
            with broker.client(f'late-{i}') as client:
                client.send(wire.publish(5, 'a', 'x', 1, 1), wire.subscribe(5, 2, ('a', 0), ('b', 0)))
        assert broker.client('accept-1').publish('a') in (0, 0x10)
        time.sleep(0.4)
        assert broker.client('accept-2').publish('a') in (0, 0x10)


def test_client_with_a_will_waits_for_the_answer_about_it():
    with Served(answers('access', ', timeout: 300ms', delay='200ms')) as broker:
        subscriber = broker.client('accept-1')
        assert subscriber.subscribe('wills/#') == [0]
        for name in ('reject-1', 'late-reject-1', 'never-1', 'throw-1', 'drop-1'):
            assert broker.refusal(name, will=wire.Will(f'wills/{name}', name)) == NOT_AUTHORIZED, name
        for name in ('accept-2', 'late-1'):
            client = broker.client(name, will=wire.Will(f'wills/{name}', name))
            client.socket.close()
            body = subscriber.expect(wire.PUBLISH)
            assert body[2 : 2 + body[1]].decode() == f'wills/{name}'
        assert subscriber.next(0.5) is None  # none of those that were refused


def test_slow_authorizer_slows_only_the_client_that_waits():
    with Served(answers('access', delay='2s', options=', timeout: 30s')) as broker:
        waiting = broker.client('late-1')
        begin = time.monotonic()
        waiting.send(wire.publish(5, 'slow', 'x', 1, 1))
        rounds, slowest = exchange_until(broker, 'accept', lambda: time.monotonic() - begin > 1.5)
        waiting.expect(wire.PUBACK)
        assert time.monotonic() - begin >= 2
        assert rounds >= 20 and slowest < 1, f'{rounds} exchanges, the slowest took {slowest:.3f} s'


# ---- many at once ----------------------------------------------------------------------------------------------------


def test_hundreds_of_clients_wait_together():
    with Served(answers('connect', delay='500ms', options=', timeout: 30s')) as broker:
        clients = [Client(broker.address) for _ in range(300)]
        begin = time.monotonic()
        for i, client in enumerate(clients):
            client.start_connecting(f'{"late" if i % 2 else "late-reject"}-{i}')
        codes = [client.expect(wire.CONNACK)[1] for client in clients]
        assert codes == [0 if i % 2 else BAD_USER_NAME_OR_PASSWORD for i in range(300)]
        assert time.monotonic() - begin < 10
        for client in clients:
            client.socket.close()


def test_several_reactors_ask_one_plugin():
    yaml = answers('connect', delay='20ms').replace('plugins:', 'plugins:', 1)
    with Served(yaml) as broker:
        refused = []

        def many(word):
            for i in range(20):
                code = broker.refusal(f'{word}-{threading.get_ident()}-{i}')
                if code != (0 if word in ('late', 'accept') else BAD_USER_NAME_OR_PASSWORD):
                    refused.append((word, code))

        threads = [threading.Thread(target=many, args=(word,)) for word in ('late', 'accept', 'late-reject', 'twice')]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not refused, refused


# ---- start -----------------------------------------------------------------------------------------------------------


def test_plugin_that_throws_in_start_keeps_the_broker_from_starting():
    yaml = f'plugins: [{{name: throws, path: "{SAMPLES}/throws.so", config: {{in: start}}}}]\n'
    broker = Served(yaml)
    try:
        broker.launch()
        assert broker.process.wait(PATIENCE) != 0
        broker.wait_for_log("plugin 'throws' cannot start: not today")
    finally:
        broker.clean_up()


def test_plugin_of_another_abi_keeps_the_broker_from_starting():
    broker = Served(f'plugins: [{{name: other, path: "{SAMPLES}/other_major.so"}}]\n')
    try:
        broker.launch()
        assert broker.process.wait(PATIENCE) == 6
        expected = f'mqloop.yaml:4:11: {SAMPLES}/other_major.so: ABI 1 needed, 2 found; build it again'
        broker.wait_for_log(expected)
    finally:
        broker.clean_up()
