"""A matrix of features that is read, scaled and projected a block of rows at a time, on threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

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
        controller = ThreadpoolController()
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
Float32Array = npt.NDArray[np.float32]

# Values in a block: small enough to stay in a core's cache, large enough for a matrix product.
# Part of the arithmetic (it fixes the order of sums), so it follows the shape and nothing else.
VALUES_PER_BLOCK = 1 << 20
MOST_ROWS_PER_BLOCK = 1 << 13

# Features that take less than this are kept as they are read; more are read anew in each pass.
CACHED_BYTES = 1 << 29


@dataclass(frozen=True, eq=False)
class Rows:
    """n rows of d features: ``((source - shift) / scale) @ components``.

    Attributes
    ----------
    source : ndarray of shape (n, ...)
        Numbers of any type, such as a memory map; flattened row by row.
    shift, scale : ndarray of shape (n_values,), float64, optional
        Subtracted and divided by, for each value of a row.
    components : ndarray of shape (n_values, d), float64, optional
        Directions to project on.
    indices : ndarray of shape (n,), int64, optional
        Which rows of the source; all by default.

    Examples
    --------
    >>> rows = Rows(np.array([[[1, 2]], [[3, 4]]], dtype=np.uint8), shift=np.array([1.0, 2.0]))
    >>> len(rows), rows.n_features, rows.read(slice(0, 2)).tolist()
    (2, 2, [[0.0, 0.0], [2.0, 2.0]])
    """

    source: Array
    shift: FloatArray | None = None
    scale: FloatArray | None = None
    components: FloatArray | None = None
    indices: IntArray | None = None

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

    def read(self, rows: slice, dtype: npt.DTypeLike = np.float32) -> Array:
        """Read a block.

        Parameters
        ----------
        rows : slice
            Which rows.
        dtype : {float32, float64}
            Of the features; it also is the least precision of the arithmetic.

        Returns
        -------
        ndarray of shape (rows, d)
            May be a view of the source: not to be written to.
        """
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

    def to_array(self, workers: Workers) -> Float32Array:
        """Read all rows into memory.

        Parameters
        ----------
        workers : Workers

        Returns
        -------
        ndarray of shape (n, d), float32
            C-contiguous; the source itself where it is that already.
        """
        if self._is_plain:
            return self.source
        features = np.empty((len(self), self.n_features), dtype=np.float32)

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
            The same features as float32.
        """
        if 4 * len(self) * self.n_features > CACHED_BYTES or self._is_plain:
            return self
        return Rows(self.to_array(workers))

    @property
    def _is_plain(self) -> bool:
        transforms = (self.shift, self.scale, self.components, self.indices)
        return (
            all(part is None for part in transforms)
            and isinstance(self.source, np.ndarray)
            and self.source.ndim == 2
            and self.source.dtype == np.float32
            and self.source.flags.c_contiguous
        )
