"""Those of our own clients that subscribe."""
from __future__ import annotations

import random
import time

import wire
from client import Client, publish_fields
from streams import number_in


class Subscriber(Client):
    """Keeps a durable subscription, and makes it anew when the broker has lost it. Tells `got` of every message that an
    application would get: of QoS 2 once for each packet identifier until its PUBREL [MQTT-4.3.3-2]."""

    def __init__(self, loop, name, version, tell, address, filters, qos: int, seed: str = ''):
        super().__init__(loop, name, version, tell, address)
        self.filters, self.qos = list(filters), qos
        self.random = random.Random(f'{seed} {name}')
        self.received: set = set()  # packet identifiers that are not released
        self.answers: dict = {}  # packet identifier of a SUBSCRIBE or UNSUBSCRIBE: its filters
        self.late: list = []  # acknowledgements that wait for the next turn
        self.is_subscribed = False

    def is_ready(self) -> bool:
        return self.is_connected and self.is_subscribed

    def on_session(self, is_present, is_first):
        self.late.clear()
        self.answers.clear()
        if not is_present:
            self.received.clear()
            self.is_subscribed = False
        if not self.is_subscribed:
            self.subscribe(self.filters)

    def subscribe(self, filters):
        packet_id = self.next_id()
        self.answers[packet_id] = filters
        self.send(wire.subscribe(self.version, packet_id, *((name, self.qos) for name in filters)))

    def unsubscribe(self, filters):
        packet_id = self.next_id()
        self.answers[packet_id] = filters
        self.send(wire.unsubscribe(self.version, packet_id, *filters))

    def work(self):
        for kind, packet_id in self.late:
            self.ack(kind, packet_id)
        self.late.clear()

    def on_packet(self, first, body):
        kind = first >> 4
        if kind == wire.PUBLISH:
            self.on_publish(first, body)
        elif kind == wire.PUBREL:
            self.received.discard(body[:2])
            self.ack(wire.PUBCOMP, body[:2])
        elif kind in (wire.SUBACK, wire.UNSUBACK):
            filters = self.answers.pop(int.from_bytes(body[:2], 'big'), [])
            has_codes = kind == wire.SUBACK or self.version == 5
            if has_codes and any(code >= 0x80 for code in body[-len(filters) :]):
                self.tell('subscription_refused', *filters)
                return
            self.is_subscribed = True
            for name in filters:
                self.tell('suback' if kind == wire.SUBACK else 'unsuback', name)
        else:
            super().on_packet(first, body)

    def on_publish(self, first: int, body: bytes):
        topic, qos, packet_id, payload = publish_fields(first, body, self.version)
        if qos < 2 or packet_id not in self.received:
            self.on_message(topic, qos, payload)
        if qos == 2:
            self.received.add(packet_id)
        if qos:
            self.late.append((wire.PUBACK if qos == 1 else wire.PUBREC, packet_id))
            if self.random.random() < 0.8:
                self.work()

    def on_message(self, topic: str, qos: int, payload: bytes):
        self.tell('got', topic, number_in(payload), qos)


class Watcher(Subscriber):
    """Subscribes to ever more topics `n/1`, `n/2` ... while it is told to `go`, and takes every third subscription back;
    it also gets the wills, `w/#`. Tells `got` with 0 for the number."""

    def __init__(self, loop, name, version, tell, address, seed=''):
        super().__init__(loop, name, version, tell, address, ['w/#'], 1, seed)
        self.count = 0
        self.is_running = False
        self.pause_until = 0.0

    def work(self):
        super().work()
        if self.is_running and self.is_subscribed and not self.answers and time.monotonic() > self.pause_until:
            self.pause_until = time.monotonic() + 0.004
            self.count += 1
            if self.count % 3:
                self.tell('subscribe', f'n/{self.count}')
                self.subscribe([f'n/{self.count}'])
            else:
                self.tell('unsubscribe', f'n/{self.count - 1}')
                self.unsubscribe([f'n/{self.count - 1}'])

    def on_message(self, topic, qos, payload):
        self.tell('got', topic, 0, qos)


class Visitor(Client):
    """Comes again and again under its name, sometimes without having left, so that it takes its own session over, and sometimes
    to begin a new one."""

    def __init__(self, loop, name, version, tell, address, seed=''):
        super().__init__(loop, name, version, tell, address)
        self.random = random.Random(f'{seed} {name}')
        self.stay_until = 0.0
        self.deserted = None  # a connection that is the broker's to close

    def on_session(self, is_present, is_first):
        self.stay_until = time.monotonic() + self.random.uniform(0, 0.1)

    def work(self):
        if time.monotonic() < self.stay_until:
            return
        self.is_fresh = self.random.random() < 0.4
        if self.random.random() < 0.6:
            self.desert()
        self.close()

    def desert(self):
        if self.deserted:
            self.deserted.close()
        self.deserted = self.socket.dup()

    def leave(self):
        super().leave()
        if self.deserted:
            self.deserted.close()
