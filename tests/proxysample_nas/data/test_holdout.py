"""The stratified hold-out: exact counts, disjoint parts, no class without training data."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from proxysample.errors import InputError
from proxysample_nas.data.images import stratified_holdout


def split(sizes: list[int], fraction: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    generator = torch.Generator().manual_seed(seed)
    shuffle = torch.randperm(len(labels), generator=generator)
    kept, held_out = stratified_holdout(labels[shuffle], fraction, generator)
    assert torch.equal(torch.cat([kept, held_out]).sort().values, torch.arange(len(labels)))
    assert torch.equal(held_out, held_out.sort().values)
    return labels[shuffle][kept], labels[shuffle][held_out]


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    fraction=st.floats(0.01, 0.99),
)
def test_counts_are_exact_and_every_class_is_trained_on(sizes: list[int], fraction: float) -> None:
    total = round(fraction * sum(sizes))
    assume(0 < total <= sum(sizes) - len(sizes))
    kept, held_out = split(sizes, fraction)
    assert len(held_out) == total
    counts = torch.bincount(held_out, minlength=len(sizes))
    assert (torch.bincount(kept, minlength=len(sizes)) >= 1).all()
    for count, size in zip(counts.tolist(), sizes, strict=True):
        share = total * size / sum(sizes)
        # Only a class that cannot give its share lets the others give more.
        assert count >= min(int(share), size - 1)


def test_shares_are_those_of_largest_remainders() -> None:
    # Shares of 5 out of 11: 5 * 5/11 = 2.27, 3 * 5/11 = 1.36 twice; the one left goes to class 1.
    _, held_out = split([5, 3, 3], 5 / 11)
    assert torch.bincount(held_out).tolist() == [2, 2, 1]


def test_a_class_of_one_stays_with_the_weights() -> None:
    kept, held_out = split([1, 5], 0.5)
    assert held_out.tolist() == [1, 1, 1]
    assert sorted(kept.tolist()) == [0, 1, 1]


def test_another_seed_holds_out_other_samples() -> None:
    labels = torch.zeros(100, dtype=torch.int64)
    parts = [
        stratified_holdout(labels, 0.5, torch.Generator().manual_seed(seed))[1]
        for seed in (0, 0, 1)
    ]
    assert torch.equal(parts[0], parts[1])
    assert not torch.equal(parts[0], parts[2])


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_a_share_lies_between_nothing_and_all(fraction: float) -> None:
    with pytest.raises(InputError, match="strictly between 0 and 1"):
        split([5, 5], fraction)


@pytest.mark.parametrize(("sizes", "fraction"), [([1, 1, 1], 0.5), ([2, 2], 0.9), ([5, 5], 0.01)])
def test_too_little_data_says_so(sizes: list[int], fraction: float) -> None:
    with pytest.raises(InputError, match="cannot be held out"):
        split(sizes, fraction)
