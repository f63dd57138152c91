"""Few rows of many features: their scalar products hold all distances."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.cluster import KMeans

from proxysample import KMeansOutlierRemoval
from proxysample.features import gram
from proxysample.features.gram import coordinates, gram_matrix, gram_pays
from proxysample.features.rows import Rows, Workers
from proxysample.features.sources import exact_components, principal_components


@pytest.fixture(params=[1, 3])
def workers(request):
    with Workers(request.param) as opened:
        yield opened


def test_products_of_panels_are_those_of_the_whole(workers, monkeypatch):
    monkeypatch.setattr(gram, "VALUES_PER_PANEL", 150)
    source = np.random.default_rng(0).integers(0, 256, (20, 50), dtype=np.uint8)
    shift = np.linspace(0, 9, 50)
    products = gram_matrix(Rows(source, shift=shift), workers)
    expected = source - shift
    assert products == pytest.approx(expected @ expected.T, rel=1e-12)
    assert np.array_equal(products, products.T)


@pytest.mark.parametrize("far", [1.0, 1e7, 1e12])
def test_coordinates_keep_distances_whatever_one_row_is(far):
    source = np.random.default_rng(0).normal(size=(30, 400))
    source[4] *= far
    source[7] = source[8]
    source[9] = 0
    found = coordinates(source @ source.T)
    assert found.shape[0] == 30
    assert found.shape[1] <= 29
    others = np.arange(30) != 4
    assert pdist(found[others]) == pytest.approx(pdist(source[others]), rel=1e-9, abs=1e-6)
    assert pdist(found) == pytest.approx(pdist(source), rel=1e-9, abs=1e-6)


def test_rows_of_few_dimensions_get_few_coordinates():
    generator = np.random.default_rng(0)
    source = generator.normal(size=(50, 3)) @ generator.normal(size=(3, 900))
    found = coordinates(source @ source.T)
    assert found.shape == (50, 3)
    assert pdist(found) == pytest.approx(pdist(source), rel=1e-9)


def test_it_pays_where_the_arithmetic_says():
    assert gram_pays(100, 150_528, 50)
    assert gram_pays(3000, 150_528, 100)
    assert not gram_pays(20_000, 150_528, 100)
    assert not gram_pays(1000, 1001, 10)
    assert not gram_pays(100, 99, 1000)


@pytest.mark.parametrize("backend", ["numpy", "scikit-learn", "torch"])
def test_the_clustering_is_that_of_all_features(backend, monkeypatch):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (60, 20, 20, 3), dtype=np.uint8)
    images[:30] //= 4
    images[30:45] //= 2
    found, expected = (
        KMeansOutlierRemoval(n_clusters=3, random_state=0, backend=backend, device="cpu")
        for _ in range(2)
    )
    found.fit(images)
    monkeypatch.setattr("proxysample.clustering.kmeans.gram_pays", lambda *_: False)
    expected.fit(images)
    assert found.inertia_ == pytest.approx(expected.inertia_, rel=1e-9)
    assert found.scores_ == pytest.approx(expected.scores_, rel=1e-6)
    order = [expected.cluster_labels_[found.cluster_labels_ == label][0] for label in range(3)]
    assert found.cluster_centers_ == pytest.approx(expected.cluster_centers_[order], abs=1e-6)
    assert np.array_equal(found.ranking_.order, expected.ranking_.order)


def test_one_huge_value_among_many_features_changes_no_other_row():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(40, 500)) + 8 * (np.arange(40) % 2)[:, None]
    expected = KMeans(2, n_init=5, random_state=0).fit(np.delete(features, 5, axis=0)).inertia_
    features[5, 17] = 1e7
    sampler = KMeansOutlierRemoval(n_clusters=3, features=features, random_state=0)
    sampler.set_params(min_cluster_size=1).fit(np.zeros((40, 2, 2)))
    assert np.square(sampler.scores_).sum() == pytest.approx(expected, rel=1e-6)
    assert sampler.precision_ == "float64"


def test_more_clusters_than_distinct_rows_of_many_features():
    features = np.repeat(np.random.default_rng(0).normal(size=(3, 600)), 5, axis=0)
    sampler = KMeansOutlierRemoval(n_clusters=6, features=features, random_state=0)
    sampler.fit(np.zeros((15, 2, 2)))
    assert sampler.scores_ == pytest.approx(np.zeros(15), abs=1e-6)
    every = np.linalg.norm(
        (features - features.mean(axis=0))[:, None] - sampler.cluster_centers_[None], axis=2
    )
    assert every.min(axis=1) == pytest.approx(sampler.scores_, abs=1e-6)


def test_components_of_few_rows_are_those_of_a_full_decomposition(workers):
    source = np.random.default_rng(0).normal(size=(30, 2000)) * np.geomspace(9, 0.1, 30)[:, None]
    source -= source.mean(axis=0)
    assert gram_pays(*source.shape)
    for find in (principal_components, exact_components):
        found = find(Rows(source), 5, workers)
        _, _, directions = np.linalg.svd(source, full_matrices=False)
        assert found.T @ found == pytest.approx(np.eye(5), abs=1e-9)
        assert np.abs(directions[:5] @ found) == pytest.approx(np.eye(5), abs=1e-6)


def test_more_components_than_the_rows_span_are_orthonormal(workers):
    source = np.repeat(np.random.default_rng(0).normal(size=(4, 900)), 5, axis=0)
    found = exact_components(Rows(source), 8, workers)
    assert found.T @ found == pytest.approx(np.eye(8), abs=1e-9)


def test_a_hundred_photos_take_a_few_seconds():
    """They took 28 s of CPU by way of all 150,528 features; half a second more is generous."""
    photos = np.random.default_rng(0).integers(0, 256, (100, 224, 224, 3), dtype=np.uint8)
    KMeansOutlierRemoval(n_clusters=2, n_init=1, random_state=0).fit(photos[:9, :8, :8])
    started = time.process_time()
    KMeansOutlierRemoval(n_clusters=20, random_state=0).fit(photos)
    assert time.process_time() - started < 3
