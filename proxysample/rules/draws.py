"""Weighted draws without replacement, as one order: by keys of a fixed noise.

A sample of weight w has the key ``log(w) + g``, with g of a Gumbel distribution. The m highest
keys are distributed as m draws one after the other without replacement, each in proportion to the
weights that are left: the law of ``Generator.choice(n, m, replace=False, p=w / w.sum())``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from proxysample.checks import NOT_NEGATIVE, POSITIVE, SEED, Constraint, is_number, one_of
from proxysample.errors import InputError
from proxysample.keeping import Columns, FloatArray, IntArray, KeepingRule, check_parameters

PROBABILITY = "probability"
"""The column of each sample's mean probability of its own label."""

Weighting = Literal["p1", "p2", "p3"]
WEIGHTINGS: tuple[Weighting, ...] = ("p1", "p2", "p3")


def gumbel_order(log_weights: FloatArray, seed: int) -> IntArray:
    """Order samples as draws without replacement would; those of no weight come last, in any order.

    Examples
    --------
    >>> with np.errstate(divide="ignore"):
    ...     gumbel_order(np.log([0.0, 1.0, 1000.0]), seed=0).tolist()
    [2, 1, 0]
    """
    noise = np.random.default_rng(seed).gumbel(size=len(log_weights))
    return np.lexsort([-noise, -(log_weights + noise)])


def log_weights_of(scores: FloatArray, rule: str) -> FloatArray:
    """Give the logarithms of scores that are weights; -inf for none."""
    negative = np.flatnonzero(scores < 0)
    if len(negative):
        raise InputError(
            f"the keeping rule {rule!r} draws by weights, and the score of sample {negative[0]} is "
            f"{scores[negative[0]]:g}; it is for scores of at least 0"
        )
    with np.errstate(divide="ignore"):
        logarithms: FloatArray = np.log(scores)
    return logarithms


@dataclass(frozen=True)
class WeightedDraw(KeepingRule):
    """Keep samples drawn without replacement, with weights that are the scores.

    Parameters
    ----------
    power : float
        Weights are scores to this power; 0 draws uniformly among scores that are not 0.
    seed : int
        Of the draws.

    Examples
    --------
    >>> WeightedDraw().order(np.array([1.0, 0.0, 3.0])).tolist()
    [2, 0, 1]
    """

    id = "weighted"
    power: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_parameters(self, {"power": NOT_NEGATIVE, "seed": SEED})

    def order(
        self,
        scores: FloatArray,
        codes: IntArray | None = None,  # noqa: ARG002
        n_kept: int | None = None,  # noqa: ARG002
        columns: Columns | None = None,  # noqa: ARG002
    ) -> IntArray:
        """Order samples by keys; scores of 0 come last."""
        logarithms = log_weights_of(scores, self.id)
        drawn = np.isfinite(logarithms)
        logarithms[drawn] *= self.power
        return gumbel_order(logarithms, self.seed)


@dataclass(frozen=True)
class HistogramDraw(KeepingRule):
    """Keep samples drawn by how many others have a score like theirs.

    Scores are entropies in the source (B. Na, J. Mok, H. Choe and S. Yoon, Accelerating neural
    architecture search via proxy data, IJCAI 2021), and the histogram is of their logarithms. Of a
    bin of h samples, each has the weight (max h - h + 1) / h by "p1", 1 / h by "p2" and 1 / h**2 by
    "p3": the rarer the score, the likelier it is kept.

    Parameters
    ----------
    weighting : {"p1", "p2", "p3"}
        The authors' P1, P2 and P3.
    width : float
        Of a bin, in powers of ten. The authors took 0.5 for CIFAR-10, 0.25 for CIFAR-100 and
        ImageNet and 0.2 for SVHN. Edges begin at the smallest logarithm rounded to an integer.
    floor : float
        Lower scores count as this one: 0 has no logarithm.
    seed : int
        Of the draws.

    Examples
    --------
    >>> HistogramDraw("p3").order(np.array([0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.0001])).tolist()
    [3, 6, 2, 1, 0, 4, 5]
    """

    id = "histogram"
    weighting: Weighting = "p1"
    width: float = 0.25
    floor: float = 1e-10
    seed: int = 0

    def __post_init__(self) -> None:
        check_parameters(
            self,
            {
                "weighting": one_of("weighting", WEIGHTINGS),
                "width": POSITIVE,
                "floor": POSITIVE,
                "seed": SEED,
            },
        )

    def order(
        self,
        scores: FloatArray,
        codes: IntArray | None = None,  # noqa: ARG002
        n_kept: int | None = None,  # noqa: ARG002
        columns: Columns | None = None,  # noqa: ARG002
    ) -> IntArray:
        """Order samples by keys."""
        log_weights_of(scores, self.id)
        values = np.log10(np.maximum(scores, self.floor))
        # Half-open: a value on an edge is in the bin above it.
        bins = np.floor((values - np.round(values.min())) / self.width)
        _, places, sizes = np.unique(bins, return_inverse=True, return_counts=True)
        return gumbel_order(np.log(self._weights(sizes.astype(np.float64)))[places], self.seed)

    def _weights(self, sizes: FloatArray) -> FloatArray:
        weights: FloatArray = 1 / sizes
        if self.weighting == "p1":
            weights = (sizes.max() - sizes + 1) / sizes
        return weights**2 if self.weighting == "p3" else weights


