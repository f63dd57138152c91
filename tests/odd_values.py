"""Values of every kind that somebody may pass, right ones and wrong ones, as hypothesis draws them.

A value is drawn as the code that makes it, so that a failing call can be read, and no call sees
what another has done to its arguments.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as from_numpy
import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

from proxysample import ArrayDataset

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 1), dtype=np.uint8)
LABELS = np.arange(24) % 3


class Code(str):
    """Code that makes a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Odd:
    """A dataset whose methods give, or raise, what they are told to."""

    def __init__(self, size: Any, item: Any) -> None:
        self.size, self.item = size, item

    def __len__(self) -> Any:
        if isinstance(self.size, Exception):
            raise self.size
        return self.size

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.item, Exception):
            raise self.item
        return self.item

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Refusing:
    """An object that fails at whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def _fail(self, *_: Any) -> Any:
        raise RuntimeError("no")

    __eq__ = __len__ = __iter__ = __bool__ = __float__ = __int__ = __index__ = __str__ = _fail
    __array__ = __fspath__ = __call__ = __contains__ = __lt__ = __hash__ = _fail


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def within_itself() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def pairs() -> list[Any]:
    return list(zip(PIXELS, LABELS, strict=True))


def frame() -> Any:
    import pandas as pd

    return pd.DataFrame({"path": ["a.png", "b.png"], "label": [0, 1]})


NUMBERS = [
    "True", "False", "0", "1", "-1", "3", "2**31", "2**63", "-(2**63)", "2**64", "10**30",
    "10**400", "10**5000", "0.0", "-0.0", "0.5", "1.0", "1e-300", "1e300", "float('nan')",
    "float('inf')", "-float('inf')", "1j", "np.int8(3)", "np.float32(0.5)", "np.float64('nan')",
    "np.bool_(True)", "np.uint64(2**64 - 1)", "Decimal('0.5')", "Decimal('sNaN')", "np.array(3)",
    "torch.tensor(1)", "torch.tensor(0.5)", "np.float16(0.5)", "np.longdouble(0.5)",
]  # fmt: skip
TEXTS = [
    "''", "' '", "'a'", "'0'", "'nan'", "'digits'", "'easy'", "'given'", "'auto'", "'cpu'",
    "'cuda:99'", "'meta'", r"'a\0b'", r"'\udcff'", r"'\x1b[31m'", r"'\u202eb'", r"'a\nb'",
    "'x' * 300", "'x' * 10_000", "'[' * 10_000", "'{\"a\":' * 10_000", "'9' * 5_000", "'{}'", "'$'",
    "'resnet18./etc/passwd'", "'hf-hub:a/b'", "'local-dir:/nowhere'", "'http://127.0.0.1:9/a'",
    "'a=b'", "'='", "'epochs=1'", "'km-or:n_clusters=99999999999999999999'", "'null'", "'1e999'",
    "'indices:path=/dev/zero'", "'%s'", "'{0}'", "'json'", "'os:system'", "'builtins:exec'",
    "np.str_('a')", "'|nor_conv_3x3~0|'", "'rs'", "'[1, 2'", "'{\"a\": NaN}'",
]  # fmt: skip
PATHS = [
    "'../..'", "'/dev/zero'", "'/dev/null'", "'/proc/self/mem'", "'/nowhere/a.npz'", "'.'",
    "'npz:/dev/zero'", "'folder:.'", "'csv:/dev/null'", "'npy:a,b'", "'huggingface:.'", "'a.npz'",
    "'/dev/full'", "Path('/nowhere')", "Path()", "'~'", "'/'", "'a/b/c'", "'x' * 300 + '.npz'",
    "'a.npz/b'", "b'a'", "'npz:small.npz'", "'small.npz'", "'small.csv'", "'ranking.npz'", "3",
    "'report.html'", "'figure.pdf'", "'a.txt'", "'tree'", "'folder:tree'", "'link'",
    "'/proc/self/environ'", "'small.json'", "'fifo'",
]  # fmt: skip
OTHERS = [
    "None", "b''", "b'a'", r"b'\xff'", "()", "[]", "{}", "set()", "frozenset({1})", "range(3)",
    "[1, '1']", "[1.5]", "[None]", "[[1], [1, 2]]", "[float('nan')]", "['a', 'b']", "{'a': 1}",
    "{1: [2]}", "[2**64]", "[True, 1]", "(1, 2, 3)", "[b'a']", "{'image': 1}", "slice(3)", "...",
    "NotImplemented", "int", "object", "len", "np.datetime64('2020-01-01')", "torch.float32",
    "torch.device('meta')", "ValueError('a')", "object()", "iter([1])", "(one for one in 'ab')",
    "nested(50)", "nested(100_000)", "within_itself()", "lambda x: 1 / 0", "io.BytesIO(b'a')",
    "Refusing()", "[Refusing()]", "{'a': Refusing()}", "bytearray(3)", "memoryview(b'abc')",
    "re.compile('a')", "io.StringIO('a')", "{'a': {'b': []}}", "[{}]", "[()]", "{None: None}",
    "range(10**12)", "itertools.count()", "itertools.repeat('a')", "Exception", "print",
]  # fmt: skip
ARRAYS = [
    "np.array('a')", "np.zeros(0)", "np.zeros((0, 3))", "np.zeros((3, 0))", "pairs()",
    "np.full((24, 2), np.nan)", "np.full((24, 2), np.inf)", "np.zeros((24, 2), dtype=object)",
    "np.array([None] * 24)", "np.zeros(24, dtype='M8[s]')", "np.zeros(24, dtype=[('a', int)])",
    "np.zeros((24, 2), dtype=complex)", "np.ma.masked_all(24)", "np.zeros((1,) * 20)",
    "np.zeros((24, 4, 4, 9))", "np.zeros(24)", "np.arange(24) * 1e300", "np.full((24, 3), 1e308)",
    "np.zeros((24, 3), dtype=np.float16)", "np.zeros((24, 3), dtype='S2')", "LABELS.tolist()",
    "np.array(['a', 'b'] * 12)", "np.zeros((24, 2), dtype=np.longdouble)", "torch.zeros(())",
    "torch.zeros(24, 2)", "torch.zeros(24, 2).to_sparse()", "torch.zeros(24, 2, device='meta')",
    "torch.zeros(24, 2, dtype=torch.complex64)", "torch.zeros(24, 2).to(torch.float8_e4m3fn)",
    "torch.zeros(0, 2)", "torch.quantize_per_tensor(torch.zeros(24, 2), 1.0, 0, torch.qint8)",
    "torch.zeros(24, 2, requires_grad=True)", "torch.full((24, 2), float('nan'))",
    "torch.zeros(24, 2).to_sparse_csr()", "torch.ones(24, dtype=torch.bfloat16)", "frame()",
    "torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])", "LABELS.copy()",
    "np.broadcast_to(np.float32(0), (10**12, 3))", "np.zeros(24, dtype='m8[ns]')",
    "Odd(-1, 0)", "Odd(10**12, 0)", "Odd(2**70, 0)", "Odd('a', 0)", "Odd(1.5, 0)", "Odd(0, 0)",
    "Odd(ValueError('a'), 0)", "Odd(24, ValueError('a'))", "Odd(24, None)", "Odd(24, 'a.png')",
    "Odd(24, np.zeros((2, 2), object))", "Odd(24, (np.zeros((4, 4, 1)), within_itself()))",
    "Odd(24, {'image': 3})", "Odd(24, (torch.zeros(1, 4, 4, device='meta'), 1))", "{0: 1, 1: 0}",
    "Odd(24, MemoryError())", "Odd(24, RecursionError())", "Odd(24, StopIteration())",
    "Odd(24, (np.zeros((4, 4)), 10**5000))", "[PIXELS[0], PIXELS[1][:2]]", "nn.Linear(2, 2)",
    "nn.Flatten()", "np.random.default_rng(0)", "ArrayDataset(PIXELS, LABELS)",
    "ArrayDataset(PIXELS)", "PIXELS.copy()", "PIXELS[:, :, :, 0] / 255", "PIXELS[:1]",
    "Odd(24, (PIXELS[0], Refusing()))", "Odd(24, Refusing())", "[(PIXELS[0], 0)] * 24",
]  # fmt: skip
CHARACTERS = (
    "aZ09 =:,.;-_/\\'\"()[]{}<>|&$#%@!?*^~`\t\n\0\x1b\xff\u0301\u202e\u732b\U0001f600\ud800"
)


def code(*groups: Iterable[str]) -> st.SearchStrategy[Any]:
    return st.sampled_from([Code(one) for group in groups for one in group])


# Larger ones that are right take long, and those beyond any machine are among the numbers.
SMALL = st.integers(-3, 40)
NUMBER = st.one_of(code(NUMBERS), SMALL, st.floats(), st.floats(-1, 2))
TEXT = st.one_of(code(TEXTS, PATHS), st.text(CHARACTERS, max_size=30), st.text(max_size=10))
PLAIN = st.one_of(NUMBER, TEXT, code(OTHERS), st.binary(max_size=8))
ARRAY = st.one_of(
    code(ARRAYS),
    from_numpy.arrays(
        st.one_of(from_numpy.scalar_dtypes(), from_numpy.unicode_string_dtypes()),
        from_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    from_numpy.arrays(from_numpy.scalar_dtypes(), 24),
)
SEVERAL = st.one_of(
    st.lists(PLAIN, max_size=3),
    st.dictionaries(st.text(max_size=5), PLAIN, max_size=2),
    st.lists(NUMBER, min_size=1, max_size=24),
    st.lists(TEXT, min_size=1, max_size=3).map(tuple),
)
ANYTHING = st.one_of(code(NUMBERS, TEXTS, PATHS, OTHERS), PLAIN, ARRAY, SEVERAL)
# By a word of a parameter's type, what is nearly that.
BY_TYPE = {
    "int": NUMBER, "float": NUMBER, "str": TEXT, "Path": code(PATHS), "Any": ARRAY,
    "Array": ARRAY, "Tensor": ARRAY, "Mapping": SEVERAL, "Iterable": SEVERAL, "Sequence": SEVERAL,
    "tuple": SEVERAL, "dict": SEVERAL, "list": SEVERAL, "Field": PLAIN, "bool": NUMBER,
}  # fmt: skip


def nearly(annotation: str) -> st.SearchStrategy[Any]:
    """Give values near those that a type names, and any other."""
    near = [BY_TYPE[word] for word in re.findall(r"\w+", annotation) if word in BY_TYPE]
    return st.one_of(*near, ANYTHING)


def made(value: Any, names: dict[str, Any] | None = None) -> Any:
    """Make the value that has been drawn."""
    if isinstance(value, Code):
        return eval(value, {**globals(), **(names or {})})
    if isinstance(value, dict):
        return {key: made(one, names) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(made(one, names) for one in value)
    return value


__all__ = ["ArrayDataset", "Decimal", "Path", "io", "itertools", "nn", "torch"]
