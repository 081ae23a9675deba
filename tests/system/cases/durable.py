"""What publisher_sqlite promises (its README), asked of a broker that is killed and started again."""
from __future__ import annotations

import contextlib
import glob
import os
import resource
import sqlite3
import subprocess

import wire
from harness import RawClient, collector, equal, expect, wait_until

TESTS, test = collector()


def start(case, wrapper=(), **config):
    """The same database each time."""
    config = {'path': '../mqloop.db', **config}
    return case.start_broker('own', wrapper=wrapper, publisher={'plugin': 'publisher_sqlite', 'config': config})


def restart(case, broker, **config):
    broker.kill()
    return start(case, **config)


class Client(RawClient):
    """Has a session that stays, unless it is told otherwise. It acknowledges when it is told to."""

    def __init__(self, case, broker, name: str, present: bool, version=5, clean=False, expiry=3600):
        super().__init__(broker.port, version)
        case.stack.callback(self.close)
        props = ((wire.SESSION_EXPIRY, expiry),) if version == 5 else ()
        self.send(wire.connect(version, case.id(name), clean=clean, props=props))
        connack = self.receive()
        equal((0x20, int(present), 0), (connack[0], connack[2], connack[3]), 'CONNACK, Session Present, code')

    def publish(self, topic: str, payload: str, qos: int, packet_id: int, **options):
        self.send(wire.publish(self.version, topic, payload.encode(), qos, packet_id, **options))

    def answer(self, kind: int, packet_id: int, code: int = 0):
        """The next packet is this one."""
        equal((kind, packet_id, code), self.acknowledgement(), 'what came')

    def acknowledgement(self) -> tuple:
        whole = self.receive()
        expect(whole, 'the connection has ended')
        body = wire.body_of(whole)
        return whole[0] >> 4, int.from_bytes(body[:2], 'big'), body[2] if len(body) > 2 else 0

    def message(self, whole: bytes = b'') -> tuple:
        """`whole` or the next packet, a PUBLISH: (payload, QoS, identifier, DUP, RETAIN)."""
        whole = whole or self.receive()
        expect(whole[:1] and whole[0] >> 4 == wire.PUBLISH, f'no PUBLISH but {whole.hex(" ")}')
        reader = wire.Reader(wire.body_of(whole))
        reader.string()
        qos = whole[0] >> 1 & 3
        packet_id = reader.uint(2) if qos else 0
        if self.version == 5:
            reader.properties()
        return reader.rest().decode(), qos, packet_id, bool(whole[0] & 8), bool(whole[0] & 1)

    def take(self, count: int) -> list:
        """So many messages, each acknowledged for good, as (payload, DUP)."""
        taken, releasing = [], set()
        while len(taken) != count or releasing:
            whole = self.receive()
            expect(whole, 'the connection has ended')
            if whole[0] >> 4 == wire.PUBREL:
                packet_id = int.from_bytes(wire.body_of(whole)[:2], 'big')
                releasing.remove(packet_id)
                self.send(wire.pubcomp(self.version, packet_id))
                continue
            payload, qos, packet_id, dup, _ = self.message(whole)
            taken.append((payload, dup))
            if qos == 1:
                self.send(wire.puback(self.version, packet_id))
            elif qos == 2:
                releasing.add(packet_id)
                self.send(wire.pubrec(self.version, packet_id))
        return taken

    def leave(self):
        self.send(wire.disconnect(self.version))
        equal(b'', self.receive(), 'the end')

    def unsubscribe(self, topic: str):
        self.send(wire.unsubscribe(self.version, 2, topic))
        equal(b'\xb0', self.receive()[:1], 'UNSUBACK')


def subscriber_that_leaves(case, broker, topic: str, name: str = 'reader'):
    reader = Client(case, broker, name, False)
    reader.subscribe(topic, 2)
    reader.leave()


@test
def i1_what_was_acknowledged_is_there_after_a_kill(case):
    broker = start(case)
    for name in ('reader', 'other'):
        subscriber_that_leaves(case, broker, 't/#', name)
    source = Client(case, broker, 'source', False, clean=True, expiry=0)
    count = 40
    for number in range(count):
        source.publish('t/1', f'one {number}', 1, 2 * number + 1)
        source.publish('t/2', f'two {number}', 2, 2 * number + 2)
    for number in range(count):
        source.answer(wire.PUBACK, 2 * number + 1)
        source.answer(wire.PUBREC, 2 * number + 2)
    broker = restart(case, broker)
    expected = [(f'{kind} {number}', False) for number in range(count) for kind in ('one', 'two')]
    for name in ('reader', 'other'):
        reader = Client(case, broker, name, True)
        equal(expected, reader.take(2 * count))
        reader.ping()  # and nothing else came
    case.end(broker)


