"""The language of the exchanges: who sends which bytes, and which bytes must come back.

A function decorated with @exchange writes one conversation down; it runs for each version that it names:

    @exchange(both='MQTT-3.12.4-1')
    def pingreq_is_answered_by_pingresp(t):
        a = t.client('a').connects()
        a.sends(wire.PING).gets(wire.PONG)

Nothing is sent while it is written: the steps are played later, against the broker, in the order written. Every call
returns its client. Topics made by t.topic() and client identifiers belong to this one conversation.
"""
from __future__ import annotations

import asyncio
import hashlib
import itertools
import re
import time
from dataclasses import dataclass, field

import wire
from features import offered
from expect import Connack, Delivery, DeliveryByAlias, Disconnect, Exactly, Pattern, name_of, show
from link import END, SILENCE, Link

VERSIONS = (3, 4, 5)
BOOK: dict[str, 'Exchange'] = {}


class Failed(Exception):
    pass


@dataclass
class Step:
    text: str
    play: object  # a coroutine function of the stage


@dataclass
class Exchange:
    name: str
    version: int
    rule: str
    alone: bool = False
    steps: list[Step] = field(default_factory=list)

    def explain(self) -> str:
        lines = [f'exchange {self.name}', f'rule     {self.rule}']
        return '\n'.join(lines + [f'  {i:2} {step.text}' for i, step in enumerate(self.steps, 1)])


class Stage:
    """What a conversation knows while it is played: connections, and packet identifiers the server chose."""

    def __init__(self, options):
        self.options = options
        self.links: dict[str, Link] = {}
        self.slots: dict[str, int] = {}
        self.started = 0.0

    async def next(self, who: str, timeout=None):
        return await self.links[who].next(timeout or self.options.timeout)

    async def packet(self, who: str, pattern) -> bytes:
        return self.judge(await self.next(who), pattern)

    def judge(self, item, pattern) -> bytes:
        if item is END or item is SILENCE:
            raise Failed('the connection closed' if item is END else f'nothing within {self.options.timeout:g} s')
        fault = pattern.judge(item)
        if fault:
            raise Failed(f'{name_of(item)} {show(item)}, which {fault}')
        return item


class Talk:
    def __init__(self, exchange: Exchange):
        self.exchange = exchange
        self.version = exchange.version
        self.five = self.version == 5
        self.prefix = 'e' + hashlib.blake2b(exchange.name.encode(), digest_size=4).hexdigest()
        self.numbers = itertools.count(1)

    def client(self, nick: str, version: int | None = None) -> 'Client':
        return Client(self, nick, version or self.version)

    def topic(self, rest: str = 't') -> str:
        return f'{self.prefix}/{rest}'

    def waits(self, seconds: float):
        async def play(_stage):
            await asyncio.sleep(seconds)

        self.exchange.steps.append(Step(f'wait {seconds:g} s', play))

    def starts_the_clock(self):
        async def play(stage):
            stage.started = time.monotonic()

        self.exchange.steps.append(Step('the clock starts', play))

    def has_taken(self, seconds: float):
        """At least so long since the clock was started. A busy machine only makes it longer, so this never misjudges."""

        async def play(stage):
            taken = time.monotonic() - stage.started
            if taken < seconds:
                raise Failed(f'it came after {taken:.3f} s')

        self.exchange.steps.append(Step(f'= at least {seconds:g} s on the clock', play))

    def code(self, code: int) -> int:
        """A reason code where reason codes exist."""
        return code if self.five else 0


