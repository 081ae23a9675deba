"""docs/behind-a-proxy.md keeps its word: its configurations, run with a real nginx and a real HAProxy."""
from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess

import wire
from certificates import Authority
from harness import LOCAL, PATIENCE, ROOT, RawClient, collector, equal, expect, wait_until

TESTS, test = collector()

PAGE = os.path.join(ROOT, 'docs', 'behind-a-proxy.md')
CLIENT = '127.0.0.9'  # a client's address, which no proxy has


def block(kind: str) -> str:
    with open(PAGE, encoding='utf-8') as file:
        found = re.findall(f'^```{kind}\n(.*?)^```$', file.read(), re.S | re.M)
    equal(1, len(found), f'blocks of {kind} on the page')
    return found[0]


def listeners_of_the_page() -> list:
    """Each line as a mapping: bare words get quotes, and YAML is JSON then."""
    lines = re.findall(r'^  - (\{.*\})$', block('yaml'), re.M)
    listeners = [json.loads(re.sub(r'(?<=[{ ])([a-z_]+)(?=[:,])', r'"\1"', line)) for line in lines]
    equal(['proxied', 'web'], [listener['name'] for listener in listeners])
    return listeners


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Proxied:
    """A broker as the page says, and a proxy before it as the page says, but for their ports and files."""

    def __init__(self, case, program: str):
        if shutil.which(program, path=f'/usr/sbin:{os.environ["PATH"]}') is None:
            raise AssertionError(f'{program} is not installed')
        self.case = case
        self.folder = case.file(program)
        os.makedirs(self.folder)
        self.authority = Authority(case.file('authority'))
        self.broker = case.start_broker(
            listeners=[LOCAL, *({**listener, 'bind': '127.0.0.1:0'} for listener in listeners_of_the_page())],
            plugins=[{'name': 'certificates', 'plugin': 'auth_tls', 'config': {'otherwise': 'pass'}}],
            auth={'anonymous': 'always', 'i_accept_the_risk': True, 'chains': {'default': {'authenticate': ['certificates']}}},
        )
        ports = self.broker.ports()
        self.mqtts, self.wss = free_port(), free_port()
        text = block(program)
        for there, here in (
            ('0.0.0.0:8883', f'127.0.0.1:{self.mqtts}'),
            ('0.0.0.0:8443', f'127.0.0.1:{self.wss}'),
            ('127.0.0.1:1884', f'127.0.0.1:{ports["proxied"]}'),
            ('127.0.0.1:8083', f'127.0.0.1:{ports["web"]}'),
            ('/etc/mqloop/tls', self.folder),
            ('20000', '200'),  # descriptors that the test may not have
        ):
            expect(there in text, f'no {there} in the configuration of {program}')
            text = text.replace(there, here)
        self.config = os.path.join(self.folder, f'{program}.conf')
        with open(self.config, 'w', encoding='utf-8') as file:
            file.write(self.before(program) + text)
        self.write_certificates()
        with open(os.path.join(self.folder, 'complaints'), 'wb') as log:
            self.process = subprocess.Popen(self.command(program), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        case.stack.callback(self.end)
        for port in (self.mqtts, self.wss):
            wait_until(lambda port=port: self.listens(port), f'{program} to listen')

    def before(self, program: str) -> str:
        """What only a test needs: all files in its own folder, and no other account."""
        if program != 'nginx':
            return ''
        modules = '/usr/lib/nginx/modules/ngx_stream_module.so'
        return f'daemon off;\nmaster_process off;\npid {self.folder}/pid;\nload_module {modules};\n'

    def command(self, program: str) -> list:
        if program == 'haproxy':
            return ['/usr/sbin/haproxy', '-db', '-f', self.config]
        return ['/usr/sbin/nginx', '-p', self.folder, '-e', f'{self.folder}/errors', '-c', self.config]

    def write_certificates(self):
        server = self.authority.issue('server', '/CN=localhost')
        with open(server.cert, encoding='ascii') as cert, open(server.key, encoding='ascii') as key:
            files = {'server.crt': cert.read(), 'server.key': key.read()}
        files['server.pem'] = files['server.crt'] + files['server.key']
        with open(self.authority.root, encoding='ascii') as root:
            files['clients.pem'] = root.read()
        for name, content in files.items():
            with open(os.path.join(self.folder, name), 'w', encoding='ascii') as file:
                file.write(content)

    def listens(self, port: int) -> bool:
        expect(self.process.poll() is None, f'the proxy ended:\n{self.complaints()}')
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', port)) == 0

    def complaints(self) -> str:
        with open(os.path.join(self.folder, 'complaints'), encoding='utf-8') as file:
            return file.read()

    def end(self):
        self.process.terminate()
        self.process.wait(PATIENCE)

    def context(self, pair=None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authority.root)
        if pair:
            context.load_cert_chain(*pair)
        return context

    def client(self, name: str, pair=None) -> RawClient:
        """By TLS and MQTT, from CLIENT."""
        plain = socket.create_connection(('127.0.0.1', self.mqtts), PATIENCE, source_address=(CLIENT, 0))
        secure = self.context(pair).wrap_socket(plain, server_hostname='localhost')
        self.case.stack.callback(secure.close)
        client = RawClient.over(secure, 5)
        client.connect(self.case.id(name))
        return client

    def expect_mqtt(self):
        subscriber = self.client('sub')
        subscriber.subscribe(self.case.topic('t'), 1)
        self.broker.wait_for_line('connected', self.case.id('sub'), f'from={CLIENT}:', 'listener=proxied')
        here = {
            'broker.example.org': 'localhost',
            '8883': str(self.mqtts),
            'ca.pem': self.authority.root,
            'test/hello': self.case.topic('t'),
        }
        words = [here.pop(word, word) for word in shlex.split(block('sh'))]
        equal({}, here, 'words that are not in the command of the page')
        subprocess.run(words, check=True, timeout=PATIENCE)
        expect(b'through the proxy' in subscriber.receive(), 'the message')

    def expect_web_socket(self):
        import websockets

        async def talk():
            uri = f'wss://localhost:{self.wss}/mqtt'
            more = {'ssl': self.context(), 'host': '127.0.0.1', 'local_addr': (CLIENT, 0)}
            origin = f'https://localhost:{self.wss}'
            async with websockets.connect(uri, subprotocols=['mqtt'], origin=origin, **more) as peer:
                await peer.send(wire.connect(5, self.case.id('web')))
                equal(b'\x20', (await peer.recv())[:1], 'CONNACK')
                payload = bytes(range(256)) * 1000
                await peer.send(wire.subscribe(5, 1, (self.case.topic('w'), 1)))
                equal(b'\x90', (await peer.recv())[:1], 'SUBACK')
                await peer.send(wire.publish(5, self.case.topic('w'), payload, qos=1, packet_id=2))
                heard = b''
                while payload not in heard or b'\x40' not in heard.replace(payload, b''):
                    heard += await peer.recv()

        asyncio.run(asyncio.wait_for(talk(), PATIENCE))
        self.broker.wait_for_line('connected', self.case.id('web'), f'from={CLIENT}', 'listener=web')

    def expect_refused_page(self):
        import websockets

        async def talk():
            more = {'ssl': self.context(), 'host': '127.0.0.1', 'origin': 'https://elsewhere.example.org'}
            async with websockets.connect(f'wss://localhost:{self.wss}/mqtt', subprotocols=['mqtt'], **more):
                pass

        try:
            asyncio.run(asyncio.wait_for(talk(), PATIENCE))
        except websockets.InvalidStatusCode as fault:
            equal(403, fault.status_code)
        else:
            raise AssertionError('a page of another host was let in')


@test
def haproxy_ends_tls_and_tells_the_client_and_its_certificate(case):
    own = Proxied(case, 'haproxy')
    own.expect_mqtt()
    own.client('named', own.authority.issue('sensor', '/CN=sensor7', names=''))
    own.broker.wait_for_line('connected', case.id('named'), 'user=sensor7', f'from={CLIENT}:')
    own.expect_web_socket()
    own.expect_refused_page()
    case.end(own.broker)


@test
def nginx_ends_tls_and_tells_the_client(case):
    own = Proxied(case, 'nginx')
    own.expect_mqtt()
    own.expect_web_socket()
    own.expect_refused_page()
    case.end(own.broker)
