"""publisher_fake in a real broker: nothing arrives, or through faults that repeat."""
from __future__ import annotations

import contextlib
import subprocess
import time

import wire
from harness import PATIENCE, collector, equal, expect

TESTS, test = collector()


def start(case, name: str, **options):
    return case.start_broker(name, publisher={'plugin': 'publisher_fake', 'config': options})


def reason(packet: bytes) -> int:
    """Of PUBACK, PUBREC, or of the only entry of SUBACK."""
    if packet[0] >> 4 == wire.SUBACK:
        return packet[-1]
    return packet[4] if packet[1] > 2 else 0


@test
def everything_is_granted_and_acknowledged_and_nothing_arrives(case):
    broker = start(case, 'own')
    for version in (3, 4, 5):
        subscriber = case.raw(version, f'subscriber{version}', broker)
        subscriber.send(wire.subscribe(version, 1, ('#', 2)))
        equal(2, reason(subscriber.receive()), 'granted')
        publisher = case.raw(version, f'publisher{version}', broker)
        for qos, answer in ((1, wire.PUBACK), (2, wire.PUBREC)):
            publisher.send(wire.publish(version, 't', 'hello', qos, qos, retain=True))
            packet = publisher.receive()
            equal((answer, 0), (packet[0] >> 4, reason(packet)), f'version {version}')
        publisher.send(wire.publish(version, 't', 'hello', 0))
        publisher.ping()
        subscriber.ping()
        late = case.raw(version, f'late{version}', broker)
        late.subscribe('#', 2)
        late.ping()  # no retained message before it
    case.end(broker)


def received(case, name: str, **options) -> list:
    """What a subscriber gets of 0, 1, 2 ... 199."""
    broker = start(case, name, deliver=True, **options)
    subscriber = case.raw(5, 'subscriber', broker)
    subscriber.subscribe('#', 0)
    publisher = case.raw(5, 'publisher', broker)
    for i in range(200):
        publisher.send(wire.publish(5, 'n', str(i), 1, 1))
        equal(wire.PUBACK, publisher.receive()[0] >> 4)
    numbers = []
    while True:  # an end may be lost, too
        publisher.send(wire.publish(5, 'end', '', 1, 1) + wire.PING)
        while publisher.receive() != wire.PONG:
            pass
        subscriber.socket.settimeout(0.5)
        try:
            while (packet := subscriber.receive()) != wire.publish(5, 'end', '', 0):
                equal(wire.publish(5, 'n', '', 0)[2:6], packet[2:6], 'a PUBLISH to n')
                numbers.append(int(packet[6:]))
            break
        except TimeoutError:
            pass
    # A second copy that took its own way between reactors may come after the end.
    with contextlib.suppress(TimeoutError):
        while packet := subscriber.receive():
            if packet[2:5] == wire.publish(5, 'n', '', 0)[2:5]:
                numbers.append(int(packet[6:]))
    case.end(broker)
    return numbers


@test
def the_same_seed_loses_and_repeats_the_same_messages(case):
    faults = {'lose': 0.3, 'duplicate': 0.2}
    first = received(case, 'first', seed=7, **faults)
    again = received(case, 'again', seed=7, **faults)
    other = received(case, 'other', seed=8, **faults)
    # Where a second copy comes hangs on how the messages fell into turns of the reactor.
    equal(sorted(first), sorted(again))
    expect(first != other, 'another seed has other faults')
    arrived = sorted(set(first))
    expect(100 < len(arrived) < 180, f'{len(arrived)} of 200 arrived')
    expect(10 < len(first) - len(arrived) < 60, f'{len(first) - len(arrived)} came twice')
    equal(arrived, list(dict.fromkeys(first)), 'in order')
    equal({1, 2}, {first.count(number) for number in arrived})
    # The fate of a message is the same when others are late and some are refused.
    slow = received(case, 'slow', seed=7, delay={'least': '1ms', 'most': '3ms'}, **faults)
    equal(sorted(first), sorted(slow))


@test
def without_faults_everything_arrives_by_mosquittos_clients(case):
    for name, options, expected in (('through', {'deliver': True, 'delay': {'most': '20ms'}}, ['1', '2', '3']),
                                    ('nothing', {}, [])):
        broker = start(case, name, **options)
        command = ['stdbuf', '-oL', 'mosquitto_sub', '-p', str(broker.port), '-q', '2', '-t', 'm', '-d', '-W', '30' if expected else '3']
        if expected:
            command += ['-C', str(len(expected))]
        subscriber = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)
        case.stack.callback(subscriber.kill)
        lines = iter(subscriber.stdout.readline, '')
        while 'Subscribed' not in next(lines):
            pass
        for payload in ('1', '2', '3'):
            done = subprocess.run(
                ['mosquitto_pub', '-p', str(broker.port), '-q', '2', '-t', 'm', '-m', payload], check=False
            )
            equal(0, done.returncode, 'mosquitto_pub')
        equal(expected, [line.strip() for line in lines if line[0].isdigit()])
        subscriber.wait(PATIENCE)
        case.end(broker)


@test
def refusals_carry_the_reason_of_the_configuration(case):
    broker = start(case, 'own', deliver=True, fail={
        'publish': 1, 'publish_reason': 'payload_format_invalid', 'subscribe': 1, 'subscribe_reason': 'not_authorized'
    })
    for version, publish, subscribe in ((5, 0x99, 0x87), (4, 0, 0x80)):
        client = case.raw(version, f'{version}', broker)
        client.send(wire.subscribe(version, 1, ('t', 0)))
        equal(subscribe, reason(client.receive()), f'SUBACK of version {version}')
        for qos in (1, 2):
            client.send(wire.publish(version, 't', 'x', qos, qos))
            equal(publish, reason(client.receive()), f'QoS {qos}, version {version}')
    case.end(broker)


@test
def a_delay_holds_deliveries_and_acknowledgements_back(case):
    least = 0.3
    broker = start(case, 'own', deliver=True, delay={'least': '300ms', 'most': '400ms'})
    client = case.raw(4, 'client', broker)
    begin = time.monotonic()
    client.subscribe('t', 0)
    expect(time.monotonic() - begin > 0.9 * least, 'SUBACK is late')
    begin = time.monotonic()
    client.send(wire.publish(4, 't', 'x', 1, 1) + wire.PING)
    equal(wire.PONG, client.receive(), 'nothing else is late')
    packets = {client.receive()[0] >> 4 for _ in range(2)}
    expect(time.monotonic() - begin > 0.9 * least, 'PUBLISH and PUBACK are late')
    equal({wire.PUBLISH, wire.PUBACK}, packets)
    case.end(broker)


@test
def debug_names_each_fault_with_its_topic(case):
    broker = case.start_broker(
        publisher={'plugin': 'publisher_fake', 'config': {'deliver': True, 'lose': 1}},
        logging={'levels': {'publisher_fake': 'debug'}},
    )
    client = case.raw(4, 'client', broker)
    client.send(wire.publish(4, 'to/nobody', 'x', 1, 1))
    equal(wire.PUBACK, client.receive()[0] >> 4)
    broker.wait_for_line('debug publisher_fake lost topic=to/nobody')
    case.end(broker)
