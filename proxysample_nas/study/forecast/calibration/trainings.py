"""Time a few steps of a trainer, on cells drawn at random."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from proxysample_nas.data.images import LabelledImages
from proxysample_nas.searchers.uniform_cells import draw_cells
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.experiments.data import StudyData, draw_rows
from proxysample_nas.study.forecast.calibration.rates import Counts, Part, Rates, time_parts
from proxysample_nas.training.trainer import CellTrainer


@dataclass(frozen=True)
class _Run:
    trainer: CellTrainer
    n_test: int


def calibration_cells(n_nodes: int, n_cells: int = 2) -> list[Cell]:
    """Draw the cells that are timed: connected ones, the same whenever it is asked.

    Parameters
    ----------
    n_nodes, n_cells : int

    Returns
    -------
    list of Cell

    Examples
    --------
    >>> len(calibration_cells(4)), calibration_cells(4) == calibration_cells(4)
    (2, True)
    """
    generator = torch.Generator().manual_seed(0)
    return draw_cells(n_cells, n_nodes, connected_only=True, generator=generator)


def time_training(
    trainer: CellTrainer, cells: Sequence[Cell], data: StudyData, seconds: float
) -> list[Rates]:
    """Time a trainer on a batch or two of a study's data, cell by cell.

    Parameters
    ----------
    trainer : CellTrainer
        As the study has it.
    cells : sequence of Cell
    data : StudyData
    seconds : float
        For all cells together; see `time_parts`.

    Returns
    -------
    list of Rates
        For the parts that `training_counts` counts.
    """
    n_train = min(len(data.train), trainer.batch_size)
    train = data.train_images.take(torch.from_numpy(draw_rows(data.train, n_train, 0)))
    n_test = min(len(data.test_images), trainer.batch_size)
    shortest = _Run(replace(trainer, epochs=1, progress=False), n_test)
    parts = [
        Part[_Run](
            lambda run, factor: replace(run, trainer=replace(run.trainer, epochs=factor)),
            most=1_000_000,
        ),
        Part[_Run](
            lambda run, factor: replace(run, n_test=factor * n_test),
            most=len(data.test_images) // n_test,
        ),
    ]

    def of(cell: Cell) -> Rates:
        def run(one: _Run) -> tuple[Counts, float]:
            return _time(one, cell, train, data.test_images)

        return time_parts(shortest, parts, run, seconds / len(cells))

    return [of(cell) for cell in cells]


def training_counts(trainer: CellTrainer, n_train: int, n_test: int) -> Counts:
    """Count the images that go through the network.

    Parameters
    ----------
    trainer : CellTrainer
    n_train, n_test : int

    Returns
    -------
    Counts
    """
    return {"train": float(trainer.epochs * n_train), "judge": float(n_test)}


def _time(
    run: _Run, cell: Cell, train: LabelledImages, test: LabelledImages
) -> tuple[Counts, float]:
    part = test.take(torch.arange(run.n_test))
    start = time.perf_counter()
    run.trainer.train_once(cell, train, part, seed=0)
    seconds = time.perf_counter() - start
    return training_counts(run.trainer, len(train), run.n_test), seconds
