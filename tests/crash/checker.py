"""What became of the promises. The checker knows what the clients have recorded and nothing else: no broker, no file.

A record is (client, (word, ...)):
  publishers   send TOPIC N, before it is sent; ack TOPIC N; refused TOPIC N CODE; void TOPIC N, its fate is unknown
  subscribers  got TOPIC N QOS, N being 0 for what no publisher sends; suback FILTER and unsuback FILTER, after `subscribe` and `unsubscribe` where not all of
               these come; session PRESENT EXPECTED at each CONNACK
  wills        armed K: the broker has the will of client K; due K: and it was killed then
Records of one client come in their order, those of different ones in any. Messages are judged at the end of a round, when every publisher has got its last acknowledgement and every subscriber has
got what there is; what was judged is forgotten, but for how far it went."""
from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

EXAMPLES = 5
# What a broker that keeps its promise never does. `repeated` and `refused` are no faults.
FAULTS = (
    'lost',  # acknowledged, and a subscriber did not get it
    'duplicated',  # got twice with QoS 2
    'reordered',  # got for the first time after a later one
    'invented',  # got, and never sent like that
    'sessions_lost',  # acknowledged by CONNACK, and not there any more
    'subscriptions_lost',  # acknowledged by SUBACK, and not there any more
    'subscriptions_kept',  # UNSUBACK came, and messages still come
    'retained_lost',  # the value of a topic is older than the last acknowledged one
    'wills_lost',
    'unsettled',  # publishers that wait for acknowledgements in vain
    'damaged',  # the database
)


@dataclass
class Sent:
    """A stream as its publisher knows it."""

    last: int = 0
    acked: set = field(default_factory=set)  # of this round
    last_acked: int = 0


@dataclass
class Seen:
    """A stream as one subscriber, or one group, knows it."""

    floor: int = 0  # judged up to here
    missing: set = field(default_factory=set)  # of those, what has not come
    numbers: set = field(default_factory=set)  # of this round
    last: int = 0


