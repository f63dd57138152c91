from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from sums_plugin import Doubling, SumsContext

from proxysample import InputError
from proxysample.experiments.executors import (
    InProcess,
    WorkerPool,
    create_executor,
    fixed_threads,
)
from proxysample.experiments.experiment import Outcome
from proxysample.experiments.processes import LocalProcesses


@pytest.fixture
def context(folder):
    return SumsContext(folder / "numbers.json")


@pytest.mark.parametrize(
    ("name", "n_workers", "expected"),
    [
        (None, 1, InProcess),
        (None, 2, LocalProcesses),
        ("in-process", None, InProcess),
        ("processes", 1, LocalProcesses),
    ],
)
def test_one_worker_is_this_process_unless_processes_are_asked_for(
    context, name, n_workers, expected
):
    with create_executor(context, name, n_workers=n_workers) as executor:
        assert type(executor) is expected


def test_an_experiment_runs_here_when_it_is_collected(context):
    with create_executor(context, "in-process", n_threads=2) as executor:
        assert executor.collect(0) == []
        experiment = Doubling({"index": 0})
        executor.submit(experiment)
        assert not executor.has_room
        ((ended, outcome),) = executor.collect(0)
        assert executor.has_room
    assert ended is experiment
    assert outcome.result["number"] == 6
    assert outcome.result["machine"]["n_threads"] == 2


def test_threads_are_restored():
    before = torch.get_num_threads()
    with fixed_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


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
def test_options_that_do_not_fit_are_refused(context, name, options, message):
    with pytest.raises(InputError, match=message):
        create_executor(context, name, **options)


class AtOnce(WorkerPool[object]):
    """A pool whose workers answer whenever they are asked."""

    def _start_worker(self):
        return object()

    def _give(self, worker, experiment):
        pass

    def _answers(self, workers, timeout):
        return [(worker, Outcome({})) for worker in workers]

    def _stop_workers(self, workers):
        pass


def test_one_that_is_given_out_twice_is_told_twice():
    # As where somebody begins the study's store anew beneath a run.
    pool, experiment = AtOnce(2), SimpleNamespace(key="a")
    pool.submit(experiment)
    pool.submit(experiment)
    assert [one for one, _ in pool.collect(0)] == [experiment] * 2
    assert not pool.n_running
