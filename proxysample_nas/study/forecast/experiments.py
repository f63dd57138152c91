"""Every experiment of a study, those that cannot be named yet included, and what it costs by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from proxysample.experiments.experiment import Stage, experiment_key
from proxysample.keeping import n_kept
from proxysample_nas.study.experiments.tasks import LookupTask, Task, TrainingTask
from proxysample_nas.study.grid.component import Component
from proxysample_nas.study.grid.plan import Plan
from proxysample_nas.training.trainer import CellTrainer


@dataclass(frozen=True)
class Cost:
    """What decides how long an experiment takes.

    Attributes
    ----------
    kind : str
        The experiment's.
    parameters : str
        Its specification but for what hardly matters (seeds, the cell, the kept samples), as
        JSON: experiments with the same are compared.
    n_samples : int
        Images that it goes through.
    """

    kind: str
    parameters: str
    n_samples: int

    @property
    def compared(self) -> tuple[str, str]:
        """What experiments share that differ in their number of images alone."""
        return self.kind, self.parameters


@dataclass(frozen=True)
class Experiment:
    """One experiment of a study, or several alike that cannot be named yet.

    Attributes
    ----------
    stage : str
        See `proxysample_nas.study.grid.plan.Stage`.
    label : str
        Words for people; the same for experiments that differ by a seed or a cell alone.
    cost : Cost
    key : str or None
        None where it depends on cells that are not found yet.
    count : int
        How many; with a key it is 1, and without one it is an upper bound.
    subject : Component, CellTrainer or None
        What does the work; None where nothing is computed.
    dataset : str
        Which is read.
    is_blocked : bool
        Whether it cannot run because the selection that it needs has failed.
    """

    stage: str
    label: str
    cost: Cost
    key: str | None
    count: int
    subject: Component | CellTrainer | None
    dataset: str
    is_blocked: bool = False


COMPARED = {
    "selection": ("sampler", "data"),
    "search": ("searcher", "data", "architecture_data"),
    "training": ("data",),
    "lookup": ("data",),
}


def cost_of(kind: str, specification: Mapping[str, Any], n_samples: int) -> Cost:
    """Say what decides how long an experiment takes.

    Parameters
    ----------
    kind, specification
        See `proxysample.experiments.store.Record`.
    n_samples : int
        Images that it goes through.

    Returns
    -------
    Cost

    Examples
    --------
    >>> specification = {"data": "ab", "cell": "|none~0|", "seed": 7, "parameters": {"epochs": 3}}
    >>> cost_of("training", specification, 100).parameters
    '[{"epochs": 3}, "ab"]'
    """
    parameters = dict(specification.get("parameters", {}))
    parameters.pop("random_state", None)
    named = [specification[name] for name in COMPARED[kind]]
    return Cost(kind, json.dumps([parameters, *named], sort_keys=True), n_samples)


def list_experiments(plan: Plan) -> list[Experiment]:
    """List all experiments of a study, as far as its store can tell by now.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    list of Experiment
        Stage by stage.
    """
    experiments = [*_selections(plan), *_searches(plan), *_judgings(plan)]
    if plan.configuration.transfers:
        experiments += _transfers(plan)
    return experiments


def _selections(plan: Plan) -> Iterator[Experiment]:
    dataset = plan.configuration.dataset
    n_train = plan.facts.datasets[dataset].n_train
    for sampler in plan.configuration.samplers:
        specification = plan.specifications.selection(sampler)
        yield Experiment(
            "selection",
            f"score by {sampler.label}",
            cost_of("selection", specification, n_train),
            experiment_key("selection", specification),
            1,
            sampler,
            dataset,
        )


def _searches(plan: Plan) -> Iterator[Experiment]:
    dataset = plan.configuration.dataset
    n_train = plan.facts.datasets[dataset].n_train
    for setting, seed in product(plan.settings, plan.configuration.search_seeds):
        specification = plan.specifications.search(setting, seed)
        n_samples = n_kept(n_train, setting.r)
        data = "full data" if setting.sampler is None else f"r={setting.r:g}"
        yield Experiment(
            "search",
            f"search by {setting.searcher.label} on {data}",
            cost_of("search", specification, n_samples),
            experiment_key("search", specification),
            1,
            setting.searcher,
            dataset,
            is_blocked=plan.has_no_proxy(setting),
        )


def _judgings(plan: Plan) -> Iterator[Experiment]:
    configuration = plan.configuration
    stage = plan.judging()
    n_unnamed = stage.n_at_most - len(stage.experiments)
    if configuration.lookup is not None:
        yield from _lookups(plan, stage, n_unnamed)
        return
    for channels in configuration.channels:
        trainer = configuration.create_trainer(channels)
        tasks = [
            task
            for task in stage.experiments
            if isinstance(task, TrainingTask) and task.channels == channels
        ]
        yield from _trainings(
            plan,
            "judging",
            configuration.dataset,
            trainer,
            tasks,
            n_unnamed // len(configuration.channels),
        )


def _lookups(plan: Plan, stage: Stage[Task], n_unnamed: int) -> Iterator[Experiment]:
    fingerprint = plan.facts.lookup_fingerprint
    cost = cost_of("lookup", {"data": fingerprint}, 0)
    keys: list[str | None] = [
        experiment_key(task.kind, task.specification)
        for task in stage.experiments
        if isinstance(task, LookupTask)
    ]
    for key in [*keys, *([None] if n_unnamed else [])]:
        count = n_unnamed if key is None else 1
        yield Experiment("judging", "look a cell up", cost, key, count, None, "")


def _transfers(plan: Plan) -> Iterator[Experiment]:
    stage = plan.transfer()
    is_named = bool(stage.experiments) or not stage.n_at_most
    for transfer in plan.configuration.transfers:
        tasks = [
            task
            for task in stage.experiments
            if isinstance(task, TrainingTask) and task.transfer == transfer
        ]
        trainer = transfer.create_trainer(plan.configuration.seeds)
        n_unnamed = 0 if is_named else plan.n_transfers_at_most(transfer)
        yield from _trainings(plan, "transfer", transfer.dataset, trainer, tasks, n_unnamed)


def _trainings(
    plan: Plan,
    stage: str,
    dataset: str,
    trainer: CellTrainer,
    tasks: list[TrainingTask],
    n_unnamed: int,
) -> Iterator[Experiment]:
    where = f" on {dataset}" if stage == "transfer" else ""
    label = f"train a cell at C={trainer.channels}{where}"
    specification = plan.specifications.trainer(dataset, trainer)
    cost = cost_of("training", specification, plan.facts.datasets[dataset].n_train)
    for task in tasks:
        key = experiment_key(task.kind, task.specification)
        yield Experiment(stage, label, cost, key, 1, trainer, dataset)
    if n_unnamed:
        yield Experiment(stage, label, cost, None, n_unnamed, trainer, dataset)
