"""Threads over blocks of rows, with results that do not depend on how many there are."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from threadpoolctl import ThreadpoolController

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
