"""Batches of images that are pickled as CIFAR's are: rows of pixels beside a list of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.data.plain_pickle import read_plain_pickle
from proxysample.errors import InputError


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
        values (see `proxysample.data.plain_pickle`).

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
