"""Pickles as the official files are: by Python 2 for CIFAR, by Python 3 for ImageNet16."""

from __future__ import annotations

import pickle
import random
import struct

import numpy as np


def python2_pickle(value, n_memoized: int = 0) -> bytes:
    """Pickle as Python 2 does at protocol 2: strings are bytes, and everything is memoized."""
    return b"\x80\x02" + _Python2(n_memoized).dumps(value) + b"."


def python3_pickle(value, protocol: int) -> bytes:
    """Pickle as Python 3 with an old numpy does."""
    pickled = pickle.dumps(value, protocol=protocol)
    new, old = b"numpy._core.multiarray", b"numpy.core.multiarray"
    if protocol < 4:
        return pickled.replace(new, old)
    # Its length stands before the name, and that of all in the frame's head, which may be cut.
    pickled = pickled.replace(b"\x8c\x16" + new, b"\x8c\x15" + old)
    return pickled[:2] + pickled[11:] if pickled[2:3] == b"\x95" else pickled


class _Python2:
    def __init__(self, n_memoized: int):
        self.n_memoized = n_memoized

    def memoize(self) -> bytes:
        self.n_memoized += 1
        number = self.n_memoized
        return b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number)

    def dumps(self, value) -> bytes:
        if value is None:
            return b"N"
        if isinstance(value, bool):
            return b"\x88" if value else b"\x89"
        return {
            int: self.integer,
            str: lambda text: self.string(text.encode("latin-1")),
            bytes: self.string,
            tuple: self.tuple,
            list: self.list,
            dict: self.dict,
            np.ndarray: self.array,
        }[type(value)](value)

    def integer(self, value: int) -> bytes:
        if 0 <= value < 1 << 8:
            return b"K" + bytes([value])
        return (
            b"M" + struct.pack("<H", value)
            if 0 <= value < 1 << 16
            else b"J" + struct.pack("<i", value)
        )

    def string(self, value: bytes) -> bytes:
        if len(value) < 256:
            return b"U" + bytes([len(value)]) + value + self.memoize()
        return b"T" + struct.pack("<i", len(value)) + value + self.memoize()

    def tuple(self, values: tuple) -> bytes:
        content = b"".join(map(self.dumps, values))
        if len(values) > 3:
            return b"(" + content + b"t" + self.memoize()
        return content + (b")", b"\x85", b"\x86", b"\x87")[len(values)] + self.memoize()

    def list(self, values: list) -> bytes:
        start = b"]" + self.memoize()
        return start + b"(" + b"".join(map(self.dumps, values)) + b"e"

    def dict(self, values: dict) -> bytes:
        start = b"}" + self.memoize() + b"("
        return start + b"".join(self.dumps(k) + self.dumps(v) for k, v in values.items()) + b"u"

    def array(self, values: np.ndarray) -> bytes:
        kind = values.dtype
        created = b"cnumpy.core.multiarray\n_reconstruct\n" + self.memoize()
        created += b"cnumpy\nndarray\n" + self.memoize() + self.dumps((0,)) + self.dumps("b")
        created += b"\x87" + self.memoize() + b"R" + self.memoize()
        dtype = b"cnumpy\ndtype\n" + self.memoize()
        dtype += self.dumps((kind.str[1:], 0, 1)) + b"R" + self.memoize()
        order = kind.str[0]
        dtype += self.dumps((3, order, None, None, None, -1, -1, 0)) + b"b"
        is_fortran = not values.flags.c_contiguous
        content = self.dumps(1) + self.dumps(values.shape) + dtype + self.dumps(is_fortran)
        raw = values.tobytes("F" if is_fortran else "C")
        return created + b"(" + content + self.string(raw) + b"t" + self.memoize() + b"b"


def mutations(content: bytes, count: int, seed: int = 0):
    """Change, cut out, double or cut off some bytes, always in the same ways."""
    draw = random.Random(seed)
    for _ in range(count):
        mutated = bytearray(content)
        for _ in range(draw.randint(1, 3)):
            if len(mutated) < 10:
                break
            # Heads and names are what decides; most of a file is pixels.
            end = len(mutated) if draw.random() < 0.5 else min(len(mutated), 400)
            place = draw.randrange(end)
            kind = draw.random()
            if kind < 0.7:
                mutated[place] = draw.choice((0, 1, 127, 255, draw.randrange(256)))
            elif kind < 0.8:
                del mutated[place : place + draw.randint(1, 9)]
            elif kind < 0.9:
                mutated[place:place] = mutated[place : place + draw.randint(1, 9)]
            else:
                del mutated[place:]
        yield bytes(mutated)
