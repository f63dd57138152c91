"""Experiments that are named, kept and shared: one store, many runners, any executor.

It knows nothing of what the experiments are. Who has some gives a kind of `Experiment`, a
`Context` that they work with, and a `Plan`; `proxysample_nas.study` is one example.
"""

from __future__ import annotations

from proxysample.experiments.experiment import (
    MACHINE,
    Checkpoints,
    Context,
    Experiment,
    Outcome,
    Plan,
    Stage,
    attempt,
    experiment_key,
)

__all__ = [
    "MACHINE",
    "Checkpoints",
    "Context",
    "Experiment",
    "Outcome",
    "Plan",
    "Stage",
    "attempt",
    "experiment_key",
]
