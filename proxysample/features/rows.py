"""A matrix of features that is read, scaled and projected a block of rows at a time, on threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from proxysample.isolation import thread_pools
from proxysample.keeping import FloatArray, IntArray

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """Threads that share out the blocks of a pass, as a context.

    numpy's matrix products run on one thread each while the context is open (this holds for the
    whole process, and is undone on leaving), and results come in the order of the blocks. So the
    arithmetic is the same to the last bit for any number of threads.

    Parameters
    ----------
    n_threads : int, optional
        By default as many as numpy's matrix products would take, which follows OMP_NUM_THREADS.

    Attributes
    ----------
    n_threads : int
        Set on entering.

    Examples
    --------
    >>> with Workers(n_threads=2) as workers:
    ...     list(workers.map(abs, [-1, -2, -3]))
    [1, 2, 3]
    """

    def __init__(self, n_threads: int | None = None) -> None:
        self._wanted = n_threads

    def __enter__(self) -> Self:
        controller = thread_pools()
        blas = [library["num_threads"] for library in controller.info() if _is_blas(library)]
        self.n_threads = self._wanted or max(blas, default=os.cpu_count() or 1)
        self._limit = controller.limit(limits=1, user_api="blas")
        self._pool = ThreadPoolExecutor(self.n_threads) if self.n_threads > 1 else None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._limit.restore_original_limits()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Apply a function to items, a few at a time.

        Parameters
        ----------
        function : callable
            May write to arrays where the items' parts do not overlap.
        items : iterable

        Yields
        ------
        object
            The results, in the order of the items. No more than two a thread wait to be taken.
        """
        if self._pool is None:
            yield from map(function, items)
            return
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(self._pool.submit(function, item))
            if len(waiting) >= 2 * self.n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _is_blas(library: dict[str, object]) -> bool:
    return library["user_api"] == "blas"


Array = npt.NDArray[Any]
Precision = type[np.float32] | type[np.float64]

# Values in a block: small enough to stay in a core's cache, large enough for a matrix product.
# Part of the arithmetic (it fixes the order of sums), so it follows the shape and nothing else.
VALUES_PER_BLOCK = 1 << 20
MOST_ROWS_PER_BLOCK = 1 << 13

# Features that take less than this are kept as they are read; more are read anew in each pass.
CACHED_BYTES = 1 << 29


class RowSource(Protocol):
    """What rows can be read from beside an array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows, and what each holds."""
        ...

    def __len__(self) -> int:
        """Count the rows."""
        ...

    def __getitem__(self, rows: slice | IntArray) -> Array:
        """Give some of the rows."""
        ...


