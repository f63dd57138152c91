"""A study's grid: what is searched on, row by row of its tables."""

from __future__ import annotations

from dataclasses import dataclass

from proxysample_nas.study.grid.component import Component
from proxysample_nas.study.grid.configuration import StudyConfiguration


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


def settings_of(configuration: StudyConfiguration, n_train: int) -> list[Setting]:
    """List what is searched, baselines first; ready indices have the one ratio that they are."""
    settings = [Setting(searcher, None, 1.0) for searcher in configuration.searchers]
    ratios = sorted(configuration.ratios, reverse=True)
    settings += [
        Setting(searcher, sampler, r)
        for searcher in configuration.searchers
        for sampler in configuration.samplers
        for r in (ratios if sampler.size is None else [sampler.size / n_train])
    ]
    return settings
