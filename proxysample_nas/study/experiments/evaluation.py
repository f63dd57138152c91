"""Evaluate found cells: train their networks, here or on another dataset, or look them up."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar, Self

import torch

from proxysample.errors import InputError
from proxysample.experiments.experiment import MACHINE, Outcome
from proxysample.experiments.store import Contents
from proxysample.records import MAPPING, PERCENT, POSITIVE, TEXT
from proxysample_nas.searchers.candidates import draw_cells
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace
from proxysample_nas.study.configuration import LOOKED_UP_CHANNELS, StudyConfiguration
from proxysample_nas.study.experiments.base import (
    SMALL_BATCH,
    SPECIFICATION,
    Counts,
    KnownStudy,
    Part,
    Progress,
    StudyExperiment,
    Trial,
)
from proxysample_nas.study.experiments.data import StudyContext, StudyData, draw_rows
from proxysample_nas.study.experiments.search import Search
from proxysample_nas.study.given import Transfer
from proxysample_nas.study.results import CellAccuracy, Findings, best_cells
from proxysample_nas.training.evaluation import TrainingRun
from proxysample_nas.training.trainer import CellTrainer


@dataclass(frozen=True, eq=False)
class Training(StudyExperiment):
    """Train a cell's network from scratch on the full training part, from one seed.

    Equal cells share it, whoever has found them. `cell` and `seed` are None where the cells are
    not found yet.
    """

    kind: ClassVar[str] = "training"
    stage: ClassVar[str] = "evaluation"
    contents: ClassVar[Contents] = Contents(
        TrainingRun.kinds() | {"n_train": POSITIVE, "machine": MAPPING},
        SPECIFICATION,
        {"machine": MACHINE},
    )
    fills_rows: ClassVar[bool] = True

    channels: int
    cell: Cell | None = None
    seed: int | None = None

    @classmethod
    def of(cls, study: KnownStudy, cell: Cell, channels: int, seed: int) -> Self:
        """Name a training."""
        specification = study.training_parameters(channels) | {"cell": str(cell), "seed": seed}
        return cls(specification, channels, cell, seed, n_samples=study.data.n_train)

    @classmethod
    def list_all(cls, progress: Progress) -> Iterator[Self]:
        """List each distinct cell at each width from each seed."""
        study, configuration = progress.study, progress.study.configuration
        if configuration.lookup is not None:
            return
        cells, n_unfound = Search.found(progress)
        widths_and_seeds = list(product(configuration.channels, configuration.seeds))
        for cell, (channels, seed) in product(cells, widths_and_seeds):
            yield cls.of(study, cell, channels, seed)
        if n_unfound:
            for channels in configuration.channels:
                yield cls(
                    study.training_parameters(channels),
                    channels,
                    n_samples=study.data.n_train,
                    n_unnamed=n_unfound * len(configuration.seeds),
                )

    @property
    def group(self) -> str:
        """Trainings at the same width take about as long."""
        return f"train a cell at C={self.channels}"

    @property
    def label(self) -> str:
        """Words for a progress bar, once it has ended."""
        return f"evaluated a cell, C={self.channels}, seed {self.seed}"

    @classmethod
    def describe(cls, specification: Mapping[str, Any]) -> str:
        """Name the width, the seed and the cell."""
        channels = specification["parameters"]["channels"]
        return f"C={channels}, seed {specification['seed']}, {specification['cell']}"

    def run(self, context: StudyContext) -> Outcome:
        """Train and measure the test accuracy."""
        if self.cell is None or self.seed is None:
            raise ValueError("a cell that is not found yet cannot be trained")
        data = self._data(context)
        run = self._trainer(context.configuration, context.progress).train_once(
            self.cell,
            data.train_images,
            data.test_images,
            self.seed,
            split=data.info.split,
            callback=context.epoch_callback(f"{self.label}, {self.cell}"),
        )
        return Outcome(run.to_dict() | {"machine": context.machine()})

    def _data(self, context: StudyContext) -> StudyData:
        return context.data

    def _trainer(self, configuration: StudyConfiguration, progress: bool) -> CellTrainer:
        return configuration.create_trainer(self.channels, progress)

    def add_to(self, findings: Findings, result: Mapping[str, Any]) -> None:
        """Rows tell how accurate the found cells are."""
        if self.cell is not None:
            findings.add_training(self.cell, self.channels, training_run(result))

    def add_failure_to(self, findings: Findings) -> None:
        """Rows tell at which widths a cell could not be trained."""
        if self.cell is not None:
            findings.add_failed_training(self.cell, self.channels)

    @classmethod
    def samples_of(cls, result: Mapping[str, Any]) -> int:
        """Read how many images were trained on."""
        return int(result["n_train"])

    def counts(self, context: StudyContext) -> Counts:
        """Count the images that go through the network."""
        info = self._data(context).info
        return _counts(self._trainer(context.configuration, False), info.n_train, info.n_test)

    def trials(self, context: StudyContext) -> Sequence[Trial[Any]]:
        """Train random cells on a batch or two: no cell is found yet, and some cost more."""
        cells = trial_cells(context.configuration)
        if not cells:
            raise InputError(
                "no searcher has a parameter n_nodes, and so it is not known how large a cell is"
            )
        trainer = self._trainer(context.configuration, False)
        return [training_trial(trainer, cell, self._data(context)) for cell in cells]


@dataclass(frozen=True, eq=False)
class TransferTraining(Training):
    """Train one of the best cells on another dataset."""

    stage: ClassVar[str] = "transfer"
    fills_rows: ClassVar[bool] = False

    transfer: Transfer | None = None

    @classmethod
    def on(cls, study: KnownStudy, transfer: Transfer, cell: Cell, seed: int) -> Self:
        """Name a training on another dataset."""
        specification = study.transfer_parameters(transfer) | {"cell": str(cell), "seed": seed}
        n_train = study.info.datasets[transfer.dataset].n_train
        return cls(specification, transfer.channels, cell, seed, transfer, n_samples=n_train)

    @classmethod
    def list_all(cls, progress: Progress) -> Iterator[Self]:
        """List the best cells from each seed, once all cells have been evaluated."""
        study, configuration = progress.study, progress.study.configuration
        for transfer in configuration.transfers:
            if not progress.has_ended(Training.stage):
                yield cls(
                    study.transfer_parameters(transfer),
                    transfer.channels,
                    transfer=transfer,
                    n_samples=study.info.datasets[transfer.dataset].n_train,
                    n_unnamed=_n_transfers_at_most(progress, transfer),
                )
                continue
            best = best_cells(progress.rows, max(configuration.channels), transfer.n_best)
            cells = dict.fromkeys(one.found.cell for one in best)
            for cell, seed in product(cells, configuration.seeds):
                yield cls.on(study, transfer, cell, seed)

    @property
    def group(self) -> str:
        """Trainings on the same dataset take about as long."""
        return f"{super().group} on {self._elsewhere.dataset}"

    @property
    def label(self) -> str:
        """Words for a progress bar, once it has ended."""
        where = self._elsewhere.dataset
        return f"evaluated a cell on {where}, C={self.channels}, seed {self.seed}"

    @property
    def _elsewhere(self) -> Transfer:
        if self.transfer is None:
            raise ValueError("a transfer names the dataset that it is to")
        return self.transfer

    def _data(self, context: StudyContext) -> StudyData:
        return context.transfer_data(self._elsewhere)

    def _trainer(self, configuration: StudyConfiguration, progress: bool) -> CellTrainer:
        return self._elsewhere.create_trainer(configuration.seeds, progress)


def _n_transfers_at_most(progress: Progress, transfer: Transfer) -> int:
    """Count the trainings on another dataset, were all the cells distinct."""
    configuration = progress.study.configuration
    n_baselines = len(configuration.searchers) * len(configuration.search_seeds)
    n_sampled = len(progress.experiments(Search)) - n_baselines
    n_cells = n_baselines + min(2 * transfer.n_best, n_sampled)
    return n_cells * len(configuration.seeds)


def read_transfer(
    progress: Progress, transfer: Transfer, cells: Sequence[Cell]
) -> dict[Cell, CellAccuracy]:
    """Read how cells did on another dataset; one that was not trained there is left out."""
    study = progress.study
    named = {
        cell: [
            TransferTraining.on(study, transfer, cell, seed) for seed in study.configuration.seeds
        ]
        for cell in cells
    }
    results = progress.results_of(one for trainings in named.values() for one in trainings)
    runs = {
        cell: [training_run(results[one.key]) for one in trainings if one.key in results]
        for cell, trainings in named.items()
    }
    return {cell: CellAccuracy.trained(those) for cell, those in runs.items() if those}


def training_run(result: Mapping[str, Any]) -> TrainingRun:
    """Read a training's result."""
    return TrainingRun.from_dict({k: v for k, v in result.items() if k != "machine"})