_TOTAL = Constraint(
    ("a number of at least 15",), lambda value: is_number(value) and value >= BetaDraw.SCALE
)


@dataclass(frozen=True)
class BetaDraw(KeepingRule):
    """Keep samples drawn by their score and by how easy samples should be at this ratio.

    Beta sampling (Y. Cho, B. Shin, C. Kang and C. Yun, Lightweight dataset pruning without full
    training via example difficulty and prediction uncertainty, ICML 2025). The weight of a sample
    is its score times the density of a beta distribution at its mean probability of the right
    class, the column "probability". The parameters of the density are ``b = 15 (1 - mu) (1 - (1 -
    r)**steepness)`` and ``a = total - b``, with mu the mean probability of the ten highest scores:
    the less is kept, the easier it is. Sets of two ratios do not nest; one noise serves all, so
    that they have most in common.

    Parameters
    ----------
    steepness : float
        The authors' c_D: 4 for CIFAR-100, 5.5 for CIFAR-10 and 11 for ImageNet.
    total : float
        What a and b come to: 15, or 16 as the authors' code has it.
    seed : int
        Of the draws.

    Examples
    --------
    >>> columns = {"probability": np.array([0.95, 0.9, 0.2, 0.1])}
    >>> BetaDraw().order(np.array([0.1, 0.2, 0.3, 0.4]), n_kept=1, columns=columns).tolist()
    [1, 2, 0, 3]
    """

    SCALE = 15
    N_HIGHEST = 10

    id = "beta"
    nested = False
    needs = (PROBABILITY,)
    steepness: float = 4.0
    total: float = 15.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_parameters(self, {"steepness": POSITIVE, "total": _TOTAL, "seed": SEED})

    def order(
        self,
        scores: FloatArray,
        codes: IntArray | None = None,  # noqa: ARG002
        n_kept: int | None = None,
        columns: Columns | None = None,
    ) -> IntArray:
        """Order samples by keys; scores of 0 come last."""
        confidence = (columns or {})[PROBABILITY]
        if confidence.min() < 0 or confidence.max() > 1:
            raise InputError(
                "the column 'probability' of the keeping rule 'beta' holds probabilities, and runs "
                f"from {confidence.min():g} to {confidence.max():g}"
            )
        weights = log_weights_of(scores, self.id)
        a, b = self.parameters(scores, confidence, (n_kept or 0) / len(scores))
        # The density is 0 or infinite at the ends.
        inside = np.clip(confidence, 1e-6, 1 - 1e-6)
        return gumbel_order(
            weights + (a - 1) * np.log(inside) + (b - 1) * np.log1p(-inside), self.seed
        )

    def parameters(
        self, scores: FloatArray, confidence: FloatArray, r: float
    ) -> tuple[float, float]:
        """Give a and b of the beta distribution at a ratio."""
        highest = np.argsort(-scores, kind="stable")[: self.N_HIGHEST]
        b = self.SCALE * (1 - confidence[highest].mean()) * (1 - (1 - r) ** self.steepness)
        return float(self.total - b), float(b)
