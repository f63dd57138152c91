"""From the seconds of short runs to the seconds of long ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from scipy.optimize import nnls

Counts = dict[str, float]
"""How often each part of an experiment is done, by the part's name."""

ONCE = "once"
"""The part that every run has once, such as setting up."""

GROWTH = 4
"""By how much a run that tells too little is made longer."""

HARDLY_LONGER = 1.5
"""A run below so many times the shortest one tells next to nothing: the next grows twice over."""

STANDS_OUT = 5
"""How many times as long as the shortest run the longest one of each part should be."""

T = TypeVar("T")


@dataclass(frozen=True)
class Rates:
    """Seconds for each part of an experiment.

    Attributes
    ----------
    seconds : dict
        For one of each part.

    Examples
    --------
    >>> timed = [({"step": 1.0}, 5.0), ({"step": 11.0}, 7.0)]
    >>> rates = Rates.fit(timed)
    >>> round(rates.foretell({"step": 101.0}), 6)
    25.0
    """

    seconds: dict[str, float]

    @classmethod
    def fit(cls, timed: Sequence[tuple[Counts, float]]) -> Rates:
        """Find the rates by least squares of relative errors; no part takes less than no time.

        Parameters
        ----------
        timed : sequence of (Counts, float)
            What each run did, and its seconds. They have to differ in every part.

        Returns
        -------
        Rates
        """
        parts = [*dict.fromkeys(part for counts, _ in timed for part in counts), ONCE]
        table = np.array(
            [[(counts | {ONCE: 1.0}).get(part, 0.0) for part in parts] for counts, _ in timed]
        )
        # What disturbs a run does so in proportion, and the counts differ by orders of magnitude.
        relative = table / np.array([[max(seconds, 1e-9)] for _, seconds in timed])
        scale = np.maximum(relative.max(axis=0), 1e-12)
        found, _ = nnls(relative / scale, np.ones(len(timed)))
        return cls(dict(zip(parts, (found / scale).tolist(), strict=True)))

    @classmethod
    def of_one(cls, counts: Counts, seconds: float) -> Rates:
        """Take every part's unit to cost the same, where there is time for a single run.

        Parameters
        ----------
        counts : Counts
            What the run did.
        seconds : float
            How long it took.

        Returns
        -------
        Rates

        Examples
        --------
        >>> Rates.of_one({"train": 30.0, "judge": 10.0}, 8.0).seconds
        {'train': 0.2, 'judge': 0.2}
        """
        each = seconds / max(sum(counts.values()), 1.0)
        return cls(dict.fromkeys(counts, each))

    def foretell(self, counts: Counts) -> float:
        """Give the seconds of a run."""
        return sum(
            self.seconds.get(part, 0.0) * count for part, count in (counts | {ONCE: 1.0}).items()
        )


@dataclass(frozen=True)
class Part(Generic[T]):
    """A part of an experiment that is timed by doing more of it.

    Attributes
    ----------
    enlarge : callable
        Makes the shortest run longer: so many times as much of this part.
    most : int
        No more than the real experiment does.
    """

    enlarge: Callable[[T, int], T]
    most: int


def time_parts(
    shortest: T,
    parts: Sequence[Part[T]],
    run: Callable[[T], tuple[Counts, float]],
    seconds: float,
) -> Rates:
    """Time the shortest run, and one with more of each part.

    The shortest is run twice, and the first time, which warms caches up, does not count; unless
    it has taken longer than there is time for: then it is all there is.

    Parameters
    ----------
    shortest : object
        What `run` takes.
    parts : sequence of Part
    run : callable
        Does it; returns what it did, and its seconds.
    seconds : float
        About how long all of this may take, where the shortest run leaves a choice.

    Returns
    -------
    Rates
    """
    start = time.perf_counter()
    first = run(shortest)
    if 0 < seconds < first[1]:
        return Rates.of_one(*first)
    timed = [run(shortest)]
    longer = [part for part in parts if part.most >= 2]
    for index, part in enumerate(longer):
        left = seconds - (time.perf_counter() - start)
        timed += _time_part(shortest, part, run, timed[0][1], left / (len(longer) - index))
    return Rates.fit(timed)


def _time_part(
    shortest: T,
    part: Part[T],
    run: Callable[[T], tuple[Counts, float]],
    base: float,
    seconds: float,
) -> list[tuple[Counts, float]]:
    """Do more and more of a part, until it stands out or its time is up."""
    start = time.perf_counter()
    timed: list[tuple[Counts, float]] = []
    factor = 2
    while True:
        timed.append(run(part.enlarge(shortest, factor)))
        latest = timed[-1][1]
        growth = GROWTH if latest > HARDLY_LONGER * base else GROWTH**2
        # What the shortest run takes for setting up does not grow.
        next_one = base + growth * max(latest - base, 0.0)
        left = seconds - (time.perf_counter() - start)
        tells_enough = latest > STANDS_OUT * base and latest > seconds / 8
        if tells_enough or factor == part.most or left < next_one:
            return timed
        factor = min(part.most, growth * factor)
