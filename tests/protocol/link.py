"""One client connection of the tests: whole packets in the order the server sent them, then the end."""
from __future__ import annotations

import asyncio
import socket
from collections import deque

from wire import BadPacket, split_packet

END = object()  # the server closed the connection
SILENCE = object()  # nothing came in time


class Link(asyncio.Protocol):
    def __init__(self):
        self.transport = None
        self.received = bytearray()
        self.unfinished = b''
        self.packets: deque[bytes] = deque()
        self.ended = False
        self.waiter: asyncio.Future | None = None
        self.aliases: dict[int, bytes] = {}  # the topic aliases the server has set here

    @staticmethod
    async def open(address) -> 'Link':
        _, link = await asyncio.get_running_loop().create_connection(Link, *address)
        return link

    # -- what asyncio calls

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info('socket').setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data):
        self.received += data
        self.unfinished += data
        try:
            while self.unfinished:
                whole, self.unfinished = split_packet(self.unfinished)
                if not whole:
                    break
                self.packets.append(whole)
        except BadPacket:
            self.packets.append(self.unfinished)  # no pattern fits it, so the case fails and shows these bytes
            self.unfinished = b''
        if self.packets:
            self.wake()

    def connection_lost(self, _fault):
        self.ended = True
        self.wake()

    def wake(self):
        if self.waiter and not self.waiter.done():
            self.waiter.set_result(None)

    # -- what tests call

    def send(self, data: bytes):
        if not self.ended:
            self.transport.write(data)

    def finish_sending(self):
        if not self.ended:
            self.transport.write_eof()

    async def next(self, timeout: float):
        """The next packet, END once the server has closed, or SILENCE."""
        if not self.packets and not self.ended:
            loop = asyncio.get_running_loop()
            self.waiter = loop.create_future()
            timer = loop.call_later(timeout, self.wake)
            await self.waiter
            timer.cancel()
            self.waiter = None
        if self.packets:
            return self.packets.popleft()
        if self.ended and self.unfinished:
            rest, self.unfinished = self.unfinished, b''
            return rest  # cut off in the middle: fits no pattern
        return END if self.ended else SILENCE

    def put_back(self, packets):
        """For whoever asks next."""
        self.packets.extendleft(reversed(packets))

    def close(self):
        self.transport.close()

    def abort(self):
        """Vanish without DISCONNECT: the socket is reset."""
        self.transport.abort()
