"""Studies: samplers, ratios and searchers compared, kept in a store, reported as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample.components import Component
    from proxysample.experiments.runner import RunInterrupted
    from proxysample_nas.study.configuration import StudyConfiguration
    from proxysample_nas.study.forecast.estimate import StudyEstimate
    from proxysample_nas.study.forecast.status import StudyStatus
    from proxysample_nas.study.given import Lookup, Transfer
    from proxysample_nas.study.presets import PRESETS, preset
    from proxysample_nas.study.results import CellAccuracy, FoundCell, Row
    from proxysample_nas.study.run import StudyStore
    from proxysample_nas.study.study import Study

__all__ = [
    "PRESETS",
    "CellAccuracy",
    "Component",
    "FoundCell",
    "Lookup",
    "Row",
    "RunInterrupted",
    "Study",
    "StudyConfiguration",
    "StudyEstimate",
    "StudyStatus",
    "StudyStore",
    "Transfer",
    "preset",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample.experiments.runner": ["RunInterrupted"],
            "proxysample_nas.study.forecast.estimate": ["StudyEstimate"],
            "proxysample_nas.study.forecast.status": ["StudyStatus"],
            "proxysample.components": ["Component"],
            "proxysample_nas.study.configuration": ["StudyConfiguration"],
            "proxysample_nas.study.given": ["Lookup", "Transfer"],
            "proxysample_nas.study.presets": ["PRESETS", "preset"],
            "proxysample_nas.study.results": ["CellAccuracy", "FoundCell", "Row"],
            "proxysample_nas.study.run": ["StudyStore"],
            "proxysample_nas.study.study": ["Study"],
        },
    )
