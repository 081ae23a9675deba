"""A broker with the configuration of the test, and a client that speaks in whole packets."""
import os
import socket
import time

import wire
from broker import Broker, free_port

BUILD = os.environ.get('MQLOOP_BUILD') or os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'build')
MQLOOPD = os.environ.get('MQLOOPD') or os.path.join(BUILD, 'bin', 'mqloopd')
SAMPLES = os.path.abspath(os.path.join(BUILD, 'tests', 'samples'))

PATIENCE = 20  # seconds: for what must come, however busy the machine is


class Served(Broker):
    """`with Served(yaml)`: what the test says of plugins and auth; the listener and the data folder are added.

    `side` is what is said of a second listener, at the address `side_address`.
    """

    def __init__(self, yaml, program=MQLOOPD, side=''):
        super().__init__(program)
        self.yaml, self.side, self.side_address = yaml, side, None

    def launch(self):
        self.generation += 1
        self.address = ('127.0.0.1', free_port())
        with open(f'{self.folder}/mqloop.yaml', 'w') as out:
            out.write(f'version: 1\nnode: {{data_dir: "{self.folder}/data"}}\n')
            listeners = f'{{name: test, bind: "127.0.0.1:{self.address[1]}"}}'
            if self.side:
                self.side_address = ('127.0.0.1', free_port())
                listeners += f', {{name: side, bind: "127.0.0.1:{self.side_address[1]}", {self.side}}}'
            out.write(f'listeners: [{listeners}]\n{self.yaml}')
        import subprocess

        with open(self.log_path(), 'wb') as log:
            self.process = subprocess.Popen(
                [self.program, '-c', f'{self.folder}/mqloop.yaml'],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )

    def log(self):
        with open(self.log_path(), errors='replace') as log:
            return log.read()

    def wait_for_log(self, text):
        """A turn's log lines are written at its end, after the packets that it sends."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.log():
            assert time.monotonic() < deadline, f'no {text!r} in:\n{self.log()}'
            time.sleep(0.01)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, _value, _trace):
        try:
            fault = self.stop() if kind is None else ''
            if kind is not None:
                print(f'The log of the broker:\n{self.log_tail()}')
            assert not fault, fault
        finally:
            self.clean_up()

    def client(self, name, **options):
        """A client that was let in."""
        client = Client(self.address)
        code = client.connect(name, **options)
        assert code == 0, f'{name} was refused with {code:#x}'
        return client

    def refusal(self, name, **options):
        with Client(self.address) as client:
            return client.connect(name, **options)


class Client:
    def __init__(self, address):
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *packets):
        self.socket.sendall(b''.join(packets))

    def next(self, patience=PATIENCE):
        """The next packet; b'' when the server has closed, None when nothing came in time."""
        deadline = time.monotonic() + patience
        while True:
            packet, self.unread = wire.split_packet(self.unread)
            if packet:
                return packet
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(65536)
            except socket.timeout:
                return None
            except ConnectionResetError:
                return b''
            if not data:
                return b''
            self.unread += data

    def expect(self, kind, patience=PATIENCE):
        """The body of the next packet, which is of this kind."""
        packet = self.next(patience)
        assert packet, f'{wire.NAMES[kind]} expected, got {"silence" if packet is None else "the end"}'
        got = packet[0] >> 4
        assert got == kind, f'{wire.NAMES[kind]} expected, got {wire.NAMES[got]}: {packet.hex(" ")}'
        return wire.body_of(packet)

    def start_connecting(self, name, version=5, **options):
        self.send(wire.connect(version, name, **options))

    def connect(self, name, version=5, **options):
        """The code of CONNACK."""
        self.start_connecting(name, version, **options)
        return self.expect(wire.CONNACK)[1]

    def publish(self, topic, payload=b'', version=5, packet_id=1):
        """The code of PUBACK."""
        self.send(wire.publish(version, topic, payload, 1, packet_id))
        body = self.expect(wire.PUBACK)
        return body[2] if len(body) > 2 else 0

    def subscribe(self, *filters, version=5, packet_id=1):
        """The codes of SUBACK."""
        self.send(wire.subscribe(version, packet_id, *((topic, 0) for topic in filters)))
        body = self.expect(wire.SUBACK)
        return list(body[-len(filters) :])
