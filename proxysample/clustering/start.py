"""Good centers to start from, found on a few principal components of a sample of the rows."""

from __future__ import annotations

import numpy as np

from proxysample.clustering.backends import Refine
from proxysample.clustering.groups import group_means
from proxysample.clustering.numpy_engine import nearest_centers
from proxysample.clustering.principal import principal_components
from proxysample.data.parallel import Workers
from proxysample.data.rows import Float32Array, Rows
from proxysample.keeping import FloatArray

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
