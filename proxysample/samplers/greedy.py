"""Samplers that pick one sample after the other, each for what those before it lack."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from proxysample.checks import DECAY_RATE, NOT_NEGATIVE, POSITIVE_INTEGER, Constraints, one_of
from proxysample.coverage.density import d2_order
from proxysample.coverage.greedy import facility_location_order, herding_order, k_center_order
from proxysample.coverage.groups import (
    METRICS,
    Group,
    Metric,
    cosines,
    members_of,
    nearest_neighbours,
    places,
    squared_lengths,
    to_unit_length,
)
from proxysample.data.reading import Samples
from proxysample.errors import InputError
from proxysample.keeping import FloatArray, IntArray
from proxysample.ranking import Ranking
from proxysample.sampler import clone_keeping
from proxysample.samplers.coverage import FeatureSampler
from proxysample.samplers.random import RandomState
from proxysample.samplers.recorded import ProbabilityAUM


class Herding(FeatureSampler):
    """Keep samples whose mean is that of all, or of their class (herding).

    The next sample is always the one that brings the mean of the kept ones nearest to the mean
    (M. Welling, Herding dynamical weights to learn, ICML 2009). The score of a sample is its place
    in this order.

    Parameters
    ----------
    metric : {"euclidean", "cosine"}
        Means of the features, or of their directions: rows of unit length.
    cut : float
        Share of each class, from 0 to below 1, that comes last: the samples that are hardest to
        learn, where wrong and odd labels are. The mean to be met is still that of all. How hard a
        sample is tells `aum-p` of `proxysample.dynamics.scores`, of a linear head that is trained
        on the features here.
    record : str, Path, DynamicsRecorder or Dynamics, optional
        With `cut`, a record of a training of one's own in place of the head's; see `AUM`.
    random_state : int, Generator or None
        Seed of the head's training.

    Attributes
    ----------
    record_ : DynamicsRecorder or Dynamics
        With `cut`, the record that was used.

    Notes
    -----
    Time grows with the square of a class's size, memory with the size. A full order of a single
    group of 50,000 is hours on 1,280 features and minutes on ``n_components=64``. Directions and
    the cut are this library's; docs/which-sampler.md tells what they are worth.

    Examples
    --------
    >>> from proxysample import Herding
    >>> features = np.array([[0.0], [1.0], [4.0], [5.0]])
    >>> sampler = Herding(features=features)
    >>> sampler.select(features, r=0.75).tolist(), sampler.scores_.tolist()
    ([0, 1, 2], [2.0, 0.0, 1.0, 3.0])
    """

    id: ClassVar[str] = "herding"
    _constraints: ClassVar[Constraints] = {
        "metric": one_of("metric", METRICS),
        "cut": DECAY_RATE,
    }

    metric: Metric = "euclidean"
    cut: float = 0.0
    record: Any = None
    random_state: RandomState = None

    def __sklearn_clone__(self) -> Self:
        return clone_keeping(self, "features", "record")

    @property
    def needs_labels(self) -> bool:  # type: ignore[override]  # follows parameters
        """Whether a head has to be trained to tell what is hard."""
        return bool(self.cut) and self.record is None

    def named_by(self) -> dict[str, Any]:
        """Give the parameters, with what is recorded in place of a file's name."""
        named = super().named_by()
        if self.record is not None:
            named["record"] = self._hardness_sampler().named_by()["record"]
        return named

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.cut:
            self._hardness_sampler().check_parameters()
        elif self.record is not None:
            raise InputError("a record tells what is hard, for cut=; give cut, such as cut=0.3")

    def _hardness_sampler(self) -> ProbabilityAUM:
        return ProbabilityAUM(
            record=self.record,
            features=None if self.record is not None else self.features,
            random_state=self.random_state,
            device=self.device,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            progress=self.progress,
            image_size=self.image_size,
            cache=self.cache,
        )

    def _cut(self, samples: Samples, codes: IntArray | None) -> list[npt.NDArray[np.bool_] | None]:
        """Tell for each group which of its rows come last."""
        members = members_of(codes, len(samples))
        if not self.cut:
            return [None] * len(members)
        sampler = self._hardness_sampler()
        hardness = sampler._score(samples, None)
        self.record_ = sampler.record_
        found: list[npt.NDArray[np.bool_] | None] = []
        for rows in members:
            is_last = np.zeros(len(rows), dtype=bool)
            # At least one is left to begin with.
            n_last = min(int(self.cut * len(rows)), len(rows) - 1)
            is_last[np.argsort(hardness[rows], kind="stable")[len(rows) - n_last :]] = True
            found.append(is_last)
        return found

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        last = self._cut(samples, codes)

        def order(group: Group) -> FloatArray:
            if self.metric == "cosine":
                to_unit_length(group.features)
            return places(herding_order(group, last=last[group.number]))

        return self._for_each_class(samples, codes, order)


Start = Literal["mean", "random"]
STARTS: tuple[Start, ...] = ("mean", "random")


