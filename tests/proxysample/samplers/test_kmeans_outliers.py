from __future__ import annotations

import hashlib
import os
import sys

import numpy as np
import pytest
from sklearn.base import clone

from proxysample import InputError, KMeansOutlierRemoval, MissingDependencyError, load_dataset
from proxysample.data.labels import encode_labels
from proxysample.features.rows import Rows, Workers
from proxysample.features.sources import mean_and_scale
from proxysample.shares import class_sequence


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits").train


def test_a_far_sample_goes_first():
    generator = np.random.default_rng(0)
    features = np.concatenate([generator.normal(c, 0.1, (50, 4)) for c in (0, 20)])
    features[[7, 60]] += 3
    kept = KMeansOutlierRemoval(n_clusters=2, random_state=0).select(features, 0.98)
    assert sorted(set(range(100)) - set(kept.tolist())) == [7, 60]


def test_scores_are_distances_of_standardised_pixels_to_the_nearest_centroid(digits):
    sampler = KMeansOutlierRemoval(n_clusters=10, random_state=0).fit(digits)
    with Workers() as workers:
        mean, scale = mean_and_scale(Rows(digits.images), workers)
    features = (digits.images.reshape(len(digits), -1) - mean) / scale
    every = np.linalg.norm(features[:, None] - sampler.cluster_centers_[None], axis=2)
    counted = sampler.cluster_sizes_ >= sampler.min_cluster_size_
    large = every + np.where(counted, 0, np.inf)
    far = ~counted[sampler.cluster_labels_]
    expected = np.where(far, large.min(axis=1), every.min(axis=1))
    assert sampler.scores_ == pytest.approx(expected, rel=1e-12)
    nearest = np.where(far, large.argmin(axis=1), every.argmin(axis=1))
    assert sampler.centroid_labels_.tolist() == nearest.tolist()
    assert sampler.cluster_labels_.tolist() == every.argmin(axis=1).tolist()
    assert sampler.inertia_ == pytest.approx((every.min(axis=1) ** 2).sum(), rel=1e-12)


@pytest.mark.parametrize("n_clusters", [1, 2, 50, 150, 1437])
def test_any_number_of_clusters(n_clusters, digits):
    sampler = KMeansOutlierRemoval(n_clusters=n_clusters, n_init=1, random_state=0)
    assert len(sampler.select(digits, 0.25)) == round(0.25 * len(digits))
    assert sampler.cluster_centers_.shape == (n_clusters, 64)


def test_per_cluster_each_cluster_keeps_its_nearest_share(digits):
    sampler = KMeansOutlierRemoval(n_clusters=7, distance="per-cluster", random_state=0)
    kept = sampler.select(digits, 0.3)
    assert len(kept) == round(0.3 * len(digits))
    labels = encode_labels(sampler.centroid_labels_)[1]
    sizes = np.bincount(labels)
    shares = np.bincount(class_sequence(sizes)[: len(kept)], minlength=len(sizes))
    for label in range(len(sizes)):
        members = np.flatnonzero(labels == label)
        nearest = members[np.argsort(sampler.scores_[members], kind="stable")][: shares[label]]
        assert sorted(nearest) == kept[labels[kept] == label].tolist()
    overall = clone(sampler).set_params(distance="overall").select(digits, 0.3)
    assert not np.array_equal(np.bincount(labels[overall], minlength=len(sizes)), shares)