class Client:
    """One client identifier; it may connect more than once, one connection at a time."""

    def __init__(self, talk: Talk, nick: str, version: int):
        self.talk, self.nick, self.version = talk, nick, version
        self.client_id = f'{talk.prefix}{nick}'
        self.link = nick

    def step(self, text: str, play) -> 'Client':
        self.talk.exchange.steps.append(Step(f'{self.link} {text}', play))
        return self

    # ---- connections

    def opens(self) -> 'Client':
        """A network connection, nothing sent yet."""
        name = self.link

        async def play(stage):
            stage.links[name] = await Link.open(stage.options.address)

        return self.step('opens a connection', play)

    def again(self, nick: str, version: int | None = None) -> 'Client':
        """Another connection with the same client identifier."""
        other = Client(self.talk, nick, version or self.version)
        other.client_id = self.client_id
        return other

    def connects(self, session_present=False, wanted=None, code=0, **fields) -> 'Client':
        self.opens()
        self.sends(wire.connect(self.version, fields.pop('client_id', self.client_id), **fields))
        return self.gets(Connack(self.version, code, session_present, wanted))

    def drops(self) -> 'Client':
        """Resets the connection without a word."""
        name = self.link

        async def play(stage):
            stage.links[name].abort()
            await asyncio.sleep(0.02)

        return self.step('drops the connection', play)

    def finishes(self) -> 'Client':
        """Closes its side of the connection in good TCP manner, without DISCONNECT."""
        name = self.link

        async def play(stage):
            stage.links[name].finish_sending()

        return self.step('finishes sending', play)

    def leaves(self, code=0, props=()) -> 'Client':
        return self.sends(wire.disconnect(self.version, code, props)).closed()

    # ---- bytes out

    def sends(self, data) -> 'Client':
        """Bytes, or a function that makes them of the packet identifiers the server chose."""
        name = self.link

        async def play(stage):
            stage.links[name].send(data(stage.slots) if callable(data) else data)

        shown = 'an acknowledgement of what was delivered' if callable(data) else show(data, 64)
        return self.step(f'> {shown}', play)

    def sends_slowly(self, data: bytes) -> 'Client':
        """One byte at a time."""
        name = self.link

        async def play(stage):
            for i in range(len(data)):
                stage.links[name].send(data[i : i + 1])
                await asyncio.sleep(0.001)

        return self.step(f'> {show(data, 64)}, byte by byte', play)

    def subscribes(self, *filters, packet_id=10, codes=None, props=()) -> 'Client':
        """Each filter a (filter, options) pair; granted as asked for unless `codes` says otherwise."""
        self.sends(wire.subscribe(self.version, packet_id, *filters, props=props))
        granted = [options & 3 for _, options in filters] if codes is None else codes
        return self.gets(wire.suback(self.version, packet_id, *granted))

    def unsubscribes(self, *filters, packet_id=11, codes=None) -> 'Client':
        self.sends(wire.unsubscribe(self.version, packet_id, *filters))
        return self.gets(wire.unsuback(self.version, packet_id, *([0] * len(filters) if codes is None else codes)))

    def publishes(self, topic, payload=b'x', qos=0, packet_id=20, code=0, **more) -> 'Client':
        """With the whole acknowledgement, `code` being what PUBACK or PUBREC says in 5.0."""
        self.sends(wire.publish(self.version, topic, payload, qos, packet_id, **more))
        code = code if self.version == 5 else 0
        if qos == 0 and more.get('retain'):
            self.pings()  # it is kept before anybody else goes on
        if qos == 1:
            self.gets(wire.puback(self.version, packet_id, code))
        if qos == 2:
            self.gets(wire.pubrec(self.version, packet_id, code))
            self.sends(wire.pubrel(self.version, packet_id)).gets(wire.pubcomp(self.version, packet_id))
        return self

    # ---- bytes in

    def gets(self, expected) -> 'Client':
        """A packet: bytes, a pattern, or a function that makes bytes of the identifiers the server chose."""
        name, version = self.link, self.version

        async def play(stage):
            wanted = expected(stage.slots) if callable(expected) else expected
            pattern = wanted if isinstance(wanted, Pattern) else Exactly(wanted, version)
            await stage.packet(name, pattern)

        shown = (
            expected
            if isinstance(expected, Pattern)
            else ('the packet for that identifier' if callable(expected) else show(expected, 64))
        )
        return self.step(f'< {shown}', play)

    def receives(self, topic, payload=b'x', qos=0, slot='', answer=True, **more) -> 'Client':
        """A PUBLISH from the server, acknowledged in full unless `answer` is False.

        `slot` names the packet identifier: the first PUBLISH with a name sets it, later ones must carry the same.
        """
        name, version = self.link, self.version
        pattern = Delivery(version, topic, payload, qos, **more)
        own = slot or f'delivery-{next(self.talk.numbers)}'

        async def play(stage):
            pattern.packet_id = stage.slots.get(own)
            whole = await stage.packet(name, pattern)
            if qos:
                stage.slots[own] = pattern.identifier(whole)

        self.step(f'< {pattern}' + (f' as {slot}' if slot else ''), play)
        if answer and qos == 1:
            self.acks(wire.PUBACK, own)
        if answer and qos == 2:
            self.acks(wire.PUBREC, own).gets_pubrel_amid_messages(own).acks(wire.PUBCOMP, own)
        return self

    def receives_by_alias(self, topic, payload, qos, maximum) -> 'Client':
        """A PUBLISH of QoS 0 or 1 in which an alias of this connection may stand for the topic."""
        name, own = self.link, f'delivery-{next(self.talk.numbers)}'

        async def play(stage):
            aliases = stage.links[name].aliases
            pattern = DeliveryByAlias(5, topic, payload, qos, maximum, aliases)
            stage.slots[own] = pattern.identifier(await stage.packet(name, pattern))

        self.step(f'< PUBLISH {topic} payload {show(payload)}, perhaps by an alias of at most {maximum}', play)
        return self.acks(wire.PUBACK, own) if qos else self

    def gets_pubrel_amid_messages(self, slot) -> 'Client':
        """PUBREL; messages that overtake it wait for the steps that ask for them."""
        name, version = self.link, self.version

        async def play(stage):
            early, wanted = [], Exactly(wire.pubrel(version, stage.slots[slot]), version)
            while (item := await stage.next(name)) not in (END, SILENCE) and item[0] >> 4 == wire.PUBLISH:
                early.append(item)
            stage.links[name].put_back(early)
            stage.judge(item, wanted)

        return self.step('< PUBREL for it', play)

    def acks(self, kind, slot, code=0) -> 'Client':
        version = self.version
        return self.sends(lambda slots: wire.ack(kind, version, slots[slot], code))

    def gets_ack(self, kind, slot, code=0) -> 'Client':
        version = self.version
        return self.gets(lambda slots: wire.ack(kind, version, slots[slot], code))

    def closed(self, code=None) -> 'Client':
        """The server closes, in 5.0 after a DISCONNECT if a code is named."""
        name = self.link
        if code is not None and self.version == 5:
            self.gets(Disconnect(code))

        async def play(stage):
            item = await stage.next(name)
            if item is not END:
                raise Failed('nothing happened' if item is SILENCE else f'{name_of(item)} {show(item)}')

        return self.step('is closed by the server', play)

    def was_closed_amid_messages(self, code) -> 'Client':
        """The server has closed by now, as closed() says; messages that came before that do not matter."""
        name, version = self.link, self.version

        async def play(stage):
            last = None
            while isinstance(item := await stage.next(name, 0.5), bytes):
                last = item
            if item is not END:
                raise Failed('it is still open')
            if version == 5:
                stage.judge(END if last is None else last, Disconnect(code))

        return self.step('has been closed by the server by now', play)

    def hears_nothing(self, seconds: float) -> 'Client':
        """Neither a packet nor the end for so long."""
        name = self.link

        async def play(stage):
            item = await stage.next(name, seconds)
            if item is not SILENCE:
                raise Failed('the connection closed' if item is END else f'{name_of(item)} {show(item)}')

        return self.step(f'hears nothing for {seconds:g} s', play)

    def checks(self, what: str, holds) -> 'Client':
        """Something about the packet identifiers the server chose."""

        async def play(stage):
            if not holds(stage.slots):
                raise Failed('it does not hold')

        return self.step(f'= {what}', play)

    def pings(self) -> 'Client':
        """PINGREQ and PINGRESP, with nothing else before it."""
        return self.sends(wire.PING).gets(wire.PONG)

    def markers(self, publisher: 'Client', topic: str, qos=0, **more) -> 'Client':
        """A last message arrives, and nothing before it: all that was to be delivered has been."""
        publisher.publishes(topic, b'marker', qos, 999)
        return self.receives(topic, b'marker', qos, **more)