@dataclass(frozen=True, eq=False)
class Lookup(StudyExperiment):
    """Look up what others have measured of a cell; None where cells are not found yet."""

    kind: ClassVar[str] = "lookup"
    stage: ClassVar[str] = "evaluation"
    contents: ClassVar[Contents] = Contents({"cell": TEXT, "accuracy": PERCENT}, SPECIFICATION)
    fills_rows: ClassVar[bool] = True
    takes_time: ClassVar[bool] = False

    cell: Cell | None = None

    @classmethod
    def list_all(cls, progress: Progress) -> Iterator[Self]:
        """List each distinct cell."""
        lookup = progress.study.configuration.lookup
        if lookup is None:
            return
        table = {
            "data": progress.study.info.lookup_fingerprint,
            "dataset": lookup.dataset,
            "epochs": lookup.epochs,
        }
        cells, n_unfound = Search.found(progress)
        for cell in cells:
            yield cls(table | {"cell": str(cell)}, cell)
        if n_unfound:
            yield cls(table, n_unnamed=n_unfound)

    @property
    def group(self) -> str:
        """All are alike."""
        return "look a cell up"

    @property
    def label(self) -> str:
        """Words for a progress bar, once it has ended."""
        return "looked a cell up"

    @classmethod
    def describe(cls, specification: Mapping[str, Any]) -> str:
        """Name the cell."""
        return str(specification["cell"])

    def run(self, context: StudyContext) -> Outcome:
        """Look up the mean test accuracy, in percent."""
        if self.cell is None:
            raise ValueError("a cell that is not found yet cannot be looked up")
        accuracy = context.published.accuracy(
            self.cell, self.specification["dataset"], self.specification["epochs"]
        )
        return Outcome({"cell": str(self.cell), "accuracy": accuracy})

    def add_to(self, findings: Findings, result: Mapping[str, Any]) -> None:
        """Rows tell how accurate the found cells are."""
        if self.cell is not None:
            (channels,) = LOOKED_UP_CHANNELS
            findings.add_published(self.cell, channels, result["accuracy"])

    def counts(self, context: StudyContext) -> Counts:  # noqa: ARG002
        """Nothing is computed."""
        return {}

    def trials(self, context: StudyContext) -> Sequence[Trial[Any]]:  # noqa: ARG002
        """Nothing is timed."""
        return []


