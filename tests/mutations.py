"""Files changed as damage and malice change them, always in the same ways."""

from __future__ import annotations

import io
import json
import math
import random
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Numbers of four and eight bytes that lengths and offsets are changed to.
EXTREMES = (0, 1, 0x7F, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


def mutations(content: bytes, count: int, seed: int = 0, head: int = 400) -> Iterator[bytes]:
    """Flip, cut out, double, swap, overwrite and cut off bytes; half of the time in the head."""
    draw = random.Random(seed)
    for _ in range(count):
        mutated = bytearray(content)
        for _ in range(draw.randint(1, 3)):
            if len(mutated) > 16:
                _mutate(mutated, draw, head)
        yield bytes(mutated)


def _mutate(content: bytearray, draw: random.Random, head: int) -> None:
    end = len(content) if draw.random() < 0.5 else min(len(content), head)
    place = draw.randrange(end)
    kind = draw.random()
    if kind < 0.35:
        content[place] = draw.choice((0, 1, 127, 255, draw.randrange(256)))
    elif kind < 0.5:
        content[place] ^= 1 << draw.randrange(8)
    elif kind < 0.6:
        n_bytes = draw.choice((4, 8))
        number = draw.choice(EXTREMES) & ((1 << 8 * n_bytes) - 1)
        content[place : place + n_bytes] = number.to_bytes(n_bytes, draw.choice(("little", "big")))
    elif kind < 0.7:
        del content[place : place + draw.randint(1, 9)]
    elif kind < 0.8:
        content[place:place] = content[place : place + draw.randint(1, 9)]
    elif kind < 0.9:
        _swap(content, draw)
    else:
        del content[place:]


def _swap(content: bytearray, draw: random.Random) -> None:
    length = draw.randint(1, min(64, len(content) // 3))
    first = draw.randrange(len(content) - 2 * length)
    second = draw.randrange(first + length, len(content) - length + 1)
    a, b = content[first : first + length], content[second : second + length]
    content[first : first + length], content[second : second + length] = b, a


def mutated_archives(
    members: Mapping[str, bytes], count: int, seed: int = 0, head: int = 128
) -> Iterator[bytes]:
    """Change the members of a zip archive: their bytes, their names, their number.

    The archive's own sums are right, so that what is in the members is read.
    """
    draw = random.Random(seed)
    streams = {
        name: mutations(content, count, draw.randrange(1 << 30), head)
        for name, content in members.items()
    }
    for _ in range(count):
        chosen = draw.choice(list(members))
        parts = [
            (name, next(streams[name]) if name == chosen else content)
            for name, content in members.items()
        ]
        kind = draw.random()
        if kind < 0.1:
            parts.append(draw.choice(parts))
        elif kind < 0.2:
            _, content = parts.pop(draw.randrange(len(parts)))
            others = ("../x.npy", "", ".npy", "a" * 300, "header.npy", "scores", "labels.npy")
            parts.append((draw.choice(others), content))
        elif kind < 0.3:
            parts.pop(draw.randrange(len(parts)))
        yield archive(parts, draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))


def archive(parts: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Write a zip archive; a name may occur twice."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as written:
        for name, content in parts:
            # A name that is there already is written with a warning, and is what is wanted.
            written.NameToInfo.pop(name, None)
            written.writestr(zipfile.ZipInfo(name), content, compression)
    return stream.getvalue()


# One of each type that JSON knows, and numbers at the ends of what can be counted.
OTHER_VALUES = (None, True, "x", "", 0, -1, 0.5, 1 << 70, 1e308, math.nan, [], {}, [[0]], {"a": 1})
LEFT_OUT = object()


def changed_values(values: Any, others: Sequence[Any] = (*OTHER_VALUES, LEFT_OUT)) -> Iterator[Any]:
    """Replace each value within a JSON value, one at a time; `LEFT_OUT` takes it away."""
    for place in places(values):
        for other in others:
            yield with_value(values, place, other)


def places(values: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Name each value within a JSON value, at every depth, by the names that lead to it."""
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for name, value in items:
        yield (*prefix, name)
        if isinstance(value, dict | list):
            yield from places(value, (*prefix, name))


def with_value(values: Any, place: tuple[Any, ...], value: Any) -> Any:
    """Give a copy with one value replaced, or left out."""
    copy = json.loads(json.dumps(values))
    inner = copy
    for name in place[:-1]:
        inner = inner[name]
    if value is LEFT_OUT:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return copy
