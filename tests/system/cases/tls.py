"""MQTT over TLS: whom the broker is, and what passes, with real clients, openssl's and Python's own TLS."""
from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import wire
from cases.transports import expect_mistake
from certificates import Authority, openssl
from harness import LOCAL, PATIENCE, RawClient, collector, equal, expect, wait_until
from tls_broker import BY_CERTIFICATE, TlsBroker, echo, replace

TESTS, test = collector()


# ---- versions, ciphers, names ----------------------------------------------------------------------------------------


@test
def tls_12_and_13_are_spoken_and_what_is_older_is_not(case):
    own = TlsBroker(case)
    for version, name in ((ssl.TLSVersion.TLSv1_2, 'TLSv1.2'), (ssl.TLSVersion.TLSv1_3, 'TLSv1.3')):
        client = own.connected(name, own.context(version=version))
        equal((name, None), (client.socket.version(), client.socket.compression()))
        echo(client, case.topic(name))
    old = own.context(version=ssl.TLSVersion.TLSv1_1, ciphers='ALL:@SECLEVEL=0')
    own.expect_refused('TLS handshake: unsupported protocol', old)
    case.end(own.broker)


@test
def min_version_13_leaves_12_out(case):
    own = TlsBroker(case, min_version='1.3')
    own.connected('new')
    own.expect_refused('TLS handshake: unsupported protocol', own.context(version=ssl.TLSVersion.TLSv1_2))
    case.end(own.broker)


@test
def ciphers_are_those_that_the_listener_names(case):
    own = TlsBroker(case, ciphers='ECDHE-ECDSA-AES256-GCM-SHA384', ciphersuites='TLS_CHACHA20_POLY1305_SHA256')
    old, new = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    equal('ECDHE-ECDSA-AES256-GCM-SHA384', own.client(own.context(version=old)).socket.cipher()[0])
    equal('TLS_CHACHA20_POLY1305_SHA256', own.client(own.context(version=new)).socket.cipher()[0])
    other = own.context(version=old, ciphers='ECDHE-ECDSA-AES128-GCM-SHA256')
    own.expect_refused('TLS handshake: no shared cipher', other)
    case.end(own.broker)


@test
def each_name_that_a_client_asks_for_has_its_certificate(case):
    authority = Authority(case.file('others'))
    one, wild = authority.issue('one', '/CN=one', 'DNS:one.example'), authority.issue('wild', '/CN=wild', 'DNS:*.wild.example')
    own = TlsBroker(case, certificates=[one.as_settings(), wild.as_settings()])
    context = own.context(root=authority.root)
    context.load_verify_locations(own.authority.root)
    for host, name in (('one.example', 'one'), ('a.wild.example', 'wild'), ('localhost', 'localhost')):
        shown = own.client(context, host).socket.getpeercert()
        equal(((('commonName', name),),), shown['subject'], host)
    context.check_hostname = False
    shown = own.client(context, 'a.b.wild.example').socket.getpeercert()
    equal(((('commonName', 'localhost'),),), shown['subject'], 'a name that there is no certificate for')
    case.end(own.broker)


@test
def a_client_that_asks_for_another_protocol_is_refused(case):
    own = TlsBroker(case)
    for offered, chosen in ((['mqtt'], 'mqtt'), (['http/1.1', 'mqtt'], 'mqtt'), ([], None)):
        context = own.context()
        if offered:
            context.set_alpn_protocols(offered)
        client = own.connected(f'{offered}', context)
        equal(chosen, client.socket.selected_alpn_protocol())
    context = own.context()
    context.set_alpn_protocols(['h2', 'http/1.1'])
    own.expect_refused('TLS handshake: no application protocol', context)
    case.end(own.broker)


@test
def who_does_not_speak_tls_is_told_of_in_the_log(case):
    own = TlsBroker(case)
    plain = RawClient.over(own.plain(), 5)
    plain.send(wire.connect(5, case.id('plain')))
    equal(b'', plain.receive())
    own.broker.wait_for_line('TLS handshake: the client does not speak TLS', 'from=127.0.0.1:')
    case.end(own.broker)


