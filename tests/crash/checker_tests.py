"""The checker, told of one history after the other; and the faults, met by SQLite alone."""
from __future__ import annotations

import errno
import os
import subprocess

from checker import Checker
from faults import ANY, SYNC, Faults
from streams import is_clearing, number_in, payload_of


def judged(*records, groups=None) -> dict:
    """The faults of a round with these records, each a text; subscribers are `s`, and who is in `groups`."""
    checker = Checker(groups)
    for name in groups or ['s']:
        checker.expect_all(name)
    tell(checker, *records)
    checker.judge_messages()
    return checker.faults()


def tell(checker: Checker, *records):
    for record in records:
        client, *words = record.split()
        checker.take(client, tuple(int(word) if word.isdigit() else word for word in words))


SENT = ('p send t/a 1', 'p ack t/a 1', 'p send t/a 2', 'p ack t/a 2', 'p send t/a 3')


def test_the_checker_is_content_with_a_history_without_fault(_):
    assert judged(*SENT, 's got t/a 1 2', 's got t/a 2 2', 's got t/a 3 2') == {}
    assert judged(*SENT, 's got t/a 1 1', 's got t/a 2 1') == {}, 'what was not acknowledged need not come'


def test_the_checker_finds_what_was_acknowledged_and_is_lost(_):
    assert judged(*SENT, 's got t/a 1 2', 's got t/a 3 2') == {'lost': 1}
    assert judged(*SENT) == {'lost': 2}


def test_the_checker_asks_every_subscriber(_):
    checker = Checker()
    checker.expect_all('s')
    checker.expect_all('u')
    tell(checker, *SENT, 's got t/a 1 2', 's got t/a 2 2', 'u got t/a 1 2')
    checker.judge_messages()
    assert checker.faults() == {'lost': 1}


def test_the_checker_finds_duplicates_of_qos_2_and_allows_those_of_qos_1(_):
    assert judged(*SENT, 's got t/a 1 2', 's got t/a 2 2', 's got t/a 1 2') == {'duplicated': 1}
    assert judged(*SENT, 's got t/a 1 1', 's got t/a 2 1', 's got t/a 1 1') == {}


def test_the_checker_takes_a_refused_subscription_for_a_fault_unless_there_is_trouble(_):
    for is_expected, faults in ((False, {'subscriptions_lost': 2}), (True, {})):
        checker = Checker()
        checker.is_trouble_expected = is_expected
        tell(checker, 's suback n/1', 's subscription_refused n/1', 's subscription_refused n/2')
        checker.hits = {'n/1'}
        checker.judge_filters('s')
        assert checker.faults() == faults, checker.faults()


def test_the_checker_finds_duplicates_of_earlier_rounds(_):
    checker = Checker()
    checker.expect_all('s')
    tell(checker, *SENT, 's got t/a 1 2', 's got t/a 2 2')
    checker.judge_messages()
    tell(checker, 's got t/a 3 2')
    assert checker.faults() == {}, 'that had not come yet'
    tell(checker, 's got t/a 2 2', 's got t/a 3 2')
    assert checker.faults() == {'duplicated': 2}


def test_the_checker_finds_first_deliveries_out_of_order(_):
    assert judged(*SENT, 's got t/a 2 1', 's got t/a 1 1') == {'reordered': 1}
    assert judged(*SENT, 's got t/a 1 1', 's got t/a 2 1', 's got t/a 1 1', 's got t/a 2 1') == {}, 'sent again'


def test_the_checker_takes_a_group_for_one_subscriber(_):
    groups = {'g': 'group', 'h': 'group'}
    assert judged(*SENT, 'g got t/a 2 2', 'h got t/a 1 2', groups=groups) == {}
    assert judged(*SENT, 'g got t/a 1 2', groups=groups) == {'lost': 1}
    assert judged(*SENT, 'g got t/a 1 2', 'h got t/a 1 2', 'h got t/a 2 2', groups=groups) == {'duplicated': 1}


