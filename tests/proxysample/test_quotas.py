"""Classes kept by weights and by need."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxysample import ClassWeights, InputError, Ranking, create_sampler
from proxysample.cli_select import parse_balance
from proxysample.data.classes import Classes
from proxysample.testing import small_digits


def ranking_of(sizes, **parameters):
    codes = np.repeat(np.arange(len(sizes)), sizes)
    names = tuple(f"c{code}" for code in range(len(sizes)))
    scores = np.random.default_rng(len(codes)).random(len(codes))
    return Ranking(scores, classes=Classes(names, codes), **parameters), names


def shares_by_the_source(sizes, weights, m):
    """``min(N_k, m w_k / sum)``, and what that leaves over dealt among the others again."""
    weights = np.asarray(weights, dtype=float)
    shares, free = np.zeros(len(sizes)), np.ones(len(sizes), dtype=bool)
    while free.any():
        level = (m - shares[~free].sum()) / weights[free].sum()
        shares[free] = level * weights[free]
        over = free & (shares > sizes)
        if not over.any():
            break
        shares[over] = np.asarray(sizes)[over]
        free &= ~over
    return shares


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 1000)), min_size=1, max_size=6),
)
def test_shares_are_those_of_the_source_to_within_one_and_nest(classes):
    sizes, weights = zip(*classes, strict=True)
    ranking, names = ranking_of(sizes)
    balance = ClassWeights(dict(zip(names, weights, strict=True)))
    smaller: set[int] = set()
    for m in range(1, sum(sizes) + 1):
        kept = ranking.select(n=m, balance=balance)
        assert len(kept) == m
        assert smaller <= set(kept.tolist())
        smaller = set(kept.tolist())
        counts = np.bincount(ranking.classes.codes[kept], minlength=len(sizes))
        assert np.all(np.abs(counts - shares_by_the_source(sizes, weights, m)) < 1 + 1e-3)


def test_need_by_hand():
    """Recalls 0.9, 0.5 and 0.4 of 100 samples each: of 24, 2, 10 and 12."""
    ranking, names = ranking_of([100, 100, 100])
    balance = ClassWeights.from_recall(dict(zip(names, [0.9, 0.5, 0.4], strict=True)))
    kept = ranking.select(n=24, balance=balance)
    assert np.bincount(ranking.classes.codes[kept]).tolist() == [2, 10, 12]
    # Within a class by the score.
    own = np.flatnonzero(ranking.classes.codes == 1)
    assert set(kept) & set(own) == set(own[np.argsort(ranking.scores[own])[:10]])


def test_a_class_that_is_used_up_leaves_its_places_to_the_others():
    ranking, names = ranking_of([3, 50, 50])
    balance = ClassWeights(dict(zip(names, [8, 1, 1], strict=True)))
    kept = ranking.select(n=23, balance=balance)
    assert np.bincount(ranking.classes.codes[kept]).tolist() == [3, 10, 10]


def test_a_class_without_need_comes_last():
    ranking, names = ranking_of([10, 10])
    balance = ClassWeights.from_recall(dict(zip(names, [1.0, 0.5], strict=True)))
    assert np.bincount(ranking.classes.codes[ranking.select(n=9, balance=balance)]).tolist()[1] >= 8
    assert len(ranking.select(n=15, balance=balance)) == 15
    at_least = ranking.select(n=9, balance=balance, min_per_class=3)
    assert np.bincount(ranking.classes.codes[at_least]).tolist() == [3, 6]
    equal = ClassWeights.from_recall(dict.fromkeys(names, 1))
    assert np.bincount(ranking.classes.codes[ranking.select(n=8, balance=equal)]).tolist() == [4, 4]


def test_need_from_predictions_of_a_sampler_that_draws():
    digits = small_digits()
    labels = np.asarray(digits.targets)
    balance = ClassWeights.from_predictions(labels, np.where(labels == 3, 4, np.minimum(labels, 8)))
    kept = create_sampler("rs", random_state=0).select(digits, n=30, balance=balance)
    counts = np.bincount(labels[kept], minlength=10)
    assert counts[[3, 9]].sum() >= 28
    report = create_sampler("cc-or").report(digits, n=30, balance=balance)
    assert "classes by weights: 0=0, 1=0, 2=0, 3=1" in str(report)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClassWeights({}), "weights are by class"),
        (lambda: ClassWeights({"a": -1}), "weight of class 'a' must be a finite number"),
        (lambda: ClassWeights({"a": float("nan")}), "weight of class 'a'"),
        (lambda: ClassWeights({"a": True}), "weight of class 'a'"),
        (lambda: ClassWeights({"a": 0, "b": 0}), "all classes have the weight 0"),
        (lambda: ClassWeights.from_recall({"a": 90}), r"recall of class 'a' must be in \[0, 1\]"),
        (lambda: ClassWeights.from_predictions([1, 2], [1]), "one of each a sample"),
        (lambda: parse_balance(["need:c0=x"]), "or need:cat=0.9"),
        (lambda: parse_balance(["need:c0=1.2.3"]), "--balance need:c0=1.2.3"),
        (lambda: parse_balance(["need:c0=2"]), "recall of class 'c0'"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_every_class_has_to_have_a_weight():
    ranking, _ = ranking_of([2, 2])
    with pytest.raises(InputError, match="no weight for class 'c1'"):
        ranking.select(n=2, balance=ClassWeights({"c0": 1}))
    with pytest.raises(InputError, match="unknown class in balance 'cat'"):
        ranking.select(n=2, balance=ClassWeights({"cat": 1, "c0": 1, "c1": 1}))
    with pytest.raises(InputError, match="need the classes"):
        Ranking(np.arange(4.0)).select(n=2, balance=ClassWeights({"c0": 1}))


def test_the_command_line_takes_weights_and_recalls(command_line, tmp_path):
    from proxysample.cli import main

    path = tmp_path / "kept.json"
    words = ",".join(f"{digit}={0.9 if digit else 0.1}" for digit in range(10))
    code, _, err = command_line(
        main,
        *f"select --dataset digits --sampler cc-or -n 60 --balance need:{words} -o".split(),
        str(path),
    )
    assert code == 0, err
    assert '"0": 0.9' in path.read_text()
