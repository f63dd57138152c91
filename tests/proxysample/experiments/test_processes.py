from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass

import pytest
from sums_plugin import Count, Doubling, Mishap, SumsContext

from proxysample import InputError
from proxysample.experiments.executors import WorkerDiedError, create_executor

from .executing import EXPERIMENTS, check_same, lost, run_all, run_script


@pytest.fixture
def context(folder):
    return SumsContext(folder / "numbers.json")


def test_processes_give_the_bits_of_this_process(context, monkeypatch):
    with create_executor(context, "in-process", n_threads=2) as executor:
        here = run_all(executor, EXPERIMENTS)
    unknown = lost(monkeypatch)
    with create_executor(context, "processes", n_workers=2, n_threads=2) as executor:
        there = run_all(executor, [*EXPERIMENTS, unknown])
    # What one cannot find does not end the others.
    assert "nowhere_else" in there.pop(unknown.key).error
    check_same(here, there)
    assert not multiprocessing.active_children()


def kill_each_worker(executor, folder) -> list[tuple[object, object]]:
    """Kill each worker that is at its count, once, until that has ended."""
    killed: set[int] = set()
    ended = []
    while not ended:
        ended = executor.collect(0.1)
        lines = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
        for pid in {int(line.split()[2]) for line in lines} - killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    assert len(killed) == 2
    return ended


@pytest.mark.usefixtures("forked_workers")
def test_an_experiment_whose_worker_dies_is_run_again_and_then_fails(context, folder):
    fine, long = Doubling({"index": 0}), Count({"steps": 10_000})
    with create_executor(context, "processes", n_workers=1) as executor:
        executor.submit(long)
        ((experiment, outcome),) = kill_each_worker(executor, folder)
        assert experiment is long
        # A new worker takes its place.
        (other,) = run_all(executor, [fine]).values()
        start = time.monotonic()
        executor.submit(long)
    assert time.monotonic() - start < 4
    assert not multiprocessing.active_children()
    assert outcome.result is None
    assert "exit code -9" in outcome.error
    assert "2 workers have died" in outcome.error
    assert other.result["number"] == 6


@pytest.mark.usefixtures("forked_workers")
def test_an_experiment_that_killed_one_worker_may_do_better_in_the_next(context):
    mishap = Mishap({"way": "dies", "until": 2})
    with create_executor(context, "processes", n_workers=1) as executor:
        (outcome,) = run_all(executor, [mishap]).values()
    assert outcome.result == {"attempts": 2}


@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_reads_other_data_is_refused(context, folder):
    assert context.info() == [3, 5, 7]
    (folder / "numbers.json").write_text(json.dumps([3, 5, 8]))
    with create_executor(context, "processes", n_workers=1) as executor:
        executor.submit(Doubling({"index": 0}))
        with pytest.raises(InputError, match="the sum's data have changed since the sum began"):
            executor.collect(60)


@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_cannot_read_is_refused(context, folder):
    assert context.info() == [3, 5, 7]
    (folder / "numbers.json").unlink()
    with create_executor(context, "processes", n_workers=1) as executor:
        executor.submit(Doubling({"index": 0}))
        with pytest.raises(InputError, match="cannot read the sum's data: no numbers at"):
            executor.collect(60)


@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_cannot_begin_ends_the_run(context, monkeypatch):
    monkeypatch.setattr("proxysample.experiments.processes.work", json.dumps)
    with create_executor(context, "processes", n_workers=1) as executor:
        executor.submit(Doubling({"index": 0}))
        with pytest.raises(WorkerDiedError, match="before it could begin"):
            executor.collect(60)


@pytest.mark.usefixtures("forked_workers")
def test_what_cannot_be_sent_is_told(context):
    @dataclass(frozen=True, eq=False)
    class Local(Doubling):
        pass

    with (
        create_executor(context, "processes", n_workers=1) as executor,
        pytest.raises(InputError, match=r"cannot be sent to a worker: .*Local.*define it in"),
    ):
        executor.submit(Local({"index": 0}))


@pytest.mark.usefixtures("forked_workers")
def test_a_context_that_cannot_be_sent_leaves_no_process(context, monkeypatch):
    monkeypatch.setattr(context, "for_worker", lambda _: lambda: None)
    before = multiprocessing.active_children()
    with (
        create_executor(context, "processes", n_workers=1) as executor,
        pytest.raises(InputError, match="cannot be sent to a worker"),
    ):
        executor.submit(Doubling({"index": 0}))
    assert multiprocessing.active_children() == before


def test_what_a_script_defines_is_found_and_what_is_not_does_not_end_the_others(folder):
    hidden, fine = run_script(folder, "processes", "experiment")
    assert "Hidden" in hidden
    assert fine == "{'number': 150}"


def test_a_context_that_a_worker_cannot_find_is_told(folder):
    (told,) = run_script(folder, "processes", "context")
    assert told.startswith("refused: a worker process cannot read what it is to work with")
    assert "HiddenContext" in told
    assert "define it in a module, or in the script itself outside of" in told
