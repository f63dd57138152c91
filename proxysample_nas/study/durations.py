"""How long experiments take: as long as those that are done, or by short ones timed here."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from proxysample.keeping import FloatArray
from proxysample.wording import format_duration
from proxysample_nas.study.experiments.base import (
    Cost,
    Counts,
    Part,
    Progress,
    StudyExperiment,
    Trial,
)
from proxysample_nas.study.experiments.data import StudyContext
from proxysample_nas.training.optimization import import_what_optimizers_import


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


ONCE = "once"
"""The part that every run has once, such as setting up."""

GROWTH = 4
"""By how much a run that tells too little is made longer."""

HARDLY_LONGER = 1.5
"""A run below so many times the shortest one tells next to nothing: the next grows twice over."""

STANDS_OUT = 5
"""How many times as long as the shortest run the longest one of each part should be."""

TOO_LONG = 4
"""A shortest run that would take so many times what there is time for is not made."""

MOST_KINDS = 20
"""Once as many would have had their time, every other is timed by its shortest run alone."""

HARDLY_ANY = 1e-3
"""Seconds that leave no choice but the shortest run."""

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
    >>> round(rates.estimate({"step": 101.0}), 6)
    25.0
    """

    seconds: dict[str, float]

    @classmethod
    def fit(cls, timed: Sequence[tuple[Counts, float]]) -> Rates:
        """Find the rates by least squares of relative errors; no part takes less than no time.

        The runs that were timed have to differ in every part.
        """
        from scipy.optimize import nnls

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

        Examples
        --------
        >>> Rates.of_one({"train": 30.0, "evaluate": 10.0}, 8.0).seconds
        {'train': 0.2, 'evaluate': 0.2}
        """
        each = seconds / max(sum(counts.values()), 1.0)
        return cls(dict.fromkeys(counts, each))

    def estimate(self, counts: Counts) -> float:
        """Give the seconds of a run."""
        return sum(
            self.seconds.get(part, 0.0) * count for part, count in (counts | {ONCE: 1.0}).items()
        )


def time_trial(trial: Trial[T], seconds: float) -> Rates:
    """Time the shortest run, and one with more of each part.

    The shortest is run twice, and the first time, which warms caches up, does not count; unless
    it has taken longer than there is time for: then it is all there is, or, where parts differ in
    what they cost, each of them is made longer as far as that costs little. `seconds` is about how
    long all of this may take, where the shortest run leaves a choice.
    """
    start = time.perf_counter()
    if trial.probe is not None and seconds > 0:
        probed = trial.run(trial.probe)
        if probed[1] > TOO_LONG * seconds * trial.probe_share:
            return Rates.of_one(*probed)
    first = trial.run(trial.shortest)
    is_over = 0 < seconds < first[1]
    if is_over and not (trial.parts_differ and first[1] <= TOO_LONG * seconds):
        return Rates.of_one(*first)
    timed = [trial.run(trial.shortest)]
    longer = [part for part in trial.parts if part.most >= 2]
    for index, part in enumerate(longer):
        left = (seconds - (time.perf_counter() - start)) / (len(longer) - index)
        base = timed[0][1]
        timed += _time_part(trial, part, base, HARDLY_LONGER * base if is_over else left)
    return Rates.fit(timed)


def _time_part(
    trial: Trial[T], part: Part[T], base: float, seconds: float
) -> list[tuple[Counts, float]]:
    """Do more and more of a part, until it stands out or its time is up."""
    start = time.perf_counter()
    timed: list[tuple[Counts, float]] = []
    factor = 2
    while True:
        timed.append(trial.run(part.enlarge(trial.shortest, factor)))
        latest = timed[-1][1]
        growth = GROWTH if latest > HARDLY_LONGER * base else GROWTH**2
        # What the shortest run takes for setting up does not grow.
        next_one = base + growth * max(latest - base, 0.0)
        left = seconds - (time.perf_counter() - start)
        tells_enough = latest > STANDS_OUT * base and latest > seconds / 8
        if tells_enough or factor == part.most or left < next_one:
            return timed
        factor = min(part.most, growth * factor)


class Calibration:
    """Times each kind of experiment of a study when it is first asked for.

    `seconds_each` is how long each is timed, where its shortest run leaves a choice; on a machine
    that is too busy for that, what comes last gets less.
    """

    def __init__(self, context: StudyContext, seconds_each: float) -> None:
        self.context = context
        self.seconds_each = seconds_each
        self._timed: dict[tuple[str, str], list[Rates]] = {}
        self._ends = time.perf_counter() + MOST_KINDS * seconds_each
        import_what_optimizers_import()

    def seconds_of(self, experiment: StudyExperiment) -> Seconds:
        """Estimate one experiment; where several trials differ, the range spans them.

        Raises
        ------
        ProxysampleError
            If it fails, or cannot be timed.
        """
        if not experiment.takes_time:
            return NO_TIME
        alike = experiment.cost.compared
        if alike not in self._timed:
            trials = experiment.trials(self.context)
            left = max(self._ends - time.perf_counter(), HARDLY_ANY)
            seconds = min(self.seconds_each, left) / max(len(trials), 1)
            self._timed[alike] = [time_trial(trial, seconds) for trial in trials]
        counts = experiment.counts(self.context)
        found = [rates.estimate(counts) for rates in self._timed[alike]]
        return Seconds(min(found), sum(found) / len(found), max(found))
