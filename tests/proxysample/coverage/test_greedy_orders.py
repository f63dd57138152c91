"""Greedy orders against orders worked out by hand, and against their definitions."""

from __future__ import annotations

import tracemalloc
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxysample.coverage import groups
from proxysample.coverage.greedy import (
    facility_location_order,
    facility_location_value,
    herding_order,
    k_center_order,
)
from proxysample.coverage.groups import Group, for_each_group, places
from proxysample.features.rows import Rows, Workers

ORDERS = {
    "herding": herding_order,
    "k-center": k_center_order,
    "cosine": facility_location_order,
    "euclidean": lambda group: facility_location_order(group, metric="euclidean"),
}
every_order = pytest.mark.parametrize("name", ORDERS)


def order_of(name: str, features) -> list[int]:
    return ORDERS[name](Group(np.array(features, dtype=np.float64))).tolist()


def test_herding_by_hand():
    """Mean 4: first 3 (apart by 1); then sums nearest 8, 12, 16, of 3, 3 + 6, 9 + 0, ...."""
    # 3 -> needs 5: 6 is apart by 1; 3 + 6 = 9 -> needs 3: 0 and 7 are apart by 3 and 4.
    assert order_of("herding", [[0.0], [3.0], [6.0], [7.0]]) == [1, 2, 0, 3]
    # Mean (0, 1): all but the last are apart by more than the last is.
    assert order_of("herding", [[3.0, 1.0], [-3.0, 1.0], [0.0, 3.0], [0.0, -1.0]])[0] == 2


def test_k_center_by_hand():
    """Mean 3: 2 is nearest; then 9 (7 away), then 0 (2 away), then 1."""
    assert order_of("k-center", [[0.0], [1.0], [2.0], [9.0]]) == [2, 3, 0, 1]
    started = k_center_order(Group(np.array([[0.0], [1.0], [2.0], [9.0]])), start=0)
    assert started.tolist() == [0, 3, 2, 1]


def test_facility_location_by_hand():
    """Cosines of the second to the others: .8, 1, .96, and a negative one that counts as 0."""
    rows = [[1.0, 0.0], [4.0, 3.0], [3.0, 4.0], [0.0, -1.0]]
    # Sums of cosines 2.4, 2.76, 2.56, 1; then gains .2, 0, .04, 1.
    assert order_of("cosine", rows) == [1, 3, 0, 2]
    # 1 / (1 + distance), sums: 1 + 1/2 + 1/5, 1/2 + 1 + 1/4, 1/5 + 1/4 + 1.
    # Then gains of 0 and 4: 1/2, 3/4.
    assert order_of("euclidean", [[0.0], [1.0], [4.0]]) == [1, 2, 0]


