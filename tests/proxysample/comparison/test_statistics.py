"""Statistics against scipy's, and against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from proxysample.comparison.statistics import (
    accuracies_by_class,
    holm,
    holm_among,
    paired_interval,
    t_interval,
)

values = st.lists(st.floats(-50, 50), min_size=2, max_size=12)


@given(values)
def test_intervals_are_those_of_scipy(numbers):
    found = t_interval(numbers)
    error = np.std(numbers, ddof=1) / np.sqrt(len(numbers))
    if error < 1e-9:
        return
    low, high = stats.t.interval(0.95, len(numbers) - 1, np.mean(numbers), error)
    assert found.mean - found.half == pytest.approx(low, abs=1e-9)
    assert found.mean + found.half == pytest.approx(high, abs=1e-9)
    oracle = stats.ttest_1samp(numbers, 0.0).pvalue
    assert found.p_value == pytest.approx(oracle, abs=1e-9)


@given(values, st.floats(-5, 5))
def test_an_interval_excludes_zero_where_its_p_value_says_so(numbers, shift):
    found = t_interval([one + shift for one in numbers])
    if found.half and abs(found.p_value - 0.05) > 1e-9:
        assert found.excludes_zero == (found.p_value < 0.05)


def test_a_paired_interval_is_scipys_of_what_both_have():
    ours = {0: 71.0, 1: 69.5, 2: 73.25, 5: 99.0}
    theirs = {2: 70.0, 1: 68.0, 0: 70.5, 4: 1.0}
    found = paired_interval(ours, theirs)
    oracle = stats.ttest_rel([71.0, 69.5, 73.25], [70.5, 68.0, 70.0])
    assert found.n == 3
    assert found.p_value == pytest.approx(oracle.pvalue)
    low, high = oracle.confidence_interval(0.95)
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))
    assert paired_interval({0: 1.0}, {1: 1.0}) is None


def test_a_single_seed_gives_no_interval():
    found = paired_interval({3: 60.0}, {3: 50.0})
    assert (found.mean, found.half, found.p_value, found.n) == (10.0, None, None, 1)
    assert not found.excludes_zero


def test_values_that_are_all_the_same_leave_nothing_to_chance():
    assert t_interval([2.0, 2.0]).excludes_zero
    same = t_interval([0.0, 0.0, 0.0])
    assert not same.excludes_zero
    assert same.p_value == 1.0


def test_values_are_no_more_alike_than_their_rounding_lets_one_see():
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        ours, theirs = (np.round(rng.normal(50, 0.5, 3) / 2) * 2 for _ in range(2))
        found = t_interval((ours - theirs).tolist(), resolution=2.0)
        wrong += found.excludes_zero
    # Without a resolution, one in ten is all the same, by 2 points or so, and passes for certain.
    assert wrong <= 0.05 * 400
    assert t_interval([2.0, 2.0, 2.0], resolution=1.0).half == pytest.approx(
        stats.t.ppf(0.975, 2) / np.sqrt(6) / np.sqrt(3)
    )


def step_down(p_values):
    """Holm's procedure as its paper has it: the levels at which each is rejected, one by one."""
    rejected = {}
    m = len(p_values)
    for alpha in np.linspace(0, 1, 2001):
        order = sorted(range(m), key=lambda place: p_values[place])
        for step, place in enumerate(order):
            if p_values[place] > alpha / (m - step):
                break
            rejected.setdefault(place, alpha)
    return [rejected.get(place, 1.0) for place in range(m)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_corrects_as_the_procedure_rejects(p_values):
    corrected = holm(p_values)
    np.testing.assert_allclose(corrected, step_down(p_values), atol=0.0006)
    assert (corrected >= np.asarray(p_values)).all()


def test_holm_by_hand():
    # Four of them: 4 x .005, then 3 x .01, then 2 x .03 and .04, which is no less than .06.
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]).tolist() == []


def test_methods_without_an_interval_do_not_count_among_the_questions():
    tested = t_interval([1.0, 2.0, 1.5])
    alone = holm_among({"a": tested, "b": t_interval([9.0]), "c": None})
    assert alone == {"a": pytest.approx(tested.p_value), "b": None, "c": None}


def test_accuracies_by_class():
    labels = np.array([0, 0, 0, 2, 2])
    predicted = np.array([0, 1, 0, 2, 0])
    assert accuracies_by_class(predicted, labels, 3) == [pytest.approx(200 / 3), None, 50.0]
