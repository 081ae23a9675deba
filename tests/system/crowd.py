#!/usr/bin/env python3
"""Thousands of MQTT clients in a process of their own, so that neither its descriptors nor its time are those of the tests.

  crowd.py PORT ROUND COUNT

Each connects, subscribes to a topic of its own, publishes to it and gets what it has published; half of them speak 5.0, the
others 3.1.1. Once all stand, a line "served" goes out; after a line on its input they leave, and then it ends: a third of
them by DISCONNECT, a third by the end of the stream alone, a third by a reset. What goes wrong is the last line of its
output, and then its status is 1.
"""
from __future__ import annotations

import contextlib
import os
import resource
import select
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), 'protocol'))
sys.dont_write_bytecode = True

import wire  # noqa: E402

PATIENCE = 40.0  # without any progress
AT_ONCE = 200  # on their way in
SPARE_DESCRIPTORS = 20
IP_BIND_ADDRESS_NO_PORT = 24  # the port is chosen when the other end is known, so that it need be free to that end only
RESET = b'\1\0\0\0\0\0\0\0'  # SO_LINGER: on, 0 s


class Fault(Exception):
    pass


class Client:
    """Its state is what it waits for: CONNACK first, then SUBACK, PUBACK and the PUBLISH in whatever order."""

    def __init__(self, port: int, round_: int, number: int):
        self.name = f'{round_}/{number}'
        self.number, self.version = number, 4 + number % 2
        self.awaits = {wire.CONNACK}
        self.buffer = b''
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        # A port that has just been used is not free for a while, and one address has some 28,000.
        self.socket.bind((f'127.{1 + round_}.{number // 1000}.1', 0))
        self.socket.connect(('127.0.0.1', port))
        self.socket.setblocking(False)
        will = wire.Will(f'will/{self.name}', 'gone') if self.leaves_by() == 'reset' else None
        self.socket.send(wire.connect(self.version, self.name, keep_alive=600, will=will))

    def leaves_by(self) -> str:
        return ('disconnect', 'end', 'reset')[self.number % 3]

    def is_served(self) -> bool:
        return not self.awaits

    def receive(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionError as fault:
            raise Fault(f'{self}: {fault}') from fault
        if not data:
            raise Fault(f'{self}: end of the stream')
        self.buffer += data
        while True:
            packet, self.buffer = wire.split_packet(self.buffer)
            if not packet:
                return
            self.handle(packet)

    def handle(self, packet: bytes):
        kind = packet[0] >> 4
        if kind not in self.awaits:
            raise Fault(f'{self}: came {packet.hex(" ")}')
        self.awaits.discard(kind)
        if kind == wire.CONNACK:
            if packet[3] != 0:
                raise Fault(f'{self}: refused with {packet[3]:#x}')
            self.awaits = {wire.SUBACK, wire.PUBACK, wire.PUBLISH}
            topic = f'crowd/{self.name}'
            self.socket.send(wire.subscribe(self.version, 1, (topic, 1)) + wire.publish(self.version, topic, b'm', 1, 2))
        elif kind == wire.PUBLISH and self.number % 4:  # some leave while a message is in flight to them
            self.socket.send(wire.puback(self.version, 1))

    def leave(self) -> bool:
        """Whether the broker has yet to close its end."""
        if self.leaves_by() == 'disconnect':
            self.socket.send(wire.disconnect(self.version))
            return True
        if self.leaves_by() == 'reset':
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.close()
        return False

    def __str__(self):
        return f'client {self.name} of level {self.version} while it waits for {[wire.NAMES[kind] for kind in self.awaits]}'


class Crowd:
    def __init__(self, port: int, round_: int, count: int):
        self.port, self.round, self.count = port, round_, count
        self.poll = select.epoll()
        self.clients: dict = {}  # by descriptor

    def ready(self):
        found = self.poll.poll(PATIENCE)
        if not found:
            raise Fault(f'nothing came for {PATIENCE} s')
        return [self.clients[descriptor] for descriptor, _ in found]

    def come(self):
        served = 0
        while served < self.count:
            while len(self.clients) < min(self.count, served + AT_ONCE):
                client = Client(self.port, self.round, len(self.clients))
                self.clients[client.socket.fileno()] = client
                self.poll.register(client.socket, select.EPOLLIN)
            for client in self.ready():
                client.receive()
                served += client.is_served()

    def go(self):
        for descriptor, client in list(self.clients.items()):
            self.poll.unregister(descriptor)
            if client.leave():
                self.poll.register(descriptor, select.EPOLLIN)
            else:
                del self.clients[descriptor]
        while self.clients:
            for client in self.ready():
                if client.socket.recv(65536):
                    raise Fault(f'{client}: something after DISCONNECT')
                del self.clients[client.socket.fileno()]
                client.socket.close()


def main() -> int:
    port, round_, count = map(int, sys.argv[1:])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = count + SPARE_DESCRIPTORS
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    crowd = Crowd(port, round_, count)
    try:
        crowd.come()
        print('served', flush=True)
        sys.stdin.readline()
        crowd.go()
    except (Fault, OSError) as fault:
        print(f'{len(crowd.clients)} clients: {fault}', flush=True)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
