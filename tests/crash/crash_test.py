"""Kills a broker again and again and counts what it had acknowledged and then lost.

  scripts/crash-test                                   60 rounds with mqloop, its own clients, QoS 1 and 2
  scripts/crash-test --rounds 2000 --ledger            a long run, noted in tests/LEDGER.md
  scripts/crash-test --clients paho-c --reactors 2
  scripts/crash-test --broker mosquitto-autosave       what Debian's mosquitto loses, writing its file after every change
  scripts/crash-test --failpoint all                   the broker kills itself at each place that has a name (make failpoints)
  scripts/crash-test --crash power                     with the power of the disk (root)
  scripts/crash-test --trouble all                     the disk is full, read-only, fails: who is acknowledged then?
  scripts/crash-test --speed --rounds 3                acknowledged messages a second, beside mosquitto (make bench-load)
  scripts/crash-test --latency --rounds 3              how long PUBACK takes, beside a commit
  scripts/crash-test --crash links                     the broker lives on, only connections break: is the checker just?

8 publishers with topics of their own, 4 durable subscribers, 2 of them away while the load runs, a shared group, retained
messages, subscriptions that come and go, wills. After up to 2 s of load the broker is killed and started again; when all is
delivered the clients' records are compared. The exit status is 1 when something acknowledged was lost, came twice with QoS 2
or in another order, or when a session, a subscription, a retained value or a will was not there any more.
"""
from __future__ import annotations

import argparse
import collections
import datetime
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), 'protocol')]  # wire.py: the encodings of MQTT
sys.dont_write_bytecode = True

import disk  # noqa: E402
import ending  # noqa: E402
import latency  # noqa: E402
import speed  # noqa: E402
import trouble  # noqa: E402
from brokers import KINDS, ROOT, Failed  # noqa: E402
from crashes import crash_of  # noqa: E402
from rounds import Rounds  # noqa: E402

Result = collections.namedtuple('Result', 'rounds counts faults examples early_end notes seconds')
LEDGER = os.path.join(ROOT, 'tests', 'LEDGER.md')
LEDGER_HEAD = """# What was run

A line for each long run: `scripts/crash-test --ledger` and its like add them. What is told elsewhere about how long something was
tried is taken from here.

| date | commit | test | rounds | result |
|---|---|---|---|---|
"""


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--broker', choices=KINDS, default='mqloop')
    parser.add_argument('--publisher', default='sqlite', help="mqloop's: sqlite or memory (%(default)s)")
    parser.add_argument('--durability', default='full', help='of its publisher: full, normal or a number of ms (%(default)s)')
    parser.add_argument('--variant', default='', help='a build below build/variants, such as failpoints')
    parser.add_argument('--reactors', type=int, default=1)
    parser.add_argument('--clients', choices=('own', 'python', 'paho-c'), default='own', help='python is Paho too')
    parser.add_argument('--qos', choices=('1', '2', 'both'), default='both')
    parser.add_argument('--rounds', type=int, default=60)
    parser.add_argument('--messages', type=int, default=3000, help='of a round, about (%(default)s)')
    parser.add_argument('--crash', choices=('kill', 'power', 'links'), default='kill')
    parser.add_argument('--failpoint', default='none', metavar='NAME', help='NAME, all or none')
    parser.add_argument('--trouble', metavar='NAME', help=f'instead of rounds: all, or one of {" ".join(trouble.TROUBLES)}')
    parser.add_argument('--speed', action='store_true', help='instead of rounds of kills: acknowledged messages a second')
    parser.add_argument('--latency', action='store_true', help='instead of rounds of kills: how long PUBACK takes')
    parser.add_argument('--calls', type=int, default=30, help='how many calls fail in turn (%(default)s)')
    parser.add_argument('--seed', default='', help='what chance decides follows from it; a new one each time')
    parser.add_argument('--patience', type=float, default=30, help='seconds without any news until something is missing')
    parser.add_argument('--until-loss', action='store_true', help='end with the first round that loses something')
    parser.add_argument(
        '--reached', type=int, metavar='N', help='end when each failpoint has killed the broker so often; --rounds are for each'
    )
    parser.add_argument(
        '--ledger', nargs='?', const=LEDGER, metavar='FILE', help='add a line to tests/LEDGER.md, or to that file'
    )
    parser.add_argument('--records', metavar='FILE', help='add everything that the clients recorded to this file')
    parser.add_argument('--keep', metavar='FOLDER', help='work there, and leave the data, the log and the configuration')
    parser.add_argument('--quiet', action='store_true', help='say nothing of single rounds')
    return parser


def finish(options):
    if options.reached and options.failpoint == 'none':
        parser().error('--reached needs a failpoint')
    options.keep = options.keep and os.path.abspath(options.keep)
    options.seed = options.seed or str(random.SystemRandom().randrange(10**9))
    if options.failpoint != 'none':
        options.variant = options.variant or 'failpoints'
    if options.durability.isdigit():
        options.durability = {'batched': f'{options.durability}ms'}
    return options


