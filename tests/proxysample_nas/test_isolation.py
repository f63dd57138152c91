"""Searches, trainings and studies are the same in every mode of a user's, which stays theirs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from proxysample_nas import Cell, CellTrainer, Study, TrainedCell
from proxysample_nas.searchers import create_searcher
from proxysample_nas.testing import without_times

from ..user_modes import state, user_modes

SMALL = {
    "n_nodes": 3,
    "channels": 2,
    "cells_per_stage": 1,
    "epochs": 1,
    "batch_size": 64,
    "random_state": 0,
    "device": "cpu",
    "progress": False,
}
PARAMETERS = {
    "darts-v1": SMALL,
    "darts-v2": SMALL,
    "gdas": SMALL,
    "enas": SMALL | {"controller_updates": 1, "controller_samples": 1, "n_candidates": 2},
    "random": {**SMALL, "n_samples": 1},
}
# The number of threads is the user's to choose, and decides last bits.
MODES = [mode for mode in user_modes() if mode != "threads"]
CELL = Cell.filled("nor_conv_3x3", n_nodes=3)

pytestmark = pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")


def found(name, proxy):
    return without_times(create_searcher(name, **PARAMETERS[name]).search(proxy))


@pytest.fixture(scope="module")
def expected(proxy):
    return {name: found(name, proxy) for name in PARAMETERS}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PARAMETERS)
def test_a_search_is_the_same_in_every_mode_of_a_users(name, mode, proxy, expected):
    with user_modes()[mode]:
        before = state()
        result = found(name, proxy)
        assert state() == before
    assert result == expected[name]


def trained(proxy, precision):
    trainer = CellTrainer(
        channels=2,
        cells_per_stage=1,
        epochs=2,
        batch_size=64,
        seeds=(1,),
        precision=precision,
        device="cpu",
        progress=False,
    )
    evaluation = trainer.evaluate(CELL, proxy, proxy, keep_network=True)
    (run,) = evaluation.runs
    return evaluation.trained[0], dataclasses.replace(run, seconds=0.0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("mode", MODES)
def test_a_training_is_the_same_in_every_mode_of_a_users(mode, precision, proxy, tmp_path):
    network, run = trained(proxy, precision)
    predicted = network.predict(proxy)
    with user_modes()[mode]:
        before = state()
        other, other_run = trained(proxy, precision)
        other.save(tmp_path / "network.safetensors")
        read = TrainedCell.load(tmp_path / "network.safetensors")
        np.testing.assert_array_equal(read.predict(proxy), predicted)
        assert read.measure_accuracy(proxy) == run.accuracy
        assert state() == before
    assert other_run == run
    for name, weights in network.network.state_dict().items():
        assert torch.equal(weights, other.network.state_dict()[name])


def rows(folder, tiny_settings, samplers):
    study = Study(**tiny_settings(samplers=samplers), folder=folder)
    assert study.run(progress=False) == 0
    return study.to_frame()["accuracy"].tolist()


def test_a_study_keeps_the_same_results_under_autocast_and_in_float64(tmp_path, tiny_settings):
    samplers = ["rs", "ae:epochs=1"]
    expected = rows(tmp_path / "plain", tiny_settings, samplers)
    with torch.autocast("cpu", torch.bfloat16), user_modes()["float64"], torch.no_grad():
        before = state()
        assert rows(tmp_path / "modes", tiny_settings, samplers) == expected
        assert state() == before
