"""A headless Chromium with a profile, a home and an NSS store of its own, and the pages that are open in it."""
from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import subprocess

from devtools import DevTools
from harness import PATIENCE, expect, wait_until
from websockets import ConnectionClosed

PROGRAM = 'chromium'
# Names for tests: all of them are this machine, and no other name leads anywhere.
NAMES = 'MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'
OPTIONS = (
    '--headless=new',
    '--no-sandbox',  # root has none, and these pages are our own
    '--disable-gpu',
    '--disable-dev-shm-usage',  # it is small in many a container
    '--remote-debugging-port=0',
    '--window-size=1000,800',
    '--no-proxy-server',
    f'--host-resolver-rules={NAMES}',
    # Nothing but what the tests ask for.
    '--no-first-run',
    '--no-default-browser-check',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-default-apps',
    '--disable-extensions',
    '--disable-sync',
    '--disable-quic',
    '--disable-breakpad',
    '--metrics-recording-only',
    '--password-store=basic',
)


class Chromium:
    def __init__(self, folder: str, authority: str = ''):
        """`authority`: the file of a certificate whose holder it trusts, beside those that it comes with."""
        self.folder = folder
        self.home = os.path.join(folder, 'home')
        os.makedirs(self.home)
        self.make_store(authority)
        self.errors = os.path.join(folder, 'stderr')
        self.profile = os.path.join(folder, 'profile')
        strange = ('XDG_', 'DBUS_', 'CHROMIUM_')
        environment = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
        with open(self.errors, 'wb') as log:
            self.process = subprocess.Popen(
                [PROGRAM, *OPTIONS, f'--user-data-dir={self.profile}', 'about:blank'],
                env={**environment, 'HOME': self.home, 'TMPDIR': folder}, cwd=folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.devtools = None
        try:
            url = wait_until(self.debugging_url, f'{PROGRAM} to listen')
            self.host = url.split('/')[2]
            self.devtools = DevTools(url)
        except BaseException:
            self.end()
            raise

    def make_store(self, authority: str):
        """An NSS store where Chromium looks for that of its user."""
        store = os.path.join(self.home, '.pki', 'nssdb')
        os.makedirs(store)
        certutil('-d', f'sql:{store}', '-N', '--empty-password')
        if authority:
            certutil('-d', f'sql:{store}', '-A', '-t', 'C,,', '-n', 'the authority of this test', '-i', authority)

    def said(self) -> str:
        with open(self.errors, encoding='utf-8', errors='replace') as file:
            return file.read()

    def debugging_url(self) -> str | None:
        expect(self.process.poll() is None, f'{PROGRAM} ended with status {self.process.returncode}:\n{self.said()}')
        found = re.search(r'^DevTools listening on (ws://\S+)$', self.said(), re.MULTILINE)
        return found[1] if found else None

    def open(self, url: str) -> Page:
        """A page that shares nothing with others, as soon as it is loaded."""
        page = Page(self)
        try:
            page.go(url)
        except BaseException:
            page.close()
            raise
        return page

    def processes(self) -> list:
        """Of this browser, those of its pages and helpers among them: all of them work in its folder."""
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            with contextlib.suppress(OSError):  # gone, or not ours
                if os.readlink(f'/proc/{pid}/cwd') == self.folder:
                    found.append(int(pid))
        return found

    def end(self):
        """Afterwards none of its processes is left."""
        try:
            if self.devtools:
                with contextlib.suppress(ConnectionClosed):  # it may be faster than its answer
                    self.devtools.call('Browser.close')
                self.devtools.close()
            else:
                self.process.terminate()
            self.process.wait(PATIENCE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            wait_until(lambda: not self.processes(), f'the processes of {PROGRAM} to end')


class Page(DevTools):
    def __init__(self, browser: Chromium):
        self.browser = browser
        self.context = browser.devtools.call('Target.createBrowserContext')['browserContextId']
        made = browser.devtools.call('Target.createTarget', url='about:blank', browserContextId=self.context)
        super().__init__(f'ws://{browser.host}/devtools/page/{made["targetId"]}')
        for domain in ('Page', 'Runtime', 'Log', 'Network', 'Inspector'):
            self.call(f'{domain}.enable')

    def go(self, url: str):
        start = len(self.events)
        done = self.call('Page.navigate', url=url)
        expect('errorText' not in done, f'{url}: {done.get("errorText")}')
        self.wait_for('Page.loadEventFired', start)

    def close(self):
        """As somebody does who closes the window."""
        super().close()
        self.browser.devtools.call('Target.disposeBrowserContext', browserContextId=self.context)

    def value(self, expression: str):
        """Of an expression in the page, or of what it promises."""
        done = self.call('Runtime.evaluate', expression=expression, awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in done:
            raise AssertionError(f'{expression}: {described(done["exceptionDetails"])}')
        return done['result'].get('value')

    def complaints(self) -> list:
        """Errors and warnings on the console, exceptions that nobody caught, and what could not be loaded."""
        self.value('0')  # what was said until now has come
        found = [described(params['exceptionDetails']) for params in self.of('Runtime.exceptionThrown')]
        for params in self.of('Runtime.consoleAPICalled'):
            if params['type'] in ('error', 'warning', 'assert'):
                found.append(' '.join(str(one.get('value', one.get('description'))) for one in params['args']))
        entries = [params['entry'] for params in self.of('Log.entryAdded')]
        return found + [entry['text'] for entry in entries if entry['level'] in ('error', 'warning')]

    def take_picture(self, path: str):
        picture = base64.b64decode(self.call('Page.captureScreenshot', format='png')['data'])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(picture)


def described(details: dict) -> str:
    return f'{details["text"]} {details.get("exception", {}).get("description", "")}'


def certutil(*arguments: str):
    done = subprocess.run(['certutil', *arguments], capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f'certutil {" ".join(arguments)}: {done.stderr}')


def why_not() -> str:
    """What this machine lacks for a browser; '' when there is all."""
    packages = {PROGRAM: 'chromium', 'certutil': 'libnss3-tools', 'npm': 'npm', 'openssl': 'openssl'}
    missing = [f'no {program} (Debian package: {packages[program]})' for program in packages if not shutil.which(program)]
    return ', '.join(missing)
