"""What evaluating a cell yields: one run per seed, and their summary."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxysample.errors import InputError
from proxysample.records import UNWRITTEN, Amount, Count, Integer, Measure, Percent, Record
from proxysample.wording import pluralize
from proxysample_nas.space.cell import Cell

if TYPE_CHECKING:
    from proxysample_nas.training.trained import TrainedCell


@dataclass(frozen=True)
class TrainingRun(Record, title="a training's result"):
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
        Number of samples trained on and evaluated on.
    seconds : float
        Wall-clock time of training and evaluation, without reading the data.
    device : str
    """

    cell: Cell
    seed: Integer
    accuracy: Percent
    split: str
    train_losses: tuple[Measure, ...]
    train_accuracy: Percent
    n_parameters: Count
    n_train: Count
    n_test: Count
    seconds: Amount
    device: str

    def __repr__(self) -> str:
        return f"TrainingRun({self.cell}, seed {self.seed}, {self.accuracy:.2f} % of {self.split})"


@dataclass(frozen=True)
class Evaluation(Record, title="an evaluation"):
    """A cell evaluated from several seeds, as the paper's tables have it.

    Parameters
    ----------
    runs : sequence of TrainingRun
        At least one, all of the same cell and split.
    trained : sequence of TrainedCell
        The networks of the runs, where ``evaluate(..., keep_network=True)`` kept them; they are
        no part of the JSON, and files of their own are written by their ``save``.

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
    >>> cell = Cell.filled("skip_connect", n_nodes=2)
    >>> Evaluation([TrainingRun(cell, 7, 15.0, "test", (2.0,), 40.0, 79156, 9, 3, 1.5, "cpu")])
    Evaluation(|skip_connect~0|, 15.00 % of test, 1 seed)
    >>> evaluation.mean, round(evaluation.std, 3), evaluation.seconds
    (16.0, 1.414, 3.0)
    """

    runs: tuple[TrainingRun, ...]
    trained: tuple[TrainedCell, ...] = field(
        default=(), metadata=UNWRITTEN, compare=False, repr=False
    )

    def __init__(self, runs: Sequence[TrainingRun], trained: Sequence[TrainedCell] = ()) -> None:
        object.__setattr__(self, "runs", tuple(runs))
        object.__setattr__(self, "trained", tuple(trained))
        kinds = {(run.cell, run.split, run.n_train, run.n_test) for run in runs}
        if len(kinds) != 1:
            raise InputError(
                "an evaluation needs one run or more of the same cell on the same data; "
                f"got {len(self.runs)} runs of {len(kinds)} kinds"
            )

    def __repr__(self) -> str:
        spread = f" ± {self.std:.2f}" if len(self.runs) > 1 else ""
        seeds = pluralize(len(self.runs), "seed")
        return f"Evaluation({self.cell}, {self.mean:.2f}{spread} % of {self.split}, {seeds})"

    @property
    def cell(self) -> Cell:
        """The cell that was evaluated."""
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
