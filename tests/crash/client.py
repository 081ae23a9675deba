"""A client of MQTT 3.1.1 and 5.0 that does what the standard asks of one that keeps its session: it remembers what is in
flight over any end of the connection, and sends it again when it is connected again [MQTT-4.4.0-1]."""
from __future__ import annotations

import errno
import selectors
import socket
import time

import wire

FOREVER = 0xFFFFFFFF
RECONNECT_SECONDS = 0.02


class Client:
    """Owned by its Loop. `tell` takes the records of what happened, for the checker; before anything is sent it is told."""

    def __init__(self, loop, name: str, version: int, tell, address, keep: int = FOREVER, will=None):
        self.loop, self.name, self.version, self.address = loop, name, version, address
        self.tell_checker = tell
        self.keep, self.will = keep, will
        self.socket = None
        self.input, self.output = b'', bytearray()
        self.wants_online = False
        self.is_fresh = False  # the next CONNECT discards what the broker has of an earlier session
        self.is_connected = False  # CONNACK came
        self.had_session = False
        self.refused = 0  # the last reason code of a CONNACK that refused
        self.retry_at = 0.0
        self.last_id = 0
        self.pongs = 0
        loop.clients.append(self)

    def tell(self, *words):
        self.loop.news += 1
        self.tell_checker(self.name, words)

    # ---- the connection

    def online(self):
        self.wants_online = True

    def offline(self):
        """In order, with a DISCONNECT."""
        self.wants_online = False
        if self.is_connected:
            self.send(wire.disconnect(self.version))
            self.flush()
        self.close()

    def leave(self):
        self.offline()
        self.loop.clients.remove(self)

    def close(self):
        if self.socket:
            self.loop.forget(self.socket)
            self.socket.close()
        self.socket, self.is_connected = None, False
        self.input, self.output = b'', bytearray()
        self.retry_at = time.monotonic() + RECONNECT_SECONDS

    def tick(self):
        if self.wants_online and self.socket is None and time.monotonic() >= self.retry_at:
            self.connect()
        if self.is_connected:
            self.work()
        if self.output:
            self.flush()

    def connect(self):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self.socket.connect_ex(self.address)
        self.loop.watch(self.socket, self.on_event, writing=True)
        if code not in (0, errno.EINPROGRESS):
            self.close()
            return
        clean = self.is_fresh or self.keep == 0
        props = ((wire.SESSION_EXPIRY, self.keep),) if self.version == 5 and self.keep else ()
        self.output += wire.connect(self.version, self.name, clean=clean, keep_alive=0, will=self.will, props=props)

    def on_event(self, events):
        if events & selectors.EVENT_READ:
            try:
                data = self.socket.recv(262144)
            except BlockingIOError:
                return
            except OSError:
                data = b''
            if not data:
                self.close()
                return
            self.take(data)
        if self.socket and self.output:
            self.flush()
        elif self.socket and events & selectors.EVENT_WRITE:
            self.loop.watch(self.socket, self.on_event)

    def send(self, data: bytes):
        self.output += data

    def flush(self):
        try:
            sent = self.socket.send(self.output)
        except BlockingIOError:
            sent = 0
        except OSError:  # what the broker sent before its end can still be read
            self.output.clear()
            return
        del self.output[:sent]
        self.loop.watch(self.socket, self.on_event, writing=bool(self.output))

    def take(self, data: bytes):
        data = self.input + data
        at, end = 0, len(data)
        while end - at >= 2:
            length, shift, start = 0, 0, at + 1
            while start < end:
                byte = data[start]
                length |= (byte & 0x7F) << shift
                shift, start = shift + 7, start + 1
                if byte < 0x80:
                    break
            else:
                break
            if end - start < length:
                break
            first, at = data[at], start + length
            self.on_packet(first, data[start:at])
            if self.socket is None:
                return
        self.input = data[at:]

    # ---- packets

    def on_packet(self, first: int, body: bytes):
        kind = first >> 4
        if kind == wire.CONNACK:
            self.on_connack(body[0] & 1, body[1])
        elif kind == wire.PINGRESP:
            self.pongs += 1
            self.loop.news += 1
        elif kind == wire.DISCONNECT:
            self.close()

    def on_connack(self, is_present: int, code: int):
        if code:
            self.refused = code
            self.close()
            return
        self.refused = 0
        self.is_connected = True
        self.tell('session', is_present, int(self.had_session and not self.is_fresh))
        is_first = not self.had_session
        self.had_session, self.is_fresh = self.keep != 0, False
        self.on_session(bool(is_present), is_first)

    def on_session(self, is_present: bool, is_first: bool):
        """Connected: the session is there from earlier, or it has just begun."""

    def work(self):
        """Called once a turn while connected."""

    def next_id(self, taken=()) -> int:
        while True:
            self.last_id = self.last_id % 65535 + 1
            if self.last_id not in taken:
                return self.last_id

    def ack(self, kind: int, packet_id: bytes):
        self.send(bytes((kind << 4 | (2 if kind == wire.PUBREL else 0), 2)) + packet_id)


def code_of(body: bytes) -> int:
    """The reason code of PUBACK, PUBREC, PUBREL or PUBCOMP."""
    return body[2] if len(body) > 2 else 0


def publish_fields(first: int, body: bytes, version: int) -> tuple:
    """(topic, QoS, packet identifier as it stands, payload) of a PUBLISH."""
    at = 2 + int.from_bytes(body[:2], 'big')
    topic = body[2:at].decode()
    qos = first >> 1 & 3
    packet_id = b''
    if qos:
        packet_id = body[at : at + 2]
        at += 2
    if version == 5:
        reader = wire.Reader(body[at:])
        reader.properties()
        at += reader.at
    return topic, qos, packet_id, body[at:]
