"""Outlier removal: samples far from their class's mean image, or from their centroid, go first."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import clone

from proxysample.checks import DEVICE, POSITIVE_INTEGER, Constraints, one_of
from proxysample.clustering import Clustering, cluster, cluster_from_random_starts
from proxysample.clustering.backends import Backend, check_backend, check_backend_name
from proxysample.clustering.groups import distances_to_own, group_means
from proxysample.data.labels import encode_labels
from proxysample.data.reading import Samples
from proxysample.errors import InputError
from proxysample.features.rows import Rows, Workers
from proxysample.features.sources import check_features, feature_rows
from proxysample.keeping import FloatArray, IntArray, Keep
from proxysample.sampler import Protocol, Sampler
from proxysample.samplers.random import RandomState


class CCOutlierRemoval(Sampler):
    """Keep the samples nearest to their class's mean image (cc-or; section 3.3.2, equation 6).

    Parameters
    ----------
    keep : str or KeepingRule
        ``"easy"`` keeps near samples (the paper's choice), ``"hard"`` far ones; or another rule, by
        its id or with parameters.
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
    per_class = True

    def __init__(
        self,
        *,
        keep: Keep = "easy",
        protocol: Protocol = "default",
        batch_size: int = 256,
        num_workers: int = 0,
        progress: bool = False,
    ) -> None:
        self.keep = keep
        self.protocol = protocol
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.progress = progress

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        assert codes is not None  # per_class is set
        images = samples.images
        # Pixels of type uint8 count in units of the full range, as they do in the paper's code.
        scale = np.full(images[0].size, 255.0) if images.dtype == np.uint8 else None
        rows = Rows(images, scale=scale)
        with Workers() as workers:
            means = group_means(rows, codes, int(codes.max()) + 1, workers)
            return distances_to_own(rows, codes, means, workers)


Distance = Literal["overall", "per-cluster"]
DISTANCES: tuple[Distance, ...] = ("overall", "per-cluster")

DEFAULT_STARTS = 4
PAPER_STARTS = 100


class KMeansOutlierRemoval(Sampler):
    """Keep the samples nearest to their K-Means centroid (km-or; paper section 3.2.2, equation 3).

    Parameters
    ----------
    n_clusters : int
        K. The paper uses 50, 100, 150 and 200.
    features : "pixels", str, ndarray, nn.Module, callable or object with ``transform``
        What is clustered. ``"pixels"`` is the paper's choice: each pixel scaled to zero mean and
        unit variance over the dataset. Or features from elsewhere, which are not scaled: an
        array (n, d), the name of a timm model, an ``nn.Module``, a callable from images to
        features, or a fitted object such as `AutoencoderLoss`, whose latents are taken; see
        `proxysample.features.sources.feature_rows`. They are never fitted here, so that
        ``sklearn.base.clone`` keeps them as they are: neither copied nor unfitted.
    n_components : int, optional
        Project the features on so many principal components first.
    distance : {"overall", "per-cluster"}
        Compare distances over all samples (the paper), or within each cluster, so that each
        keeps its share of samples.
    keep : str or KeepingRule
        ``"easy"`` keeps near samples (the paper's choice), ``"hard"`` far ones; or another rule, by
        its id or with parameters.
    n_init : int, optional
        Number of starts, of which the best counts; by default 4, and 100 for `protocol`
        "paper".
    max_iter : int
        Limit of passes over the features, for each start.
    backend : {"auto", "numpy", "scikit-learn", "faiss", "torch"}
        What clusters. "auto" takes torch on a CUDA device and numpy on a CPU, both of which
        stream features that do not fit in memory. They come to the same inertia to within half
        a percent, and not to the same bits.
    device : str or torch.device
        For torch, faiss and networks: "auto" takes the first CUDA device where there is one.
    protocol : {"default", "paper"}
        "paper" starts from random samples as centroids, runs each start by scikit-learn for up
        to 300 iterations, takes the best, and keeps ``int(n * r)`` samples. The default finds
        its start on principal components, from k-means++ seeds, and keeps ``round(r * n)``. The
        authors cluster anew for each ratio, unseeded; here one clustering serves all ratios.
    random_state : int, Generator or None
        Seed of the starts; None draws new ones each time.
    batch_size, num_workers : int
        How a map-style dataset is decoded. They do not change the result.
    progress : bool
        Show progress bars while decoding and while a network runs.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, d), float64
        Centroids: of the standardised pixels, of the features, or of their principal components.
        The latter two are taken about the features' mean.
    cluster_labels_ : ndarray of shape (n,), int64
        Cluster of each sample.
    inertia_ : float
        Sum of squared distances.
    n_iter_ : int
        Passes over all samples and features that the best start took.

    Notes
    -----
    The number of threads does not change the indices, nor does another run with the same seed,
    where features are pixels or given. Networks may give other last bits on other machines.

    Examples
    --------
    >>> import numpy as np
    >>> from proxysample import KMeansOutlierRemoval
    >>> features = np.array([[0.0], [0.1], [0.5], [9.0], [9.1], [9.9]])
    >>> KMeansOutlierRemoval(n_clusters=2, random_state=0).select(features, r=2 / 3).tolist()
    [0, 1, 2, 4]
    """

    id: ClassVar[str] = "km-or"
    _constraints: ClassVar[Constraints] = {
        "n_clusters": POSITIVE_INTEGER,
        "max_iter": POSITIVE_INTEGER,
        "n_init": POSITIVE_INTEGER.or_none(),
        "distance": one_of("distance", DISTANCES),
        "device": DEVICE,
    }

    def __init__(
        self,
        *,
        n_clusters: int = 100,
        features: Any = "pixels",
        n_components: int | None = None,
        distance: Distance = "overall",
        keep: Keep = "easy",
        n_init: int | None = None,
        max_iter: int = 300,
        backend: Backend = "auto",
        device: Any = "auto",
        protocol: Protocol = "default",
        random_state: RandomState = None,
        batch_size: int = 256,
        num_workers: int = 0,
        progress: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.features = features
        self.n_components = n_components
        self.distance = distance
        self.keep = keep
        self.n_init = n_init
        self.max_iter = max_iter
        self.backend = backend
        self.device = device
        self.protocol = protocol
        self.random_state = random_state
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.progress = progress

    def __sklearn_clone__(self) -> Self:
        # A fitted object among the parameters would come out of a clone unfitted, and an array
        # as a copy, however large it is.
        parameters = self.get_params(deep=False)
        features = parameters.pop("features")
        copied = {name: clone(value, safe=False) for name, value in parameters.items()}
        return type(self)(features=features, **copied)

    def _check_parameters(self) -> None:
        check_features(self.features, self.n_components)
        check_backend_name(self.backend)
        if self.protocol == "paper" and self.backend not in ("auto", "scikit-learn"):
            raise InputError(
                f"protocol='paper' is scikit-learn's K-Means, not {self.backend!r}; leave backend "
                "at 'auto', or take protocol='default'"
            )

    def _check_availability(self) -> None:
        check_backend(self.backend, self.device)

    def _keeping_codes(self, codes: IntArray | None) -> IntArray | None:
        return encode_labels(self.cluster_labels_)[1] if self.distance == "per-cluster" else codes

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:  # noqa: ARG002
        if self.n_clusters > len(samples):
            raise InputError(
                f"n_clusters={self.n_clusters} for {len(samples)} samples; "
                "lower n_clusters or give more samples"
            )
        with Workers() as workers:
            rows = feature_rows(
                samples,
                self.features,
                n_components=self.n_components,
                device=self.device,
                progress=self.progress,
                workers=workers,
            )
            clustering = self._cluster(rows, workers)
        self.cluster_centers_ = clustering.centers
        self.cluster_labels_ = clustering.labels
        self.inertia_ = clustering.inertia
        self.n_iter_ = clustering.n_iter
        return clustering.distances

    def _cluster(self, rows: Rows, workers: Workers) -> Clustering:
        if self.protocol == "paper":
            return cluster_from_random_starts(
                rows,
                self.n_clusters,
                n_init=self.n_init or PAPER_STARTS,
                max_iter=self.max_iter,
                random_state=self.random_state,
                workers=workers,
            )
        return cluster(
            rows,
            self.n_clusters,
            n_init=self.n_init or DEFAULT_STARTS,
            max_iter=self.max_iter,
            backend=self.backend,
            device=self.device,
            random_state=self.random_state,
            workers=workers,
        )
