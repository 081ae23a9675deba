"""Bad weather: crowds that do not read, that fight for names, and clocks that jump. Each has its bound, and the others notice nothing."""
from __future__ import annotations

import glob
import os
import signal
import threading
import time

import wire
from harness import RawClient, collector, equal, expect, wait_until

TESTS, test = collector()

KIB = 1024


def resident_kib(broker) -> int:
    with open(f'/proc/{broker.pid}/status', encoding='ascii') as file:
        return int(next(line for line in file if line.startswith('VmRSS')).split()[1])


@test
def a_crowd_that_never_reads_costs_no_more_than_its_limits(case):
    """100 readers with 64 KiB each, 50 MB for each of them: they are bounded, cut off, and forgotten."""
    readers, soft = 100, 64
    broker = case.start_broker(limits={'output': {'soft': f'{soft}KiB', 'hard': '8MiB', 'stall': '2s'}})
    served = case.raw(5, 'served', broker, keep_alive=0)
    served.subscribe('t', 1)
    sender = case.raw(5, 'sender', broker, keep_alive=0)
    before = resident_kib(broker)
    crowd = []
    for i in range(readers):
        client = RawClient(broker.port, 4, receive_buffer=4096)
        case.stack.callback(client.close)
        client.connect(f'sleeper{i}', keep_alive=0)
        client.subscribe('t', 0)
        crowd.append(client)
    payload, most = b'x' * 50_000, 0
    for i in range(1000):
        sender.send(wire.publish(5, 't', payload, 1, i + 1))
        equal(wire.PUBACK, sender.receive()[0] >> 4, 'PUBACK')
        message = served.receive()
        equal(wire.PUBLISH, message[0] >> 4, 'PUBLISH')
        served.send(wire.puback(5, int.from_bytes(wire.body_of(message)[3:5], 'big')))
        if i % 50 == 0:
            most = max(most, resident_kib(broker))
        if len(broker.lines('disconnected', 'client=sleeper')) == readers:
            break
    # What lies above the soft limit is one message, which all of them share; the rest is their connections.
    allowed = before + readers * (soft + 16) + 16 * KIB
    expect(most <= allowed, f'{most} KiB, more than {allowed}')
    wait_until(lambda: len(broker.lines('disconnected', 'client=sleeper')) == readers, 'the end of all who sleep')
    served.ping()
    case.end(broker)


@test
def a_storm_of_take_overs_leaves_each_name_to_one_and_the_others_in_peace(case):
    """24 connections at a time fight for 4 names, subscribing and unsubscribing meanwhile; never two of a name live on."""
    broker = case.start_broker()
    stop, faults, served = threading.Event(), [], [0]

    def fight(number: int):
        name, round_ = f'prize{number % 4}', 0
        while not stop.is_set():
            round_ += 1
            client = RawClient(broker.port, 5 if number % 3 else 4)
            try:
                client.send(
                    wire.connect(client.version, name, clean=not number % 2)
                    + wire.subscribe(client.version, 1, ('storm/+', round_ % 3))
                    + wire.publish(client.version, f'storm/{number}', 'm', 1, 2)
                    + (wire.unsubscribe(client.version, 3, 'storm/+') if round_ % 2 else b'')
                )
                if (answer := client.receive()) and answer[0] != 0x20:
                    faults.append(answer)
                if round_ % 4 == 0:
                    client.receive()
            except ConnectionError:
                pass  # taken over before its bytes were out
            finally:
                client.close()

    def watch(client):
        while not stop.is_set():
            client.ping()
            served[0] += 1

    crowd = [threading.Thread(target=fight, args=(i,)) for i in range(24)]
    crowd.append(threading.Thread(target=watch, args=(case.raw(4, 'bystander', broker),)))
    for one in crowd:
        one.start()
    try:
        wait_until(lambda: len(broker.lines('connected', 'client=prize')) >= 600 and served[0] > 100, '600 take-overs')
    finally:
        stop.set()
        for one in crowd:
            one.join()
    equal([], faults[:3])
    for i in range(4):
        last = RawClient(broker.port, 5)
        case.stack.callback(last.close)
        last.connect(f'prize{i}')
        last.send(wire.publish(5, f'calm/{i}', 'm', 1, 5))
        equal(wire.PUBACK, last.receive()[0] >> 4, 'a session that was discarded has no subscription')
    wait_until(lambda: broker.open_files() < 40, 'the descriptors of the fight to be closed')
    case.end(broker)


