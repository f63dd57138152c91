"""Neighbours and predecessors against all pairs."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxysample.coverage import groups
from proxysample.coverage.groups import (
    Group,
    cosines,
    nearest_before,
    nearest_neighbours,
    to_unit_length,
)

small_matrices = st.builds(
    lambda seed, n, d: np.random.default_rng(seed).integers(-2, 3, (n, d)).astype(float),
    st.integers(0, 2**32 - 1),
    st.integers(1, 20),
    st.integers(1, 4),
)


@settings(max_examples=40)
@given(small_matrices, st.integers(0, 19), st.sampled_from(groups.METRICS), st.booleans())
def test_neighbours_are_the_nearest_with_ties_to_the_lowest_index(features, k, metric, in_blocks):
    k = min(k, len(features) - 1)
    with mock.patch.object(groups, "VALUES_PER_BLOCK", 11 if in_blocks else 999):
        found, distances = nearest_neighbours(Group(features.copy()), k, metric=metric)
    rows = to_unit_length(features.copy()) if metric == "cosine" else features
    apart = np.linalg.norm(rows[:, None] - rows, axis=2).round(6)
    np.fill_diagonal(apart, np.inf)
    assert found.tolist() == np.argsort(apart, axis=1, kind="stable")[:, :k].tolist()
    np.testing.assert_allclose(distances, np.take_along_axis(apart, found, 1), atol=1e-6)


@settings(max_examples=40)
@given(small_matrices, st.integers(0, 2**32 - 1), st.booleans())
def test_each_row_is_compared_with_all_before_it(features, seed, in_blocks):
    order = np.random.default_rng(seed).permutation(len(features))
    unit = to_unit_length(features)
    with mock.patch.object(groups, "VALUES_PER_BLOCK", 11 if in_blocks else 999):
        found = nearest_before(Group(unit), order)
    assert found[order[0]] == -1
    for place, index in enumerate(order[1:], 1):
        expected = max(float(unit[index] @ unit[other]) for other in order[:place])
        assert found[index] == pytest.approx(expected, abs=1e-9)


def test_directions_of_very_small_and_large_rows():
    rows = np.array([[3e-200, 4e-200], [3e200, 4e200], [0.0, 0.0]])
    assert to_unit_length(rows).round(12).tolist() == [[0.6, 0.8], [0.6, 0.8], [0.0, 0.0]]


def test_a_repeated_row_is_exactly_like_the_first():
    rows = to_unit_length(np.full((3, 7), 0.1))
    assert nearest_before(Group(rows), np.arange(3)).tolist() == [-1, 1, 1]
    assert cosines(rows, np.zeros(7)).tolist() == [0, 0, 0]
    assert cosines(rows, 5 * rows[0]).tolist() == [1, 1, 1]
