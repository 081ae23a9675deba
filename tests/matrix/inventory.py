"""Every test of the tree by `<area>:<name>`, read from the sources, and those that passed in this run of the parts."""
from __future__ import annotations

import bisect
import fnmatch
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('MQLOOP_BUILD', os.path.join(ROOT, 'build'))


def found_in(pattern: str, files: str) -> list[str]:
    """What the groups of `pattern` catch in the files of the tree that fit `files`, joined by dots."""
    names = []
    for file in sorted(glob.glob(os.path.join(ROOT, files), recursive=True)):
        with open(file, encoding='utf-8') as source:
            names += ['.'.join(one.groups()) for one in re.finditer(pattern, source.read(), re.MULTILINE)]
    return names


def told_by(program: str) -> list[str]:
    """The names that a part lists itself."""
    done = subprocess.run([sys.executable, os.path.join(ROOT, program), '--list'], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f'{program} --list ended with {done.returncode}:\n{done.stderr}')
    return done.stdout.split()


CPPUTEST = r'^TEST\((\w+),\s*(\w+)\)'
AREAS = {
    'unit': lambda: found_in(CPPUTEST, 'tests/unit/**/*.cc'),
    'conformance': lambda: found_in(CPPUTEST, 'tests/conformance/*.cc'),
    'protocol': lambda: told_by('tests/protocol/run'),
    'system': lambda: told_by('tests/system/run'),
    'browser': lambda: told_by('tests/browser/run'),
    'plugin': lambda: found_in(r'^def test_(\w+)\(', 'tests/plugin/*.py'),
    'cli': lambda: found_in(r'^@test\ndef (\w+)\(', 'tests/cli/run'),
    'build': lambda: found_in(r'^test_(\w+)\(\)', 'tests/build/*.sh'),
    'fuzz': lambda: fuzz_targets(),
    'sim': lambda: ['every_seed_agrees_with_the_model'],
    'tree': lambda: [os.path.basename(one) for one in glob.glob(os.path.join(ROOT, 'scripts', 'check-*'))],
}


def fuzz_targets() -> list[str]:
    return [os.path.basename(one)[: -len('_fuzz.cc')] for one in glob.glob(os.path.join(ROOT, 'tests/fuzz/*_fuzz.cc'))]


class Inventory:
    def __init__(self):
        self.names: dict[str, list[str]] = {}
        self.passed: dict[str, set[str]] = {}
        self.ran = os.environ.get('MQLOOP_PARTS', '').split()

    def of(self, area: str) -> list[str]:
        if area not in self.names:
            self.names[area] = sorted(set(AREAS[area]()))
        return self.names[area]

    def matching(self, area: str, pattern: str) -> list[str]:
        """The tests that an exact name, or one with *, stands for."""
        names = self.of(area)
        start = pattern.split('*')[0]
        at = bisect.bisect_left(names, start)
        if start == pattern:
            return [pattern] if at < len(names) and names[at] == pattern else []
        found = []
        while at < len(names) and names[at].startswith(start):
            if fnmatch.fnmatchcase(names[at], pattern.replace('[', '[[]')):
                found.append(names[at])
            at += 1
        return found

    def passed_in(self, area: str) -> set[str]:
        if area not in self.passed:
            try:
                with open(os.path.join(BUILD, 'check', f'{area}.ran'), encoding='utf-8') as file:
                    self.passed[area] = set(file.read().split())
            except FileNotFoundError:
                self.passed[area] = set()
        return self.passed[area]

    def fault(self, test: str) -> str:
        """What is wrong with `<area>:<name>` as a proof, or nothing."""
        area, colon, pattern = test.partition(':')
        if not colon or area not in AREAS:
            return f'{test}: no <area>:<name> with an area of tests/'
        found = self.matching(area, pattern)
        if not found:
            return f'{test}: there is no such test'
        if area in self.ran:
            missing = [one for one in found if one not in self.passed_in(area)]
            if missing:
                return f'{test}: {missing[0]} has not passed in this run'
        return ''
