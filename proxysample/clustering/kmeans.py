"""K-Means: a start, iterations, and exact distances at the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from proxysample.clustering.backends import Backend, Refine, best_random_start, find_backend
from proxysample.clustering.engines import nearest_centers
from proxysample.clustering.groups import distances_to_own, group_means
from proxysample.features.rows import Float32Array, Rows, Workers
from proxysample.features.sources import principal_components
from proxysample.keeping import FloatArray, IntArray

# Where the start is looked for. The iterations over all rows and features that follow make up
# for what a start overlooks.
LEAST_ROWS = 1 << 16
ROWS_PER_CLUSTER = 256
ROWS_FOR_COMPONENTS = 1 << 13
N_COMPONENTS = 64


def find_start(
    rows: Rows,
    n_clusters: int,
    refine: Refine,
    *,
    n_init: int,
    random: np.random.Generator,
    workers: Workers,
) -> FloatArray:
    """Run K-Means to its end where that is cheap, several times, and take the best.

    On the principal components that hold most of the variance an iteration costs a fraction of
    one on all features, and where it comes to rest is near a rest of the latter. On a sample of
    2**16 rows (or 256 a cluster, if that is more) its cost does not grow with their number.

    Parameters
    ----------
    rows : Rows
        n rows with d features each, of about zero mean; n at least `n_clusters`.
    n_clusters : int
    refine : callable
        Moves starting centers of the given rows to rest.
    n_init : int
        Number of runs, each from other k-means++ seeds.
    random : Generator
        Draws the sample and the seeds.
    workers : Workers

    Returns
    -------
    ndarray of shape (n_clusters, d), float64
    """
    sample = _sample(rows, max(LEAST_ROWS, ROWS_PER_CLUSTER * n_clusters), random)
    narrow = Rows(_narrowed(sample, random, workers))
    runs = (refine(narrow, _seeds(narrow.source, n_clusters, random)) for _ in range(n_init))
    best = min(runs, key=lambda run: run.inertia)
    labels = nearest_centers(narrow, best.centers, workers)
    return group_means(sample, labels, n_clusters, workers)


def _sample(rows: Rows, size: int, random: np.random.Generator) -> Rows:
    if len(rows) <= size:
        return rows
    return rows.at(np.sort(random.choice(len(rows), size, replace=False, shuffle=False)))


def _narrowed(rows: Rows, random: np.random.Generator, workers: Workers) -> Float32Array:
    if rows.n_features <= 2 * N_COMPONENTS:
        return rows.to_array(workers)
    some = _sample(rows, ROWS_FOR_COMPONENTS, random)
    return rows.projected(principal_components(some, N_COMPONENTS, workers)).to_array(workers)


def _seeds(features: Float32Array, n_clusters: int, random: np.random.Generator) -> FloatArray:
    from sklearn.cluster import kmeans_plusplus

    seed = int(random.integers(2**32))
    seeds, _ = kmeans_plusplus(features, n_clusters, random_state=seed)
    centers: FloatArray = seeds.astype(np.float64)
    return centers


RandomState = int | np.random.Generator | None

TOL = 1e-5


@dataclass(frozen=True)
class Clustering:
    """Result of K-Means.

    Attributes
    ----------
    centers : ndarray of shape (n_clusters, d), float64
    labels : ndarray of shape (n,), int64
        Nearest center of each row.
    distances : ndarray of shape (n,), float64
        Euclidean distance to it, from the difference in double precision.
    inertia : float
        Sum of the squared distances.
    n_iter : int
        Passes over all rows and features that the best run took.
    """

    centers: FloatArray
    labels: IntArray
    distances: FloatArray
    inertia: float
    n_iter: int


def cluster(
    rows: Rows,
    n_clusters: int,
    *,
    centers: FloatArray | None = None,
    n_init: int = 4,
    max_iter: int = 300,
    backend: Backend = "auto",
    device: str = "auto",
    random_state: RandomState = None,
    workers: Workers,
) -> Clustering:
    """Cluster rows by Lloyd's algorithm, from a good start.

    Parameters
    ----------
    rows : Rows
        n rows with d features each, finite, of about zero mean; n at least `n_clusters`.
    n_clusters : int
        Number of clusters.
    centers : ndarray of shape (n_clusters, d), float64, optional
        Start from these; by default see `proxysample.clustering.kmeans.find_start`.
    n_init : int
        Number of starts to choose from, where `centers` are not given.
    max_iter : int
        Limit of passes over the rows.
    backend : {"auto", "numpy", "scikit-learn", "faiss", "torch"}
        See `proxysample.clustering.backends.find_backend`.
    device : str
        For torch and faiss.
    random_state : int, Generator or None
        Seed of the starts.
    workers : Workers

    Returns
    -------
    Clustering

    Raises
    ------
    InputError
        If the backend is unknown, or the device is not there.
    MissingDependencyError
        If faiss is asked for and not installed.

    Examples
    --------
    >>> rows = Rows(np.array([[-2.0], [-1.0], [3.0]]))
    >>> with Workers() as workers:
    ...     clustering = cluster(rows, 2, random_state=0, workers=workers)
    >>> clustering.distances.tolist(), clustering.inertia
    ([0.5, 0.5, 0.0], 0.5)
    """
    rows_at_hand = rows.cached(workers)
    refine = find_backend(backend, device, max_iter=max_iter, tol=TOL, workers=workers)
    if centers is None:
        random = np.random.default_rng(random_state)
        centers = find_start(
            rows_at_hand, n_clusters, refine, n_init=n_init, random=random, workers=workers
        )
    refined = refine(rows_at_hand, centers)
    return _settle(rows, refined.centers, refined.n_iter, workers)


def cluster_from_random_starts(
    rows: Rows,
    n_clusters: int,
    *,
    n_init: int = 100,
    max_iter: int = 300,
    random_state: RandomState = None,
    workers: Workers,
) -> Clustering:
    """Cluster rows as the paper's code does: scikit-learn's Lloyd, from rows drawn at random.

    Parameters
    ----------
    rows : Rows
        n rows with d features each, finite; n at least `n_clusters`.
    n_clusters : int
        Number of clusters.
    n_init : int
        Number of starts, each run to its end; the best is taken.
    max_iter : int
        Limit of passes of each.
    random_state : int, Generator or None
        Seed of the starts.
    workers : Workers

    Returns
    -------
    Clustering

    Examples
    --------
    >>> rows = Rows(np.array([[-2.0], [-1.0], [3.0]]))
    >>> with Workers() as workers:
    ...     cluster_from_random_starts(rows, 2, random_state=0, workers=workers).inertia
    0.5
    """
    refined = best_random_start(
        rows,
        n_clusters,
        n_init=n_init,
        max_iter=max_iter,
        random=np.random.default_rng(random_state),
        workers=workers,
    )
    return _settle(rows, refined.centers, refined.n_iter, workers)


def _settle(rows: Rows, centers: FloatArray, n_iter: int, workers: Workers) -> Clustering:
    labels = nearest_centers(rows, centers, workers)
    distances = distances_to_own(rows, labels, centers, workers)
    return Clustering(centers, labels, distances, float(np.square(distances).sum()), n_iter)
