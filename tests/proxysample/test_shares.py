"""Classes take places in an order whose prefixes are balanced, by weights and by need."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxysample import ClassWeights, InputError, Ranking, create_sampler
from proxysample.cli_select import parse_balance
from proxysample.data.classes import Classes
from proxysample.shares import class_sequence, floor_per_class, interleave_classes
from proxysample.testing import small_digits

class_sizes = st.lists(st.integers(1, 60), min_size=1, max_size=12).map(np.array)


@st.composite
def weighted_classes(draw):
    """Sizes, weights, and how many places each class has from the beginning."""
    sizes = draw(st.lists(st.integers(1, 12), min_size=1, max_size=5))
    weights = [draw(st.integers(1, 9)) for _ in sizes]
    at_least = [draw(st.integers(0, size)) for size in sizes]
    return sizes, weights, at_least


def shares_of(sizes, weights, at_least):
    """The shares at every number of places, by the levels at which a class starts or stops."""

    def at(level):
        bounds = zip(sizes, weights, at_least, strict=True)
        return [min(max(level * w, Fraction(least)), Fraction(size)) for size, w, least in bounds]

    levels = sorted(
        {Fraction(0)}
        | {
            Fraction(bound, w)
            for bounds in (sizes, at_least)
            for bound, w in zip(bounds, weights, strict=True)
        }
    )
    places = [sum(at(level)) for level in levels]
    for place in range(sum(at_least), sum(sizes) + 1):
        low = max(k for k, reached in enumerate(places) if reached <= place)
        if places[low] == place:
            yield place, at(levels[low])
            continue
        part = (place - places[low]) / (places[low + 1] - places[low])
        yield place, at(levels[low] + (levels[low + 1] - levels[low]) * part)


@given(weighted_classes())
def test_every_prefix_is_within_one_of_weighted_shares(classes):
    sizes, _weights, at_least = classes
    sequence = class_sequence(*(np.array(values) for values in classes))
    for place, shares in shares_of(*classes):
        held = np.bincount(sequence[:place], minlength=len(sizes)).tolist()
        assert all(abs(h - share) < 1 for h, share in zip(held, shares, strict=True))
        if place == sum(at_least):
            assert held == at_least
    assert np.bincount(sequence).tolist() == sizes


@given(class_sizes)
def test_equal_weights_give_each_class_as_many_until_it_is_used_up(sizes):
    sequence = class_sequence(sizes, weights=np.ones_like(sizes))
    held = np.zeros(len(sizes), dtype=int)
    for label in sequence:
        held[label] += 1
        open_classes = held < sizes
        if open_classes.any():
            assert held.max() - held[open_classes].min() <= 1


@given(class_sizes)
def test_the_sizes_as_weights_are_the_sequence_without_weights(sizes):
    assert class_sequence(sizes, weights=sizes).tolist() == class_sequence(sizes).tolist()


@given(weighted_classes(), st.sampled_from([1, 3]))
def test_blocks_do_not_change_a_weighted_sequence(classes, places_per_block):
    arrays = [np.array(values) for values in classes]
    expected = class_sequence(*arrays).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proxysample.shares.PLACES_PER_BLOCK", places_per_block)
        assert class_sequence(*arrays).tolist() == expected


@given(class_sizes)
def test_every_prefix_of_the_sequence_is_within_one_of_each_share(sizes):
    sequence = class_sequence(sizes)
    total = int(sizes.sum())
    held = np.zeros(len(sizes), dtype=int)
    for place, label in enumerate(sequence, start=1):
        held[label] += 1
        # In integers, |held - place * size / total| < 1 without rounding.
        assert np.all(np.abs(held * total - place * sizes) < total)
    assert held.tolist() == sizes.tolist()


def earliest_deadline_first(sizes: list[int]) -> list[int]:
    """Of the classes whose next sample may come by now, the one that may wait the shortest."""
    total = sum(sizes)
    dealt = [0] * len(sizes)
    sequence = []
    for place in range(1, total + 1):
        released = [
            (-(-(dealt[c] + 1) * total // size), c)
            for c, size in enumerate(sizes)
            if dealt[c] < size and dealt[c] * total // size + 1 <= place
        ]
        _, label = min(released)
        sequence.append(label)
        dealt[label] += 1
    return sequence


@given(class_sizes, st.sampled_from([1, 3, 1 << 17]))
def test_the_sequence_is_that_of_earliest_deadlines_wherever_blocks_end(sizes, places_per_block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proxysample.shares.PLACES_PER_BLOCK", places_per_block)
        assert class_sequence(sizes).tolist() == earliest_deadline_first(sizes.tolist())


def test_whole_shares_are_met_exactly():
    sequence = class_sequence(np.full(100, 500))
    assert np.all(np.bincount(sequence[:12_500]) == 125)


def test_the_period_of_a_repeating_sequence_is_the_sequence_itself():
    assert (
        class_sequence(np.array([6, 4])).tolist() == class_sequence(np.array([3, 2])).tolist() * 2
    )


def test_largest_remainder_would_not_nest():
    """The reason for dealing out places: a class can lose a seat when the house grows."""

    def largest_remainder(sizes: list[int], count: int) -> list[int]:
        shares = [count * size / sum(sizes) for size in sizes]
        counts = [math.floor(share) for share in shares]
        by_remainder = sorted(range(len(sizes)), key=lambda c: counts[c] - shares[c])
        for label in by_remainder[: count - sum(counts)]:
            counts[label] += 1
        return counts

    sizes = [6, 6, 2]
    assert largest_remainder(sizes, 10) == [4, 4, 2]
    assert largest_remainder(sizes, 11)[2] == 1
    sequence = class_sequence(np.array(sizes))
    assert np.bincount(sequence[:11])[2] >= np.bincount(sequence[:10])[2]


@given(class_sizes, st.integers(0, 2**32 - 1))
def test_interleaving_keeps_each_class_in_order(sizes, seed):
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    order = generator.permutation(len(labels))
    interleaved = interleave_classes(order, labels)
    assert sorted(interleaved) == list(range(len(labels)))
    for label in range(len(sizes)):
        assert interleaved[labels[interleaved] == label].tolist() == (
            order[labels[order] == label].tolist()
        )


def test_flooring_per_class_keeps_the_first_of_each_class():
    order = np.array([5, 4, 3, 2, 1, 0])
    labels = np.array([0, 0, 0, 1, 1, 1])
    assert floor_per_class(order, labels, 0.5).tolist() == [2, 5]
    with pytest.raises(InputError, match="keeps none"):
        floor_per_class(order, labels, 0.3)


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


@settings(max_examples=60)
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
