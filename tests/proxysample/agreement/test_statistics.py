"""Rank statistics: scipy is the oracle, ties and resamples included."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from proxysample.agreement import statistics
from proxysample.errors import InputError


def draws(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 30))
    # Few values, so that both have ties.
    return rng.integers(0, 8, n).astype(float), rng.integers(0, 5, n).astype(float)


@pytest.mark.parametrize("seed", range(25))
def test_tau_and_spearman_are_scipys_with_ties(seed):
    x, y = draws(seed)
    for ours, theirs in (
        (statistics.kendall_tau, stats.kendalltau),
        (statistics.spearman, stats.spearmanr),
    ):
        if len(set(x)) == 1 or len(set(y)) == 1:
            assert np.isnan(ours(x, y))
        else:
            assert ours(x, y) == pytest.approx(theirs(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_a_resample_has_the_tau_and_spearman_of_its_members(seed):
    x, y = draws(seed)
    counts = statistics.resamples(len(x), 5, seed)
    taus = statistics.resampled_tau(x, y, counts)
    rhos = statistics.resampled_spearman(x, y, counts)
    for place, drawn in enumerate(counts):
        members = np.repeat(np.arange(len(x)), drawn)
        if len(set(x[members])) == 1 or len(set(y[members])) == 1:
            assert np.isnan(taus[place])
            assert np.isnan(rhos[place])
            continue
        tau = stats.kendalltau(x[members], y[members]).statistic
        rho = stats.spearmanr(x[members], y[members]).statistic
        assert taus[place] == pytest.approx(tau, abs=1e-12)
        assert rhos[place] == pytest.approx(rho, abs=1e-12)


def test_all_scores_equal_rank_nothing():
    assert np.isnan(statistics.kendall_tau([1, 1, 1], [1, 2, 3]))
    assert np.isnan(statistics.spearman([1, 1, 1], [1, 2, 3]))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    truth = 2 / np.pi * np.arcsin(0.5)  # tau of a normal pair with correlation 0.5
    covered = 0
    for trial in range(200):
        x = rng.normal(size=40)
        y = 0.5 * x + np.sqrt(0.75) * rng.normal(size=40)
        taus = statistics.resampled_tau(x, y, statistics.resamples(40, 300, trial))
        found = statistics.interval(taus)
        covered += found.low <= truth <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_an_interval_needs_half_of_its_resamples():
    values = np.array([0.1, 0.2, np.nan, np.nan])
    assert statistics.interval(values) is not None
    assert statistics.interval(np.append(values, np.nan)) is None


@pytest.mark.parametrize(
    ("low", "high", "excludes"), [(-1, 1, False), (0.1, 1, True), (-2, -1, True)]
)
def test_an_interval_excludes_zero_where_all_of_it_lies_on_one_side(low, high, excludes):
    assert statistics.Interval(low, high).excludes_zero is excludes


def test_a_corrected_interval_is_that_of_a_normal_distribution():
    mean, deviation = 0.3, 0.1
    ends = stats.norm(mean, deviation).interval
    found = statistics.corrected(mean, statistics.Interval(*ends(0.95)), 30)
    assert (found.low, found.high) == pytest.approx(ends(1 - 0.05 / 30))
    alone = statistics.corrected(mean, statistics.Interval(0.1, 0.4), 1)
    assert (alone.low, alone.high) == pytest.approx((0.1, 0.4))


def test_a_corrected_interval_holds_the_plain_one_wherever_the_value_lies():
    assert statistics.corrected(0.0, statistics.Interval(0.1, 0.4), 10).low == 0.1
    assert statistics.corrected(0.5, statistics.Interval(0.1, 0.4), 10).high == 0.4


def test_ties_at_the_edge_of_the_best_count_by_their_chance():
    # By x the first is in, and one of the next two; by y the first two are.
    assert statistics.top_k_overlap([3, 2, 2, 1], [4, 3, 1, 1], k=2) == pytest.approx(0.75)
    assert statistics.top_k_overlap([1, 1, 1, 1], [4, 3, 2, 1], k=1) == pytest.approx(0.25)


def test_a_k_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="k must be from 1 to 3, not 4"):
        statistics.top_k_overlap([1, 2, 3], [1, 2, 3], k=4)


def test_regret_of_several_that_are_best_is_their_mean():
    assert statistics.regret([2, 2, 1], [60.0, 70.0, 80.0]) == pytest.approx(15)
    assert statistics.regret([1, 2, 3], [60.0, 70.0, 80.0]) == 0


def test_scores_that_cannot_be_compared_are_refused():
    with pytest.raises(InputError, match=r"shapes \(2,\) and \(3,\)"):
        statistics.kendall_tau([1, 2], [1, 2, 3])
    with pytest.raises(InputError, match="score 1 is not a finite number"):
        statistics.spearman([1, np.nan, 2], [1, 2, 3])
