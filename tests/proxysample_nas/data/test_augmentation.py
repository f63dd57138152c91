"""Flips and crops, against windows cut one by one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from proxysample.errors import InputError
from proxysample_nas.data.loader import Augmentation, Draws


def window(image: Tensor, padding: int, top: int, left: int, flip: bool) -> Tensor:
    """One image (c, h, w) at a time, by slicing."""
    channels, height, width = image.shape
    canvas = image.new_zeros(channels, height + 2 * padding, width + 2 * padding)
    canvas[:, padding : padding + height, padding : padding + width] = image
    cut = canvas[:, top : top + height, left : left + width]
    return cut.flip(-1) if flip else cut


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    padding=st.integers(0, 3),
    seed=st.integers(0, 999),
)
def test_apply_cuts_the_drawn_window(height: int, width: int, padding: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(1, 256, (5, 2, height, width), generator=generator, dtype=torch.uint8)
    augmentation = Augmentation(crop_padding=padding)
    draws = augmentation.draw(5, height, width, generator)
    expected = [
        window(image, padding, int(top), int(left), bool(flip))
        for image, top, left, flip in zip(images, draws.tops, draws.lefts, draws.flips, strict=True)
    ]
    result = augmentation.apply(images, draws)
    assert result.dtype == torch.uint8
    assert torch.equal(result, torch.stack(expected))


def test_the_border_is_the_eighth_of_the_size_that_the_paper_used() -> None:
    assert [Augmentation().padding(size, size) for size in (32, 16, 8)] == [4, 2, 1]
    assert Augmentation().padding(32, 16) == 2


@pytest.mark.parametrize("flip", ["no", "False", 0, None])
def test_whether_to_flip_is_true_or_false(flip: object) -> None:
    with pytest.raises(InputError, match="flip must be True or False"):
        Augmentation(flip=flip)  # type: ignore[arg-type]


def test_draws_cover_every_window_evenly() -> None:
    draws = Augmentation(crop_padding=1).draw(30_000, 8, 8, torch.Generator().manual_seed(0))
    places = torch.bincount(draws.tops * 3 + draws.lefts, minlength=9)
    # Nine equally likely windows: 3,333 each, with a standard deviation of 54.
    assert (places - 30_000 / 9).abs().max() < 5 * 54
    # A fair coin: a standard deviation of 87.
    assert abs(int(draws.flips.sum()) - 15_000) < 5 * 87


def test_no_flip_draws_the_same_windows() -> None:
    both = [
        Augmentation(flip=flip).draw(50, 8, 8, torch.Generator().manual_seed(3))
        for flip in (True, False)
    ]
    assert torch.equal(both[0].tops, both[1].tops)
    assert both[0].flips.any()
    assert not both[1].flips.any()


def test_without_padding_and_flip_nothing_changes() -> None:
    images = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    augmentation = Augmentation(flip=False, crop_padding=0)
    draws = augmentation.draw(2, 4, 4, torch.Generator())
    assert torch.equal(augmentation.apply(images, draws), images)


def test_draws_are_cut_like_a_tensor() -> None:
    draws = Draws(torch.tensor([True, False]), torch.tensor([1, 2]), torch.tensor([3, 4]))
    assert draws[1:].lefts.tolist() == [4]
    assert draws[torch.tensor([1, 0])].tops.tolist() == [2, 1]


@pytest.mark.parametrize("padding", [-1, 1.5, "2"])
def test_a_border_is_a_number_of_pixels(padding: object) -> None:
    with pytest.raises(InputError, match="crop_padding must be an integer"):
        Augmentation(crop_padding=padding)
