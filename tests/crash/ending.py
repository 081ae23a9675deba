"""Somebody asks the run to end (SIGTERM, SIGINT). The handler only notes it, and whoever waits asks here: an exception out of the
handler may come while subprocess holds the lock under which it looks whether a child has ended, and that would stay locked,
so that the next wait for the child never ended."""
from __future__ import annotations

import signal
import sys

STATUS = 130
_requests: list = []


def listen():
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *words: _requests.append(words))


def heed():
    """Ends the program if that was asked for."""
    if _requests:
        sys.exit(STATUS)
