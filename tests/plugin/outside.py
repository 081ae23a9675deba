"""A plugin that is built outside of the tree: against an mqloop that was installed into a temporary prefix, with its
headers, its mqloop.pc and its plugin.mk, and nothing else."""
import contextlib
import os
import re
import shutil
import socket
import subprocess

import wire
from served import BUILD, Served

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED = 0x86, 0x87


class Installed:
    """mqloop below `root`, as if it had been configured with that prefix."""

    def __init__(self, root):
        self.root = root
        tree = os.path.dirname(os.path.abspath(BUILD))
        with open(f'{tree}/config.mak') as config:
            prefix = next(line.split('=')[1].strip() for line in config if line.startswith('prefix'))
        run(['make', '-s', 'install', f'DESTDIR={root}'], tree)
        self.prefix = root + prefix
        pc = f'{self.prefix}/lib/pkgconfig/mqloop.pc'
        with open(pc) as file:
            text = file.read()
        with open(pc, 'w') as file:
            file.write(text.replace(f'={prefix}', f'={self.prefix}'))
        self.mqloopd = f'{self.prefix}/sbin/mqloopd'
        self.mqloop = f'{self.prefix}/bin/mqloop'
        self.plugins = f'{self.prefix}/lib/mqloop/plugins'
        self.environment = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(pc))
        for name in ('MAKEFLAGS', 'MAKELEVEL', 'MFLAGS', 'LD_LIBRARY_PATH'):
            self.environment.pop(name, None)

    def run(self, command, folder):
        return run(command, folder, self.environment)

    def folder(self, name):
        folder = f'{self.root}/{name}'
        os.makedirs(folder)
        return folder


def run(command, folder, environment=None):
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f'{command}: status {done.returncode}\n{done.stdout}{done.stderr}'
    return done.stdout


def template(installed, name):
    """A copy of the installed template, built."""
    folder = installed.folder(name)
    shutil.copytree(f'{installed.prefix}/share/mqloop/template', f'{folder}/auth_badge')
    installed.run(['make'], f'{folder}/auth_badge')
    return f'{folder}/auth_badge'


def badges(folder, badge='s3cret'):
    return f'''plugins:
  - {{name: badges, path: "{folder}/auth_badge.so", config: {{badges: {{sensor7: {badge}}}}}}}
auth:
  anonymous: never
  chains: {{default: {{authenticate: [badges]}}}}
'''


def test_template_builds_and_refuses_a_wrong_password_with_0x86(installed):
    folder = template(installed, 'refuses')
    with Served(badges(folder), installed.mqloopd) as broker:
        assert broker.refusal('sensor7', user='any', password='guess') == BAD_USER_NAME_OR_PASSWORD
        assert broker.refusal('sensor7', user='any', password='') == BAD_USER_NAME_OR_PASSWORD
        assert broker.refusal('sensor7') == BAD_USER_NAME_OR_PASSWORD
        assert broker.refusal('sensor7', version=4, user='any', password='guess') == 4
        assert broker.refusal('stranger', user='any', password='s3cret') == NOT_AUTHORIZED
        client = broker.client('sensor7', user='any', password='s3cret')
        assert client.subscribe('a') == [0]
        client.send(wire.publish(5, 'a', 'hello'))
        assert client.expect(wire.PUBLISH).endswith(b'hello')
        assert 's3cret' not in broker.log() and 'guess' not in broker.log()


def test_mosquitto_sub_is_told_which_password_is_wrong(installed):
    folder = template(installed, 'mosquitto')
    with Served(badges(folder), installed.mqloopd) as broker:

        def subscribe(password):
            command = ['mosquitto_sub', '-d', '-V', '5', '-p', str(broker.address[1]), '-i', 'sensor7', '-u', 'any']
            return subprocess.run(
                command + ['-P', password, '-t', 'a', '-E'], capture_output=True, text=True, timeout=60
            )

        wrong = subscribe('guess')
        assert wrong.returncode == BAD_USER_NAME_OR_PASSWORD, wrong
        assert 'bad user name or password' in wrong.stderr.lower(), wrong
        right = subscribe('s3cret')
        assert right.returncode == 0 and 'received SUBACK' in right.stdout, right


