"""How long experiments take, from those of the same kind that are done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from proxysample.keeping import FloatArray
from proxysample.wording import format_duration
from proxysample_nas.study.experiments.base import Cost, Progress


@dataclass(frozen=True)
class Seconds:
    """A length of time, and how far it may be off.

    Attributes
    ----------
    low, likely, high : float
        In seconds; equal where the spread is not known.

    Examples
    --------
    >>> Seconds(1, 2, 4) + Seconds(1, 1, 1)
    Seconds(low=2, likely=3, high=5)
    >>> str(Seconds(60, 90, 300)), str(Seconds(90, 90, 90))
    ('90 s (60 s to 5.0 min)', '90 s')
    """

    low: float
    likely: float
    high: float

    def __str__(self) -> str:
        low, likely, high = map(format_duration, (self.low, self.likely, self.high))
        return likely if low == high else f"{likely} ({low} to {high})"

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def times(self, factor: float) -> Seconds:
        """Multiply by a factor."""
        return Seconds(self.low * factor, self.likely * factor, self.high * factor)

    def less(self, elapsed: float) -> Seconds:
        """Take off what has gone by; nothing falls below 0."""
        return Seconds(
            max(0.0, self.low - elapsed),
            max(0.0, self.likely - elapsed),
            max(0.0, self.high - elapsed),
        )

    def or_longer(self, other: Seconds) -> Seconds:
        """Take the longer of two, bound by bound."""
        return Seconds(
            max(self.low, other.low),
            max(self.likely, other.likely),
            max(self.high, other.high),
        )


NO_TIME = Seconds(0.0, 0.0, 0.0)


def share(work: Iterable[tuple[Seconds, float]], n_workers: int) -> Seconds:
    """Estimate how long workers take who share experiments, given how long each is and its count.

    No number of workers shortens this below the longest experiment.

    Examples
    --------
    >>> share([(Seconds(1, 2, 3), 8), (Seconds(5, 5, 5), 1)], n_workers=4)
    Seconds(low=5, likely=5.25, high=7.25)
    """
    total = longest = NO_TIME
    for each, count in work:
        total += each.times(count)
        longest = longest.or_longer(each)
    return total.times(1 / n_workers).or_longer(longest)


class Durations:
    """Estimates seconds from those of finished experiments.

    Trainings at the same width, and scoring passes of the same sampler, take as long as those
    that are done did on the mean. A search by the same searcher takes a time that is linear in
    the samples kept, from two sizes on; from one size it is taken as proportional, or as
    constant where the searcher makes the same number of steps on any data. The range spans the
    finished ones that took shortest and longest, against what they should have taken.
    """

    def __init__(self, progress: Progress) -> None:
        self._measured: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
        # Kinds that share a name share their results.
        kinds = {kind.kind: kind for kind in progress.kinds if kind.takes_time}
        for name, kind in kinds.items():
            for record in progress.records(name).values():
                result = record.result or {}
                cost = kind.cost_of(record.specification, kind.samples_of(result))
                measured = cost.n_samples, float(result["seconds"])
                self._measured[cost.compared].append(measured)

    def of(self, cost: Cost) -> Seconds | None:
        """Estimate how long an experiment takes; None where none of the kind is done."""
        measured = self._measured.get(cost.compared)
        if not measured:
            return None
        sizes, seconds = (np.array(column, dtype=float) for column in zip(*measured, strict=True))
        intercept, slope = _line(cost, sizes, seconds)
        ratios = seconds / np.maximum(intercept + slope * sizes, 1e-9)
        likely = max(0.0, intercept + slope * cost.n_samples)
        return Seconds(
            likely * min(1.0, float(ratios.min())), likely, likely * max(1.0, float(ratios.max()))
        )


def _line(cost: Cost, sizes: FloatArray, seconds: FloatArray) -> tuple[float, float]:
    """Give the seconds at no samples, and the seconds for each."""
    if not cost.grows:
        return float(seconds.mean()), 0.0
    if len(set(sizes.tolist())) < 2:
        return 0.0, float(seconds.mean() / sizes[0])
    slope, intercept = np.polyfit(sizes, seconds, 1)
    return float(intercept), float(slope)
