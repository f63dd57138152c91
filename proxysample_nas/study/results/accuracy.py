"""How well a found cell did: trained from several seeds, or looked up."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from proxysample_nas.training.evaluation import TrainingRun


@dataclass(frozen=True)
class CellAccuracy:
    """Accuracy of one cell at one width, in percent.

    Attributes
    ----------
    accuracies : tuple of float
        One per training seed; a single one where it was looked up.
    runs : tuple of TrainingRun
        Those trainings; empty where it was looked up.

    Examples
    --------
    >>> CellAccuracy.looked_up(70.5).mean
    70.5
    """

    accuracies: tuple[float, ...]
    runs: tuple[TrainingRun, ...] = ()

    @classmethod
    def trained(cls, runs: Sequence[TrainingRun]) -> Self:
        """Summarise trainings of one cell from different seeds, at least one."""
        return cls(tuple(run.accuracy for run in runs), tuple(runs))

    @classmethod
    def looked_up(cls, accuracy: float) -> Self:
        """Take a published accuracy."""
        return cls((accuracy,))

    @property
    def is_looked_up(self) -> bool:
        """Whether nothing was trained."""
        return not self.runs

    @property
    def mean(self) -> float:
        """Mean over the training seeds, in percent."""
        return statistics.fmean(self.accuracies)

    @property
    def std(self) -> float | None:
        """Sample standard deviation over the training seeds; None for fewer than two."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def seconds(self) -> float:
        """Wall-clock time of all trainings."""
        return sum(run.seconds for run in self.runs)

    @property
    def n_parameters(self) -> int | None:
        """Of the cell's network; None where it was looked up."""
        return self.runs[0].n_parameters if self.runs else None
