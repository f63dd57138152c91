from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans, kmeans_plusplus

from proxysample import InputError, clustering, load_dataset
from proxysample.clustering import cluster, cluster_from_random_starts
from proxysample.clustering.engines import NumpyEngine, TorchEngine, iterate, nearest_centers
from proxysample.features import rows as rows_module
from proxysample.features.rows import Rows, Workers
from proxysample.features.sources import mean_and_scale

BACKENDS = [
    pytest.param(name, marks=pytest.mark.filterwarnings("ignore::DeprecationWarning"))
    for name in clustering.BACKENDS
]


@pytest.fixture
def workers():
    with Workers(2) as opened:
        yield opened


@pytest.fixture(scope="module")
def digits():
    images = load_dataset("digits").train.images
    with Workers() as workers:
        mean, scale = mean_and_scale(Rows(images), workers)
        return Rows(Rows(images, mean, scale).to_array(workers))


def engines(rows, n_clusters, workers):
    import torch

    return [
        NumpyEngine(rows, n_clusters, workers),
        TorchEngine(rows, n_clusters, torch.device("cpu"), workers),
    ]


def test_one_step_by_hand(workers):
    rows = Rows(np.array([[0.0], [1.0], [4.0], [6.0]], dtype=np.float32))
    for engine in engines(rows, 3, workers):
        # The last center is as near to 6 as the second: the first of equals takes it.
        for _ in range(2):
            step = engine.step(np.array([[0.5], [5.0], [7.0]]))
            assert step.counts.tolist() == [2, 2, 0]
            assert step.sums.tolist() == [[1.0], [10.0], [0.0]]
            assert step.inertia == pytest.approx(0.25 + 0.25 + 1 + 1)
        assert engine.farthest(1).tolist() == [[4.0]]
        step = engine.step(np.array([[0.5], [5.5], [3.5]]))
        assert step.counts.tolist() == [2, 1, 1]
        assert step.sums.tolist() == [[1.0], [6.0], [4.0]]


def test_rows_on_their_center_are_not_far(workers):
    rows = Rows(np.array([[3.0, 4.0]] * 5 + [[1.0, 1.0]], dtype=np.float32))
    for engine in engines(rows, 2, workers):
        engine.step(np.array([[3.0, 4.0], [9.0, 9.0]]))
        assert engine.farthest(3).tolist() == [[1.0, 1.0]]


def test_iterations_follow_scikit_learns_lloyd(digits, workers):
    features = digits.source
    start, _ = kmeans_plusplus(features, 10, random_state=0)
    for n_passes in (1, 2, 5):
        expected = KMeans(10, init=start, n_init=1, max_iter=n_passes, tol=0).fit(features)
        for engine in engines(digits, 10, workers):
            # scikit-learn assigns once more after its last update; here that is a pass.
            refined = iterate(engine, start.astype(np.float64), max_iter=n_passes + 1, tol=0)
            assert refined.centers == pytest.approx(expected.cluster_centers_, abs=1e-4)
            assert refined.inertia == pytest.approx(expected.inertia_, rel=1e-6)


@pytest.mark.parametrize("tol", [1e-2, 1e-3, 1e-4])
def test_iterations_stop_where_a_pass_gains_little(tol, digits, workers):
    start = digits.source[:10].astype(np.float64)
    inertias = [
        iterate(NumpyEngine(digits, 10, workers), start, max_iter=n, tol=0).inertia
        for n in range(1, 30)
    ]
    small = [n for n in range(1, 29) if inertias[n - 1] - inertias[n] <= tol * inertias[n]]
    for engine in engines(digits, 10, workers):
        assert iterate(engine, start, max_iter=30, tol=tol).n_iter == small[0] + 1


def test_iterations_go_on_while_a_lost_cluster_can_start_anew(workers):
    rows = Rows(np.array([[0.0]] * 9 + [[10.0], [10.0], [5.0]], dtype=np.float32))
    for engine in engines(rows, 3, workers):
        # Both lost clusters start from the farthest rows, which are equal: one is lost again.
        refined = iterate(engine, np.array([[0.0], [99.0], [99.0]]), max_iter=9, tol=1e9)
        assert refined.n_iter == 3
        assert refined.centers.tolist() == [[0.5], [10.0], [5.0]]


