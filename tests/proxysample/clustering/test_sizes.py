"""Clusters of one or few samples do not make outliers ideal."""

from __future__ import annotations

import numpy as np
import pytest

from proxysample import InputError, KMeansOutlierRemoval, load_dataset
from proxysample.clustering.kmeans import Clustering, Frame
from proxysample.clustering.sizes import count_clusters, measure_to_counted
from proxysample.features.rows import Rows, Workers

DIGITS = load_dataset("digits").train.images
NOISE = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), dtype=np.uint8)


def clustering_of(sizes, spread=1.0) -> Clustering:
    """Clusters at 0, 10, 20, ...: all samples so far from their centers."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    centers = 10.0 * np.arange(len(sizes))[:, None]
    distances = np.broadcast_to(spread, len(sizes))[labels].astype(np.float64)
    frame = Frame(Rows(centers[labels] + distances[:, None]), centers)
    inertia = float(np.square(distances).sum())
    return Clustering(centers, labels, distances, inertia, 1, "float32", frame)


@pytest.mark.parametrize(
    ("sizes", "asked", "least", "counted"),
    [
        # A quarter of the mean size, 40 / 4; at least 4 samples.
        ([70, 9, 10, 71], None, 10, [True, False, True, True]),
        ([9, 9, 3, 4], None, 4, [True, True, False, True]),
        # What is asked for.
        ([9, 9, 3, 4], 1, 1, [True] * 4),
        ([20, 9, 3, 4], 5, 5, [True, True, False, False]),
        # Half of the samples have to be in clusters that count.
        ([1] * 12, None, 1, [True] * 12),
        ([2, 2, 2, 1, 1, 1, 5], None, 2, [True, True, True, False, False, False, True]),
        ([6, 5, 5, 5], 50, 5, [True] * 4),
        # A cluster without samples is no measure.
        ([9, 0, 9], None, 4, [True, False, True]),
        ([1, 0, 1], None, 1, [True, False, True]),
    ],
)
def test_which_clusters_count(sizes, asked, least, counted):
    clustering = clustering_of(sizes)
    found = count_clusters(clustering, np.square(clustering.distances), asked)
    assert found.sizes.tolist() == sizes
    assert (found.least, found.counted.tolist()) == (least, counted)
    used = [(size, one) for size, one in zip(sizes, counted, strict=True) if size]
    assert found.n_small == sum(not one for _, one in used)
    assert found.n_samples_in_small == sum(size for size, one in used if not one)


def test_copies_of_one_sample_count_as_one():
    clustering = clustering_of([30, 20, 30], [1.0, 1e-9, 1.0])
    found = count_clusters(clustering, np.square(clustering.distances), None)
    assert found.counted.tolist() == [True, False, True]
    assert count_clusters(clustering, np.square(clustering.distances), 1).counted.all()
    # Where most are copies, as of features of few values, they are what is typical.
    clustering = clustering_of([30, 20, 30, 5], [0.0, 0.0, 0.0, 1.0])
    found = count_clusters(clustering, np.square(clustering.distances), None)
    assert found.counted.all()


def test_samples_of_small_clusters_are_measured_to_the_nearest_that_counts():
    clustering = clustering_of([9, 2, 1, 9])
    with Workers(1) as workers:
        labels, distances = measure_to_counted(
            clustering, np.array([True, False, False, True]), workers=workers
        )
    assert labels.tolist() == [0] * 9 + [0, 0] + [3] + [3] * 9
    assert distances.tolist() == [1.0] * 9 + [11.0, 11.0] + [9.0] + [1.0] * 9


def n_outliers_kept(outliers: np.ndarray, **parameters: object) -> int:
    images = np.concatenate([DIGITS, outliers])
    kept = KMeansOutlierRemoval(random_state=0, **parameters).select(images, 0.25)
    return int((kept >= len(DIGITS)).sum())


def test_noise_among_digits_is_not_kept():
    assert n_outliers_kept(NOISE) == 0
    # Every image in a cluster of its own looks ideal to the paper's protocol.
    assert n_outliers_kept(NOISE, min_cluster_size=1) == 6
    assert n_outliers_kept(NOISE, protocol="paper", n_init=1) > 0


@pytest.mark.parametrize("n_clusters", [10, 50, 200])
@pytest.mark.parametrize(
    "outliers",
    [
        NOISE[:1],
        NOISE[:3].repeat(2, axis=0),
        NOISE[:2].repeat(3, axis=0),
        NOISE[:1].repeat(30, axis=0),
        np.full_like(NOISE, 255),
        np.zeros_like(NOISE),
    ],
    ids=["one", "pairs", "triples", "thirty copies", "white", "black"],
)
def test_outliers_are_not_kept_whatever_their_number(outliers, n_clusters):
    assert n_outliers_kept(outliers, n_clusters=n_clusters, n_init=1) == 0


def test_noise_among_digits_is_the_last_of_its_cluster():
    assert n_outliers_kept(NOISE, distance="per-cluster") == 0


def test_sizes_are_told():
    images = np.concatenate([DIGITS, NOISE])
    sampler = KMeansOutlierRemoval(random_state=0)
    report = str(sampler.report(images, 0.25))
    sizes = np.bincount(sampler.cluster_labels_, minlength=100)
    assert sampler.cluster_sizes_.tolist() == sizes.tolist()
    assert sampler.min_cluster_size_ == 4
    assert (
        f"cluster sizes: smallest {sizes.min()}, median {np.median(sizes):.0f}, largest "
        f"{sizes.max()}\n" in report
    )
    small = sizes < 4
    assert (
        f"small clusters: {small.sum()} of 100, with {sizes[small].sum()} samples, hold fewer "
        "than 4 samples or copies of one" in report
    )
    moved = sampler.centroid_labels_ != sampler.cluster_labels_
    assert moved.tolist() == small[sampler.cluster_labels_].tolist()


def test_a_saved_ranking_tells_the_sizes(tmp_path):
    ranking = KMeansOutlierRemoval(n_clusters=5, random_state=0).rank(DIGITS)
    ranking.save(tmp_path / "ranking.npz")
    details = type(ranking).load(tmp_path / "ranking.npz").provenance["details"]
    assert details == ranking.provenance["details"]
    assert set(details) == {"cluster sizes", "small clusters", "computed in"}


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "4"])
def test_sizes_that_cannot_be_are_refused(size):
    with pytest.raises(InputError, match="min_cluster_size must be a positive integer or None"):
        KMeansOutlierRemoval(min_cluster_size=size).fit(object())


def test_the_papers_protocol_has_no_least_size():
    with pytest.raises(InputError, match="protocol='paper' has no min_cluster_size=4; leave"):
        KMeansOutlierRemoval(min_cluster_size=4, protocol="paper").fit(object())
    sampler = KMeansOutlierRemoval(n_clusters=100, n_init=1, protocol="paper", random_state=0)
    sampler.fit(np.concatenate([DIGITS, NOISE]))
    assert sampler.min_cluster_size_ == 1
    assert np.array_equal(sampler.centroid_labels_, sampler.cluster_labels_)
