"""Outlier removal: samples far from their class's or cluster's centroid go first."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from proxysample.errors import InputError
from proxysample.keeping import FloatArray, IntArray
from proxysample.kmeans import check_clusters, cluster
from proxysample.random import RandomState
from proxysample.reading import Samples
from proxysample.sampler import Protocol, Sampler, check_protocol


def group_means(samples: Samples, groups: IntArray) -> FloatArray:
    """Average the features of each group in one streaming pass.

    Parameters
    ----------
    samples : Samples
        n samples with d features each.
    groups : ndarray of shape (n,), int64
        Group of each sample, 0 to n_groups - 1; each group has a sample.

    Returns
    -------
    ndarray of shape (n_groups, d), float64
    """
    sizes = np.bincount(groups)
    sums: FloatArray | None = None
    for rows, features in samples.feature_chunks():
        members = groups[rows]
        ones = np.ones(len(members))
        indicator = sparse.csr_matrix(
            (ones, (members, np.arange(len(members)))), shape=(len(sizes), len(members))
        )
        chunk_sums = indicator @ features
        sums = chunk_sums if sums is None else sums + chunk_sums
    assert sums is not None  # Samples are never empty
    means: FloatArray = sums / sizes[:, np.newaxis]
    return means


def distances_to_own(samples: Samples, groups: IntArray, centroids: FloatArray) -> FloatArray:
    """Measure each sample's Euclidean distance to the centroid of its own group.

    The difference is formed before it is squared, so no precision is lost to the expansion
    that fast distance kernels use.

    Parameters
    ----------
    samples : Samples
        n samples with d features each.
    groups : ndarray of shape (n,), int64
        Group of each sample.
    centroids : ndarray of shape (n_groups, d), float64

    Returns
    -------
    ndarray of shape (n,), float64
    """
    distances = np.empty(len(samples))
    for rows, features in samples.feature_chunks():
        features -= centroids[groups[rows]]
        distances[rows] = np.sqrt(np.einsum("ij,ij->i", features, features))
    return distances


class CCOutlierRemoval(Sampler):
    """Keep the samples nearest to their class's mean image (cc-or; section 3.3.2, equation 6).

    Parameters
    ----------
    protocol : {"default", "paper"}
        "paper" keeps ``int(n_c * r)`` samples of each class, as the authors' code does; the
        default keeps ``round(r * n)`` in all, each class within one sample of its share. The
        scores are the same: L2 distances of raw pixels.
    batch_size, num_workers : int
        How a map-style dataset is decoded. They do not change the result.
    progress : bool
        Show a progress bar while decoding.

    Examples
    --------
    >>> from proxysample import CCOutlierRemoval
    >>> features = np.array([[0.0], [1.0], [5.0], [10.0], [11.0], [18.0]])
    >>> sampler = CCOutlierRemoval()
    >>> sampler.select(features, r=2 / 3, y=[0, 0, 0, 1, 1, 1]).tolist()
    [0, 1, 3, 4]
    >>> sampler.scores_.tolist()
    [2.0, 1.0, 3.0, 3.0, 2.0, 5.0]
    """

    id: ClassVar[str] = "cc-or"
    needs_labels: ClassVar[bool] = True
    per_class: ClassVar[bool] = True

    def __init__(
        self,
        *,
        protocol: Protocol = "default",
        batch_size: int = 256,
        num_workers: int = 0,
        progress: bool = False,
    ) -> None:
        self.protocol = protocol
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.progress = progress

    def _check_parameters(self) -> None:
        check_protocol(self.protocol)

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        assert codes is not None  # per_class is set
        return distances_to_own(samples, codes, group_means(samples, codes))


class KMeansOutlierRemoval(Sampler):
    """Keep the samples nearest to their K-Means centroid (km-or; section 3.2.2, equation 3).

    Pixels are standardised, each to zero mean and unit variance over the dataset, as in the
    authors' code; the distances are those in the standardised space.

    Parameters
    ----------
    n_clusters : int
        K. The paper uses 50, 100, 150 and 200.
    protocol : {"default", "paper"}
        "paper" starts from 100 random choices of samples as centroids, runs each for up to 300
        iterations, takes the best, and keeps ``int(n * r)`` samples. The default starts once
        from k-means++ and keeps ``round(r * n)``. The authors cluster anew for each ratio,
        unseeded; here one clustering serves all ratios.
    random_state : int, Generator or None
        Seed of the starts; None draws a new one each time.
    batch_size, num_workers : int
        How a map-style dataset is decoded. They do not change the result.
    progress : bool
        Show a progress bar while decoding.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, d)
        Centroids of the standardised features.
    cluster_labels_ : ndarray of shape (n,), int64
        Cluster of each sample.
    inertia_ : float
        Sum of squared distances.

    Examples
    --------
    >>> from proxysample import KMeansOutlierRemoval
    >>> features = np.array([[0.0], [0.1], [0.5], [9.0], [9.1], [9.9]])
    >>> KMeansOutlierRemoval(n_clusters=2, random_state=0).select(features, r=2 / 3).tolist()
    [0, 1, 2, 4]
    """

    id: ClassVar[str] = "km-or"

    def __init__(
        self,
        *,
        n_clusters: int = 100,
        protocol: Protocol = "default",
        random_state: RandomState = None,
        batch_size: int = 256,
        num_workers: int = 0,
        progress: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.protocol = protocol
        self.random_state = random_state
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.progress = progress

    def _check_parameters(self) -> None:
        check_protocol(self.protocol)
        check_clusters(self.n_clusters)

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:  # noqa: ARG002
        if self.n_clusters > len(samples):
            raise InputError(
                f"n_clusters={self.n_clusters} for {len(samples)} samples; "
                "lower n_clusters or give more samples"
            )
        features = standardised(samples)
        clustering = cluster(
            features,
            self.n_clusters,
            random_state=self.random_state,
            restarts=100 if self.protocol == "paper" else None,
        )
        self.cluster_centers_ = clustering.centers
        self.cluster_labels_ = clustering.labels
        distances = distances_to_own(Samples(features), clustering.labels, clustering.centers)
        self.inertia_ = float(np.square(distances).sum())
        return distances


def standardised(samples: Samples) -> npt.NDArray[np.float32]:
    """Flatten samples and scale each feature to zero mean and unit variance.

    A constant feature becomes zero.

    Parameters
    ----------
    samples : Samples
        n samples with d features each.

    Returns
    -------
    ndarray of shape (n, d), float32
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for _, features in samples.feature_chunks():
        scaler.partial_fit(features)
    result: npt.NDArray[np.float32] | None = None
    for rows, features in samples.feature_chunks():
        if result is None:
            result = np.empty((len(samples), features.shape[1]), dtype=np.float32)
        result[rows] = scaler.transform(features)
    assert result is not None  # Samples are never empty
    return result
