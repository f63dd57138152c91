"""The kinds of experiment: score a dataset, search on a proxy, judge a cell."""

from __future__ import annotations

import io
import os
import platform
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from proxysample.keeping import IntArray
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.component import Component
from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.data import StudyData, load_study_data
from proxysample_nas.study.facts import StudyFacts
from proxysample_nas.study.judging import Transfer
from proxysample_nas.study.published import PublishedAccuracies
from proxysample_nas.study.settings import Setting
from proxysample_nas.study.store import experiment_key


class Workbench:
    """What every task of a study needs, made once per process.

    Parameters
    ----------
    configuration : StudyConfiguration
    folder : Path
        Of the study; unfinished searches are kept in it.
    n_side_by_side : int
        How many tasks run on this machine at a time; they slow one another down, so a report
        of seconds has to state it.
    progress : bool
        Whether a task shows a progress bar of its own.
    """

    def __init__(
        self,
        configuration: StudyConfiguration,
        folder: Path,
        *,
        n_side_by_side: int = 1,
        progress: bool = False,
    ) -> None:
        self.configuration = configuration
        self.folder = folder
        self.n_side_by_side = n_side_by_side
        self.progress = progress
        self._transfers: dict[str, StudyData] = {}

    @cached_property
    def data(self) -> StudyData:
        """The dataset, read when first needed."""
        return load_study_data(
            self.configuration.dataset,
            self.configuration.n_train,
            self.configuration.random_state,
            self.configuration.architecture_data,
        )

    def transfer_data(self, transfer: Transfer) -> StudyData:
        """Give the whole of another dataset, read when first needed."""
        if transfer.dataset not in self._transfers:
            self._transfers[transfer.dataset] = load_study_data(transfer.dataset)
        return self._transfers[transfer.dataset]

    @cached_property
    def published(self) -> PublishedAccuracies:
        """The published accuracies, read when first needed."""
        if self.configuration.lookup is None:
            raise ValueError("the study looks nothing up")
        return PublishedAccuracies.read(self.configuration.lookup.path)

    def facts(self) -> StudyFacts:
        """Read everything that the study needs, and say what it is.

        Returns
        -------
        StudyFacts

        Raises
        ------
        InputError
            If anything cannot be read, so before any work.
        """
        configuration = self.configuration
        datasets = {configuration.dataset: self.data.facts}
        for transfer in configuration.transfers:
            datasets[transfer.dataset] = self.transfer_data(transfer).facts
        if configuration.lookup is None:
            return StudyFacts(datasets)
        self.published.check(configuration.lookup.dataset, configuration.lookup.epochs)
        return StudyFacts(datasets, self.published.fingerprint)


@dataclass(frozen=True)
class Outcome:
    """What a task came to.

    Attributes
    ----------
    result : dict or None
        Plain JSON values; None where it failed.
    payload : bytes or None
        What is too large for JSON.
    error : str or None
        Why it failed.
    """

    result: dict[str, Any] | None
    payload: bytes | None = None
    error: str | None = None


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
            checkpoint=unfinished_search(workbench.folder, self.specification),
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


def unfinished_search(folder: Path, specification: dict[str, Any]) -> Path:
    """Name the file that keeps a study's search between its epochs.

    Parameters
    ----------
    folder : Path
        Of the study.
    specification : dict
        Of the search.

    Returns
    -------
    Path
    """
    key = experiment_key(SearchTask.kind, specification)
    return folder / "unfinished" / f"{key}.safetensors"


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
        return Outcome(None, error=f"{type(error).__name__}: {error}")


def machine(n_side_by_side: int) -> dict[str, Any]:
    """Describe what an experiment ran on.

    Parameters
    ----------
    n_side_by_side : int
        Experiments at a time.

    Returns
    -------
    dict
        Plain JSON values.
    """
    return {
        "processor": platform.processor() or platform.machine(),
        "n_cores": os.cpu_count(),
        "n_threads": torch.get_num_threads(),
        "n_side_by_side": n_side_by_side,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
