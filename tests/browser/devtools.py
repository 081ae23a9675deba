"""The DevTools protocol of a browser, by its debugging port: calls wait for their answers, events are kept in their order."""
from __future__ import annotations

import asyncio
import json

import websockets
from harness import PATIENCE


async def connected(url: str):
    # An answer may be a picture, and pings would be answered only while somebody waits.
    return await websockets.connect(url, max_size=None, ping_interval=None, compression=None)


class DevTools:
    """One target: the browser itself, or one of its pages. Nothing is read but while somebody waits."""

    def __init__(self, url: str):
        self.events: list = []  # (method, params)
        self.loop = asyncio.new_event_loop()
        self.calls = 0
        try:
            self.socket = self.wait(connected(url), f'a connection to {url}')
        except BaseException:
            self.loop.close()
            raise

    def wait(self, coming, what: str):
        try:
            return self.loop.run_until_complete(asyncio.wait_for(coming, PATIENCE))
        except asyncio.TimeoutError:
            raise AssertionError(f'waited in vain for {what}') from None

    def read(self, what: str) -> dict:
        """The next message; an event is kept too."""
        message = json.loads(self.wait(self.socket.recv(), what))
        if 'method' in message:
            if message['method'] == 'Inspector.targetCrashed':
                raise AssertionError('the page has crashed')
            self.events.append((message['method'], message['params']))
        return message

    def call(self, method: str, **params) -> dict:
        self.calls += 1
        number = self.calls
        self.wait(self.socket.send(json.dumps({'id': number, 'method': method, 'params': params})), method)
        while (answer := self.read(f'the answer to {method}')).get('id') != number:
            pass
        if 'error' in answer:
            raise AssertionError(f'{method}: {answer["error"]["message"]}')
        return answer['result']

    def wait_for(self, method: str, start: int = 0) -> dict:
        """The first such event since there were `start`."""
        while True:
            for name, params in self.events[start:]:
                if name == method:
                    return params
            start = len(self.events)
            self.read(method)

    def of(self, method: str) -> list:
        return [params for name, params in self.events if name == method]

    def close(self):
        try:
            self.wait(self.socket.close(), 'the end of the connection')
        finally:
            self.loop.close()
