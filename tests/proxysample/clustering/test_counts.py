"""Help for choosing the number of clusters."""

from __future__ import annotations

import numpy as np
import pytest

from proxysample import InputError, KMeansOutlierRemoval
from proxysample.clustering import counts
from proxysample.clustering.counts import ClusterCount, _suggest


def groups(n_groups: int, n_rows: int = 600, n_features: int = 3) -> np.ndarray:
    generator = np.random.default_rng(0)
    middles = generator.normal(0, 30, (n_groups, n_features))
    return middles[np.arange(n_rows) % n_groups] + generator.normal(size=(n_rows, n_features))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_number_of_groups_is_found(metric):
    sampler = KMeansOutlierRemoval(random_state=0, metric=metric)
    found = sampler.suggest_n_clusters(groups(6), [2, 6, 40, 60, 6], n_seeds=2)
    assert [count.n_clusters for count in found.counts] == [2, 6, 40, 60]
    inertias = [count.inertia for count in found.counts]
    assert inertias == sorted(inertias, reverse=True)
    assert all(0 <= inertia <= 1 for inertia in inertias)
    assert found.suggested == 6
    assert found.counts[1].agreement == pytest.approx(1)
    assert found.counts[1].small_clusters == found.counts[1].in_small == 0
    assert found.n_samples == 600


def test_text_and_frame_hold_the_same():
    pytest.importorskip("pandas", reason="needs the extra 'pandas'")
    found = KMeansOutlierRemoval(random_state=0).suggest_n_clusters(groups(4), [4, 8], n_seeds=2)
    frame = found.to_frame()
    assert frame.columns.tolist() == [
        *("n_clusters", "inertia", "small_clusters", "in_small", "agreement")
    ]
    assert frame.n_clusters.tolist() == [4, 8]
    lines = str(found).splitlines()
    assert [line.split("|")[1].strip() for line in lines[:4]] == ["clusters", "-" * 10, "4", "8"]
    assert f"suggested: n_clusters={found.suggested};" in str(found)
    assert "2 seeds on 600 samples" in str(found)


def test_the_same_seed_gives_the_same_table():
    first, second = (
        str(KMeansOutlierRemoval(random_state=3).suggest_n_clusters(groups(4), [3, 9]))
        for _ in range(2)
    )
    assert first == second


def test_a_sample_on_components_is_enough(monkeypatch):
    monkeypatch.setattr(counts, "SAMPLED_ROWS", 200)
    found = KMeansOutlierRemoval(random_state=0).suggest_n_clusters(
        groups(5, n_features=200), [2, 5, 30], n_seeds=2
    )
    assert found.n_samples == 200
    assert found.suggested == 5


def test_usual_counts_leave_enough_samples_a_cluster():
    found = KMeansOutlierRemoval(random_state=0).suggest_n_clusters(groups(3, 90), n_seeds=2)
    assert [count.n_clusters for count in found.counts] == [2, 5, 10]


def test_the_largest_of_those_whose_seeds_agree_is_suggested():
    def count(n_clusters: int, in_small: float, agreement: float) -> ClusterCount:
        return ClusterCount(n_clusters, 0.5, 0.1, in_small, agreement)

    tried = [count(10, 0.0, 0.8), count(20, 0.05, 0.76), count(50, 0.02, 0.7)]
    assert _suggest(tried) == 20
    assert _suggest([*tried, count(99, 0.06, 1.0)]) == 20
    assert _suggest([count(10, 0.3, 0.9), count(20, 0.2, 0.1)]) == 20


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"candidates": [0]}, "each of candidates must be a positive integer"),
        ({"candidates": [2, 61]}, "n_clusters=61 among the candidates for 60 samples"),
        ({"candidates": []}, "give candidates"),
        ({"n_seeds": 1}, "n_seeds must be an integer of at least 2"),
        ({"r": 25}, "did you mean 0.25"),
    ],
)
def test_what_cannot_be_tried_is_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        KMeansOutlierRemoval().suggest_n_clusters(groups(2, 60), **parameters)


def test_too_few_samples_are_told():
    with pytest.raises(InputError, match="8 samples are too few to compare"):
        KMeansOutlierRemoval().suggest_n_clusters(groups(2, 8))
