"""Messages between neighbours and coverage of a space, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from proxysample.coverage import density
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
    scores = zcore(features, n_draws=1_200, random_state=3)
    assert np.array_equal(scores, zcore(features, n_draws=1_200, random_state=3, n_threads=3))
    assert not np.array_equal(scores, zcore(features, n_draws=1_200, random_state=4))
    assert scores.sum() == pytest.approx(0, abs=1e-6)
    assert zcore(features[:1], random_state=0).tolist() == [10]


def test_zcore_is_low_where_rows_repeat_and_high_where_one_is_alone():
    generator = np.random.default_rng(1)
    crowd = generator.standard_normal((95, 4)) * 0.01
    alone = generator.standard_normal((5, 4)) * 5
    scores = zcore(np.concatenate([crowd, alone]), random_state=0)
    assert scores[95:].min() > np.quantile(scores[:95], 0.9)


def plain_zcore(features, n_draws, n_neighbours, seed):
    """Every distance of every draw, in double precision; ties to the lowest index."""
    n_rows, n_features = features.shape
    wide = features.astype(np.float64)
    (random,) = np.random.default_rng(seed).spawn(1)
    scores = np.zeros(n_rows)
    for _ in range(n_draws):
        chosen = random.choice(n_features, 2, replace=False)
        point = []
        for column in features[:, chosen].T:
            least, middle, most = map(float, (column.min(), np.median(column), column.max()))
            point.append(random.triangular(least, middle, most) if least < most else least)
        nearest = np.abs(wide[:, chosen] - point).sum(axis=1).argmin()
        scores[nearest] += 1
        distances = np.abs(wide[:, chosen] - wide[nearest, chosen]).sum(axis=1)
        distances[nearest] = np.inf
        redundant = np.argsort(distances, kind="stable")[:n_neighbours]
        apart = distances[redundant]
        shares = apart == 0 if apart.min() == 0 else (apart.min() / apart) ** 4
        scores[redundant] -= shares / shares.sum()
    return scores


def given_features(kind):
    random = np.random.default_rng(5)
    drawn = random.standard_normal((300, 4))
    if kind == "far from zero":
        # Single precision cannot tell the rows' distances apart, and decides nothing.
        return (drawn * 1e-3 + 1e3).astype(np.float32)
    if kind == "in double precision":
        return drawn * 1e-6 + 1e9
    if kind == "tied":
        return random.integers(0, 5, (300, 4)).astype(np.float32)
    if kind == "very small":
        return (drawn * 1e-42).astype(np.float32)
    assert kind == "in blocks"
    # Of every thirtieth row none is near what most draws come to.
    drawn[::30] += 50
    return drawn.astype(np.float32)


@pytest.mark.parametrize(
    "kind", ["far from zero", "in double precision", "tied", "very small", "in blocks"]
)
@pytest.mark.parametrize("n_neighbours", [12, 299])
def test_zcore_lists_no_row_too_few(kind, n_neighbours, monkeypatch):
    monkeypatch.setattr(density, "SAMPLED_ROWS", 10)
    features = given_features(kind)
    with Workers(1) as workers:
        scores = zcore_scores(
            features, n_draws=100, n_neighbours=n_neighbours, random_state=7, workers=workers
        )
    assert scores == pytest.approx(plain_zcore(features, 100, n_neighbours, 7), abs=1e-9)