class Checker:
    def __init__(self, groups=None):
        self.group_of = groups or {}  # client: the group with which it shares a subscription
        self.readers: list = []  # who has to get every message; groups by their name
        self.sent: dict = defaultdict(Sent)
        self.seen: dict = defaultdict(lambda: defaultdict(Seen))
        self.counts: Counter = Counter()
        self.examples: dict = defaultdict(list)
        self.filters: dict = defaultdict(dict)  # client: {filter: True, False or None while nobody knows}
        self.wills: dict = {}  # K: 'armed', 'due'
        self.hits: set = set()  # topics of filters that are tried out
        self.is_trouble_expected = False  # then a subscription may be refused, and its end too
        self.handlers = {
            name.removeprefix('take_'): getattr(self, name) for name in dir(self) if name.startswith('take_')
        }

    def expect_all(self, client: str):
        """It is subscribed to every topic `t/#` before the first message."""
        name = self.group_of.get(client, client)
        if name not in self.readers:
            self.readers.append(name)

    def take(self, client: str, words: tuple):
        self.handlers[words[0]](client, *words[1:])

    def fault(self, kind: str, example: str, count: int = 1):
        self.counts[kind] += count
        if len(self.examples[kind]) < EXAMPLES:
            self.examples[kind].append(example)

    # ---- records

    def take_send(self, _, topic: str, number: int):
        self.sent[topic].last = number
        self.counts['sent'] += 1

    def take_ack(self, _, topic: str, number: int):
        stream = self.sent[topic]
        stream.acked.add(number)
        stream.last_acked = max(stream.last_acked, number)
        self.counts['acked'] += 1

    def take_refused(self, *_):
        self.counts['refused'] += 1

    def take_void(self, *_):
        self.counts['void'] += 1

    def take_settled(self, _):
        pass

    def take_offline(self, _):
        pass

    def take_got(self, client: str, topic: str, number: int, qos: int):
        if topic[0] != 't':
            self.hits.add(topic)
            return
        self.counts['got'] += 1
        name = self.group_of.get(client, client)
        if number == 0:
            self.fault('invented', f'{client}: {topic}, a payload that nobody sent')
            return
        seen = self.seen[name][topic]
        if number in seen.numbers or (number <= seen.floor and number not in seen.missing):
            if qos == 2:
                self.fault('duplicated', f'{client}: {topic} {number}')
            else:
                self.counts['repeated'] += 1
            return
        if number <= seen.floor:
            seen.missing.discard(number)
            self.counts['late'] += 1
            return
        if number < seen.last and name == client:
            self.fault('reordered', f'{client}: {topic} {number} after {seen.last}')
        seen.last = max(seen.last, number)
        seen.numbers.add(number)

    def take_session(self, client: str, is_present: int, is_expected: int):
        if not is_expected or is_present:
            return
        self.fault('sessions_lost', client)
        for name, state in self.filters[client].items():
            if state:
                self.fault('subscriptions_lost', f'{client}: {name}, with its session')
        self.filters[client].clear()

    def take_subscribe(self, client: str, name: str):
        self.filters[client][name] = None

    def take_unsubscribe(self, client: str, name: str):
        self.filters[client][name] = None

    def take_suback(self, client: str, name: str):
        self.filters[client][name] = True
        self.counts['subacks'] += 1

    def take_unsuback(self, client: str, name: str):
        if name in self.filters[client]:
            self.filters[client][name] = False

    def take_subscription_refused(self, client: str, *names: str):
        if not self.is_trouble_expected:
            self.fault('subscriptions_lost', f'{client}: {names[0]} is refused')
        self.counts['subscriptions_refused'] += 1
        for name in names:  # nothing has changed
            self.filters[client].setdefault(name, False)

    def take_armed(self, client: str):
        self.wills[client] = 'armed'

    def take_killed(self, _):
        """The broker. Whose will it has is gone, as its connection is."""
        self.counts['kills'] += 1
        for client, state in self.wills.items():
            if state == 'armed':
                self.wills[client] = 'due'

    # ---- what is waited for

    def has_all(self) -> bool:
        """Everything acknowledged has come to every subscriber; or to one that got the last message of each stream, too:
        what it has not got by then was to come earlier."""
        for reader in self.readers:
            is_group = reader in self.group_of.values()
            for topic, stream in self.sent.items():
                if topic[0] != 't' or not stream.acked:
                    continue
                numbers = self.seen[reader][topic].numbers
                if (is_group and not stream.acked <= numbers) or (not is_group and stream.last_acked not in numbers):
                    return False
        return True

    def due_wills(self) -> list:
        return [f'w/{client}' for client, state in self.wills.items() if state == 'due']

    def known_filters(self, client: str, wanted: bool) -> list:
        return [name for name, state in self.filters[client].items() if state is wanted and name.startswith('n/')]

    # ---- judgement

    def judge_messages(self):
        for reader in self.readers:
            for topic, stream in self.sent.items():
                if topic[0] != 't':
                    continue
                seen = self.seen[reader][topic]
                lost = sorted(stream.acked - seen.numbers)
                if lost:
                    self.fault('lost', f'{reader}: {topic} {lost[:8]}', len(lost))
                for number in seen.numbers:
                    if number > stream.last:
                        self.fault('invented', f'{reader}: {topic} {number} of {stream.last}')
                seen.missing.update(set(range(seen.floor + 1, stream.last + 1)) - seen.numbers)
                seen.floor = stream.last
                seen.numbers.clear()
        for stream in self.sent.values():
            stream.acked.clear()

    def judge_filters(self, client: str):
        """After a message to the topic of every filter that is known."""
        for name in self.known_filters(client, True):
            if name not in self.hits:
                self.fault('subscriptions_lost', f'{client}: {name}')
        for name in self.known_filters(client, False):
            if name in self.hits:
                self.fault('subscriptions_kept', f'{client}: {name}')
        self.hits = {topic for topic in self.hits if not topic.startswith('n/')}

    def judge_wills(self):
        for topic in self.due_wills():
            if topic not in self.hits:
                self.fault('wills_lost', topic)
            self.counts['wills'] += 1
        self.wills.clear()
        self.hits.clear()

    def judge_retained(self, values: dict, is_clearing):
        """`values`: what a new subscriber got, {topic: number}. Acknowledged was everything up to `last_acked`; a later
        change may have taken effect."""
        for topic, stream in self.sent.items():
            if topic[0] != 'r' or stream.last == 0:
                continue
            possible = {
                0 if is_clearing(number) else number for number in range(stream.last_acked, stream.last + 1)
            }
            if values.get(topic, 0) not in possible:
                self.fault('retained_lost', f'{topic}: {values.get(topic, 0)}, not one of {sorted(possible)[:8]}')

    def faults(self) -> dict:
        return {kind: self.counts[kind] for kind in FAULTS if self.counts[kind]}
