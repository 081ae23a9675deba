"""The whole corpus: every family, the same list in every run."""
from __future__ import annotations

from functools import lru_cache

from malformed import codes, connects, headers, lengths, properties, strings, topics
from malformed.case import Book, Case, unique

FAMILIES = (headers, lengths, connects, properties, codes, strings, topics)


@lru_cache(None)
def cases() -> tuple[Case, ...]:
    book = Book()
    for family in FAMILIES:
        family.add_to(book)
    found = tuple(book.cases.values())
    unique(found)
    return found
