"""What a slider offers is what `Ranking.select` keeps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from proxysample import (
    ArrayDataset,
    CCOutlierRemoval,
    GivenIndices,
    InputError,
    RandomSampling,
    register,
)
from proxysample.gallery.stops import find_stops
from proxysample.keeping import KeepingRule
from proxysample.registry import registry_of
from proxysample.selection import Cut
from proxysample.testing import small_digits

N = 150


@pytest.fixture(scope="module")
def digits():
    # Classes of several sizes.
    digits = small_digits(N)
    keep = np.sort(np.concatenate([np.flatnonzero(digits.targets < 6), [0, 1, 2, 3]]))
    return ArrayDataset(digits.images[keep], digits.targets[keep])


@pytest.fixture(scope="module")
def rankings(digits):
    found = {
        "class shares": CCOutlierRemoval().rank(digits),
        "overall": RandomSampling(random_state=1).rank(digits),
        "paper": CCOutlierRemoval(protocol="paper").rank(digits),
    }
    scores = found["class shares"].scores.copy()
    skipped = np.array([2, 40, 41])
    scores[skipped] = np.nan
    found["skipped"] = replace(found["class shares"], scores=scores, skipped=skipped)
    found["paper, skipped"] = replace(found["paper"], scores=scores, skipped=skipped)
    return found


RULES = [
    {},
    {"balance": "none"},
    {"balance": "equal"},
    {"balance": "proportional", "must_keep": [5, 9], "exclude": [0, 1, 7]},
    {"min_per_class": 2},
    {"balance": "equal", "min_per_class": 1, "must_keep": [3], "exclude": np.arange(20, 40)},
]


@pytest.mark.parametrize("kind", ["class shares", "overall", "paper", "skipped", "paper, skipped"])
@pytest.mark.parametrize("rules", RULES, ids=lambda rules: "+".join(rules) or "plain")
def test_every_stop_is_what_select_keeps(rankings, kind, rules):
    check_stops(rankings[kind], {"r": 1 / 3}, rules, n_least=30 if "paper" in kind else 50)


@pytest.mark.parametrize("kind", ["class shares", "paper, skipped"])
@pytest.mark.parametrize("rules", RULES[::5], ids=lambda rules: "+".join(rules) or "plain")
def test_numbers_are_offered_where_a_number_was_asked_for(rankings, kind, rules):
    check_stops(rankings[kind], {"n": 41}, rules, n_least=50)


def check_stops(ranking, asked, rules, n_least):
    found = find_stops(ranking, Cut(**asked, **rules))
    (order,) = found.orders
    assert np.array_equal(np.sort(order), ranking.whole_indices)
    assert not found.why_few
    # One stop a kept set, and nearly all that there are; fewer where each class is rounded.
    assert len(found.stops) > n_least
    sizes = [stop.n_kept for stop in found.stops]
    assert sizes == sorted(set(sizes))
    for stop in found.stops:
        by = {"n": stop.n_kept} if "n" in asked else {"r": stop.ratio}
        kept = np.sort(order[: stop.n_kept])
        assert np.array_equal(kept, ranking.select(**by, **rules)), stop
    start = found.stops[found.start]
    assert np.array_equal(np.sort(order[: start.n_kept]), ranking.select(**asked, **rules))
    assert start.words == ("r = 0.333333" if "r" in asked else "n = 41")


def test_rules_leave_out_what_they_refuse(rankings):
    found = find_stops(
        rankings["overall"], Cut(r=0.5, must_keep=np.arange(30), exclude=np.arange(80, 90))
    )
    n_samples = len(rankings["overall"])
    assert (found.stops[0].n_kept, found.stops[-1].n_kept) == (30, n_samples - 10)
    assert set(found.orders[0][-10:].tolist()) == set(range(80, 90))


def test_stops_are_in_few_digits(rankings):
    words = [stop.words for stop in find_stops(rankings["overall"], Cut(r=0.25)).stops]
    assert {"r = 0.1", "r = 0.25", "r = 0.5", "r = 1"} <= set(words)
    assert max(map(len, words)) <= len("r = 0.123")


def test_a_large_dataset_has_a_stop_a_thousandth():
    ranking = RandomSampling().rank(np.zeros((5000, 1)))
    ratios = [stop.ratio for stop in find_stops(ranking, Cut(r=0.25)).stops]
    assert np.allclose(ratios, np.arange(1, 1001) / 1000)


@dataclass(frozen=True)
class KeepAround(KeepingRule):
    id = "around"
    nested = False

    def order(self, scores, codes=None, n_kept=None):
        return np.argsort(np.abs(scores - np.quantile(scores, n_kept / len(scores))))


@pytest.fixture
def around(monkeypatch):
    registry = registry_of("rule")
    monkeypatch.setattr(registry, "_registered", registry.registered)
    register(KeepAround)


@pytest.mark.parametrize("kind", ["class shares", "overall", "paper", "skipped"])
def test_sets_that_do_not_nest_are_offered_as_given(rankings, around, kind):
    ranking = replace(rankings[kind], keep="around")
    found = find_stops(ranking, Cut(r=0.25), [0.75, 0.1])
    assert [stop.words for stop in found.stops] == ["r = 0.1", "r = 0.25", "r = 0.75"]
    assert found.stops[found.start].words == "r = 0.25"
    assert "around has another order for each ratio" in found.why_few
    for stop in found.stops:
        order = found.orders[stop.order]
        assert np.array_equal(np.sort(order), ranking.whole_indices)
        assert np.array_equal(np.sort(order[: stop.n_kept]), ranking.select(stop.ratio))


def test_given_indices_are_one_stop(digits):
    ranking = GivenIndices([4, 2, 9]).rank(digits)
    found = find_stops(ranking, Cut(r=3 / len(digits)))
    assert [stop.n_kept for stop in found.stops] == [3]
    assert sorted(found.orders[0][:3].tolist()) == [2, 4, 9]


def test_counts_by_class_are_one_stop(rankings):
    counts = {"0": 3, "2": 1}
    found = find_stops(rankings["overall"], Cut(balance=counts))
    assert [(stop.words, stop.n_kept) for stop in found.stops] == [("n = 4", 4)]
    assert "one set of one size" in found.why_few
    kept = rankings["overall"].select(balance=counts)
    assert np.array_equal(np.sort(found.orders[0][:4]), kept)


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        (Cut(balance={"0": 3}), "one set of one size; leave ratios= out"),
        (Cut(n=3), "ratios= goes with r="),
        (Cut(r=0.5, must_keep=np.arange(40)), "must_keep names 40 samples"),
    ],
)
def test_ratios_that_cannot_be_offered_are_refused(rankings, cut, words):
    with pytest.raises(InputError, match=words):
        find_stops(rankings["overall"], cut, [0.1])
