"""MQTT over WebSocket: RFC 6455 and chapter 6 of MQTT over a plain socket, and clients that others have written."""
from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time

import wire
from harness import ROOT, RawClient, Ways, collector, equal, expect, wait_until
from web_socket import CLOSE, FIN, PING, PONG, TEXT, WebSocketClient, close_payload, frame, request

TESTS, test = collector()


def is_secure(case) -> bool:
    return case.prefix.endswith('_over_tls')


def plain_and_secure(function):
    """A test that is done by ws and by wss."""
    test(function)

    def over_tls(case):
        function(case)

    over_tls.__name__ = f'{function.__name__}_over_tls'
    test(over_tls)
    return function


def listener(case=None, **more) -> dict:
    secure = {'tls': Ways.certificate()} if case and is_secure(case) else {}
    return {'name': 'local', 'transport': 'websocket', 'bind': '127.0.0.1:0', **secure, **more}


def client(case, broker=None, version: int = 5, **options) -> WebSocketClient:
    port = broker.port if broker else case.shared.ports()['wss' if is_secure(case) else 'web']
    made = WebSocketClient(port, version, secure=is_secure(case), **options)
    case.stack.callback(made.close)
    return made


def connected(case, name: str, broker=None, version: int = 5, **options) -> WebSocketClient:
    return client(case, broker, version).upgrade().connect(case.id(name), **options)