class KCenter(FeatureSampler):
    """Keep samples such that every sample is near a kept one (k-center).

    The next sample is always the one farthest from all that are kept (O. Sener and S. Savarese,
    Active learning for convolutional neural networks: a core-set approach, ICLR 2018). Outliers
    come first, and repeated samples last. The score of a sample is its place in this order.

    Parameters
    ----------
    start : {"mean", "random"}
        First sample: the one nearest to the mean, or one that is drawn.
    random_state : int, Generator or None
        Seed of the draw.

    Examples
    --------
    >>> from proxysample import KCenter
    >>> features = np.array([[0.0], [1.0], [2.0], [9.0]])
    >>> KCenter(features=features).select(features, r=0.75).tolist()
    [0, 2, 3]
    """

    id: ClassVar[str] = "k-center"
    _constraints: ClassVar[Constraints] = {"start": one_of("start", STARTS)}

    start: Start = "mean"
    random_state: RandomState = None

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        starts: list[int | None] = [None] * len(members_of(codes, len(samples)))
        if self.start == "random":
            random = np.random.default_rng(self.random_state)
            starts = [int(random.integers(len(m))) for m in members_of(codes, len(samples))]

        def order(group: Group) -> FloatArray:
            return places(k_center_order(group, start=starts[group.number]))

        return self._for_each_class(samples, codes, order)


class FacilityLocation(FeatureSampler):
    """Keep samples that stand for all, or for their class (facility-location).

    The next sample is always the one that adds most to the sum, over all samples, of the
    similarity to the most similar kept one. The score of a sample is its place in this order.

    Parameters
    ----------
    metric : {"cosine", "euclidean"}
        Similarity of two samples: their cosine, zero where it is negative, or
        ``1 / (1 + distance)``.

    Notes
    -----
    Time grows with the square of a class's size, memory with the size: similarities of more than
    1,448 samples, and than four times the number of features, are computed when they are needed.

    Examples
    --------
    >>> from proxysample import FacilityLocation
    >>> features = np.array([[1.0, 0.0], [4.0, 3.0], [3.0, 4.0], [0.0, -1.0]])
    >>> FacilityLocation(features=features).select(features, r=0.5).tolist()
    [1, 3]
    """

    id: ClassVar[str] = "facility-location"
    _constraints: ClassVar[Constraints] = {"metric": one_of("metric", METRICS)}

    metric: Metric = "cosine"

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        def order(group: Group) -> FloatArray:
            return places(facility_location_order(group, metric=self.metric))

        return self._for_each_class(samples, codes, order)


class D2(FeatureSampler):
    """Keep samples that are hard and differ, by messages between neighbours (d2).

    Each sample is worth its difficulty and that of its nearest neighbours, the less the farther
    they are. The sample worth most comes next, and takes from its neighbours what it is worth, the
    less the farther they are. The score of a sample is its place in this order. The method is D2
    Pruning (A. Maharana, P. Yadav and M. Bansal, ICLR 2024).

    Parameters
    ----------
    difficulty : array-like of shape (n,) or Ranking, optional
        At least 0, high is hard: numbers of forgetting, or scores of another sampler. By default
        the distance to the mean of the class: Euclidean, or one less the cosine.
    n_neighbours : int
        Of each sample.
    gamma : float
        How fast the loss of neighbours fades with their distance.
    metric : {"cosine", "euclidean"}
        Distance of two samples: Euclidean, with the features at unit length for "cosine".

    Examples
    --------
    >>> from proxysample import D2
    >>> features = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> sampler = D2(features=features, difficulty=[3, 2, 1], n_neighbours=1)
    >>> sampler.select(features, r=2 / 3).tolist()
    [0, 2]
    """

    id: ClassVar[str] = "d2"
    _constraints: ClassVar[Constraints] = {
        "n_neighbours": POSITIVE_INTEGER,
        "gamma": NOT_NEGATIVE,
        "metric": one_of("metric", METRICS),
    }

    difficulty: Any = None
    n_neighbours: int = 10
    gamma: float = 1.0
    metric: Metric = "cosine"

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._given_difficulty()

    def _given_difficulty(self) -> FloatArray | None:
        if self.difficulty is None:
            return None
        given = self.difficulty
        try:
            values = np.asarray(given.scores if isinstance(given, Ranking) else given, np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"difficulty cannot be read as numbers: {error}") from error
        if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
            raise InputError(
                "difficulty must be finite numbers of at least 0, one a sample; subtract the "
                "smallest where there are negative ones"
            )
        return values

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        difficulty = self._given_difficulty()
        if difficulty is not None and len(difficulty) != len(samples):
            raise InputError(f"{len(difficulty)} values of difficulty for {len(samples)} samples")
        members = members_of(codes, len(samples))

        def order(group: Group) -> FloatArray:
            n_neighbours = min(self.n_neighbours, len(group) - 1)
            found = nearest_neighbours(group, n_neighbours, metric=self.metric)
            if difficulty is not None:
                hardness = difficulty[members[group.number]]
            elif self.metric == "cosine":
                hardness = 1 - cosines(group.features, group.features.mean(axis=0))
            else:
                hardness = np.sqrt(squared_lengths(group.features))
            return places(d2_order(hardness, *found, self.gamma))

        return self._for_each_class(samples, codes, order)
