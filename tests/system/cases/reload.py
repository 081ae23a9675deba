"""SIGHUP: a changed configuration is taken as a whole while clients go on, or not at all."""
from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import threading
import time

import wire
from harness import BUILD, LOCAL, PATIENCE, Broker, RawClient, collector, equal, expect, kept_files, kept_threads, wait_until

TESTS, test = collector()

USER_FILE = os.path.abspath(os.path.join(BUILD, 'tests', 'samples', 'user_file.so'))
BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED = 0x86, 0x87
USERS = 'alice:secret:a/\nbob:hunter2:b/\n'


class Reloadable:
    """A broker with users in a file, whose configuration the test changes."""

    def __init__(self, case, files: dict | None = None, **settings):
        self.case = case
        self.folder = case.file('own')
        for name, text in {'users': USERS, **(files or {})}.items():
            os.makedirs(os.path.dirname(os.path.join(self.folder, name)), exist_ok=True)
            self.write(name, text)
        self.settings = {
            'plugins': [{'name': 'users', 'path': USER_FILE, 'config': {'file': 'users'}}],
            'auth': {'anonymous': 'never', 'chains': {'default': {'authenticate': ['users'], 'authorize': ['users']}}},
            **settings,
        }
        self.broker: Broker = case.start_broker(**self.settings)

    def write(self, name: str, text: str):
        with open(os.path.join(self.folder, name), 'w', encoding='utf-8') as file:
            file.write(text)

    def change(self, **settings):
        self.settings |= settings
        self.write('mqloop.yaml', json.dumps({**self.broker.settings, **self.settings}))

    def ended(self) -> int:
        return len(self.broker.lines(' config reloaded')) + len(self.broker.lines(' config "not reloaded')) + len(
            self.broker.lines(' config not reloaded')
        )

    def reload(self) -> str:
        """Asks for it and waits for its end; what the log says from there on."""
        before, start = self.ended(), len(self.broker.log())
        self.broker.send_signal(signal.SIGHUP)
        wait_until(lambda: self.broker.has_ended() or self.ended() > before, 'the reload to end')
        expect(not self.broker.has_ended(), self.broker.log_tail())
        return self.broker.log()[start:]

    def taken(self, **settings) -> str:
        self.change(**settings)
        told = self.reload()
        expect(' config reloaded' in told, told)
        return told

    def refusal(self, user: str, password: str, port: int = 0) -> int:
        """The code of CONNACK."""
        client = RawClient(port or self.broker.port, 5)
        try:
            client.send(wire.connect(5, f'{user}-probe', user=user, password=password))
            return client.receive()[3]
        finally:
            client.close()

    def client(self, user: str, password: str, name: str = '') -> RawClient:
        client = RawClient(self.broker.port, 5)
        self.case.stack.callback(client.close)
        client.connect(name or user, user=user, password=password)
        return client

    def threads(self) -> int:
        return len(os.listdir(f'/proc/{self.broker.pid}/task'))

    def resident(self) -> int:
        """KiB."""
        with open(f'/proc/{self.broker.pid}/status', encoding='ascii') as file:
            return next(int(line.split()[1]) for line in file if line.startswith('VmRSS'))


def puback(client: RawClient, topic: str, identifier: int = 1) -> int:
    """The reason code of a QoS 1 PUBLISH."""
    client.send(wire.publish(5, topic, 'x', 1, identifier))
    answer = client.receive()
    equal(wire.PUBACK, answer[0] >> 4, answer.hex(' '))
    return answer[4] if len(answer) > 4 else 0


@test
def a_plugin_reads_its_file_again_although_the_configuration_is_the_same(case):
    own = Reloadable(case)
    equal(0, own.refusal('alice', 'secret'))
    own.write('users', 'alice:changed:a/\ncarol:new:c/\n')
    equal(0, own.refusal('alice', 'secret'), 'nobody has asked for a reload yet')
    told = own.reload()
    expect('nothing changed' in told, told)
    equal(BAD_USER_NAME_OR_PASSWORD, own.refusal('alice', 'secret'))
    equal(0, own.refusal('alice', 'changed'))
    equal(0, own.refusal('carol', 'new'))
    equal(NOT_AUTHORIZED, own.refusal('bob', 'hunter2'), 'bob is unknown now')
    case.end(own.broker)


