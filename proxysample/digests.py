"""Parameters as plain JSON values; arrays, tensors and networks by a digest of their bytes.

An experiment is named by what decides its result, so what cannot be named is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import math
import numbers
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from types import CellType, FunctionType
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError
from proxysample.keeping import KeepingRule
from proxysample.printing import shown


def digest_of(arrays: Iterable[npt.NDArray[Any]], *words: str) -> str:
    """Give 16 hexadecimal digits that change with any value, type or shape.

    Examples
    --------
    >>> digest_of([np.arange(3)])
    '129d7c8430eea69d'
    """
    digest = hashlib.sha256("\n".join(words).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def text_of(function: Callable[..., Any]) -> str | None:
    """Give the text that defines a function; None where none is kept, as of one that was typed."""
    try:
        # From Python 3.13 on, what `python -c` runs would pass for the text of all that exec runs.
        if inspect.getfile(inspect.unwrap(function)) == "<string>":
            return None
        return inspect.getsource(function)
    # Where there is none, or whatever anyone's object raises.
    except Exception:
        return None


def is_plain(value: object) -> bool:
    """Whether a value could have come out of JSON, numpy's numbers and tuples included."""
    if value is None or isinstance(value, str | numbers.Real | np.bool_):
        return True
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and is_plain(item) for name, item in value.items()
    )


def has_arrays(value: object) -> bool:
    """Whether a value is, or holds, arrays, tensors or networks."""
    if isinstance(value, list | tuple):
        return any(map(has_arrays, value))
    if isinstance(value, Mapping):
        return any(map(has_arrays, value.values()))
    torch = sys.modules.get("torch")
    is_torch = torch is not None and isinstance(value, torch.Tensor | torch.nn.Module)
    return isinstance(value, np.ndarray) or is_torch


def as_plain(value: Any, what: str) -> Any:
    """Give what a value is named by.

    Parameters
    ----------
    value : object
        Of a parameter.
    what : str
        What to call it in messages.

    Returns
    -------
    object
        Plain JSON values: those that are given, and for anything else what it consists of, or a
        digest of it.

    Raises
    ------
    InputError
        If it cannot be named, such as a function.

    Examples
    --------
    >>> as_plain((np.float64(0.5), None), "betas")
    [0.5, None]
    >>> as_plain(np.zeros((2, 3)), "weights")
    'array (2, 3) float64 4c564769e8be802d'
    >>> as_plain(len, "measure")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: measure is <built-in function len>, and a result cannot be named
    by that: give numbers, texts, arrays, tensors, networks or dataclasses
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.bool_ | numbers.Real):
        return _number(value, what)
    if isinstance(value, np.ndarray):
        return _named_array(value, what)
    try:
        if isinstance(value, list | tuple):
            return [as_plain(item, f"{what}[{place}]") for place, item in enumerate(value)]
        if isinstance(value, Mapping):
            return {
                str(name): as_plain(item, f"{what}[{shown(name)}]") for name, item in value.items()
            }
    except RecursionError:
        raise InputError("a parameter nests too deeply, or holds itself") from None
    return _object(value, what)


def _number(value: Any, what: str) -> Any:
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if not math.isfinite(value):
        raise InputError(f"{what} is {value}, and a result cannot be named by that")
    return float(value)


def _named_array(array: npt.NDArray[Any], what: str) -> str:
    if array.dtype.hasobject:
        raise InputError(f"{what} holds Python objects, and a result cannot be named by these")
    return f"array {array.shape} {array.dtype} {digest_of([array])}"


def _object(value: Any, what: str) -> Any:
    if isinstance(value, KeepingRule):
        return value.to_json()
    if isinstance(value, os.PathLike):
        try:
            return os.fspath(value)
        # Of an object of anyone's.
        except Exception as error:
            raise InputError(f"{what} is a path that cannot be read: {error}") from error
    if hasattr(value, "name_in_keys"):  # features that are kept on disk, by their key
        return str(value.name_in_keys)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            one.name: as_plain(getattr(value, one.name), f"{what}.{one.name}")
            for one in dataclasses.fields(value)
        }
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return f"tensor {tuple(value.shape)} {value.dtype} {digest_of([_bytes_of(value)])}"
    if torch is not None and isinstance(value, torch.nn.Module):
        return _named_network(value)
    if torch is not None and isinstance(value, torch.device | torch.dtype):
        return str(value)
    raise InputError(
        f"{what} is {shown(value)}, and a result cannot be named by that: give numbers, texts, "
        "arrays, tensors, networks or dataclasses"
    )


def _named_network(network: Any) -> str:
    """Name a network by its printed structure and the bytes of its weights and buffers."""
    kind = type(network)
    state = network.state_dict()
    words = [f"{kind.__module__}.{kind.__qualname__}", repr(network), *state]
    digest = digest_of(map(_bytes_of, state.values()), *words)
    return f"network {kind.__name__} {digest}"


def _bytes_of(tensor: Any) -> npt.NDArray[np.uint8]:
    """Give a tensor's bytes, of whatever type it is: numpy lacks some."""
    import torch

    # Of a view that is negative or conjugate by a mark alone, the values.
    here = tensor.detach().cpu().resolve_neg().resolve_conj()
    bits: npt.NDArray[np.uint8] = here.contiguous().reshape(-1).view(torch.uint8).numpy()
    return bits


def named_values(function: Any) -> list[str]:
    """Name the values that a function closes over, and its defaults: they decide what it gives.

    Examples
    --------
    >>> def made(rate):
    ...     return lambda x, steps=3: rate * steps * x
    >>> named_values(made(0.5))
    ['0.5', '3']
    """
    if not isinstance(function, FunctionType):
        return []
    cells = function.__closure__ or ()
    # Of a name that is assigned later there is nothing in it yet.
    values = [cell.cell_contents for cell in cells if cell != CellType()]
    values += function.__defaults__ or ()
    values += (function.__kwdefaults__ or {}).values()
    return list(map(_named_value, values))


def _named_value(value: Any) -> str:
    try:
        return json.dumps(as_plain(value, "a value"))
    except InputError:
        kind = value if hasattr(value, "__qualname__") else type(value)
        return f"{kind.__module__}.{kind.__qualname__}"
