from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from proxysample import GivenRanking, InputError, KeepingRule, LostClassesWarning, Ranking
from proxysample.data.classes import Classes
from proxysample.digests import as_plain
from proxysample.selection import Cut


def ranking_of(labels, scores=None, **parts):
    labels = np.asarray(labels, dtype=np.int64)
    names = tuple(f"class {label}" for label in range(int(labels.max()) + 1))
    scores = np.arange(len(labels), dtype=float) if scores is None else np.asarray(scores)
    return Ranking(scores, classes=Classes(names, labels), **parts)


@st.composite
def rankings(draw):
    sizes = draw(st.lists(st.integers(1, 12), min_size=1, max_size=5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    scores = generator.integers(0, 6, len(codes)).astype(float)
    shares = draw(st.sampled_from([None, codes, generator.permutation(codes)]))
    return ranking_of(
        codes, scores, codes=shares, rounding=draw(st.sampled_from(["exact", "floor"]))
    )


@st.composite
def rules(draw, ranking):
    samples = st.integers(0, len(ranking) - 1)
    must_keep = draw(st.lists(samples, max_size=4, unique=True))
    exclude = draw(st.lists(samples.filter(lambda one: one not in must_keep), max_size=4))
    return {
        "balance": draw(st.sampled_from([None, "none", "proportional", "equal"])),
        "min_per_class": draw(st.integers(0, 3)),
        "must_keep": must_keep or None,
        "exclude": exclude or None,
    }


@pytest.mark.filterwarnings("ignore::proxysample.LostClassesWarning")
@given(st.data())
def test_every_set_has_its_size_what_must_be_in_it_and_nothing_else(data):
    ranking = data.draw(rankings())
    chosen = data.draw(rules(ranking))
    must_keep, exclude = set(chosen["must_keep"] or ()), set(chosen["exclude"] or ())
    codes, n_classes = ranking.classes.codes, len(ranking.classes.names)
    there = np.bincount(np.delete(codes, sorted(exclude)), minlength=n_classes)
    least = np.minimum(there, chosen["min_per_class"])
    certain = np.bincount(codes[sorted(must_keep)], minlength=n_classes)
    smallest = max(1, int(np.maximum(least, certain).sum()))
    kept_before: set[int] = set()
    for n in range(1, len(ranking) + 1):
        if not smallest <= n <= there.sum():
            with pytest.raises(InputError):
                ranking.select(n=n, **chosen)
            continue
        kept = ranking.select(n=n, **chosen)
        assert len(kept) == n == len(set(kept.tolist()))
        assert np.all(np.diff(kept) > 0)
        assert must_keep <= set(kept.tolist())
        assert not exclude & set(kept.tolist())
        assert kept_before <= set(kept.tolist())
        kept_before = set(kept.tolist())
        held = np.bincount(codes[kept], minlength=n_classes)
        assert np.all(held >= least)
        if chosen["balance"] == "equal":
            # No class has two more than another that has samples left, but by what is certain.
            free = held > np.maximum(least, certain)
            left = held < there
            if free.any() and left.any():
                assert held[free].max() - held[left].min() <= 1
        if chosen["balance"] == "proportional" and smallest == 1:
            assert np.all(np.abs(held - n * there / there.sum()) < 1)


def test_the_best_of_each_class_are_kept():
    ranking = ranking_of([0, 0, 0, 1, 1, 1], scores=[3, 1, 2, 6, 5, 4])
    assert ranking.select(n=2, balance="equal").tolist() == [1, 5]
    assert ranking.select(n=4, balance="equal").tolist() == [1, 2, 4, 5]
    assert ranking.select(balance={"class 0": 1, "class 1": 3}).tolist() == [1, 3, 4, 5]
    assert ranking.select(n=3, min_per_class=1).tolist() == [1, 2, 5]
    hard = ranking_of([0, 0, 0, 1, 1, 1], scores=[3, 1, 2, 6, 5, 4], keep="hard")
    assert hard.select(n=2, balance="equal").tolist() == [0, 3]


def test_a_balance_of_none_sets_a_samplers_shares_aside():
    codes = np.array([0, 0, 1, 1])
    ranking = ranking_of(codes, scores=[0, 1, 2, 3], codes=codes)
    assert ranking.select(n=2).tolist() == [0, 2]
    with pytest.warns(LostClassesWarning):
        assert ranking.select(n=2, balance="none").tolist() == [0, 1]


def test_labels_that_are_numbers_are_named_by_numbers():
    ranking = Ranking(np.arange(4.0), classes=Classes(("3", "5"), np.array([0, 0, 1, 1])))
    assert ranking.select(balance={3: 1, 5: 2}).tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "give r, the fraction to keep"),
        ({"r": 0.5, "n": 3}, "not both"),
        ({"n": 0}, "an integer of at least 1, not 0"),
        ({"n": 0.5}, "a fraction is given as r=0.5"),
        ({"n": True}, "an integer of at least 1"),
        ({"n": 7}, "more than the 6 samples"),
        ({"n": 6, "exclude": [0]}, "5 are not excluded"),
        ({"n": 1, "must_keep": [0, 1]}, "must_keep names 2 samples"),
        ({"n": 3, "must_keep": [0, 1], "exclude": [1, 2]}, "sample 1 is in must_keep and"),
        ({"n": 3, "must_keep": [6]}, "must_keep names sample 6"),
        ({"n": 3, "exclude": [-1]}, "exclude names sample -1"),
        ({"n": 3, "exclude": ["a.png"]}, "names need a dataset"),
        ({"n": 3, "exclude": "a.png"}, "must be indices"),
        ({"n": 3, "exclude": [0.5]}, "must be indices"),
        ({"n": 3, "exclude": np.zeros(5, dtype=bool)}, "a mask of shape"),
        ({"n": 3, "balance": "eqal"}, "did you mean 'equal'"),
        ({"n": 3, "min_per_class": 2}, "min_per_class=2 makes 4 samples, and 3"),
        ({"n": 3, "min_per_class": -1}, "min_per_class must be"),
        ({"balance": {"cat": 1}}, "unknown class in balance 'cat'"),
        ({"balance": {"class 0": 4}}, "which has 3 samples"),
        ({"balance": {"class 0": 3}, "exclude": [0]}, "which has 2 samples that are not excluded"),
        ({"balance": {"class 0": 1}, "must_keep": [0, 1]}, "must_keep names 2 of it"),
        ({"balance": {"class 0": 1}, "must_keep": [5]}, "must_keep names 1 of it"),
        ({"balance": {"class 0": 1}, "n": 2}, "make them agree"),
        ({"balance": {"class 0": 1.5}}, "needed: an integer"),
        ({"balance": {"class 0": 0}}, "keeps nothing"),
        ({"balance": {"class 0": 1}, "min_per_class": 1}, "says nothing beside"),
    ],
)
def test_what_cannot_be_kept_is_refused(asked, message):
    with pytest.raises(InputError, match=message):
        ranking_of([0, 0, 0, 1, 1, 1]).select(**asked)


