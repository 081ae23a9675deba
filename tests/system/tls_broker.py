"""A broker that is reached by TLS, and what its clients do."""
from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl

import wire
from certificates import Authority, Pair
from harness import LOCAL, PATIENCE, Broker, RawClient, expect, wait_until

BY_CERTIFICATE = {
    'plugins': [{'name': 'certificates', 'plugin': 'auth_tls', 'config': {'otherwise': 'reject'}}],
    'auth': {'anonymous': 'never', 'chains': {'default': {'authenticate': ['certificates']}}},
}


class TlsBroker:
    """A broker with a certificate for localhost, of an authority of the test's own."""

    def __init__(self, case, name: str = 'own', listener: dict | None = None, settings: dict | None = None, **tls):
        self.case = case
        self.authority = Authority(case.file('authority'))
        self.server = self.authority.issue('server', '/CN=localhost')
        self.tls = {**self.server.as_settings(), 'watch_files': 'infinite', **tls}
        self.listeners = [LOCAL, {**LOCAL, 'name': 'secure', 'transport': 'tls', **(listener or {}), 'tls': self.tls}]
        self.broker: Broker = case.start_broker(name, listeners=self.listeners, **(settings or {}))
        self.port = self.broker.ports()['secure']

    def context(self, pair: Pair | None = None, version=None, root: str = '', ciphers: str = '') -> ssl.SSLContext:
        """A client's, of this version of TLS alone if one is given."""
        context = ssl.create_default_context(cafile=root or self.authority.root)
        if ciphers:
            context.set_ciphers(ciphers)
        if version:
            # What is old enough is asked for on purpose; Python's warning of it is no news.
            context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, version
            context.minimum_version = version
        if pair:
            context.load_cert_chain(*pair)
        return context

    def client(self, context: ssl.SSLContext | None = None, host: str = 'localhost', version: int = 5, **more) -> RawClient:
        """After its handshake."""
        return self.over(self.plain(), context, host, version, **more)

    def plain(self) -> socket.socket:
        one = socket.create_connection(('127.0.0.1', self.port), PATIENCE)
        self.case.stack.callback(one.close)
        return one

    def over(self, one: socket.socket, context=None, host: str = 'localhost', version: int = 5, **more) -> RawClient:
        secure = (context or self.context()).wrap_socket(one, server_hostname=host, **more)
        self.case.stack.callback(secure.close)
        return RawClient.over(secure, version)

    def connected(self, name: str, *arguments, **more) -> RawClient:
        client = self.client(*arguments, **more)
        client.connect(self.case.id(name))
        return client

    def expect_refused(self, why: str, *arguments, **more):
        """In the handshake, whichever side finds out first, with `why` in the log."""
        before = len(self.broker.lines(why))
        try:
            client = self.client(*arguments, **more)
            client.send(wire.connect(5, self.case.id('refused')))
            came = client.receive()
            expect(not came, f'let in: {came.hex(" ")}')
        except (ssl.SSLError, ConnectionError):
            pass
        wait_until(lambda: len(self.broker.lines(why)) > before, f'a line with {why!r}\n{self.broker.log_tail()}')

    def reload(self):
        before = len(self.broker.lines('config reloaded'))
        self.broker.send_signal(signal.SIGHUP)
        wait_until(lambda: len(self.broker.lines('config reloaded')) > before, f'a reload\n{self.broker.log_tail()}')

    def served(self) -> str:
        """The serial number of the certificate that a new client is shown."""
        certificate = self.client().socket.getpeercert()
        return certificate['serialNumber']

    def figure(self, name: str) -> int:
        """Of $SYS, once it is there; sys.interval is to be 1 s."""
        reader = self.case.raw(5, 'figures', self.broker)
        reader.subscribe(f'$SYS/broker/listeners/secure/tls/{name}')
        packet = reader.receive()
        reader.close()
        return int(re.search(rb'(\d+)$', packet)[1])


def echo(client: RawClient, topic: str, payload: bytes = b'hello'):
    client.subscribe(topic)
    client.send(wire.publish(client.version, topic, payload))
    packet = client.receive()
    expect(packet.endswith(payload), f'{payload[:20]!r} came back as {packet[:40]!r}')


def replace(own: TlsBroker, pair: Pair):
    """As careful operators do: each file at once, though not both of them."""
    for new, place in zip(pair, own.server):
        shutil.copy(new, place + '.new')
        os.rename(place + '.new', place)
