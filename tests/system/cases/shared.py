"""Shared subscriptions among clients that people use, of 3.1.1 and 5.0: mosquitto_sub and Paho for Python."""
from __future__ import annotations

import signal

from cases.mosquitto import Subscriber, run, short
from cases.paho_python import Client
from harness import collector, equal

TESTS, test = collector()


class Group:
    """Three members of one group: mosquitto_sub of either version, and Paho."""

    def __init__(self, case, qos: int, version: int = 4):
        self.case, self.qos = case, qos
        shared = f'$share/group/{case.topic("#")}'
        self.five = Subscriber(case, 'five', shared, '-V', 'mqttv5', '-q', str(qos))
        self.four = Subscriber(case, 'four', shared, '-V', 'mqttv311', '-q', str(qos))
        self.paho = Client(case, 'paho', version)
        self.paho.subscribe(shared, qos)

    def publish(self, payloads: list):
        """One client's messages; the broker has taken them all when it returns."""
        lines = '\n'.join(payloads) + '\n'
        run(self.case, 'mosquitto_pub', '-t', self.case.topic('t'), '-q', str(self.qos), '-l', input_text=lines)

    def stop_five(self):
        """It takes what comes no further than into its socket, and acknowledges nothing."""
        self.five.process.send_signal(signal.SIGSTOP)

    def kill_five(self):
        self.five.end(signal.SIGKILL)
        self.case.shared.wait_for_line('connection disconnected', f'client={short(self.case, "five")}')


@test
def members_of_all_versions_take_turns(case):
    for qos in (0, 1, 2):
        for version in (4, 5):
            group = Group(case, qos, version)
            sent = [f'{i:02}' for i in range(30)]
            group.publish(sent)
            # In turns, so each gets every third message, in their order.
            got = sorted(member.payloads(10) for member in (group.five, group.four, group.paho))
            equal([sent[i::3] for i in range(3)], got, f'QoS {qos}')
            group.five.end()
            group.four.end()
            group.paho.end()


@test
def what_a_killed_member_did_not_acknowledge_goes_to_the_others(case):
    group = Group(case, 1)
    group.stop_five()
    sent = [f'{i:02}' for i in range(30)]
    group.publish(sent)
    others = (group.four, group.paho)
    got = [payload for member in others for payload in member.payloads(10)]
    group.kill_five()
    got += [payload for member in others for payload in member.payloads(5)]
    equal(sent, sorted(got))


@test
def of_quality_of_service_2_nothing_goes_to_another_once_it_was_sent(case):
    group = Group(case, 2)
    group.stop_five()
    sent = [f'{i:02}' for i in range(30)]
    group.publish(sent)
    others = (group.four, group.paho)
    got = sorted(member.payloads(10) for member in others)
    equal(True, all(part in [sent[i::3] for i in range(3)] for part in got), f'{got}')
    group.kill_five()
    group.publish(['end', 'end'])
    equal([['end'], ['end']], [member.payloads(1) for member in others])
