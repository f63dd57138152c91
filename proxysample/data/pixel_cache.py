"""Pixels that several passes need: in memory where they are few, else in a file that goes away."""

from __future__ import annotations

import logging
import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from proxysample.checks import Constraint
from proxysample.errors import InputError
from proxysample.files import expanded
from proxysample.machine import free_memory

Array = npt.NDArray[Any]

Cache: TypeAlias = "bool | str | os.PathLike[str]"

# Pixels that take less stay in memory, and no file is made.
BYTES_IN_MEMORY = 1 << 26

# What ``cache=False`` may take of memory.
MOST_BYTES_IN_MEMORY = 1 << 32

# What is so small is there, or the system says so.
BYTES_TAKEN_UNSEEN = 1 << 29

# Of a disk, what is left free beside the file.
BYTES_LEFT_FREE = 1 << 28

CACHE = Constraint(
    ("True", "False", "the path of a folder"),
    lambda value: isinstance(value, bool | str | os.PathLike),
)


class CachedPixels:
    """An array on disk that is read by rows, and is gone when it is no longer used.

    The file has no name any more once it is open, so that it goes away however the process ends.
    What is read is a copy, so that the file's pages do not count as memory of the process.

    Parameters
    ----------
    folder : Path
        Where the file lies.
    shape : tuple of int
        (n, ...).
    dtype : dtype

    Raises
    ------
    InputError
        If the disk has no room for it.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.ndim = len(shape)
        self.nbytes = math.prod(shape) * self.dtype.itemsize
        self._row_bytes = self.nbytes // shape[0]
        _check_room(folder, self.nbytes, shape)
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(  # noqa: SIM115  # as long as this
                dir=folder, prefix="proxysample-pixels-"
            )
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, self.nbytes)
            else:
                self._file.truncate(self.nbytes)
            weakref.finalize(self, self._file.close)
        except OSError as error:
            raise InputError(
                f"pixels cannot be kept in {folder}: {(error.strerror or str(error)).lower()}; "
                "name another folder, such as cache='/scratch'"
            ) from error

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        """Read rows, as of an ndarray; a copy."""
        if isinstance(rows, np.ndarray) and rows.ndim == 1 and rows.dtype.kind in "iu":
            return self._gathered(rows)
        return np.array(self._mapped("r")[rows])

    def _gathered(self, rows: Array) -> Array:
        """Read rows one by one: of a map, the system holds much around each of them."""
        if not hasattr(os, "preadv"):
            return np.array(self._mapped("r")[rows])
        found: Array = np.empty((len(rows), *self.shape[1:]), self.dtype)
        rows = np.where(rows < 0, rows + len(self), rows)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        places = found.view(np.uint8).reshape(len(rows), self._row_bytes)
        for place, row in zip(places, rows.tolist(), strict=True):
            if os.preadv(self._file.fileno(), [place.data], row * self._row_bytes) != len(place):
                raise InputError("the file of cached samples is cut")
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._mapped("r"), dtype=dtype)

    def __iter__(self) -> Iterator[Array]:
        return (self[row] for row in range(len(self)))

    def write(self, start: int, rows: Array) -> None:
        """Put rows in their place."""
        self._file.seek(start * self._row_bytes)
        self._file.write(np.ascontiguousarray(rows).data)
        self._file.flush()

    def as_map(self) -> Array:
        """Give all of it as a memory map."""
        return self._mapped("r")

    def _mapped(self, mode: str) -> Array:
        return np.memmap(self._file, dtype=self.dtype, mode=mode, shape=self.shape)  # type: ignore[call-overload, no-any-return]


def _check_room(folder: Path, n_bytes: int, shape: tuple[int, ...]) -> None:
    if not folder.is_dir():
        raise InputError(f"cache={str(folder)!r}: no such folder")
    free = shutil.disk_usage(folder).free
    if n_bytes + BYTES_LEFT_FREE > free:
        raise InputError(
            f"{shape[0]:,} samples of {'x'.join(map(str, shape[1:]))} need "
            f"{_gigabytes(n_bytes)} on disk for several passes, and {folder} has "
            f"{_gigabytes(free)} free: name another folder by cache=PATH, or lower image_size="
        )


def array_in_memory(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Make an array for samples, unless it takes more memory than is free.

    Pages of it are taken when they are written to: the system would grant more than there is, and
    end the process, or another, on the way.

    Raises
    ------
    InputError
        If it does.
    """
    n_bytes = size_in_bytes(shape, dtype)
    try:
        check_memory(n_bytes)
        return np.empty(shape, dtype=dtype)
    except MemoryError as error:
        raise InputError(
            f"{shape[0]:,} samples of {'x'.join(map(str, shape[1:]))} need {_gigabytes(n_bytes)} "
            f"of memory, more than there is ({error}): resize them, or use fewer"
        ) from error


def check_memory(n_bytes: int) -> None:
    """Raise a `MemoryError` where so many bytes are not free, before any of them is taken."""
    free = free_memory() if n_bytes > BYTES_TAKEN_UNSEEN else None
    if free is not None and n_bytes > free:
        raise MemoryError(f"{_gigabytes(free)} are free")


class MemoryPixels:
    """An array in memory with the ways of `CachedPixels`."""

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.array = array_in_memory(shape, dtype)

    def write(self, start: int, rows: Array) -> None:
        """Put rows in their place."""
        self.array[start : start + len(rows)] = rows


def reserve_pixels(
    shape: tuple[int, ...], dtype: npt.DTypeLike, cache: Cache | None
) -> CachedPixels | MemoryPixels:
    """Make room for pixels that several passes read.

    Parameters
    ----------
    shape : tuple of int
        (n, ...).
    dtype : dtype
    cache : bool, path or None
        True keeps more than `BYTES_IN_MEMORY` in a file in the folder for temporary files (the
        variable ``TMPDIR`` says where), a path in another folder; its size and place are logged
        before it is made. False keeps up to `MOST_BYTES_IN_MEMORY` in memory, None whatever there
        is, for who needs all of it there.

    Returns
    -------
    CachedPixels or MemoryPixels

    Raises
    ------
    InputError
        If there is no room.
    """
    n_bytes = size_in_bytes(shape, dtype)
    if n_bytes <= BYTES_IN_MEMORY or cache is None:
        return MemoryPixels(shape, dtype)
    if cache is False:
        if n_bytes > MOST_BYTES_IN_MEMORY:
            raise InputError(
                f"{shape[0]:,} samples need {_gigabytes(n_bytes)}, and cache=False keeps up to "
                f"{_gigabytes(MOST_BYTES_IN_MEMORY)} in memory: leave it out, or lower image_size="
            )
        return MemoryPixels(shape, dtype)
    folder = expanded(tempfile.gettempdir() if cache is True else cache)
    # At this level so that it is seen where nobody set up logging.
    logging.getLogger("proxysample").warning(
        "%s samples of %s are kept in a temporary file of %s in %s until they are scored; "
        "cache=PATH puts it elsewhere, cache=False keeps them in memory",
        f"{shape[0]:,}",
        "x".join(map(str, shape[1:])),
        _gigabytes(n_bytes),
        folder,
    )
    return CachedPixels(folder, shape, dtype)


def size_in_bytes(shape: tuple[int, ...], dtype: npt.DTypeLike) -> int:
    """Count the bytes of an array."""
    return math.prod(shape) * np.dtype(dtype).itemsize


def _gigabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB"
