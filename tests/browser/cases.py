"""The tests, in the order in which they are run. What the pages do stands in page/page.js."""
from __future__ import annotations


import wire
from bench import Case, expect_lines_in, expect_mqtt_in_binary_frames, expect_passed, handshakes, steps_of
from harness import RawClient, collector, equal, expect

TESTS, test = collector()

VERSIONS = {'3.1.1': 4, '5.0': 5}
PAYLOADS = ('text', 'text of the world', 'an empty text', 'no bytes', 'every byte', '100 KB')
ROUND_TRIPS = [
    f'{version} {step}'
    for version in VERSIONS
    for step in (
        'connects twice',
        'subscribes',
        *(f'QoS {qos}, {payload}' for qos in (0, 1, 2) for payload in PAYLOADS),
        'unsubscribes',
        'disconnects',
        'leaves a session behind',
        'comes back to it',
        'gets what was queued',
        'begins anew',
    )
]


def address(broker, listener: str, host: str = 'app.test', scheme: str = 'ws') -> str:
    return f'{scheme}://{host}:{broker.ports()[listener]}/mqtt'


def expect_round_trips(case: Case, page_url: str, url: str):
    with case.open(page_url) as page:
        expect_passed(page, ROUND_TRIPS)
        expect_mqtt_in_binary_frames(page, url)
    expect_lines_in(case.picture(), passed=len(ROUND_TRIPS), failed=0)


def round_trips_over_ws(case: Case, threads: int):
    broker = case.start_broker({'name': 'web'}, threads=threads)
    url = address(broker, 'web')
    expect_round_trips(case, case.bench.pages.page('app.test', scenario='roundTrips', url=url, prefix=case.name), url)
    case.end(broker)


@test
def mqtt_js_in_a_browser_gets_every_payload_back_at_every_qos_over_ws_with_one_reactor(case):
    round_trips_over_ws(case, 1)


@test
def mqtt_js_in_a_browser_gets_every_payload_back_at_every_qos_over_ws_with_two_reactors(case):
    round_trips_over_ws(case, 2)


@test
def a_page_that_was_closed_finds_its_session_and_what_came_by_tcp_meanwhile(case):
    broker = case.start_broker({'name': 'web'})
    payloads = (bytes(range(256)), b'', 'Grüße, 世界'.encode(), bytes(i * 7 & 255 for i in range(100_000)))
    for name, version in VERSIONS.items():
        prefix = f'{case.name}/{version}'

        def page_url(count: int) -> str:
            return case.bench.pages.page(
                'app.test', scenario='echo', url=address(broker, 'web'), prefix=prefix, version=name, count=count
            )

        peer = RawClient(broker.port, version)
        case.stack.callback(peer.close)
        peer.connect(f'{prefix}/peer')
        peer.subscribe(f'{prefix}/out')
        with case.open(page_url(0), picture_of=f'{name}-before') as page:
            expect_passed(page, [f'{name} connects'])
        broker.wait_for_line('disconnected', f'{prefix}/{name}/echo')
        for i, payload in enumerate(payloads, 1):
            peer.send(wire.publish(version, f'{prefix}/in', payload, 1, i))
            equal(b'\x40', peer.receive()[:1], 'PUBACK')
        with case.open(page_url(len(payloads)), picture_of=name) as page:
            steps = [f'{name} connects', *(f'{name} sends back message {i}' for i in range(len(payloads)))]
            expect_passed(page, steps)
        for payload in payloads:
            equal(wire.publish(version, f'{prefix}/out', payload, 0), peer.receive())
        expect_lines_in(case.picture(name), passed=len(steps), failed=0)
    case.end(broker)


def knock(case: Case, url: str, host: str, picture_of: str, browser=None) -> tuple:
    """A page of `host` tries to connect: (its fault, what the browser complained of, statuses of the upgrades)"""
    page_url = case.bench.pages.page(host, scenario='knock', url=url, prefix=case.name)
    with case.open(page_url, browser, picture_of) as page:
        [step] = steps_of(page)
        told = step['fault'], page.complaints(), [answer['status'] for answer in handshakes(page)]
    expect_lines_in(case.picture(picture_of), passed=not step['fault'], failed=bool(step['fault']))
    return told


def expect_refused(case: Case, broker, told: tuple, why: str):
    fault, complaints, upgrades = told
    expect(fault and not upgrades, 'the page has connected')
    expect(len(complaints) == 1 and why in complaints[0], f'{complaints}')
    equal([], broker.lines('connected', f'{case.name}/5.0/guest'), 'connected all the same')


@test
def a_page_of_another_origin_is_refused_and_one_of_a_listed_origin_let_in(case):
    pages = case.bench.pages
    broker = case.start_broker({'name': 'web'}, {'name': 'listed', 'origins': [pages.origin('partner.test')]})
    why = 'Unexpected response code: 403'
    # As shipped: pages of the broker's own host.
    told = knock(case, address(broker, 'web'), 'other.test', 'other')
    expect_refused(case, broker, told, why)
    # A list is the whole list.
    for host in ('other.test', 'app.test'):
        told = knock(case, address(broker, 'listed'), host, f'{host.partition(".")[0]}-to-list')
        expect_refused(case, broker, told, why)
    for listener, host in (('web', 'app.test'), ('listed', 'partner.test')):
        told = knock(case, address(broker, listener), host, host.partition('.')[0])
        equal(('', [], [101]), told, f'{host} to {listener}')
    case.end(broker)


def start_secure_broker(case: Case):
    """With a listener for wss, whose certificate is for app.test."""
    pair = case.bench.authority.issue(case.name, '/CN=app.test', names='DNS:app.test')
    listener = {'name': 'secure', 'tls': {'cert': pair.cert, 'key': pair.key}}
    return case.start_broker(listener), pair


@test
def mqtt_js_in_a_browser_gets_every_payload_back_at_every_qos_over_wss(case):
    broker, pair = start_secure_broker(case)
    pages = case.stack.enter_context(case.bench.serve(pair))
    url = address(broker, 'secure', scheme='wss')
    expect_round_trips(case, pages.page('app.test', scenario='roundTrips', url=url, prefix=case.name), url)
    case.end(broker)


@test
def wss_with_a_certificate_of_an_authority_that_the_browser_does_not_trust_is_not_connected(case):
    broker, _ = start_secure_broker(case)
    browser = case.bench.start_browser(case.stack, 'distrustful')
    told = knock(case, address(broker, 'secure', scheme='wss'), 'app.test', '', browser)
    expect_refused(case, broker, told, 'net::ERR_CERT_AUTHORITY_INVALID')
    case.end(broker)


@test
def wss_with_a_certificate_for_another_name_is_not_connected(case):
    broker, _ = start_secure_broker(case)
    told = knock(case, address(broker, 'secure', 'other.test', 'wss'), 'other.test', '')
    expect_refused(case, broker, told, 'net::ERR_CERT_COMMON_NAME_INVALID')
    case.end(broker)