def run(options, say) -> Result:
    """All rounds; what goes wrong with the broker itself is its `early_end`."""
    folder = options.keep or tempfile.mkdtemp(prefix='mqloop-crash-')
    os.makedirs(folder, exist_ok=True)
    start, early_end, done, rounds, broker = time.monotonic(), '', 0, None, None
    try:
        broker = KINDS[options.broker](folder, options)
        rounds = Rounds(options, broker, crash_of(options), say)
        rounds.begin()
        while done < rounds.crash.rounds() and not rounds.crash.is_done():
            before = dict(rounds.checker.counts)
            rounds.run()
            done += 1
            tell_round(rounds, before, say)
            if options.until_loss and rounds.checker.counts['lost']:
                break
        rounds.end()
    except (Failed, RuntimeError, OSError) as fault:
        early_end = str(fault)
    finally:
        if broker:
            broker.kill()
        if not options.keep:
            clear(folder, broker)
        if rounds:
            rounds.leave()
    checker = rounds.checker if rounds else None
    return Result(
        done,
        dict(checker.counts) if checker else {},
        checker.faults() if checker else {},
        dict(checker.examples) if checker else {},
        early_end,
        rounds.crash.notes if rounds else [],
        time.monotonic() - start,
    )


def clear(folder: str, broker):
    if broker and os.path.ismount(broker.data):
        subprocess.run(['umount', broker.data], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def tell_round(rounds, before: dict, say):
    counts = rounds.checker.counts
    news = {kind: count - before.get(kind, 0) for kind, count in counts.items()}
    faults = {kind: news[kind] for kind in rounds.checker.faults() if news.get(kind)}
    words = ', '.join(f'{count} {kind}' for kind, count in faults.items()) or 'nothing lost'
    say(f'round {rounds.number}: {news.get("acked", 0)} acknowledged, {news.get("got", 0)} got, {words}')


def summary(result: Result) -> str:
    counts = collections.Counter(result.counts)
    words = [f'{counts["acked"]} acknowledged', f'{counts["lost"]} lost', f'{counts["duplicated"]} duplicated']
    words.append(f'{counts["reordered"]} reordered')
    words += [f'{count} {kind}' for kind, count in result.faults.items() if kind not in ('lost', 'duplicated', 'reordered')]
    return ', '.join(words)


def note_in_ledger(path: str, arguments: list, result: Result):
    commit = subprocess.run(
        ['git', '-C', ROOT, 'describe', '--always', '--dirty', '--abbrev=10'], capture_output=True, text=True, check=False
    ).stdout.strip()
    words = [word for word in arguments if word not in ('--ledger', path, f'--ledger={path}')]
    outcome = summary(result) + (f', ended by: {result.early_end.splitlines()[0]}' if result.early_end else '')
    is_new = not os.path.exists(path)
    with open(path, 'a', encoding='utf-8') as file:
        if is_new:
            file.write(LEDGER_HEAD)
        date = datetime.date.today().isoformat()
        file.write(f'| {date} | {commit or "?"} | `crash-test {" ".join(words)}` | {result.rounds} | {outcome} |\n')


def run_troubles(options) -> int:
    """Each prints a line; the last one counts them."""
    names = list(trouble.TROUBLES) if options.trouble == 'all' else [options.trouble]
    counts = collections.Counter()
    for name in names:
        if name not in trouble.TROUBLES:
            print(f'crash-test: no trouble {name}; there are {" ".join(trouble.TROUBLES)}', file=sys.stderr)
            return 2
        reason = trouble.why_not(name)
        if reason:
            counts['skipped'] += 1
            print(f'skipped {name}: {reason}', flush=True)
            continue
        if trouble.TROUBLES[name][2]:
            disk.enter_namespace(needs_devices=not disk.why_not(needs_devices=True))
        with tempfile.TemporaryDirectory(prefix='mqloop-crash-') as folder:
            try:
                trouble.run(name, os.path.join(options.keep or folder, name), options)
                counts['passed'] += 1
                print(f'ok {name}', flush=True)
            except (Failed, OSError, RuntimeError) as fault:
                counts['failed'] += 1
                print(f'FAILED {name}: {fault}', flush=True)
    print(f'{counts["passed"]} passed, {counts["failed"]} failed, {counts["skipped"]} skipped')
    return 1 if counts['failed'] else 0


def main(arguments) -> int:
    options = finish(parser().parse_args(arguments))
    ending.listen()
    if options.trouble:
        return run_troubles(options)
    if options.speed or options.latency:
        with tempfile.TemporaryDirectory(prefix='mqloop-crash-', dir=options.keep) as folder:
            return (speed if options.speed else latency).run(folder, options)
    if options.crash == 'power':
        reason = disk.why_not(needs_devices=True)
        if reason:
            print(f'skipped: {reason}')
            return 2
        disk.enter_namespace(needs_devices=True)
    say = (lambda text: None) if options.quiet else (lambda text: print(text, flush=True))
    result = run(options, say)
    print(f'{result.rounds} rounds in {result.seconds:.0f} s: {summary(result)}')
    for note in result.notes:
        print(note)
    for kind, examples in result.examples.items():
        print(f'{kind}:', *examples, sep='\n  ')
    if result.early_end:
        print(f'The run ended early: {result.early_end}')
    if options.ledger:
        note_in_ledger(options.ledger, arguments, result)
    if result.faults or result.early_end:
        words = [word for word in arguments if not word.startswith('--seed')]
        print(f'Again: scripts/crash-test {" ".join(words)} --seed {options.seed}')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
