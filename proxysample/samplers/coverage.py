"""Samplers that score a sample by where its features lie among those of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from proxysample.checks import BOOLEAN, NUMBER, POSITIVE_INTEGER, Constraints, one_of
from proxysample.clustering import cluster
from proxysample.coverage.density import N_REDUNDANT, zcore_scores
from proxysample.coverage.groups import (
    Group,
    cosines,
    for_each_group,
    nearest_before,
    places,
    read_rows,
    squared_lengths,
    to_unit_length,
)
from proxysample.data.labels import encode_labels
from proxysample.data.reading import Samples
from proxysample.device import resolve_device
from proxysample.errors import InputError
from proxysample.features.rows import Rows, Workers
from proxysample.features.sources import feature_rows
from proxysample.keeping import FloatArray, IntArray, Keep, Natural, check_ratio
from proxysample.sampler import class_codes
from proxysample.samplers.base import FeatureReader
from proxysample.samplers.random import RandomState


class FeatureSampler(FeatureReader):
    """Base of samplers that compare features within each class, or within the dataset.

    Parameters
    ----------
    features : "pixels", str, ndarray, nn.Module, callable or object with ``transform``
        What is compared; see `KMeansOutlierRemoval`. Cosines are those of the features as given,
        not about their mean; a sample whose features are all zero is like no other. Distances are
        Euclidean.
    per_class : bool, optional
        Whether each class is compared by itself and keeps its share; by default where there are
        labels.
    """

    per_class: bool | None = None

    _constraints: ClassVar[Constraints] = {"per_class": BOOLEAN.or_none()}

    def _check_availability(self) -> None:
        resolve_device(self.device)

    def _class_codes(self, samples: Samples) -> IntArray | None:
        if self.per_class is None:
            try:
                labels = None if samples.labels is None else samples.required_labels
            except InputError:  # They are there, and are no classes: masks, boxes, fractions.
                samples.every.tell_unsure_labels()
                return None
            return None if labels is None else encode_labels(labels)[1]
        # A class of one sample is no trouble here: the first of its class stands for it.
        return class_codes(samples) if self.per_class else None

    def _rows(self, samples: Samples, workers: Workers) -> Rows:
        return feature_rows(
            samples,
            self.features,
            n_components=self.n_components,
            # Cosines are of the features as given, and distances are taken about a group's mean.
            centred=self.n_components is not None,
            device=self.device,
            progress=self.progress,
            workers=workers,
        )

    def _for_each_class(
        self,
        samples: Samples,
        codes: IntArray | None,
        function: Callable[[Group], FloatArray],
    ) -> FloatArray:
        """Apply a function to the features of each class, or of all."""
        with Workers() as workers:
            rows = self._rows(samples, workers)
            return for_each_group(function, rows, codes, workers)

    def _for_each_cluster(
        self,
        samples: Samples,
        codes: IntArray | None,
        function: Callable[[Group], FloatArray],
        n_clusters: int | None,
        random_state: RandomState,
    ) -> FloatArray:
        """Apply a function to directions, of each cluster where a number is given."""
        with Workers() as workers:
            rows = self._rows(samples, workers)
            if n_clusters is None:
                return for_each_group(lambda g: function(_directed(g)), rows, codes, workers)
            if n_clusters > len(samples):
                raise InputError(
                    f"n_clusters={n_clusters} for {len(samples)} samples; "
                    "lower n_clusters or give more samples"
                )
            directions = to_unit_length(read_rows(rows, workers))
            found = cluster(
                Rows(directions, shift=directions.mean(axis=0)),
                n_clusters,
                random_state=random_state,
                backend="numpy",
                workers=workers,
            )
            groups = encode_labels(found.labels)[1]
            return for_each_group(function, Rows(directions), groups, workers)


def _directed(group: Group) -> Group:
    to_unit_length(group.features)
    return group


class Moderate(FeatureSampler):
    """Keep samples at a middling distance from their class's median (moderate).

    They are neither the most typical nor outliers (X. Xia, J. Liu, J. Yu, X. Shen, B. Han and T.
    Liu, Moderate coreset, ICLR 2023). The score of a sample is its place in the order that begins
    at the middle of its class and goes outwards, to the nearer side first.

    Parameters
    ----------
    per_class : bool, optional
        Whether each class has its own median and ranks, and keeps its share; by default where
        there are labels. The authors rank all classes together, so that wide classes lose.

    Attributes
    ----------
    distances_ : ndarray of shape (n,), float64
        To the median of the class, or of all.

    Examples
    --------
    >>> from proxysample import Moderate
    >>> features = np.array([[0.0], [1.0], [3.0], [6.0], [-9.0]])
    >>> sampler = Moderate(features=features)
    >>> sampler.select(features, r=0.6).tolist(), sampler.distances_.tolist()
    ([0, 2, 3], [1.0, 0.0, 2.0, 5.0, 10.0])
    """

    id: ClassVar[str] = "moderate"

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        self.distances_ = self._for_each_class(samples, codes, _distances_to_median)
        with Workers() as workers:
            return for_each_group(_from_the_middle, Rows(self.distances_[:, None]), codes, workers)


def _distances_to_median(group: Group) -> FloatArray:
    features = group.features
    features -= np.median(features, axis=0)
    return np.sqrt(squared_lengths(features))


def _from_the_middle(group: Group) -> FloatArray:
    ranks = places(np.argsort(group.features[:, 0], kind="stable"))
    apart = np.abs(ranks - (len(ranks) - 1) / 2)
    return places(np.lexsort([ranks, apart]))


First = Literal["far", "near", "random"]
FIRSTS: tuple[First, ...] = ("far", "near", "random")


class SemDeDup(FeatureSampler):
    """Drop near duplicates first (semdedup).

    In each class or cluster the samples are put in an order; a sample's score is its largest cosine
    to any before it, and -1 where it is the first. Keeping low scores keeps one of each set of near
    duplicates, and `similarity_at` tells from which cosine on a kept set has none (A. Abbas, K.
    Tirumala, D. Simig, S. Ganguli and A. S. Morcos, SemDeDup, 2023).

    Parameters
    ----------
    first : {"far", "near", "random"}
        Which of near duplicates is kept: that of the lowest cosine to the mean (the authors'
        choice), of the highest, or one that is drawn.
    n_clusters : int, optional
        Compare samples within so many clusters only, of all classes. By default each class is
        compared as a whole, or all samples are, which takes time that grows with the square of
        their number.
    random_state : int, Generator or None
        Seed of the order and of the clusters.

    Notes
    -----
    Once all near duplicates are dropped, a smaller kept set is chosen for diversity alone.

    Examples
    --------
    >>> from proxysample import SemDeDup
    >>> features = np.array([[1.0, 0.0], [0.6, 0.8], [2.0, 0.0], [0.0, 1.0]])
    >>> sampler = SemDeDup(features=features)
    >>> sampler.select(features, r=0.75).tolist(), sampler.similarity_at(0.75)
    ([0, 1, 3], 0.8)
    >>> sampler.ratio_at(0.99)
    0.75
    """

    id: ClassVar[str] = "semdedup"
    _constraints: ClassVar[Constraints] = {
        "first": one_of("first", FIRSTS),
        "n_clusters": POSITIVE_INTEGER.or_none(),
    }

    first: First = "far"
    n_clusters: int | None = None
    random_state: RandomState = None

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        random = np.random.default_rng(self.random_state)
        seed = int(random.integers(2**32))

        def similarities(group: Group) -> FloatArray:
            return nearest_before(group, self._order(group, seed))

        return self._for_each_cluster(samples, codes, similarities, self.n_clusters, random)

    def _order(self, group: Group, seed: int) -> IntArray:
        if self.first == "random":
            return np.random.default_rng([seed, group.number]).permutation(len(group))
        similar = cosines(group.features, group.features.mean(axis=0))
        return np.argsort(similar if self.first == "far" else -similar, kind="stable")

    def similarity_at(self, r: float) -> float:
        """Tell the threshold that a ratio comes to.

        Parameters
        ----------
        r : float
            Fraction to keep, in (0, 1].

        Returns
        -------
        float
            No kept sample has a larger cosine to one before it; ``1 - eps`` in the authors' code.
        """
        check_ratio(r)
        check_is_fitted(self, "ranking_")
        return float(self.scores_[self.ranking_.select(r)].max())

    def ratio_at(self, similarity: float) -> float:
        """Tell what fraction has no larger cosine than this to a sample before it.

        Parameters
        ----------
        similarity : float
            Threshold, ``1 - eps`` in the authors' code.

        Returns
        -------
        float
            A ratio to keep; with class shares it is that of all classes together.
        """
        NUMBER.check("similarity", similarity)
        check_is_fitted(self, "ranking_")
        return float(np.mean(self.scores_ <= similarity))


class Prototypes(FeatureSampler):
    """Keep samples like the mean of their class or cluster, or unlike it (prototypes).

    The score is one less the cosine to the mean, which is the self-supervised prototypes metric (B.
    Sorscher, R. Geirhos, S. Shekhar, S. Ganguli and A. S. Morcos, Beyond neural scaling laws,
    NeurIPS 2022). They find it best to keep hard samples of much data, and easy ones of little.

    Parameters
    ----------
    n_clusters : int, optional
        Take the means of so many clusters, of all classes; by default of each class, or of all.
    keep : str or KeepingRule
        ``"easy"`` keeps samples that are like the mean, ``"hard"`` others; or another rule, by its
        id or with parameters.
    random_state : int, Generator or None
        Seed of the clusters.

    Examples
    --------
    >>> from proxysample import Prototypes
    >>> features = np.array([[1.0, 0.0], [9.0, 1.0], [0.0, 1.0]])
    >>> Prototypes(features=features).select(features, r=2 / 3).tolist()
    [0, 1]
    >>> Prototypes(features=features, keep="hard").select(features, r=1 / 3).tolist()
    [2]
    """

    id: ClassVar[str] = "prototypes"
    _constraints: ClassVar[Constraints] = {"n_clusters": POSITIVE_INTEGER.or_none()}

    n_clusters: int | None = None
    keep: Keep = "easy"
    random_state: RandomState = None

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        def distances(group: Group) -> FloatArray:
            return 1 - cosines(group.features, group.features.mean(axis=0))

        return self._for_each_cluster(samples, codes, distances, self.n_clusters, self.random_state)


class ZCore(FeatureSampler):
    """Keep samples that cover the space of features and repeat little of it (zcore).

    It needs no labels. Points are drawn in pairs of features; the sample nearest to one gains, and
    the samples nearest to that one lose; see `proxysample.coverage.density.zcore_scores` (B. A.
    Griffin, J. Marks and J. J. Corso, Zero-shot coreset selection, 2024).

    Parameters
    ----------
    n_draws : int, optional
        Points; by default ten a sample, and a million at most.
    n_neighbours : int
        Samples that count as redundant beside one that covers a point.
    keep : str or KeepingRule
        ``"hard"`` keeps high scores, which cover much; or another rule, by its id or with
        parameters.
    per_class : bool, optional
        Whether classes keep their shares, of the same scores; None does where there are labels.
    random_state : int, Generator or None
        Seed of the draws.

    Examples
    --------
    >>> from proxysample import ZCore
    >>> features = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 9.0], [9.0, 0.0]])
    >>> ZCore(features=features, random_state=0).select(features, r=0.75).tolist()
    [0, 2, 3]
    """

    id: ClassVar[str] = "zcore"
    natural: ClassVar[Natural] = "high"
    _constraints: ClassVar[Constraints] = {
        "n_draws": POSITIVE_INTEGER.or_none(),
        "n_neighbours": POSITIVE_INTEGER,
    }

    n_draws: int | None = None
    n_neighbours: int = N_REDUNDANT
    keep: Keep = "hard"
    per_class: bool | None = False
    random_state: RandomState = None

    @property
    def algorithm_version(self) -> int:
        """2 since of rows that are equally far the first are redundant."""
        return 2

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:  # noqa: ARG002
        with Workers() as workers:
            rows = self._rows(samples, workers)
            return zcore_scores(
                rows.to_array(workers),
                n_draws=self.n_draws,
                n_neighbours=self.n_neighbours,
                random_state=self.random_state,
                workers=workers,
            )
