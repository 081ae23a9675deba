"""WebSocket over TLS, as far as it is more than either: certificates, reloads and protocols of a WebSocket listener. What goes by
ws and by wss is in websocket.py."""
from __future__ import annotations

import ssl

from certificates import Authority
from harness import RawClient, collector, equal, expect
from tls_broker import BY_CERTIFICATE, TlsBroker, replace
from web_socket import WebSocketPipe

TESTS, test = collector()


class WssBroker(TlsBroker):
    def __init__(self, case, settings: dict | None = None, **tls):
        super().__init__(case, listener={'transport': 'websocket'}, settings=settings, **tls)

    def over(self, one, context=None, host: str = 'localhost', version: int = 5, **more) -> RawClient:
        client = super().over(one, context, host, version, **more)
        client.socket = WebSocketPipe(client.socket)
        return client


@test
def mosquitto_996_a_certificate_of_the_client_is_asked_for_and_gives_the_user_name(case):
    authority = Authority(case.file('clients'))
    own = WssBroker(case, client_ca=authority.root, verify_client='required', settings=BY_CERTIFICATE)
    own.expect_refused('peer did not return a certificate')
    stranger = Authority(case.file('strangers'), 'Another Authority')
    own.expect_refused('certificate verify failed', own.context(stranger.issue('fake', '/CN=sensor7')))
    own.connected('good', own.context(authority.issue('good', '/O=Example/CN=sensor7'))).ping()
    own.broker.wait_for_line('connected', case.id('good'), 'user=sensor7 ')
    case.end(own.broker)


@test
def a_new_certificate_is_shown_after_a_reload_and_nobody_is_dropped(case):
    own = WssBroker(case)
    stays = own.connected('stays')
    before = own.served()
    replace(own, own.authority.issue('next', '/CN=localhost'))
    own.reload()
    expect(own.served() != before, 'the same certificate')
    stays.ping()
    case.end(own.broker)


@test
def http_1_1_is_what_a_client_may_ask_for(case):
    own = WssBroker(case)
    for offered, chosen in ((['http/1.1'], 'http/1.1'), (['h2', 'http/1.1'], 'http/1.1'), ([], None)):
        context = own.context()
        if offered:
            context.set_alpn_protocols(offered)
        client = own.connected(f'{offered}', context)
        equal(chosen, client.socket.selected_alpn_protocol())
        client.ping()
    context = own.context()
    context.set_alpn_protocols(['h2'])
    own.expect_refused('TLS handshake: no application protocol', context)
    case.end(own.broker)


@test
def who_does_not_speak_tls_is_told_of_in_the_log(case):
    own = WssBroker(case)
    one = own.plain()
    one.sendall(b'GET /mqtt HTTP/1.1\r\n\r\n')
    own.broker.wait_for_line('closed', 'TLS')
    case.end(own.broker)


@test
def the_end_of_tls_comes_behind_the_close_frame(case):
    """Nobody may cut off what the broker said last."""
    own = WssBroker(case)
    client = own.connected('leaves')
    client.send(b'\xe0\x00')
    equal(b'', client.receive())
    equal([(8, b'\x03\xe8')], client.socket.peer.control)
    try:
        equal(b'', client.socket.peer.socket.recv(1), 'close_notify')
    except ssl.SSLEOFError as fault:
        raise AssertionError('no close_notify') from fault
    case.end(own.broker)


@test
def a_mistake_in_tls_is_told_with_its_place(case):
    try:
        case.start_broker(listeners=[{'name': 'local', 'transport': 'websocket', 'bind': '127.0.0.1:0', 'tls': {'tickets': False}}])
    except AssertionError as fault:
        expect('tls: needs cert and key' in str(fault), f'{fault}')
    else:
        raise AssertionError('a listener that means wss is plain')