@test
def a_revoked_right_bites_on_who_is_connected(case):
    own = Reloadable(case)
    bob = own.client('bob', 'hunter2')
    expect(puback(bob, 'b/t') != NOT_AUTHORIZED, 'bob may')
    own.write('users', 'bob:hunter2:elsewhere/\n')
    own.reload()
    equal(NOT_AUTHORIZED, puback(bob, 'b/t'), 'bob may no more')
    expect(puback(bob, 'elsewhere/t') != NOT_AUTHORIZED, 'what was granted holds at once too')
    case.end(own.broker)


@test
def what_changed_is_told_key_by_key_and_what_needs_a_restart_is_named(case):
    own = Reloadable(case)
    told = own.taken(limits={'max_qos': 1, 'topics': {'max_levels': 3}})
    expect('limits.max_qos changed from 2 to 1' in told, told)
    expect('limits.topics.max_levels changed from 200 to 3' in told, told)
    expect('changes=2' in told, told)
    own.broker.settings['node'] = {**own.broker.settings['node'], 'threads': case.threads + 2}
    for _ in range(2):  # it is pending until the next start, and said each time
        told = own.taken()
        expect(f'node.threads changed from {case.threads} to {case.threads + 2}: takes effect at the next start' in told,
               told)
    bob = own.client('bob', 'hunter2')
    bob.send(wire.publish(5, 'b/too/many/levels', 'x'))
    equal(0x90, bob.end()[0][0][2], 'the new limit holds')
    case.end(own.broker)


@test
def secrets_are_not_told(case):
    own = Reloadable(case)
    own.write('salt', 'first-s3cret')
    own.settings['plugins'][0]['config']['salt'] = {'file': 'salt'}
    own.taken()
    own.write('salt', 'second-s3cret')
    told = own.reload()
    expect('plugins.users.config.salt changed from *** to ***' in told, told)
    expect('s3cret' not in own.broker.log(), 'the log holds no secret')
    case.end(own.broker)


def mistakes(own: Reloadable, taken: int):
    """(what is wrong, the text of the file, what the log says with its place)"""
    good = {**own.broker.settings, **own.settings}

    def with_(**settings):
        return json.dumps({**good, **settings})

    plugin = own.settings['plugins'][0]
    listeners = good['listeners']
    return (
        ('YAML', 'version: 1\nlimits: {max_qos: 1\n', 'mqloop.yaml:2:9: '),
        ('unknown key', with_(limts={}), "mqloop.yaml:1:"),
        ('another type', 'version: 1\nlimits:\n  max_qos: many\n', 'mqloop.yaml:3:12: '),
        ('out of range', 'version: 1\nlimits:\n  max_qos: 3\n', 'mqloop.yaml:3:12: '),
        ('no version', 'limits: {max_qos: 1}\n', 'version'),
        ('unknown variable', 'version: 1\nnode: {name: "${MQLOOP_NO_SUCH_VARIABLE}"}\n', 'mqloop.yaml:2:'),
        ('unknown plugin', with_(plugins=[plugin, {'name': 'x', 'plugin': 'no_such_plugin'}]), 'no_such_plugin'),
        ('no plugin at all', with_(plugins=[plugin, {'name': 'x', 'path': 'users'}]), 'users: '),
        ("a plugin's own option", with_(plugins=[{**plugin, 'config': {'file': 'users', 'fiel': 1}}]), "'fiel'"),
        ("a plugin's file is not there", with_(plugins=[{**plugin, 'config': {'file': 'gone'}}]), 'No such file'),
        ("a plugin's file is wrong", with_(plugins=[{**plugin, 'config': {'file': 'broken'}}]),
         'broken:2: not name:password:prefix'),
        ('a secret is not there',
         with_(plugins=[{**plugin, 'config': {'file': 'users', 'salt': {'file': 'gone'}}}]), 'No such file'),
        ('unknown chain', with_(listeners=[{**listeners[0], 'chain': 'nowhere'}]), "'nowhere'"),
        ('unknown step', with_(auth={'chains': {'default': {'authenticate': ['nobody']}}}), "'nobody'"),
        ('an open door', with_(auth={'anonymous': 'always'}, listeners=[{**listeners[0], 'bind': '0.0.0.0:0'}]),
         'i_accept_the_risk'),
        ('an address is taken',
         with_(listeners=[*listeners, {'name': 'second', 'transport': 'tcp', 'bind': f'127.0.0.1:{taken}'}]),
         'already used by pid'),
        ('unknown transport', with_(listeners=[*listeners, {'name': 'second', 'transport': 'pigeon'}]), 'pigeon'),
        ('unknown publisher', with_(publisher={'plugin': 'no_such_publisher'}), 'no_such_publisher'),
        ('the log cannot be opened', with_(logging={'output': {'file': 'no/such/folder/log'}}), 'No such file'),
    )


