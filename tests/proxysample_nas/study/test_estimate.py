from __future__ import annotations

import inspect
import re
import sys
import time
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from proxysample.errors import InputError
from proxysample_nas.searchers import Searcher, SearchResult, create_searcher
from proxysample_nas.searchers.random_search import RandomSearch
from proxysample_nas.searchers.registry import SEARCHERS
from proxysample_nas.study import Study, StudyConfiguration
from proxysample_nas.study.durations import ONCE, Calibration, Rates, Seconds, time_trial
from proxysample_nas.study.estimate import estimate_study
from proxysample_nas.study.experiments.base import Part, Trial
from proxysample_nas.study.experiments.data import StudyContext
from proxysample_nas.study.experiments.evaluation import training_trial, trial_cells
from proxysample_nas.study.experiments.scoring import scoring_trial
from proxysample_nas.study.experiments.search import search_sizes, search_trial

SMALL = {"n_nodes": 3, "channels": 4, "cells_per_stage": 1, "random_state": 0, "progress": False}
SIZES = (300, 200)


class ByEpochs(RandomSearch):
    """A searcher of someone else's, which knows of epochs and of no steps."""

    id = "by-epochs"
    tried: ClassVar[list[int]] = []
    work = Searcher.work
    shortened = Searcher.shortened
    lengthenings = Searcher.lengthenings

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        given = super().get_params(deep)
        del given["steps_per_epoch"]
        return given

    def search(self, *given: Any, **named: Any) -> SearchResult:
        ByEpochs.tried.append(self.epochs)
        return super().search(*given, **named)


class Untimed(Searcher):
    """One that has none of the parameters by which ours are made short."""

    id = "untimed"

    def __init__(self, *, random_state: Any = None, augmentation: Any = None, progress: Any = None):
        self.random_state = random_state
        self.augmentation = augmentation
        self.progress = progress

    def search(self, *_: Any, **__: Any) -> SearchResult:
        raise AssertionError("nobody knows how long this takes")


class Failing(ByEpochs):
    """One that fails by an error that nobody has foreseen."""

    id = "failing"
    n_searches = 0

    def search(self, *_: Any, **__: Any) -> SearchResult:
        Failing.n_searches += 1
        raise ZeroDivisionError("no cells")


@pytest.fixture(autouse=True)
def plug_ins():
    for plug_in in (ByEpochs, Untimed, Failing):
        SEARCHERS.register(plug_in)
    Failing.n_searches = 0
    ByEpochs.tried.clear()
    yield
    for plug_in in (ByEpochs, Untimed, Failing):
        SEARCHERS.unregister(plug_in.id)


RATE = st.floats(1e-6, 10.0)


@given(once=RATE, step=RATE, update=RATE)
def test_rates_are_found_whatever_they_are(once, step, update):
    counts = [{"step": s, "update": u} for s, u in ((64.0, 1.0), (640.0, 1.0), (64.0, 8.0))]
    timed = [(one, once + step * one["step"] + update * one["update"]) for one in counts]
    estimated = Rates.fit(timed).estimate({"step": 1e5, "update": 100.0})
    assert estimated == pytest.approx(once + step * 1e5 + update * 100, rel=1e-4)


def test_no_part_takes_less_than_no_time():
    rates = Rates.fit([({"step": 1.0}, 2.0), ({"step": 2.0}, 1.0)])
    assert min(rates.seconds.values()) >= 0


@pytest.mark.parametrize(
    ("most", "step", "expected"),
    [
        (1, 0.2, []),
        (3, 0.2, [2, 3]),
        # Hardly longer than the shortest run at first, so the next is 16 times as long.
        (1000, 0.2, [2, 32]),
        (1000, 2.0, [2, 8]),
        (1000, 4.0, [2, 8]),
    ],
)
def test_a_part_is_enlarged_until_it_stands_out_or_there_is_no_more_of_it(most, step, expected):
    factors = []

    def run(factor: int):
        factors.append(factor)
        return {"step": float(factor)}, 1.0 + step * factor

    rates = time_trial(Trial(1, [Part(lambda _, factor: factor, most)], run), seconds=30.0)
    assert factors == [1, 1, *expected]
    if expected:
        assert rates.seconds == pytest.approx({"step": step, ONCE: 1.0})


