"""What is held out, flipped or cut, and how features are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from proxysample import ArrayDataset, InputError, Splits, embed, load_dataset
from proxysample.comparison.data import (
    CLEAN,
    IMBALANCE,
    NOISE,
    DataSource,
    flip_labels,
    load_comparison_data,
    unequal_classes,
)
from proxysample.data import FieldView
from proxysample.testing import small_digits


def source(dataset="digits", **changed) -> DataSource:
    first = DataSource(dataset, None, "pixels", True, 0.0, 1.0, 0)
    return replace(first, **changed)


def test_labels_are_flipped_by_a_seed_as_many_as_asked_and_none_to_itself():
    codes = np.arange(1000) % 7
    first, again, other = (flip_labels(codes, 7, 0.2, random_state=seed) for seed in (0, 0, 1))
    assert (first != codes).sum() == 200
    assert (first == again).all()
    assert (first != other).any()
    # To any of the others alike.
    shifts = np.bincount((first - codes)[first != codes] % 7, minlength=7)
    assert shifts[0] == 0
    assert shifts[1:].min() > 15


def test_flipped_labels_reach_samplers_and_training_and_never_what_is_held_out():
    data = load_comparison_data(source(noise=0.3))
    clean, noisy = data.arms[CLEAN], data.arms[NOISE]
    assert (clean.train.y != noisy.train.y).mean() == pytest.approx(0.3, abs=0.001)
    assert noisy.held_out is clean.held_out
    assert noisy.info.fingerprint != clean.info.fingerprint


def test_class_sizes_fall_exponentially():
    codes = np.repeat(np.arange(5), 160)
    rows = unequal_classes(codes, 16, random_state=3)
    assert sorted(np.bincount(codes[rows]).tolist()) == [10, 20, 40, 80, 160]
    data = load_comparison_data(source(imbalance=5))
    arm = data.arms[IMBALANCE]
    sizes = np.sort(np.bincount(arm.train.y))
    assert sizes[-1] / sizes[0] == pytest.approx(5, rel=0.1)
    assert len(arm.dataset) == len(arm.train) == len(arm.train.X)
    assert arm.held_out is data.arms[CLEAN].held_out


def test_what_is_held_out_keeps_class_shares_and_is_of_no_arm():
    digits = load_dataset("digits").train
    found = load_comparison_data(source(held_out=0.25, noise=0.1))
    clean = found.arms[CLEAN]
    assert len(clean.train) + len(clean.held_out) == len(digits)
    counts = np.bincount(clean.held_out.y) / np.bincount(np.asarray(digits.targets))
    assert counts == pytest.approx(0.25, abs=0.01)
    # Labels held out are the true ones, though training labels are flipped.
    assert (found.arms[NOISE].held_out.y == clean.held_out.y).all()
    held_out = {image.tobytes() for image in clean.held_out.X}
    assert not held_out & {image.tobytes() for image in clean.train.X} - {
        image.tobytes() for image in digits.images
    }


def test_the_same_data_have_the_same_name_and_others_another():
    names = {
        words: load_comparison_data(source(**changed)).arms[CLEAN].info.fingerprint
        for words, changed in {
            "first": {},
            "again": {},
            "held out": {"held_out": 0.2},
            "held out by another seed": {"held_out": 0.2, "random_state": 1},
        }.items()
    }
    assert names["first"] == names["again"]
    assert len(set(names.values())) == 3
    labels = np.asarray(load_dataset("digits").train.targets).copy()
    labels[0] = (labels[0] + 1) % 10
    digits = load_dataset("digits")
    other = Splits("digits", ArrayDataset(digits.train.images, labels), digits.test)
    assert load_comparison_data(source(other)).arms[CLEAN].info.fingerprint != names["first"]


def test_features_given_in_any_way_are_the_same(tmp_path):
    digits = small_digits(60)
    test = small_digits(40)
    splits = Splits("small", digits, test)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape))
    kept = [embed(part, backbone=network, folder=tmp_path / "kept") for part in (digits, test)]
    both = np.concatenate([np.asarray(one) for one in kept])
    np.save(tmp_path / "features.npy", both)
    ways = [
        both,
        (both[:60], both[60:]),
        str(tmp_path / "features.npy"),
        f"embed:{tmp_path / 'kept'}",
        network,
        (kept[0], kept[1]),
    ]
    (tmp_path / "made").mkdir()
    for way in ways:
        data = load_comparison_data(source(splits, features=way, folder=tmp_path / "made"))
        arm = data.arms[CLEAN]
        np.testing.assert_array_equal(arm.train.X, both[:60])
        np.testing.assert_array_equal(arm.held_out.X, both[60:])
        assert data.info.features_key


@pytest.mark.filterwarnings("ignore:.* cannot be read and are skipped")
@pytest.mark.parametrize("is_held_out", [False, True])
def test_samples_that_cannot_be_read_are_left_out_where_these_are_skipped(is_held_out):
    pixels = small_digits(20).images / 255
    pixels[7] = np.nan
    codes = np.arange(20) % 2
    train, test = (ArrayDataset(pixels, codes), ArrayDataset(pixels[:6], codes[:6]))
    skipping = Splits("some", FieldView(train, broken="skip"), None if is_held_out else test)
    features = np.where(np.isnan(pixels[:, :1, 0, 0]), np.nan, np.arange(20.0)[:, None])
    given = features if is_held_out else np.concatenate([features, features[:6]])
    asked = source(skipping, features=given, held_out=0.2 if is_held_out else None)
    arm = load_comparison_data(asked).arms[CLEAN]
    seen = arm.train.X.ravel().tolist() + (arm.held_out.X.ravel().tolist() if is_held_out else [])
    assert sorted(seen) == [0, 1, 2, 3, 4, 5, 6, *range(8, 20)]
    assert (arm.train.y == arm.train.X.ravel() % 2).all()
    assert len(arm.dataset) == len(arm.train)
    assert np.isfinite(arm.train.images).all()


def test_vectors_need_no_features():
    splits = Splits(
        "vectors",
        ArrayDataset(np.arange(12.0).reshape(6, 2), [0, 1] * 3),
        ArrayDataset(np.zeros((2, 2)), [0, 1]),
    )
    data = load_comparison_data(source(splits, features=None))
    assert data.info.features_key == ""
    assert data.arms[CLEAN].train.X.tolist()[0] == [0.0, 1.0]


def test_names_of_classes_and_words_as_labels():
    images = np.zeros((4, 3))
    words = Splits("words", ArrayDataset(images, ["b", "a"] * 2), ArrayDataset(images, ["a"] * 4))
    data = load_comparison_data(source(words))
    assert data.class_names == ("a", "b")
    assert data.arms[CLEAN].held_out.y.tolist() == [0] * 4
    mixed = Splits("mixed", ArrayDataset(images, ["b", "a"] * 2), ArrayDataset(images, [0, 1] * 2))
    with pytest.raises(InputError, match="they must be of one kind"):
        load_comparison_data(source(mixed))


def test_a_part_too_small_to_hold_models_to_is_refused():
    images = np.zeros((4, 3))
    splits = Splits("few", ArrayDataset(images, [0, 0, 0, 1]))
    with pytest.raises(InputError, match="leaves none to hold out"):
        load_comparison_data(source(splits, held_out=0.05))
    with pytest.raises(InputError, match="leaves 2 classes without a sample"):
        load_comparison_data(source(splits, held_out=0.9))


@pytest.mark.parametrize("part", ["train", "test"])
def test_who_trains_is_not_told_to_do_without_labels(part):
    parts = {name: ArrayDataset(np.zeros((4, 2)), [0, 0, 1, 1]) for name in ("train", "test")}
    splits = Splits("mine", **(parts | {part: ArrayDataset(np.zeros((4, 2)))}))
    message = r"has no labels, and models are trained by them.*label=\.\.\.\) does$"
    with pytest.raises(InputError, match=message):
        load_comparison_data(source(splits))