def test_a_ranking_without_classes_says_what_balance_needs():
    with pytest.raises(InputError, match="rank a dataset with labels"):
        Ranking(np.zeros(4)).select(n=2, balance="equal")


def test_ratios_and_numbers_that_go_by_one_name_are_refused():
    with pytest.raises(InputError, match="go by one name"):
        Ranking(np.zeros(4)).select_many([1.0], n=[1])
    assert [len(kept) for kept in Ranking(np.zeros(4)).select_many([0.5], n=[1, 3]).values()] == [
        2,
        1,
        3,
    ]


def test_lost_classes_are_named_once_and_at_most_ten():
    ranking = ranking_of(np.arange(30) // 2)
    with pytest.warns(LostClassesWarning) as told:
        ranking.select_many([0.1, 0.2])
    assert len(told) == 1
    words = str(told[0].message)
    assert "none of 13 of the 15 classes: class 2, " in words
    assert "class 11 and 3 more; balance='proportional'" in words
    assert told[0].filename == __file__
    for select in (ranking.select, partial(GivenRanking(ranking).select, np.zeros((30, 2)))):
        with pytest.warns(LostClassesWarning) as told:
            select(r=0.1)
        assert [one.filename for one in told] == [__file__]


def test_classes_that_are_meant_to_go_are_no_loss():
    ranking = ranking_of([0, 0, 1, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ranking.select(n=2, exclude=[2, 3])
        ranking.select(balance={"class 0": 1})
        ranking.select(n=2, balance="equal")


def test_cuts_of_the_papers_rounding_nest_each_by_their_own_kind():
    codes = np.array([0, 0, 0, 1, 1, 1, 1])
    ranking = ranking_of(codes, codes=codes, rounding="floor")
    assert len(ranking.select(0.5)) == 1 + 2
    assert len(ranking.select(n=4)) == 4
    assert ranking.nested


def test_a_cut_names_neither_dataset_nor_size_before_it_is_fitted():
    assert Cut(r=0.5).is_plain
    assert not Cut(n=5).is_plain
    assert Cut(n=5, balance="equal").needs_classes
    assert not Cut(n=5, balance="none", must_keep=[1]).needs_classes


def test_rules_that_do_not_nest_are_told(monkeypatch):
    class ByNumber(KeepingRule):
        id = "given"
        nested = False

        def order(self, scores, codes=None, n_kept=None):
            return np.roll(np.arange(len(scores)), n_kept)

    monkeypatch.setattr("proxysample.ranking.as_rule", lambda _: ByNumber())
    ranking = ranking_of([0, 0, 1, 1])
    assert not ranking.nested
    assert ranking.select(n=2, balance="equal", must_keep=[0]).tolist() == [0, 2]


def test_what_numpy_would_add_up_or_count_as_one_is_refused():
    ranking = Ranking(np.arange(4.0), classes=Classes(("0", "1"), np.array([0, 0, 1, 1])))
    with pytest.raises(InputError, match="names the class 0 twice"):
        ranking.select(balance={0: 1, "0": 1})
    with pytest.raises(InputError, match="keeps 9223372036854775808 samples of class '0'"):
        ranking.select(balance={0: 1 << 63})
    with pytest.raises(InputError, match="must_keep has True among indices"):
        ranking.select(n=2, must_keep=[1, True])
    with pytest.raises(InputError, match="min_per_class must be an integer of at least 0"):
        ranking.select(n=2, min_per_class=1 << 63)
    with pytest.raises(InputError, match="skipped must be ascending"):
        Ranking(np.arange(2.0), skipped=np.array(["a", "b"]))


def test_a_tensor_that_is_negative_by_a_mark_alone_has_the_digest_of_its_values():
    marked = torch.arange(3).mul(1j).conj().imag
    assert marked.is_neg()
    assert as_plain(marked, "x") == as_plain(marked.clone(), "x")