# What the peer does, and the code with which the broker closes.
VIOLATIONS = {
    'reserved bit 1': (frame(b'x', first=FIN | 0x40), 1002),
    'reserved bit 2': (frame(b'x', first=FIN | 0x20), 1002),
    'reserved bit 3': (frame(b'x', first=FIN | 0x10), 1002),
    **{f'opcode {code}': (frame(b'x', code), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    'unmasked': (frame(b'x', masked=False), 1002),
    'fragmented ping': (frame(b'x', PING, first=0), 1002),
    'fragmented close': (frame(close_payload(1000), CLOSE, first=0), 1002),
    'ping of 126 bytes': (frame(bytes(126), PING), 1002),
    'pong of 65536 bytes': (frame(b'', PONG, length=b'\x7f' + (65536).to_bytes(8, 'big')), 1002),
    'close of 126 bytes': (frame(close_payload(1000, bytes(124)), CLOSE), 1002),
    'length with bit 63': (frame(b'', length=b'\x7f\x80' + bytes(7)), 1002),
    'nothing to continue': (frame(b'x', 0), 1002),
    'a message inside a message': (frame(b'\xc0', first=0) + frame(b'\x00'), 1002),
    'text': (frame(b'x', TEXT), 1003),
    'empty text': (frame(b'', TEXT), 1003),
    'fragmented text': (frame(b'x', TEXT, first=0), 1003),
    'close with one byte': (frame(b'\x03', CLOSE), 1002),
    'close with bad UTF-8': (frame(close_payload(1000, b'\xc3\x28'), CLOSE), 1007),
    'close with cut UTF-8': (frame(close_payload(1000, b'ok \xe2\x82'), CLOSE), 1007),
    **{f'close {code}': (frame(close_payload(code), CLOSE), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535)},
    **{f'good close {code}': (frame(close_payload(code, b'bye'), CLOSE), code) for code in (1000, 1001, 1011, 3000, 4999)},
    'close without a code': (frame(b'', CLOSE), 1000),
}


@plain_and_secure
def websocket_frames_that_break_rfc_6455_before_connect_close_with_the_right_code(case):
    for what, (data, code) in VIOLATIONS.items():
        peer = client(case).upgrade()
        peer.send_raw(data)
        equal(code, peer.end(), what)


@plain_and_secure
def websocket_frames_that_break_rfc_6455_on_an_open_connection_close_with_the_right_code(case):
    for what, (data, code) in VIOLATIONS.items():
        peer = connected(case, 'peer')
        peer.send_raw(data)
        equal(code, peer.end(), what)


@plain_and_secure
def requests_that_are_no_upgrade_are_refused_in_http(case):
    for status, text in (
        (400, request(protocol='')),
        (400, request(protocol='chat')),
        (404, request(path='/')),
        (403, request(more='Origin: http://evil.example\r\n')),
        (405, b'POST /mqtt HTTP/1.1\r\n\r\n'),
        (405, b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        (426, b'GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n'),
        (431, request(more=f'X: {"x" * 9000}\r\n')),
    ):
        peer = client(case)
        head = peer.answer(text)
        expect(head.startswith(f'HTTP/1.1 {status} '.encode()), f'{status}: {head!r}')
        expect(b'\r\nConnection: close\r\n' in head, f'{head!r}')
        while data := peer.socket.recv(65536):
            peer.buffer += data
        expect(len(peer.buffer) > 5, f'{status} does not say why')


@test
def cve_2025_1866_no_extension_is_agreed_to(case):
    peer = client(case).upgrade(more='Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n')
    peer.connect(case.id('plain')).ping()


@test
def cve_2026_19773_http_2_is_not_spoken(case):
    expect(client(case).answer(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n').startswith(b'HTTP/1.1 405 '), 'prior knowledge')
    head = client(case).answer(request().replace(b'Upgrade: websocket', b'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk'))
    expect(head.startswith(b'HTTP/1.1 426 '), f'{head!r}')


@test
def cve_2025_11677_the_callback_that_confirms_an_upgrade_is_not_used(case):
    """It is not mended in Debian 12. Nothing in the plugin may name it."""
    folder = os.path.join(ROOT, 'plugins', 'transport_websocket')
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding='utf-8') as file:
            expect('CONFIRM_UPGRADE' not in file.read(), name)


@test
def both_subprotocols_are_served(case):
    for protocol in ('mqtt', 'mqttv3.1'):
        client(case, version=3).upgrade(protocol).connect(case.id(protocol.replace('.', ''))).ping()


@plain_and_secure
def packets_and_frames_need_not_meet(case):
    """Packets over several frames and several in one, cut at every byte, with fragments and control frames between."""
    peer = connected(case, 'peer', version=4)
    peer.send(wire.subscribe(4, 1, (case.topic('t'), 0)))
    equal(b'\x90', peer.receive()[:1])
    packets = wire.publish(4, case.topic('t'), 'first', 0, 0) + wire.PING + wire.publish(4, case.topic('t'), 'second', 0, 0)
    for cut in range(1, len(packets)):
        head, tail = packets[:cut], packets[cut:]
        if cut % 2:
            peer.send_raw(frame(head) + frame(b'') + frame(tail))
        else:
            peer.send_raw(frame(head, first=0) + frame(b'between', PING) + frame(b'', 0, first=0) + frame(tail, 0))
        got = sorted(peer.receive()[:1] for _ in range(3))
        equal([b'\x30', b'\x30', b'\xd0'], got, f'cut at {cut}')
    peer.send_raw(b''.join(frame(packets[i:i + 1]) for i in range(len(packets))))
    equal([b'\x30', b'\x30', b'\xd0'], sorted(peer.receive()[:1] for _ in range(3)), 'a frame for each byte')
    for byte in (data := frame(packets)):
        peer.send_raw(bytes([byte]))
    equal([b'\x30', b'\x30', b'\xd0'], sorted(peer.receive()[:1] for _ in range(3)), f'{len(data)} writes')
    equal({PONG}, {opcode for opcode, _ in peer.control})
    equal({b'between'}, {payload for _, payload in peer.control})


@plain_and_secure
def frames_of_every_length_go_through(case):
    peer = connected(case, 'peer', version=4)
    peer.send(wire.subscribe(4, 1, (case.topic('t'), 0)))
    peer.receive()
    around = len(wire.publish(4, case.topic('t'), '', 0, 0))
    for size in (around, 124, 125, 126, 127, 128, 2047, 2048, 2049, 4095, 4096, 4097, 65534, 65535, 65536, 65537, 200000):
        # What surrounds a longer payload may be longer by its length; two packets make up for it.
        packet = wire.publish(4, case.topic('t'), 'x' * (size - around), 0, 0)
        longer = len(packet) - size
        if longer and len(wire.publish(4, case.topic('t'), 'x' * (size - around - longer), 0, 0)) == size:
            packet = wire.publish(4, case.topic('t'), 'x' * (size - around - longer), 0, 0)
        peer.send(packet)
        equal(packet, peer.receive(), f'{size} bytes')


@test
def cve_2026_25627_a_frame_that_is_shorter_than_its_packet_waits_for_the_rest(case):
    """What the packet says of its length is not there yet."""
    peer = connected(case, 'peer', version=4)
    peer.send(b'\x30\x7f\x00\x05')
    peer.send(b'aa')
    peer.send_raw(frame(b'are you there', PING))
    equal((PONG, b'are you there'), peer.receive_control())
    peer.send(b'a' * 3 + b'x' * 120)
    peer.ping()


@plain_and_secure
def pings_are_answered_in_every_state(case):
    peer = client(case).upgrade()
    peer.send_raw(frame(b'early', PING))
    equal((PONG, b'early'), peer.receive_control())
    peer.send_raw(frame(wire.connect(5, case.id('peer'))) + frame(b'with connect', PING))
    equal((PONG, b'with connect'), peer.receive_control())
    equal(b'\x20', peer.receive()[:1])
    for payload in (b'', b'open', bytes(125)):
        peer.send_raw(frame(payload, PING))
        equal((PONG, payload), peer.receive_control())
    peer.send_raw(frame(b'unasked', PONG))
    peer.ping()


@plain_and_secure
def a_disconnect_ends_in_a_close_frame(case):
    peer = connected(case, 'peer')
    peer.send(b'\xe0\x00')
    equal(1000, peer.end())
    refused = client(case).upgrade()
    refused.send(wire.connect(5, '\0'))
    equal(1000, refused.end())


@plain_and_secure
def all_packets_of_a_turn_are_one_frame(case):
    peer = connected(case, 'peer')
    peer.send(wire.subscribe(5, 1, (case.topic('t'), 0)))
    peer.receive()
    peer.frames = 0
    peer.send(wire.publish(5, case.topic('t'), 'm', 0, 0) * 30)
    for _ in range(30):
        equal(b'\x30', peer.receive()[:1])
    equal(1, peer.frames)


@plain_and_secure
def a_session_is_found_from_every_connection(case):
    """A connection moves to its session's reactor in the midst of frames: cut anywhere, it goes on there."""
    sender = case.raw(4, 'sender')
    first = connected(case, 'c', version=4, clean=False)
    first.send(wire.subscribe(4, 1, (case.topic('t'), 1)))
    first.receive()
    first.send(b'\xe0\x00')
    connect = wire.connect(4, case.id('c'), clean=False)
    rest = wire.PING + wire.publish(4, case.topic('u'), 'x' * 300, 1, 9)
    for i in range(40):
        others = [case.raw(4, f'filler{j}') for j in range(i % 3)]  # shifts which reactor is next
        peer = client(case, version=4)
        behind = frame(connect + rest[:1], first=0) + frame(b'p', PING) + frame(rest[1:200], 0, first=0) + frame(rest[200:], 0)
        cut = len(behind) - 3 * i - 1
        if i % 2:
            peer.upgrade(behind=behind[:cut])
        else:
            peer.upgrade()
            peer.send_raw(behind[:cut])
        equal(wire.connack(4, 0, True), peer.receive(), f'connection {i}')
        peer.send_raw(behind[cut:])
        equal([b'\x40', b'\xd0'], sorted(peer.receive()[:1] for _ in range(2)), f'connection {i}')
        equal([(PONG, b'p')], peer.control)
        sender.send(wire.publish(4, case.topic('t'), f'{i}', 1, 1))
        sender.receive()
        message = peer.receive()
        equal(f'{i}'.encode(), message[-len(f'{i}'):])
        identifier = int.from_bytes(wire.body_of(message)[2 + len(case.topic('t')):][:2], 'big')
        peer.send(wire.puback(4, identifier))
        peer.send(b'\xe0\x00')
        equal(1000, peer.end())
        for other in others:
            other.close()


@plain_and_secure
def who_reads_nothing_is_not_waited_for_and_misses_nothing(case):
    """Back-pressure: the broker keeps what does not fit into the socket, without spinning, and sends it all when it can."""
    output = {'soft': '64MiB', 'hard': '128MiB', 'stall': 'infinite'}
    broker = case.start_broker(listeners=[listener(case)], limits={'output': output})
    reader = client(case, broker, receive_buffer=4096).upgrade().connect(case.id('reader'))
    reader.send(wire.subscribe(5, 1, (case.topic('t'), 0)))
    reader.receive()
    writer = connected(case, 'writer', broker)
    for i in range(150):
        writer.send(wire.publish(5, case.topic('t'), f'{i:06}' + 'x' * 60_000, 0, 0))
    writer.ping()
    before = broker.cpu_seconds()
    time.sleep(1)
    expect(broker.cpu_seconds() - before < 0.5, 'it spins while a client does not read')
    writer.ping()
    for i in range(150):
        expect(f'{i:06}'.encode() in reader.receive()[:120], f'message {i}')
    reader.ping()
    case.end(broker)


@plain_and_secure
def who_is_not_read_waits(case):
    """Back-pressure the other way: limits.rates leaves unread what comes too fast."""
    broker = case.start_broker(listeners=[listener(case)], limits={'rates': {'bytes_per_client': '200KiB/s'}})
    writer = connected(case, 'writer', broker)
    for i in range(60):
        writer.send(wire.publish(5, case.topic('t'), 'x' * 10_000, 1, i + 1))
    before = broker.cpu_seconds()
    for i in range(60):
        equal(b'\x40', writer.receive()[:1], f'PUBACK {i}')
    expect(broker.cpu_seconds() - before < 1, 'it spins while it does not read')
    case.end(broker)


@plain_and_secure
def slow_and_silent_peers_are_cut_off_and_disturb_nobody(case):
    """limits.connect_timeout counts from the accept to a whole CONNECT, over the upgrade."""
    broker = case.start_broker(listeners=[listener(case)], limits={'connect_timeout': '2s'})
    files = broker.open_files()
    stages = (b'', b'GET /mq', request()[:-4], request(), request() + frame(wire.connect(5, 'x'))[:-3])
    peers = []
    for i in range(250):
        peers.append(client(case, broker))
        peers[-1].send_raw(stages[i % len(stages)])
    connected(case, 'served', broker).ping()
    for peer in peers:
        while True:
            try:
                if not peer.socket.recv(65536):
                    break
            except (ConnectionError, ssl.SSLError):
                break
    wait_until(lambda: broker.open_files() <= files + 12, 'the descriptors of those that are gone')
    case.end(broker)


@test
def peers_that_vanish_in_every_stage_leave_nothing(case):
    broker = case.start_broker(listeners=[listener()])
    connected(case, 'first', broker).close()
    stages = (b'', b'GET', request(), request() + frame(wire.connect(5, 'x'))[:9], request() + frame(wire.connect(5, 'y')))
    for how in ('close', 'reset', 'half'):
        for stage in stages:
            peer = client(case, broker)
            if b'\r\n\r\n' in stage:
                head, end, frames = stage.partition(b'\r\n\r\n')
                peer.answer(head + end)
                peer.send_raw(frames)
            else:
                peer.send_raw(stage)
            if how == 'reset':
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            if how == 'half':
                peer.socket.shutdown(socket.SHUT_WR)
                peer.end() if stage[:3] == b'GET' and len(stage) > 3 else peer.socket.recv(1)
            peer.close()
    wait_until(lambda: broker.open_files() < 40, 'the descriptors of those that are gone')
    before = broker.cpu_seconds()
    time.sleep(1)
    expect(broker.cpu_seconds() - before < 0.5, 'it spins over a peer that has gone')
    case.end(broker)


@test
def a_thousand_silent_connections_cost_nothing(case):
    broker = case.start_broker(listeners=[listener()])
    for i in range(1000):
        connected(case, f'{i}', broker)
    before = broker.cpu_seconds()
    time.sleep(2)
    expect(broker.cpu_seconds() - before < 1, 'it does something for connections on which nothing happens')
    case.end(broker)


@test
def a_trusted_proxy_tells_who_comes(case):
    broker = case.start_broker(
        listeners=[listener(trusted_proxies=['127.0.0.1'], anonymous='always'), listener(name='direct')],
        auth={'anonymous': 'loopback', 'i_accept_the_risk': True},
    )
    client(case, broker).upgrade(more='X-Forwarded-For: 10.0.0.1, 203.0.113.7\r\n').connect(case.id('told'))
    broker.wait_for_line('connected', case.id('told'), 'from=203.0.113.7:0')
    # Nobody is trusted on the other listener, and whoever comes by a proxy is not from here.
    peer = WebSocketClient(broker.ports()['direct'])
    case.stack.callback(peer.close)
    peer.upgrade(more='X-Forwarded-For: 127.0.0.1\r\n').send(wire.connect(5, case.id('other')))
    equal(b'\x87', peer.receive()[3:4], 'Not authorized')
    case.end(broker)


@test
def plain_mqtt_is_told_that_this_is_websocket(case):
    peer = RawClient(case.shared.ports()['web'], 5)
    case.stack.callback(peer.close)
    peer.send(wire.connect(5, case.id('plain')))
    data = peer.socket.recv(65536)
    expect(data.startswith(b'HTTP/1.1 405 '), f'{data!r}')


@plain_and_secure
def python_websockets_gets_along(case):
    import websockets

    secure = {'ssl': ssl.create_default_context(cafile=Ways.authority.root)} if is_secure(case) else {}
    scheme, port = ('wss', 'wss') if secure else ('ws', 'web')

    async def talk():
        uri = f'{scheme}://localhost:{case.shared.ports()[port]}/mqtt'
        async with websockets.connect(uri, subprotocols=['mqtt'], max_size=None, **secure) as peer:
            await peer.send(wire.connect(5, case.id('peer')))
            equal(b'\x20', (await peer.recv())[:1])
            await peer.send(wire.subscribe(5, 1, (case.topic('t'), 2)))
            equal(b'\x90', (await peer.recv())[:1])
            packet = wire.publish(5, case.topic('t'), 'x' * 100_000, 0, 0)
            await peer.send([packet[:10], packet[10:70_000], packet[70_000:]])  # fragments
            got = b''
            while len(got) < len(packet):
                got += await peer.recv()
            equal(packet, got)
            await (await peer.ping(b'are you there'))
            await peer.send(b'\xe0\x00')
            await peer.wait_closed()
            equal(1000, peer.close_code)

    asyncio.run(talk())
