"""MQTT over TLS: who clients are, by the certificates and keys that they show."""
from __future__ import annotations

import json
import os
import ssl
import subprocess
import time

import paho.mqtt.client as paho
import wire
from certificates import Authority, openssl
from harness import PATIENCE, collector, equal, expect, wait_until
from tls_broker import BY_CERTIFICATE, TlsBroker

TESTS, test = collector()

BAD_USER_NAME_OR_PASSWORD = 0x86


# ---- certificates of clients -----------------------------------------------------------------------------------------


@test
def nobody_is_asked_for_a_certificate_by_default(case):
    own = TlsBroker(case, settings=BY_CERTIFICATE)
    client = own.client(own.context(own.authority.issue('sensor', '/CN=sensor7')))
    client.send(wire.connect(5, case.id()))
    equal(BAD_USER_NAME_OR_PASSWORD, client.receive()[3], 'it was not shown')
    case.end(own.broker)


@test
def a_certificate_that_is_required_and_good_gives_the_user_name(case):
    authority = Authority(case.file('clients'))
    own = TlsBroker(case, client_ca=authority.root, verify_client='required', settings=BY_CERTIFICATE)
    good = authority.issue('good', '/O=Example/CN=sensor7')
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        own.connected(version.name, own.context(good, version))
        own.broker.wait_for_line('connected', case.id(version.name), 'user=sensor7 ')
        for why, pair in (
            ('peer did not return a certificate', None),
            ('certificate verify failed: certificate has expired', authority.expired('old', '/CN=sensor7')),
            ('certificate verify failed: self-signed certificate in', own.authority.issue('other', '/CN=sensor7')),
        ):
            own.expect_refused(f'TLS handshake: {why}', own.context(pair, version))
    case.end(own.broker)


@test
def a_certificate_that_is_optional_may_be_missing_and_may_not_be_bad(case):
    authority = Authority(case.file('clients'))
    own = TlsBroker(case, client_ca=authority.root, verify_client='optional')
    own.connected('none')
    own.connected('good', own.context(authority.issue('good', '/CN=sensor7')))
    bad = own.context(own.authority.issue('other', '/CN=sensor7'))
    own.expect_refused('certificate verify failed', bad)
    case.end(own.broker)


@test
def the_user_name_may_stand_anywhere_in_the_certificate(case):
    authority = Authority(case.file('clients'))
    pair = authority.issue('one', '/O=Example/CN=sensor7', 'DNS:seven.example,email:seven@example.org,URI:urn:dev:7')
    shown = openssl(authority.folder, 'x509', '-in', pair.cert, '-noout', '-fingerprint', '-sha256')
    fingerprint = shown.strip().rpartition('=')[2].replace(':', '').lower()
    own = TlsBroker(case, client_ca=authority.root, verify_client='required', settings=BY_CERTIFICATE)
    for name, config, user in (
        ('subject', {}, '"CN=sensor7,O=Example"'),
        ('dns', {}, 'seven.example'),
        ('email', {}, 'seven@example.org'),
        ('uri', {}, 'urn:dev:7'),
        ('fingerprint', {}, fingerprint),
        ('common_name', {'prefix': 'tls:'}, 'tls:sensor7'),
        ('common_name', {'users': {'sensor7': 'bob'}}, 'bob'),
    ):
        plugin = {'name': 'certificates', 'plugin': 'auth_tls', 'config': {'name_from': ['psk', name], **config}}
        with open(own.broker.config, 'w', encoding='utf-8') as file:
            json.dump({**own.broker.settings, 'plugins': [plugin]}, file)
        own.reload()
        client = own.connected(user, own.context(pair))
        own.broker.wait_for_line('connected', case.id(user).replace('"', '\\"'), f'user={user} ')
        client.close()
    case.end(own.broker)


@test
def who_is_revoked_is_refused_at_once_and_with_an_old_session_too(case):
    authority = Authority(case.file('clients'))
    good, bad = authority.issue('good', '/CN=good'), authority.issue('bad', '/CN=bad')
    own = TlsBroker(
        case, client_ca=authority.root, verify_client='required', crl=authority.revocations(), watch_files='100ms'
    )
    contexts = [own.context(pair) for pair in (good, bad)]
    clients = [own.connected(f'{number}', context) for number, context in enumerate(contexts)]
    session = clients[1].socket.session
    expect(session.has_ticket, 'a ticket')
    again = own.connected('again', contexts[1], session=session)
    expect(again.socket.session_reused, 'it comes back')
    authority.revoke(bad)
    authority.revocations()
    own.broker.wait_for_line('changed files read', 'listener=secure')
    own.expect_refused('certificate verify failed: certificate revoked', contexts[1], session=session)
    expect(not own.connected('good', contexts[0], session=clients[0].socket.session).socket.session_reused, 'tickets go')
    for client in [*clients, again]:
        client.ping()
    case.end(own.broker)