@test
def i2_a_message_of_qos_2_that_comes_again_after_a_kill_is_delivered_once(case):
    broker = start(case)
    subscriber_that_leaves(case, broker, 't')
    source = Client(case, broker, 'source', False)
    source.publish('t', 'first', 2, 7)
    source.answer(wire.PUBREC, 7)
    broker = restart(case, broker)
    source = Client(case, broker, 'source', True)
    source.publish('t', 'first', 2, 7, dup=True)
    source.answer(wire.PUBREC, 7)
    source.send(wire.pubrel(5, 7))
    source.answer(wire.PUBCOMP, 7)
    broker = restart(case, broker)
    source = Client(case, broker, 'source', True)
    source.publish('t', 'second', 2, 7)  # its identifier is free, and that is known too
    source.answer(wire.PUBREC, 7)
    reader = Client(case, broker, 'reader', True)
    equal([('first', False), ('second', False)], reader.take(2))
    reader.ping()
    case.end(broker)


@test
def i3_a_delivery_of_qos_2_keeps_its_identifier_and_its_place(case):
    broker = start(case)
    reader = Client(case, broker, 'reader', False)
    reader.subscribe('t', 2)
    source = Client(case, broker, 'source', False, clean=True, expiry=0)
    for packet_id, payload in ((1, 'first'), (2, 'second'), (3, 'third')):
        source.publish('t', payload, 2, packet_id)
    first, second, third = reader.message(), reader.message(), reader.message()
    equal(['first', 'second', 'third'], [first[0], second[0], third[0]])
    broker = restart(case, broker)
    reader = Client(case, broker, 'reader', True)
    for payload, qos, packet_id, _, retain in (first, second, third):
        equal((payload, qos, packet_id, True, retain), reader.message())
    reader.send(wire.pubrec(5, second[2]))
    reader.answer(wire.PUBREL, second[2])
    broker = restart(case, broker)
    reader = Client(case, broker, 'reader', True)
    equal((first[0], 2, first[2], True, False), reader.message())
    reader.answer(wire.PUBREL, second[2])
    equal((third[0], 2, third[2], True, False), reader.message())
    for packet_id in (first[2], third[2]):
        reader.send(wire.pubrec(5, packet_id))
        reader.answer(wire.PUBREL, packet_id)
    for packet_id in (first[2], second[2], third[2]):
        reader.send(wire.pubcomp(5, packet_id))
    reader.ping()
    case.end(broker)


@test
def i4_messages_keep_their_order_across_kills(case):
    broker = start(case)
    subscriber_that_leaves(case, broker, 't')
    count, rounds = 10, 3
    for turn in range(rounds):
        source = Client(case, broker, 'source', turn != 0)
        for number in range(turn * count, (turn + 1) * count):
            source.publish('t', f'{number}', 1 + number % 2, number + 1)
        for number in range(turn * count, (turn + 1) * count):
            source.answer(wire.PUBREC if number % 2 else wire.PUBACK, number + 1)
        broker = restart(case, broker)
    reader = Client(case, broker, 'reader', True)
    equal([(f'{number}', False) for number in range(rounds * count)], reader.take(rounds * count))
    case.end(broker)


@test
def i5_sessions_are_there_or_gone_as_connack_said(case):
    broker = start(case)
    Client(case, broker, 'client', False)
    broker = restart(case, broker)
    Client(case, broker, 'client', True).subscribe('t', 1)
    broker = restart(case, broker)
    Client(case, broker, 'client', False, clean=True)  # another one, without the subscription
    broker = restart(case, broker)
    client = Client(case, broker, 'client', True)
    client.publish('t', 'for nobody', 1, 1)
    client.answer(wire.PUBACK, 1, 0x10)
    Client(case, broker, 'client', False, clean=True, expiry=0)
    broker = restart(case, broker)
    Client(case, broker, 'client', False)
    case.end(broker)


