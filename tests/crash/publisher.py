"""The publisher among our own clients."""
from __future__ import annotations

import random
import time

import wire
from client import Client, code_of
from streams import Stream, is_clearing, payload_of


class InFlight:
    __slots__ = ('stream', 'number', 'is_released')

    def __init__(self, stream: Stream, number: int):
        self.stream, self.number = stream, number
        self.is_released = False  # PUBREC came


class Publisher(Client):
    """Publishes its streams, with so many messages in flight, while it is told to `go`; after `settle` one more of each
    stream, and then it waits until all are acknowledged. Tells `send` before, `ack` at PUBACK or PUBREC, `refused`, and
    `void` of what a broker that has lost the session may or may not have taken."""

    def __init__(self, loop, name, version, tell, address, streams, window: int = 8, seed: str = ''):
        super().__init__(loop, name, version, tell, address)
        self.streams = streams
        self.numbers = dict.fromkeys(streams, 0)
        self.window = window
        self.random = random.Random(f'{seed} {name}')
        self.in_flight: dict = {}  # in the order in which they were sent first
        self.to_send: list = []
        self.is_running = False
        self.is_settled = True
        self.rate = 0.0
        self.since, self.count = 0.0, 0

    def go(self, rate: float):
        """So many messages a second at most."""
        self.is_running, self.is_settled = True, False
        self.rate, self.since, self.count = rate, time.monotonic(), 0
        self.online()

    def pause(self):
        self.is_running = False

    def settle(self):
        self.is_running = False
        self.to_send = list(self.streams)

    def is_ready(self) -> bool:
        return self.is_connected

    def work(self):
        while len(self.in_flight) < self.window:
            if self.to_send:
                self.publish(self.to_send.pop())
            elif self.is_running and self.count < self.rate * (time.monotonic() - self.since):
                self.count += 1
                self.publish(self.random.choice(self.streams))
            else:
                break
        if not (self.is_running or self.is_settled or self.in_flight or self.to_send):
            self.is_settled = True
            self.tell('settled')

    def publish(self, stream: Stream):
        self.numbers[stream] += 1
        entry = InFlight(stream, self.numbers[stream])
        packet_id = self.next_id(self.in_flight)
        self.in_flight[packet_id] = entry
        self.tell('send', stream.topic, entry.number)
        self.send_publish(packet_id, entry, dup=False)

    def send_publish(self, packet_id: int, entry: InFlight, dup: bool):
        stream = entry.stream
        payload = b'' if stream.retain and is_clearing(entry.number) else payload_of(entry.number)
        self.send(wire.publish(self.version, stream.topic, payload, stream.qos, packet_id, stream.retain, dup))

    def on_session(self, is_present, is_first):
        if not is_present and not is_first:
            for entry in self.in_flight.values():
                self.tell('void', entry.stream.topic, entry.number)
            self.in_flight.clear()
        for packet_id, entry in self.in_flight.items():
            if entry.is_released:
                self.ack(wire.PUBREL, packet_id.to_bytes(2, 'big'))
            else:
                self.send_publish(packet_id, entry, dup=True)

    def on_packet(self, first, body):
        kind = first >> 4
        if kind not in (wire.PUBACK, wire.PUBREC, wire.PUBCOMP):
            super().on_packet(first, body)
            return
        packet_id = int.from_bytes(body[:2], 'big')
        entry = self.in_flight.get(packet_id)
        if kind == wire.PUBCOMP:
            if entry and entry.is_released:
                del self.in_flight[packet_id]
        elif entry and code_of(body) >= 0x80:
            self.tell('refused', entry.stream.topic, entry.number, code_of(body))
            del self.in_flight[packet_id]
        elif entry:
            if not entry.is_released:
                self.tell('ack', entry.stream.topic, entry.number)
            if kind == wire.PUBACK:
                del self.in_flight[packet_id]
                return
            entry.is_released = True
        if kind == wire.PUBREC:
            self.ack(wire.PUBREL, body[:2])
