"""Messages between neighbours and coverage of a space, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from proxysample.coverage.density import d2_order, zcore_scores
from proxysample.features.rows import Workers


def test_d2_by_hand():
    """Two rows on one spot, one at distance ln 2, one far away."""
    neighbours = np.array([[1], [0], [0], [0]])
    distances = np.array([[0.0], [0.0], [np.log(2)], [50.0]])
    # Worth: 4 + 2 + 3/2 = 7.5, 2 + 4 = 6, 3 + 4/2 = 5, 1. The first takes 7.5 from the second and
    # half of that from the third: -1.5, 1.25, 1. So the far one comes before the repeated one.
    order = d2_order(np.array([4.0, 2.0, 3.0, 1.0]), neighbours, distances)
    assert order.tolist() == [0, 2, 3, 1]
    # Without a loss by distance the third loses 7.5 too, and the fourth.
    order = d2_order(np.array([4.0, 2.0, 3.0, 1.0]), neighbours, distances, gamma=0)
    assert order.tolist() == [0, 1, 2, 3]


def test_d2_takes_the_hardest_where_nobody_has_neighbours():
    none = np.empty((4, 0), dtype=np.int64)
    order = d2_order(np.array([1.0, 3.0, 2.0, 3.0]), none, none.astype(float))
    assert order.tolist() == [1, 3, 2, 0]


def test_a_loss_is_taken_from_both_ends_of_an_edge():
    """The second is a neighbour of the first only; the first takes from it all the same."""
    neighbours, distances = np.array([[1], [2], [1]]), np.array([[0.0], [9.0], [9.0]])
    order = d2_order(np.array([5.0, 4.0, 1.0]), neighbours, distances)
    assert order.tolist() == [1, 2, 0] or order.tolist() == [0, 2, 1]
    assert order[1] == 2


def zcore(features, **parameters):
    with Workers(parameters.pop("n_threads", 1)) as workers:
        return zcore_scores(np.asarray(features, float), workers=workers, **parameters)


def test_zcore_by_hand():
    """One feature, two spots: each draw gives 1 to the nearer, and takes 1 from the other."""
    scores = zcore([[0.0], [1.0]], n_draws=200, random_state=0)
    assert scores.sum() == 0
    assert scores[0] == -scores[1]
    # Three rows: what covers a point takes 16 times as much from a row at half the distance.
    scores = zcore([[0.0], [0.0], [0.0]], n_draws=34, random_state=0)
    assert scores.tolist() == [34, -17, -17]


def test_zcore_takes_by_the_inverse_fourth_power():
    """Only the row at 0 covers: points lie between 0 and 3, most of them near the median 1."""
    scores = zcore([[0.0], [2.0], [4.0]], n_draws=1, random_state=0)
    assert sorted(scores.tolist()) in (
        pytest.approx([-16 / 17, -1 / 17, 1]),
        pytest.approx([-0.5, -0.5, 1]),
    )
    nearest_only = zcore([[0.0], [2.0], [4.0]], n_draws=1, n_neighbours=1, random_state=0)
    assert sorted(nearest_only.tolist()) == [-1, 0, 1]


def test_zcore_is_seeded_and_does_not_depend_on_threads():
    features = np.random.default_rng(0).standard_normal((300, 6))
    scores = zcore(features, random_state=3)
    assert np.array_equal(scores, zcore(features, random_state=3, n_threads=3))
    assert not np.array_equal(scores, zcore(features, random_state=4))
    assert scores.sum() == pytest.approx(0, abs=1e-6)
    assert zcore(features[:1], random_state=0).tolist() == [10]


def test_zcore_is_low_where_rows_repeat_and_high_where_one_is_alone():
    generator = np.random.default_rng(1)
    crowd = generator.standard_normal((95, 4)) * 0.01
    alone = generator.standard_normal((5, 4)) * 5
    scores = zcore(np.concatenate([crowd, alone]), random_state=0)
    assert scores[95:].min() > np.quantile(scores[:95], 0.9)
