#!/usr/bin/python3
"""Paho's client for Python, as process_client.py tells. Records are written at once, `send` before Paho gets the message."""
from __future__ import annotations

import os
import select
import sys
import time

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

sys.dont_write_bytecode = True

from streams import Stream, is_clearing, number_in, payload_of  # noqa: E402

WINDOW = 8


def tell(*words):
    os.write(1, (' '.join(map(str, words)) + '\n').encode())


class Orders:
    """The words on the standard input, without waiting for any."""

    def __init__(self):
        self.rest = b''

    def next(self) -> list:
        lines = []
        while select.select([0], [], [], 0)[0]:
            data = os.read(0, 4096)
            if not data:
                sys.exit(0)
            *more, self.rest = (self.rest + data).split(b'\n')
            lines += more
        return [line.decode().split() for line in lines]


class PatientPaho(paho.Client):
    """Paho 1.6.1 forgets at its second attempt to connect in a row that PUBREC came, and sends the PUBLISH again, as a new
    message and against [MQTT-4.3.3-6]."""

    def _messages_reconnect_reset_out(self):
        for message in self._out_messages.values():
            if message.state == paho.mqtt_ms_resend_pubrel:
                message.state = paho.mqtt_ms_wait_for_pubcomp
        super()._messages_reconnect_reset_out()


class Client:
    def __init__(self, port: int, name: str, version: int):
        self.port, self.version = port, version
        self.orders = Orders()
        self.had_session = self.is_connected = False
        self.wants_online = True
        options = {} if version == 5 else {'clean_session': False}
        self.paho = PatientPaho(name, protocol=version, reconnect_on_failure=False, **options)
        self.paho.max_inflight_messages_set(WINDOW)
        self.paho.on_connect = self.on_connect
        self.paho.on_disconnect = self.on_disconnect

    def connect(self):
        options = {}
        if self.version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0xFFFFFFFF
            options = {'clean_start': False, 'properties': properties}
        try:
            self.paho.connect('127.0.0.1', self.port, keepalive=60, **options)
        except OSError:
            time.sleep(0.02)

    def on_connect(self, _client, _data, flags, code, *_properties):
        if code == 0:
            self.is_connected = True
            tell('session', int(flags['session present']), int(self.had_session))
            self.on_session(bool(flags['session present']))
            self.had_session = True

    def on_disconnect(self, *_):
        if self.is_connected:
            tell('closed')
        self.is_connected = False

    def on_session(self, is_present: bool):
        pass

    def run(self):
        while True:
            for words in self.orders.next():
                self.obey(words)
            if self.paho.socket() is None and self.wants_online:
                self.connect()
            elif self.paho.socket() is None:
                time.sleep(0.01)
            else:
                self.paho.loop(0.005)
            self.work()

    def obey(self, words: list):
        if words[0] == 'quit':
            sys.exit(0)

    def work(self):
        pass


class Publisher(Client):
    def __init__(self, port, name, version, streams):
        super().__init__(port, name, version)
        self.streams = [Stream(topic, int(qos), retain == '1') for topic, qos, retain in streams]
        self.numbers = dict.fromkeys(self.streams, 0)
        self.in_flight: dict = {}
        self.to_send: list = []
        self.early: set = set()  # acknowledged before publish() told the identifier
        self.is_running, self.is_settled = False, True
        self.rate, self.since, self.count = 0.0, 0.0, 0
        self.paho.on_publish = self.on_publish

    def obey(self, words):
        super().obey(words)
        if words[0] == 'go':
            self.is_running, self.is_settled = True, False
            self.rate, self.since, self.count = float(words[1]), time.monotonic(), 0
        elif words[0] == 'settle':
            self.is_running = False
            self.to_send = list(self.streams)

    def work(self):
        while (
            self.is_running
            and self.is_connected
            and len(self.in_flight) < WINDOW
            and self.count < self.rate * (time.monotonic() - self.since)
        ):
            self.count += 1
            self.publish(self.streams[self.count % len(self.streams)])
        # Between CONNECT and CONNACK Paho would send them ahead of what it has to send again.
        while self.to_send and self.is_connected:
            self.publish(self.to_send.pop())
        if not (self.is_running or self.is_settled or self.in_flight or self.to_send):
            self.is_settled = True
            tell('settled')

    def publish(self, stream: Stream):
        self.numbers[stream] += 1
        number = self.numbers[stream]
        payload = b'' if stream.retain and is_clearing(number) else payload_of(number)
        tell('send', stream.topic, number)
        packet_id = self.paho.publish(stream.topic, payload, stream.qos, stream.retain).mid
        if packet_id in self.early:
            self.early.discard(packet_id)
            tell('ack', stream.topic, number)
        else:
            self.in_flight[packet_id] = (stream.topic, number)

    def on_publish(self, _client, _data, packet_id):
        if packet_id in self.in_flight:
            tell('ack', *self.in_flight.pop(packet_id))
        else:
            self.early.add(packet_id)


class Subscriber(Client):
    def __init__(self, port, name, version, qos, topic_filter):
        super().__init__(port, name, version)
        self.qos, self.filter = qos, topic_filter
        self.wants_online = False
        self.paho.on_message = lambda _client, _data, message: tell(
            'got', message.topic, number_in(message.payload), message.qos
        )
        self.paho.on_subscribe = lambda *_: tell('suback', self.filter)

    def on_session(self, is_present):
        if not is_present:
            self.paho.subscribe(self.filter, self.qos)

    def obey(self, words):
        super().obey(words)
        if words[0] == 'online':
            self.wants_online = True
        elif words[0] == 'offline':
            self.wants_online = False
            self.paho.disconnect()


def main():
    role, port, name, version, *rest = sys.argv[1:]
    if role == 'publish':
        Publisher(int(port), name, int(version), [text.split(':') for text in rest]).run()
    else:
        Subscriber(int(port), name, int(version), int(rest[0]), rest[1]).run()


if __name__ == '__main__':
    main()
