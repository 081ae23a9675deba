"""How many QoS 1 messages a second are acknowledged for a durable session that is away: mqloop that commits each batch, beside
Debian's mosquitto that writes its file after each change, and beside what the disk can do at all. In interleaved rounds.

  scripts/crash-test --speed [--rounds 3] [--keep FOLDER]     the folder tells which disk

mosquitto writes everything that it holds each time, so its messages are few; more would make it slower."""
from __future__ import annotations

import json
import os
import statistics
import subprocess
import time

from brokers import BUILD, KINDS, Failed

LOAD = os.path.join(BUILD, 'bench', 'load')
# name: (kind, further options, messages)
CONTENDERS = {
    'mqloop, full': ('mqloop', {'durability': 'full'}, 50000),
    'mqloop, memory': ('mqloop', {'publisher': 'memory'}, 50000),
    'mosquitto, autosave': ('mosquitto-autosave', {}, 1000),
}


def syncs_a_second(folder: str, seconds: float = 1.0) -> float:
    """Of 4 KiB each, appended to one file."""
    path = os.path.join(folder, 'syncs')
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        count, start = 0, time.monotonic()
        while time.monotonic() - start < seconds:
            os.write(file, bytes(4096))
            os.fdatasync(file)
            count += 1
        return count / (time.monotonic() - start)
    finally:
        os.close(file)
        os.unlink(path)


def measure(name: str, folder: str, options) -> dict:
    kind, changes, count = CONTENDERS[name]
    place = os.path.join(folder, name.replace(', ', '-'))
    os.makedirs(place, exist_ok=True)
    settings = type(options)(**{**vars(options), 'broker': kind, **changes})
    broker = KINDS[kind](place, settings)
    try:
        broker.start()
        command = [LOAD, 'offline', '--port', broker.port, '--pid', broker.pid, '--sessions', 1, '--n', count, '--window', 8]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=240)
        if done.returncode != 0 or not done.stdout:
            raise Failed(f'{name}: {done.stderr or done.stdout}')
        return json.loads(done.stdout)
    finally:
        broker.kill()


def run(folder: str, options) -> int:
    rates = {name: [] for name in CONTENDERS}
    costs = {name: [] for name in CONTENDERS}
    disk = []
    for _ in range(options.rounds):
        disk.append(syncs_a_second(folder))
        for name in CONTENDERS:
            result = measure(name, folder, options)
            rates[name].append(result['pub_s'])
            costs[name].append(result['queue_us'])
    slowest = statistics.median(rates['mosquitto, autosave'])
    print(f'| {"":20} | acknowledged a second | times mosquitto | µs CPU a message |\n|---|---|---|---|')
    for name, found in rates.items():
        rate, cost = statistics.median(found), statistics.median(costs[name])
        print(f'| {name:20} | {rate:.0f} ({min(found):.0f} to {max(found):.0f}) | {rate / slowest:.1f} | {cost:.1f} |')
    print(f'\nThe disk: {statistics.median(disk):.0f} ({min(disk):.0f} to {max(disk):.0f}) fdatasyncs of 4 KiB a second.')
    return 0