# ---- clocks ----


def start_with_its_own_clock(case):
    """(a broker, a function that sets its wall clock off by so many seconds); its monotonic clock is the machine's."""
    (library,) = glob.glob('/usr/lib/*/faketime/libfaketimeMT.so.1')
    offset_file = case.file('offset')

    def set_off(seconds: int):
        with open(offset_file + '.new', 'w', encoding='ascii') as file:
            file.write(f'{seconds:+d}')
        os.replace(offset_file + '.new', offset_file)

    set_off(0)
    wrapper = (
        'env', f'LD_PRELOAD={library}', f'FAKETIME_TIMESTAMP_FILE={offset_file}', 'FAKETIME_NO_CACHE=1',
        'DONT_FAKE_MONOTONIC=1',
        # A sanitizer's runtime must come first and checks that; here another library does.
        'ASAN_OPTIONS=verify_asan_link_order=0',
    )
    return case.start_broker(wrapper=wrapper), set_off


@test
def a_jump_of_the_wall_clock_expires_nothing_and_silences_nobody(case):
    day = 24 * 3600
    broker, set_off = start_with_its_own_clock(case)
    away = case.raw(5, 'away', broker, clean=False, props=((wire.SESSION_EXPIRY, 3600),))
    away.subscribe('t/#', 1)
    away.send(wire.disconnect(5))
    away.end()
    alive = case.raw(5, 'alive', broker, keep_alive=30)
    will = wire.Will('will', 'too early', props=((wire.WILL_DELAY, 3600),))
    watcher = case.raw(5, 'watcher', broker)
    watcher.subscribe('will', 0)
    dying = case.raw(5, 'dying', broker, clean=False, will=will, props=((wire.SESSION_EXPIRY, 7200),))
    dying.close()
    broker.wait_for_line('disconnected', case.id('dying'))
    for number, seconds in enumerate((day, -day, 3600, -3600, 0)):
        set_off(seconds)
        message = wire.publish(5, f't/{number}', 'm', 1, number + 1, retain=True, props=((wire.MESSAGE_EXPIRY, 600),))
        alive.send(message)
        equal(wire.PUBACK, alive.receive()[0] >> 4, 'PUBACK')
        case.raw(5, f'new{number}', broker)  # the log tells when
        time.sleep(0.5)  # timers look at the clock
        alive.ping()
    watcher.ping()  # and nothing came before the answer: the will waits
    back = RawClient(broker.port, 5)
    case.stack.callback(back.close)
    back.connect(case.id('away'), clean=False, props=((wire.SESSION_EXPIRY, 3600),))
    topics = set()
    while len(topics) < 5:
        body = wire.body_of(back.receive())
        topics.add(body[2:5])
        back.send(wire.puback(5, int.from_bytes(body[5:7], 'big')))
    equal({b't/%d' % i for i in range(5)}, topics)
    days = {broker.lines('connected', case.id(f'new{i}'))[0][:10] for i in (0, 1, 4)}  # to-morrow, yesterday, to-day
    equal(3, len(days), f'the log follows the wall clock, but {days}')
    case.end(broker)


@test
def who_spoke_while_the_process_was_stopped_is_not_called_silent(case):
    broker = case.start_broker()
    speaking, silent = case.raw(5, 'speaking', broker, keep_alive=2), case.raw(5, 'silent', broker, keep_alive=2)
    broker.send_signal(signal.SIGSTOP)
    time.sleep(2)
    speaking.send(wire.PING)
    time.sleep(2)
    broker.send_signal(signal.SIGCONT)
    equal(wire.PONG, speaking.receive(), 'what waited in the socket counts')
    packets, _ = silent.end()
    equal(0x8D, packets[0][2], 'Keep Alive timeout')
    speaking.ping()
    case.end(broker)