@test
def a_session_does_not_outlive_its_clients_certificate(case):
    authority = Authority(case.file('clients'))
    own = TlsBroker(case, client_ca=authority.root, verify_client='required')
    for seconds in (3, 10, 30):  # a machine that has much else to do needs longer
        ends = time.time() + seconds
        pair = authority.issue(f'{seconds}', '/CN=brief', ends=time.strftime('%y%m%d%H%M%SZ', time.gmtime(ends)))
        context = own.context(pair)
        try:
            first = own.connected('first', context)
            break
        except (ssl.SSLError, ConnectionError, AssertionError):
            expect(time.time() >= ends and seconds < 30, 'it holds, and the client is not let in')
    wait_until(lambda: time.time() > ends + 1, 'the certificate to expire')
    own.expect_refused("the client's certificate has expired since", context, session=first.socket.session)
    first.ping()
    case.end(own.broker)


@test
def paho_talks_by_tls_with_a_certificate(case):
    authority = Authority(case.file('clients'))
    own = TlsBroker(case, client_ca=authority.root, verify_client='required', settings=BY_CERTIFICATE)
    pair = authority.issue('paho', '/CN=paho')
    client = paho.Client(case.id('paho'), protocol=paho.MQTTv5)
    client.tls_set(own.authority.root, pair.cert, pair.key)
    came = []
    client.on_message = lambda _client, _data, message: came.append(message.payload)
    client.on_connect = lambda *_: client.subscribe(case.topic('t'), 1)
    client.on_subscribe = lambda *_: client.publish(case.topic('t'), b'hello', 1)
    client.connect('localhost', own.port)
    client.loop_start()
    case.stack.callback(client.loop_stop)
    case.stack.callback(client.disconnect)
    wait_until(lambda: came == [b'hello'], 'the message')
    own.broker.wait_for_line('connected', case.id('paho'), 'user=paho ')
    case.stack.close()


def by_psk(own: TlsBroker, identity: str, key: str, *more: str) -> int:
    command = ['mosquitto_pub', '-h', '127.0.0.1', '-p', str(own.port), '--psk', key, '--psk-identity', identity]
    result = subprocess.run(
        [*command, '-i', own.case.id(identity), '-t', 't', '-m', 'x', '-q', '1', *more],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return result.returncode


@test
def a_key_shared_before_lets_in_and_gives_the_user_name(case):
    keys = case.file('keys')
    with open(keys, 'w', encoding='ascii') as file:
        file.write(f'# who knows which key\nsensor7:{"0123456789abcdef" * 2}\nsensor8:{"ff" * 32}\n')
    os.chmod(keys, 0o600)
    plugin = {'name': 'certificates', 'plugin': 'auth_tls', 'config': {'name_from': ['psk'], 'otherwise': 'reject'}}
    settings = {**BY_CERTIFICATE, 'plugins': [plugin]}
    own = TlsBroker(case, cert='', key='', psk_file=keys, psk_hint='mqloop', settings=settings)
    for version in ('tlsv1.2', 'tlsv1.3'):
        equal(0, by_psk(own, 'sensor7', '0123456789abcdef' * 2, '--tls-version', version))
        equal(0, by_psk(own, 'sensor8', 'ff' * 32, '--tls-version', version))
        expect(by_psk(own, 'sensor7', 'ff' * 32, '--tls-version', version) != 0, "another's key")
        expect(by_psk(own, 'nobody', 'ff' * 32, '--tls-version', version) != 0, 'an unknown identity')
    for user in ('sensor7', 'sensor8'):
        line = ('connection connected', case.id(user), f'user={user} ')
        wait_until(lambda parts=line: len(own.broker.lines(*parts)) == 2, 'both versions')
    case.end(own.broker)


@test
def an_identity_whose_key_nobody_has_shown_is_nobodys(case):
    """One is offered with a cipher suite that cannot use it, so that the certificate decides, and not the key."""
    keys = case.file('keys')
    with open(keys, 'w', encoding='ascii') as file:
        file.write(f'sensor7:{"00" * 32}\n')
    os.chmod(keys, 0o600)
    plugin = {'name': 'certificates', 'plugin': 'auth_tls', 'config': {'name_from': ['psk'], 'otherwise': 'reject'}}
    own = TlsBroker(case, psk_file=keys, settings={**BY_CERTIFICATE, 'plugins': [plugin]})
    client = subprocess.Popen(
        ['openssl', 's_client', '-connect', f'localhost:{own.port}', '-CAfile', own.authority.root, '-quiet', '-tls1_3',
         '-ciphersuites', 'TLS_AES_256_GCM_SHA384', '-psk', '00' * 32, '-psk_identity', 'sensor7'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    case.stack.callback(client.wait)
    case.stack.callback(client.kill)
    out, _ = client.communicate(wire.connect(5, case.id('thief')), timeout=PATIENCE)
    expect(out[:1] in (b'', b'\x20') and not own.broker.lines('connection connected', case.id('thief')), out)
    own.broker.wait_for_line('listener=secure', case.id('thief'))
    case.end(own.broker)
