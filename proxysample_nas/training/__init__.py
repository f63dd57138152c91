"""Evaluate a cell by training it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample_nas.training.evaluation import Evaluation, TrainingRun
    from proxysample_nas.training.optimization import DivergenceError
    from proxysample_nas.training.trained import TrainedCell
    from proxysample_nas.training.trainer import CellTrainer

__all__ = [
    "CellTrainer",
    "DivergenceError",
    "Evaluation",
    "TrainedCell",
    "TrainingRun",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample_nas.training.evaluation": ["Evaluation", "TrainingRun"],
            "proxysample_nas.training.optimization": ["DivergenceError"],
            "proxysample_nas.training.trained": ["TrainedCell"],
            "proxysample_nas.training.trainer": ["CellTrainer"],
        },
    )
