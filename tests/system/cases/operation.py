"""What an operator does to a broker: stop it, start it twice, move its log, take its descriptors away."""
from __future__ import annotations

import os
import pwd
import resource
import signal
import socket
import subprocess
import threading
import time

import harness
import wire
from harness import MQLOOPD, PATIENCE, RawClient, aside, collector, equal, expect, wait_until

TESTS, test = collector()


@test
def sigterm_tells_5_0_clients_and_ends_with_0(case):
    broker = case.start_broker()
    clients = {version: case.raw(version, f'{version}', broker) for version in (3, 4, 5)}
    broker.send_signal(signal.SIGTERM)
    packets, _ = clients[5].end()
    equal([wire.DISCONNECT], [packet[0] >> 4 for packet in packets])
    equal(0x8B, packets[0][2], 'Server shutting down')
    equal(([], []), (clients[3].end()[0], clients[4].end()[0]), '3.x knows no DISCONNECT from a server')
    equal(0, broker.process.wait(PATIENCE))
    expect(broker.lines('stopping', 'Terminated') and broker.lines('stopped'), broker.log())


@test
def a_thousand_clients_hear_of_the_end_and_leave_nothing_behind(case):
    broker = case.start_broker()
    idle = set(os.listdir(broker.folder))
    clients = [case.raw(5, f'{number}', broker) for number in range(1000)]
    broker.send_signal(signal.SIGTERM)
    for client in clients:
        packets, _ = client.end()
        equal([(wire.DISCONNECT, 0x8B)], [(packet[0] >> 4, packet[2]) for packet in packets])
    equal(0, broker.process.wait(PATIENCE))
    expect(set(os.listdir(broker.folder)) <= idle, f'{os.listdir(broker.folder)} of {idle}')


@test
def sigint_ends_it_too_and_shutdown_may_be_silent(case):
    broker = case.start_broker(shutdown={'send_disconnect': False})
    client = case.raw(5, broker=broker)
    broker.send_signal(signal.SIGINT)
    equal([], client.end()[0])
    equal(0, broker.process.wait(PATIENCE))


@test
def stopping_does_not_wait_for_clients_that_take_nothing(case):
    """A reader that sleeps and one that never said CONNECT hold the end up no longer than shutdown.drain."""
    broker = case.start_broker(shutdown={'drain': '1s'})
    sleeper = RawClient(broker.port, 4, receive_buffer=4096)
    case.stack.callback(sleeper.close)
    sleeper.connect('sleeper')
    sleeper.subscribe('t')
    case.socket(broker)
    sender = case.raw(4, 'sender', broker)
    for _ in range(100):
        sender.send(wire.publish(4, 't', b'x' * 100_000))
    sender.ping()
    start = time.monotonic()
    case.end(broker)
    expect(time.monotonic() - start < 15, f'it took {time.monotonic() - start:.1f} s')


@test
def wills_are_published_at_the_end_unless_the_configuration_says_otherwise(case):
    for publish_wills in (True, False):
        broker = case.start_broker(f'wills-{publish_wills}', shutdown={'publish_wills': publish_wills})
        witness = case.raw(4, 'witness', broker)
        witness.subscribe('will')
        case.raw(4, 'client', broker, will=wire.Will('will', 'w'))
        broker.send_signal(signal.SIGTERM)
        packets, _ = witness.end()
        equal(publish_wills, wire.publish(4, 'will', 'w') in packets, f'publish_wills: {publish_wills}')
        equal(0, broker.process.wait(PATIENCE))


