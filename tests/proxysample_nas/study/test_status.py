from __future__ import annotations

import dataclasses
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxysample import InputError
from proxysample.experiments.claims import Claims, LiveRunner, ProcessIdentity, RunnerRecord
from proxysample_nas.study import Study
from proxysample_nas.study.experiments.base import read_configuration
from proxysample_nas.study.experiments.data import StudyContext
from proxysample_nas.study.experiments.evaluation import Training
from proxysample_nas.study.experiments.plan import Plan
from proxysample_nas.study.experiments.search import Search
from proxysample_nas.study.forecast.durations import Durations, Seconds
from proxysample_nas.study.forecast.status import StudyStatus
from proxysample_nas.study.run import StudyStore


@pytest.fixture
def study(tiny_settings, tmp_path):
    """A study of which nothing has been run; its store holds what a run writes first."""
    study = Study(**tiny_settings(samplers=["rs", "cc-rs"], seeds=[777, 888]), folder=tmp_path)
    store = study.store
    store.set_info("configuration", study.configuration.to_json())
    store.set_info("facts", StudyContext(study.configuration).info().to_json())
    return study


def plan_of(study: Study) -> Plan:
    return Plan(*read_configuration(study.store), study.store)


def durations(study: Study) -> Durations:
    return Durations(plan_of(study).progress())


def search(study: Study, cell: str = "|none~0|+|none~0|none~1|") -> None:
    """Keep made-up results of all searches."""
    for task in plan_of(study).stage("search").experiments:
        result = {"cell": cell, "seconds": 1.0, "n_kept": 60}
        study.store.put("search", task.specification, result)


def select(study: Study) -> None:
    context = StudyContext(study.configuration)
    for task in plan_of(study).stage("selection").experiments:
        outcome = task.run(context)
        study.store.put(task.kind, task.specification, outcome.result, outcome.payload)


def counts(status: StudyStatus) -> dict[str, tuple[int, int, int, int]]:
    return {
        stage.name: (stage.n_done, len(stage.running), len(stage.failed), stage.n_left)
        for stage in status.stages
    }


def test_a_study_that_begins_has_everything_left_at_most(study):
    status = study.status()
    # Each of three searches could find a cell of its own, to be trained from two seeds.
    assert counts(status) == {
        "selection": (0, 0, 0, 2),
        "search": (0, 0, 0, 3),
        "evaluation": (0, 0, 0, 6),
    }
    assert [stage.is_upper_bound for stage in status.stages] == [False, False, True]
    text = str(status)
    assert "at most 6" in text
    assert "No runner is at it" in text
    assert "Not estimated" in text
    assert "To go" not in text


def test_equal_cells_bring_the_number_of_trainings_down(study):
    select(study)
    search(study)
    status = study.status()
    assert counts(status)["evaluation"] == (0, 0, 0, 2)
    assert not any(stage.is_upper_bound for stage in status.stages)


def test_a_live_runner_is_shown_with_what_it_is_at(study):
    claims = Claims(study.store.database)
    gone = dataclasses.replace(ProcessIdentity.here(), process="1")
    claims.beat(RunnerRecord("b", gone, 1, time.time(), 0.0))
    keys = [one.key for one in plan_of(study).stage("selection").experiments]
    claims.claim(keys[1], "b")
    with LiveRunner(claims, "a", 2) as live:
        live.claim(keys[0])
        status = study.status()
    # What a runner was at that is gone is left.
    assert counts(status)["selection"] == (0, 1, 0, 1)
    assert [runner.id for runner in status.runners] == ["a"]
    assert status.time_to_go.n_workers == 2
    text = str(status)
    assert f"running: score by RS, on {gone.host} (process {gone.pid})" in text
    assert "last heartbeat 0." in text


