from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from proxysample.clustering.groups import distances_to_own, group_means
from proxysample.features import rows as rows_module
from proxysample.features.rows import Rows, Workers
from proxysample.features.sources import mean_and_scale, principal_components


@pytest.fixture(params=[1, 3])
def workers(request):
    with Workers(request.param) as opened:
        yield opened


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(rows_module, "VALUES_PER_BLOCK", 64)


def everything(rows: Rows, dtype=np.float32) -> np.ndarray:
    return np.concatenate([rows.read(block, dtype) for block in rows.blocks()])


def test_results_come_in_order_and_wait_for_their_taker():
    drawn = []

    def items():
        for item in range(100):
            drawn.append(item)
            yield item

    with Workers(2) as workers:
        results = workers.map(lambda item: -item, items())
        assert next(results) == 0
        assert len(drawn) == 4
        assert list(results) == [-item for item in range(1, 100)]


def test_matrix_products_take_one_thread_for_a_while():
    def threads_of_blas():
        return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        with Workers() as workers:
            assert workers.n_threads == 2
            assert threads_of_blas() == {1}
        assert threads_of_blas() == {2}


def test_an_error_in_a_block_is_raised():
    with Workers(2) as workers, pytest.raises(ZeroDivisionError):
        list(workers.map(lambda item: 1 // item, [2, 1, 0, 1, 1, 1, 1]))


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 60), st.integers(1, 200))
def test_blocks_cover_each_row_once(n_rows, n_features, width, values):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "VALUES_PER_BLOCK", values)
        blocks = list(Rows(np.zeros((n_rows, n_features))).blocks(width))
    covered = [row for block in blocks for row in range(block.start, block.stop)]
    assert covered == list(range(n_rows))
    assert all(b.stop - b.start <= max(1, values // max(n_features, width)) for b in blocks)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64, np.int64])
def test_rows_are_scaled_then_projected(dtype, workers):
    generator = np.random.default_rng(0)
    source = generator.integers(0, 200, (50, 3, 2)).astype(dtype)
    shift, scale = generator.normal(size=6), generator.uniform(1, 2, 6)
    components = generator.normal(size=(6, 4))
    chosen = np.array([1, 3, 5, 31, 49])
    rows = (
        Rows(source, shift, scale)
        .projected(components[:, :5])
        .at(np.arange(1, 50, 2))
        .at(chosen // 2)
    )
    flat = source.reshape(50, 6).astype(np.float64)
    expected = ((flat - shift) / scale @ components)[chosen]
    assert (len(rows), rows.n_features) == (5, 4)
    assert everything(rows, np.float64) == pytest.approx(expected, rel=1e-12, abs=1e-9)
    assert rows.to_array(workers) == pytest.approx(expected, rel=1e-4, abs=1e-3)
    again = rows.projected(np.eye(4)[:, 1:2])
    assert everything(again, np.float64) == pytest.approx(expected[:, 1:2], rel=1e-12, abs=1e-9)


def test_far_off_values_of_high_precision_are_shifted_before_they_are_rounded():
    source = np.array([[1e9 + 1], [1e9 + 2]])
    assert everything(Rows(source, shift=np.array([1e9]))).tolist() == [[1], [2]]


def test_large_features_are_not_kept(monkeypatch, workers):
    rows = Rows(np.ones((4, 3), dtype=np.uint8))
    assert rows.cached(workers).source.dtype == np.float32
    monkeypatch.setattr(rows_module, "CACHED_BYTES", 4 * 4 * 3 - 1)
    assert rows.cached(workers) is rows


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_mean_and_scale_are_scikit_learns(offset, workers):
    source = np.random.default_rng(0).normal(size=(300, 5)) + offset
    source[:, 3] = 0.1 + offset
    mean, scale = mean_and_scale(Rows(source), workers)
    scaler = StandardScaler().fit(source)
    assert mean == pytest.approx(scaler.mean_, rel=1e-12)
    assert scale == pytest.approx(scaler.scale_, rel=1e-9)
    assert scale[3] == 1


@pytest.mark.usefixtures("small_blocks")
def test_principal_components_are_those_of_a_full_decomposition(workers):
    generator = np.random.default_rng(0)
    source = generator.normal(size=(400, 60)) * np.geomspace(10, 0.1, 60)
    source = source @ np.linalg.qr(generator.normal(size=(60, 60)))[0]
    source -= source.mean(axis=0)
    found = principal_components(Rows(source), 5, workers)
    expected = PCA(5, svd_solver="full").fit(source).components_.T
    assert found.T @ found == pytest.approx(np.eye(5), abs=1e-6)
    assert np.abs(found.T @ expected) == pytest.approx(np.eye(5), abs=2e-3)


def test_as_many_components_as_features_keep_distances(workers):
    source = np.random.default_rng(0).normal(size=(20, 7))
    components = principal_components(Rows(source), 7, workers)
    assert components @ components.T == pytest.approx(np.eye(7), abs=1e-6)


@pytest.mark.usefixtures("small_blocks")
def test_group_means_and_distances_by_numpy(workers):
    generator = np.random.default_rng(0)
    source = generator.random((3000, 5)).astype(np.float32)
    groups = generator.integers(0, 7, 3000)
    groups[groups == 4] = 3
    means = group_means(Rows(source), groups, 7, workers)
    distances = distances_to_own(Rows(source), groups, means, workers)
    assert means[4].tolist() == [0] * 5
    for group in (0, 1, 2, 3, 5, 6):
        members = source[groups == group].astype(np.float64)
        assert means[group] == pytest.approx(members.mean(axis=0), abs=1e-12)
        expected = np.linalg.norm(members - members.mean(axis=0), axis=1)
        assert distances[groups == group] == pytest.approx(expected, abs=1e-12)