def test_template_passes_its_own_test(installed):
    folder = template(installed, 'check')
    assert '0 failed' in installed.run(['make', 'check'], folder)


def test_template_installs_beside_the_others(installed):
    folder = template(installed, 'install')
    installed.run(['make', 'install'], folder)
    try:
        yaml = badges(folder).replace(f'path: "{folder}/auth_badge.so"', 'plugin: auth_badge')
        with Served(yaml, installed.mqloopd) as broker:
            assert broker.refusal('sensor7', user='any', password='guess') == BAD_USER_NAME_OR_PASSWORD
            broker.client('sensor7', user='any', password='s3cret')
    finally:
        os.remove(f'{installed.plugins}/auth_badge.so')


def test_new_plugin_makes_one_that_works_under_its_own_name(installed):
    folder = installed.folder('new')
    assert 'auth_coffee_card.cc' in installed.run([installed.mqloop, 'new-plugin', 'auth_coffee_card'], folder)
    made = f'{folder}/auth_coffee_card'
    expected = ['Makefile', 'README.md', 'auth_coffee_card.cc', 'auth_coffee_card_test.cc']
    assert sorted(os.listdir(made)) == expected, os.listdir(made)
    for name in expected:
        with open(f'{made}/{name}') as file:
            text = file.read()
        assert 'auth_badge' not in text and 'AuthBadge' not in text, name
    assert '0 failed' in installed.run(['make', 'check'], made)
    assert os.path.exists(f'{made}/auth_coffee_card.so')


class Veil:
    """A connection to a broker, every byte of which is changed."""

    def __init__(self, address, mask):
        self.socket, self.mask = socket.create_connection(address, timeout=20), mask

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(bytes(byte ^ self.mask for byte in data))

    def expect(self, data):
        """The next bytes are these."""
        heard = b''
        while len(heard) < len(data):
            more = self.socket.recv(len(data) - len(heard))
            assert more, f'the end after {heard!r}'
            heard += bytes(byte ^ self.mask for byte in more)
        assert heard == data, heard


def speak_veiled(address, mask):
    """3.1.1: two clients, one of whom gets what the other sends, more than a stream takes at a time. Before that others
    with the same names, so that connections move to the reactor where their session is."""
    with contextlib.ExitStack() as clients:
        for _ in range(4):
            hears, tells = (clients.enter_context(Veil(address, mask)) for _ in range(2))
            for client, name in ((hears, b'hears'), (tells, b'tells')):
                client.send(b'\x10' + bytes([12 + len(name)]) + b'\0\4MQTT\4\2\0\0\0' + bytes([len(name)]) + name)
                client.expect(b'\x20\2\0\0')
        hears.send(b'\x82\6\0\1\0\1t\0')
        hears.expect(b'\x90\3\0\1\0')
        payload = bytes(range(256)) * 250
        publish = b'\x30\x83\xf4\3\0\1t' + payload
        tells.send(publish)
        hears.expect(publish)
        hears.send(b'\xc0\0')
        hears.expect(b'\xd0\0')


def test_transport_template_builds_passes_its_test_and_carries_mqtt(installed):
    folder = f'{installed.folder("transport")}/transport_veil'
    shutil.copytree(f'{installed.prefix}/share/mqloop/template/transport_veil', folder)
    assert '0 failed' in installed.run(['make', 'check'], folder)
    plugins = f'plugins:\n  - {{name: veil, path: "{folder}/transport_veil.so"}}\nauth: {{anonymous: always}}\n'
    with Served(plugins, installed.mqloopd, side='transport: veil, mask: 90') as broker:
        speak_veiled(broker.side_address, 90)
        with Veil(broker.side_address, 91) as stranger:  # whose bytes make no CONNECT
            stranger.send(b'\x10\x0c\0\4MQTT\4\2\0\0\0\0')
            assert stranger.socket.recv(1) == b''


