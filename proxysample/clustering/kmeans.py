"""K-Means: a start, iterations, and exact distances at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from proxysample.clustering.backends import Backend, Refine, best_random_start, find_backend
from proxysample.clustering.engines import Refined, nearest_centers, on_sphere
from proxysample.clustering.groups import distances_to_own, group_means
from proxysample.features.gram import coordinates, gram_matrix, gram_pays
from proxysample.features.precision import Widened, measure
from proxysample.features.rows import Array, Rows, Workers
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
    features = _narrowed(sample, random, workers)
    narrow = Rows(features, precision=rows.precision)
    runs = (refine(narrow, _seeds(features, n_clusters, random)) for _ in range(n_init))
    best = min(runs, key=lambda run: run.inertia)
    labels = nearest_centers(narrow, best.centers, workers)
    return group_means(sample, labels, n_clusters, workers)


def _sample(rows: Rows, size: int, random: np.random.Generator) -> Rows:
    if len(rows) <= size:
        return rows
    return rows.at(np.sort(random.choice(len(rows), size, replace=False, shuffle=False)))


def _narrowed(rows: Rows, random: np.random.Generator, workers: Workers) -> Array:
    if rows.n_features <= 2 * N_COMPONENTS:
        return rows.to_array(workers)
    some = _sample(rows, ROWS_FOR_COMPONENTS, random)
    return rows.projected(principal_components(some, N_COMPONENTS, workers)).to_array(workers)


def _seeds(features: Array, n_clusters: int, random: np.random.Generator) -> FloatArray:
    from sklearn.cluster import kmeans_plusplus

    seed = int(random.integers(2**32))
    seeds, _ = kmeans_plusplus(features, n_clusters, random_state=seed)
    centers: FloatArray = seeds.astype(np.float64)
    return centers


RandomState = int | np.random.Generator | None

TOL = 1e-5


@dataclass(frozen=True)
class Frame:
    """Where distances were measured: rows and centers moved and scaled alike.

    Attributes
    ----------
    rows : Rows
    centers : ndarray of shape (n_clusters, d), float64
    unit : float
        Of the distances between them.
    """

    rows: Rows
    centers: FloatArray
    unit: float = 1.0


@dataclass(frozen=True)
class Clustering:
    """Result of K-Means.

    Attributes
    ----------
    centers : ndarray of shape (n_clusters, d), float64
    labels : ndarray of shape (n,), int64
        Nearest center of each row.
    distances : ndarray of shape (n,), float64
        Euclidean distance to it, from the difference in double precision; between directions, 1
        minus the cosine.
    inertia : float
        Sum of the squared distances; between directions, of the distances.
    n_iter : int
        Passes over all rows and features that the best run took.
    precision : {"float32", "float64"}
        What the passes were computed in.
    frame : Frame
        Where the distances were measured.
    """

    centers: FloatArray
    labels: IntArray
    distances: FloatArray
    inertia: float
    n_iter: int
    precision: str
    frame: Frame


def cluster(
    rows: Rows,
    n_clusters: int,
    *,
    centers: FloatArray | None = None,
    n_init: int = 4,
    max_iter: int = 300,
    backend: Backend = "auto",
    device: str = "auto",
    spherical: bool = False,
    random_state: RandomState = None,
    workers: Workers,
) -> Clustering:
    """Cluster rows by Lloyd's algorithm, from a good start.

    The passes are computed in single precision, and once more in double precision where the
    distances that come out are too small beside the features for single precision to tell, or
    the features beyond it. Rows of many more features than there are rows are first turned
    into n dimensions; see `proxysample.features.gram`.

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
    spherical : bool
        The rows have unit length: keep the centers so, and measure by 1 minus the cosine.
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
    find = partial(
        find_backend,
        backend,
        device,
        max_iter=max_iter,
        tol=TOL,
        spherical=spherical,
        workers=workers,
    )
    find()  # A backend that is not there is an error before any work.
    random = np.random.default_rng(random_state)

    def attempt(at_hand: Rows, start: FloatArray | None, share: float) -> Refined:
        refine = find(movement_share=share)
        if start is None:
            start = find_start(
                at_hand, n_clusters, refine, n_init=n_init, random=random, workers=workers
            )
            if spherical:
                start = on_sphere(start, at_hand.read(slice(0, 1), np.float64))
        return refine(at_hand, start)

    if centers is not None or not gram_pays(len(rows), rows.n_features, n_clusters):
        found = _in_enough_precision(rows, centers, attempt, spherical, workers)
    else:
        found = _in_few_dimensions(rows, n_clusters, attempt, spherical, workers)
    if not spherical:
        return found
    angular = np.square(found.distances) / 2
    return replace(found, distances=angular, inertia=float(angular.sum()))


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
    seeds = np.random.default_rng(random_state).integers(2**32, size=n_init).tolist()

    def attempt(at_hand: Rows, start: FloatArray | None, share: float) -> Refined:  # noqa: ARG001
        return best_random_start(
            at_hand,
            n_clusters,
            max_iter=max_iter,
            seeds=seeds,
            movement_share=share,
            workers=workers,
        )

    if gram_pays(len(rows), rows.n_features, n_init * n_clusters):
        return _in_few_dimensions(rows, n_clusters, attempt, False, workers)
    return _in_enough_precision(rows, None, attempt, False, workers)


