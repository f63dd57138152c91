"""What judging a cell yields: one run per seed, and their summary."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from proxysample.errors import InputError
from proxysample.plain_values import (
    AMOUNT,
    COUNT,
    INTEGER,
    MAPPING,
    MEASURE,
    PERCENT,
    TEXT,
    list_of,
    require_values,
)
from proxysample_nas.space.cell import Cell

RUN = {
    "cell": TEXT,
    "seed": INTEGER,
    "accuracy": PERCENT,
    "split": TEXT,
    "train_losses": list_of(MEASURE),
    "train_accuracy": PERCENT,
    "n_parameters": COUNT,
    "n_train": COUNT,
    "n_test": COUNT,
    "seconds": AMOUNT,
    "device": TEXT,
}


@dataclass(frozen=True)
class TrainingRun:
    """One network trained from scratch from one seed.

    Attributes
    ----------
    cell : Cell
    seed : int
        Of the initial weights and the order of the batches.
    accuracy : float
        Percent of `split` that the network gets right after the last epoch.
    split : str
        Name of the samples the accuracy is of.
    train_losses : tuple of float
        Mean cross-entropy, in nats, of each epoch's batches while they were trained on.
    train_accuracy : float
        Percent of the augmented training images right during the last epoch.
    n_parameters : int
    n_train, n_test : int
        Number of samples trained on and judged on.
    seconds : float
        Wall-clock time of training and judging, without reading the data.
    device : str
    """

    cell: Cell
    seed: int
    accuracy: float
    split: str
    train_losses: tuple[float, ...]
    train_accuracy: float
    n_parameters: int
    n_train: int
    n_test: int
    seconds: float
    device: str

    def to_dict(self) -> dict[str, Any]:
        """Turn the run into plain JSON values.

        Returns
        -------
        dict
        """
        return asdict(self) | {"cell": str(self.cell), "train_losses": list(self.train_losses)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        values : dict

        Returns
        -------
        TrainingRun

        Raises
        ------
        InputError
            If a value is missing or of another type.
        """
        require_values(values, RUN, "a training's result")
        cell = Cell.from_string(values["cell"])
        losses = tuple(values["train_losses"])
        own = {name: values[name] for name in RUN}
        return cls(**(own | {"cell": cell, "train_losses": losses}))


@dataclass(frozen=True)
class Evaluation:
    """A cell judged from several seeds, as the paper's tables have it.

    Parameters
    ----------
    runs : sequence of TrainingRun
        At least one, all of the same cell and split.

    Raises
    ------
    InputError
        If there is no run, or they are of different cells or splits.

    Examples
    --------
    >>> def run(seed, accuracy):
    ...     cell = Cell.filled("skip_connect", n_nodes=5)
    ...     return TrainingRun(cell, seed, accuracy, "test", (2.0,), 40.0, 79156, 9, 3, 1.5, "cpu")
    >>> evaluation = Evaluation([run(777, 15.0), run(888, 17.0)])
    >>> evaluation.mean, round(evaluation.std, 3), evaluation.seconds
    (16.0, 1.414, 3.0)
    """

    runs: tuple[TrainingRun, ...]

    def __init__(self, runs: Sequence[TrainingRun]) -> None:
        object.__setattr__(self, "runs", tuple(runs))
        kinds = {(run.cell, run.split, run.n_train, run.n_test) for run in runs}
        if len(kinds) != 1:
            raise InputError(
                "an evaluation needs one run or more of the same cell on the same data; "
                f"got {len(self.runs)} runs of {len(kinds)} kinds"
            )

    @property
    def cell(self) -> Cell:
        """The cell that was judged."""
        return self.runs[0].cell

    @property
    def split(self) -> str:
        """Name of the samples the accuracies are of."""
        return self.runs[0].split

    @property
    def n_parameters(self) -> int:
        """Learnable parameters of the network."""
        return self.runs[0].n_parameters

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seed of each run."""
        return tuple(run.seed for run in self.runs)

    @property
    def accuracies(self) -> tuple[float, ...]:
        """Percent right after the last epoch, one per seed."""
        return tuple(run.accuracy for run in self.runs)

    @property
    def mean(self) -> float:
        """Mean accuracy over the seeds, in percent."""
        return statistics.fmean(self.accuracies)

    @property
    def std(self) -> float:
        """Sample standard deviation over the seeds (divisor n - 1), in percentage points.

        NaN for a single seed.
        """
        return statistics.stdev(self.accuracies) if len(self.runs) > 1 else float("nan")

    @property
    def seconds(self) -> float:
        """Wall-clock time of all runs together."""
        return sum(run.seconds for run in self.runs)

    def to_dict(self) -> dict[str, Any]:
        """Turn the evaluation into plain JSON values.

        Returns
        -------
        dict
        """
        return {"runs": [run.to_dict() for run in self.runs]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        values : dict

        Returns
        -------
        Evaluation

        Raises
        ------
        InputError
            If a value is missing or of another type.
        """
        require_values(values, {"runs": list_of(MAPPING)}, "an evaluation")
        return cls([TrainingRun.from_dict(run) for run in values["runs"]])
