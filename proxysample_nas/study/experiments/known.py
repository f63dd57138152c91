"""What a study compares, and on which data: all that its experiments are named by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxysample.components import Component
from proxysample.errors import InputError
from proxysample.experiments.store import Store
from proxysample.printing import shown
from proxysample_nas.study.experiments.data import DatasetInfo, StudyInfo
from proxysample_nas.study.grid.configuration import StudyConfiguration, settings_of
from proxysample_nas.study.grid.evaluation import Transfer
from proxysample_nas.training.trainer import CellTrainer


class KnownStudy:
    """A study whose data have been read, here or by who ran it.

    Samplers, searchers and trainers are created once each to be asked for their parameters.

    Parameters
    ----------
    configuration : StudyConfiguration
    info : StudyInfo
        Of the data that it reads.

    Attributes
    ----------
    settings : list of Setting
        What is searched on.
    """

    def __init__(self, configuration: StudyConfiguration, info: StudyInfo) -> None:
        self.configuration = configuration
        self.info = info
        self.settings = settings_of(configuration, self.data.n_train)
        self._asked: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._proxy_seeds: dict[str, tuple[int | None, ...]] = {}

    @property
    def data(self) -> DatasetInfo:
        """What is known of the study's own dataset."""
        return self.info.datasets[self.configuration.dataset]

    def sampler_parameters(self, sampler: Component, seed: int | None = None) -> dict[str, Any]:
        """Give what decides a sampler's scores, as plain JSON values."""
        return self._once(
            ("sampler", repr(sampler), seed),
            lambda: self.configuration.sampler_parameters(sampler, seed),
        )

    def proxy_seeds_of(self, sampler: Component | None) -> tuple[int | None, ...]:
        """Give the seeds that a sampler picks from; see `StudyConfiguration.proxy_seeds_of`."""
        if repr(sampler) not in self._proxy_seeds:
            self._proxy_seeds[repr(sampler)] = self.configuration.proxy_seeds_of(sampler)
        return self._proxy_seeds[repr(sampler)]

    def searcher_parameters(self, searcher: Component, seed: int) -> dict[str, Any]:
        """Give what decides the cell that a searcher finds, as plain JSON values."""
        return self._once(
            ("searcher", repr(searcher), seed),
            lambda: self.configuration.searcher_parameters(searcher, seed),
        )

    def training_parameters(self, channels: int) -> dict[str, Any]:
        """Give what the trainings of all cells at one width have in common."""

        def ask() -> dict[str, Any]:
            trainer = self.configuration.create_trainer(channels)
            return _of_trainer(self.data, trainer)

        return self._once(("training", channels), ask)

    def transfer_parameters(self, transfer: Transfer) -> dict[str, Any]:
        """Give what the trainings of all cells on another dataset have in common."""

        def ask() -> dict[str, Any]:
            trainer = transfer.create_trainer(self.configuration.seeds)
            return _of_trainer(self.info.datasets[transfer.dataset], trainer)

        return self._once(("transfer", transfer.dataset), ask)

    def _once(self, name: tuple[Any, ...], ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if name not in self._asked:
            self._asked[name] = ask()
        return self._asked[name]


def _of_trainer(data: DatasetInfo, trainer: CellTrainer) -> dict[str, Any]:
    return {"data": data.fingerprint, "split": data.split, "parameters": trainer.parameters()}


def read_configuration(store: Store) -> tuple[StudyConfiguration, StudyInfo]:
    """Read what a store's study compares, and what is known of its data.

    Raises
    ------
    InputError
        If no study was run in the store, or it is damaged.
    """
    written, known = store.info("configuration"), store.info("facts")
    if written is None or known is None:
        raise InputError(f"no study was run in {store.path}")
    configuration, info = StudyConfiguration.from_json(written), StudyInfo.from_json(known)
    names = [configuration.dataset, *(transfer.dataset for transfer in configuration.transfers)]
    unknown = [name for name in names if name not in info.datasets]
    if unknown:
        raise InputError(
            f"{store.path} is damaged: it knows nothing of the data {shown(unknown[0])}"
        )
    return configuration, info
