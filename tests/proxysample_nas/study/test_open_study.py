"""Studies of one's own data and classes, that go on, grow, and never shrink unsaid."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

import numpy as np
import pytest
from torch.utils.data import Subset

from proxysample import InputError, RandomSampling
from proxysample.data.datasets import ArrayDataset, Splits
from proxysample_nas.cli import main
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.study import Study, StudyConfiguration
from proxysample_nas.study.experiments.data import load_study_data
from proxysample_nas.study.experiments.search import Search
from proxysample_nas.study.presets import left_out

SETTINGS: dict[str, Any] = {
    "samplers": ["rs"],
    "ratios": [0.5],
    "searchers": ["random:n_nodes=3,n_samples=1"],
    "channels": [4],
    "seeds": [777],
    "n_train": 100,
    "training": {"epochs": 1, "cells_per_stage": 1},
}
COMMAND = (
    "study run --dataset digits --n-train 100 --sampler rs -r 0.5 --workers 1 --channels 4 "
    "--seed 777 --searcher random:n_nodes=3,n_samples=1 --train epochs=1 --train cells_per_stage=1"
)


@pytest.fixture
def proxysample_nas(command_line):
    return partial(command_line, main)


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """A module in the current folder, as a user writes it."""
    (tmp_path / "my_own_things.py").write_text(
        '''
import numpy as np
from proxysample import Sampler
from proxysample_nas.searchers import RandomSearch


class Last(Sampler):
    """Keep the last samples."""

    id = "the-last"

    def __init__(self, *, offset=0):
        self.offset = offset

    def _score(self, samples, codes):
        return self.offset - np.arange(len(samples))


class Lucky(RandomSearch):
    """Draw a single cell, and like it."""

    id = "so-lucky"
'''
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("my_own_things", None)


@pytest.mark.parametrize("as_given", ["pair", "splits", "mapping", "subsets", "arrays"])
def test_data_may_be_objects(digits, as_given):
    train, test = digits.train, digits.test
    given = {
        "pair": (train, test),
        "splits": Splits("mine", train, test),
        "mapping": {"train": train, "test": test},
        "subsets": (Subset(train, range(len(train))), Subset(test, range(len(test)))),
        "arrays": ((train.images, train.targets), (test.images, test.targets)),
    }[as_given]
    settings = {**SETTINGS, "n_train": None}
    configuration = StudyConfiguration.build(dataset=given, **settings)
    assert configuration.dataset == ("mine" if as_given == "splits" else "given data")
    assert "splits" not in configuration.to_json()
    found = load_study_data(configuration.splits).info
    if as_given != "subsets":  # these give floats
        assert found == load_study_data("digits").info
    assert (found.n_train, found.n_test) == (1437, 360)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"ratios": [0.25, 0.5]}, "the study has ratios 0.5 already; add others than 0.5"),
        ({"proxy_seeds": [0, 1]}, "the study has proxy_seeds 0 already"),
        ({"samplers": ["cc-or", RandomSampling]}, "the study has RS among its samplers already"),
        ({"searchers": ["random"]}, "the study has RANDOM among its searchers already"),
    ],
)
def test_what_is_there_already_is_named(more, message):
    study = Study(dataset="digits", samplers=["rs"], ratios=[0.5], searchers=["random"])
    with pytest.raises(InputError, match=message):
        study.add(**more)


def test_parts_of_two_shapes_are_refused_before_anything_runs(digits, tmp_path):
    test = (digits.test.images[:, :4], digits.test.targets)
    study = Study(dataset=(digits.train, test), **SETTINGS, folder=tmp_path)
    with pytest.raises(InputError, match=r"\(1, 8, 8\) and \(1, 4, 8\); bring them to one size"):
        study.run(progress=False)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([3, 10], "class 10 is in the test part and has no sample"), (["3", "4"], "'3' in the test")],
)
def test_classes_that_the_training_part_lacks_are_named(digits, labels, message):
    test = ArrayDataset(digits.test.images[:2], labels)
    with pytest.raises(InputError, match=message):
        load_study_data(Splits("mine", digits.train, test))


def test_a_normalisation_reads_back_as_it_was_given():
    given = {"normalization": Normalization(mean=(0.5,), std=(0.3,))}
    one = StudyConfiguration.build(dataset="digits", **SETTINGS | {"training": given})
    assert StudyConfiguration.from_json(one.to_json()) == one


def test_given_data_are_asked_for_again_where_a_study_goes_on(digits, tmp_path):
    study = Study(dataset=(digits.train, digits.test), **SETTINGS, folder=tmp_path)
    assert study.run(progress=False) == 0
    opened = Study.open(tmp_path)
    assert [row.n_kept for row in opened.rows("random")] == [100, 50]
    with pytest.raises(InputError, match=r"dataset=\(train, test\)"):
        opened.run(progress=False)
    assert Study.open(tmp_path, dataset=(digits.train, digits.test)).run(progress=False) == 0
    with pytest.raises(InputError, match="is of 'given data', not of 'digits'"):
        Study.open(tmp_path, dataset="digits")
    other = ArrayDataset(255 - digits.train.images, digits.train.targets)
    with pytest.raises(InputError, match="have changed"):
        Study.open(tmp_path, dataset=(other, digits.test)).run(progress=False)


def test_what_is_neither_a_name_nor_data_is_refused():
    with pytest.raises(InputError, match="dataset must be a name"):
        StudyConfiguration.build(dataset=np.zeros((3, 4)), **SETTINGS)


def test_a_study_goes_on_grows_and_does_not_shrink(proxysample_nas, tmp_path):
    folder = ["--output", str(tmp_path / "study")]
    code, _out, err = proxysample_nas(*COMMAND.split(), *folder)
    assert code == 0, err
    words = "study add --sampler cc-rs --ratio 0.25 --search-seed 1 --workers 1"
    code, out, err = proxysample_nas(*words.split(), *folder)
    assert code == 0, err
    assert "2 searches per row" in out
    study = Study.open(tmp_path / "study")
    assert [one.name for one in study.configuration.samplers] == ["rs", "cc-rs"]
    assert len(study.rows("random")) == 5
    keys = study.store.states()
    # Less than there is.
    code, _out, err = proxysample_nas(*COMMAND.split(), *folder)
    assert code == 2
    for lost in ("the sampler CC-RS", "r 0.25", "the search seed 1", "--drop"):
        assert lost in err
    assert len(Study.open(tmp_path / "study").rows("random")) == 5
    # Its folder alone says all.
    code, _out, err = proxysample_nas("study", "run", "--workers", "1", *folder)
    assert code == 0, err
    assert study.store.states() == keys
    code, _out, err = proxysample_nas(*COMMAND.split(), "--drop", *folder)
    assert code == 0, err
    assert len(Study.open(tmp_path / "study").rows("random")) == 2


@pytest.mark.parametrize(
    ("changed", "lost"),
    [
        ({"recipe": "paper"}, "of evaluation (now"),
        ({"n_train": 50}, "n_train=100 (now 50)"),
        ({"proxy_seeds": [1]}, "the proxy seed 0"),
        ({"proxy_seeds": [0, 1]}, None),
        ({"training": {"epochs": 1, "cells_per_stage": 1, "momentum": 0.9}}, None),
        ({"searchers": ["random:n_nodes=3,n_samples=1,channels=16"]}, None),
    ],
)
def test_only_what_would_be_lost_counts_as_left_out(changed, lost):
    before = StudyConfiguration.build(dataset="digits", **SETTINGS)
    told = left_out(before, StudyConfiguration.build(dataset="digits", **SETTINGS | changed))
    assert (lost is None and told == []) or any(lost in one for one in told)


def test_a_file_of_indices_that_has_changed_is_told_from_one_that_is_left_out(tmp_path):
    path = tmp_path / "kept.npy"
    studies = []
    for n_kept in (20, 30):
        np.save(path, np.arange(n_kept))
        settings = SETTINGS | {"samplers": [f"indices:path={path}"]}
        studies.append(StudyConfiguration.build(dataset="digits", **settings))
    (told,) = left_out(*studies)
    assert told.endswith("kept.npy) as it was before it changed")


def test_own_classes_are_named_by_their_module(own_module, proxysample_nas, tmp_path):
    words = COMMAND.replace("--sampler rs", "--sampler my_own_things:Last,offset=2")
    words = words.replace("random:n_nodes", "my_own_things:Lucky,n_nodes")
    code, _out, err = proxysample_nas(*words.split(), "--output", "study")
    assert code == 0, err
    sys.modules.pop("my_own_things")
    (tmp_path / "my_own_things.py").unlink()
    # Read without them, and run only with them.
    study = Study.open("study")
    assert [row.n_kept for row in study.rows("so-lucky")] == [100, 50]
    with pytest.raises(InputError, match=r"store alone: no \w+ .* is known .* by --import MODULE"):
        study.run(progress=False)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        ("no_such_module:Mine", "cannot be imported (ModuleNotFoundError"),
        ("my_own_things:Lucky", "is no sampler; needed: a Sampler"),
        ("my_own_things:Mine", "cannot be imported (AttributeError"),
        ("my_own_things:Last,ofset=1", "my_own_things:Last: "),
    ],
)
def test_what_is_no_class_of_the_kind_is_refused(own_module, proxysample_nas, sampler, message):
    words = COMMAND.replace("--sampler rs", f"--sampler {sampler}")
    code, _out, err = proxysample_nas(*words.split(), "--output", "study")
    assert code == 2
    assert message in err


def test_time_that_is_over_ends_a_run_without_an_error(tmp_path, monkeypatch):
    timers = []

    class Clock:
        def __init__(self, seconds, function):
            timers.append((seconds, function))

        def start(self):
            pass

        cancel = start

    def search(*_):
        # The time is over in the middle of it.
        timers[0][1]()
        time.sleep(10)

    monkeypatch.setattr("proxysample.experiments.runner.threading.Timer", Clock)
    monkeypatch.setattr(Search, "run", search)
    study = Study(dataset="digits", **SETTINGS, folder=tmp_path)
    assert study.run(progress=False, max_hours=2) == 0
    assert timers[0][0] == 2 * 3600
    (searches,) = [one for one in study.status().stages if one.name == "search"]
    assert (searches.n_left, searches.n_done, searches.running) == (2, 0, ())
    with pytest.raises(InputError, match="max_hours must be a positive number"):
        study.run(max_hours=0)
