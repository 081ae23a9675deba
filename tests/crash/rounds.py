"""One round: load, the end of the broker at some instant, its return, perhaps once more, and then the question whether all is
there that was acknowledged."""
from __future__ import annotations

import random

import wire
from brokers import database_fault
from checker import Checker
from client import Client
from crashes import Crash
from loop import Loop
from process_client import ProcessClient, paho_c, paho_python
from publisher import Publisher
from streams import is_clearing, number_in, streams_of
from subscriber import Subscriber, Visitor, Watcher

PUBLISHERS = 8
# name: (version, QoS, filter, whether it is away while the load runs)
SUBSCRIBERS = {
    's0': (5, 2, 't/#', False),
    's1': (4, 1, 't/#', False),
    's2': (4, 2, 't/#', True),
    's3': (5, 1, 't/#', True),
    'g0': (5, 2, '$share/g/t/#', False),
    'g1': (4, 2, '$share/g/t/#', False),
}
GROUPS = {'g0': 'group g', 'g1': 'group g'}
# Wills whose clients only come for the round: their sessions end by themselves when something goes wrong.
WILL_KEEP = 600
WILLS = 2
WITNESS_WINDOW = 20  # below any broker's Receive Maximum


class Rounds:
    """All rounds of a run: the same broker, clients and data."""

    def __init__(self, options, broker, crash: Crash, say):
        self.options, self.broker, self.crash, self.say = options, broker, crash, say
        self.loop = Loop()
        self.checker = Checker(GROUPS)
        self.record_file = open(options.records, 'a', encoding='utf-8') if options.records else None
        self.number = 0
        self.random = random.Random()
        self.wills: list = []
        self.publishers, self.subscribers, self.watcher, self.visitor = [], [], None, None
        self.is_kept = False  # the broker is started again when it ends
        self.loop.clients.append(self)

    def tell(self, client: str, words: tuple):
        self.checker.take(client, words)
        if self.record_file:
            self.record_file.write(f'{client} {" ".join(map(str, words))}\n')

    def tick(self):
        if self.is_kept and self.crash.keep_up(self.broker):
            self.tell('broker', ('killed',))

    # ---- who takes part

    def begin(self):
        self.crash.begin(self.broker)
        levels = {'1': (1,), '2': (2,), 'both': (1, 2)}[self.options.qos]
        for index in range(PUBLISHERS):
            name = f'p{index}'
            self.publishers.append(self.make_publisher(name, 4 + index % 2, streams_of(name, levels)))
        for name, (version, qos, topic_filter, _) in SUBSCRIBERS.items():
            self.subscribers.append(self.make_subscriber(name, version, qos, topic_filter))
            self.checker.expect_all(name)
        self.watcher = Watcher(self.loop, 'watcher', 5, self.tell, self.broker.address, self.options.seed)
        self.visitor = Visitor(self.loop, 'visitor', 5, self.tell, self.broker.address, self.options.seed)
        for client in (*self.subscribers, self.watcher):
            client.online()
        self.expect_ready((*self.subscribers, self.watcher))
        self.send_away()

    def make_publisher(self, name, version, streams):
        if self.options.clients == 'own':
            return Publisher(self.loop, name, version, self.tell, self.broker.address, streams, seed=self.options.seed)
        words = [f'{stream.topic}:{stream.qos}:{int(stream.retain)}' for stream in streams]
        return self.process('publish', name, version, *words)

    def make_subscriber(self, name, version, qos, topic_filter):
        if self.options.clients == 'own':
            place = (self.loop, name, version, self.tell, self.broker.address)
            return Subscriber(*place, [topic_filter], qos, self.options.seed)
        return self.process('subscribe', name, version, qos, topic_filter)

    def process(self, role, name, version, *words):
        program = paho_python()
        if self.options.clients == 'paho-c':
            program, version = paho_c(self.broker.folder), 4
        command = [*program, role, str(self.broker.port), name, str(version), *map(str, words)]
        return ProcessClient(self.loop, name, self.tell, command)

    def away(self):
        return [client for client in self.subscribers if SUBSCRIBERS[client.name][3]]

    def send_away(self):
        for client in self.away():
            client.offline()

    def expect_ready(self, clients):
        if not self.loop.run_until(lambda: all(client.is_ready() for client in clients), self.options.patience):
            names = [client.name for client in clients if not client.is_ready()]
            raise RuntimeError(f'{" ".join(names)} cannot connect and subscribe:\n{self.broker.log_tail()}')

    # ---- a round

    def run(self):
        """Raises RuntimeError when the broker does not even serve its clients any more."""
        self.number += 1
        self.random = random.Random(f'{self.options.seed} {self.number}')
        self.load()
        self.crash_and_return()
        if self.random.random() < 0.25:  # again, while everybody comes back
            self.loop.run_for(self.random.uniform(0, 0.2))
            self.crash_and_return()
        self.is_kept = True
        everybody = (*self.subscribers, self.watcher)
        for client in everybody:
            client.online()
        self.expect_ready(everybody)
        self.settle()
        self.is_kept = False
        self.crash.disarm(self.broker)
        self.loop.run_for(0.01)
        self.expect_ready(everybody)
        self.examine()
        self.send_away()

    def load(self):
        total = self.options.messages / PUBLISHERS
        seconds = self.random.uniform(0, 2)
        # Steady, or all that goes, which is over before the broker is.
        rate = total / max(seconds, 0.1) * self.random.choice((0.7, 1, 3))
        self.crash.arm(self.broker, self.random)
        for publisher in self.publishers:
            publisher.go(rate)
        self.watcher.is_running = True
        self.visitor.online()
        self.loop.run_for(seconds / 2, lambda: not self.broker.is_alive())
        for index in range(WILLS):
            self.arm_will(f'will-{self.number}-{index}')
        self.loop.run_for(seconds / 2, lambda: not self.broker.is_alive())

    def arm_will(self, name: str):
        version = self.random.choice((4, 5))
        will = wire.Will(f'w/{name}', b'gone', 1)
        client = Client(self.loop, name, version, self.tell, self.broker.address, keep=WILL_KEEP, will=will)
        client.on_session = lambda *_: self.tell(name, ('armed',))
        client.online()
        self.wills.append(client)

    def crash_and_return(self):
        self.crash.strike(self.broker)
        self.crash.cut([client for client in self.loop.clients if isinstance(client, Client)])
        self.loop.run_for(0.01)  # what it had sent counts: it is read before anything else
        for will in self.wills:
            will.wants_online = False
            will.close()
        self.tell('broker', ('killed',))
        fault = database_fault(self.broker)
        if fault:
            self.checker.fault('damaged', f'round {self.number}: {fault}')
        self.crash.bring_back(self.broker, self.random)

    def settle(self):
        self.watcher.is_running = False
        self.visitor.offline()
        for publisher in self.publishers:
            publisher.settle()
        self.loop.run_until(lambda: all(publisher.is_settled for publisher in self.publishers), self.options.patience)
        for publisher in self.publishers:
            if not publisher.is_settled:
                self.checker.fault('unsettled', publisher.name)
        quiet = 0

        def is_complete():
            nonlocal quiet
            news, self.loop.news = self.loop.news, 0
            quiet = 0 if news else quiet + 1
            return quiet >= 4 and self.checker.has_all()

        self.loop.run_until(is_complete, self.options.patience)
        self.checker.judge_messages()

    # ---- what else is to be there

    def examine(self):
        witness = Witness(self.loop, f'witness-{self.number}', self.tell, self.broker.address)
        try:
            witness.online()
            self.expect_ready([witness])
            self.examine_filters(witness)
            self.examine_retained(witness)
            self.examine_wills()
        finally:
            witness.leave()

    def examine_filters(self, witness):
        known = self.checker.known_filters('watcher', True)
        witness.publish(known + self.checker.known_filters('watcher', False))
        expected = {*known, *self.checker.due_wills()}
        self.loop.run_until(
            lambda: witness.is_idle() and expected <= self.checker.hits, min(self.options.patience, 10)
        )
        self.checker.judge_filters('watcher')
        # A clean sheet for the next round.
        names = list(self.checker.filters['watcher'])
        for at in range(0, len(names), 100):
            self.watcher.unsubscribe([name for name in names[at : at + 100] if name != 'w/#'])
        self.loop.run_until(lambda: not self.watcher.answers, self.options.patience)
        self.checker.filters['watcher'] = {'w/#': True}

    def examine_retained(self, witness):
        topics = [topic for topic in self.checker.sent if topic.startswith('r/')]
        present = [topic for topic in topics if not is_clearing(self.checker.sent[topic].last)]
        cleared = [topic for topic in topics if topic not in present]
        for group in (cleared, present):
            if group:
                witness.subscribe(group)
        self.loop.run_until(lambda: not witness.answers, self.options.patience)
        witness.send(wire.PING)
        self.loop.run_until(
            lambda: witness.pongs and all(topic in witness.values for topic in present), min(self.options.patience, 10)
        )
        self.checker.judge_retained(witness.values, is_clearing)

    def examine_wills(self):
        self.checker.judge_wills()
        for client in self.wills:
            client.will, client.on_session = None, lambda *_: None
            client.online()
        self.loop.run_until(lambda: all(client.is_connected for client in self.wills), self.options.patience)
        for client in self.wills:  # and the session is discarded
            client.offline()
            client.is_fresh, client.keep = True, 0
            client.retry_at = 0.0
            client.online()
        self.loop.run_until(lambda: all(client.is_connected for client in self.wills), self.options.patience)
        for client in self.wills:
            client.leave()
        self.wills.clear()

    def leave(self):
        """All clients."""
        self.is_kept = False
        for client in tuple(self.loop.clients):
            if client is not self:
                client.leave()

    def end(self):
        self.leave()
        self.crash.end(self.broker)
        if self.record_file:
            self.record_file.close()


class Witness(Subscriber):
    """Comes at the end of a round: sees the retained values and publishes to the topics that are tried out."""

    def __init__(self, loop, name, tell, address):
        super().__init__(loop, name, 5, tell, address, [f'witness/{name}'], 2)
        self.keep, self.values = 0, {}
        self.topics: list = []  # to be tried out
        self.waiting: set = set()

    def publish(self, topics):
        self.topics += topics

    def is_idle(self) -> bool:
        return not (self.topics or self.waiting)

    def work(self):
        super().work()
        while self.topics and len(self.waiting) < WITNESS_WINDOW:
            packet_id = self.next_id(self.waiting)
            self.waiting.add(packet_id)
            self.send(wire.publish(self.version, self.topics.pop(), b'hit', 1, packet_id))

    def on_packet(self, first, body):
        if first >> 4 == wire.PUBACK:
            self.waiting.discard(int.from_bytes(body[:2], 'big'))
            self.loop.news += 1
        else:
            super().on_packet(first, body)

    def on_message(self, topic, qos, payload):
        self.loop.news += 1
        self.values[topic] = number_in(payload)
