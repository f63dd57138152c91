"""One number of threads for every experiment, wherever it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def fixed_threads(n_threads: int) -> Iterator[None]:
    """Have torch, numpy and scikit-learn use so many threads; restored on leaving.

    Sums of floats depend on the number of threads in their last bits.

    Parameters
    ----------
    n_threads : int

    Examples
    --------
    >>> with fixed_threads(2):
    ...     torch.get_num_threads()
    2
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        # torch has a thread count of its own; scikit-learn and numpy follow their pools'.
        with threadpool_limits(n_threads):
            yield
    finally:
        torch.set_num_threads(before)
