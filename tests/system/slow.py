#!/usr/bin/env python3
"""Thousands of connections that never come to an end of their first words, in a process of their own, so that neither its
descriptors nor its time are those of the tests.

  slow.py PORT WORDS COUNT

Each sends a byte now and then of its words: of CONNECT (mqtt), of the upgrade request, or every other one of CONNECT behind such
a request (websocket), of the ClientHello (tls). Once all have sent one, a line "standing" goes out; once the broker has
closed all of them, a line "closed".
"""
from __future__ import annotations

import contextlib
import functools
import os
import resource
import select
import socket
import ssl
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), 'protocol'))
sys.path.append(HERE)
sys.dont_write_bytecode = True

import wire  # noqa: E402
from web_socket import frame, request  # noqa: E402

PATIENCE = 120.0  # for all of them
PAUSE = 0.02  # between two slices of connections that send a byte
SLICE = 500


@functools.cache
def client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname='localhost').do_handshake()
    return outgoing.read()


def first_words(words: str, number: int) -> tuple:
    """(what is sent at once, what goes byte by byte)"""
    if words == 'tls':
        return b'', client_hello()
    connect = wire.connect(5, f'slow/{number}', user='u' * 5000)
    if words == 'mqtt':
        return b'', connect
    return (request(), frame(connect)) if number % 2 else (b'', request(more=f'X-Words: {"x" * 5000}\r\n'))


class Slow:
    def __init__(self, port: int, words: str, number: int):
        at_once, self.rest = first_words(words, number)
        self.sent = 0
        self.socket = socket.socket()
        self.socket.bind((f'127.9.{number // 1000}.1', 0))
        self.socket.connect(('127.0.0.1', port))
        self.socket.setblocking(False)
        self.socket.sendall(at_once)

    def fileno(self) -> int:
        return self.socket.fileno()

    def drip(self):
        """All but the last byte of what it has to say goes."""
        if self.sent + 1 < len(self.rest):
            self.socket.send(self.rest[self.sent:self.sent + 1])
            self.sent += 1

    def is_closed(self) -> bool:
        """Reads what has come: an answer to the upgrade may be before the end."""
        try:
            return not self.socket.recv(65536)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True


def main() -> int:
    port, words, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    waiting = select.epoll()
    alive = {}
    for number in range(count):
        slow = Slow(port, words, number)
        slow.drip()
        alive[slow.fileno()] = slow
        waiting.register(slow, select.EPOLLIN)
    print('standing', flush=True)
    end = time.monotonic() + PATIENCE
    order = list(alive.values())
    while alive:
        if time.monotonic() > end:
            print(f'{len(alive)} of {count} still stand')
            return 1
        order, now = order[SLICE:] + order[:SLICE], order[:SLICE]
        for slow in now:
            try:
                slow.drip()
            except OSError:
                pass  # it is closed, and will be told so
        for fd, _ in waiting.poll(PAUSE, SLICE):
            if alive[fd].is_closed():
                waiting.unregister(fd)
                order.remove(alive[fd])
                alive.pop(fd).socket.close()
    print('closed', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
