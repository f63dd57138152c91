"""Pickles of plain values and numpy arrays, read without running what is in them."""

from __future__ import annotations

import io
import math
import pickletools
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError

# The largest official file, CIFAR-100's, holds 155 MB in some 200,000 instructions and 1 array.
MOST_BYTES = 1 << 28
MOST_INSTRUCTIONS = 2_000_000
MOST_ARRAYS = 8
MOST_DIMENSIONS = 4

# What numpy of any age writes: its modules were renamed, Python 2 knew strings for bytes.
RECONSTRUCT = frozenset(
    {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
)
DTYPES = frozenset({"u1", "i4", "i8", "f4", "f8"})
BYTE_ORDERS = frozenset({"|", "<", ">", "="})


def read_plain_pickle(pickled: bytes, name: str) -> dict[str, Any]:
    """Read a pickled dict of plain values and arrays.

    Parameters
    ----------
    pickled : bytes
        Protocol 2, 3 or 4, of Python 2 or 3.
    name : str
        What to call it in messages.

    Returns
    -------
    dict
        Its values are str, bytes, int, bool, None, tuples, lists and dicts of these, and, at
        the top, arrays of numbers. Strings of Python 2 come as Latin-1. Arrays cannot be
        written to.

    Raises
    ------
    InputError
        If it is damaged or too large, or holds anything else. Nothing in it is ever run.

    Examples
    --------
    >>> import pickle
    >>> read_plain_pickle(pickle.dumps({"labels": [6, 9]}), "data_batch_1")
    {'labels': [6, 9]}
    >>> read_plain_pickle(pickle.dumps({"labels": len}), "data_batch_1")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: data_batch_1 names 'builtins len', ...
    """
    if len(pickled) > MOST_BYTES:
        raise InputError(f"{name} has {len(pickled):,} bytes; at most {MOST_BYTES:,} are read")
    try:
        with warnings.catch_warnings():
            # Of a backslash in a name; no name with one is taken.
            warnings.simplefilter("ignore", DeprecationWarning)
            return _run(pickled, _Machine(name))
    except InputError:
        raise
    except (ValueError, OverflowError, struct.error) as error:
        raise InputError(f"{name} is no pickle, is damaged or is cut: {str(error)[:200]}") from None
    except (IndexError, KeyError, TypeError):
        raise InputError(f"{name} is a damaged pickle") from None


def _run(pickled: bytes, machine: _Machine) -> dict[str, Any]:
    for count, (instruction, argument, _) in enumerate(pickletools.genops(io.BytesIO(pickled))):
        if count == MOST_INSTRUCTIONS:
            raise InputError(f"{machine.name} holds more than {MOST_INSTRUCTIONS:,} values")
        machine.run(instruction.name, argument)
    return machine.result()


@dataclass(frozen=True)
class _Global:
    """The name of a function or class, which is never looked up."""

    name: str


@dataclass(eq=False)
class _DType:
    """An array's type in the making: its name comes first, the order of its bytes later."""

    name: str
    byte_order: str = "="


@dataclass(eq=False)
class _Array:
    """An array in the making: created empty, filled later."""

    values: npt.NDArray[Any] | None = None

    @property
    def filled(self) -> npt.NDArray[Any]:
        if self.values is None:
            raise ValueError("an array was never filled")
        return self.values


_MARK = object()


class _Machine:
    """A pickle's stack and memo, and what its instructions do to them.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.stack: list[Any] = []
        # By number: a hostile file may name any, and a list would be as long as the largest.
        self.memo: dict[int, Any] = {}
        self.n_arrays = 0

    def run(self, instruction: str, argument: Any) -> None:
        """Carry out one instruction."""
        if instruction in LITERALS:
            self.stack.append(argument)
            return
        action = ACTIONS.get(instruction)
        if action is None:
            raise InputError(
                f"{self.name} needs pickle's {instruction}, which plain values and arrays do "
                "not: it is refused, since pickles can run code"
            )
        action(self, argument)

    def result(self) -> dict[str, Any]:
        """Take the dict that the pickle ends with."""
        found = self.pop()
        if self.stack:
            raise ValueError("values are left over")
        if not isinstance(found, dict):
            raise InputError(f"{self.name} holds a {type(found).__name__}; a dict is needed")
        return {
            key: value.filled if isinstance(value, _Array) else value
            for key, value in found.items()
        }

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a value is missing")
        return value

    def pop_to_mark(self) -> list[Any]:
        # The stack is short wherever the pickle is a real one: values go from it into lists.
        start = len(self.stack) - 1
        while self.stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise ValueError("a mark is missing")
        values = self.stack[start + 1 :]
        del self.stack[start:]
        return values

    def push_tuple(self, size: int) -> None:
        values = [self.pop() for _ in range(size)]
        self.stack.append(tuple(reversed(values)))

    def remember(self, number: int | None) -> None:
        value = self.pop()
        self.memo[len(self.memo) if number is None else number] = value
        self.stack.append(value)

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise ValueError("values are appended to what is no list")
        target.extend(values)

    def set_items(self, flat: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(flat) % 2:
            raise ValueError("items are set in what is no dict")
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            target[_string(key)] = value

    def push_global(self, name: str) -> None:
        if name not in RECONSTRUCT and name not in ("numpy ndarray", "numpy dtype"):
            raise InputError(
                f"{self.name} names {name[:100]!r}, which plain values and arrays do not: "
                "it is refused, since pickles can run code"
            )
        self.stack.append(_Global(name))

    def push_stacked_global(self) -> None:
        attribute, module = self.pop(), self.pop()
        self.push_global(f"{_string(module)} {_string(attribute)}")

    def create(self) -> None:
        """Stand in for the call of a function or class."""
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise ValueError("what is called is no name")
        if function.name in RECONSTRUCT:
            self.stack.append(self._create_array(arguments))
        elif function.name == "numpy dtype":
            self.stack.append(self._create_dtype(arguments))
        else:
            raise ValueError(f"{function.name} is called by itself")

    def _create_array(self, arguments: tuple[Any, ...]) -> _Array:
        kind, _, _ = arguments
        self.n_arrays += 1
        if kind != _Global("numpy ndarray"):
            raise ValueError("an array is of another class")
        if self.n_arrays > MOST_ARRAYS:
            raise ValueError(f"there are more than {MOST_ARRAYS} arrays")
        return _Array()

    def _create_dtype(self, arguments: tuple[Any, ...]) -> _DType:
        given, _, _ = arguments
        name = _string(given)
        if name not in DTYPES:
            raise InputError(
                f"{self.name} holds an array of type {name[:20]!r}; only numbers are read "
                f"({', '.join(sorted(DTYPES))})"
            )
        return _DType(name)

    def fill(self) -> None:
        """Stand in for the call that sets an object's state."""
        state, target = self.pop(), self.stack[-1]
        if not isinstance(state, tuple):
            raise ValueError("a state is no tuple")
        if isinstance(target, _DType):
            target.byte_order = _byte_order(state)
        elif isinstance(target, _Array):
            target.values = _array_of(state)
        else:
            raise ValueError(f"a state is set in a {type(target).__name__}")


def _string(value: Any) -> str:
    # Nothing else becomes a key: hashing a tuple nested deeply enough ends the process.
    plain = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(plain, str):
        raise ValueError(f"a name is a {type(plain).__name__}, not a string")
    return plain


def _byte_order(state: tuple[Any, ...]) -> str:
    _, order, *parts = state
    # The parts describe records and arrays as elements; numbers have neither.
    if _string(order) not in BYTE_ORDERS or any(part is not None for part in parts[:3]):
        raise ValueError("an array's type is no plain number")
    return _string(order)


def _array_of(state: tuple[Any, ...]) -> npt.NDArray[Any]:
    _, shape, dtype, is_fortran, raw = state
    content = raw.encode("latin-1") if isinstance(raw, str) else raw
    if not isinstance(content, bytes) or not isinstance(dtype, _DType):
        raise ValueError("an array holds no numbers")
    if not isinstance(shape, tuple) or len(shape) > MOST_DIMENSIONS:
        raise ValueError("an array has no shape")
    numbers = np.dtype(dtype.byte_order + dtype.name)
    if not all(type(n) is int and n >= 0 for n in shape) or (
        math.prod(shape) * numbers.itemsize != len(content)
    ):
        raise ValueError("an array's content does not fit its shape")
    return np.frombuffer(content, dtype=numbers).reshape(shape, order="F" if is_fortran else "C")


# Instructions whose argument is the value.
LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1"}
    | {"SHORT_BINSTRING", "BINSTRING", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
    | {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8"}
)


ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda _machine, _: None,
    "FRAME": lambda _machine, _: None,
    "STOP": lambda _machine, _: None,
    "MARK": lambda machine, _: machine.stack.append(_MARK),
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "TUPLE1": lambda machine, _: machine.push_tuple(1),
    "TUPLE2": lambda machine, _: machine.push_tuple(2),
    "TUPLE3": lambda machine, _: machine.push_tuple(3),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_to_mark())),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "BINPUT": lambda machine, number: machine.remember(number),
    "LONG_BINPUT": lambda machine, number: machine.remember(number),
    "MEMOIZE": lambda machine, _: machine.remember(None),
    "BINGET": lambda machine, number: machine.stack.append(machine.memo[number]),
    "LONG_BINGET": lambda machine, number: machine.stack.append(machine.memo[number]),
    "GLOBAL": lambda machine, name: machine.push_global(name),
    "STACK_GLOBAL": lambda machine, _: machine.push_stacked_global(),
    "REDUCE": lambda machine, _: machine.create(),
    "BUILD": lambda machine, _: machine.fill(),
}


