"""The disk fails under the broker, and comes back or does not. What was acknowledged must be there in the end, nothing more may
be acknowledged while nothing can be kept, messages of QoS 0 go on, and the broker finds out by itself when it can keep
things again.

  crash_test.py --trouble NAME     one of TROUBLES; --trouble all"""
from __future__ import annotations

import errno
import os
import random

import disk
import wire
from brokers import Failed, Mqloop, database_fault
from checker import Checker
from client import Client
from faults import ANY, FOR_GOOD, SYNC, WRITE, Faults
from loop import Loop
from publisher import Publisher
from streams import streams_of
from subscriber import Subscriber

# Messages a second of each publisher, and how many it may have in flight: what was let in before the trouble waits for its
# end, and there must be room for what is refused.
RATE, WINDOW = 100.0, 64
SETTLED = 20  # acknowledgements, or refusals, that tell that it is no chance


class Live(Subscriber):
    """Gets what is sent with QoS 0."""

    def __init__(self, loop, tell, address):
        super().__init__(loop, 'live', 5, tell, address, ['live'], 0)
        self.keep, self.count = 0, 0

    def on_message(self, topic, qos, payload):
        self.count += 1
        self.loop.news += 1


class Speaker(Client):
    def __init__(self, loop, tell, address):
        super().__init__(loop, 'speaker', 5, tell, address, keep=0)

    def say(self, topic: str = 'live'):
        self.send(wire.publish(self.version, topic, b'still here'))


class Scene:
    """A broker under a steady load, whose durable subscriber is away."""

    def __init__(self, folder: str, options, environment=None, **publisher_options):
        self.options, self.environment = options, environment or {}
        self.broker = Mqloop(folder, options)
        self.broker.settings['publisher'].setdefault('config', {}).update(publisher_options)
        self.loop, self.checker = Loop(), Checker()
        self.checker.is_trouble_expected = True
        place = (self.loop, self.checker.take, self.broker.address)
        # 3.1.1 has no way to be told, and waits.
        self.publishers = [self.publisher('p0', 5), self.publisher('p1', 5), self.publisher('p2', 4)]
        # Nobody is told of a refusal before what was let in earlier is acknowledged [MQTT-4.6.0-2], so it takes one that
        # had nothing under way.
        self.late = self.publisher('late', 5)
        self.subscriber = Subscriber(self.loop, 's', 5, self.checker.take, self.broker.address, ['t/#'], 2)
        self.checker.expect_all('s')
        self.asker = Subscriber(self.loop, 'asker', 5, self.checker.take, self.broker.address, ['n/kept'], 1)
        self.live, self.speaker = Live(*place), Speaker(*place)

    def publisher(self, name: str, version: int) -> Publisher:
        streams = streams_of(name, (1, 2))
        return Publisher(self.loop, name, version, self.checker.take, self.broker.address, streams, WINDOW)

    def wait(self, condition, what: str):
        if not self.loop.run_until(condition, self.options.patience, whatever_comes=True):
            raise Failed(f'waited in vain {what}:\n{self.broker.log_tail()}')

    def begin(self):
        self.broker.start(self.environment)
        for client in (self.subscriber, self.asker, self.live, self.speaker, self.late):
            client.online()
        self.wait(
            lambda: self.subscriber.is_ready()
            and self.asker.is_ready()
            and self.live.is_ready()
            and self.speaker.is_connected
            and self.late.is_connected,
            'for all to connect',
        )
        self.subscriber.offline()
        for publisher in self.publishers:
            publisher.go(RATE)
        self.expect_acknowledgements()

    def count(self, kind: str) -> int:
        return self.checker.counts[kind]

    def expect_acknowledgements(self):
        before = self.count('acked')
        self.wait(lambda: self.count('acked') >= before + SETTLED, 'for acknowledgements')

    def is_degraded(self) -> bool:
        log = self.broker.log()
        return log.count(' degraded: ') > log.count(' recovered: ')

    def expect_refusals(self):
        self.wait(self.is_degraded, 'for the log to tell it')
        # Now nothing is acknowledged: what was under way has come by then.
        self.loop.run_for(0.3)
        acked, refused = self.count('acked'), self.count('refused')
        self.late.go(RATE)
        self.wait(lambda: self.count('refused') >= refused + SETTLED, 'for messages to be refused')
        self.late.pause()
        if self.count('acked') != acked:
            raise Failed(f'{self.count("acked") - acked} acknowledgements although nothing can be kept')

    def expect_refused_subscriptions(self):
        before = self.count('subscriptions_refused')
        self.asker.subscribe(['n/refused'])
        self.asker.unsubscribe(['n/kept'])
        self.wait(lambda: not self.asker.answers, 'for SUBACK and UNSUBACK')
        refused = self.count('subscriptions_refused') - before
        if refused != 2:
            raise Failed(f'{refused} of 2 changes of subscriptions are refused although nothing can be kept')

    def expect_subscriptions(self):
        """As the asker was told; and what was refused is taken now."""
        self.wait(lambda: self.asker.is_ready() and self.speaker.is_connected, 'for all to come back')
        self.speaker.say('n/refused')
        self.speaker.say('n/kept')
        self.wait(lambda: 'n/kept' in self.checker.hits, 'for a message that is subscribed to')
        self.checker.judge_filters('asker')
        self.asker.subscribe(['n/refused'])
        self.wait(lambda: not self.asker.answers, 'for SUBACK')
        self.speaker.say('n/refused')
        self.wait(lambda: 'n/refused' in self.checker.hits, 'for a message that is subscribed to at last')

    def expect_qos0(self):
        before = self.live.count
        for _ in range(3):
            self.speaker.say()
        self.wait(lambda: self.live.count >= before + 3, 'for messages of QoS 0')

    def restart(self):
        """After a kill, on a disk that works."""
        self.broker.kill()
        self.loop.run_for(0.01)
        open(self.broker.log_path(), 'wb').close()
        self.broker.start(self.environment)

    def end(self):
        """Everything that was acknowledged is there."""
        self.expect_subscriptions()
        self.subscriber.online()
        self.wait(self.subscriber.is_ready, 'for the subscriber to come back')
        everybody = (*self.publishers, self.late)
        for publisher in everybody:
            publisher.settle()
        self.wait(lambda: all(publisher.is_settled for publisher in everybody), 'for the last acknowledgements')
        self.wait(self.checker.has_all, 'for the messages')
        self.checker.judge_messages()
        fault = self.broker.stop()
        if fault:
            raise Failed(fault)
        fault = database_fault(self.broker)
        if fault:
            self.checker.fault('damaged', fault)
        if self.checker.faults():
            raise Failed(f'{self.checker.faults()} {dict(self.checker.examples)}')

    def clean_up(self):
        self.broker.kill()
        for client in tuple(self.loop.clients):
            client.leave()


