"""What every experiment of a study works with: the data, read once a process."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from proxysample_nas.study.experiments.data import StudyData, load_study_data
from proxysample_nas.study.experiments.facts import StudyFacts
from proxysample_nas.study.experiments.published import PublishedAccuracies
from proxysample_nas.study.grid.configuration import StudyConfiguration
from proxysample_nas.study.grid.judging import Transfer
from proxysample_nas.study.running.unfinished import UnfinishedSearches


class Workbench:
    """What every task of a study needs, made once per process.

    Parameters
    ----------
    configuration : StudyConfiguration
    unfinished : UnfinishedSearches, optional
        Where searches are kept between their epochs; by default they are not.
    n_side_by_side : int
        How many tasks run on this machine at a time; they slow one another down, so a report
        of seconds has to state it.
    progress : bool
        Whether a task shows a progress bar of its own.
    """

    def __init__(
        self,
        configuration: StudyConfiguration,
        unfinished: UnfinishedSearches | None = None,
        *,
        n_side_by_side: int = 1,
        progress: bool = False,
    ) -> None:
        self.configuration = configuration
        self.unfinished = unfinished
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

    def for_worker(self, n_side_by_side: int) -> Workbench:
        """Create the workbench of another process, which has read nothing yet.

        Parameters
        ----------
        n_side_by_side : int
            See the class.

        Returns
        -------
        Workbench
        """
        return Workbench(self.configuration, self.unfinished, n_side_by_side=n_side_by_side)

    def provide(
        self,
        data: StudyData,
        transfers: Mapping[str, StudyData],
        published: PublishedAccuracies | None,
    ) -> None:
        """Set what was read elsewhere, so that nothing is read here.

        Parameters
        ----------
        data : StudyData
        transfers : mapping of str to StudyData
            By the name of the dataset.
        published : PublishedAccuracies or None
            None where the study looks nothing up.
        """
        self.data = data
        self._transfers = dict(transfers)
        if published is not None:
            self.published = published

    def checkpoint(self, key: str) -> Path | None:
        """Name the file that keeps a search between its epochs; None where none is kept."""
        return None if self.unfinished is None else self.unfinished.path(key)


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