def read_batch(
    pickled: bytes, name: str, labels_key: str, n_values: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Read pixels and labels, without running anything that the pickle names.

    Parameters
    ----------
    pickled : bytes
        A dict with an array under ``data`` and integers under `labels_key`; other keys are
        ignored.
    name : str
        Of the file, for messages.
    labels_key : str
    n_values : int
        Of an image.

    Returns
    -------
    pixels : ndarray of shape (n, n_values), uint8
    labels : ndarray of shape (n,), int64

    Raises
    ------
    InputError
        If it is damaged, lacks a key, holds another shape or type, or cannot be read as plain
        values (see `proxysample.data.pickles`).

    Examples
    --------
    >>> import pickle
    >>> batch = {"data": np.zeros((2, 12), dtype=np.uint8), "labels": [3, 5]}
    >>> pixels, labels = read_batch(pickle.dumps(batch, protocol=4), "batch", "labels", 12)
    >>> pixels.shape, labels.tolist()
    ((2, 12), [3, 5])
    """
    batch = read_plain_pickle(pickled, name)
    missing = [key for key in ("data", labels_key) if key not in batch]
    if missing:
        held = ", ".join(batch)[:200] or "nothing"
        raise InputError(f"{name} has no {missing[0]!r}; it holds {held}")
    pixels = batch["data"]
    if not _is_array(pixels, "u1") or pixels.shape[1:] != (n_values,):
        raise InputError(
            f"{name}: 'data' is {_describe(pixels)}; needed: an array of uint8 of shape "
            f"(n, {n_values})"
        )
    labels = _labels_of(batch[labels_key], f"{name}: {labels_key!r}")
    if len(labels) != len(pixels):
        raise InputError(f"{name} holds {len(pixels):,} images and {len(labels):,} labels")
    return pixels, labels


def _labels_of(labels: Any, name: str) -> npt.NDArray[np.int64]:
    if _is_array(labels, "i4", "i8") and labels.ndim == 1:
        return np.asarray(labels, dtype=np.int64)
    # Integers of a pickle can be longer than any of numpy's.
    if isinstance(labels, list) and all(type(n) is int and abs(n) < 1 << 31 for n in labels):
        return np.array(labels, dtype=np.int64)
    raise InputError(f"{name} is {_describe(labels)}; needed: a list of integers")


def _is_array(value: Any, *dtypes: str) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.newbyteorder("=") in map(np.dtype, dtypes)


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    if isinstance(value, list):
        return f"a list of {', '.join(sorted({type(one).__name__ for one in value})) or 'nothing'}"
    return f"a {type(value).__name__}"
