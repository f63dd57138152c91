from __future__ import annotations

import io
import json
import multiprocessing
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from proxysample import InputError, Ranking
from proxysample_nas.space.cell import Cell
from proxysample_nas.study import StudyConfiguration
from proxysample_nas.study.executors import WorkerDiedError, create_executor
from proxysample_nas.study.executors.threads import fixed_threads
from proxysample_nas.study.experiments.tasks import TrainingTask
from proxysample_nas.study.experiments.workbench import Workbench
from proxysample_nas.study.grid.plan import Plan
from proxysample_nas.study.store.store import Store


@pytest.fixture
def workbench(tiny_settings):
    # TransferLoss imports torchvision and timm, which a worker has to manage by itself.
    return Workbench(StudyConfiguration.build(**tiny_settings(samplers=["rs", "tl:epochs=1"])))


def training(workbench, tmp_path, n_epochs: int = 1) -> TrainingTask:
    configuration = replace(
        workbench.configuration, training=workbench.configuration.training | {"epochs": n_epochs}
    )
    workbench.configuration = configuration
    plan = Plan(configuration, workbench.facts(), Store(tmp_path / "plan.sqlite"))
    cell = Cell.filled("nor_conv_3x3", n_nodes=3)
    return TrainingTask(plan.specifications.training(cell, 4, 777), cell, 4, 777)


def run_all(executor, tasks):
    outcomes = {}
    waiting = list(tasks)
    while waiting or executor.n_running:
        while waiting and executor.has_room:
            executor.submit(waiting.pop())
        for task, outcome in executor.collect(1.0):
            outcomes[task] = outcome
    return outcomes


def without_seconds(result):
    """Everything but the wall-clock time and the machine, to the bit."""
    if isinstance(result, dict):
        return {
            name: without_seconds(value)
            for name, value in result.items()
            if name not in ("seconds", "machine")
        }
    return [without_seconds(one) for one in result] if isinstance(result, list) else result


def scores(outcome) -> bytes | None:
    if outcome.payload is None:
        return None
    return Ranking.read(io.BytesIO(outcome.payload), "an outcome").scores.tobytes()


def test_processes_give_the_bits_of_this_process(workbench, tmp_path):
    plan = Plan(workbench.configuration, workbench.facts(), Store(tmp_path / "plan.sqlite"))
    tasks = [*plan.selection().tasks, training(workbench, tmp_path)]
    with create_executor(workbench, "in-process") as executor:
        here = run_all(executor, tasks)
    # One worker, which has to import all by itself; others are tested side by side.
    with create_executor(workbench, "processes", n_workers=1) as executor:
        there = run_all(executor, tasks)
    for task in tasks:
        assert here[task].error is None, here[task].traceback
        assert without_seconds(there[task].result) == without_seconds(here[task].result)
        assert scores(there[task]) == scores(here[task])
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("forked_workers")
def test_each_experiment_has_the_same_number_of_threads(workbench, tmp_path):
    task = training(workbench, tmp_path)
    with create_executor(workbench, "processes", n_workers=1, n_threads=2) as executor:
        (outcome,) = run_all(executor, [task]).values()
    assert outcome.result["machine"]["n_threads"] == 2


def test_threads_are_restored():
    before = torch.get_num_threads()
    with fixed_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def kill_the_worker(executor) -> None:
    """Wait until the worker is at its task, and kill it."""
    executor.collect(30)
    (process,) = multiprocessing.active_children()
    time.sleep(0.1)
    process.kill()


@pytest.mark.usefixtures("forked_workers")
def test_an_experiment_whose_worker_dies_is_run_again(workbench, tmp_path):
    task = training(workbench, tmp_path, n_epochs=30)
    with create_executor(workbench, "in-process") as executor:
        (expected,) = run_all(executor, [task]).values()
    with create_executor(workbench, "processes", n_workers=1) as executor:
        executor.submit(task)
        kill_the_worker(executor)
        (outcome,) = run_all(executor, []).values()
    assert without_seconds(outcome.result) == without_seconds(expected.result)


@pytest.mark.usefixtures("forked_workers")
def test_an_experiment_that_kills_two_workers_has_failed(workbench, tmp_path):
    task = training(workbench, tmp_path, n_epochs=10_000)
    with create_executor(workbench, "processes", n_workers=1) as executor:
        executor.submit(task)
        kill_the_worker(executor)
        executor.collect(30)  # notices, and tries once more
        kill_the_worker(executor)
        ((ended, outcome),) = executor.collect(30)
        assert ended is task
        assert executor.has_room
    assert outcome.result is None
    assert "exit code -9" in outcome.error
    assert "fewer workers" in outcome.error


@pytest.mark.usefixtures("forked_workers")
def test_workers_end_at_once_in_the_middle_of_an_experiment(workbench, tmp_path):
    with create_executor(workbench, "processes", n_workers=1) as executor:
        executor.submit(training(workbench, tmp_path, n_epochs=10_000))
        executor.collect(30)
        start = time.monotonic()
    assert time.monotonic() - start < 4
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_reads_other_data_is_refused(tiny_settings, tmp_path):
    def write(value: int) -> None:
        images = np.full((8, 8, 8, 1), value, dtype=np.uint8)
        labels = np.arange(8) % 2
        np.savez(
            tmp_path / "data.npz",
            train_images=images,
            train_labels=labels,
            test_images=images,
            test_labels=labels,
        )

    write(1)
    changed = tiny_settings(dataset=f"npz:{tmp_path / 'data.npz'}", n_train=None)
    workbench = Workbench(StudyConfiguration.build(**changed))
    task = training(workbench, tmp_path)
    write(2)
    with create_executor(workbench, "processes", n_workers=1) as executor:
        executor.submit(task)
        with pytest.raises(InputError, match="have changed"):
            executor.collect(60)


@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_cannot_begin_ends_the_study(workbench, tmp_path, monkeypatch):
    monkeypatch.setattr("proxysample_nas.study.executors.local_processes.work", json.dumps)
    with create_executor(workbench, "processes", n_workers=1) as executor:
        executor.submit(training(workbench, tmp_path))
        with pytest.raises(WorkerDiedError, match="before it could begin"):
            executor.collect(60)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("process", {}, "did you mean 'processes'"),
        ("in-process", {"n_workers": 2}, "one experiment at a time"),
        (None, {"n_workers": 0}, "n_workers must be at least 1"),
        ("processes", {"n_threads": 0}, "n_threads must be at least 1"),
        ("processes", {"n_gpus": 0.5}, "for the executor 'ray'"),
        (None, {"address": "auto"}, "for the executor 'ray'"),
        ("ray", {"n_gpus": 1.5}, "a fraction of a GPU or a whole number"),
        ("ray", {"n_gpus": -1}, "a fraction of a GPU or a whole number"),
    ],
)
def test_options_that_do_not_fit_are_refused(workbench, name, options, message):
    with pytest.raises(InputError, match=message):
        create_executor(workbench, name, **options)