def test_a_lost_cluster_that_cannot_start_anew_stays_where_it_is(workers):
    rows = Rows(np.full((5, 1), 3.0, dtype=np.float32))
    for engine in engines(rows, 2, workers):
        refined = iterate(engine, np.array([[3.0], [8.0]]), max_iter=9, tol=0)
        assert refined.centers.tolist() == [[3.0], [8.0]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_come_to_the_same_inertia_from_the_same_start(backend, digits, workers):
    start = digits.source[:30].astype(np.float64)
    expected = KMeans(30, init=start.astype(np.float32), n_init=1, max_iter=300).fit(digits.source)
    found = cluster(digits, 30, centers=start, backend=backend, device="cpu", workers=workers)
    assert found.inertia == pytest.approx(expected.inertia_, rel=0.005)
    assert found.inertia == pytest.approx(np.square(found.distances).sum())


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_row_counts_for_every_backend(backend, workers):
    """Training on a sample, as faiss does by itself, would miss the last thousand rows."""
    source = np.repeat(np.array([[-1.0, 0.0], [1.0, 0.0]], dtype=np.float32), [3000, 1000], axis=0)
    source[3999] = [1.0, 80.0]
    start = np.array([[-1.0, 0.0], [1.0, 0.0]])
    found = cluster(Rows(source), 2, centers=start, backend=backend, device="cpu", workers=workers)
    assert found.centers == pytest.approx(np.array([[-1.0, 0.0], [1.0, 0.08]]), abs=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cluster_that_lost_its_rows_starts_anew(backend, digits, workers):
    start = digits.source[:10].astype(np.float64)
    start[3] = start[7] = 1000.0
    found = cluster(digits, 10, centers=start, backend=backend, device="cpu", workers=workers)
    assert np.bincount(found.labels, minlength=10).min() > 0
    sound = cluster(digits, 10, random_state=0, workers=workers)
    assert found.inertia == pytest.approx(sound.inertia, rel=0.1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_fewer_distinct_rows_than_clusters(backend, workers, capfd):
    rows = Rows(np.repeat(np.eye(3, dtype=np.float32), 40, axis=0))
    found = cluster(rows, 5, random_state=0, backend=backend, device="cpu", workers=workers)
    assert capfd.readouterr().err == ""
    # faiss splits a cluster by moving its center by a thousandth, to either side.
    assert found.distances == pytest.approx(np.zeros(120), abs=1e-3 if backend == "faiss" else 1e-6)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:-1", "cuda:1.5", "cuda:9999"])
def test_faiss_names_the_fix_for_a_device_that_it_does_not_see(device, workers):
    with pytest.raises(InputError, match=f"faiss sees .* not '{device}'; pass device='cpu', or"):
        cluster(Rows(np.eye(3)), 2, backend="faiss", device=device, workers=workers)


def test_distances_and_labels_are_those_to_the_nearest_center(digits, workers):
    found = cluster(digits, 10, random_state=0, workers=workers)
    features = digits.source.astype(np.float64)
    every = np.linalg.norm(features[:, None] - found.centers[None], axis=2)
    assert found.labels.tolist() == every.argmin(axis=1).tolist()
    assert found.distances == pytest.approx(every.min(axis=1), rel=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_streamed_features_give_the_same_as_kept_ones(backend, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (700, 6, 6), dtype=np.uint8)
    with Workers(2) as workers:
        mean, scale = mean_and_scale(Rows(images), workers)
        rows = Rows(images, mean, scale)
        kept = cluster(rows, 8, random_state=0, backend=backend, device="cpu", workers=workers)
        monkeypatch.setattr(rows_module, "CACHED_BYTES", 0)
        read = cluster(rows, 8, random_state=0, backend=backend, device="cpu", workers=workers)
    assert np.array_equal(kept.distances, read.distances)


def test_a_start_on_components_of_a_sample_is_near_the_best(monkeypatch):
    """Twenty groups in 300 dimensions, of which a sample of 400 rows is enough to find all."""
    monkeypatch.setattr("proxysample.clustering.kmeans.LEAST_ROWS", 1)
    monkeypatch.setattr("proxysample.clustering.kmeans.ROWS_PER_CLUSTER", 20)
    generator = np.random.default_rng(0)
    middles = generator.normal(0, 3, (20, 300))
    groups = generator.integers(0, 20, 3000)
    source = (middles[groups] + generator.normal(size=(3000, 300))).astype(np.float32)
    with Workers(2) as workers:
        found = cluster(Rows(source - source.mean(axis=0)), 20, random_state=0, workers=workers)
    means = np.stack([source[groups == group].mean(axis=0) for group in range(20)])
    assert found.inertia == pytest.approx(np.square(source - means[groups]).sum(), rel=1e-5)
    assert len(np.unique(found.labels * 20 + groups)) == 20


def test_the_best_of_several_starts_counts(digits, workers):
    once, often = (
        cluster(digits, 10, n_init=n_init, random_state=0, workers=workers).inertia
        for n_init in (1, 10)
    )
    assert often < once


@pytest.mark.parametrize("backend", BACKENDS)
def test_features_are_only_read(backend, workers):
    source = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    expected = source.copy()
    source.flags.writeable = False
    found = cluster(Rows(source), 3, random_state=0, backend=backend, device="cpu", workers=workers)
    assert np.array_equal(source, expected)
    assert found.inertia > 0


def test_random_starts_take_the_best_of_scikit_learns(digits, workers):
    every = [
        cluster_from_random_starts(digits, 10, n_init=n, random_state=0, workers=workers).inertia
        for n in (1, 5, 20)
    ]
    assert every[0] >= every[1] >= every[2]
    assert every[0] > every[2]
    best = KMeans(10, init="random", n_init=20, random_state=0).fit(digits.source).inertia_
    assert every[2] == pytest.approx(best, rel=0.01)


def test_nearest_centers_do_not_depend_on_where_blocks_end(monkeypatch, workers):
    generator = np.random.default_rng(0)
    rows = Rows(generator.normal(size=(500, 9)).astype(np.float32))
    centers = generator.normal(size=(12, 9))
    whole = nearest_centers(rows, centers, workers)
    monkeypatch.setattr(rows_module, "VALUES_PER_BLOCK", 100)
    assert np.array_equal(nearest_centers(rows, centers, workers), whole)
    distances = np.linalg.norm(rows.source[:, None] - centers[None], axis=2)
    assert whole.tolist() == distances.argmin(axis=1).tolist()


def test_centers_too_close_for_single_precision_are_told_apart(workers):
    offsets = np.random.default_rng(0).uniform(-0.01, 0.01, 200)
    rows = Rows(1000 + offsets[:, None])
    centers = 1000 + np.linspace(-0.009, 0.009, 5)[:, None]
    expected = np.abs(rows.source - centers.T).argmin(axis=1)
    assert nearest_centers(rows, centers, workers).tolist() == expected.tolist()
