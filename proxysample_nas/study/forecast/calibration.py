"""Estimate how long a study's experiments take, by timing a little of each kind."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from scipy.optimize import nnls

from proxysample_nas.study.experiments.base import Counts, Part, StudyExperiment, Trial
from proxysample_nas.study.experiments.data import StudyContext
from proxysample_nas.study.forecast.durations import NO_TIME, Seconds

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
    it has taken longer than there is time for: then it is all there is. `seconds` is about how
    long all of this may take, where the shortest run leaves a choice.
    """
    start = time.perf_counter()
    if trial.probe is not None and seconds > 0:
        probed = trial.run(trial.probe)
        if probed[1] > TOO_LONG * seconds * trial.probe_share:
            return Rates.of_one(*probed)
    first = trial.run(trial.shortest)
    if 0 < seconds < first[1]:
        return Rates.of_one(*first)
    timed = [trial.run(trial.shortest)]
    longer = [part for part in trial.parts if part.most >= 2]
    for index, part in enumerate(longer):
        left = seconds - (time.perf_counter() - start)
        timed += _time_part(trial, part, timed[0][1], left / (len(longer) - index))
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
        _import_what_optimizers_import()

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


def _import_what_optimizers_import() -> None:
    """Take a step of nothing: a process's first imports much of PyTorch, which is no one's cost."""
    parameter = torch.zeros(1, requires_grad=True)
    parameter.grad = torch.zeros(1)
    torch.optim.SGD([parameter]).step()