@contextmanager
def no_room_at_the_end(runner: LiveRunner) -> Iterator[LiveRunner]:
    """A runner that cannot leave: the system lets no file grow any more, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with runner as live:
            yield live
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_runner_of_this_process_that_could_not_leave_is_gone(study):
    claims = Claims(study.store.database)
    (key, *_) = [one.key for one in plan_of(study).stage("selection").experiments]
    runner = LiveRunner(claims, "a", 1)
    with pytest.raises(InputError, match="cannot write to"), no_room_at_the_end(runner) as live:
        live.claim(key)
    assert [claim.key for claim in claims.held()] == [key]
    status = study.status()
    assert status.runners == ()
    assert counts(status)["selection"] == (0, 0, 0, 2)
    assert study.run(progress=False) == 0
    assert claims.held() == claims.runners() == []


def test_a_silent_runner_of_another_machine_is_gone_after_two_minutes(study):
    claims = Claims(study.store.database)
    elsewhere = dataclasses.replace(ProcessIdentity.here(), machine="another")
    claims.beat(RunnerRecord("a", elsewhere, 1, time.time(), 0.0))
    assert [runner.id for runner in study.status().runners] == ["a"]
    study.store.database.write("UPDATE runners SET heartbeat = heartbeat - ?", [121.0])
    assert study.status().runners == ()


def test_failures_are_shown_and_what_needs_them_is_blocked(study):
    for task in plan_of(study).stage("selection").experiments[:1]:
        study.store.put_failure(task.kind, task.specification, "InputError: no labels\nmore")
    status = study.status()
    assert counts(status)["selection"] == (0, 0, 1, 1)
    assert counts(status)["search"] == (0, 0, 0, 2)
    assert status.stages[1].n_blocked == 1
    text = str(status)
    assert "failed: score by RS: InputError: no labels\n" in text
    assert "1 search cannot begin" in text
    assert "--retry-failed" in text


def test_time_to_go_is_that_of_finished_experiments_of_the_kind(study):
    select(study)
    search(study)
    store = study.store
    first, second = plan_of(study).stage("evaluation").experiments
    store.put("training", first.specification, {"seconds": 40.0, "n_train": 120})
    time_to_go = study.status().time_to_go
    assert time_to_go.seconds == Seconds(40.0, 40.0, 40.0)
    assert time_to_go.unknown == ()
    store.put("training", second.specification, {"seconds": 60.0, "n_train": 120})
    assert study.status().time_to_go.seconds == Seconds(0.0, 0.0, 0.0)
    cost = Training.cost_of(first.specification, 120)
    found = durations(study).of(cost)
    assert (found.low, found.likely, found.high) == pytest.approx((40.0, 50.0, 60.0))


def test_searches_take_as_long_as_their_samples_say(study):
    task = plan_of(study).stage("search").experiments[0]
    cost = Search.cost_of(task.specification, 120)
    half = dataclasses.replace(cost, n_samples=60)
    assert durations(study).of(cost) is None
    specification = task.specification
    study.store.put("search", specification, {"seconds": 12.0, "n_kept": 120})
    assert durations(study).of(half).likely == pytest.approx(6.0)
    # Another size tells that half of it does not depend on the samples.
    study.store.put("search", specification | {"r": 0.5}, {"seconds": 9.0, "n_kept": 60})
    quarter = dataclasses.replace(cost, n_samples=30)
    assert durations(study).of(quarter).likely == pytest.approx(7.5)


def test_a_search_of_so_many_steps_takes_the_same_time_on_any_data(study):
    task = plan_of(study).stage("search").experiments[0]
    parameters = task.specification["parameters"] | {"steps_per_epoch": 10}
    specification = task.specification | {"parameters": parameters}
    study.store.put("search", specification, {"seconds": 12.0, "n_kept": 120})
    assert durations(study).of(Search.cost_of(specification, 30)).likely == 12.0


def test_a_status_reads_no_data(study, monkeypatch):
    monkeypatch.setattr("proxysample_nas.study.experiments.data.load_dataset", None)
    assert study.status().stages


def test_the_status_of_nothing_is_refused(tiny_settings, tmp_path):
    with pytest.raises(InputError, match="run one first"):
        Study(**tiny_settings(), folder=tmp_path / "none").status()
    StudyStore(tmp_path / "study.sqlite")
    with pytest.raises(InputError, match="no study was run"):
        Study(**tiny_settings(), folder=tmp_path).status()
