"""Access rules of the plugin acl_file, in front of real clients; and Debian's mosquitto with the same file, as a second opinion."""
from __future__ import annotations

import os
import re
import socket
import subprocess

import wire
from harness import BUILD, MQLOOPD, PATIENCE, ROOT, Case, RawClient, collector, equal, expect, wait_until

TESTS, test = collector()

# Lets clients whose identifier begins with `accept` in under the user name that they give; others come in without a name.
USERS = {'name': 'users', 'path': os.path.abspath(os.path.join(BUILD, 'tests/samples/answers.so')), 'config': {'at': 'connect'}}

RULES = '''# before the first user: for clients without a user name
topic read open/#
topic write drop/in

user watch
topic readwrite #

user alice
topic a/#
topic read b/+/state
topic write c/cmd
topic deny a/secret/#
topic read with spaces/x

user bob the builder
topic write site/+

pattern read dev/%c/in
pattern write dev/%c/out
pattern readwrite home/%u/#
pattern deny home/%u/safe
pattern read all/of/you
'''

# user, client identifier, right, topic, allowed
CASES = [
    (None, 'x1', 'read', 'open/a/b', True),
    (None, 'x1', 'read', 'open', True),
    (None, 'x1', 'write', 'open/a', False),
    (None, 'x1', 'write', 'drop/in', True),
    (None, 'x1', 'read', 'drop/in', False),
    (None, 'x1', 'read', 'a/b', False),
    (None, 'dev7', 'read', 'dev/dev7/in', True),
    (None, 'dev7', 'read', 'dev/dev8/in', False),
    (None, 'dev7', 'read', 'all/of/you', True),
    (None, 'dev7', 'write', 'home//x', False),
    ('alice', 'accept-1', 'read', 'a/b', True),
    ('alice', 'accept-1', 'write', 'a/b/c', True),
    ('alice', 'accept-1', 'read', 'a/secret', False),
    ('alice', 'accept-1', 'write', 'a/secret/x', False),
    ('alice', 'accept-1', 'read', 'b/1/state', True),
    ('alice', 'accept-1', 'write', 'b/1/state', False),
    ('alice', 'accept-1', 'read', 'b/1/2/state', False),
    ('alice', 'accept-1', 'write', 'c/cmd', True),
    ('alice', 'accept-1', 'read', 'c/cmd', False),
    ('alice', 'accept-1', 'read', 'with spaces/x', True),
    ('alice', 'accept-1', 'read', 'open/a', False),
    ('alice', 'accept-1', 'write', 'dev/accept-1/out', True),
    ('alice', 'accept-1', 'read', 'dev/accept-1/out', False),
    ('alice', 'accept-1', 'write', 'home/alice/lamp', True),
    ('alice', 'accept-1', 'read', 'home/alice', True),
    ('alice', 'accept-1', 'write', 'home/alice/safe', False),
    ('alice', 'accept-1', 'write', 'home/bob/lamp', False),
    ('bob the builder', 'accept-2', 'write', 'site/1', True),
    ('bob the builder', 'accept-2', 'read', 'site/1', False),
    ('bob the builder', 'accept-2', 'write', 'site/1/2', False),
    ('bob the builder', 'accept-2', 'write', 'home/bob the builder/x', True),
    ('nobody', 'accept-3', 'read', 'open/a', False),
    ('nobody', 'accept-3', 'write', 'home/nobody/x', True),
    ('nobody', 'accept-3', 'read', 'all/of/you', True),
    ('+', 'accept-4', 'write', 'home/alice/lamp', False),
    ('#', 'accept-5', 'read', 'home/alice/lamp', False),
    (None, 'accept/+', 'read', 'dev/dev7/in', False),
    (None, '#', 'read', 'dev/dev7/in', False),
    (None, '+', 'write', 'dev/dev7/out', False),
]


def settings(rules_file: str, **more) -> dict:
    return {
        'plugins': [USERS, {'name': 'rules', 'plugin': 'acl_file', 'config': {'file': rules_file}}],
        'auth': {'chains': {'default': {'authenticate': ['users'], 'authorize': ['rules']}}, **more},
    }


def write_rules(case: Case, text: str = RULES) -> str:
    path = case.file('rules.acl')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    return path


