from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from proxysample import CCOutlierRemoval, InputError, KMeansOutlierRemoval, load_dataset
from proxysample.outliers import standardised
from proxysample.reading import Samples

CIFAR100 = Path(__file__).parents[2] / ".data" / "cifar100.npz"


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


def test_centroids_do_not_depend_on_where_chunks_end():
    generator = np.random.default_rng(0)
    features = generator.random((3000, 5))
    labels = generator.integers(0, 7, 3000)
    scores = CCOutlierRemoval().fit(features, y=labels).scores_
    for label in range(7):
        members = features[labels == label]
        expected = np.linalg.norm(members - members.mean(axis=0), axis=1)
        assert scores[labels == label] == pytest.approx(expected, abs=1e-12)


def test_a_far_sample_goes_first():
    generator = np.random.default_rng(0)
    features = np.concatenate([generator.normal(c, 0.1, (50, 4)) for c in (0, 20)])
    features[[7, 60]] += 3
    kept = KMeansOutlierRemoval(n_clusters=2, random_state=0).select(features, 0.98)
    assert sorted(set(range(100)) - set(kept.tolist())) == [7, 60]


def test_scores_are_distances_to_the_nearest_centroid():
    digits = load_dataset("digits").train
    sampler = KMeansOutlierRemoval(n_clusters=10, random_state=0).fit(digits)
    features = standardised(Samples(digits)).astype(np.float64)
    every = np.linalg.norm(features[:, None] - sampler.cluster_centers_[None], axis=2)
    assert sampler.scores_ == pytest.approx(every.min(axis=1), rel=1e-6)
    assert sampler.inertia_ == pytest.approx((every.min(axis=1) ** 2).sum(), rel=1e-6)


def test_features_are_standardised_and_constant_ones_vanish():
    features = np.array([[1.0, 5.0], [3.0, 5.0]])
    assert standardised(Samples(features)).tolist() == [[-1.0, 0.0], [1.0, 0.0]]


def test_paper_protocol_takes_the_best_of_its_random_starts():
    digits = load_dataset("digits").train
    best_of_many = KMeansOutlierRemoval(n_clusters=10, protocol="paper", random_state=0)
    once = KMeansOutlierRemoval(n_clusters=10, random_state=0)
    assert best_of_many.fit(digits).inertia_ <= once.fit(digits).inertia_
    assert len(best_of_many.ranking_.select(0.25)) == int(len(digits) * 0.25)


@pytest.mark.parametrize(("n_clusters", "message"), [(0, "at least 1"), (2.5, "positive integer")])
def test_bad_cluster_counts_are_refused_before_the_data_is_touched(n_clusters, message):
    with pytest.raises(InputError, match=message):
        KMeansOutlierRemoval(n_clusters=n_clusters).fit(object())


def test_more_clusters_than_samples_are_refused():
    with pytest.raises(InputError, match="n_clusters=100 for 4 samples"):
        KMeansOutlierRemoval().fit(np.zeros((4, 3)))