def through(scene: Scene, begin, end, is_killed: bool):
    """A trouble from its beginning to its end, which comes while the broker runs, or when it has been killed."""
    try:
        scene.begin()
        begin()
        scene.expect_refusals()
        scene.expect_refused_subscriptions()
        scene.expect_qos0()
        if is_killed:
            scene.broker.kill()
        end()
        if is_killed:
            scene.restart()
        scene.expect_acknowledgements()
        scene.end()
    finally:
        scene.clean_up()


def full(folder, options, is_killed=False, floor='0B'):
    """A tmpfs without room; with a floor the broker stops before the disk does."""
    scene = Scene(folder, options, min_free_space=floor)
    place = disk.Tmpfs(scene.broker.data, '24m')
    place.mount()
    filler = os.path.join(scene.broker.data, 'filler')

    def begin():
        with open(filler, 'wb', buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    try:
        through(scene, begin, lambda: os.unlink(filler), is_killed)
    finally:
        place.unmount()


def read_only(folder, options):
    """The kernel makes an ext4 file system read-only when it finds a fault of it; it takes a new mount to undo that."""
    scene = Scene(folder, options)
    place = disk.Ext4(os.path.join(folder, 'disk.img'), scene.broker.data)
    place.mount()

    def begin():
        scene.broker.freeze(calls_may_be_under_way=False)  # a sync under way may return 0 although its data are gone
        place.become_read_only()
        scene.broker.thaw()

    def mount_again():
        place.unmount()
        place.mount()

    try:
        through(scene, begin, mount_again, is_killed=True)
    finally:
        place.unmount()


def failing(folder, options, error: int, calls: int, is_killed=False):
    faults = Faults(folder)
    scene = Scene(folder, options, faults.environment())
    through(scene, lambda: faults.begin(error, calls), faults.end, is_killed)
    if faults.failed() == 0:
        raise Failed('no call has failed')


def nth_call(folder, options, error: int, times: int):
    """Each of the first calls fails in its turn, once or from then on until somebody was refused for it."""
    faults = Faults(folder)
    scene = Scene(folder, options, faults.environment())
    chance = random.Random(options.seed)
    try:
        scene.begin()
        for spared in range(options.calls):
            faults.begin(error, ANY, spared, times)
            scene.wait(lambda: faults.failed() > 0, f'for call {spared} to fail')
            if times == FOR_GOOD:
                scene.expect_refusals()
                faults.end()
                scene.wait(lambda: not scene.is_degraded(), 'for the end of the trouble')
            if chance.random() < 0.2:
                faults.end()
                scene.restart()
            scene.expect_acknowledgements()
        scene.end()
    finally:
        scene.clean_up()


DEVICES, MOUNTS, NOTHING = 'devices', 'mounts', ''
# name: (function, its arguments, what it needs)
TROUBLES = {
    'full': (full, {}, MOUNTS),
    'full-and-killed': (full, {'is_killed': True}, MOUNTS),
    'below-the-floor': (full, {'floor': '4MiB'}, MOUNTS),
    'made-read-only': (read_only, {}, DEVICES),
    'read-only': (failing, {'error': errno.EROFS, 'calls': ANY}, NOTHING),
    'no-room': (failing, {'error': errno.ENOSPC, 'calls': WRITE}, NOTHING),
    'write-errors': (failing, {'error': errno.EIO, 'calls': WRITE}, NOTHING),
    'write-errors-and-killed': (failing, {'error': errno.EIO, 'calls': WRITE, 'is_killed': True}, NOTHING),
    'failed-syncs': (failing, {'error': errno.EIO, 'calls': SYNC}, NOTHING),
    'failed-syncs-and-killed': (failing, {'error': errno.EIO, 'calls': SYNC, 'is_killed': True}, NOTHING),
    'each-call-once': (nth_call, {'error': errno.EIO, 'times': 1}, NOTHING),
    'each-call-without-room': (nth_call, {'error': errno.ENOSPC, 'times': 1}, NOTHING),
    'each-call-for-good': (nth_call, {'error': errno.EIO, 'times': FOR_GOOD}, NOTHING),
}


def why_not(name: str) -> str:
    needs = TROUBLES[name][2]
    return disk.why_not(needs_devices=needs == DEVICES) if needs else ''


def run(name: str, folder: str, options):
    """Raises Failed when the broker did not stand it."""
    function, arguments, _ = TROUBLES[name]
    os.makedirs(folder, exist_ok=True)
    function(folder, options, **arguments)
