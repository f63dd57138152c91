"""The kinds of experiment: score a dataset, search on a proxy, judge a cell."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar

import torch

from proxysample.experiments.experiment import Experiment, Outcome
from proxysample.keeping import IntArray
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.experiments.context import StudyContext
from proxysample_nas.study.grid.component import Component
from proxysample_nas.study.grid.judging import Transfer
from proxysample_nas.study.grid.settings import Setting


@dataclass(frozen=True, eq=False)
class SelectionTask(Experiment[StudyContext]):
    """Score the training part by one sampler, for every ratio."""

    sampler: Component
    kind: ClassVar[str] = "selection"

    @property
    def label(self) -> str:
        """Words for a progress bar."""
        return f"scored by {self.sampler.label}"

    def run(self, context: StudyContext) -> Outcome:
        """Score; the payload is the ranking."""
        ranking = context.configuration.create_sampler(self.sampler).rank(context.data.train)
        stream = io.BytesIO()
        ranking.write(stream)
        return Outcome({"seconds": ranking.provenance["seconds"]}, stream.getvalue())


@dataclass(frozen=True, eq=False)
class SearchTask(Experiment[StudyContext]):
    """Search a cell on the kept samples, or on all where `indices` is None."""

    setting: Setting
    seed: int
    indices: IntArray | None
    kind: ClassVar[str] = "search"
    keeps_checkpoint: ClassVar[bool] = True

    @property
    def label(self) -> str:
        """Words for a progress bar."""
        return f"{self.setting.label}, seed {self.seed}"

    def run(self, context: StudyContext) -> Outcome:
        """Search; the result holds the cell, its history, seconds and the machine."""
        proxy = context.data.train_images
        if self.indices is not None:
            proxy = proxy.take(torch.from_numpy(self.indices))
        searcher = context.configuration.create_searcher(
            self.setting.searcher, self.seed, context.progress
        )
        result = searcher.search(
            proxy,
            context.data.architecture_images,
            checkpoint=context.checkpoint(self.key),
        ).to_dict()
        return Outcome(result | {"n_kept": len(proxy), "machine": context.machine()})


@dataclass(frozen=True, eq=False)
class TrainingTask(Experiment[StudyContext]):
    """Train a cell's network from scratch on a full training part, from one seed.

    `transfer` is None on the study's own dataset.
    """

    cell: Cell
    channels: int
    seed: int
    transfer: Transfer | None = None
    kind: ClassVar[str] = "training"

    @property
    def label(self) -> str:
        """Words for a progress bar."""
        where = "" if self.transfer is None else f" on {self.transfer.dataset}"
        return f"judged a cell{where}, C={self.channels}, seed {self.seed}"

    def run(self, context: StudyContext) -> Outcome:
        """Train and measure the test accuracy."""
        if self.transfer is None:
            data = context.data
            trainer = context.configuration.create_trainer(self.channels, context.progress)
        else:
            data = context.transfer_data(self.transfer)
            trainer = self.transfer.create_trainer((self.seed,), context.progress)
        run = trainer.train_once(
            self.cell, data.train_images, data.test_images, self.seed, split=data.facts.split
        )
        return Outcome(run.to_dict() | {"machine": context.machine()})


@dataclass(frozen=True, eq=False)
class LookupTask(Experiment[StudyContext]):
    """Look up what others have measured of a cell."""

    cell: Cell
    kind: ClassVar[str] = "lookup"

    @property
    def label(self) -> str:
        """Words for a progress bar."""
        return "looked a cell up"

    def run(self, context: StudyContext) -> Outcome:
        """Look up the mean test accuracy, in percent."""
        accuracy = context.published.accuracy(
            self.cell, self.specification["dataset"], self.specification["epochs"]
        )
        return Outcome({"cell": str(self.cell), "accuracy": accuracy})


Task = SelectionTask | SearchTask | TrainingTask | LookupTask
