"""What a study's few searches can tell: intervals over seeds and draws, power, and luck."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from proxysample.comparison.statistics import CONFIDENCE, Interval, t_interval
from proxysample.keeping import FloatArray

Pair = tuple[int, int | None]
"""A search seed, and the seed of the proxy's draw; None where nothing was drawn."""

EFFECT = 5.0
"""The difference, in percentage points, that a study should be able to see."""
POWER = 0.8
MOST_SEARCHES = 100_000
N_STUDIES = 20_000
"""So many studies are drawn to tell what luck does."""


def differences(ours: Mapping[Pair, float], theirs: Mapping[Pair, float]) -> dict[Pair, float]:
    """Subtract another row, search seed by search seed, and draw by draw where both drew.

    Parameters
    ----------
    ours, theirs : mapping
        Accuracies. Where one alone has several draws, the other is the same for all of them.

    Examples
    --------
    >>> differences({(0, 1): 5.0, (0, 2): 6.0, (1, 1): 9.0}, {(0, None): 4.0})
    {(0, 1): 1.0, (0, 2): 2.0}
    """
    found: dict[Pair, float] = {}
    for (seed, draw), value in ours.items():
        for (other_seed, other_draw), other in theirs.items():
            is_paired = draw is None or other_draw is None or draw == other_draw
            if seed == other_seed and is_paired:
                found[seed, other_draw if draw is None else draw] = value - other
    return found


def crossed_interval(values: Mapping[Pair, float], *, resolution: float = 0.0) -> Interval | None:
    """Give the interval of a mean over search seeds and draws, both of which vary by chance.

    With one draw it is Student's over the seeds. With several, each searched from every seed, it
    is that of a two-way analysis of variance with random effects, so that what a draw does to all
    its searches is in the interval (Satterthwaite's degrees of freedom).

    Parameters
    ----------
    values : mapping
        Such as what `differences` gives. Seeds that lack a draw are left out.
    resolution : float
        See `proxysample.comparison.statistics.t_interval`.

    Returns
    -------
    Interval or None
        None without values; without half a length for a single search seed, whose chance the
        draws say nothing of.

    Examples
    --------
    >>> crossed_interval({(0, None): 1.0, (1, None): 3.0}).mean
    2.0
    >>> crossed_interval({(0, 1): 1.0, (0, 2): 3.0}).half is None
    True
    """
    draws = sorted({draw for _, draw in values}, key=repr)
    seeds = sorted({s for s, _ in values if all((s, draw) in values for draw in draws)})
    if not seeds:
        return None
    table = np.array([[values[seed, draw] for draw in draws] for seed in seeds])
    if len(draws) == 1:
        return t_interval(table[:, 0].tolist(), resolution=resolution)
    mean, n = float(table.mean()), table.size
    if len(seeds) == 1:
        return Interval(mean, None, None, n)
    error, freedom = _error_of_the_mean(table)
    error = max(error, resolution / math.sqrt(6 * n))
    if not error:
        return Interval(mean, 0.0, 0.0 if mean else 1.0, n)
    from scipy import stats

    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return Interval(mean, half, float(2 * stats.t.sf(abs(mean) / error, freedom)), n)


def _error_of_the_mean(table: FloatArray) -> tuple[float, float]:
    """Give the standard error over seeds and draws, and its degrees of freedom."""
    n_seeds, n_draws = table.shape
    by_seed, by_draw = table.mean(axis=1), table.mean(axis=0)
    rest = table - by_seed[:, None] - by_draw[None, :] + table.mean()
    squares = (
        n_draws * float(by_seed.var(ddof=1)),
        n_seeds * float(by_draw.var(ddof=1)),
        float((rest**2).sum()) / ((n_seeds - 1) * (n_draws - 1)),
    )
    freedoms = (n_seeds - 1, n_draws - 1, (n_seeds - 1) * (n_draws - 1))
    both = squares[0] + squares[1] - squares[2]
    larger = 0 if squares[0] >= squares[1] else 1
    if both <= squares[larger]:
        # Of two chances the smaller is not seen: the larger alone is counted.
        return math.sqrt(squares[larger] / table.size), freedoms[larger]
    spread = sum(square**2 / freedom for square, freedom in zip(squares, freedoms, strict=True))
    freedom = max(both**2 / spread, min(freedoms[:2]))
    return math.sqrt(both / table.size), freedom


def pooled_deviation(groups: Iterable[Sequence[float]]) -> float | None:
    """Give the standard deviation within groups; None where none has two values.

    Examples
    --------
    >>> pooled_deviation([[1.0, 3.0], [10.0, 12.0], [7.0]]) == 2**0.5
    True
    """
    several = [np.asarray(group) for group in groups if len(group) > 1]
    if not several:
        return None
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in several)
    return math.sqrt(squares / sum(len(group) - 1 for group in several))


def power_of(n: int, deviation: float, effect: float = EFFECT) -> float:
    """Give the chance that a paired t-test at 5 % sees a difference.

    Parameters
    ----------
    n : int
        Pairs; at least 2.
    deviation : float
        Of the differences; above 0.
    effect : float
        The true difference.

    Examples
    --------
    >>> round(power_of(3, 10.0), 2)
    0.08
    """
    from scipy import stats

    bound = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))
    shift = effect / deviation * math.sqrt(n)
    if shift > 30:
        return 1.0
    found = stats.nct.sf(bound, n - 1, shift) + stats.nct.cdf(-bound, n - 1, shift)
    return float(found)


def searches_needed(deviation: float, effect: float = EFFECT, power: float = POWER) -> int | None:
    """Say how many searches a row needs for a difference to be seen.

    Parameters
    ----------
    deviation, effect : float
        See `power_of`.
    power : float
        With what chance.

    Returns
    -------
    int or None
        None for more than `MOST_SEARCHES`.

    Examples
    --------
    >>> searches_needed(10.0), searches_needed(5.0)
    (34, 10)
    """
    if deviation <= 0:
        return 2
    low, high = 2, 2
    while power_of(high, deviation, effect) < power:
        low, high = high, 2 * high
        if high > MOST_SEARCHES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if power_of(middle, deviation, effect) < power:
            low = middle
        else:
            high = middle
    return low if power_of(low, deviation, effect) >= power else high


@dataclass(frozen=True)
class Luck:
    """What the best of several rows comes to if no row is better than another.

    Attributes
    ----------
    chance : float
        Of the best row lying above the baseline.
    median_lead : float
        By how much it does, in percentage points.
    """

    chance: float
    median_lead: float


def luck_of(
    n_searches: Sequence[int],
    n_of_full: int,
    draw: Callable[[np.random.Generator, tuple[int, ...]], FloatArray],
) -> Luck:
    """Draw studies in which every search ends as well as any other.

    Parameters
    ----------
    n_searches : sequence of int
        Of each row beside the baseline.
    n_of_full : int
        Searches of the baseline.
    draw : callable
        Gives accuracies of so many searches.

    Examples
    --------
    >>> luck = luck_of([3] * 18, 3, lambda generator, shape: generator.normal(60, 10, shape))
    >>> round(luck.chance, 2), round(luck.median_lead)
    (0.95, 10)
    """
    generator = np.random.default_rng(0)
    n_studies = max(200, min(N_STUDIES, 20_000_000 // (n_of_full + sum(n_searches))))
    full, *rows = (draw(generator, (n_studies, n)).mean(axis=1) for n in (n_of_full, *n_searches))
    leads = np.max(rows, axis=0) - full
    return Luck(float((leads > 0).mean()), float(np.median(leads)))
