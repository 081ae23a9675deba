"""The npm packages of the tests: pinned by mqttjs/package-lock.json and kept in the build folder."""
from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile

from harness import BUILD, expect

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'mqttjs')


@functools.cache
def node_modules() -> str:
    """The folder with what `npm ci` installed, made by the first who comes and shared by all later runs."""
    key = hashlib.sha256()
    for name in ('package.json', 'package-lock.json'):
        with open(os.path.join(HERE, name), 'rb') as file:
            key.update(file.read())
    folder = os.path.join(BUILD, 'check', f'mqttjs-{key.hexdigest()[:16]}')
    if not os.path.isdir(folder):
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        fresh = tempfile.mkdtemp(prefix='mqttjs-', dir=os.path.dirname(folder))
        try:
            for name in ('package.json', 'package-lock.json', '.npmrc'):
                shutil.copy(os.path.join(HERE, name), fresh)
            command = ['npm', 'ci', '--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts']
            done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, timeout=300, check=False)
            expect(done.returncode == 0, f'npm ci: {done.stdout}{done.stderr}')
            if not os.path.isdir(folder):  # another run may have been faster
                os.rename(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return os.path.join(folder, 'node_modules')
