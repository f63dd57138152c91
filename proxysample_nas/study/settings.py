"""A study's grid: what is searched on, and the specification that names each experiment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from proxysample.sampler import plain_parameters
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.configuration import Component, StudyConfiguration


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
    fingerprint : str
        Of the data.
    """

    def __init__(self, configuration: StudyConfiguration, fingerprint: str) -> None:
        self.configuration = configuration
        self.fingerprint = fingerprint

    def selection(self, sampler: Component) -> dict[str, Any]:
        """Name a scoring pass; it serves every ratio."""
        parameters = plain_parameters(self.configuration.create_sampler(sampler))
        return {
            "data": self.fingerprint,
            "sampler": sampler.name,
            "parameters": _without(parameters, SAMPLER_EXECUTION),
        }

    def search(self, setting: Setting) -> dict[str, Any]:
        """Name a search."""
        searcher = self.configuration.create_searcher(setting.searcher)
        return {
            "data": self.fingerprint,
            "selection": None if setting.sampler is None else self.selection(setting.sampler),
            "r": setting.r,
            "searcher": setting.searcher.name,
            "parameters": searcher.parameters_as_json(),
        }

    def training(self, cell: Cell, channels: int, seed: int) -> dict[str, Any]:
        """Name a training; equal cells share it, whoever found them."""
        parameters = asdict(self.configuration.create_trainer(channels))
        return {
            "data": self.fingerprint,
            "cell": str(cell),
            "seed": seed,
            "parameters": _without(parameters, TRAINER_EXECUTION),
        }


def _without(parameters: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name not in names}
