"""One thread waits for all clients: sockets of our own and the output of those that are processes."""
from __future__ import annotations

import selectors
import time

import ending


class Loop:
    """Clients register what they read and are asked to `tick` once a turn. `news` counts what any of them had to tell."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.clients: list = []
        self.news = 0

    def watch(self, file, handler, writing: bool = False):
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        try:
            self.selector.modify(file, events, handler)
        except KeyError:
            self.selector.register(file, events, handler)

    def forget(self, file):
        self.selector.unregister(file)

    def turn(self, timeout: float = 0.005):
        ending.heed()
        for key, events in self.selector.select(timeout):
            key.data(events)
        for client in tuple(self.clients):
            client.tick()

    def run_for(self, seconds: float, broken=lambda: False):
        """Until the time is over, or something is `broken`."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not broken():
            self.turn(min(left, 0.005))

    def run_until(self, condition, patience: float, whatever_comes: bool = False) -> bool:
        """Whether that happened; it is given up when nobody has had anything to tell for `patience` seconds, or nothing
        that changed it, `whatever_comes`."""
        news, since = self.news, time.monotonic()
        while not condition():
            self.turn()
            now = time.monotonic()
            if news != self.news and not whatever_comes:
                news, since = self.news, now
            elif now - since > patience:
                return False
        return True
