"""What publishers send: each has streams of its own, a topic with one QoS each, and numbers its messages 1, 2, 3 ... in each.
A message can be told from all others by its topic and number, and its payload follows from its number alone."""
from __future__ import annotations

from dataclasses import dataclass

# How many retained values are followed by one that clears the topic.
CLEARED_EVERY = 5


@dataclass(frozen=True)
class Stream:
    topic: str
    qos: int
    retain: bool = False


def streams_of(publisher: str, levels: tuple) -> list:
    """Of each QoS one with messages and one with retained values."""
    messages = [Stream(f't/{publisher}/{qos}', qos) for qos in levels]
    return messages + [Stream(f'r/{publisher}/{qos}', qos, True) for qos in levels]


def payload_size(number: int) -> int:
    """Most are small, some take more than a page."""
    return 6000 if number % 97 == 0 else number * 37 % 300


def payload_of(number: int) -> bytes:
    text = b'%d ' % number
    return text + b'.' * payload_size(number)


def is_clearing(number: int) -> bool:
    return number % CLEARED_EVERY == 0


def number_in(payload: bytes) -> int:
    """0 when the payload is not one that was ever sent."""
    digits, _, rest = payload.partition(b' ')
    if not digits.isdigit() or len(rest) != payload_size(int(digits)) or rest.strip(b'.'):
        return 0
    return int(digits)
