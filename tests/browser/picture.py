"""What is to be seen in a PNG, as far as pictures of pages go: 8 bits a channel, not interlaced."""
from __future__ import annotations

import collections
import struct
import zlib


def chunks(data: bytes):
    at = 8
    while at < len(data):
        size, kind = struct.unpack_from('>I4s', data, at)
        yield kind, data[at + 8:at + 8 + size]
        at += 12 + size


def unfiltered(line: bytes, above: bytes, kind: int, step: int) -> bytes:
    """A line of samples; `step` is the distance to the sample on the left. PNG, 9.2."""
    out = bytearray(line)
    for i in range(len(out)) if kind else ():
        left = out[i - step] if i >= step else 0
        up = above[i]
        if kind == 4:
            corner = above[i - step] if i >= step else 0
            guess = left + up - corner
            distances = abs(guess - left), abs(guess - up), abs(guess - corner)
            predicted = (left, up, corner)[distances.index(min(distances))]
        else:
            predicted = (left, up, (left + up) // 2)[kind - 1]
        out[i] = (out[i] + predicted) & 255
    return bytes(out)


def colours(path: str) -> tuple:
    """(width, height, how many pixels each (red, green, blue) has)"""
    with open(path, 'rb') as file:
        data = file.read()
    if not data.startswith(b'\x89PNG\r\n\x1a\n'):
        raise AssertionError(f'{path} is no PNG')
    parts = list(chunks(data))
    width, height, depth, colour, _, _, interlaced = struct.unpack('>IIBBBBB', parts[0][1])
    if depth != 8 or colour not in (2, 6) or interlaced:
        raise AssertionError(f'{path}: another kind of PNG than pictures of pages are: {parts[0][1].hex(" ")}')
    step = 3 if colour == 2 else 4
    samples = zlib.decompress(b''.join(content for kind, content in parts if kind == b'IDAT'))
    counted: collections.Counter = collections.Counter()
    above = bytes(width * step)
    for start in range(0, len(samples), 1 + width * step):
        above = unfiltered(samples[start + 1:start + 1 + width * step], above, samples[start], step)
        counted.update(zip(above[0::step], above[1::step], above[2::step]))
    return width, height, counted