@test
def renegotiation_is_refused(case):
    own = TlsBroker(case)
    client = subprocess.Popen(
        ['openssl', 's_client', '-connect', f'localhost:{own.port}', '-CAfile', own.authority.root, '-tls1_2'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    case.stack.callback(client.wait)
    case.stack.callback(client.kill)
    said = []
    for line in client.stdout:  # all of the session is told before its input is read
        said.append(line)
        if 'Extended master secret' in line:
            break
    client.stdin.write('R\n')
    client.stdin.flush()
    said.append(client.communicate(timeout=PATIENCE)[0])
    text = ''.join(said)
    expect('RENEGOTIATING' in text and 'no renegotiation' in text, text)
    expect('Compression: NONE' in text, text)
    case.end(own.broker)


# ---- sessions --------------------------------------------------------------------------------------------------------


@test
def a_client_comes_back_by_a_ticket_also_after_a_reload(case):
    own = TlsBroker(case, settings={'sys': {'interval': '1s'}})
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = own.context(version=version)
        first = own.connected('first', context)
        expect(not first.socket.session_reused, 'the first')
        own.reload()
        second = own.connected('second', context, session=first.socket.session)
        expect(second.socket.session_reused, 'the second')
        echo(second, case.topic(version.name))
    wait_until(lambda: own.figure('resumed') == 2, 'two in $SYS')
    expect(own.figure('handshakes') >= 4, 'handshakes in $SYS')
    case.end(own.broker)


@test
def without_tickets_nobody_comes_back(case):
    own = TlsBroker(case, tickets=False)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = own.context(version=version)
        first = own.connected('first', context)
        second = own.connected('second', context, session=first.socket.session)
        expect(not second.socket.session_reused, version.name)
    case.end(own.broker)


# ---- real clients ----------------------------------------------------------------------------------------------------


@test
def mosquittos_clients_talk_by_tls(case):
    own = TlsBroker(case)
    secure = ['-h', 'localhost', '-p', str(own.port), '--cafile', own.authority.root]
    subscriber = subprocess.Popen(
        ['mosquitto_sub', *secure, '-i', case.id('sub'), '-t', case.topic('t'), '-q', '1', '-C', '1'],
        stdout=subprocess.PIPE,
    )
    case.stack.callback(subscriber.wait)
    case.stack.callback(subscriber.kill)
    own.broker.wait_for_line('connected', case.id('sub'))
    publish = ['mosquitto_pub', *secure, '-i', case.id('pub'), '-t', case.topic('t'), '-m', 'hello', '-q', '1', '-r']
    subprocess.run(publish, check=True, timeout=PATIENCE)
    equal((b'hello\n', None), subscriber.communicate(timeout=PATIENCE))
    wrong = Authority(case.file('wrong')).root
    refused = subprocess.run(
        ['mosquitto_pub', *secure[:-1], wrong, '-t', 't', '-m', 'x'], capture_output=True, timeout=PATIENCE, check=False
    )
    expect(refused.returncode != 0, 'a client that does not know the authority')
    own.broker.wait_for_line('TLS handshake: tlsv1 alert unknown ca')
    case.end(own.broker)


# ---- files that change -----------------------------------------------------------------------------------------------


class Traffic:
    """Clients that publish to themselves all the time, and notice when they are cut off."""

    def __init__(self, own: TlsBroker, count: int = 8):
        self.clients = [own.connected(f'traffic{number}') for number in range(count)]
        self.own, self.stopping, self.faults, self.rounds = own, False, [], 0
        self.thread = threading.Thread(target=self.run)
        own.case.stack.callback(self.stop)
        self.thread.start()

    def run(self):
        try:
            for number, client in enumerate(self.clients):
                client.subscribe(self.own.case.topic(f'traffic/{number}'))
            while not self.stopping:
                for number, client in enumerate(self.clients):
                    client.send(wire.publish(5, self.own.case.topic(f'traffic/{number}'), b'x' * 1000))
                for client in self.clients:
                    expect(client.receive(), 'cut off')
                self.rounds += 1
        except Exception as fault:  # told by stop()
            self.faults.append(fault)

    def goes_on(self):
        before = self.rounds
        wait_until(lambda: self.faults or self.rounds > before + 2, 'traffic')
        expect(not self.faults, f'{self.faults}')

    def stop(self):
        self.stopping = True
        self.thread.join()
        expect(not self.faults, f'{self.faults}')


@test
def a_new_certificate_is_shown_after_sighup_and_nobody_is_dropped(case):
    own = TlsBroker(case)
    traffic = Traffic(own)
    before = own.served()
    for number in range(3):
        replace(own, own.authority.issue(f'next{number}', '/CN=localhost'))
        equal(before, own.served(), 'not before the signal')
        own.reload()
        traffic.goes_on()
        after = own.served()
        expect(after != before, 'the same certificate')
        before = after
    traffic.stop()
    case.end(own.broker)


@test
def a_new_certificate_is_shown_when_its_files_have_changed_and_nobody_is_dropped(case):
    own = TlsBroker(case, watch_files='100ms')
    traffic = Traffic(own)
    before = own.served()
    for number in range(3):
        replace(own, own.authority.issue(f'next{number}', '/CN=localhost'))
        wait_until(lambda last=before: own.served() != last, 'the new certificate')
        traffic.goes_on()
        before = own.served()
    traffic.stop()
    case.end(own.broker)


@test
def files_that_cannot_be_used_leave_what_was_there_before(case):
    own = TlsBroker(case, watch_files='100ms')
    before = own.served()
    other = own.authority.issue('other', '/CN=localhost')
    shutil.copy(other.cert, own.server.cert)
    own.broker.wait_for_line('changed files cannot be used', 'is not the key of the certificate', 'mqloop.yaml:')
    equal(before, own.served())
    own.broker.send_signal(signal.SIGHUP)
    own.broker.wait_for_line('not reloaded: the configuration that runs stays')
    equal(before, own.served())
    equal(1, len(own.broker.lines('changed files cannot be used')), 'told once')
    shutil.copy(other.key, own.server.key)
    own.broker.wait_for_line('changed files read')
    expect(own.served() != before, 'mended')
    case.end(own.broker)


@test
def another_file_in_the_configuration_is_taken_by_a_reload(case):
    own = TlsBroker(case)
    stays = own.connected('stays')
    before = own.served()
    listener = {**own.listeners[1], 'bind': f'127.0.0.1:{own.port}'}
    listener['tls'] = {**own.tls, **own.authority.issue('other', '/CN=localhost').as_settings(), 'min_version': '1.3'}
    with open(own.broker.config, 'w', encoding='utf-8') as file:
        json.dump({**own.broker.settings, 'listeners': [LOCAL, listener]}, file)
    own.reload()
    expect(own.served() != before, 'the other certificate')
    own.expect_refused('unsupported protocol', own.context(version=ssl.TLSVersion.TLSv1_2))
    stays.ping()
    case.end(own.broker)


# ---- slow clients ----------------------------------------------------------------------------------------------------


def first_flight(own: TlsBroker) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = own.context().wrap_bio(incoming, outgoing, server_hostname='localhost')
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class Trickle:
    """A client whose bytes go one at a time, by TLS of Python's own."""

    def __init__(self, own: TlsBroker, version):
        self.socket = own.plain()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = own.context(version=version).wrap_bio(self.incoming, self.outgoing, server_hostname='localhost')

    def run(self, step):
        while True:
            try:
                result = step()
                self.carry_out()
                return result
            except ssl.SSLWantReadError:
                self.carry_out()
                self.incoming.write(self.socket.recv(1))

    def carry_out(self):
        for byte in self.outgoing.read():
            self.socket.sendall(bytes([byte]))


@test
def a_handshake_may_come_byte_by_byte(case):
    own = TlsBroker(case)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = Trickle(own, version)
        client.run(client.tls.do_handshake)
        client.run(lambda one=client: one.tls.write(wire.connect(5, case.id())))
        equal(b'\x20', client.run(lambda one=client: one.tls.read(4096))[:1], 'CONNACK')
    case.end(own.broker)


class Counting(Trickle):
    """A client that sees the records in which its data comes, and sends all that it has at once."""

    records = 0

    def run(self, step):
        while True:
            try:
                result = step()
                self.carry_out()
                return result
            except ssl.SSLWantReadError:
                self.carry_out()
                data = self.socket.recv(1 << 20)
                self.incoming.write(data)
                while data:
                    self.records += 1
                    data = data[5 + int.from_bytes(data[3:5], 'big') :]

    def carry_out(self):
        self.socket.sendall(self.outgoing.read())

    def receive(self, size: int) -> bytes:
        data = b''
        while len(data) < size:
            data += self.run(lambda: self.tls.read(65536))
        return data


@test
def all_that_the_broker_says_in_a_turn_is_one_record(case):
    own = TlsBroker(case)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = Counting(own, version)
        client.run(client.tls.do_handshake)
        client.run(lambda one=client: one.tls.write(wire.connect(4, case.id()) + wire.subscribe(4, 1, ('t', 0))))
        client.receive(4 + 5)  # CONNACK and SUBACK; a ticket may come before
        before = client.records
        publishes = wire.publish(4, 't', b'x' * 100) * 50
        client.run(lambda one=client: one.tls.write(publishes))
        equal(publishes, client.receive(len(publishes)))
        equal(1, client.records - before, version.name)
    case.end(own.broker)


@test
def a_thousand_half_open_handshakes_keep_nobody_out(case):
    own = TlsBroker(case, settings={'limits': {'connect_timeout': '5m'}})
    hello = first_flight(own)
    waiting = []
    for number in range(1000):
        one = own.plain()
        one.sendall((b'', hello[: len(hello) // 2], hello)[number % 3])
        waiting.append(one)
    for number in range(20):
        echo(own.connected(f'{number}'), case.topic(f'{number}'))
    expect(all(one.fileno() >= 0 for one in waiting), 'they have waited')
    for one in waiting:
        one.close()
    wait_until(lambda: own.broker.open_files() < 200, 'them to be gone')
    case.end(own.broker)


@test
def connect_timeout_is_for_tcp_tls_and_connect_together(case):
    own = TlsBroker(case, settings={'limits': {'connect_timeout': '2s'}})
    hello = first_flight(own)
    start = time.monotonic()
    slow, silent = own.plain(), own.plain()
    late = own.client()  # whose handshake is done, and whose CONNECT never ends
    late.send(wire.connect(5, case.id())[:-1])
    for byte in hello[:20]:
        slow.sendall(bytes([byte]))
        time.sleep(0.05)
    for one in (slow, silent):
        equal(b'', one.recv(1000))
    equal(b'', late.receive())
    expect(time.monotonic() - start >= 1.9, 'they had less time than they were given')
    wait_until(lambda: len(own.broker.lines('no whole CONNECT within limits.connect_timeout')) == 3, 'three lines')
    case.end(own.broker)


# ---- what passes -----------------------------------------------------------------------------------------------------


@test
def large_messages_pass_in_both_directions(case):
    own = TlsBroker(case)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = own.connected(version.name, own.context(version=version))
        for size in (1, 16383, 16384, 16385, 70_000, 900_000):
            payload = os.urandom(size)
            client.send(wire.publish(5, case.topic('kept'), payload, retain=True))
            client.subscribe(case.topic('kept'))
            expect(client.receive().endswith(payload), f'{size} bytes')
            client.send(wire.unsubscribe(5, 2, case.topic('kept')))
            client.receive()
    case.end(own.broker)


@test
def who_reads_slowly_gets_all_of_it(case):
    own = TlsBroker(case)
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.settimeout(PATIENCE)
    one.connect(('127.0.0.1', own.port))
    case.stack.callback(one.close)
    reader = own.over(one)
    reader.connect(case.id('reader'))
    reader.subscribe(case.topic('t'), 1)
    writer = own.connected('writer')
    payloads = [os.urandom(50_000) for _ in range(60)]
    for number, payload in enumerate(payloads, 1):
        writer.send(wire.publish(5, case.topic('t'), payload, qos=1, packet_id=number))
    for _ in payloads:
        equal(b'\x40', writer.receive()[:1], 'PUBACK')
    for payload in payloads:
        packet = reader.receive()
        expect(packet.endswith(payload), 'in order and whole')
    case.end(own.broker)


@test
def what_the_broker_says_last_arrives(case):
    own = TlsBroker(case)
    client = own.connected('client')
    own.connected('client')
    packet = client.receive()
    equal((b'\xe0', 0x8E), (packet[:1], packet[2]), 'DISCONNECT: taken over')
    equal(b'', client.receive(), 'and then the end of TLS, not a cut')
    case.end(own.broker)


@test
def a_client_goes_to_its_sessions_reactor_with_all_that_it_has_sent(case):
    """With two reactors the first clients get one in turn, and whoever takes one of them over comes to the first."""
    own = TlsBroker(case)
    payload = os.urandom(40_000)
    clients: list = [None] * 12
    for round_ in range(3):
        for number, before in enumerate(clients):
            client = own.client(version=5)
            topic = case.topic(f'{number}')
            connect = wire.connect(5, case.id(f'{number}'), clean=round_ == 0, props=((wire.SESSION_EXPIRY, 600),))
            client.send(connect + wire.subscribe(5, 1, (topic, 0)) + wire.publish(5, topic, payload, qos=1, packet_id=2))
            packet = client.receive()
            equal((0x20, int(round_ > 0), 0), (packet[0], packet[2], packet[3]), 'CONNACK with its session')
            packets = {packet[0] >> 4: packet for packet in (client.receive(), client.receive(), client.receive())}
            equal({9, 4, 3}, set(packets), 'SUBACK, PUBACK and the message')
            expect(packets[3].endswith(payload), 'whole')
            if before:
                equal(b'\xe0', before.receive()[:1], 'DISCONNECT: taken over')
                before.close()
            clients[number] = client
    for client in clients:
        client.ping()
    case.end(own.broker)


@test
def a_proxy_may_stand_before_tls(case):
    authority = Authority(case.file('clients'))
    own = TlsBroker(
        case,
        listener={'proxy_protocol': {'from': ['127.0.0.1']}},
        settings=BY_CERTIFICATE,
        client_ca=authority.root,
        verify_client='required',
    )
    one = own.plain()
    one.sendall(b'PROXY TCP4 192.0.2.1 198.51.100.2 51234 8883\r\n')
    client = own.over(one, own.context(authority.issue('sensor', '/CN=sensor7')))
    client.connect(case.id())
    own.broker.wait_for_line('connected', case.id(), 'user=sensor7 ', 'from=192.0.2.1:51234')
    case.end(own.broker)


# ---- what is wrong is said -------------------------------------------------------------------------------------------


@test
def mistakes_are_told_with_their_place(case):
    authority = Authority(case.file('authority'))
    good, other = authority.issue('good', '/CN=localhost'), authority.issue('other', '/CN=localhost')
    locked = authority.path('locked.key')
    openssl(authority.folder, 'pkey', '-in', good.key, '-aes256', '-passout', 'pass:x', '-out', locked)
    pair = good.as_settings()
    for number, (what, status, tls) in enumerate(
        (
            ('tls: needs cert and key', 3, {}),
            ('key: its certificate is missing', 3, {'key': good.key}),
            ('cannot read "/nowhere/server.pem": No such file', 5, {**pair, 'cert': '/nowhere/server.pem'}),
            ('is not the key of the certificate', 5, {**pair, 'key': other.key}),
            ('is locked with a password', 5, {**pair, 'key': locked}),
            ('holds no certificate', 5, {**pair, 'cert': good.key}),
            ('holds no private key', 5, {**pair, 'key': good.cert}),
            ("ciphers: 'ROT13': no cipher match", 3, {**pair, 'ciphers': 'ROT13'}),
            ("min_version: 'is not", 3, {**pair, 'min_version': '1.1'}),
            ('verify_client: needs client_ca', 3, {**pair, 'verify_client': 'required'}),
            ('client_ca: clients are not asked', 3, {**pair, 'client_ca': authority.root}),
            ('crl: clients are not asked', 3, {**pair, 'crl': authority.root}),
            ('holds no list of revoked', 5,
             {**pair, 'client_ca': authority.root, 'verify_client': 'required', 'crl': authority.root}),
        )
    ):  # fmt: skip
        listener = {**LOCAL, 'name': 'secure', 'transport': 'tls', 'tls': tls}
        what = what.replace("min_version: 'is not", '1.1')
        expect_mistake(case, what, f'wrong{number}', status=status, listeners=[LOCAL, listener])


@test
def mistakes_in_a_file_of_keys_are_told_line_by_line_and_without_the_keys(case):
    keys = case.file('keys')
    secret = '0123456789abcdef' * 2
    with open(keys, 'w', encoding='ascii') as file:
        file.write(f'good:{secret}\n\n# nothing\nnokey\n:{secret}\ngood:{secret}\nshort:abcd\nodd:{secret}z\nbad:{secret[:-1]}g\n')
    listener = {**LOCAL, 'name': 'secure', 'transport': 'tls', 'tls': {'psk_file': keys}}
    for what in (':4:1: ', ':5:1: ', ':6:1: ', ':7:7: ', ':8:5: ', ':9:36: '):
        expect_mistake(case, f'{keys}{what}', f'wrong{what}'.replace(':', '-').strip(), status=3, listeners=[LOCAL, listener])
    with open(case.file('wrong-4-1-/stderr'), encoding='utf-8') as file:
        expect(secret[:8] not in file.read(), 'a key is told')


@test
def a_certificate_that_ends_and_a_key_for_all_to_read_are_warned_of(case):
    authority = Authority(case.file('authority'))
    old = authority.expired('old', '/CN=old')
    soon = time.strftime('%y%m%d%H%M%SZ', time.gmtime(time.time() + 3 * 86400))
    near = authority.issue('near', '/CN=near', 'DNS:near.example', ends=soon)
    os.chmod(near.key, 0o644)
    own = TlsBroker(case, certificates=[old.as_settings(), near.as_settings()], settings={'sys': {'interval': '1s'}})
    own.broker.wait_for_line('warn tls', 'the certificate has expired', old.cert, '2020-02-01')
    own.broker.wait_for_line('warn tls', 'the certificate expires soon', near.cert)
    own.broker.wait_for_line('warn tls', 'everybody on this machine can read a secret key', near.key)
    equal([], own.broker.lines('warn tls', own.server.cert))
    equal(0, own.figure('certificate_expires'))
    case.end(own.broker)


@test
def mosquitto_2283_no_key_of_tls_opens_the_broker_to_others(case):
    """As one of mosquitto's did (2.0.12, #2283): the address stays, and who is from elsewhere needs an identity."""
    authority = Authority(case.file('authority'))
    pair = authority.issue('server', '/CN=localhost').as_settings()
    trust = {'client_ca': authority.root, 'verify_client': 'optional'}
    for number, tls in enumerate((pair, {**pair, **trust}, {**pair, **trust, 'crl': authority.revocations()})):
        listener = {**LOCAL, 'name': 'secure', 'transport': 'tls', 'tls': tls, 'bind': '0.0.0.0:0', 'chain': 'none'}
        expect_mistake(case, 'none lets anyone in', f'open{number}', status=3, listeners=[LOCAL, listener])