@dataclass(frozen=True)
class _Run:
    trainer: CellTrainer
    n_train: int
    n_test: int


def trial_cells(configuration: StudyConfiguration, n_cells: int = 2) -> list[Cell]:
    """Draw the cells that are timed: connected ones, the same whenever it is asked.

    There are none where no searcher tells the size of its cells. Where searchers choose from
    several spaces, the cells have operations of all.
    """
    searchers = [configuration.create_searcher(one) for one in configuration.searchers]
    parameters = [one.get_params() for one in searchers]
    n_nodes = [one["n_nodes"] for one in parameters if "n_nodes" in one]
    if not n_nodes:
        return []
    spaces = [SearchSpace.of(one.get("space", NAS_BENCH_201)) for one in parameters]
    names = dict.fromkeys(name for space in spaces for name in space.operations)
    generator = torch.Generator().manual_seed(0)
    return draw_cells(
        n_cells,
        max(n_nodes),
        connected_only=True,
        generator=generator,
        space=SearchSpace(tuple(names)),
    )


def training_trial(trainer: CellTrainer, cell: Cell, data: StudyData) -> Trial[_Run]:
    """Train a cell on a batch, for more epochs, or with more test images."""
    n_train = min(len(data.train), trainer.batch_size)
    train = data.train_images.take(torch.from_numpy(draw_rows(data.train, n_train, 0)))
    n_test = min(len(data.test_images), trainer.batch_size)
    short = replace(trainer, epochs=1, steps_per_epoch=None, progress=False)
    shortest = _Run(short, n_train, n_test)
    probe, share = None, 1.0
    if n_train > SMALL_BATCH:
        n_few = min(n_test, SMALL_BATCH)
        probe = _Run(replace(short, batch_size=SMALL_BATCH), SMALL_BATCH, n_few)
        share = SMALL_BATCH / n_train
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

    def run(one: _Run) -> tuple[Counts, float]:
        part = data.test_images.take(torch.arange(one.n_test))
        start = time.perf_counter()
        one.trainer.train_once(cell, train.take(torch.arange(one.n_train)), part, seed=0)
        return _counts(one.trainer, one.n_train, one.n_test), time.perf_counter() - start

    return Trial(shortest, parts, run, probe, share)


def _counts(trainer: CellTrainer, n_train: int, n_test: int) -> Counts:
    per_epoch = trainer.samples_per_epoch(n_train)
    return {"train": float(trainer.epochs * per_epoch), "evaluate": float(n_test)}