def test_new_plugin_makes_a_transport_where_the_name_says_so(installed):
    folder = installed.folder('new-transport')
    assert 'transport_radio.cc' in installed.run([installed.mqloop, 'new-plugin', 'transport_radio'], folder)
    made = f'{folder}/transport_radio'
    assert '0 failed' in installed.run(['make', 'check'], made)
    for name in os.listdir(made):
        if name.endswith(('.o', '.d', '.so', '_test')):
            continue
        with open(f'{made}/{name}') as file:
            text = file.read()
        assert 'transport_veil' not in text and 'TransportVeil' not in text and ': veil' not in text, name
    installed.run(['make', 'install'], made)
    try:
        with Served('auth: {anonymous: always}\n', installed.mqloopd, side='transport: radio, mask: 7') as broker:
            speak_veiled(broker.side_address, 7)
        folder = installed.folder('no-mask')
        with open(f'{folder}/mqloop.yaml', 'w') as file:
            file.write('version: 1\nlisteners: [{name: a, transport: radio}]\n')
        status, text = fails(installed, [installed.mqloop, 'check', f'{folder}/mqloop.yaml'], folder)
        assert status == 3 and 'mask is missing' in text, (status, text)
    finally:
        os.remove(f'{installed.plugins}/transport_radio.so')


def fails(installed, command, folder):
    done = subprocess.run(command, cwd=folder, env=installed.environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def test_new_plugin_changes_nothing_that_is_there(installed):
    folder = installed.folder('taken')
    os.mkdir(f'{folder}/auth_mine')
    status, text = fails(installed, [installed.mqloop, 'new-plugin', 'auth_mine'], folder)
    assert (status, text) == (1, 'mqloop: auth_mine is there already; nothing was changed\n'), text
    assert os.listdir(f'{folder}/auth_mine') == []


def test_new_plugin_refuses_what_cannot_be_a_name(installed):
    folder = installed.folder('names')
    for name in ('Auth', '../x', 'a b', '', '7up', 'auth-x'):
        status, text = fails(installed, [installed.mqloop, 'new-plugin', name], folder)
        assert status == 2 and "cannot be a plugin's name" in text, (name, text)
    assert os.listdir(folder) == []


def test_check_tells_every_mistake_of_the_plugin_and_its_options(installed):
    folder = template(installed, 'mistakes')
    config = f'{folder}/mqloop.yaml'
    with open(config, 'w') as file:
        file.write('version: 1\n' + badges(folder, 'sensor7'))
    status, text = fails(installed, [installed.mqloop, 'check', config], folder)
    assert status == 3, (status, text)
    assert "a client identifier is no secret" in text and text.startswith(f'{config}:3:'), text
    with open(config, 'w') as file:
        file.write('version: 1\n' + badges(folder).replace('badges: {', 'badgs: {'))
    status, text = fails(installed, [installed.mqloop, 'check', config], folder)
    assert status == 3 and "did you mean" in text and 'badges' in text, text


def test_examples_of_the_documentation_work(installed):
    with open(os.path.join(TOP, 'docs', 'writing-a-plugin.md')) as file:
        text = file.read()
    plugins, tests = (re.findall(f'^```{kind}\\n(.*?)^```$', text, re.S | re.M) for kind in ('cpp', 'cpp test'))
    assert len(plugins) == len(tests) == 2
    for plugin in plugins:
        symbol, name = re.search(r'MQLOOP_PLUGIN\((\w+), "(\w+)"', plugin).groups()
        test = next(one for one in tests if f'mqloop_builtin_{symbol}()' in one)
        folder = installed.folder(f'documentation-{name}')
        makefile = f'PLUGIN = {name}\nTEST_PACKAGES =\ninclude $(shell pkg-config --variable=pluginmk mqloop)\n'
        for file_name, content in (('Makefile', makefile), (f'{name}.cc', plugin), (f'{name}_test.cc', test)):
            with open(f'{folder}/{file_name}', 'w') as file:
                file.write(content)
        installed.run(['make', 'check'], folder)
        assert os.path.exists(f'{folder}/{name}.so')


def test_tool_says_what_it_can_do(installed):
    assert 'new-plugin' in installed.run([installed.mqloop, 'help'], installed.root)
    assert installed.run([installed.mqloop, '--version'], installed.root).startswith('mqloop ')
    for command in ([], ['dance'], ['new-plugin'], ['check', 'a', 'b']):
        status, text = fails(installed, [installed.mqloop, *command], installed.root)
        assert status == 2 and 'mqloop help tells what there is' in text, (command, text)
