"""Lloyd's iterations by scikit-learn, the same bits for any number of threads."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from proxysample.clustering.lloyd import Refined
from proxysample.data.parallel import Workers
from proxysample.data.rows import Float32Array, Rows
from proxysample.keeping import FloatArray

# scikit-learn stops where the centers move by no more than this, squared and in units of the
# features' mean variance; its default, which the paper's code has.
TOL = 1e-4

# Each start copies the features, and once more while it looks at their variance. Starts run side
# by side only as far as their copies take no more than this.
COPIED_BYTES = 5 << 28


def refine(rows: Rows, centers: FloatArray, *, max_iter: int, workers: Workers) -> Refined:
    """Move centers to the means of their clusters until they rest.

    Parameters
    ----------
    rows : Rows
        Read into memory as a whole.
    centers : ndarray of shape (n_clusters, d), float64
        Start.
    max_iter : int
        Limit of passes.
    workers : Workers

    Returns
    -------
    Refined
    """
    features = rows.to_array(workers)
    with _duplicates_allowed():
        return _fit(features, len(centers), init=centers.astype(np.float32), max_iter=max_iter)


def best_random_start(
    rows: Rows,
    n_clusters: int,
    *,
    n_init: int,
    max_iter: int,
    random: np.random.Generator,
    workers: Workers,
) -> Refined:
    """Start from random rows, several times, and take the best.

    Parameters
    ----------
    rows : Rows
        Read into memory as a whole.
    n_clusters : int
    n_init : int
        Number of starts.
    max_iter : int
        Limit of passes for each.
    random : Generator
        Draws the starts.
    workers : Workers

    Returns
    -------
    Refined
    """
    features = rows.to_array(workers)
    seeds = random.integers(2**32, size=n_init).tolist()

    def start(number: int) -> Refined:
        return _fit(
            features, n_clusters, init="random", max_iter=max_iter, random_state=seeds[number]
        )

    side_by_side = max(1, min(workers.n_threads, COPIED_BYTES // (2 * features.nbytes)))
    with _duplicates_allowed(), Workers(side_by_side) as starters:
        # min takes the first of equals, so the order in which starts end does not count.
        return min(starters.map(start, range(n_init)), key=lambda refined: refined.inertia)


def _fit(features: Float32Array, n_clusters: int, **parameters: Any) -> Refined:
    from sklearn.cluster import KMeans

    # On several threads scikit-learn adds up centers in parts, one a thread, so their last bits
    # would depend on how many there are. The limit holds for the calling thread alone.
    with threadpool_limits(limits=1, user_api="openmp"):
        fitted = KMeans(n_clusters, n_init=1, tol=TOL, **parameters).fit(features)
    return Refined(
        fitted.cluster_centers_.astype(np.float64), float(fitted.inertia_), int(fitted.n_iter_)
    )


@contextmanager
def _duplicates_allowed() -> Iterator[None]:
    """Silence the warning that there are fewer distinct rows than clusters."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Number of distinct clusters", ConvergenceWarning)
        yield
