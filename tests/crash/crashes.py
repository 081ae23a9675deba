"""The ways in which a broker ends without being asked: killed at some instant, killed by itself at a failpoint, or with the
disk below it, as when the power goes."""
from __future__ import annotations

import os
import random
import re

import disk
from brokers import ROOT, Broker, Failed


class Crash:
    """SIGKILL, at the instant at which it is asked for."""

    def __init__(self, options):
        self.options = options
        self.notes: list = []

    def begin(self, broker: Broker):
        broker.start()

    def rounds(self) -> int:
        return self.options.rounds

    def is_done(self) -> bool:
        return False

    def arm(self, broker: Broker, chance: random.Random):
        """A round begins; the broker runs."""

    def strike(self, broker: Broker):
        if not (broker.is_alive() or broker.was_killed()):
            raise Failed(f'the broker ended by itself with status {broker.process.returncode}:\n{broker.log_tail()}')
        broker.kill()

    def keep_up(self, broker: Broker) -> bool:
        """While everybody comes back: whether it had ended again, and was started."""
        return False

    def disarm(self, broker: Broker):
        """From here on to the next round it lives."""

    def cut(self, clients):
        """After the strike; whoever was connected to a process that is gone finds out by itself."""

    def bring_back(self, broker: Broker, _chance: random.Random):
        broker.start()

    def end(self, broker: Broker):
        fault = broker.stop()
        if fault:
            raise Failed(fault)


class CutLinks(Crash):
    """Only the connections end: what any broker survives, so that it shows whether the checker is just."""

    def strike(self, broker):
        if not broker.is_alive():
            super().strike(broker)

    def cut(self, clients):
        for client in clients:
            client.close()

    def bring_back(self, broker, chance):
        pass


class AtFailpoint(Crash):
    """In each round the broker is started with MQLOOP_FAILPOINT, for the name that was reached least, and killed like any other
    when it has not come there; half of the times it comes back with one too."""

    def __init__(self, options):
        super().__init__(options)
        self.names = failpoints() if options.failpoint == 'all' else [options.failpoint]
        self.reached = dict.fromkeys(self.names, 0)
        self.tried = dict.fromkeys(self.names, 0)
        self.armed = ''

    def arm(self, broker, chance):
        broker.kill()
        self.start_armed(broker, chance)

    def start_armed(self, broker, chance):
        self.armed = min(self.names, key=lambda name: (self.reached[name], self.tried[name]))
        self.tried[self.armed] += 1
        # Most places are passed at every commit or message, some once in a while.
        passage = chance.choice((1, 1, 2, 3, chance.randrange(1, 50), chance.randrange(1, 500)))
        broker.launch({'MQLOOP_FAILPOINT': f'{self.armed}:{passage}'})
        if not broker.listens():
            self.note(broker)
            broker.start()

    def note(self, broker):
        if not (self.armed and broker.was_killed()):
            raise Failed(f'the broker ended by itself with status {broker.process.returncode}:\n{broker.log_tail()}')
        self.reached[self.armed] += 1
        self.armed = ''

    def strike(self, broker):
        if broker.is_alive():
            broker.kill()
        else:
            self.note(broker)
        self.armed = ''

    def bring_back(self, broker, chance):
        if chance.random() < 0.5:
            self.start_armed(broker, chance)
        else:
            broker.start()

    def keep_up(self, broker):
        if broker.is_alive():
            return False
        self.note(broker)
        broker.start()
        return True

    def disarm(self, broker):
        if self.armed:
            self.strike(broker)
            broker.start()

    def is_done(self) -> bool:
        """Each has been reached as often as was asked for."""
        return bool(self.options.reached) and min(self.reached.values()) >= self.options.reached

    def rounds(self) -> int:
        return self.options.rounds * (len(self.names) if self.options.reached else 1)

    def end(self, broker):
        broker.kill()
        self.notes.append('reached: ' + ', '.join(f'{name} {count}' for name, count in self.reached.items()))
        if self.options.reached and not self.is_done():
            raise Failed(f'not every failpoint was reached {self.options.reached} times')


def failpoints() -> list:
    """Every name that stands in the source."""
    names = set()
    for top in ('core', 'plugins'):
        for folder, _, files in os.walk(os.path.join(ROOT, top)):
            for file in files:
                if file.endswith('.cc'):
                    with open(os.path.join(folder, file), encoding='utf-8') as source:
                        names.update(re.findall(r'\bMQLOOP_FAILPOINT\("(\w+)"\)', source.read()))
    if not names:
        raise Failed('the source has no failpoint')
    return sorted(names)


class PowerCut(Crash):
    """The data lie on an ext4 file system of their own, which is shut down under the broker: what was not synced is gone.
    Some times only the broker ends, and finds again what is not on the disk yet."""

    def begin(self, broker):
        self.disk = disk.Ext4(os.path.join(broker.folder, 'disk.img'), broker.data)
        self.disk.mount()
        broker.start()

    def arm(self, broker, chance):
        self.chance = chance

    def strike(self, broker):
        if self.chance.random() < 0.3:
            super().strike(broker)
            return
        # Without power nothing is said any more. Here a sync that was under way may return 0 though what it should have kept
        # is gone: jbd2_complete_transaction() asks whether the transaction is over, not whether the journal was aborted.
        broker.freeze(calls_may_be_under_way=True)
        self.disk.cut_power()
        broker.kill()
        self.disk.unmount()
        self.disk.mount()

    def end(self, broker):
        try:
            super().end(broker)
        finally:
            self.disk.unmount()


def crash_of(options) -> Crash:
    if options.failpoint != 'none':
        return AtFailpoint(options)
    return {'kill': Crash, 'power': PowerCut, 'links': CutLinks}[options.crash](options)
