"""How alike two rankings of the same configurations are, and how sure one can be of that.

All functions are pure. A score is better the higher it is. Resamples are rows of counts: how
often each configuration was drawn. So one set of resamples serves every row of a table, and the
differences between rows are paired.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from proxysample.checks import POSITIVE_INTEGER, as_array
from proxysample.errors import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LEAST = 3
"""Configurations that there have to be for a rank correlation to say anything."""


def kendall_tau(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Give Kendall's tau-b: pairs in the same order less pairs in the other, ties corrected for.

    Parameters
    ----------
    x, y : array-like of shape (n,)
        Scores of the same configurations.

    Returns
    -------
    float
        From -1 to 1; NaN where all values of one are equal.

    Notes
    -----
    Kendall (1945), "The treatment of ties in ranking problems".

    Examples
    --------
    >>> kendall_tau([1, 2, 3, 4], [1, 3, 2, 4])
    0.6666666666666666
    """
    x, y = _pair(x, y)
    return float(resampled_tau(x, y, np.ones((1, len(x)), np.int64))[0])


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Give Spearman's rho: the correlation of the ranks, ties at their mean rank.

    Parameters
    ----------
    x, y : array-like of shape (n,)
        Scores of the same configurations.

    Returns
    -------
    float
        From -1 to 1; NaN where all values of one are equal.

    Examples
    --------
    >>> spearman([1, 2, 3, 4], [1, 3, 2, 4])
    0.8
    """
    x, y = _pair(x, y)
    return float(resampled_spearman(x, y, np.ones((1, len(x)), np.int64))[0])


def resampled_tau(x: FloatArray, y: FloatArray, counts: IntArray) -> FloatArray:
    """Give `kendall_tau` of every resample.

    Parameters
    ----------
    x, y : ndarray of shape (n,)
    counts : ndarray of shape (n_resamples, n)
        How often each configuration is in a resample.

    Returns
    -------
    ndarray of shape (n_resamples,)
        NaN where a resample leaves nothing to order.
    """
    of_x, of_y = (np.sign(one[:, None] - one[None, :]) for one in (x, y))
    # Sums of small integers, and so exact.
    agreeing = _pairs(of_x * of_y, counts)
    ordered = _pairs(np.abs(of_x), counts) * _pairs(np.abs(of_y), counts)
    return _divided(agreeing, np.sqrt(ordered))


def _pairs(table: FloatArray, counts: IntArray) -> FloatArray:
    """Sum a table of pairs over the members of each resample."""
    drawn = counts.astype(np.float64)
    total: FloatArray = np.einsum("bi,bi->b", drawn @ table, drawn)
    return total


def resampled_spearman(x: FloatArray, y: FloatArray, counts: IntArray) -> FloatArray:
    """Give `spearman` of every resample; see `resampled_tau`."""
    drawn = counts.astype(np.float64)
    n_drawn = drawn.sum(axis=1, keepdims=True)
    centred = []
    for one in (x, y):
        below = drawn @ (one[:, None] < one[None, :]).astype(np.float64)
        equal = drawn @ (one[:, None] == one[None, :]).astype(np.float64)
        # The mean rank of all is (n + 1) / 2, with ties and without.
        centred.append(below + (equal + 1) / 2 - (n_drawn + 1) / 2)
    of_x, of_y = centred
    product = (drawn * of_x * of_y).sum(axis=1)
    size = (drawn * of_x**2).sum(axis=1) * (drawn * of_y**2).sum(axis=1)
    return _divided(product, np.sqrt(size))


def _divided(over: FloatArray, under: FloatArray) -> FloatArray:
    found = np.full(len(over), np.nan)
    np.divide(over, under, out=found, where=under > 0)
    return found


def resamples(n: int, n_resamples: int, seed: int) -> IntArray:
    """Draw resamples of n configurations with replacement, each as large as the whole.

    Returns
    -------
    ndarray of shape (n_resamples, n), int64
        How often each configuration was drawn.

    Examples
    --------
    >>> resamples(4, 2, seed=0).sum(axis=1).tolist()
    [4, 4]
    """
    counts: IntArray = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), n_resamples)
    return counts


@dataclass(frozen=True)
class Interval:
    """What a value may be: the middle share of its resamples.

    Attributes
    ----------
    low, high : float
    """

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether all of it lies on one side of 0."""
        return self.low > 0 or self.high < 0


