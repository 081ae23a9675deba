"""MQTT.js, the client of Node.js and of browsers. Its packages are pinned by mqttjs/package-lock.json and kept in the
build folder; one process of node runs all scenarios over TCP, others over WebSocket and over that with TLS, and each scenario is a test here."""
from __future__ import annotations

import os
import re
import subprocess
import threading

from harness import BUILD, Case, Ways, collector, equal
from npm import HERE, node_modules

TESTS, test = collector()

LOCK = threading.Lock()
RESULTS: dict = {}


def scenarios() -> list:
    with open(os.path.join(HERE, 'scenarios.js'), encoding='utf-8') as file:
        listed = re.search(r'const scenarios = \[(.*?)\]', file.read(), re.DOTALL)
    return re.findall(r'\w+', listed[1])


def results(case: Case, protocol: str) -> tuple:
    """What node said of each scenario, with this number of reactors and over this protocol."""
    key = case.threads, protocol
    with LOCK:
        if key not in RESULTS:
            port = case.shared.ports()[{'ws': 'web', 'wss': 'wss', 'mqtt': 'local'}[protocol]]
            trust = {'NODE_EXTRA_CA_CERTS': Ways.authority.root}
            done = subprocess.run(
                ['node', os.path.join(HERE, 'scenarios.js'), f'{port}', f'mqttjs-{protocol}-{case.threads}', protocol],
                env={**os.environ, **trust, 'NODE_PATH': node_modules()},
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150, check=False,
            )
            said = dict(re.findall(r'^(?:ok|failed) (\w+)(.*)$', done.stdout, re.MULTILINE))
            RESULTS[key] = said, f'{done.stdout}{done.stderr}'
        return RESULTS[key]


def make_test(name: str, protocol: str, suffix: str):
    def run(case: Case):
        said, everything = results(case, protocol)
        equal('', said.get(name, f'was not run:\n{everything}'), name)

    run.__name__ = name + suffix
    return run


for scenario in scenarios():
    test(make_test(scenario, 'mqtt', ''))
    test(make_test(scenario, 'ws', '_over_websocket'))
    test(make_test(scenario, 'wss', '_over_websocket_and_tls'))


@test
def an_exchange_and_a_reauthentication(case: Case):
    plugin = {'name': 'exchange', 'path': os.path.abspath(os.path.join(BUILD, 'tests', 'samples', 'exchange.so'))}
    broker = case.start_broker(plugins=[plugin], auth={'chains': {'default': {'authenticate': ['exchange']}}})
    done = subprocess.run(
        ['node', os.path.join(HERE, 'auth.js'), f'{broker.port}'], env={**os.environ, 'NODE_PATH': node_modules()},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150, check=False,
    )
    equal('ok\n', done.stdout, done.stderr)
    case.end(broker)