@dataclass(frozen=True, eq=False)
class Rows:
    """n rows of d features: ``((source - shift) / scale) @ components``.

    Attributes
    ----------
    source : ndarray or `RowSource` of shape (n, ...)
        Numbers of any type, such as a memory map; flattened row by row.
    shift, scale : ndarray of shape (n_values,), float64, optional
        Subtracted and divided by, for each value of a row.
    components : ndarray of shape (n_values, d), float64, optional
        Directions to project on.
    indices : ndarray of shape (n,), int64, optional
        Which rows of the source; all by default.
    precision : {numpy.float32, numpy.float64}
        Of what is computed from them.

    Examples
    --------
    >>> rows = Rows(np.array([[[1, 2]], [[3, 4]]], dtype=np.uint8), shift=np.array([1.0, 2.0]))
    >>> len(rows), rows.n_features, rows.read(slice(0, 2)).tolist()
    (2, 2, [[0.0, 0.0], [2.0, 2.0]])
    """

    source: Array | RowSource
    shift: FloatArray | None = None
    scale: FloatArray | None = None
    components: FloatArray | None = None
    indices: IntArray | None = None
    precision: Precision = np.float32

    def __len__(self) -> int:
        return len(self.source) if self.indices is None else len(self.indices)

    @property
    def n_values(self) -> int:
        """Number of values of a row of the source."""
        return int(np.prod(self.source.shape[1:]))

    @property
    def n_features(self) -> int:
        """Number of features, d."""
        return self.n_values if self.components is None else self.components.shape[1]

    @property
    def n_bytes(self) -> int:
        """What all features take in memory."""
        return np.dtype(self.precision).itemsize * len(self) * self.n_features

    def read(self, rows: slice, dtype: Precision | None = None) -> Array:
        """Read a block.

        Parameters
        ----------
        rows : slice
            Which rows.
        dtype : {float32, float64}, optional
            Of the features; it also is the least precision of the arithmetic. That of the rows by
            default.

        Returns
        -------
        ndarray of shape (rows, d)
            May be a view of the source: not to be written to. What the type cannot hold is
            infinite.
        """
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            return self._read(rows, dtype or self.precision)

    def _read(self, rows: slice, dtype: Precision) -> Array:
        chosen = self.source[rows] if self.indices is None else self.source[self.indices[rows]]
        raw = np.asarray(chosen)
        values = raw.reshape(len(raw), self.n_values)
        # Large integers and float64 lose digits that matter if they are not shifted first.
        working = np.result_type(values.dtype, dtype)
        if self.shift is not None:
            values = np.subtract(values, self.shift.astype(working), dtype=working)
        if self.scale is not None:
            values = np.divide(values, self.scale.astype(working), dtype=working)
        values = values.astype(dtype, copy=False)
        return values if self.components is None else values @ self.components.astype(dtype)

    def blocks(self, width: int = 0) -> Iterator[slice]:
        """Divide the rows into blocks that fit a core's cache.

        Parameters
        ----------
        width : int
            Values that the reader makes of each row, where these are more than it has.

        Yields
        ------
        slice
        """
        size = VALUES_PER_BLOCK // max(self.n_values, width)
        size = min(max(size, 1), MOST_ROWS_PER_BLOCK)
        for start in range(0, len(self), size):
            yield slice(start, min(start + size, len(self)))

    def at(self, indices: IntArray) -> Rows:
        """Take some of the rows, unread.

        Parameters
        ----------
        indices : ndarray of int64
            Ascending, which is quickest to read.

        Returns
        -------
        Rows
        """
        return replace(self, indices=indices if self.indices is None else self.indices[indices])

    def projected(self, components: FloatArray) -> Rows:
        """Project the features, unread.

        Parameters
        ----------
        components : ndarray of shape (d, n_components), float64

        Returns
        -------
        Rows
        """
        if self.components is not None:
            components = self.components @ components
        return replace(self, components=components)

    def to_array(self, workers: Workers) -> Array:
        """Read all rows into memory.

        Parameters
        ----------
        workers : Workers

        Returns
        -------
        ndarray of shape (n, d)
            Of the rows' precision, C-contiguous; the source itself where it is that already.
        """
        plain = self._plain_source
        if plain is not None:
            return plain
        features = np.empty((len(self), self.n_features), dtype=self.precision)

        def fill(block: slice) -> None:
            features[block] = self.read(block)

        for _ in workers.map(fill, self.blocks()):
            pass
        return features

    def cached(self, workers: Workers) -> Rows:
        """Keep the features in memory where they take little of it.

        Parameters
        ----------
        workers : Workers

        Returns
        -------
        Rows
            The same features, in the rows' precision.
        """
        if self.n_bytes > CACHED_BYTES or self._plain_source is not None:
            return self
        return Rows(self.to_array(workers), precision=self.precision)

    @property
    def _plain_source(self) -> Array | None:
        """The source, where it is an array of the very features."""
        transforms = (self.shift, self.scale, self.components, self.indices)
        source = self.source
        plain = (
            all(part is None for part in transforms)
            and isinstance(source, np.ndarray)
            and source.ndim == 2
            and source.dtype == self.precision
            and source.flags.c_contiguous
        )
        return source if plain and isinstance(source, np.ndarray) else None


@dataclass(frozen=True, eq=False)
class Mapped:
    """Rows, each block of which a function turns into others as it is read, in double precision.

    Attributes
    ----------
    rows : Rows
    function : callable
        Takes and gives an array of shape (n, d), float64.

    Examples
    --------
    >>> halves = Rows(Mapped(Rows(np.array([[2.0], [4.0]])), lambda block: block / 2))
    >>> halves.read(slice(0, 2)).tolist()
    [[1.0], [2.0]]
    """

    rows: Rows
    function: Callable[[FloatArray], FloatArray]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of features."""
        return len(self.rows), self.rows.n_features

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: slice | IntArray) -> FloatArray:
        if isinstance(chosen, slice):
            return self.function(self.rows.read(chosen, np.float64))
        return self.function(self.rows.at(chosen).read(slice(0, len(chosen)), np.float64))


# Of a sum of squares: below it, squares may have vanished.
LEAST_SQUARES = 1e-200


def lengths(vectors: FloatArray) -> FloatArray:
    """Give the Euclidean length of each row, however short.

    Examples
    --------
    >>> lengths(np.array([[3.0, 4.0], [3e-200, 4e-200], [0.0, 0.0]])).tolist()
    [5.0, 5e-200, 0.0]
    """
    squares = np.einsum("ij,ij->i", vectors, vectors)
    found: FloatArray = np.sqrt(squares)
    short = np.flatnonzero(squares < LEAST_SQUARES)
    if len(short):
        largest = np.abs(vectors[short]).max(axis=1, initial=0)
        scaled = vectors[short] / np.where(largest > 0, largest, 1)[:, np.newaxis]
        found[short] = largest * np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
    return found