@test
def a_mistake_of_any_kind_is_told_and_changes_nothing(case):
    own = Reloadable(case)
    own.write('broken', 'alice:secret:a/\nnonsense\n')
    own.reload()
    files, threads = own.broker.open_files(), own.threads()
    bob = own.client('bob', 'hunter2')
    with socket.create_server(('127.0.0.1', 0)) as taken:
        cases = mistakes(own, taken.getsockname()[1])
        for number, (what, text, message) in enumerate(cases, 1):
            own.write('mqloop.yaml', text)
            told = own.reload()
            expect(message in told, f'{what}: {told}')
            expect('not reloaded: the configuration that runs stays' in told, f'{what}: {told}')
            expect(f'refused={number}' in told, f'{what}: {told}')
            equal(0, own.refusal('alice', 'secret'), what)
            equal(NOT_AUTHORIZED, own.refusal('stranger', 'x'), what)
            expect(puback(bob, 'b/t') != NOT_AUTHORIZED, what)
            equal(NOT_AUTHORIZED, puback(bob, 'a/t'), what)
    os.remove(os.path.join(own.folder, 'mqloop.yaml'))
    told = own.reload()
    expect('mqloop.yaml: No such file' in told and 'not reloaded' in told, told)
    bob.ping()
    bob.close()
    wait_until(
        lambda: own.broker.open_files() <= files + kept_files(), 'descriptors of refused configurations to be closed'
    )
    expect(own.threads() <= threads + kept_threads(), f'{own.threads()} threads, {threads} before')
    expect('nothing changed' in own.taken(), 'a good file is taken again')
    case.end(own.broker)


@test
def every_mistake_is_told_at_once(case):
    own = Reloadable(case)
    own.write('mqloop.yaml', 'version: 1\nlimits:\n  max_qos: 3\n  receive_maximum: 0\nlisteners: []\nnonsense: 1\n')
    told = own.reload()
    for place in ('mqloop.yaml:3:12: ', 'mqloop.yaml:4:20: ', 'mqloop.yaml:6:1: '):
        expect(place in told, told)
    expect('mistakes=3' in told, told)
    case.end(own.broker)


@test
def included_files_and_the_environment_are_read_again(case):
    own = Reloadable(case, {'more.yaml': ''}, include=['more.yaml'])
    own.write('more.yaml', 'limits: {topics: {max_levels: 2}}\n')
    told = own.taken()
    expect('limits.topics.max_levels changed from 200 to 2' in told, told)
    own.write('more.yaml', 'limits: {topics: {max_levels: }}\n')
    told = own.reload()
    expect('more.yaml:1:' in told and 'not reloaded' in told, told)
    case.end(own.broker)


@test
def listeners_come_and_go_and_move(case):
    own = Reloadable(case, listeners=[LOCAL])
    first = own.broker.settings['listeners'][0]
    second = {'name': 'second', 'transport': 'tcp', 'bind': '127.0.0.1:0'}
    stays = own.client('alice', 'secret')
    own.taken(listeners=[first, second])
    wait_until(lambda: 'second' in own.broker.ports(), 'the second listener')
    port = own.broker.ports()['second']
    equal(0, own.refusal('bob', 'hunter2', port))

    guest = RawClient(port, 5)
    case.stack.callback(guest.close)
    guest.connect('guest', user='bob', password='hunter2', clean=False, props=((wire.SESSION_EXPIRY, 100),))
    told = own.taken(listeners=[first])
    expect('listeners.second removed' in told, told)
    equal(0x98, guest.end()[0][0][2], 'Administrative action')
    stays.ping()
    try:
        socket.create_connection(('127.0.0.1', port), 5).close()
        raise AssertionError('the port of a listener that is gone is still open')
    except ConnectionRefusedError:
        pass

    # Moved to another address: who is connected stays.
    with socket.create_server(('127.0.0.1', 0)) as probe:
        free = probe.getsockname()[1]
    told = own.taken(listeners=[{**first, 'bind': f'127.0.0.1:{free}'}])
    expect(f'listeners.local.bind changed from 127.0.0.1:0 to 127.0.0.1:{free}' in told, told)
    stays.ping()
    equal(0, own.refusal('bob', 'hunter2', free))
    equal(NOT_AUTHORIZED, puback(stays, 'b/t'), 'judged by the chain of its listener')

    # Limits and chains do not open it again.
    told = own.taken(listeners=[{**first, 'bind': f'127.0.0.1:{free}', 'max_connections': 1}])
    expect('max_connections changed from 10000 to 1' in told and ' listening' not in told, told)
    crowded = RawClient(free, 5)
    case.stack.callback(crowded.close)
    wait_until(lambda: own.broker.lines('the listener has max_connections already'), 'the refusal')
    case.end(own.broker)