@st.composite
def matrices(draw):
    n, d = draw(st.integers(1, 24)), draw(st.integers(1, 5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return generator.standard_normal((n, d)) + draw(st.sampled_from([0, 3]))


def greedy(worth, n):
    order: list[int] = []
    while len(order) < n:
        rest = [i for i in range(n) if i not in order]
        values = [worth(order, i) for i in rest]
        best = max(values)
        order.append(rest[next(k for k, v in enumerate(values) if v >= best - 1e-9)])
    return order


def herding_worth(features):
    def worth(order, i):
        mean = features.mean(axis=0)
        return -np.linalg.norm((len(order) + 1) * mean - features[order].sum(axis=0) - features[i])

    return worth


def k_center_worth(features):
    def worth(order, i):
        if not order:
            return -np.linalg.norm(features[i] - features.mean(axis=0))
        return np.linalg.norm(features[order] - features[i], axis=1).min()

    return worth


def facility_worth(features, metric):
    def worth(order, i):
        return facility_location_value(Group(features.copy()), np.array([*order, i]), metric=metric)

    return worth


@settings(max_examples=30)
@given(matrices(), st.booleans())
def test_orders_are_what_their_definitions_say(features, in_blocks):
    n = len(features)
    expected = {
        "herding": greedy(herding_worth(features), n),
        "k-center": greedy(k_center_worth(features), n),
        "cosine": greedy(facility_worth(features, "cosine"), n),
        "euclidean": greedy(facility_worth(features, "euclidean"), n),
    }
    sizes = {"VALUES_PER_BLOCK": 7, "PAIRS_PER_VALUE": 0} if in_blocks else {"PAIRS_PER_VALUE": 9}
    with mock.patch.multiple(groups, VALUES_PER_TILE=5, **sizes):
        for name in ORDERS:
            assert order_of(name, features) == expected[name], name


@pytest.mark.parametrize("name", ["herding", "k-center"])
@settings(max_examples=25)
@given(st.integers(3, 24), st.integers(0, 2**32 - 1))
def test_an_order_knows_nothing_of_where_a_row_stands(name, n, seed):
    generator = np.random.default_rng(seed)
    features, moved = generator.standard_normal((n, 5)), generator.permutation(n)
    assert moved[order_of(name, features[moved])].tolist() == order_of(name, features)


@pytest.mark.parametrize("metric", groups.METRICS)
@settings(max_examples=15)
@given(st.integers(3, 24), st.integers(0, 2**32 - 1))
def test_facility_location_is_as_good_whatever_the_order_of_the_rows(metric, n, seed):
    """Of two rows that stand for each other only, either may come first, and others follow then."""
    generator = np.random.default_rng(seed)
    features, moved = generator.standard_normal((n, 5)), generator.permutation(n)
    name = "cosine" if metric == "cosine" else "euclidean"
    first, second = order_of(name, features), moved[order_of(name, features[moved])]
    for size in range(1, n + 1):
        values = [
            facility_location_value(Group(features.copy()), np.array(order[:size]), metric=metric)
            for order in (first, second)
        ]
        if size in (1, n):
            assert values[0] == pytest.approx(values[1])
        # The bound that holds for every greedy choice.
        assert min(values) >= (1 - np.exp(-1)) * max(values)


@every_order
def test_ties_go_to_the_lowest_index(name):
    constant = np.full((5, 3), 0.1)
    assert order_of(name, constant) == [0, 1, 2, 3, 4]
    zeros = np.zeros((4, 2))
    assert order_of(name, zeros) == [0, 1, 2, 3]
    assert order_of(name, [[2.0, 7.0]]) == [0]


@pytest.mark.parametrize("name", ["k-center", "cosine"])
def test_what_repeats_another_comes_last(name):
    different = np.random.default_rng(0).standard_normal((6, 4))
    order = order_of(name, np.concatenate([different, different]))
    assert sorted(index % 6 for index in order[:6]) == list(range(6))
    assert max(order[:6]) < 6


def test_rows_of_zeros_stand_for_nothing():
    assert order_of("cosine", [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]) == [1, 3, 0, 2]


@every_order
def test_a_prefix_is_what_fewer_picks_give(name):
    features = np.random.default_rng(1).standard_normal((30, 4))
    function = ORDERS[name]
    if name == "euclidean":
        return
    assert function(Group(features.copy()), 11).tolist() == order_of(name, features)[:11]


def test_a_huge_row_does_not_take_the_digits_of_the_others():
    features = np.array([[0.0], [1.0], [3.0], [1e6]])
    assert order_of("k-center", features) == [2, 3, 0, 1]
    assert order_of("herding", features)[:1] == [2]


@every_order
def test_bits_do_not_depend_on_threads_or_on_what_is_held(name, monkeypatch):
    generator = np.random.default_rng(2)
    features = generator.standard_normal((200, 8)).astype(np.float32)
    codes = generator.integers(0, 3, 200)

    def scores(n_threads, codes):
        with Workers(n_threads) as workers:
            return for_each_group(
                lambda group: places(ORDERS[name](group)), Rows(features), codes, workers
            ).tolist()

    expected = scores(1, codes), scores(1, None)
    assert (scores(3, codes), scores(3, None)) == expected
    monkeypatch.setattr(groups, "VALUES_PER_BLOCK", 999)
    monkeypatch.setattr(groups, "VALUES_PER_TILE", 99)
    assert not Group(features).is_held
    assert (scores(1, codes), scores(3, None)) == expected


@pytest.mark.parametrize("name", ["herding", "k-center", "cosine"])
def test_no_matrix_of_all_pairs_is_held(name):
    n = 5_000 if name == "cosine" else 20_000
    features = np.random.default_rng(3).standard_normal((n, 8))
    group = Group(features)
    tracemalloc.start()
    with Workers(1):
        ORDERS[name](group, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * 8 * features.size < n**2


def test_the_objective_counts_each_row_once():
    rows = np.array([[1.0, 0.0], [4.0, 3.0], [3.0, 4.0]])
    assert facility_location_value(Group(rows), np.array([0, 2])) == pytest.approx(1 + 0.96 + 1)
