"""Arrays that are read a block of rows at a time: HDF5, zarr, scipy's sparse and others."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from proxysample.checks import has_attributes
from proxysample.data.pixel_cache import array_in_memory, check_memory, size_in_bytes
from proxysample.errors import InputError

Array = npt.NDArray[Any]

# Few rows of anything take more; one that claims to is damage or malice.
MOST_BYTES_PER_ROW = 1 << 30
BYTES_PER_BLOCK = 1 << 26


class Sliceable(Protocol):
    """What has a shape, a type and slices."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The rows first."""

    @property
    def dtype(self) -> Any:
        """As numpy's, or what numpy makes one of."""

    def __getitem__(self, key: Any) -> Any:
        """Give rows for a slice of them."""


class BlockArray:
    """An array of which only the rows that are asked for are read, as numpy arrays.

    Parameters
    ----------
    source : object
        Has ``shape``, ``dtype`` and gives ``source[a:b]``: a dataset of HDF5, an array of zarr or
        a sparse matrix of scipy.
    name : str, optional
        What to call it in messages.

    Attributes
    ----------
    shape : tuple of int
        (n, d) or (n, h, w, c): grey images have a channel, too.
    dtype : dtype

    Raises
    ------
    InputError
        If it is not one of images or features, or a row takes more than 1 GiB.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> rows = BlockArray(csr_array([[0, 1], [2, 0], [0, 3]]))
    >>> rows.shape, rows[1:].tolist(), rows[np.array([2, 0])].tolist()
    ((3, 2), [[2, 0], [0, 3]], [[0, 3], [0, 1]])
    """

    def __init__(self, source: Sliceable, name: str = "") -> None:
        self._name = name or f"the {type(source).__name__}"
        self._source = _by_rows(source)
        shape = tuple(int(length) for length in source.shape)
        if len(shape) not in (2, 3, 4) or 0 in shape:
            raise InputError(
                f"{self._name} has shape {shape}; needed: (n, height, width), "
                "(n, height, width, channels) or features (n, d)"
            )
        self.dtype = _numeric(source.dtype, self._name)
        self._row_shape = shape[1:]
        self.shape = (*shape, 1) if len(shape) == 3 else shape
        if math.prod(shape[1:]) * self.dtype.itemsize > MOST_BYTES_PER_ROW:
            raise InputError(f"{self._name} has shape {shape}: a row of it is no sample")
        self._check_chunks(getattr(source, "chunks", None))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that it would take in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """Read rows: by an index, a slice or an array of indices, and then axes of them."""
        if isinstance(key, tuple):
            rows = self[key[0]] if key and key[0] is not Ellipsis else np.asarray(self)
            if key and key[0] is Ellipsis:
                return rows[key]
            return rows[key[1:]] if isinstance(key[0], int) else rows[(slice(None), *key[1:])]
        if isinstance(key, int | np.integer):
            index = int(key) + (len(self) if key < 0 else 0)
            if not 0 <= index < len(self):
                raise IndexError(f"row {key} of {len(self)}")
            return self._read(index, index + 1)[0]
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step != 1:
                return self[np.arange(start, stop, step)]
            return self._read(start, max(stop, start))
        return self._gathered(np.asarray(key))

    def _gathered(self, indices: Array) -> Array:
        if indices.dtype == np.bool_:
            indices = np.flatnonzero(indices)
        indices = np.where(indices < 0, indices + len(self), indices)
        out = np.empty((len(indices), *self.shape[1:]), self.dtype)
        order = np.argsort(indices, kind="stable")
        per_block = self._rows_per_block()
        place = 0
        while place < len(order):
            start = int(indices[order[place]])
            end = place
            while end < len(order) and indices[order[end]] < start + per_block:
                end += 1
            chosen = order[place:end]
            block = self._read(start, int(indices[chosen[-1]]) + 1)
            out[chosen] = block[indices[chosen] - start]
            place = end
        return out

    def _rows_per_block(self) -> int:
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        return max(1, BYTES_PER_BLOCK // max(row, 1))

    def _read(self, start: int, stop: int) -> Array:
        if start >= stop:
            return np.empty((0, *self.shape[1:]), self.dtype)
        try:
            block = self._source[start:stop]
            block = block.toarray() if hasattr(block, "toarray") else np.asarray(block)
        # Whatever a library raises on a chunk that is cut, missing or of another kind.
        except Exception as error:
            raise InputError(
                f"{self._name}: rows {start} to {stop - 1} cannot be read: "
                f"{type(error).__name__}: {str(error)[:300]}"
            ) from error
        if block.shape != (stop - start, *self._row_shape):
            raise InputError(f"{self._name}: rows {start} to {stop - 1} have shape {block.shape}")
        return block.astype(self.dtype, copy=False).reshape(stop - start, *self.shape[1:])

    def _check_chunks(self, chunks: Any) -> None:
        """Refuse chunks that nobody can unpack: whole ones are, whatever is read of them."""
        # dask's are the lengths of each.
        if not isinstance(chunks, tuple) or not all(isinstance(one, int) for one in chunks):
            return
        try:
            check_memory(size_in_bytes(chunks, self.dtype))
        except MemoryError as error:
            raise InputError(
                f"{self._name} lies in chunks of {'x'.join(map(str, chunks))} {self.dtype}, each "
                f"of which takes more memory than there is ({error}); store it in smaller chunks"
            ) from error

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Read all of it into memory, as numpy's functions ask for it."""
        if copy is False:
            raise ValueError("a BlockArray is not in memory, and has to be read there")
        whole = array_in_memory(self.shape, self.dtype)
        step = self._rows_per_block()
        for start in range(0, len(self), step):
            whole[start : start + step] = self[start : start + step]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"BlockArray({self._name}, {self.shape} {self.dtype})"


def is_sparse(value: Any) -> bool:
    """Tell whether a value is a sparse matrix or array of scipy, without importing it."""
    return has_attributes(value, "tocsr", "nnz")


def _by_rows(source: Any) -> Any:
    # Other sparse formats have no rows to slice.
    return source.tocsr() if is_sparse(source) else source


def _numeric(dtype: Any, name: str) -> np.dtype[Any]:
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = None
    if kind is None or kind.kind not in "fiub":
        raise InputError(f"{name} has type {dtype}; needed: uint8 or floating point")
    native: np.dtype[Any] = kind.newbyteorder("=")
    return native


def is_block_source(value: Any) -> bool:
    """Tell whether a value is an array that is no numpy array, but has a shape and slices.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> is_block_source(csr_array([[1]])), is_block_source(np.zeros(3)), is_block_source([1])
    (True, False, False)
    """
    if isinstance(value, np.ndarray | BlockArray | type):
        return False
    # Tensors are read elsewhere; frames have columns.
    if any(has_attributes(value, name) for name in ("detach", "iloc", "columns")):
        return False
    shape = value.shape if has_attributes(value, "shape") else None
    is_shape = isinstance(shape, tuple) and all(isinstance(one, int | np.integer) for one in shape)
    # Some sparse matrices have no rows to slice, and become one that has.
    has_rows = has_attributes(value, "__getitem__") or is_sparse(value)
    return (
        is_shape
        and has_attributes(value, "dtype")
        and has_rows
        and not has_attributes(value, "__array_interface__")
    )