@test
def the_log_may_change_its_level_its_form_and_its_place(case):
    own = Reloadable(case)
    # That a reload went well is told at level info; what waits for a restart is a warning.
    own.broker.settings['node'] = {**own.broker.settings['node'], 'threads': case.threads + 2}
    own.change(logging={'level': 'warn'})
    own.broker.send_signal(signal.SIGHUP)
    own.broker.wait_for_line('node.threads changed')
    own.client('alice', 'secret').ping()
    expect(not own.broker.lines('connected', 'client=alice '), 'info is not told any more')
    own.change(logging={'output': {'file': 'moved.log'}, 'format': 'json'})
    own.broker.send_signal(signal.SIGHUP)
    path = os.path.join(own.folder, 'moved.log')

    def events():
        with open(path, encoding='utf-8') as file:
            return [json.loads(line)['event'] for line in file.read().split('\n')[:-1]]

    wait_until(lambda: os.path.exists(path) and 'reloaded' in events(), 'the reload to be told in the new file')
    os.rename(path, f'{path}.1')
    own.broker.send_signal(signal.SIGUSR1)
    wait_until(lambda: os.path.exists(path), 'the new file to be opened again')
    own.client('bob', 'hunter2', 'in-the-new-file').ping()
    wait_until(lambda: 'connected' in events(), 'a line in the file that was opened again')
    case.end(own.broker)


