"""A WebSocket client that does only what it is told (RFC 6455), for those that misbehave; MQTT packets go in and out as bytes.
And a connection by WebSocket for clients that know of none."""
from __future__ import annotations

import base64
import hashlib
import os
import socket

import wire
from harness import PATIENCE, Ways, aside, expect

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN = 0x80
GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'


def frame(payload: bytes, opcode: int = BINARY, first: int = FIN, masked: bool = True, length: bytes | None = None) -> bytes:
    """`first`: FIN and reserved bits; `length`: the length field, where it is to be another than the payload's."""
    size = len(payload)
    if length is None:
        if size < 126:
            length = bytes([size])
        elif size < 65536:
            length = b'\x7e' + size.to_bytes(2, 'big')
        else:
            length = b'\x7f' + size.to_bytes(8, 'big')
    if not masked:
        return bytes([first | opcode]) + length + payload
    mask = os.urandom(4)
    whole = bytes(a ^ b for a, b in zip(payload, mask * (size // 4 + 1)))
    return bytes([first | opcode, length[0] | 0x80]) + length[1:] + mask + whole


def close_payload(code: int, reason: bytes = b'') -> bytes:
    return code.to_bytes(2, 'big') + reason


def request(key: str = 'dGhlIHNhbXBsZSBub25jZQ==', path: str = '/mqtt', protocol: str = 'mqtt', more: str = '') -> bytes:
    offered = f'Sec-WebSocket-Protocol: {protocol}\r\n' if protocol else ''
    return (
        f'GET {path} HTTP/1.1\r\nHost: broker.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
        f'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{offered}{more}\r\n'
    ).encode('latin-1')


class WebSocketClient:
    def __init__(self, port: int, version: int = 5, receive_buffer: int = 0, secure: bool = False):
        """`secure`: over TLS, as a client of the brokers of Ways."""
        self.version = version
        self.buffer = b''  # of frames
        self.packets = b''
        self.control: list = []  # (opcode, payload)
        self.frames = 0  # with MQTT in them
        self.socket = aside(socket.socket())
        self.socket.settimeout(PATIENCE)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(('127.0.0.1', port))
        if secure:
            self.socket = Ways.wrap(self.socket)

    def answer(self, text: bytes) -> bytes:
        """The head of the HTTP answer to `text`."""
        self.socket.sendall(text)
        while b'\r\n\r\n' not in self.buffer:
            data = self.socket.recv(65536)
            expect(data, f'the connection ended after {self.buffer!r}')
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b'\r\n\r\n')
        return head

    def upgrade(self, protocol: str = 'mqtt', more: str = '', behind: bytes = b'') -> WebSocketClient:
        key = base64.b64encode(os.urandom(16)).decode()
        head = self.answer(request(key, protocol=protocol, more=more) + behind).decode().lower().split('\r\n')
        expect(head[0].startswith('http/1.1 101 '), f'no 101 but {head[0]}')
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        expect(f'sec-websocket-accept: {accept.lower()}' in head, f'no right answer to the key in {head}')
        expect(f'sec-websocket-protocol: {protocol}' in head, f'another subprotocol in {head}')
        expect(not any('extensions' in line for line in head), f'an extension in {head}')
        return self

    def send_raw(self, data: bytes):
        self.socket.sendall(data)

    def send(self, packets: bytes):
        self.send_raw(frame(packets))

    def read_frame(self) -> bool:
        """Takes the next frame apart; false at the end of the connection, by a reset too."""
        while True:
            size = self.buffer[1] if len(self.buffer) > 1 else 0
            extended = 2 if size == 126 else 8 if size == 127 else 0
            if len(self.buffer) >= 2 + extended:
                if extended:
                    size = int.from_bytes(self.buffer[2:2 + extended], 'big')
                if len(self.buffer) >= 2 + extended + size:
                    break
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                return False
            if not data:
                return False
            self.buffer += data
        expect(self.buffer[1] < 128, 'a masked frame from a server')
        opcode, payload = self.buffer[0], self.buffer[2 + extended:2 + extended + size]
        self.buffer = self.buffer[2 + extended + size:]
        expect(opcode & 0xF0 == FIN, f'first byte {opcode:#x}')
        if opcode & 0x08:
            self.control.append((opcode & 0x0F, payload))
        else:
            expect(opcode & 0x0F == BINARY, f'first byte {opcode:#x}')
            self.frames += 1
            self.packets += payload
        return True

    def receive(self) -> bytes:
        """The next whole packet; b'' at the end of the connection."""
        while True:
            whole, self.packets = wire.split_packet(self.packets)
            if whole:
                return whole
            if not self.read_frame():
                return b''

    def receive_control(self) -> tuple:
        while not self.control:
            expect(self.read_frame(), 'the connection ended')
        return self.control.pop(0)

    def end(self) -> int | None:
        """The code of the close frame that comes before the end of the connection; None without a close frame, 0 without a
        code."""
        while self.read_frame():
            pass
        closes = [payload for opcode, payload in self.control if opcode == CLOSE]
        expect(len(closes) < 2, 'two close frames')
        return int.from_bytes(closes[0][:2], 'big') if closes else None

    def connect(self, client_id: str, **options) -> WebSocketClient:
        self.send(wire.connect(self.version, client_id, **options))
        answer = self.receive()
        expect(answer[:1] == b'\x20' and answer[3] == 0, f'no CONNACK with 0 but {answer.hex(" ")}')
        return self

    def ping(self):
        self.send(wire.PING)
        expect(self.receive() == wire.PONG, 'no PINGRESP')

    def close(self):
        self.socket.close()


class WebSocketPipe:
    """A connection as a stream of bytes, as a socket is: what is sent at once becomes a message."""

    def __init__(self, connected: socket.socket):
        self.peer = WebSocketClient.__new__(WebSocketClient)
        self.peer.version, self.peer.buffer, self.peer.packets, self.peer.frames = 5, b'', b'', 0
        self.peer.control, self.peer.socket = [], connected
        self.peer.upgrade()

    def sendall(self, data: bytes):
        self.peer.send(data)

    send = sendall

    def recv(self, size: int) -> bytes:
        while not self.peer.packets:
            if not self.peer.read_frame():
                return b''
        data, self.peer.packets = self.peer.packets[:size], self.peer.packets[size:]
        return data

    def __getattr__(self, name: str):
        return getattr(self.peer.socket, name)
