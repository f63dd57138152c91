"""Outlier removal: samples far from their class's mean image, or from their centroid, go first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from proxysample.checks import POSITIVE_INTEGER, Constraints, as_tuple, integer_from, one_of
from proxysample.clustering import Clustering, cluster, cluster_from_random_starts
from proxysample.clustering.backends import (
    Backend,
    check_backend,
    check_backend_name,
    check_spherical,
)
from proxysample.clustering.engines import on_sphere
from proxysample.clustering.groups import distances_to_own, group_means
from proxysample.clustering.sizes import ClusterSizes, count_clusters, measure_to_counted
from proxysample.data.labels import encode_labels
from proxysample.data.reading import Samples
from proxysample.errors import InputError
from proxysample.features.rows import Rows, Workers
from proxysample.features.sources import (
    check_digits,
    directions,
    feature_rows,
)
from proxysample.isolation import isolated
from proxysample.keeping import FloatArray, IntArray, Keep, check_ratio
from proxysample.printing import shown
from proxysample.sampler import Protocol, Reads
from proxysample.samplers.base import FeatureReader, ImageSampler
from proxysample.samplers.random import RandomState

if TYPE_CHECKING:
    from proxysample.clustering.counts import ClusterCounts

Metric = Literal["euclidean", "cosine"]
METRICS: tuple[Metric, ...] = ("euclidean", "cosine")


class CCOutlierRemoval(ImageSampler):
    """Keep the samples nearest to their class's mean image (cc-or; section 3.3.2, equation 6).

    Parameters
    ----------
    keep : str or KeepingRule
        ``"easy"`` keeps near samples (the paper's choice), ``"hard"`` far ones; or another rule, by
        its id or with parameters.
    metric : {"euclidean", "cosine"}
        ``"euclidean"`` measures L2 distances (the paper's choice); ``"cosine"`` takes 1 minus the
        cosine to the mean direction of the class. Samples that are all zero are refused then.
    protocol : {"default", "paper"}
        "paper" keeps ``int(n_c * r)`` samples of each class, as the authors' code does; the
        default keeps ``round(r * n)`` in all, each class within one sample of its share. The
        scores are the same: L2 distances of raw pixels.

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
    reads: ClassVar[Reads] = "pixels"
    needs_labels: ClassVar[bool] = True
    per_class = True
    _constraints: ClassVar[Constraints] = {"metric": one_of("metric", METRICS)}

    keep: Keep = "easy"
    metric: Metric = "euclidean"
    protocol: Protocol = "default"

    def _check_parameters(self) -> None:
        if self.protocol == "paper" and self.metric != "euclidean":
            raise InputError(
                f"protocol='paper' measures L2 distances, not {shown(self.metric)}; leave metric "
                "at 'euclidean', or take protocol='default'"
            )

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        assert codes is not None  # per_class is set
        images = samples.images
        check_digits(images)
        # Pixels of type uint8 count in units of the full range, as they do in the paper's code.
        scale = np.full(images[0].size, 255.0) if images.dtype == np.uint8 else None
        rows = Rows(images, scale=scale)
        with Workers() as workers:
            if self.metric == "cosine":
                rows = directions(rows, workers)
            means = group_means(rows, codes, int(codes.max()) + 1, workers)
            if self.metric == "cosine":
                means = on_sphere(means, means)
                return np.square(distances_to_own(rows, codes, means, workers)) / 2
            return distances_to_own(rows, codes, means, workers)


Distance = Literal["overall", "per-cluster"]
DISTANCES: tuple[Distance, ...] = ("overall", "per-cluster")

DEFAULT_STARTS = 4
PAPER_STARTS = 100


class KMeansOutlierRemoval(FeatureReader):
    """Keep the samples nearest to their K-Means centroid (km-or; paper section 3.2.2, equation 3).

    Parameters
    ----------
    n_clusters : int
        K. The paper uses 50, 100, 150 and 200.
    features : "pixels", str, ndarray, nn.Module, callable or object with ``transform``
        What is clustered. ``"pixels"`` is the paper's choice: each pixel scaled to zero mean and
        unit variance over the dataset. Or features from elsewhere, which are not scaled: an
        array (n, d), what `proxysample.embed` made or ``"embed:FOLDER"`` where it lies, the name
        of a timm model, an ``nn.Module``, a callable from images to features, or a fitted object
        such as `AutoencoderLoss`, whose latents are taken; see
        `proxysample.features.sources.feature_rows`. They are never fitted here, so that
        ``sklearn.base.clone`` keeps them as they are: neither copied nor unfitted. Of an array no
        more than its length tells whether it is of this dataset; what `embed` made is refused for
        others, as far as names of files, or pixels of images in memory, tell.
    distance : {"overall", "per-cluster"}
        Compare distances over all samples (the paper), or within each cluster, so that each
        keeps its share of samples.
    metric : {"euclidean", "cosine"}
        ``"euclidean"`` is the paper's choice. ``"cosine"`` clusters directions (spherical K-Means)
        and measures 1 minus the cosine to the centroid, which has unit length; features other
        than pixels are not centred then, and a sample that is all zero is refused.
    min_cluster_size : int, optional
        Clusters of fewer samples are no measure of what is typical: a sample in a cluster of its
        own has distance 0. Theirs are measured to the nearest centroid of another cluster. By
        default 4 samples and a quarter of the mean size n / K, whichever is more; copies of one
        sample count as one, and fewer are enough where clusters that hold as many have less
        than half of all samples. 1 measures every sample to its own centroid, which is what
        `protocol` "paper" does.
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

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, d), float64
        Centroids: of the standardised pixels, of the features, or of their principal components.
        The latter two are taken about the features' mean.
    cluster_labels_ : ndarray of shape (n,), int64
        Cluster of each sample.
    cluster_sizes_ : ndarray of shape (n_clusters,), int64
        Samples of each cluster.
    centroid_labels_ : ndarray of shape (n,), int64
        Cluster to whose centroid each sample is measured; another than its own where that is too
        small.
    min_cluster_size_ : int
        What a cluster had to hold.
    inertia_ : float
        Sum of squared distances to the nearest centroid of all; of distances where the metric is
        "cosine".
    precision_ : {"float32", "float64"}
        What the passes were computed in: double precision where single precision cannot tell the
        distances beside the features' size. faiss has none; numpy takes its place then.
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
        "metric": one_of("metric", METRICS),
        "min_cluster_size": POSITIVE_INTEGER.or_none(),
    }

    n_clusters: int = 100
    distance: Distance = "overall"
    metric: Metric = "euclidean"
    min_cluster_size: int | None = None
    keep: Keep = "easy"
    n_init: int | None = None
    max_iter: int = 300
    backend: Backend = "auto"
    protocol: Protocol = "default"
    random_state: RandomState = None

    @property
    def algorithm_version(self) -> int:
        """2 since samples of small clusters are measured to large ones."""
        return 1 if self.protocol == "paper" else 2

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_backend_name(self.backend)
        if self.metric == "cosine":
            check_spherical(self.backend)
        if self.protocol == "paper":
            self._check_paper()

    def _check_paper(self) -> None:
        if self.backend not in ("auto", "scikit-learn"):
            raise InputError(
                f"protocol='paper' is scikit-learn's K-Means, not {shown(self.backend)}; leave "
                "backend at 'auto', or take protocol='default'"
            )
        for name, value, paper in (
            ("metric", self.metric, "euclidean"),
            ("min_cluster_size", self.min_cluster_size, None),
        ):
            if value != paper:
                raise InputError(
                    f"protocol='paper' has no {name}={shown(value)}; leave {name} at {paper!r}, "
                    "or take protocol='default'"
                )

    def _check_availability(self) -> None:
        check_backend(self.backend, self.device)

    def _keeping_codes(self, codes: IntArray | None) -> IntArray | None:
        return encode_labels(self.centroid_labels_)[1] if self.distance == "per-cluster" else codes

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:  # noqa: ARG002
        self._check_size(len(samples))
        with Workers() as workers:
            clustering = self._cluster(self._rows(samples, workers), workers)
            sizes = self._sizes(clustering)
            labels, scores = measure_to_counted(
                clustering, sizes.counted, spherical=self.metric == "cosine", workers=workers
            )
        self.cluster_centers_ = clustering.centers
        self.cluster_labels_ = clustering.labels
        self.cluster_sizes_ = sizes.sizes
        self.centroid_labels_ = labels
        self.min_cluster_size_ = sizes.least
        self.inertia_ = clustering.inertia
        self.n_iter_ = clustering.n_iter
        self.precision_ = clustering.precision
        self._told = {**sizes.words(), "computed in": clustering.precision}
        return scores

    def _details(self) -> dict[str, str]:
        return self._told

    @isolated()
    def suggest_n_clusters(
        self,
        dataset: Any,
        candidates: Sequence[int] | None = None,
        *,
        r: float = 0.25,
        n_seeds: int = 3,
    ) -> ClusterCounts:
        """Try several numbers of clusters, to help in choosing one.

        A sample of 10,000 is clustered on 64 principal components, with one start from each seed:
        cheap, and near what all samples and features give. It tells which counts leave clusters
        large enough to be a measure, and which kept sets depend on the seed. It does not tell
        which subset trains best: compare accuracies for that.

        Parameters
        ----------
        dataset : object
            See `fit`.
        candidates : sequence of int, optional
            Numbers of clusters; by default the usual ones, from 2 to 200, that leave at least 8
            samples a cluster.
        r : float
            Fraction that is kept, in (0, 1], where seeds are compared.
        n_seeds : int
            At least 2.

        Returns
        -------
        ClusterCounts
            Print it as a table; `suggested` is a count, and `to_frame` gives a pandas frame.

        Raises
        ------
        InputError
            If a parameter or the dataset cannot be used.

        Examples
        --------
        >>> import numpy as np
        >>> from proxysample import KMeansOutlierRemoval
        >>> generator = np.random.default_rng(0)
        >>> features = generator.normal(size=(200, 2)) + 20 * generator.integers(0, 2, (200, 2))
        >>> sampler = KMeansOutlierRemoval(random_state=0)
        >>> sampler.suggest_n_clusters(features, [2, 4, 8]).suggested
        4
        """
        from proxysample.clustering.counts import check_counts, compare_counts, usual_counts

        ratio = check_ratio(r)
        integer_from(2).check("n_seeds", n_seeds)
        given = None if candidates is None else as_tuple("candidates", candidates)
        for count in given or ():
            POSITIVE_INTEGER.check("each of candidates", count)
        self.check_parameters()
        self._check_availability()
        samples = self._read(dataset, None)
        tried = usual_counts(len(samples)) if given is None else given
        check_counts(tried, len(samples))
        with Workers() as workers:
            return compare_counts(
                self._rows(samples, workers),
                tried,
                r=ratio,
                n_seeds=n_seeds,
                min_cluster_size=self.min_cluster_size,
                backend=self.backend,
                device=self.device,
                spherical=self.metric == "cosine",
                random=np.random.default_rng(self.random_state),
                workers=workers,
            )

    def _check_size(self, n_samples: int) -> None:
        if self.n_clusters > n_samples:
            raise InputError(
                f"n_clusters={self.n_clusters} for {n_samples} samples; "
                "lower n_clusters or give more samples"
            )

    def _rows(self, samples: Samples, workers: Workers) -> Rows:
        """Give what is clustered."""
        rows = feature_rows(
            samples,
            self.features,
            n_components=self.n_components,
            centred=self.metric == "euclidean",
            device=self.device,
            progress=self.progress,
            workers=workers,
        )
        return directions(rows, workers) if self.metric == "cosine" else rows

    def _sizes(self, clustering: Clustering) -> ClusterSizes:
        is_squared = self.metric == "cosine"
        squares = clustering.distances if is_squared else np.square(clustering.distances)
        least = 1 if self.protocol == "paper" else self.min_cluster_size
        return count_clusters(clustering, squares, least)

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
            spherical=self.metric == "cosine",
            random_state=self.random_state,
            workers=workers,
        )
