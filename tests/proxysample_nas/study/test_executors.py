"""A study's experiments are the same to the bit wherever they run."""

from __future__ import annotations

import io
import multiprocessing

import numpy as np
import pytest

from proxysample import InputError, Ranking
from proxysample.experiments.executors import create_executor
from proxysample_nas.space.cell import Cell
from proxysample_nas.study import StudyConfiguration, StudyStore
from proxysample_nas.study.experiments.base import KnownStudy
from proxysample_nas.study.experiments.data import StudyContext
from proxysample_nas.study.experiments.evaluation import Training
from proxysample_nas.study.experiments.plan import Plan


@pytest.fixture
def context(tiny_settings):
    # TransferLoss imports torchvision and timm, which a worker has to manage by itself.
    settings = tiny_settings(samplers=["rs", "tl:epochs=1"], n_train=40)
    return StudyContext(StudyConfiguration.build(**settings))


def training(context) -> Training:
    cell = Cell.filled("nor_conv_3x3", n_nodes=3)
    return Training.of(KnownStudy(context.configuration, context.info()), cell, 4, 777)


def run_all(executor, experiments):
    outcomes = {}
    waiting = list(experiments)
    while waiting or executor.n_running:
        while waiting and executor.has_room:
            executor.submit(waiting.pop())
        for experiment, outcome in executor.collect(1.0):
            outcomes[experiment.key] = outcome
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


@pytest.mark.usefixtures("forked_workers")
def test_processes_give_the_bits_of_this_process(context, tmp_path):
    plan = Plan(context.configuration, context.info(), StudyStore(tmp_path / "plan.sqlite"))
    experiments = [*plan.stage("selection").experiments, training(context)]
    with create_executor(context, "in-process", n_threads=2) as executor:
        here = run_all(executor, experiments)
    # One worker; others are tested side by side, and on Ray those that have to import all else.
    with create_executor(context, "processes", n_workers=1, n_threads=2) as executor:
        there = run_all(executor, experiments)
    for key, one in here.items():
        assert one.error is None, one.traceback
        assert without_seconds(there[key].result) == without_seconds(one.result)
        assert scores(there[key]) == scores(one)
    machine = there[experiments[-1].key].result["machine"]
    assert (machine["n_threads"], machine["n_side_by_side"]) == (2, 1)
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
    context = StudyContext(StudyConfiguration.build(**changed))
    experiment = training(context)
    write(2)
    with create_executor(context, "processes", n_workers=1) as executor:
        executor.submit(experiment)
        with pytest.raises(InputError, match="the study's data have changed"):
            executor.collect(60)