def test_the_checker_finds_what_nobody_sent(_):
    assert judged(*SENT, 's got t/a 1 2', 's got t/a 2 2', 's got t/a 4 2') == {'invented': 1}
    assert judged(*SENT, 's got t/a 1 2', 's got t/a 2 2', 's got t/a 0 2') == {'invented': 1}
    assert [number_in(payload_of(number)) for number in (1, 8, 97)] == [1, 8, 97]
    assert number_in(payload_of(8)[:-1]) == number_in(payload_of(8) + b'.') == number_in(b'') == 0
    assert number_in(payload_of(8).replace(b'.', b',')) == 0


def test_the_checker_finds_lost_sessions_with_their_subscriptions(_):
    assert judged('s session 0 0', 's suback t/#', 's session 1 1') == {}
    assert judged('s session 0 0', 's suback t/#', 's session 0 1') == {'sessions_lost': 1, 'subscriptions_lost': 1}


def test_the_checker_finds_subscriptions_that_are_lost_or_kept(_):
    def judged_filters(*records):
        checker = Checker()
        tell(checker, *records)
        checker.judge_filters('s')
        return checker.faults()

    subscribed = ('s subscribe n/1', 's suback n/1')
    unsubscribed = (*subscribed, 's unsubscribe n/1', 's unsuback n/1')
    assert judged_filters(*subscribed, 's got n/1 0 1') == {}
    assert judged_filters(*subscribed) == {'subscriptions_lost': 1}
    assert judged_filters(*unsubscribed) == {}
    assert judged_filters(*unsubscribed, 's got n/1 0 1') == {'subscriptions_kept': 1}
    assert judged_filters('s subscribe n/1') == {}, 'nobody was promised that'
    assert judged_filters(*subscribed, 's unsubscribe n/1') == {}


def test_the_checker_finds_retained_values_that_are_older_than_acknowledged(_):
    def judged_value(value, *records):
        checker = Checker()
        tell(checker, *records)
        checker.judge_retained({'r/a': value} if value else {}, is_clearing)
        return checker.faults()

    sent = tuple(f'p {word} r/a {number}' for number in (1, 2, 3) for word in ('send', 'ack'))
    assert judged_value(3, *sent) == {}
    assert judged_value(2, *sent) == judged_value(0, *sent) == {'retained_lost': 1}
    assert judged_value(3, *sent, 'p send r/a 4') == judged_value(4, *sent, 'p send r/a 4') == {}
    cleared = (*sent, 'p send r/a 4', 'p send r/a 5', 'p ack r/a 5')
    assert judged_value(0, *cleared) == {}
    assert judged_value(4, *cleared) == {'retained_lost': 1}


def test_the_checker_finds_wills_that_are_not_sent(_):
    def judged_wills(*records):
        checker = Checker()
        tell(checker, *records)
        checker.judge_wills()
        return checker.faults()

    assert judged_wills('c armed', 'broker killed', 's got w/c 0 1') == {}
    assert judged_wills('c armed', 'broker killed') == {'wills_lost': 1}
    assert judged_wills('broker killed', 'c armed') == {}, 'it is alive'


TO_SQLITE = '''
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute('PRAGMA journal_mode=wal')
database.execute('PRAGMA synchronous=full')
database.execute('CREATE TABLE t(x)')
for line in sys.stdin:
    try:
        database.execute('INSERT INTO t VALUES(1)')
        print('ok', flush=True)
    except sqlite3.Error as error:
        print(error, flush=True)
'''


def sqlite_meets_faults(folder: str):
    faults = Faults(folder)
    process = subprocess.Popen(
        ['/usr/bin/python3', '-c', TO_SQLITE, os.path.join(folder, 'x.db')],
        env={**os.environ, **faults.environment()}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )

    def insert() -> str:
        process.stdin.write('\n')
        process.stdin.flush()
        return process.stdout.readline().strip()

    try:
        assert insert() == 'ok'
        for error, words in ((errno.EIO, 'disk I/O error'), (errno.ENOSPC, 'database or disk is full')):
            faults.begin(error)
            assert [insert(), insert()] == [words, words]
            assert faults.failed() > 0
            faults.end()
            assert insert() == 'ok'
        for calls, spared in ((SYNC, 0), (ANY, 1)):
            faults.begin(errno.EIO, calls, spared, times=1)
            assert [insert(), insert(), faults.failed()] == ['disk I/O error', 'ok', 1]
    finally:
        process.kill()
        process.communicate()
