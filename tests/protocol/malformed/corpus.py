"""The whole corpus: every family, the same list in every run."""
from __future__ import annotations

from functools import lru_cache

from malformed import codes, connects, fields, headers, lengths, properties, strings, topics
from malformed.case import Book, Case, unique

FAMILIES = (headers, lengths, connects, properties, codes, strings, topics, fields)


@lru_cache(None)
def refused() -> int:
    """How many different packets, or rows of packets, of one version there are that must end the connection."""
    found = set()
    for case in cases():
        legal_end = case.parts[0][:1] == b'\xe0' and not any(one.packets for one in case.outcomes)
        if all(one.end == 'closed' for one in case.outcomes) and not legal_end and case.then != 'fin':
            found.add((case.version, b''.join(case.parts).replace(case.client_id, b'')))
    return len(found)


@lru_cache(None)
def cases() -> tuple[Case, ...]:
    book = Book()
    for family in FAMILIES:
        family.add_to(book)
    found = tuple(book.cases.values())
    unique(found)
    return found