def test_a_run_that_takes_longer_than_its_time_is_the_only_one():
    factors = []

    def run(factor: int):
        factors.append(factor)
        return {"train": 3.0 * factor, "evaluate": 1.0}, 8.0

    rates = time_trial(Trial(1, [Part(lambda _, factor: factor, 1000)], run), seconds=5.0)
    assert factors == [1]
    assert rates.estimate({"train": 30.0, "evaluate": 10.0}) == pytest.approx(80.0)


def test_no_long_run_begins_when_the_time_is_up():
    factors = []

    def run(factor: int):
        factors.append(factor)
        return {"step": float(factor)}, 1.0 * factor

    time_trial(Trial(1, [Part(lambda _, factor: factor, 1000)], run), seconds=0.0)
    assert factors == [1, 1, 2]


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("darts-v1", {"epochs": 3}, {"step": 900}),
        ("gdas", {"epochs": 3, "steps_per_epoch": 5, "batch_size": 10}, {"step": 150}),
        (
            "enas",
            {"epochs": 2, "controller_updates": 5, "controller_samples": 4, "batch_size": 64},
            {"step": 600, "update": 10, "reward": 40 * 64, "candidate": 100 * 200},
        ),
        ("random", {"epochs": 3, "n_samples": 4}, {"train": 3600, "evaluate": 800}),
        ("random", {"epochs": 3, "n_samples": 1}, {"train": 0, "evaluate": 0}),
        ("by-epochs", {"epochs": 3, "n_samples": 4}, {"step": 900}),
        (
            "darts-v2",
            {"epochs": 1, "selection": "perturbation", "perturbation_epochs": 2},
            {"step": 300, "recover": 2 * 2 * 300, "remove": 3 * 5 * 200},
        ),
    ],
)
def test_counts_are_those_of_the_algorithms(name, parameters, expected):
    searcher = create_searcher(name, **({"n_nodes": 3} | parameters))
    assert searcher.work(*SIZES) == expected


@pytest.fixture
def context(tiny_settings):
    return StudyContext(StudyConfiguration.build(**tiny_settings(n_train=None)))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("darts-v1", {}),
        ("darts-v1", {"selection": "perturbation"}),
        ("darts-v2", {"protocol": "paper"}),
        ("gdas", {}),
        ("enas", {}),
        ("random", {}),
        ("by-epochs", {"n_samples": 2}),
    ],
)
def test_every_part_of_every_searcher_is_timed(tiny_settings, name, parameters, monkeypatch):
    # Other processes may take the machine away for longer than there is time for.
    monkeypatch.setattr(time, "perf_counter", time.process_time)
    half = "test-half" if parameters.get("protocol") == "paper" else "held-out"
    configuration = StudyConfiguration.build(**tiny_settings(n_train=500, architecture_data=half))
    searcher = create_searcher(name, **(SMALL | {"batch_size": 32, "epochs": 9} | parameters))
    context = StudyContext(configuration)
    # What a process's first search imports is no part of any search.
    Calibration(context, seconds_each=0)
    before = torch.get_rng_state()
    rates = time_trial(search_trial(searcher, context.data), seconds=0.3)
    assert torch.equal(before, torch.get_rng_state())
    assert rates.seconds.keys() - {ONCE} == searcher.work(*SIZES).keys()
    assert rates.estimate(searcher.work(*SIZES)) > 0


@pytest.mark.parametrize("name", ["darts-v1", "by-epochs"])
def test_a_search_takes_about_as_long_as_estimated(context, name, monkeypatch):
    # Other processes may take the machine away for a while.
    monkeypatch.setattr(time, "perf_counter", time.process_time)
    searcher = create_searcher(name, **(SMALL | {"epochs": 4}))
    data = context.data
    # What a process's first search imports is no part of any search.
    Calibration(context, seconds_each=0)
    rates = time_trial(search_trial(searcher, data), seconds=0.3)
    result = searcher.search(data.train_images)
    sizes = result.info.n_weight_samples, result.info.n_architecture_samples
    estimated = rates.estimate(searcher.work(*sizes))
    # A wrong count is off by more.
    assert estimated / 4 < result.seconds < estimated * 4