@test
def a_port_in_use_is_told_in_one_sentence(case):
    folder = os.path.dirname(case.file('mqloop.yaml'))
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        with open(case.file('mqloop.yaml'), 'w', encoding='ascii') as file:
            file.write(
                f'version: 1\nnode: {{data_dir: data, threads: {case.threads}}}\n'
                f'listeners:\n  - {{name: local, transport: tcp, bind: "127.0.0.1:{port}"}}\n'
            )
        done = subprocess.run(
            [MQLOOPD, '-c', 'mqloop.yaml'], cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    with open(f'/proc/{os.getpid()}/comm', encoding='ascii') as file:
        owner = file.read().strip()
    equal(4, done.returncode, done.stderr)
    equal(
        f"mqloopd: cannot listen on 127.0.0.1:{port} (listener 'local', mqloop.yaml:4): already used by pid "
        f'{os.getpid()} ({owner}). Stop it, or set another bind:.\n',
        done.stderr,
    )


@test
def the_log_file_may_be_moved_at_any_time_and_no_line_is_lost(case):
    broker = case.start_broker(logging={'output': {'file': 'mqloop.log'}})
    ended = threading.Event()

    def come_and_go():
        for i in range(120):
            client = case.raw(4, f'{i:03}', broker)
            client.send(wire.disconnect(4))
            client.end()
        ended.set()

    visitor = threading.Thread(target=come_and_go)
    visitor.start()
    files = [broker.log_file()]
    try:
        for i in range(3):
            time.sleep(0.05)
            files.append(f'{broker.log_file()}.{i}')
            os.rename(broker.log_file(), files[-1])
            broker.send_signal(signal.SIGUSR1)
            wait_until(lambda: os.path.exists(broker.log_file()), 'a new log file')
    finally:
        visitor.join(PATIENCE)
    expect(ended.is_set(), 'the clients came and went')
    case.end(broker)
    text = ''
    for name in files:
        with open(name, encoding='utf-8') as file:
            text += file.read()
    for i in range(120):
        for event in ('connected', 'disconnected'):
            equal(1, text.count(f'connection {event} client={case.id(f"{i:03}")} '), f'{event} {i}')


@test
def the_pid_file_holds_the_process_and_goes_with_it(case):
    broker = case.start_broker(node={'pid_file': 'mqloop.pid'})
    path = os.path.join(broker.folder, 'mqloop.pid')
    with open(path, encoding='ascii') as file:
        equal(f'{broker.pid}\n', file.read())
    case.end(broker)
    expect(not os.path.exists(path), 'the pid file is removed')


@test
def root_becomes_the_user_of_the_configuration(case):
    if os.geteuid() != 0:
        expect_no_way_to_become_root(case)
        return
    user = pwd.getpwnam('nobody')
    own = case.file('own')
    os.mkdir(own)
    os.chown(own, user.pw_uid, user.pw_gid)
    for path in (own, case.folder, os.path.dirname(case.folder)):
        os.chmod(path, 0o755)  # that user must find its way
    broker = case.start_broker(node={'user': 'nobody', 'pid_file': 'mqloop.pid'})
    with open(f'/proc/{broker.pid}/status', encoding='ascii') as file:
        ids = {line.split(':')[0]: line.split()[1:] for line in file}
    equal(([f'{user.pw_uid}'] * 4, [f'{user.pw_gid}'] * 4), (ids['Uid'], ids['Gid']))
    equal('0000000000000000', ids['CapEff'][0], 'nothing of root is left')
    case.raw(4, 'c', broker).ping()
    case.end(broker)
    expect(not os.path.exists(os.path.join(own, 'mqloop.pid')), 'the pid file is removed by that user')


def expect_no_way_to_become_root(case):
    with open(case.file('mqloop.yaml'), 'w', encoding='ascii') as file:
        file.write('version: 1\nnode: {user: root}\nlisteners: [{name: local, transport: tcp, bind: "127.0.0.1:0"}]\n')
    done = subprocess.run(
        [MQLOOPD, '-c', case.file('mqloop.yaml')], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    equal(1, done.returncode, done.stderr)
    expect("node.user: cannot become 'root'" in done.stderr, done.stderr)


@test
def a_killed_broker_starts_again_at_once_on_the_same_port(case):
    first = case.start_broker()
    clients = [case.raw(4, f'{i}', first) for i in range(5)]
    first.kill()
    for client in clients:
        client.end()
    listener = {'name': 'local', 'transport': 'tcp', 'bind': f'127.0.0.1:{first.port}'}
    second = case.start_broker('second', listeners=[listener])
    case.raw(4, 'again', second).ping()
    case.end(second)


# ---- descriptors ----


def connect_crowd(case, broker, count: int) -> list:
    crowd = []
    for _ in range(count):
        one = aside(socket.create_connection(('127.0.0.1', broker.port), PATIENCE))
        case.stack.callback(one.close)
        crowd.append(one)
    return crowd


def expect_calm(broker, seconds: float, what: str):
    """CPU time of the process is what counts: a loop that spins takes a second for each second."""
    before = broker.cpu_seconds()
    time.sleep(seconds)
    used = broker.cpu_seconds() - before
    expect(used < 0.25 * seconds, f'{what}: {used:.2f} s of CPU in {seconds} s')


@test
def a_small_limit_of_descriptors_leaves_the_broker_calm_and_serving(case):
    broker = case.start_broker(wrapper=('prlimit', '--nofile=64:64', '--'))
    served = case.raw(4, 'served', broker)
    crowd = connect_crowd(case, broker, 200)
    expect_calm(broker, 2, 'with 200 connections on 64 descriptors')
    served.ping()
    told = broker.lines('warn listener')
    expect(1 <= len(told) <= 3, f'{len(told)} lines about it:\n' + '\n'.join(told[:10]))
    if harness.TRANSPORT not in ('websocket', 'wss'):  # libwebsockets takes more than is reckoned with
        equal([], broker.lines('accepting paused'), 'a reserve of descriptors is kept')
    for one in crowd:
        one.close()
    wait_until(lambda: broker.open_files() < 32, 'the descriptors of those who left')
    for i in range(5 if harness.TRANSPORT == 'wss' else 20):  # of three descriptors each
        case.raw(4, f'later-{i}', broker).ping()
    case.end(broker)


@test
def when_the_system_refuses_descriptors_accepting_pauses_and_goes_on_later(case):
    broker = case.start_broker()
    served = case.raw(4, 'served', broker)
    hard = resource.prlimit(broker.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (broker.open_files() + 10, hard))
    crowd = connect_crowd(case, broker, 40)
    broker.wait_for_line('accepting paused', 'Too many open files')
    expect_calm(broker, 2, 'without a descriptor left')
    served.ping()
    equal(1, len(broker.lines('accepting paused', f':{broker.port} ')), 'the log says so once')
    for one in crowd:
        one.close()
    case.raw(4, 'later', broker).ping()
    equal(1, len(broker.lines('accepting paused', f':{broker.port} ')), 'the log says so once')
    case.end(broker)
