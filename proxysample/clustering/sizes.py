"""Which clusters are large enough for their centroids to stand for typical samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxysample.clustering.engines import nearest_centers
from proxysample.clustering.groups import distances_to_own
from proxysample.clustering.kmeans import Clustering
from proxysample.features.rows import Workers
from proxysample.keeping import FloatArray, IntArray

# By default a cluster has to hold so many samples, and so large a share of the mean size n / K.
LEAST_SAMPLES = 4
SHARE_OF_MEAN = 0.25

# The samples of a cluster are copies of one where their mean squared distance to its centroid is
# this share of what is typical, or less.
COPIES = 1e-6

# Of the centroids' squared norms: what rounding alone makes of a squared distance of 0.
ROUNDING = {"float32": 1e-13, "float64": 1e-20}


@dataclass(frozen=True)
class ClusterSizes:
    """How many samples each cluster holds, and which clusters count.

    Attributes
    ----------
    sizes : ndarray of shape (n_clusters,), int64
        Samples of each cluster.
    counted : ndarray of shape (n_clusters,), bool
        Whether its centroid stands for typical samples.
    least : int
        What a cluster had to hold; less than was asked for where the clusters that hold it are
        not half of the samples.
    """

    sizes: IntArray
    counted: npt.NDArray[np.bool_]
    least: int

    @property
    def n_small(self) -> int:
        """How many clusters with samples do not count."""
        return int((~self.counted & (self.sizes > 0)).sum())

    @property
    def n_samples_in_small(self) -> int:
        """How many samples these hold."""
        return int(self.sizes[~self.counted].sum())

    def words(self) -> dict[str, str]:
        """Tell the sizes to a reader, by what they are."""
        used = self.sizes[self.sizes > 0]
        sizes = f"smallest {used.min():,}, median {np.median(used):,.0f}, largest {used.max():,}"
        empty = len(self.sizes) - len(used)
        told = {"cluster sizes": sizes + (f"; {empty:,} without samples" if empty else "")}
        if self.least > 1:
            told["small clusters"] = (
                f"{self.n_small:,} of {len(self.sizes):,}, with {self.n_samples_in_small:,} "
                f"samples, hold fewer than {self.least:,} samples or copies of one; their samples "
                "are measured to the nearest centroid of another cluster"
            )
        return told


def count_clusters(
    clustering: Clustering, squares: FloatArray, min_cluster_size: int | None
) -> ClusterSizes:
    """Find which clusters are large enough.

    A sample in a cluster of its own lies on its centroid, and one of few nearly so: outliers
    would look ideal. Copies of one sample count as one, however many they are.

    Parameters
    ----------
    clustering : Clustering
    squares : ndarray of shape (n,), float64
        Squared distance of each sample to its centroid.
    min_cluster_size : int, optional
        What a cluster has to hold; by default `LEAST_SAMPLES`, and `SHARE_OF_MEAN` of the mean
        size. It is lowered until clusters with half of the samples count: where most clusters
        are small, K is too large for the size to tell outliers.

    Returns
    -------
    ClusterSizes

    Examples
    --------
    >>> labels = np.array([0] * 9 + [1] * 8 + [2, 2, 3])
    >>> from proxysample.clustering.kmeans import Frame
    >>> from proxysample.features.rows import Rows
    >>> centers, ones = np.zeros((4, 1)), np.ones(20)
    >>> frame = Frame(Rows(np.ones((20, 1))), centers)
    >>> clustering = Clustering(centers, labels, ones, 20.0, 1, "float32", frame)
    >>> count_clusters(clustering, clustering.distances, None).counted.tolist()
    [True, True, False, False]
    """
    n_clusters, n_samples = len(clustering.centers), len(clustering.labels)
    sizes = np.bincount(clustering.labels, minlength=n_clusters)
    sums = np.bincount(clustering.labels, weights=squares, minlength=n_clusters)
    means = sums / np.maximum(sizes, 1)
    several = sizes[clustering.labels] > 1
    typical = np.median(means[clustering.labels[several]]) if several.any() else 0.0
    largest = np.square(clustering.frame.unit * np.linalg.norm(clustering.frame.centers, axis=1))
    nothing = max(COPIES * typical, ROUNDING[clustering.precision] * largest.max())
    distinct = np.where((sizes > 1) & (means <= nothing), 1, sizes)
    least = min_cluster_size
    if least is None:
        least = max(LEAST_SAMPLES, int(np.ceil(SHARE_OF_MEAN * n_samples / n_clusters)))
    by_size = np.argsort(-distinct, kind="stable")
    half = np.searchsorted(np.cumsum(sizes[by_size]), n_samples / 2)
    least = min(least, int(distinct[by_size[half]]))
    return ClusterSizes(sizes, distinct >= least, least)


def measure_to_counted(
    clustering: Clustering,
    counted: npt.NDArray[np.bool_],
    *,
    spherical: bool = False,
    workers: Workers,
) -> tuple[IntArray, FloatArray]:
    """Measure the samples of clusters that do not count to the nearest centroid that does.

    Parameters
    ----------
    clustering : Clustering
    counted : ndarray of shape (n_clusters,), bool
    spherical : bool
        Whether distances are 1 minus the cosine; see `proxysample.clustering.cluster`.
    workers : Workers

    Returns
    -------
    labels : ndarray of shape (n,), int64
        Cluster to whose centroid each sample is measured.
    distances : ndarray of shape (n,), float64
        To that centroid.
    """
    labels, distances = clustering.labels.copy(), clustering.distances.copy()
    moved = np.flatnonzero(~counted[labels])
    if not len(moved):
        return labels, distances
    frame, known = clustering.frame, np.flatnonzero(counted)
    some, centers = frame.rows.at(moved), frame.centers[known]
    nearest = nearest_centers(some, centers, workers)
    labels[moved] = known[nearest]
    found = frame.unit * distances_to_own(some, nearest, centers, workers)
    distances[moved] = np.square(found) / 2 if spherical else found
    return labels, distances