class Mosquitto:
    """Debian's broker on a free port, with the same rules and without passwords."""

    def __init__(self, case: Case, rules_file: str):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
        config = case.file('mosquitto.conf')
        with open(config, 'w', encoding='utf-8') as file:
            file.write(f'listener {self.port} 127.0.0.1\nallow_anonymous true\nacl_file {rules_file}\n')
            if os.getuid() == 0:
                file.write('user root\n')
        program = next((path for path in ('/usr/sbin/mosquitto', '/usr/bin/mosquitto') if os.path.exists(path)), 'mosquitto')
        with open(case.file('mosquitto.log'), 'wb') as log:
            self.process = subprocess.Popen([program, '-c', config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        case.stack.callback(self.put_away)
        wait_until(self.is_up, 'mosquitto to start')

    def is_up(self) -> bool:
        expect(self.process.poll() is None, 'mosquitto ended by itself (another process on its port, or its rules)')
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', self.port)) == 0 and self.process.poll() is None

    def put_away(self):
        self.process.kill()
        self.process.wait()


class Asking:
    """Finds out what a broker allows, by doing it."""

    def __init__(self, case: Case, port: int):
        self.case, self.port, self.count = case, port, 0
        self.watch = self.client('accept-watch', 'watch')
        self.watch.subscribe('#')

    def client(self, client_id: str, user) -> RawClient:
        client = RawClient(self.port, 4)
        self.case.stack.callback(client.close)
        client.connect(client_id, user=user)
        return client

    def publish(self, client: RawClient, topic: str, payload: str):
        client.send(wire.publish(4, topic, payload.encode(), 1, 7))
        while (packet := client.receive())[:1] != b'\x40':
            expect(packet, 'the connection ended')

    def heard(self, client: RawClient) -> list:
        """Payloads that came until the broker has answered twice: the second time it has looked at everything before."""
        payloads = []
        for _ in range(2):
            client.send(wire.PING)
            while (packet := client.receive()) != wire.PONG:
                expect(packet, 'the connection ended')
                if packet[0] >> 4 == 3:
                    body = wire.body_of(packet)
                    skip = 2 + int.from_bytes(body[:2], 'big') + (2 if packet[0] & 6 else 0)
                    payloads.append(body[skip:].decode())
        return payloads

    def allowed(self, user, client_id: str, right: str, topic: str) -> bool:
        self.count += 1
        payload = f'p{self.count}'
        client = self.client(client_id, user)
        if right == 'write':
            self.publish(client, topic, payload)
            got = payload in self.heard(self.watch)
        else:
            client.send(wire.subscribe(4, 1, (topic, 0)))
            client.receive()
            self.publish(self.watch, topic, payload)
            got = payload in self.heard(client)
            self.heard(self.watch)
        client.send(wire.disconnect(4))
        client.close()
        return got


def answers(case: Case, port: int) -> dict:
    asking = Asking(case, port)
    return {question: asking.allowed(*question[:4]) for question in CASES}


@test
def rules_of_mosquitto_mean_here_what_they_mean_there(case: Case):
    rules = write_rules(case)
    broker = case.start_broker(**settings(rules))
    ours = answers(case, broker.port)
    theirs = answers(case, Mosquitto(case, rules).port)
    wrong = [f'{question}: mqloop {ours[question]}, mosquitto {theirs[question]}'
             for question in CASES if not ours[question] == theirs[question] == question[4]]
    equal([], wrong)
    case.end(broker)


def talk(port: int, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [arguments[0], '-p', str(port), *arguments[1:]],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )


@test
def mosquittos_clients_are_told_what_is_refused(case: Case):
    broker = case.start_broker(**settings(write_rules(case)))
    who = ('-u', 'alice', '-i', 'accept-1')
    for version in ('mqttv311', 'mqttv5'):
        refused = talk(broker.port, 'mosquitto_sub', '-V', version, *who, '-t', 'open/a')
        expect('denied' in refused.stderr + refused.stdout, f'{version}: {refused}')
    said = talk(broker.port, 'mosquitto_pub', '-V', 'mqttv5', *who, '-q', '1', '-t', 'a/secret/x', '-m', 'no')
    expect('Not authorized' in said.stderr + said.stdout, str(said))
    broker.wait_for_line('deny_publish', 'client=accept-1', 'user=alice', 'topic=a/secret/x', 'by=rules', 'rule=rules.acl:')
    broker.wait_for_line('deny_subscribe', 'topic=open/a', 'rule="no rule of rules.acl allows it"')
    case.end(broker)


@test
def wide_filter_gets_what_is_allowed_of_it(case: Case):
    broker = case.start_broker(**settings(write_rules(case)))
    with subprocess.Popen(
        ['stdbuf', '-oL', 'mosquitto_sub', '-p', str(broker.port), '-u', 'alice', '-i', 'accept-1', '-t', '#', '-F', '%t', '-q', '1',
         '-C', '3', '-d'],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as subscriber:
        case.stack.callback(subscriber.kill)
        heard = []
        for line in subscriber.stdout:
            if line.startswith('Subscribed'):
                for topic in ('a/secret/x', 'a/1', 'open/a', 'b/1/state', 'c/cmd', 'home/alice/lamp'):
                    sent = talk(broker.port, 'mosquitto_pub', '-u', 'watch', '-i', 'accept-w', '-q', '1', '-t', topic, '-m', 'x')
                    equal(0, sent.returncode, str(sent))
            elif not line.startswith(('Client', 'Subscribed')):
                heard.append(line.strip())
        equal(['a/1', 'b/1/state', 'home/alice/lamp'], heard)
    broker.wait_for_line('deny_delivery', 'client=accept-1', 'topic=a/secret/x', 'by=rules', 'rule=rules.acl:')
    case.end(broker)


@test
def filter_must_be_allowed_as_a_whole_where_the_configuration_wants_that(case: Case):
    broker = case.start_broker(**settings(write_rules(case), subscribe='subset'))
    refused = talk(broker.port, 'mosquitto_sub', '-V', 'mqttv5', '-u', 'alice', '-i', 'accept-1', '-t', 'a/#')
    expect('denied' in refused.stderr + refused.stdout, str(refused))
    client = RawClient(broker.port, 4)
    case.stack.callback(client.close)
    client.connect('accept-1', user='alice')
    client.send(wire.subscribe(4, 1, ('a/b/+', 1), ('a/+', 1)))
    equal(wire.suback(4, 1, 1, 0x80), client.receive())
    case.end(broker)


@test
def session_that_comes_back_through_another_chain_is_held_to_its_rules(case: Case):
    everything = settings(write_rules(case))
    everything['auth']['chains']['open'] = {'authenticate': ['users']}
    everything['listeners'] = [
        {'name': 'local', 'transport': 'tcp', 'bind': '127.0.0.1:0'},
        {'name': 'inner', 'transport': 'tcp', 'bind': '127.0.0.1:0', 'chain': 'open'},
    ]
    broker = case.start_broker(**everything)
    inner = broker.ports()['inner']

    def connect(port: int) -> RawClient:
        client = RawClient(port, 4)
        case.stack.callback(client.close)
        client.connect('accept-1', user='alice', clean=False)
        return client

    first = connect(inner)
    first.subscribe('#', 1)
    first.send(wire.disconnect(4))
    equal(b'', first.receive())
    publisher = RawClient(inner, 4)
    case.stack.callback(publisher.close)
    publisher.connect('accept-2', user='watch')
    for number, topic in enumerate(('a/secret/x', 'a/1', 'open/a'), 1):
        publisher.send(wire.publish(4, topic, b'queued', 1, number))
        equal(wire.puback(4, number), publisher.receive())
    second = connect(broker.port)
    packet = second.receive()
    expect(b'a/1' in packet, packet.hex(' '))
    second.send(wire.ack(wire.PUBACK, 4, int.from_bytes(wire.body_of(packet)[5:7], 'big')))
    second.ping()
    publisher.send(wire.publish(4, 'open/b', b'live', 1, 8) + wire.publish(4, 'a/2', b'live', 1, 9))
    packet = second.receive()
    expect(b'a/2' in packet, packet.hex(' '))
    case.end(broker)


@test
def mistakes_in_the_rules_keep_the_broker_from_starting(case: Case):
    config = case.file('mqloop.yaml')

    def check(rules_file: str) -> subprocess.CompletedProcess:
        with open(config, 'w', encoding='utf-8') as file:
            file.write('version: 1\nplugins:\n  - {name: rules, plugin: acl_file, config: {file: ' + rules_file + '}}\n')
        return subprocess.run([MQLOOPD, '--check', '-c', config], capture_output=True, text=True, timeout=PATIENCE, check=False)

    write_rules(case, 'topc read a\n    topic readwrit a\nuser\n')
    done = check('rules.acl')
    equal(3, done.returncode, done.stderr)
    expect('rules.acl:1:1: \'topc\' is not one of topic, pattern, user; did you mean \'topic\'?\n'
           'rules.acl:2:11: \'readwrit\' is not one of read, write, readwrite, deny; did you mean \'readwrite\'?\n'
           'rules.acl:3:5: user needs a name\n' in done.stderr, done.stderr)
    done = check('none.acl')
    equal(5, done.returncode, done.stderr)
    expect('mqloop.yaml:3:52: none.acl: No such file or directory (looked in ' in done.stderr, done.stderr)
    write_rules(case)
    done = check('rules.acl')
    equal(0, done.returncode, done.stderr)


@test
def examples_of_the_documentation_are_right(case: Case):
    def blocks(page: str) -> list:
        with open(os.path.join(ROOT, page), encoding='utf-8') as file:
            return re.findall(r'^```\w*\n(.*?)^```', file.read(), re.M | re.S)

    def check(configuration: str, rules: str):
        write_rules(case, rules)
        with open(case.file('mqloop.yaml'), 'w', encoding='utf-8') as file:
            file.write(configuration)
        done = subprocess.run(
            [MQLOOPD, '--check', '-c', case.file('mqloop.yaml')],
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )
        equal((0, ''), (done.returncode, done.stderr))

    check(*blocks('docs/access-control.md')[:2])
    configuration, rules, mistakes = blocks('plugins/acl_file/README.md')[:3]
    check('version: 1\n' + configuration, rules)
    expect("did you mean 'readwrite'?" in mistakes, mistakes)
