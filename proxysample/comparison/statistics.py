"""Statistics of differences that are paired by seed: intervals, and a correction for many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
"""Of all intervals."""


@dataclass(frozen=True)
class Interval:
    """The mean of a few values, such as differences, and what it may be.

    Attributes
    ----------
    mean : float
    half : float or None
        Half the length of the interval about the mean. None for a single value: it says nothing
        of how much it varies.
    p_value : float or None
        Of the two-sided test that the true mean is 0; None where there is no interval.
    n : int
        How many values.
    """

    mean: float
    half: float | None
    p_value: float | None
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval, by itself, says that the mean is not 0."""
        return self.half is not None and abs(self.mean) > self.half


def t_interval(
    values: Sequence[float], confidence: float = CONFIDENCE, *, resolution: float = 0.0
) -> Interval:
    """Give Student's interval of a mean.

    Parameters
    ----------
    values : sequence of float
        At least one; independent of one another. Differences that are paired by seed are.
    confidence : float
        How often such an interval holds the true mean.
    resolution : float
        Where the values are differences of rounded numbers: what these are multiples of, such as
        the percent that one test sample makes. Values that happen to be alike then do not pass
        for certain; they vary by what the rounding hides at least.

    Returns
    -------
    Interval

    Examples
    --------
    >>> found = t_interval([1.0, 2.0, 3.0])
    >>> found.mean, round(found.half, 3), round(found.p_value, 3), found.excludes_zero
    (2.0, 2.484, 0.074, False)
    >>> t_interval([1.0]).half is None
    True
    """
    from scipy import stats

    numbers = np.asarray(values, dtype=np.float64)
    n = len(numbers)
    if not n:
        raise ValueError("an interval needs at least one value")
    mean = float(numbers.mean())
    if n == 1:
        return Interval(mean, None, None, 1)
    # Of each of two rounded numbers the variance is a twelfth of the square of the step.
    spread = max(float(numbers.std(ddof=1)), resolution / math.sqrt(6))
    error = spread / math.sqrt(n)
    if not error:
        # All values are the same: nothing is left to chance.
        return Interval(mean, 0.0, 0.0 if mean else 1.0, n)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    p_value = float(2 * stats.t.sf(abs(mean) / error, n - 1))
    return Interval(mean, half, p_value, n)


def paired_interval(
    ours: Mapping[int, float],
    theirs: Mapping[int, float],
    confidence: float = CONFIDENCE,
    *,
    resolution: float = 0.0,
) -> Interval | None:
    """Give the interval of the differences between two methods, seed by seed.

    Parameters
    ----------
    ours, theirs : mapping of int to float
        A value for each seed; seeds that only one has are left out.
    confidence, resolution : float
        See `t_interval`.

    Returns
    -------
    Interval or None
        Of ours less theirs; None where no seed is shared.

    Examples
    --------
    >>> paired_interval({0: 5.0, 1: 7.0}, {0: 4.0, 1: 6.0, 2: 9.0})
    Interval(mean=1.0, half=0.0, p_value=0.0, n=2)
    """
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return None
    return t_interval(
        [ours[seed] - theirs[seed] for seed in shared], confidence, resolution=resolution
    )


def holm(p_values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Correct p-values for having asked several questions (Holm 1979).

    The chance of finding any difference where there is none stays below the level at which the
    corrected values are read, however the questions depend on one another.

    Parameters
    ----------
    p_values : sequence of float

    Returns
    -------
    ndarray of float64
        In the same order, each at least as large as what was given and at most 1.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    scaled = given[order] * np.arange(len(given), 0, -1)
    corrected = np.empty_like(given)
    # A larger p-value is never less certain to be chance than a smaller one.
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected


def holm_among(
    intervals: Mapping[str, Interval | None],
) -> dict[str, float | None]:
    """Correct the p-values of several methods' intervals, such as all at one ratio.

    Parameters
    ----------
    intervals : mapping of str to Interval or None
        One a method; those without a p-value count for nothing.

    Returns
    -------
    dict
        The corrected p-value of each method; None where there is none.

    Examples
    --------
    >>> tested = Interval(1.0, 0.5, 0.01, 3)
    >>> holm_among({"a": tested, "b": t_interval([1.0]), "c": None})
    {'a': 0.01, 'b': None, 'c': None}
    """
    tested = {
        name: one.p_value
        for name, one in intervals.items()
        if one is not None and one.p_value is not None
    }
    corrected = dict(zip(tested, holm(list(tested.values())).tolist(), strict=True))
    return {name: corrected.get(name) for name in intervals}


def accuracies_by_class(
    predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], n_classes: int
) -> list[float | None]:
    """Give the part of each class that was predicted right, in percent.

    Parameters
    ----------
    predicted, labels : ndarray of shape (n,), int64
        Class codes.
    n_classes : int

    Returns
    -------
    list of float or None
        By class; None for a class without a sample.

    Examples
    --------
    >>> accuracies_by_class(np.array([0, 1, 1]), np.array([0, 0, 1]), 3)
    [50.0, 100.0, None]
    """
    sizes = np.bincount(labels, minlength=n_classes)
    right = np.bincount(labels[predicted == labels], minlength=n_classes)
    return [
        100 * int(n_right) / int(size) if size else None
        for n_right, size in zip(right, sizes, strict=True)
    ]