def test_per_cluster_leaves_out_clusters_without_samples():
    """Random starts draw duplicates, so that clusters without samples come before others."""
    features = np.repeat(np.eye(2), 10, axis=0)
    used = set()
    for seed in range(8):
        sampler = KMeansOutlierRemoval(
            n_clusters=4, distance="per-cluster", protocol="paper", n_init=1, random_state=seed
        ).fit(features)
        assert np.bincount(sampler.ranking_.select(0.5) // 10).tolist() == [5, 5]
        assert sorted(set(sampler.ranking_.codes.tolist())) == [0, 1]
        used.add(tuple(np.unique(sampler.cluster_labels_).tolist()))
    assert used - {(0, 1)}


def test_hard_keeps_the_farthest(digits):
    sampler = KMeansOutlierRemoval(n_clusters=5, keep="hard", random_state=0)
    kept = sampler.select(digits, 0.1)
    dropped = np.setdiff1d(np.arange(len(digits)), kept)
    assert sampler.scores_[kept].min() >= sampler.scores_[dropped].max()


def test_paper_protocol_takes_the_best_of_its_random_starts(digits):
    best_of_many = KMeansOutlierRemoval(n_clusters=10, protocol="paper", random_state=0)
    once = KMeansOutlierRemoval(n_clusters=10, random_state=0)
    assert best_of_many.fit(digits).inertia_ <= once.fit(digits).inertia_
    assert len(best_of_many.ranking_.select(0.25)) == int(len(digits) * 0.25)


@pytest.mark.parametrize(
    ("protocol", "function", "n_init"),
    [("default", "cluster", 4), ("paper", "cluster_from_random_starts", 100)],
)
def test_numbers_of_starts_and_passes(protocol, function, n_init, monkeypatch, digits):
    seen = []

    def spy(rows, n_clusters, **parameters):
        seen.append((parameters["n_init"], parameters["max_iter"]))
        raise InterruptedError

    monkeypatch.setattr(f"proxysample.samplers.outliers.{function}", spy)
    for chosen in ({}, {"n_init": 3, "max_iter": 7}):
        with pytest.raises(InterruptedError):
            KMeansOutlierRemoval(n_clusters=10, protocol=protocol, **chosen).fit(digits)
    assert seen == [(n_init, 300), (3, 7)]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_clusters": 0}, "n_clusters must be a positive integer"),
        ({"n_clusters": 2.5}, "n_clusters must be a positive integer"),
        ({"n_init": 0}, "n_init must be a positive integer"),
        ({"max_iter": 0}, "max_iter must be a positive integer"),
        ({"distance": "cluster"}, "did you mean 'per-cluster'"),
        ({"backend": "sklearn"}, "did you mean 'scikit-learn'"),
        ({"backend": "torch", "protocol": "paper"}, "protocol='paper' is scikit-learn's"),
        ({"device": "cuda:99"}, "not available"),
        ({"features": 1}, "features must be"),
    ],
)
def test_bad_parameters_are_refused_before_the_data_is_touched(parameters, message):
    with pytest.raises(InputError, match=message):
        KMeansOutlierRemoval(**parameters).fit(object())


def test_faiss_names_devices_that_it_does_not_see():
    pytest.importorskip("faiss", reason="needs the extra 'faiss'")
    with pytest.raises(InputError, match=r"faiss sees \d+ GPUs here, not 'cuda:99'"):
        KMeansOutlierRemoval(backend="faiss", device="cuda:99").fit(object())


def test_without_faiss_its_extras_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingDependencyError, match=r"proxysample\[faiss\].*\[faiss-gpu\]"):
        KMeansOutlierRemoval(backend="faiss").fit(object())


def test_more_clusters_than_samples_are_refused():
    with pytest.raises(InputError, match="n_clusters=100 for 4 samples"):
        KMeansOutlierRemoval().fit(np.zeros((4, 3)))


def scores_by_every_backend() -> list[str]:
    images = np.random.default_rng(0).integers(0, 256, (1000, 8, 8, 3), dtype=np.uint8)
    digests = []
    for backend in ("numpy", "scikit-learn", "torch", "faiss", "paper"):
        chosen = {"protocol": backend} if backend == "paper" else {"backend": backend}
        sampler = KMeansOutlierRemoval(
            n_clusters=9, n_init=2, max_iter=20, random_state=0, device="cpu", **chosen
        )
        scores = sampler.fit(images).scores_
        digests.append(f"{backend} {hashlib.sha256(scores.tobytes()).hexdigest()}")
    return digests


# All libraries that compute in threads are given two, wherever they are imported.
TWO_THREADS = """
import os, runpy, sys
os.environ["OMP_NUM_THREADS"] = "2"
import faiss, threadpoolctl, torch
torch.set_num_threads(2)
with threadpoolctl.threadpool_limits(2):
    used = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
    assert used == {2}, threadpoolctl.threadpool_info()
    scores_by_every_backend = runpy.run_path(sys.argv[1])["scores_by_every_backend"]
    print("\\n".join(scores_by_every_backend()))
"""


def test_the_number_of_threads_changes_no_bit_of_the_scores(forked):
    """One thread here, two in another process."""
    pytest.importorskip("faiss", reason="needs the extra 'faiss'")
    assert os.environ["OMP_NUM_THREADS"] == "1"
    process = forked(TWO_THREADS, __file__)
    assert process.wait() == 0, process.stderr
    assert process.stdout.splitlines() == scores_by_every_backend()
