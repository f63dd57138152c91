"""Random search: the baseline that every other searcher has to beat."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from tqdm import tqdm

from proxysample.checks import BOOLEAN, POSITIVE_INTEGER, Constraints
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.searchers.base import Lengthening
from proxysample_nas.searchers.data import SearchData
from proxysample_nas.searchers.loop import TrainingSearcher
from proxysample_nas.searchers.result import EpochRecord
from proxysample_nas.searchers.seeds import stream
from proxysample_nas.searchers.selection import Candidate, Selection, best_of
from proxysample_nas.searchers.uniform_cells import check_n_cells, draw_cells
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import SearchSpace
from proxysample_nas.training.trainer import CellTrainer


@dataclass
class DrawnCells:
    """The cells of a random search, and the seed that each is trained from.

    Attributes
    ----------
    cells : list of Cell
    seeds : list of int
    space : SearchSpace
        That the cells were drawn from.
    """

    cells: list[Cell]
    seeds: list[int]
    space: SearchSpace

    def to_tensors(self) -> dict[str, Tensor]:
        """Collect the whole state under distinct names.

        Returns
        -------
        dict of Tensor
        """
        return {
            "cells": torch.tensor([self.space.indices_of(cell) for cell in self.cells]),
            "seeds": torch.tensor(self.seeds),
        }

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Set the whole state to what `to_tensors` collected.

        Parameters
        ----------
        tensors : dict of Tensor
        """
        for name, value in self.to_tensors().items():
            if tensors[name].shape != value.shape or tensors[name].dtype != value.dtype:
                raise ValueError(f"{name} are of another number")
        self.cells = [
            Cell.from_indices(indices, self.space) for indices in tensors["cells"].tolist()
        ]
        self.seeds = tensors["seeds"].tolist()


@dataclass(frozen=True)
class CandidateData:
    """What the candidates are trained and judged on.

    Attributes
    ----------
    data : SearchData
    steps_per_epoch : int
        Weight updates of one candidate, all its epochs together.
    """

    data: SearchData
    steps_per_epoch: int


class RandomSearch(TrainingSearcher[DrawnCells, CandidateData]):
    """Draw cells uniformly, train each from scratch for a while, and keep the most accurate.

    The honest baseline (Li & Talwalkar 2019; NAS-Bench-201, section 5): no weights are shared
    and nothing is learned of one cell from another.

    Parameters
    ----------
    n_samples : int
        Number of distinct cells. With 1 nothing is trained: the drawn cell is the result, and
        its history is empty.
    connected_only : bool
        Whether to draw only cells with a path from input to output without ``none``; the others
        cannot learn.
    epochs : int
        Passes over the weight data for each cell.
    learning_rate : float
        Of the first epoch of each cell; it falls to 0 within `epochs`, as in
        `proxysample_nas.training.trainer.CellTrainer`, whose defaults these are.
    architecture_fraction : float
        Share of the training data held out to judge the cells, where no validation data is
        given. One half, so that all searchers train their weights on the same samples.

    Notes
    -----
    The history has one record for each cell, in the order of drawing, after its last epoch:
    `train_loss` and `train_accuracy` are those of that epoch, `learning_rate` is that of the
    first, `architecture_accuracy` is measured without augmentation in evaluation mode, and the
    result is the cell where it is highest, the first of equals.

    Examples
    --------
    >>> from proxysample.data.datasets import load_dataset
    >>> digits = load_dataset("digits").train
    >>> searcher = RandomSearch(
    ...     n_nodes=3, channels=4, cells_per_stage=1, n_samples=2, epochs=1, random_state=0,
    ...     progress=False,
    ... )
    >>> result = searcher.search(digits)
    >>> best = max(result.history, key=lambda record: record.architecture_accuracy)
    >>> len(result.history), result.cell == best.cell
    (2, True)
    >>> RandomSearch(n_samples=1, random_state=0, progress=False).search(digits).n_steps
    0
    """

    _unit = "cell"
    _collapse_shows = "never"

    n_samples: int = 10
    connected_only: bool = True
    epochs: int = 12
    batch_size: int = 256
    learning_rate: float = 0.1

    _constraints: ClassVar[Constraints] = {
        "n_samples": POSITIVE_INTEGER,
        "connected_only": BOOLEAN,
    }

    @property
    def id(self) -> str:
        """``"random"``."""
        return "random"

    def work(self, n_weight_samples: int, n_architecture_samples: int) -> dict[str, float]:
        """Count images that train a cell, and that it is evaluated on."""
        n_cells = self._n_epochs()
        return {
            "train": float(n_cells * self.epochs * n_weight_samples),
            "evaluate": float(n_cells * n_architecture_samples),
        }

    def shortened(self) -> Self:
        """Make a copy whose search is as short as can be, to be timed."""
        return self._with(n_samples=2, epochs=1)

    def lengthenings(self) -> list[Lengthening]:
        """List how a short search is made longer: more epochs, and more cells."""
        return [self._lengthening("epochs"), self._lengthening("n_samples")]

    def _n_epochs(self) -> int:
        return 0 if self.n_samples == 1 else self.n_samples

    def _progress_per_epoch(self, batches: CandidateData) -> int:  # noqa: ARG002
        return 1

    def _create_batches(self, data: SearchData) -> CandidateData:
        return CandidateData(data, self.epochs * -(-len(data.weights) // self.batch_size))

    def _create_state(self, data: SearchData, seed: int) -> DrawnCells:  # noqa: ARG002
        space = self._search_space()
        cells = draw_cells(
            self.n_samples,
            self.n_nodes,
            connected_only=self.connected_only,
            generator=stream(seed, "operations"),
            space=space,
        )
        seeds = torch.randint(
            2**32, (self.n_samples,), generator=stream(seed, "initialization")
        ).tolist()
        return DrawnCells(cells, seeds, space)

    def _run_epoch(
        self, state: DrawnCells, batches: CandidateData, epoch: int, bar: tqdm[Any]
    ) -> EpochRecord:
        start = time.perf_counter()
        data = batches.data
        run = self._trainer(data.normalization).train_once(
            state.cells[epoch], data.weights, data.architecture, state.seeds[epoch]
        )
        bar.update()
        return EpochRecord(
            epoch=epoch,
            cell=run.cell,
            architecture_weights=(),
            learning_rate=self.learning_rate,
            train_loss=run.train_losses[-1],
            train_accuracy=run.train_accuracy,
            architecture_loss=None,
            architecture_accuracy=run.accuracy,
            seconds=time.perf_counter() - start,
        )

    def _select(
        self,
        state: DrawnCells,
        batches: CandidateData,
        history: list[EpochRecord],
        keep: Callable[[], None],  # noqa: ARG002
    ) -> Selection:
        if not history:
            return Selection(state.cells[0], (), 0.0)
        n_samples = len(batches.data.architecture)
        return best_of(
            [Candidate(one.cell, one.architecture_accuracy, n_samples) for one in history], 0.0
        )

    def _trainer(self, normalization: Normalization | None) -> CellTrainer:
        return CellTrainer(
            channels=self.channels,
            cells_per_stage=self.cells_per_stage,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            augmentation=self.augmentation,
            normalization=normalization,
            precision=self.precision,
            device=self.device,
            progress=False,
        )

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_n_cells(
            self.n_samples,
            self.n_nodes,
            connected_only=self.connected_only,
            space=self._search_space(),
        )