@test
def i5_subscriptions_are_there_or_gone_as_suback_and_unsuback_said(case):
    broker = start(case)
    Client(case, broker, 'client', False).subscribe('t', 1)
    broker = restart(case, broker)
    client = Client(case, broker, 'client', True)
    client.publish('t', 'seen', 1, 1)
    got = sorted(client.receive()[0] >> 4 for _ in range(2))
    equal([wire.PUBLISH, wire.PUBACK], got)
    client.unsubscribe('t')
    broker = restart(case, broker)
    client = Client(case, broker, 'client', True)
    equal(('seen', True), client.take(1)[0])
    client.publish('t', 'not seen', 1, 1)
    client.answer(wire.PUBACK, 1, 0x10)
    case.end(broker)


@test
def i5_retained_values_are_there_or_gone_as_puback_said(case):
    broker = start(case)
    source = Client(case, broker, 'source', False, clean=True, expiry=0)
    for packet_id, topic in enumerate(('r/stays', 'r/goes'), 1):
        source.publish(topic, topic, 1, packet_id, retain=True)
        equal((wire.PUBACK, packet_id), source.acknowledgement()[:2])
    broker = restart(case, broker)
    source = Client(case, broker, 'source', False, clean=True, expiry=0)
    source.publish('r/goes', '', 1, 3, retain=True)
    equal((wire.PUBACK, 3), source.acknowledgement()[:2])
    broker = restart(case, broker)
    reader = Client(case, broker, 'reader', False, clean=True, expiry=0)
    reader.subscribe('r/#')
    equal(('r/stays', 0, 0, False, True), reader.message())
    reader.ping()
    case.end(broker)


def goes_through_trouble(case, broker, begin, end, code: int) -> list:
    """Nothing is acknowledged while there is trouble, the rest goes on. The payloads that were accepted, in order."""
    subscriber_that_leaves(case, broker, 't')
    source = Client(case, broker, 'source', False, clean=True, expiry=0)
    source.publish('t', 'before', 1, 1)
    source.answer(wire.PUBACK, 1)
    begin()
    source.publish('t', 'let in', 1, 2)
    broker.wait_for_line('degraded')
    refused = Client(case, broker, 'refused', False, clean=True, expiry=0)
    refused.publish('t', 'refused', 1, 1)
    refused.answer(wire.PUBACK, 1, code)
    refused.subscribe('u')
    refused.publish('u', 'of QoS 0', 0, None)
    equal('of QoS 0', refused.message()[0])
    old = Client(case, broker, 'old', False, version=4, clean=True)
    old.publish('t', 'refused without a word', 1, 1)
    equal([], old.end()[0])
    end()
    source.answer(wire.PUBACK, 2)
    broker.wait_for_line('recovered', 'publisher')
    wait_until(lambda: accepts(refused, 'after'), 'the publisher to take messages again')
    return ['before', 'let in', 'after']


def accepts(client: Client, payload: str) -> bool:
    client.publish('t', payload, 1, 1)
    kind, packet_id, code = client.acknowledgement()
    equal((wire.PUBACK, 1), (kind, packet_id))
    return code == 0


@test
def i6_a_file_that_may_not_grow_is_trouble_until_it_may(case):
    # A write beyond the limit fails instead of ending the process, as one to a broken disk does.
    broker = start(case, wrapper=('env', '--ignore-signal=XFSZ'))
    unlimited = resource.prlimit(broker.pid, resource.RLIMIT_FSIZE)
    accepted = goes_through_trouble(
        case, broker,
        lambda: resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (8192, unlimited[1])),
        lambda: resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, unlimited),
        0x83,
    )
    broker = restart(case, broker)
    reader = Client(case, broker, 'reader', True)
    equal([(payload, False) for payload in accepted], reader.take(len(accepted)))
    reader.ping()
    case.end(broker)


def in_a_small_file_system() -> tuple:
    """What starts a program whose folder `disk` is a file system of 4 MiB; () where mounts are not allowed."""
    unshare = ('unshare', '-m' if os.geteuid() == 0 else '-rm', '--propagation', 'private', 'sh', '-c')
    trial = subprocess.run([*unshare, 'mount -t tmpfs none /mnt'], capture_output=True, check=False)
    if trial.returncode != 0:
        return ()
    return (*unshare, 'mkdir disk && mount -t tmpfs -o size=4m,mode=700 none disk && exec "$0" "$@"')


