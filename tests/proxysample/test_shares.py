from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxysample.errors import InputError
from proxysample.shares import class_sequence, floor_per_class, interleave_classes

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


@settings(deadline=None)
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
