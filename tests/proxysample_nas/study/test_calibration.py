"""What is timed is what an experiment costs, not what a first one in a process costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from proxysample_nas.study import Study, durations
from proxysample_nas.study.durations import Calibration, Rates, time_trial
from proxysample_nas.study.experiments.base import Part, Trial

# Prints how many of PyTorch's modules a calibration imports, and a first search after it.
PROGRAM = """
import sys, warnings
warnings.simplefilter("ignore")
import torch
from proxysample_nas.searchers import create_searcher
from proxysample_nas.study import StudyConfiguration
from proxysample_nas.study.experiments.data import StudyContext
from proxysample_nas.study.durations import Calibration

context = StudyContext(StudyConfiguration.build(**{settings!r}))
train = context.data.train_images

def tell_imported(run):
    before = set(sys.modules)
    run()
    print(sum(name.startswith("torch.") for name in set(sys.modules) - before))

def search():
    small = dict(n_nodes=2, channels=2, cells_per_stage=1, epochs=1, progress=False)
    create_searcher("darts-v1", **small).search(train)

tell_imported(lambda: Calibration(context, seconds_each=0))
tell_imported(search)
"""


def test_the_first_that_is_timed_imports_nothing_that_the_others_do_not(tiny_settings: Any) -> None:
    program = PROGRAM.format(settings=tiny_settings())
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    by_calibration, after = map(int, done.stdout.split())
    # Without it, the search would have to.
    assert by_calibration > 100
    assert after * 10 < by_calibration


def test_trainings_on_more_classes_than_a_batch_has_images_are_timed(
    tiny_settings: Any, tmp_path: Path
) -> None:
    labels = np.arange(100) // 2
    images = np.random.default_rng(0).integers(256, size=(100, 8, 8, 1), dtype=np.uint8)
    arrays = {
        f"{part}_{name}": array
        for part in ("train", "test")
        for name, array in (("images", images), ("labels", labels))
    }
    np.savez(tmp_path / "data.npz", **arrays)
    study = Study(
        **tiny_settings(
            dataset=f"npz:{tmp_path / 'data.npz'}",
            n_train=None,
            samplers=["rs"],
            training={"epochs": 1, "cells_per_stage": 1, "batch_size": 16},
        ),
        folder=tmp_path / "study",
    )
    assert "annot be told" not in str(study.estimate(seconds_each=0, progress=False))


def test_a_run_that_would_take_far_too_long_is_told_from_a_smaller_one():
    ran = []

    def run(size):
        ran.append(size)
        return {"step": float(size)}, 0.5 * size

    trial = Trial(64, [], run, probe=16, probe_share=0.25)
    # The probe takes 8 s, so that the shortest run would take 32: there are 4.
    assert time_trial(trial, 4.0).estimate({"step": 100.0}) == pytest.approx(50.0)
    assert ran == [16]
    ran.clear()
    time_trial(trial, 100.0)
    assert ran == [16, 64, 64]


def test_a_cold_start_beyond_its_time_does_not_stand_for_parts_that_cost_little():
    starts = [9.0]

    def run(counts):
        images, epochs = counts
        seconds = images * (1 + 0.001 * epochs) + (starts.pop() if starts else 0)
        return {"score": float(images), "train": float(images * epochs)}, seconds

    parts = [
        Part(lambda one, factor: (factor * one[0], one[1]), most=100),
        Part(lambda one, factor: (one[0], factor), most=50),
    ]
    rates = time_trial(Trial((1, 1), parts, run, parts_differ=True), 4.0)
    assert rates.estimate({"score": 100.0, "train": 5000.0}) == pytest.approx(105.0, rel=0.01)


def test_a_busy_machine_gets_less_time_for_what_comes_last(monkeypatch):
    given = []

    def timed(trial, seconds):
        given.append(seconds)
        return Rates.of_one({"step": 1.0}, 0.1)

    class Kind:
        takes_time = True

        def __init__(self, name):
            self.cost = mock.Mock(compared=("search", name))

        def trials(self, context):
            return [mock.sentinel.trial] * 2

        def counts(self, context):
            return {"step": 3.0}

    clock = iter([0.0, 0.0, 79.0, 500.0])
    monkeypatch.setattr(durations, "time_trial", timed)
    monkeypatch.setattr(durations.time, "perf_counter", lambda: next(clock))
    busy = Calibration(mock.sentinel.context, seconds_each=4.0)
    assert [busy.seconds_of(Kind(name)).likely for name in "abc"] == pytest.approx([0.3] * 3)
    assert given == [2.0] * 2 + [0.5] * 2 + [durations.HARDLY_ANY / 2] * 2
