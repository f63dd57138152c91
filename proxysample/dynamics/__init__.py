"""Training dynamics: what a network made of each sample in each epoch, and scores from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample.dynamics.aum_calculator import AUMCalculator
    from proxysample.dynamics.huggingface import EvaluationRecorder, RecordingTrainerMixin
    from proxysample.dynamics.indexed import with_indices
    from proxysample.dynamics.keras import record_epoch_end
    from proxysample.dynamics.lightning import RecorderCallback
    from proxysample.dynamics.readers import from_arrays, from_jsonl
    from proxysample.dynamics.record import Dynamics
    from proxysample.dynamics.recorder import DynamicsRecorder, RepeatedSamplesWarning
    from proxysample.dynamics.scores import SCORES, Score, score
    from proxysample.dynamics.suspects import Suspects, mislabelled

__all__ = [
    "SCORES",
    "AUMCalculator",
    "Dynamics",
    "DynamicsRecorder",
    "EvaluationRecorder",
    "RecorderCallback",
    "RecordingTrainerMixin",
    "RepeatedSamplesWarning",
    "Score",
    "Suspects",
    "from_arrays",
    "from_jsonl",
    "mislabelled",
    "record_epoch_end",
    "score",
    "with_indices",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample.dynamics.aum_calculator": ["AUMCalculator"],
            "proxysample.dynamics.huggingface": ["EvaluationRecorder", "RecordingTrainerMixin"],
            "proxysample.dynamics.keras": ["record_epoch_end"],
            "proxysample.dynamics.lightning": ["RecorderCallback"],
            "proxysample.dynamics.indexed": ["with_indices"],
            "proxysample.dynamics.suspects": ["Suspects", "mislabelled"],
            "proxysample.dynamics.readers": ["from_arrays", "from_jsonl"],
            "proxysample.dynamics.record": ["Dynamics"],
            "proxysample.dynamics.recorder": ["DynamicsRecorder", "RepeatedSamplesWarning"],
            "proxysample.dynamics.scores": ["SCORES", "Score", "score"],
        },
    )