def interval(values: FloatArray) -> Interval | None:
    """Give the 95 % percentile interval of resampled values.

    Parameters
    ----------
    values : ndarray of shape (n_resamples,)
        Those that are NaN are left out.

    Returns
    -------
    Interval or None
        None where fewer than half of the resamples have a value.

    Examples
    --------
    >>> interval(np.arange(201.0))
    Interval(low=5.0, high=195.0)
    """
    known = values[np.isfinite(values)]
    if 2 * len(known) < len(values) or not len(known):
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(float(low), float(high))


def corrected(value: float, found: Interval, n_compared: int) -> Interval:
    """Widen a 95 % interval to the level that Bonferroni's correction asks for.

    Each side is stretched about the value as a normal distribution's would be. A percentile that
    far out would rest on the outermost few resamples, whose seed could then change a verdict.

    Parameters
    ----------
    value : float
        What the interval is of.
    found : Interval
        Of 95 %.
    n_compared : int
        How many intervals are to hold their values together.

    Returns
    -------
    Interval

    Examples
    --------
    >>> wide = corrected(0.2, Interval(0.06, 0.34), n_compared=30)
    >>> f"{wide.low:.2f} to {wide.high:.2f}"
    '-0.02 to 0.42'
    """
    normal = NormalDist()
    wider = normal.inv_cdf(1 - 0.025 / n_compared) / normal.inv_cdf(0.975)
    low, high = (value + wider * (end - value) for end in (found.low, found.high))
    # The middle of the resamples can lie beside the value.
    return Interval(min(low, found.low), max(high, found.high))


def top_k_overlap(x: npt.ArrayLike, y: npt.ArrayLike, k: int) -> float:
    """Give the share of the best k by one score that are among the best k by the other.

    Parameters
    ----------
    x, y : array-like of shape (n,)
    k : int
        From 1 to n.

    Returns
    -------
    float
        From 0 to 1. Where the k-th best score is tied, each of the tied counts by its chance
        to be among the best k, were ties broken at random.

    Examples
    --------
    >>> top_k_overlap([4, 3, 2, 1], [4, 1, 3, 2], k=2)
    0.5
    """
    x, y = _pair(x, y)
    POSITIVE_INTEGER.check("k", k)
    if not 1 <= k <= len(x):
        raise InputError(f"k must be from 1 to {len(x)}, not {k}")
    return float((_chance_of_top(x, k) * _chance_of_top(y, k)).sum() / k)


def _chance_of_top(x: FloatArray, k: int) -> FloatArray:
    threshold = np.sort(x)[-k]
    above, tied = x > threshold, x == threshold
    chance: FloatArray = above + tied * (k - above.sum()) / tied.sum()
    return chance


def regret(scores: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Give what one loses by picking the configuration that is best by `scores`.

    Parameters
    ----------
    scores : array-like of shape (n,)
        What one picks by. Of several that are best, each is as likely to be picked.
    reference : array-like of shape (n,)
        What the configurations are really worth.

    Returns
    -------
    float
        The best of `reference` less what the pick is worth, at least 0.

    Examples
    --------
    >>> regret([1, 5, 3], [70.0, 68.5, 60.0])
    1.5
    """
    scores, reference = _pair(scores, reference)
    picked = reference[scores == scores.max()]
    return float(reference.max() - picked.mean())


def largest_k(n: int) -> int:
    """Give the usual k of `top_k_overlap`: a tenth of the configurations, at least one.

    Examples
    --------
    >>> largest_k(40), largest_k(6)
    (4, 1)
    """
    return max(1, math.floor(n / 10))


def _pair(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    one, other = as_array("scores", x, np.float64), as_array("scores", y, np.float64)
    if one.ndim != 1 or one.shape != other.shape or not len(one):
        raise InputError(
            f"scores have the shapes {one.shape} and {other.shape}; needed: twice (n,), n at "
            "least 1"
        )
    for scores in (one, other):
        if not np.isfinite(scores).all():
            raise InputError(f"score {int(np.argmin(np.isfinite(scores)))} is not a finite number")
    return one, other
