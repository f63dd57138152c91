from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from proxysample import CCOutlierRemoval, load_dataset

CIFAR100 = Path(__file__).parents[3] / ".data" / "cifar100.npz"


def papers_rule(images: np.ndarray, labels: np.ndarray, r: float) -> list[int]:
    """Section 3.3.2 and the authors' counts, one class and one image at a time."""
    kept: list[int] = []
    for label in sorted(set(labels.tolist())):
        members = [i for i in range(len(labels)) if labels[i] == label]
        mean = sum(images[i].astype(np.float64) / 255 for i in members) / len(members)
        distance = {
            i: float(np.sqrt(((images[i].astype(np.float64) / 255 - mean) ** 2).sum()))
            for i in members
        }
        kept += sorted(members, key=lambda i: (distance[i], i))[: int(len(members) * r)]
    return sorted(kept)


@pytest.mark.parametrize("r", [0.25, 0.5, 0.75])
def test_paper_protocol_keeps_what_the_papers_rule_keeps(r):
    digits = load_dataset("digits").train
    sampler = CCOutlierRemoval(protocol="paper")
    assert sampler.select(digits, r).tolist() == papers_rule(digits.images, digits.targets, r)


@pytest.mark.skipif(not CIFAR100.exists(), reason="needs the real CIFAR-100 in .data/cifar100.npz")
def test_paper_protocol_on_the_real_cifar100():
    train = load_dataset(f"npz:{CIFAR100}").train
    some = np.flatnonzero(train.targets < 4)
    expected = papers_rule(train.images[some], train.targets[some], 0.25)
    sampler = CCOutlierRemoval(protocol="paper")
    kept = sampler.select(train.images[some], 0.25, y=train.targets[some])
    assert kept.tolist() == expected
    assert len(kept) == 4 * 125


def test_class_means_and_distances_by_hand():
    features = np.array([[0.0, 0.0], [0.0, 6.0], [3.0, 3.0], [10.0, 0.0], [10.0, 2.0]])
    sampler = CCOutlierRemoval().fit(features, y=["b", "b", "b", "a", "a"])
    # The mean of b is (1, 3), that of a is (10, 1).
    expected = [np.sqrt(10), np.sqrt(10), 2.0, 1.0, 1.0]
    assert sampler.scores_ == pytest.approx(expected, abs=1e-12)


def test_bytes_count_in_units_of_their_range():
    images = np.array([[[0]], [[255]], [[51]], [[102]]], dtype=np.uint8)
    sampler = CCOutlierRemoval().fit(images, y=[0, 0, 1, 1])
    assert sampler.scores_ == pytest.approx([0.5, 0.5, 0.1, 0.1], abs=1e-15)


def test_hard_keeps_the_farthest_of_each_class():
    features = np.array([[0.0], [1.0], [5.0], [10.0], [11.0], [18.0]])
    sampler = CCOutlierRemoval(keep="hard")
    # The means are 2 and 13: the ties of the distances 3, 3 and 2 go by index.
    assert sampler.select(features, r=1 / 3, y=[0, 0, 0, 1, 1, 1]).tolist() == [2, 5]
