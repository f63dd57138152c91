"""Outliers by angle: spherical K-Means and the direction of a class."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.linalg import norm

from proxysample import CCOutlierRemoval, InputError, KMeansOutlierRemoval

# Two directions, whatever the lengths: angles of 0, 90 and 45 degrees, and of 180 and 270.
VECTORS = np.array([[2.0, 0.0], [0.0, 5.0], [3.0, 3.0], [-7.0, 0.0], [0.0, -1.0]])
HALF = np.sqrt(0.5)
LABELS = np.array([0, 0, 0, 1, 1])


def test_class_directions_by_hand():
    sampler = CCOutlierRemoval(metric="cosine").fit(VECTORS, LABELS)
    # The mean direction of the first class is the diagonal, that of the second its opposite.
    expected = [1 - HALF, 1 - HALF, 0, 1 - HALF, 1 - HALF]
    assert sampler.scores_ == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "torch", "faiss"])
@pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")
def test_clusters_of_directions_by_hand(backend):
    if backend == "faiss":
        pytest.importorskip("faiss", reason="needs the extra 'faiss'")
    sampler = KMeansOutlierRemoval(
        n_clusters=2, features=VECTORS, metric="cosine", backend=backend, device="cpu",
        min_cluster_size=1, n_init=8, random_state=0,
    ).fit(np.zeros((5, 2, 2)))  # fmt: skip
    assert sampler.scores_ == pytest.approx([1 - HALF, 1 - HALF, 0, 1 - HALF, 1 - HALF], abs=1e-9)
    assert sampler.inertia_ == pytest.approx(4 * (1 - HALF), rel=1e-9)
    first, second = sampler.cluster_labels_[[0, 3]]
    assert sampler.cluster_centers_[first] == pytest.approx([HALF, HALF], abs=1e-9)
    assert sampler.cluster_centers_[second] == pytest.approx([-HALF, -HALF], abs=1e-9)


def directions(seed: int, n_rows: int, n_features: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    middles = generator.normal(size=(6, n_features))
    rows = middles[np.arange(n_rows) % 6] + 0.2 * generator.normal(size=(n_rows, n_features))
    return rows * generator.uniform(0.01, 100, (n_rows, 1))


@pytest.mark.parametrize("shape", [(300, 20), (300, 200), (60, 3000)])
def test_scores_are_those_of_the_nearest_direction(shape):
    features = directions(0, *shape)
    sampler = KMeansOutlierRemoval(
        n_clusters=6, features=features, metric="cosine", random_state=0
    ).fit(np.zeros((len(features), 2, 2)))
    centers = sampler.cluster_centers_
    assert norm(centers, axis=1) == pytest.approx(np.ones(6), rel=1e-9)
    cosines = features @ centers.T / norm(features, axis=1)[:, None]
    assert sampler.cluster_labels_.tolist() == cosines.argmax(axis=1).tolist()
    assert sampler.scores_ == pytest.approx(1 - cosines.max(axis=1), abs=1e-9)
    assert sampler.inertia_ == pytest.approx((1 - cosines.max(axis=1)).sum(), rel=1e-9)
    groups = np.arange(len(features)) % 6
    assert len(np.unique(sampler.cluster_labels_ * 6 + groups)) == 6
    for label in range(6):
        mean = (features / norm(features, axis=1)[:, None])[groups == groups[label]].mean(axis=0)
        center = centers[sampler.cluster_labels_[label]]
        assert center == pytest.approx(mean / norm(mean), abs=1e-3)


@pytest.mark.parametrize("unit", [1e-200, 1e-25, 1e30])
def test_lengths_do_not_count(unit):
    features = directions(0, 120, 4)
    lengths = np.random.default_rng(1).uniform(0.5, 2, (120, 1)) * unit
    given = (features, features * lengths)
    by_cluster = [
        KMeansOutlierRemoval(n_clusters=6, features=one, metric="cosine", random_state=0)
        .fit(np.zeros((120, 2, 2)))
        .scores_
        for one in given
    ]
    assert by_cluster[1] == pytest.approx(by_cluster[0], abs=1e-9)
    by_class = [CCOutlierRemoval(metric="cosine").fit(one, np.arange(120) % 6).scores_
                for one in given]  # fmt: skip
    assert by_class[1] == pytest.approx(by_class[0], abs=1e-12)


def test_far_off_directions_are_told_apart_in_double_precision():
    """All cosines are 1 to eight digits: single precision sees one direction."""
    features = 1e4 + directions(0, 120, 4) / 100
    sampler = KMeansOutlierRemoval(
        n_clusters=6, features=features, metric="cosine", random_state=0
    ).fit(np.zeros((120, 2, 2)))
    assert sampler.precision_ == "float64"
    unit = features / norm(features, axis=1)[:, None]
    every = norm(unit[:, None] - sampler.cluster_centers_[None], axis=2)
    assert sampler.cluster_labels_.tolist() == every.argmin(axis=1).tolist()


def test_components_are_taken_about_zero():
    features = directions(0, 300, 20) + 5
    sampler = KMeansOutlierRemoval(
        n_clusters=1, features=features, n_components=20, metric="cosine", min_cluster_size=1
    ).fit(np.zeros((300, 2, 2)))
    unit = features / norm(features, axis=1)[:, None]
    mean = unit.mean(axis=0)
    assert sampler.scores_ == pytest.approx(1 - unit @ mean / norm(mean), abs=1e-7)


def test_a_sample_without_direction_is_refused():
    vectors = VECTORS.copy()
    vectors[3] = 0
    match = "features of sample 3 are all zero .* drop it, or take metric='euclidean'"
    with pytest.raises(InputError, match=match):
        CCOutlierRemoval(metric="cosine").fit(vectors, LABELS)
    with pytest.raises(InputError, match=match):
        KMeansOutlierRemoval(n_clusters=2, features=vectors, metric="cosine").fit(
            np.zeros((5, 2, 2))
        )


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (KMeansOutlierRemoval(metric="angle"), "unknown metric 'angle'"),
        (CCOutlierRemoval(metric="cosin"), "did you mean 'cosine'"),
        (
            KMeansOutlierRemoval(metric="cosine", backend="scikit-learn"),
            "take backend='numpy', 'torch' or 'faiss'",
        ),
        (KMeansOutlierRemoval(metric="cosine", protocol="paper"), "leave metric at 'euclidean'"),
        (CCOutlierRemoval(metric="cosine", protocol="paper"), "leave metric at 'euclidean'"),
    ],
)
def test_metrics_that_cannot_be_are_refused_before_the_data_is_touched(sampler, message):
    with pytest.raises(InputError, match=message):
        sampler.fit(object())


def test_noise_in_clusters_of_its_own_is_not_kept():
    """Six vectors along axes of their own among two directions."""
    generator = np.random.default_rng(0)
    features = np.eye(8)[np.arange(200) % 2] + 0.1 * generator.normal(size=(200, 8))
    features = np.concatenate([features, np.eye(8)[2:]])
    sampler = KMeansOutlierRemoval(
        n_clusters=12, features=features, metric="cosine", random_state=0
    )
    kept = sampler.select(np.zeros((206, 2, 2)), 0.25)
    assert kept.max() < 200
    assert sampler.scores_[200:].min() > sampler.scores_[:200].max()