# Moves centers of some rows to rest: given ones, or from where it finds good. The last argument is
# for scikit-learn, whose tolerance goes by the mean over the features.
Attempt = Callable[[Rows, FloatArray | None, float], Refined]


def _in_enough_precision(
    rows: Rows,
    centers: FloatArray | None,
    attempt: Attempt,
    spherical: bool,
    workers: Workers,
    share: float = 1.0,
) -> Clustering:
    """Cluster in single precision where that is enough, or else in double precision."""
    at_hand = rows.cached(workers)
    extent = measure(at_hand, workers)
    if extent.fits_float32:
        refined = attempt(at_hand, centers, share)
        found = _settle(rows, refined, workers)
        if extent.told_in_float32(found.inertia):
            return found
    widened = Widened.of(rows, workers, movable=not spherical)
    start = None if centers is None else widened.inside(centers)
    refined = attempt(widened.rows, start, share)
    found = _settle(widened.rows, refined, workers)
    return _outside(found, widened.outside(found.centers), widened.unit)


def _in_few_dimensions(
    rows: Rows, n_clusters: int, attempt: Attempt, spherical: bool, workers: Workers
) -> Clustering:
    """Cluster the rows' coordinates in a basis that they span; all distances are the same."""
    widened = Widened.of(rows, workers, movable=not spherical)
    narrow = coordinates(gram_matrix(widened.rows, workers))
    if not spherical:
        narrow -= narrow.mean(axis=0)
    share = max(narrow.shape[1], 1) / rows.n_features
    found = _in_enough_precision(Rows(narrow), None, attempt, spherical, workers, share)
    exact = Rows(narrow, precision=np.float64)
    means = _means(exact, found.labels, n_clusters, spherical, workers)
    settled = _settle(exact, Refined(means, found.inertia, found.n_iter), workers)
    centers = _means(widened.rows, found.labels, n_clusters, spherical, workers)
    outside = _outside(settled, widened.outside(centers), widened.unit)
    return replace(outside, precision=found.precision)


def _outside(found: Clustering, centers: FloatArray, unit: float) -> Clustering:
    """Give what was found in another unit, about another middle."""
    return replace(
        found,
        centers=centers,
        distances=found.distances * unit,
        inertia=found.inertia * unit**2,
        frame=replace(found.frame, unit=unit),
    )


def _means(
    rows: Rows, labels: IntArray, n_clusters: int, spherical: bool, workers: Workers
) -> FloatArray:
    """Average each cluster; one without rows stays on another's center, which is found first."""
    means = group_means(rows, labels, n_clusters, workers)
    sizes = np.bincount(labels, minlength=n_clusters)
    if spherical:
        means = on_sphere(means, rows.read(slice(0, 1), np.float64))
    means[sizes == 0] = means[np.flatnonzero(sizes)[0]]
    return means


def _settle(rows: Rows, refined: Refined, workers: Workers) -> Clustering:
    labels = nearest_centers(rows, refined.centers, workers)
    distances = distances_to_own(rows, labels, refined.centers, workers)
    return Clustering(
        refined.centers,
        labels,
        distances,
        float(np.square(distances).sum()),
        refined.n_iter,
        np.dtype(rows.precision).name,
        Frame(rows, refined.centers),
    )
