"""Cells scored alone and by one supernet."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from proxysample.data.datasets import load_dataset
from proxysample.errors import InputError
from proxysample_nas.agreement import OneSupernet, TrainedAlone, draw_distinct_cells
from proxysample_nas.agreement.scorers import repeated
from proxysample_nas.data.images import load_images
from proxysample_nas.data.loader import Augmentation
from proxysample_nas.training.trainer import CellTrainer

CELLS = draw_distinct_cells(4, 3, seed=0)


@pytest.fixture(scope="module")
def parts():
    digits = load_images(load_dataset("digits").train, device="cpu")
    return digits.take(torch.arange(200)), digits.take(torch.arange(200, 320))


def trainer(**changed):
    small = {"channels": 4, "cells_per_stage": 1, "epochs": 2, "batch_size": 32}
    return CellTrainer(**(small | {"progress": False} | changed))


def supernet(**changed):
    small = {"n_nodes": 3, "channels": 4, "epochs": 2, "batch_size": 32, "augmentation": None}
    return OneSupernet(**(small | changed))


def test_a_cell_alone_scores_what_the_trainer_measures(parts):
    train, held_out = parts
    kept = np.arange(0, 200, 2)
    scores = TrainedAlone(trainer()).score(CELLS[:2], parts, kept, seed=5, passes=1)
    part = train.take(torch.from_numpy(kept))
    assert scores == [trainer().train_once(cell, part, held_out, 5).accuracy for cell in CELLS[:2]]


def test_equal_updates_make_every_epoch_as_long_as_on_the_full_data(parts, monkeypatch):
    asked = []

    def train_once(self, cell, train, test, seed, split):
        asked.append((len(train), self.normalization))
        return original(self, cell, train, test, seed, split=split)

    original = CellTrainer.train_once
    monkeypatch.setattr(CellTrainer, "train_once", train_once)
    TrainedAlone(trainer(epochs=1)).score(CELLS[:1], parts, np.arange(60), seed=0, passes=200 / 60)
    TrainedAlone(trainer(epochs=1)).score(CELLS[:1], parts, np.arange(60), seed=0, passes=1)
    (longer, its_normalization), (shorter, normalization) = asked
    assert (longer, shorter) == (200, 60)
    # Of the kept images, however often each is repeated.
    assert its_normalization == normalization


def test_repeated_samples_are_equally_frequent():
    counts = repeated(60, 200 / 60, seed=0).bincount(minlength=60)
    assert counts.sum() == 200
    assert set(counts.tolist()) == {3, 4}


def test_a_supernets_scores_are_repeated_by_its_seed_and_do_not_depend_on_the_other_cells(parts):
    kept = np.arange(200)
    first = supernet().score(CELLS, parts, kept, seed=1, passes=1)
    assert supernet().score(CELLS[::-1], parts, kept, seed=1, passes=1) == first[::-1]
    assert supernet().score(CELLS, parts, kept, seed=2, passes=1) != first


def test_a_supernet_learns(parts):
    kept = np.arange(200)
    longer = supernet(epochs=30).score(CELLS, parts, kept, seed=0, passes=1)
    assert max(longer) > 50


def test_held_out_images_in_the_order_of_their_classes_are_mixed(parts):
    train, held_out = parts
    ordered = held_out.take(held_out.labels.argsort())
    kept = np.arange(200)
    by_batches = supernet(epochs=20, scoring_batch_size=30)
    at_once = supernet(epochs=20, scoring_batch_size=120)
    scores = by_batches.score(CELLS, (train, ordered), kept, seed=0, passes=1)
    whole = at_once.score(CELLS, (train, ordered), kept, seed=0, passes=1)
    # Batches of one class or two, normalised by themselves, would be told apart hardly at all.
    assert np.mean(scores) > np.mean(whole) - 6


def test_a_supernet_makes_as_many_updates_as_on_the_full_data(parts, monkeypatch):
    steps = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(
        torch.optim.SGD, "step", lambda self, *given: steps.append(1) or step(self, *given)
    )
    supernet(epochs=1).score(CELLS, parts, np.arange(50), seed=0, passes=4)
    assert len(steps) == 200 // 32 + 1


def test_all_that_decides_a_score_is_in_its_name():
    names = [
        TrainedAlone(trainer()).specification,
        TrainedAlone(trainer(epochs=3)).specification,
        TrainedAlone(trainer(augmentation=Augmentation(flip=False))).specification,
        supernet().specification,
        supernet(epochs=3).specification,
        supernet(augmentation=Augmentation(flip=False)).specification,
    ]
    assert len({repr(one) for one in names}) == len(names)
    assert TrainedAlone(trainer(seeds=(1,))).specification == names[0]


def test_a_supernet_is_told_what_it_cannot_be():
    with pytest.raises(InputError, match="epochs"):
        supernet(epochs=0)
