"""What the tests stand on: one browser, one web server and one authority for all of them, and what is a test's own."""
from __future__ import annotations

import contextlib
import os
import shutil

import picture
from certificates import Authority
from chromium import Chromium, Page
from harness import BUILD, LOCAL, Broker, equal, expect
from npm import node_modules
from pages import PageServer

PICTURES = os.path.join(BUILD, 'tests', 'browser')
# Of the lines of the page, as its style says.
GREEN, RED = (0x0A, 0x8F, 0x3F), (0xC8, 0x1E, 0x1E)


class Bench:
    def __init__(self, folder: str):
        self.folder = folder
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> Bench:
        shutil.rmtree(PICTURES, ignore_errors=True)
        with contextlib.ExitStack() as stack:
            self.node_modules = node_modules()
            self.authority = Authority(os.path.join(self.folder, 'authority'))
            self.pages = stack.enter_context(PageServer(self.node_modules))
            self.browser = self.start_browser(stack, 'browser', self.authority.root)
            self.stack = stack.pop_all()
        return self

    def serve(self, certificate) -> PageServer:
        """The same pages by https, for the time of a `with`."""
        return PageServer(self.node_modules, certificate)

    def start_browser(self, stack: contextlib.ExitStack, name: str, authority: str = '') -> Chromium:
        folder = os.path.join(self.folder, name)
        os.makedirs(folder)
        browser = Chromium(folder, authority)
        stack.callback(browser.end)
        return browser

    def __exit__(self, *_):
        self.stack.close()


class Case:
    """One test while it runs."""

    def __init__(self, name: str, bench: Bench):
        self.name, self.bench = name, bench
        self.folder = os.path.join(bench.folder, name)
        self.stack = contextlib.ExitStack()
        self.brokers: list = []

    def start_broker(self, *listeners: dict, threads: int = 2) -> Broker:
        """With these listeners for WebSocket beside one for TCP."""
        made = [{'transport': 'websocket', 'bind': '127.0.0.1:0', **listener} for listener in listeners]
        broker = Broker(self.folder, 'broker', threads=threads, listeners=[LOCAL, *made])
        self.stack.callback(broker.kill)
        self.brokers.append(broker)
        return broker

    def end(self, broker: Broker):
        """The last step of a test: the broker must still end in order."""
        fault = broker.stop()
        expect(not fault, fault)

    @contextlib.contextmanager
    def open(self, url: str, browser: Chromium | None = None, picture_of: str = ''):
        """A page; what it shows in the end is kept, in whichever way the test ends."""
        page = (browser or self.bench.browser).open(url)
        try:
            try:
                yield page
            finally:
                page.take_picture(self.picture(picture_of))
        finally:
            page.close()

    def picture(self, of: str = '') -> str:
        return os.path.join(PICTURES, f'{self.name}{"-" if of else ""}{of}.png')

    def last_words(self) -> str:
        return ''.join(f'---- {broker.name}\n{broker.log_tail()}' for broker in self.brokers)

    def clean_up(self):
        self.stack.close()


def steps_of(page: Page) -> list:
    """What the page has done, once it is finished."""
    try:
        return page.value('finished')
    except AssertionError as fault:
        raise AssertionError(f'{fault}; the page got as far as {page.value("steps")}, {page.complaints()}') from fault


def expect_passed(page: Page, names: list):
    """These are all the steps of the page, all of them went well, and the browser complained about nothing."""
    steps = steps_of(page)
    equal([], [step for step in steps if step['fault']], 'steps that failed')
    equal(names, [step['what'] for step in steps], 'steps')
    equal([], page.complaints(), 'complaints of the browser')


def handshakes(page: Page) -> list:
    """The HTTP answers to the requests for an upgrade."""
    return [params['response'] for params in page.of('Network.webSocketHandshakeResponseReceived')]


def expect_mqtt_in_binary_frames(page: Page, url: str):
    addresses = [params['url'] for params in page.of('Network.webSocketCreated')]
    equal({url}, set(addresses), 'addresses')
    answers = handshakes(page)
    equal(len(addresses), len(answers), 'answers to upgrades')
    for answer in answers:
        headers = {name.lower(): value for name, value in answer['headers'].items()}
        equal((101, 'mqtt'), (answer['status'], headers.get('sec-websocket-protocol')), 'the answer to an upgrade')
        expect('sec-websocket-extensions' not in headers, f'{headers}')
    for direction in ('Sent', 'Received'):
        opcodes = {params['response']['opcode'] for params in page.of(f'Network.webSocketFrame{direction}')}
        equal({2}, opcodes, f'opcodes {direction}')


def expect_lines_in(path: str, passed: int, failed: int):
    """The picture shows a page with so many lines at least that are marked as passed and as failed."""
    width, height, counted = picture.colours(path)
    expect(width >= 800 and height >= 500 and sum(counted.values()) == width * height, f'{path}: {width} x {height}')
    expect(len(counted) > 10, f'{path} shows no text: {len(counted)} colours')
    for colour, lines in ((GREEN, passed), (RED, failed)):
        # A mark is 12 pixels wide, and as high as a line of text.
        expect(counted[colour] >= lines * 12 * 10, f'{path}: {counted[colour]} pixels of {colour} for {lines} lines')
        expect(lines or counted[colour] == 0, f'{path}: {counted[colour]} pixels of {colour}')
