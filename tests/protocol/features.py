"""What mqloop does not offer and says so, in CONNACK and by reason codes.

The tests of a feature listed here show how it is refused. The commit that builds it takes it off the list, which
brings in the tests of the feature itself.
"""
from __future__ import annotations

ABSENT = frozenset()


def offered(feature: str) -> bool:
    return feature not in ABSENT