def exchange(both=None, three=None, five=None, versions=None, alone=False, needs='', lacks=''):
    """The statements that an exchange shows: of 3.1.1 and 5.0 alike (`both`), of 3.x (`three`), of 5.0 (`five`).

    One that `needs` a feature is there when the broker offers it, one for which it `lacks` a feature when it does not.
    """
    statements = {3: three or both, 4: three or both, 5: five or both}

    def register(write):
        if needs and not offered(needs) or lacks and offered(lacks):
            return write
        for version in versions or [v for v in VERSIONS if statements[v]]:
            area = write.__module__.rsplit('.', 1)[-1]
            name = f'exchange/{area}/{write.__name__}/v{version}'
            rule = re.sub(r'(MQTT-[0-9.]+-\d+)', r'[\1]', statements[version])
            one = Exchange(name, version, rule, alone)
            if name in BOOK:
                raise ValueError(f'two exchanges named {name}')
            write(Talk(one))
            BOOK[name] = one
        return write

    return register


async def play(one: Exchange, options) -> str:
    """'' or which step failed and how."""
    stage = Stage(options)
    try:
        for number, step in enumerate(one.steps, 1):
            try:
                await step.play(stage)
            except (Failed, OSError) as fault:
                return f'at step {number}, "{step.text}": {fault}'
        return ''
    finally:
        for link in stage.links.values():
            link.abort()
