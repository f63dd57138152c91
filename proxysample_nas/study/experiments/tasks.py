"""The kinds of experiment: score a dataset, search on a proxy, judge a cell."""

from __future__ import annotations

import io
import traceback
from dataclasses import dataclass
from typing import Any

import torch

from proxysample.keeping import IntArray
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.experiments.workbench import Workbench, machine
from proxysample_nas.study.grid.component import Component
from proxysample_nas.study.grid.judging import Transfer
from proxysample_nas.study.grid.settings import Setting
from proxysample_nas.study.store.store import experiment_key


@dataclass(frozen=True)
class Outcome:
    """What a task came to.

    Attributes
    ----------
    result : dict or None
        Plain JSON values; None where it failed.
    payload : bytes or None
        What is too large for JSON.
    error, traceback : str or None
        Why it failed, in one line, and where in the code.
    """

    result: dict[str, Any] | None
    payload: bytes | None = None
    error: str | None = None
    traceback: str | None = None


@dataclass(frozen=True, eq=False)
class SelectionTask:
    """Score the training part by one sampler, for every ratio."""

    specification: dict[str, Any]
    sampler: Component
    kind = "selection"

    @property
    def label(self) -> str:
        """Words for a progress bar."""
        return f"scored by {self.sampler.label}"

    def run(self, workbench: Workbench) -> Outcome:
        """Score; the payload is the ranking."""
        ranking = workbench.configuration.create_sampler(self.sampler).rank(workbench.data.train)
        stream = io.BytesIO()
        ranking.write(stream)
        return Outcome({"seconds": ranking.provenance["seconds"]}, stream.getvalue())


@dataclass(frozen=True, eq=False)
class SearchTask:
    """Search a cell on the kept samples, or on all where `indices` is None."""

    specification: dict[str, Any]
    setting: Setting
    seed: int
    indices: IntArray | None
    kind = "search"

    @property
    def label(self) -> str:
        """Words for a progress bar."""
        return f"{self.setting.label}, seed {self.seed}"

    def run(self, workbench: Workbench) -> Outcome:
        """Search; the result holds the cell, its history, seconds and the machine."""
        proxy = workbench.data.train_images
        if self.indices is not None:
            proxy = proxy.take(torch.from_numpy(self.indices))
        searcher = workbench.configuration.create_searcher(
            self.setting.searcher, self.seed, workbench.progress
        )
        result = searcher.search(
            proxy,
            workbench.data.architecture_images,
            checkpoint=workbench.checkpoint(experiment_key(self.kind, self.specification)),
        ).to_dict()
        return Outcome(
            result | {"n_kept": len(proxy), "machine": machine(workbench.n_side_by_side)}
        )


@dataclass(frozen=True, eq=False)
class TrainingTask:
    """Train a cell's network from scratch on a full training part, from one seed.

    `transfer` is None on the study's own dataset.
    """

    specification: dict[str, Any]
    cell: Cell
    channels: int
    seed: int
    transfer: Transfer | None = None
    kind = "training"

    @property
    def label(self) -> str:
        """Words for a progress bar."""
        where = "" if self.transfer is None else f" on {self.transfer.dataset}"
        return f"judged a cell{where}, C={self.channels}, seed {self.seed}"

    def run(self, workbench: Workbench) -> Outcome:
        """Train and measure the test accuracy."""
        if self.transfer is None:
            data = workbench.data
            trainer = workbench.configuration.create_trainer(self.channels, workbench.progress)
        else:
            data = workbench.transfer_data(self.transfer)
            trainer = self.transfer.create_trainer((self.seed,), workbench.progress)
        run = trainer.train_once(
            self.cell, data.train_images, data.test_images, self.seed, split=data.facts.split
        )
        return Outcome(run.to_dict() | {"machine": machine(workbench.n_side_by_side)})


@dataclass(frozen=True, eq=False)
class LookupTask:
    """Look up what others have measured of a cell."""

    specification: dict[str, Any]
    cell: Cell
    kind = "lookup"

    @property
    def label(self) -> str:
        """Words for a progress bar."""
        return "looked a cell up"

    def run(self, workbench: Workbench) -> Outcome:
        """Look up the mean test accuracy, in percent."""
        accuracy = workbench.published.accuracy(
            self.cell, self.specification["dataset"], self.specification["epochs"]
        )
        return Outcome({"cell": str(self.cell), "accuracy": accuracy})


Task = SelectionTask | SearchTask | TrainingTask | LookupTask


def attempt(task: Task, workbench: Workbench) -> Outcome:
    """Run a task; an error becomes its outcome.

    One experiment that diverges or runs out of memory does not end the others: its error is
    kept, counted and reported.

    Parameters
    ----------
    task : Task
    workbench : Workbench

    Returns
    -------
    Outcome
    """
    try:
        return task.run(workbench)
    except Exception as error:
        words = f"{type(error).__name__}: {error}"
        return Outcome(None, error=words, traceback=traceback.format_exc())