@test
def cve_2017_7652_a_reload_without_a_free_descriptor_keeps_the_configuration_and_its_security(case):
    """CVE-2017-7652: a broker whose configuration could not be opened went on with none."""
    own = Reloadable(case, {'conf.d/limits.yaml': 'limits: {topics: {max_levels: 3}}\n'}, include=['conf.d/*.yaml'])
    bob = own.client('bob', 'hunter2')
    probes = []
    for _ in range(3):
        probe = RawClient(own.broker.port, 5)
        case.stack.callback(probe.close)
        probes.append(probe)
    own.client('alice', 'secret').ping()  # whoever came before is accepted
    soft, hard = resource.prlimit(own.broker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(own.broker.pid, resource.RLIMIT_NOFILE, (0, hard))
    told = own.reload()
    expect('Too many open files' in told and 'not reloaded' in told, told)
    probes[0].send(wire.connect(5, 'p0', user='alice', password='secret'))
    equal(0, probes[0].receive()[3])
    probes[1].send(wire.connect(5, 'p1', user='alice', password='wrong'))
    equal(BAD_USER_NAME_OR_PASSWORD, probes[1].receive()[3])
    probes[2].send(wire.connect(5, 'p2'))
    equal(NOT_AUTHORIZED, probes[2].receive()[3], 'nobody is let in without a name')
    equal(NOT_AUTHORIZED, puback(bob, 'a/t'))
    resource.prlimit(own.broker.pid, resource.RLIMIT_NOFILE, (soft, hard))
    expect('nothing changed' in own.reload(), own.broker.log_tail())
    case.end(own.broker)


@test
def reloads_under_load_lose_nothing_and_leave_nothing_behind(case):
    """Every 100 ms, good and bad files in turn, while QoS 1 flows."""
    own = Reloadable(case)
    receiver = own.client('alice', 'secret', 'receiver')
    receiver.subscribe('a/#', 1)
    own.reload()
    files, threads = own.broker.open_files(), own.threads()
    stop = threading.Event()
    sent, failures = [], []
    got: dict = {0: [], 1: []}

    def send(number: int):
        try:
            client = own.client('alice', 'secret', f'sender-{number}')
            count = 0
            while not stop.is_set():
                if count > len(got[number]) + 2000:  # a queue of the receiver that is full would drop by right
                    time.sleep(0.01)
                    continue
                client.send(b''.join(wire.publish(5, f'a/{number}', f'{count + i}', 1, i + 1) for i in range(20)))
                for _ in range(20):
                    answer = client.receive()
                    if answer[:1] != b'\x40' or (len(answer) > 4 and answer[4] >= 0x80):
                        raise AssertionError(f'PUBACK, not {answer.hex(" ")}')
                count += 20
            sent.append((number, count))
            client.close()
        except Exception as error:  # told by the main thread
            failures.append(repr(error))

    def come_and_go():
        try:
            while not stop.is_set():
                client = own.client('bob', 'hunter2', 'guest')
                client.subscribe('b/#')
                client.close()
        except Exception as error:
            failures.append(repr(error))

    done = threading.Event()

    def receive():
        try:
            while packet := receiver.receive():
                if packet[0] >> 4 == wire.PUBLISH:
                    body = wire.body_of(packet)
                    got[int(body[4:5])].append(int(body[8:]))
                    receiver.send(wire.puback(5, int.from_bytes(body[5:7], 'big')))
                elif packet == wire.PONG:
                    done.set()
                    return
        except Exception as error:
            failures.append(repr(error))

    workers = [threading.Thread(target=send, args=(0,)), threading.Thread(target=send, args=(1,)),
               threading.Thread(target=come_and_go)]
    reader = threading.Thread(target=receive)
    for worker in (*workers, reader):
        worker.start()
    sizes = []
    end = time.monotonic() + 6
    number = 0
    while time.monotonic() < end:
        number += 1
        if number % 4 == 0:
            own.write('mqloop.yaml', 'version: 1\nlimits: {max_qos: 9}\n')
        else:
            own.change(limits={'max_qos': 2, 'receive_maximum': 100 + number % 7})
        own.broker.send_signal(signal.SIGHUP)
        sizes.append(own.resident())
        time.sleep(0.1)
    stop.set()
    for worker in workers:
        worker.join(PATIENCE)
    wait_until(lambda: all(len(got[n]) >= count for n, count in sent) and len(sent) == 2 or failures, 'all messages')
    receiver.send(wire.PING)
    expect(done.wait(PATIENCE), 'PINGRESP')
    reader.join(PATIENCE)
    equal([], failures)
    for n, count in sent:
        expect(count > 0, 'there was load')
        equal(list(range(count)), got[n], f'what sender {n} sent, once and in order')
    own.taken()
    wait_until(lambda: own.broker.open_files() <= files + kept_files(), f'no more than {files} descriptors')
    expect(own.threads() <= threads + 1 + kept_threads(), f'{own.threads()} threads, {threads} before')
    expect(max(sizes[len(sizes) // 2:]) < sizes[len(sizes) // 4] + 16 * 1024, f'memory grows: {sizes}')
    case.end(own.broker)


@test
def signals_that_come_while_it_reloads_are_one_reload_more(case):
    own = Reloadable(case)
    for number in range(30):
        own.change(limits={'receive_maximum': 10 + number})
        own.broker.send_signal(signal.SIGHUP)
    own.broker.wait_for_line('limits.receive_maximum changed from', 'to 39')
    expect(1 <= len(own.broker.lines(' config reloaded')) <= 30, own.broker.log_tail())
    own.broker.send_signal(signal.SIGHUP)
    case.end(own.broker)


@test
def a_plugin_that_changed_on_disk_is_told_and_its_old_code_goes_on(case):
    own_plugin = case.file('copy.so')
    shutil.copy(USER_FILE, own_plugin)
    own = Reloadable(case, plugins=[{'name': 'users', 'path': own_plugin, 'config': {'file': 'users'}}])
    expect('is not what it was' not in own.reload(), 'the file is as it was')
    shutil.copy(USER_FILE, own_plugin + '.new')
    os.replace(own_plugin + '.new', own_plugin)
    told = own.reload()
    expect('is not what it was' in told and own_plugin in told, told)
    equal(0, own.refusal('alice', 'secret'))
    case.end(own.broker)


@test
def a_second_sigterm_ends_it_at_once(case):
    broker = case.start_broker(shutdown={'drain': '1h'})
    sleeper = RawClient(broker.port, 4, receive_buffer=4096)
    case.stack.callback(sleeper.close)
    sleeper.connect('sleeper')
    sleeper.subscribe('t')
    sender = case.raw(4, 'sender', broker)
    for _ in range(100):
        sender.send(wire.publish(4, 't', b'x' * 100_000))
    sender.ping()
    broker.send_signal(signal.SIGTERM)
    broker.wait_for_line('stopping')
    broker.send_signal(signal.SIGTERM)
    equal(1, broker.process.wait(PATIENCE))
