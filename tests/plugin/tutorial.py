"""The tutorial of docs/writing-a-plugin.md, done as it stands: its files are written, its change is applied, its
commands are run and say what the page says that they say."""
import os
import re
import socket
import subprocess
import time

from broker import free_port

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def blocks():
    """(language, text) of each block of the tutorial, in order."""
    with open(os.path.join(TOP, 'docs', 'writing-a-plugin.md')) as file:
        text = file.read()
    tutorial = text.split('\n## Ten minutes\n')[1].split('\n## ')[0]
    return re.findall(r'^```(\w*)\n(.*?)^```$', tutorial, re.S | re.M)


class Reader:
    """Somebody who types in what the page shows."""

    def __init__(self, installed):
        self.installed = installed
        self.folder = installed.folder('tutorial')
        self.port = free_port()
        self.broker = None
        self.said = ''

    def shell(self, command):
        folders = ':'.join(os.path.dirname(program) for program in (self.installed.mqloop, self.installed.mqloopd))
        environment = dict(self.installed.environment, PATH=f'{folders}:{os.environ["PATH"]}')
        command = command.replace('1883', str(self.port))
        if command.startswith('cd '):
            self.folder = os.path.join(self.folder, command[3:].split('#')[0].strip())
            return
        if command.endswith('&'):
            self.broker = subprocess.Popen(['bash', '-c', f'exec {command[:-1]}'], cwd=self.folder, env=environment,
                                           stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            self.wait_for_the_broker()
            return
        if command.startswith('kill %1'):
            self.broker.terminate()
            self.said = self.broker.communicate(timeout=30)[1].decode()
            assert self.broker.returncode == 0, self.said
            self.broker = None
            return
        done = subprocess.run(['bash', '-c', command], cwd=self.folder, env=environment, timeout=300, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = done.stdout
        expected_to_fail = '# refused' in command or '# a mistake' in command
        assert (done.returncode != 0) == expected_to_fail, f'{command}: status {done.returncode}\n{done.stdout}'

    def wait_for_the_broker(self):
        end = time.monotonic() + 30
        with socket.socket() as probe:
            while probe.connect_ex(('127.0.0.1', self.port)) != 0:
                assert self.broker.poll() is None, self.broker.stderr.read().decode()
                assert time.monotonic() < end, 'the broker does not listen'
                time.sleep(0.05)

    def write(self, name, text):
        with open(os.path.join(self.folder, name), 'w') as file:
            file.write(text.replace('1883', str(self.port)))

    def apply(self, diff):
        self.write('change.diff', diff)
        self.shell('git apply change.diff')

    def end(self):
        if self.broker is not None:
            self.broker.kill()
            self.broker.communicate()


def test_the_tutorial_works_as_it_stands(installed):
    reader = Reader(installed)
    commands = 0
    try:
        for language, text in blocks():
            if language == 'sh':
                for command in text.splitlines():
                    reader.shell(command)
                    commands += 1
            elif language == 'yaml':
                reader.write('try.yaml', text)
            elif language == 'diff':
                reader.apply(text)
            elif language == 'text':
                for line in text.splitlines():
                    assert line in reader.said, f'not said: {line}\nbut: {reader.said}'
            else:
                raise AssertionError(f'a block of {language or "nothing"}')
    finally:
        reader.end()
        installed_copy = os.path.join(installed.plugins, 'auth_coffee_card.so')
        if os.path.exists(installed_copy):
            os.remove(installed_copy)
    assert commands >= 12, commands