@test
def i6_a_full_disk_is_trouble_until_there_is_room(case):
    wrapper = in_a_small_file_system()
    if not wrapper:
        return  # the test above shows the rest of it
    broker = start(case, wrapper, path='../disk/mqloop.db', min_free_space='64KiB')
    filler = f'/proc/{broker.pid}/root{os.path.realpath(broker.folder)}/disk/filler'

    def fill():
        with contextlib.suppress(OSError), open(filler, 'wb', buffering=0) as file:
            while True:
                file.write(bytes(65536))
        expect(os.path.getsize(filler) > 65536, 'it is that file system')

    accepted = goes_through_trouble(case, broker, fill, lambda: os.remove(filler), 0x97)
    reader = Client(case, broker, 'reader', True)
    equal([(payload, False) for payload in accepted], reader.take(len(accepted)))
    reader.ping()
    case.end(broker)


def kept_payloads(broker) -> list:
    """Of the messages that the database has."""
    path = os.path.join(broker.folder, 'mqloop.db')
    with contextlib.closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True)) as database:
        return [bytes(row[0]).decode() for row in database.execute('SELECT payload FROM message ORDER BY number')]


@test
def i8_batched_has_on_disk_by_itself_what_it_acknowledged_before(case):
    broker = start(case, durability={'batched': '100ms'})
    subscriber_that_leaves(case, broker, 't')
    source = Client(case, broker, 'source', False, clean=True, expiry=0)
    for number in (1, 2):
        source.publish('t', f'message {number}', number, number)
        source.answer(wire.PUBACK if number == 1 else wire.PUBREC, number)
    expected = ['message 1', 'message 2']
    wait_until(lambda: kept_payloads(broker) == expected, 'the messages to be on disk')
    broker = restart(case, broker, durability={'batched': '100ms'})
    reader = Client(case, broker, 'reader', True)
    equal([(payload, False) for payload in expected], reader.take(2))
    reader.ping()
    case.end(broker)


@test
def i8_what_is_kept_in_memory_alone_outlives_a_disk_that_takes_nothing(case):
    topics = [{'filter': 'm', 'durability': 'memory'}]
    broker = start(case, wrapper=('env', '--ignore-signal=XFSZ'), topics=topics)
    subscriber_that_leaves(case, broker, 'm')
    subscriber_that_leaves(case, broker, 't', 'other')
    source = Client(case, broker, 'source', False, clean=True, expiry=0)
    source.publish('m', 'in memory', 1, 1)
    source.answer(wire.PUBACK, 1)
    unlimited = resource.prlimit(broker.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (8192, unlimited[1]))
    source.publish('t', 'let in', 1, 2)
    broker.wait_for_line('degraded')
    reader = Client(case, broker, 'reader', True)
    equal([('in memory', False)], reader.take(1))
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, unlimited)
    source.answer(wire.PUBACK, 2)
    broker = restart(case, broker, topics=topics)
    equal([('let in', False)], Client(case, broker, 'other', True).take(1))
    case.end(broker)


def damage(broker):
    """Every page of the database but the first is noise, and its log is gone."""
    path = os.path.join(broker.folder, 'mqloop.db')
    with open(path, 'r+b') as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4096)
        file.write(bytes(range(256)) * ((size - 4096) // 256))
    for name in ('-wal', '-shm'):
        with contextlib.suppress(FileNotFoundError):
            os.remove(path + name)


def broker_with_something_to_lose(case):
    broker = start(case)
    Client(case, broker, 'client', False).subscribe('t', 1)
    case.end(broker)  # checkpoints: all of it is in the database itself
    expect(os.path.getsize(os.path.join(broker.folder, 'mqloop.db')) > 8192, 'there is something to damage')
    return broker


@test
def i7_a_damaged_database_is_moved_aside_and_the_broker_starts(case):
    broker = broker_with_something_to_lose(case)
    damage(broker)
    broker = start(case)
    broker.wait_for_line('the database was damaged')
    equal(1, len(glob.glob(os.path.join(broker.folder, 'mqloop.db.corrupt-*[0-9Z]'))), 'files that were moved aside')
    Client(case, broker, 'fresh', False)
    broker = restart(case, broker)
    expect(not broker.lines('the database was damaged'), 'the new database is whole')
    Client(case, broker, 'fresh', True)
    case.end(broker)


@test
def i7_a_damaged_database_is_left_alone_where_that_is_asked_for(case):
    broker = broker_with_something_to_lose(case)
    damage(broker)
    try:
        start(case, on_corrupt='refuse')
    except AssertionError as error:
        expect('the database is damaged' in str(error), error)
    else:
        raise AssertionError('it has started')
    expect(not glob.glob(os.path.join(broker.folder, 'mqloop.db.corrupt-*')), 'nothing was moved')
