"""A dataset as tensors, with labels that agree between datasets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from proxysample.data.datasets import load_dataset
from proxysample.errors import InputError
from proxysample_nas.data.images import classes_of, load_images


def test_digits_keep_their_pixels_channels_first() -> None:
    digits = load_dataset("digits").train
    data = load_images(digits, device="cpu")
    assert data.images.shape == (1437, 1, 8, 8)
    assert data.images.dtype == torch.uint8
    assert torch.equal(data.images[:, 0], torch.from_numpy(digits.images[..., 0]))
    assert data.labels.tolist() == list(digits.targets)
    assert (data.n_classes, data.n_channels, data.image_size) == (10, 1, (8, 8))


def test_colour_channels_move_to_the_front() -> None:
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    data = load_images(pixels, y=[0, 1], device="cpu")
    assert data.images[1, 2, 0, 3] == pixels[1, 0, 3, 2]
    assert data.images[0, 1].tolist() == pixels[0, :, :, 1].tolist()
    assert data.images.is_contiguous()


def test_a_proxy_without_a_class_agrees_with_the_full_data() -> None:
    digits = load_dataset("digits").train
    targets = np.asarray(digits.targets)
    proxy = Subset(digits, np.flatnonzero(targets != 3).tolist())
    full = load_images(digits, device="cpu")
    assert load_images(proxy, device="cpu").n_classes == 9
    data = load_images(proxy, classes=full.classes, device="cpu")
    assert data.n_classes == 10
    assert data.labels.tolist() == targets[targets != 3].tolist()


def test_loaded_images_can_be_given_other_classes() -> None:
    pixels = np.zeros((3, 4, 4), dtype=np.uint8)
    data = load_images(pixels, y=["b", "c", "b"], device="cpu")
    again = load_images(data, classes=["c", "b", "a"], device="cpu")
    assert again.labels.tolist() == [1, 0, 1]
    assert load_images(again, device="cpu").classes == ("c", "b", "a")


def test_an_unknown_label_names_the_sample_and_the_fix() -> None:
    pixels = np.zeros((3, 4, 4), dtype=np.uint8)
    with pytest.raises(InputError, match=r"label 7 of sample 1 .* pass classes="):
        load_images(pixels, y=[0, 7, 1], classes=[0, 1], device="cpu")


def test_classes_are_distinct() -> None:
    with pytest.raises(InputError, match="distinct"):
        load_images(np.zeros((1, 4, 4), dtype=np.uint8), y=[0], classes=[0, 0], device="cpu")


@pytest.mark.parametrize("pixel", [np.nan, np.inf, 1.5, -0.1])
def test_pixels_that_are_no_brightness_name_the_sample(pixel: float) -> None:
    pixels = np.zeros((4, 4, 4, 1), dtype=np.float32)
    pixels[2, 1, 1] = pixel
    with pytest.raises(InputError, match="sample 2"):
        load_images(pixels, y=[0, 1, 0, 1], device="cpu")


def test_integers_are_bytes() -> None:
    pixels = np.full((2, 4, 4), 255)
    assert load_images(pixels, y=[0, 1], device="cpu").images.dtype == torch.uint8
    with pytest.raises(InputError, match="sample 0 holds pixels from 256"):
        load_images(pixels + 1, y=[0, 1], device="cpu")


def test_features_are_no_images() -> None:
    with pytest.raises(InputError, match=r"\(n, height, width, channels\)"):
        load_images(np.zeros((3, 7)), y=[0, 1, 0], device="cpu")


def test_an_absent_device_is_named() -> None:
    with pytest.raises(InputError, match="cuda:99"):
        load_images(np.zeros((1, 4, 4), dtype=np.uint8), y=[0], device="cuda:99")


def test_classes_of_several_datasets() -> None:
    pixels = np.zeros((2, 4, 4), dtype=np.uint8)
    parts = [load_images(pixels, y=y, device="cpu") for y in (["b", "a"], ["c", "a"])]
    assert classes_of(*parts) == ("a", "b", "c")


def test_take_keeps_classes() -> None:
    data = load_images(torch.rand(3, 1, 4, 4), y=[4, 5, 6], device="cpu")
    part = data.take(torch.tensor([2, 0]))
    assert part.labels.tolist() == [2, 0]
    assert part.classes == (4, 5, 6)
    assert torch.equal(part.images[0], data.images[2])
