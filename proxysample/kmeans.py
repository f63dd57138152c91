"""K-Means over a well-kept library."""

from __future__ import annotations

import numbers
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError
from proxysample.keeping import FloatArray, IntArray


@dataclass(frozen=True)
class Clustering:
    """Result of K-Means.

    Attributes
    ----------
    centers : ndarray of shape (n_clusters, d), float64
    labels : ndarray of shape (n,), int64
        Nearest center of each sample.
    n_iterations : int
        Of the best run.
    """

    centers: FloatArray
    labels: IntArray
    n_iterations: int


def check_clusters(n_clusters: object) -> None:
    """Raise `InputError` where `n_clusters` is not a positive integer."""
    if isinstance(n_clusters, bool) or not isinstance(n_clusters, numbers.Integral):
        raise InputError(f"n_clusters must be a positive integer, not {n_clusters!r}")
    if n_clusters < 1:
        raise InputError(f"n_clusters must be at least 1, not {n_clusters}")


def cluster(
    features: npt.NDArray[np.float32],
    n_clusters: int,
    *,
    random_state: int | np.random.Generator | None = None,
    restarts: int | None = None,
    max_iterations: int = 300,
) -> Clustering:
    """Cluster features with Lloyd's algorithm.

    Parameters
    ----------
    features : ndarray of shape (n, d), float32
        Finite, n at least `n_clusters`.
    n_clusters : int
        Number of clusters.
    random_state : int, Generator or None
        Seed of the starts.
    restarts : int, optional
        Start so many times from random samples and take the best, as the paper's code does.
        By default one start, seeded by k-means++.
    max_iterations : int
        Limit of each run.

    Returns
    -------
    Clustering

    Examples
    --------
    >>> features = np.array([[0.0], [0.2], [5.0]], dtype=np.float32)
    >>> cluster(features, 2, random_state=0).labels.tolist() in ([0, 0, 1], [1, 1, 0])
    True
    """
    from sklearn.cluster import KMeans

    seed = int(np.random.default_rng(random_state).integers(2**32))
    estimator = KMeans(
        n_clusters,
        init="k-means++" if restarts is None else "random",
        n_init=1 if restarts is None else restarts,
        max_iter=max_iterations,
        random_state=seed,
    ).fit(features)
    return Clustering(
        centers=estimator.cluster_centers_.astype(np.float64),
        labels=estimator.labels_.astype(np.int64),
        n_iterations=int(estimator.n_iter_),
    )
