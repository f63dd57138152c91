"""Experiments that are named, kept and shared: one store, many runners, any executor.

It knows nothing of what the experiments are. Who has some writes a class of `Experiment` for
each kind, a `Context` that they work with and a `Plan` that lists them, opens a `Store` that is
told what the kinds hold, and calls `run_experiments`; `proxysample_nas.study` is one example.
"""

from __future__ import annotations

from proxysample.experiments.claims import Claim, Claims, RunnerRecord
from proxysample.experiments.executors import Executor, WorkerDiedError, create_executor
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
from proxysample.experiments.runner import RunInterrupted, run_experiments
from proxysample.experiments.store import Contents, Record, Store

__all__ = [
    "MACHINE",
    "Checkpoints",
    "Claim",
    "Claims",
    "Contents",
    "Context",
    "Executor",
    "Experiment",
    "Outcome",
    "Plan",
    "Record",
    "RunInterrupted",
    "RunnerRecord",
    "Stage",
    "Store",
    "WorkerDiedError",
    "attempt",
    "create_executor",
    "experiment_key",
    "run_experiments",
]