def test_two_cells_are_timed_the_same_whenever_asked(context):
    trainer = context.configuration.create_trainer(4)
    cells = trial_cells(context.configuration)
    assert len(cells) == 2
    assert cells == trial_cells(context.configuration)
    assert cells[0] != cells[1]
    for cell in cells:
        # There is time for one run alone, whose rate no other run can bring to 0.
        assert time_trial(training_trial(trainer, cell, context.data), 0.01).seconds["train"] > 0


@pytest.mark.parametrize("name", ["rs", "cc-or", "km-or:n_clusters=20", "ae:epochs=3"])
def test_samplers_are_timed_on_a_part(context, name):
    from proxysample.components import Component

    sampler = context.configuration.create_sampler(Component.parse(name))
    rates = time_trial(scoring_trial(sampler, context.data.train), seconds=0.3)
    assert ("train" in rates.seconds) == name.startswith("ae")


def test_an_estimate_lists_what_is_left_and_writes_nothing(tiny_settings, tmp_path):
    study = Study(**tiny_settings(seeds=[777, 888], ratios=[0.5, 0.25]), folder=tmp_path / "none")
    estimate = study.estimate(n_workers=2, seconds_each=0.1)
    assert not study.folder.exists()
    assert [(one.stage, one.count, one.is_upper_bound) for one in estimate.groups] == [
        ("selection", 1, False),
        ("search", 1, False),
        ("search", 1, False),
        ("search", 1, False),
        ("evaluation", 6, True),
    ]
    stages = [estimate.stage_seconds(name) for name in ("selection", "search", "evaluation")]
    assert estimate.seconds == stages[0] + stages[1] + stages[2]
    full, half, quarter = (one.each.likely for one in estimate.groups[1:4])
    assert full > half > quarter > 0
    text = str(estimate)
    assert "at most 10 experiments" in text
    assert "2 workers of 1 thread each, device cpu" in text
    assert "Nothing was written" in text


def test_what_has_ended_is_not_estimated_again(tiny_settings, tmp_path):
    study = Study(**tiny_settings(), folder=tmp_path)
    assert study.run(progress=False) == 0
    content = study.store.path.read_bytes()
    estimate = study.estimate(seconds_each=0.1)
    assert estimate.groups == ()
    assert estimate.seconds == Seconds(0.0, 0.0, 0.0)
    assert estimate.n_ended == 4 + (study.status().stages[2].n_done - 1)
    assert study.store.path.read_bytes() == content
    assert "have ended already" in str(estimate)


def test_what_would_fail_is_told_and_the_rest_is_estimated(tiny_settings, tmp_path):
    # As many clusters as there are images: the sampler refuses.
    samplers = ["rs", "km-or:n_clusters=5000"]
    settings = tiny_settings(samplers=samplers, transfers=["npz:none.npz"])
    estimate = Study(**settings, folder=tmp_path / "none").estimate(seconds_each=0.1)
    failures = {one.label: one.failure for one in estimate.groups}
    assert "n_clusters" in failures.pop("score by KM-OR (n_clusters=5000)")
    assert set(failures.values()) == {None}
    assert estimate.seconds.likely > 0
    text = str(estimate)
    assert "cannot be told" in text
    assert "Cannot be told, and is not counted: score by KM-OR (n_clusters=5000): " in text
    assert "not counted: the transfer to npz:none.npz: " in text
    assert "without it by --transfer none" in text


