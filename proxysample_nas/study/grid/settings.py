"""A study's grid: what is searched on, and the specification that names each experiment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from proxysample.sampler import plain_parameters
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.experiments.facts import StudyFacts
from proxysample_nas.study.grid.component import Component
from proxysample_nas.study.grid.configuration import StudyConfiguration
from proxysample_nas.study.grid.judging import Transfer
from proxysample_nas.training.trainer import CellTrainer


@dataclass(frozen=True)
class Setting:
    """One row of a study: what a searcher searched on.

    Attributes
    ----------
    searcher : Component
    sampler : Component or None
        None for the baseline, the full data.
    r : float
        1 for the baseline.
    """

    searcher: Component
    sampler: Component | None
    r: float

    @property
    def label(self) -> str:
        """Words for a progress bar."""
        data = "full data" if self.sampler is None else f"{self.sampler.label} r={self.r:g}"
        return f"{self.searcher.name} on {data}"


def settings_of(configuration: StudyConfiguration) -> list[Setting]:
    """List what is searched, baselines first.

    Parameters
    ----------
    configuration : StudyConfiguration

    Returns
    -------
    list of Setting
    """
    settings = [Setting(searcher, None, 1.0) for searcher in configuration.searchers]
    settings += [
        Setting(searcher, sampler, r)
        for searcher in configuration.searchers
        for sampler in configuration.samplers
        for r in sorted(configuration.ratios, reverse=True)
    ]
    return settings


# Parameters that decide how an experiment is run, not what comes of it.
SAMPLER_EXECUTION = frozenset({"batch_size", "num_workers", "progress"})
TRAINER_EXECUTION = frozenset({"device", "progress", "seeds"})


class Specifications:
    """What decides the result of each experiment of a study, as plain JSON values.

    Parameters
    ----------
    configuration : StudyConfiguration
    facts : StudyFacts
        Of the data that it reads.
    """

    def __init__(self, configuration: StudyConfiguration, facts: StudyFacts) -> None:
        self.configuration = configuration
        self.facts = facts

    @property
    def _fingerprint(self) -> str:
        return self.facts.datasets[self.configuration.dataset].fingerprint

    def selection(self, sampler: Component) -> dict[str, Any]:
        """Name a scoring pass; it serves every ratio."""
        parameters = plain_parameters(self.configuration.create_sampler(sampler))
        return {
            "data": self._fingerprint,
            "sampler": sampler.name,
            "parameters": _without(parameters, SAMPLER_EXECUTION),
        }

    def search(self, setting: Setting, seed: int) -> dict[str, Any]:
        """Name a search."""
        searcher = self.configuration.create_searcher(setting.searcher, seed)
        return {
            "data": self._fingerprint,
            "architecture_data": self.configuration.architecture_data,
            "selection": None if setting.sampler is None else self.selection(setting.sampler),
            "r": setting.r,
            "searcher": setting.searcher.name,
            "parameters": searcher.parameters_as_json(),
        }

    def training(self, cell: Cell, channels: int, seed: int) -> dict[str, Any]:
        """Name a training on the study's dataset; equal cells share it, whoever found them."""
        dataset = self.configuration.dataset
        return self._training(dataset, self.configuration.create_trainer(channels), cell, seed)

    def transfer(self, transfer: Transfer, cell: Cell, seed: int) -> dict[str, Any]:
        """Name a training on another dataset."""
        return self._training(transfer.dataset, transfer.create_trainer((seed,)), cell, seed)

    def _training(
        self, dataset: str, trainer: CellTrainer, cell: Cell, seed: int
    ) -> dict[str, Any]:
        return self.trainer(dataset, trainer) | {"cell": str(cell), "seed": seed}

    def trainer(self, dataset: str, trainer: CellTrainer) -> dict[str, Any]:
        """Name what the trainings of all cells on a dataset have in common."""
        return {
            "data": self.facts.datasets[dataset].fingerprint,
            "split": self.facts.datasets[dataset].split,
            "parameters": _without(asdict(trainer), TRAINER_EXECUTION),
        }

    def lookup(self, cell: Cell) -> dict[str, Any]:
        """Name a published accuracy."""
        lookup = self.configuration.lookup
        if lookup is None:
            raise ValueError("the study looks nothing up")
        return {
            "data": self.facts.lookup_fingerprint,
            "dataset": lookup.dataset,
            "epochs": lookup.epochs,
            "cell": str(cell),
        }


def _without(parameters: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name not in names}
