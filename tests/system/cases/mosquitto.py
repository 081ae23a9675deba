"""mosquitto_pub, mosquitto_sub and mosquitto_rr, as people use them at the command line."""
from __future__ import annotations

import json
import queue
import signal
import subprocess
import threading

from harness import PATIENCE, Case, Ways, collector, equal, expect, wait_until

TESTS, test = collector()

VERSIONS = ('mqttv31', 'mqttv311', 'mqttv5')


class Subscriber:
    """mosquitto_sub, subscribed when made; its messages as the dictionaries of --format %j."""

    def __init__(self, case: Case, name: str, topic: str, *arguments: str):
        self.messages: queue.Queue = queue.Queue()
        self.talk = []  # what it says of itself
        self.subscribed = threading.Event()
        self.process = subprocess.Popen(
            ['stdbuf', '-oL', 'mosquitto_sub', '-d', *Ways.of_mosquitto(case.port), '-i', short(case, name), '-t', topic]
            + ['-F', '%j', *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        case.stack.callback(self.put_away)
        expect(self.subscribed.wait(PATIENCE), f'mosquitto_sub did not subscribe: {self.talk}')

    def read(self):
        for line in self.process.stdout:
            if line.startswith('{'):
                self.messages.put(json.loads(line))
                continue
            self.talk.append(line.strip())
            if line.startswith('Subscribed'):
                self.subscribed.set()

    def next(self) -> dict:
        try:
            return self.messages.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f'no message came: {self.talk[-20:]}') from None

    def payloads(self, count: int) -> list:
        return [self.next()['payload'] for _ in range(count)]

    def end(self, number: int = signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(PATIENCE)

    def put_away(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(PATIENCE)
        self.process.stdout.close()


def short(case: Case, name: str) -> str:
    """MQTT 3.1 allows client identifiers of 23 characters, and mosquitto's clients hold to it."""
    return f'{abs(hash((case.prefix, case.threads, name))) % 10**12:x}-{name}'[:23]


def run(case: Case, program: str, *arguments: str, input_text: str = '') -> str:
    done = subprocess.run(
        [program, *Ways.of_mosquitto(case.port), *arguments],
        input=input_text, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )
    equal((0, ''), (done.returncode, done.stderr), f'{program} {" ".join(arguments)}\n{done.stdout}')
    return done.stdout


def publish(case: Case, topic: str, text: str, *arguments: str):
    run(case, 'mosquitto_pub', '-t', topic, '-m', text, *arguments)


@test
def every_quality_of_service_arrives_between_all_versions(case):
    subscribers = [Subscriber(case, version, case.topic('#'), '-V', version, '-q', '2') for version in VERSIONS]
    sent = [(version, qos) for version in VERSIONS for qos in (0, 1, 2)]
    for version, qos in sent:
        publish(case, case.topic(f'{qos}'), f'{version} {qos}', '-V', version, '-q', str(qos), '-i', short(case, 'pub'))
    for subscriber in subscribers:
        got = [subscriber.next() for _ in sent]
        for qos in (0, 1, 2):  # each has an order of its own
            expected = [f'{version} {qos}' for version in VERSIONS]
            equal(expected, [one['payload'] for one in got if one['qos'] == qos], f'QoS {qos}')


@test
def a_subscription_lowers_the_quality_of_service_to_what_it_asked_for(case):
    subscribers = [Subscriber(case, f'{qos}', case.topic('t'), '-q', str(qos)) for qos in (0, 1, 2)]
    publish(case, case.topic('t'), 'm', '-q', '2')
    equal([0, 1, 2], [subscriber.next()['qos'] for subscriber in subscribers])


@test
def lines_of_standard_input_arrive_in_their_order(case):
    lines = [f'line {i}' for i in range(300)]
    for qos in ('0', '1', '2'):
        subscriber = Subscriber(case, f'sub{qos}', case.topic(qos), '-q', qos)
        run(case, 'mosquitto_pub', '-t', case.topic(qos), '-q', qos, '-l', input_text='\n'.join(lines) + '\n')
        equal(lines, subscriber.payloads(len(lines)), f'QoS {qos}')


@test
def a_retained_message_greets_the_later_subscriber_until_it_is_removed(case):
    for version in VERSIONS:
        topic = case.topic(version)
        publish(case, topic, 'old', '-r', '-V', version, '-q', '1')
        publish(case, topic, 'new', '-r', '-V', version, '-q', '1')
        subscriber = Subscriber(case, f'{version}-a', topic, '-V', version, '-q', '1')
        first = subscriber.next()
        equal(('new', 1), (first['payload'], first['retain']), version)
        publish(case, topic, 'live', '-V', version, '-q', '1')
        live = subscriber.next()
        equal(('live', 0), (live['payload'], live['retain']), version)
        run(case, 'mosquitto_pub', '-t', topic, '-n', '-r', '-V', version)
        late = Subscriber(case, f'{version}-b', topic, '-V', version)
        publish(case, topic, 'after', '-V', version)
        equal('after', late.next()['payload'], version)


@test
def a_will_is_published_when_its_client_dies_and_not_when_it_says_good_bye(case):
    for version in VERSIONS:
        topic = case.topic(f'{version}/will')
        witness = Subscriber(case, f'{version}-w', topic, '-V', version, '-q', '2')
        for name, number in (('bye', signal.SIGTERM), ('dies', signal.SIGKILL)):
            will = ['--will-topic', topic, '--will-payload', name, '--will-qos', '2']
            Subscriber(case, f'{version}-{name}', case.topic('nothing'), '-V', version, *will).end(number)
        # With 5.0 mosquitto_sub says good-bye by "Disconnect with Will Message" (0x04).
        for name in ('bye', 'dies') if version == 'mqttv5' else ('dies',):
            message = witness.next()
            equal((name, 2), (message['payload'], message['qos']), version)


@test
def a_resumed_session_gets_what_was_published_while_it_was_away(case):
    for version in VERSIONS:
        for qos in ('1', '2'):
            topic, name = case.topic(f'{version}/{qos}'), f'{version}-{qos}'
            keep = ['-c', '-V', version, '-q', qos]
            Subscriber(case, name, topic, *keep).end()
            for text in ('a', 'b', 'c'):
                publish(case, topic, text, '-q', qos, '-V', version)
            equal(['a', 'b', 'c'], Subscriber(case, name, topic, *keep).payloads(3), name)


@test
def without_a_kept_session_nothing_waits(case):
    for version in VERSIONS:
        topic = case.topic(version)
        Subscriber(case, version, topic, '-V', version, '-q', '1').end()
        publish(case, topic, 'missed', '-q', '1')
        again = Subscriber(case, version, topic, '-V', version, '-q', '1')
        publish(case, topic, 'seen', '-q', '1')
        equal('seen', again.next()['payload'], version)


@test
def properties_of_5_0_travel_with_the_message(case):
    topic = case.topic('t')
    identifier = ['-D', 'subscribe', 'subscription-identifier', '321']
    subscriber = Subscriber(case, 'sub', topic, '-V', '5', '-q', '1', *identifier)
    given = [
        ('payload-format-indicator', '1'), ('message-expiry-interval', '1000'), ('content-type', 'text/plain'),
        ('response-topic', case.topic('answer')), ('correlation-data', 'c-17'), ('user-property', 'colour', 'blue'),
        ('user-property', 'size', 'XL'),
    ]
    arguments = [word for words in given for word in ('-D', 'publish', *words)]
    publish(case, topic, 'm', '-V', '5', '-q', '1', *arguments)
    got = subscriber.next()['properties']
    expect(990 <= got.pop('message-expiry-interval') <= 1000, 'the expiry interval counts down by whole seconds')
    equal(
        {
            'payload-format-indicator': 1, 'content-type': 'text/plain', 'response-topic': case.topic('answer'),
            'correlation-data': 'c-17', 'user-properties': {'colour': 'blue', 'size': 'XL'},
            'subscription-identifier': 321,
        },
        got,
    )


@test
def a_topic_alias_stands_for_the_topic_in_later_messages(case):
    subscriber = Subscriber(case, 'sub', case.topic('+'), '-V', '5', '-q', '2')
    arguments = ['-V', '5', '-t', case.topic('aliased'), '-q', '2', '-l', '-D', 'publish', 'topic-alias', '3']
    run(case, 'mosquitto_pub', *arguments, input_text='one\ntwo\nthree\n')
    got = [subscriber.next() for _ in range(3)]
    equal([(case.topic('aliased'), text) for text in ('one', 'two', 'three')],
          [(one['topic'], one['payload']) for one in got])


@test
def a_message_expires_while_its_receiver_is_away(case):
    topic, keep = case.topic('t'), ['-c', '-V', '5', '-q', '1']
    Subscriber(case, 'sub', topic, *keep).end()
    publish(case, topic, 'short', '-V', '5', '-q', '1', '-D', 'publish', 'message-expiry-interval', '1')
    publish(case, topic, 'long', '-V', '5', '-q', '1', '-D', 'publish', 'message-expiry-interval', '100')
    threading.Event().wait(1.5)
    message = Subscriber(case, 'sub', topic, *keep).next()
    equal('long', message['payload'])
    expect(50 <= message['properties']['message-expiry-interval'] <= 99, f'what is left of 100 s: {message}')


@test
def a_session_ends_when_its_expiry_interval_has_passed(case):
    topic = case.topic('t')
    arguments = ['-V', '5', '-q', '1', '-c', '-x']
    Subscriber(case, 'short', topic, *arguments, '1').end()
    Subscriber(case, 'long', topic, *arguments, '100').end()
    case.shared.wait_for_line('session expired', f'client={short(case, "short")}')
    publish(case, topic, 'm', '-q', '1')
    equal('m', Subscriber(case, 'long', topic, *arguments, '100').next()['payload'])
    late = Subscriber(case, 'short', topic, *arguments, '100')
    publish(case, topic, 'n', '-q', '1')
    equal('n', late.next()['payload'])


@test
def a_request_finds_its_answer_by_response_topic_and_correlation_data(case):
    responder = Subscriber(case, 'responder', case.topic('ask'), '-V', '5', '-q', '1')
    asking = subprocess.Popen(
        ['mosquitto_rr', *Ways.of_mosquitto(case.port), '-V', '5', '-q', '1', '-t', case.topic('ask'), '-e', case.topic('say')]
        + ['-m', 'how much?', '-D', 'publish', 'correlation-data', 'k7', '-F', '%p %D', '-i', short(case, 'rr')],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )
    case.stack.callback(asking.kill)
    properties = responder.next()['properties']
    publish(
        case, properties['response-topic'], '42', '-V', '5', '-q', '1',
        '-D', 'publish', 'correlation-data', properties['correlation-data'],
    )
    equal('42 k7\n', asking.communicate(timeout=PATIENCE)[0])


@test
def a_filter_that_is_no_longer_subscribed_brings_nothing(case):
    subscriber = Subscriber(case, 'sub', case.topic('+'), '-q', '1', '-U', case.topic('+'), '-t', case.topic('end/+'))
    wait_until(lambda: any('UNSUBACK' in line for line in subscriber.talk), 'UNSUBACK')
    publish(case, case.topic('gone'), 'gone', '-q', '1')
    publish(case, case.topic('end/x'), 'there', '-q', '1')
    equal('there', subscriber.next()['payload'])


@test
def retain_as_published_keeps_the_flag_of_a_live_message(case):
    plain = Subscriber(case, 'plain', case.topic('t'), '-V', '5')
    as_published = Subscriber(case, 'rap', case.topic('t'), '-V', '5', '--retain-as-published')
    publish(case, case.topic('t'), 'm', '-V', '5', '-r')
    equal((0, 1), (plain.next()['retain'], as_published.next()['retain']))