def test_a_searcher_without_steps_is_estimated_by_its_epochs(tiny_settings, tmp_path, monkeypatch):
    # Epochs take long on this clock, whatever else the machine does.
    monkeypatch.setattr(ByEpochs, "tried", [])
    monkeypatch.setattr(
        time, "perf_counter", lambda: time.process_time() + 0.1 * sum(ByEpochs.tried)
    )
    words = "n_nodes=3,channels=4,cells_per_stage=1,batch_size=16,n_samples=2,epochs="
    searchers = [f"by-epochs:{words}{epochs}" for epochs in (2, 200)]
    estimate = Study(**tiny_settings(searchers=searchers), folder=tmp_path / "none").estimate(
        seconds_each=0.5
    )
    assert {one.failure for one in estimate.groups} == {None}
    few, many = (one.each.likely for one in estimate.groups if one.label.endswith("full data"))
    assert 10 * few < many
    assert ByEpochs.tried[:3] == [1, 1, 2]
    assert max(ByEpochs.tried) <= 200


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("untimed", "untimed has no parameter epochs, and so a search cannot be made short"),
        ("failing", "ZeroDivisionError: no cells"),
    ],
)
def test_a_search_that_cannot_be_timed_is_told(tiny_settings, tmp_path, name, message):
    searchers = [name, "random:n_nodes=4,n_samples=1"]
    settings = tiny_settings(searchers=searchers, ratios=[0.5, 0.25], architecture_data="test-half")
    estimate = Study(**settings, folder=tmp_path / "none").estimate(seconds_each=0.1)
    failures = [one.failure or "" for one in estimate.groups if name.upper() in one.label]
    assert len(failures) == 3
    assert all(failure.startswith(message) for failure in failures)
    assert {one.failure for one in estimate.groups if name.upper() not in one.label} == {None}
    assert str(estimate).count(message) == 3
    assert Failing.n_searches == (name == "failing")


def test_a_share_that_is_not_told_is_needed_only_where_images_are_held_out(tiny_settings):
    half = StudyConfiguration.build(**tiny_settings(architecture_data="test-half"))
    assert search_sizes(Untimed(), StudyContext(half).data, 50) == (50, 180)
    held_out = StudyConfiguration.build(**tiny_settings())
    with pytest.raises(InputError, match="untimed has no parameter architecture_fraction"):
        search_sizes(Untimed(), StudyContext(held_out).data, 50)
    fraction = create_searcher("darts-v1", architecture_fraction=0.2)
    assert search_sizes(fraction, StudyContext(held_out).data, 50) == (40, 10)


def test_cells_of_no_known_size_are_told(tiny_settings, tmp_path):
    study = Study(**tiny_settings(searchers=["untimed"]), folder=tmp_path / "none")
    estimate = study.estimate(seconds_each=0.1)
    failures = {one.stage: one.failure for one in estimate.groups}
    assert failures["selection"] is None
    assert "no searcher has a parameter n_nodes" in failures["evaluation"]
    assert estimate.n_cells == 0


@pytest.mark.parametrize(
    ("at_a_terminal", "progress"), [(True, True), (True, False), (False, True)]
)
def test_a_terminal_shows_what_is_timed(
    tiny_settings, tmp_path, monkeypatch, capsys, at_a_terminal, progress
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: at_a_terminal)
    configuration = StudyConfiguration.build(**tiny_settings(ratios=[0.5, 0.25]))
    estimate_study(configuration, tmp_path / "none", seconds_each=0.0, progress=progress)
    out, err = capsys.readouterr()
    assert out == ""
    if not (at_a_terminal and progress):
        assert err == ""
        return
    # Searches on three parts of the data are timed as one.
    shown = [
        ("0kind", "reading the data"),
        ("0/3", "score by RS"),
        ("1/3", "search by DARTS-V1"),
        ("2/3", "train a cell at C=4"),
        ("3/3", "train a cell at C=4"),
    ]
    for number, what in shown:
        assert re.search(rf"timing: [^\r]*{number}[^\r]*{what}", err), (number, what, err)


def test_by_default_it_estimates_what_run_does_by_default():
    defaults = [
        inspect.signature(method).parameters["n_workers"].default
        for method in (Study.run, Study.estimate)
    ]
    assert defaults == [1, 1]
