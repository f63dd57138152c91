"""Searches, trainings and studies are the same in every mode of a user's, which stays theirs."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch

from proxysample_nas import Cell, CellTrainer, Study, TrainedCell
from proxysample_nas.searchers import create_searcher, list_searchers
from proxysample_nas.testing import without_times

from ..user_modes import state, together, user_modes

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
MORE = {
    "n_samples": 2,
    "controller_updates": 1,
    "controller_samples": 1,
    "n_candidates": 2,
    "evaluation_samples": 2,
}
# The number of threads is the user's to choose, and decides last bits.
MODES = [mode for mode in user_modes() if mode != "threads"]
CELL = Cell.filled("nor_conv_3x3", n_nodes=3)

pytestmark = pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")


def found(name, proxy):
    made = create_searcher(name)
    given = SMALL | MORE | {"epochs": made.epochs and 1}
    known = made._get_param_names()
    searcher = create_searcher(name, **{key: one for key, one in given.items() if key in known})
    return without_times(searcher.search(proxy))


@functools.cache
def expected(name, proxy):
    return found(name, proxy)


def found_in(mode, name, proxy):
    with mode:
        before = state()
        result = found(name, proxy)
        assert state() == before
    return result


@pytest.mark.parametrize("mode", MODES)
def test_a_search_is_the_same_in_every_mode_of_a_users(mode, proxy):
    assert found_in(user_modes()[mode], "darts-v1", proxy) == expected("darts-v1", proxy)


@pytest.mark.parametrize("name", list_searchers())
def test_every_search_is_the_same_in_all_modes_of_a_users_at_once(name, proxy):
    assert found_in(together(), name, proxy) == expected(name, proxy)


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
def test_a_training_is_the_same_in_all_modes_of_a_users_at_once(precision, proxy, tmp_path):
    network, run = trained(proxy, precision)
    predicted = network.predict(proxy)
    with together():
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


def test_a_study_keeps_the_same_results_in_all_modes_of_a_users_at_once(tmp_path, tiny_settings):
    samplers = ["rs", "ae:epochs=1"]
    plain = rows(tmp_path / "plain", tiny_settings, samplers)
    with together():
        before = state()
        assert rows(tmp_path / "modes", tiny_settings, samplers) == plain
        assert state() == before
