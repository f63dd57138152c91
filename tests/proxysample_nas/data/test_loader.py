"""Batches: what is in them, in which order, and normalised how."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from proxysample.data.datasets import load_dataset
from proxysample.errors import InputError
from proxysample_nas.data.images import LabelledImages, load_images
from proxysample_nas.data.loader import Augmentation, Loader, shuffled, with_replacement
from proxysample_nas.data.normalization import Normalization


@pytest.fixture(scope="module")
def digits() -> LabelledImages:
    return load_images(load_dataset("digits").train, device="cpu")


def test_channel_statistics_are_those_of_numpy() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5000, 3, 4, 4), dtype=np.uint8)
    expected = pixels / 255
    measured = Normalization.of(torch.from_numpy(pixels))
    np.testing.assert_allclose(measured.mean, expected.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(measured.std, expected.std(axis=(0, 2, 3)), rtol=1e-12)
    floats = torch.from_numpy(expected.astype(np.float32))
    np.testing.assert_allclose(Normalization.of(floats).std, measured.std, rtol=1e-6)


CIFAR100 = Path(__file__).parents[3] / ".data" / "cifar100.npz"


@pytest.mark.skipif(not CIFAR100.exists(), reason="CIFAR-100 is not in .data/cifar100.npz")
def test_the_statistics_of_cifar100_are_the_published_ones() -> None:
    train = load_images(load_dataset(f"npz:{CIFAR100}").train, device="cpu")
    measured = Normalization.of(train.images)
    assert np.round(np.array(measured.mean) * 255, 1).tolist() == [129.3, 124.1, 112.4]
    assert np.round(np.array(measured.std) * 255, 1).tolist() == [68.2, 65.4, 70.4]


def test_a_constant_channel_becomes_zero() -> None:
    pixels = torch.full((3, 1, 4, 4), 77, dtype=torch.uint8)
    normalization = Normalization.of(pixels)
    assert normalization.std == (1.0,)
    data = load_images(pixels, y=[0, 1, 0], device="cpu")
    [(images, _)] = Loader(data, batch_size=3, normalization=normalization).batches(torch.arange(3))
    assert images.abs().max() < 1e-6


@pytest.mark.parametrize(
    ("mean", "std"), [((0.5,), (0.0,)), ((0.5, 0.5), (1.0,)), ((float("nan"),), (1.0,)), ((), ())]
)
def test_a_normalisation_that_cannot_be_used(
    mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    with pytest.raises(InputError, match="one finite mean and one positive"):
        Normalization(mean, std)


def test_a_normalisation_of_other_channels_is_refused(digits: LabelledImages) -> None:
    with pytest.raises(InputError, match="1 channels and the normalisation 3"):
        Loader(digits, batch_size=4, normalization=Normalization((0.5,) * 3, (0.5,) * 3))


def test_a_pass_without_augmentation_is_the_normalised_data(digits: LabelledImages) -> None:
    loader = Loader(digits, batch_size=100, normalization=Normalization.of(digits.images))
    batches = list(loader.batches(torch.arange(len(digits))))
    assert [len(labels) for _, labels in batches] == [100] * 14 + [37]
    assert len(batches) == loader.n_batches(len(digits)) == 15
    images = torch.cat([images for images, _ in batches])
    assert images.dtype == torch.float32
    assert images.mean().abs() < 1e-5
    assert (images.std(correction=0) - 1).abs() < 1e-5
    assert torch.equal(torch.cat([labels for _, labels in batches]), digits.labels)


def test_the_border_of_a_crop_is_black_before_normalisation(digits: LabelledImages) -> None:
    normalization = Normalization(mean=(0.25,), std=(0.5,))
    loader = Loader(
        digits, batch_size=50, normalization=normalization, augmentation=Augmentation(True, 8)
    )
    images = torch.cat([batch for batch, _ in loader.batches(torch.arange(200), torch.Generator())])
    # (0 - 0.25) / 0.5: black, not the grey that a zero after normalisation would be.
    assert images.min() == -0.5
    assert (images == -0.5).float().mean() > 0.5


def test_images_and_labels_stay_together(digits: LabelledImages) -> None:
    loader = Loader(
        digits,
        batch_size=64,
        normalization=Normalization((0.0,), (1 / 255,)),
        augmentation=Augmentation(flip=False, crop_padding=0),
    )
    generator = torch.Generator().manual_seed(5)
    order = shuffled(len(digits), generator)
    position = 0
    for images, labels in loader.batches(order, generator):
        rows = order[position : position + len(labels)]
        assert torch.equal(labels, digits.labels[rows])
        assert torch.allclose(images, digits.images[rows].float(), atol=1e-3)
        position += len(labels)
    assert position == len(digits)


def test_a_seed_repeats_a_pass_and_leaves_the_global_state_alone(digits: LabelledImages) -> None:
    loader = Loader(
        digits,
        batch_size=500,
        normalization=Normalization.of(digits.images),
        augmentation=Augmentation(),
    )
    before = torch.get_rng_state()

    def run(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        order = shuffled(len(digits), generator)
        return torch.cat([images for images, _ in loader.batches(order, generator)])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_an_augmenting_loader_asks_for_a_generator(digits: LabelledImages) -> None:
    loader = Loader(
        digits,
        batch_size=4,
        normalization=Normalization.of(digits.images),
        augmentation=Augmentation(),
    )
    with pytest.raises(InputError, match=r"torch\.Generator"):
        next(loader.batches(torch.arange(4)))


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True])
def test_a_batch_has_samples(digits: LabelledImages, batch_size: int) -> None:
    with pytest.raises(InputError, match="batch_size must be a positive integer"):
        Loader(digits, batch_size=batch_size, normalization=Normalization((0.5,), (0.5,)))


@pytest.mark.parametrize(("size", "counts"), [(7, {1}), (21, {3}), (10, {1, 2}), (3, {0, 1})])
def test_shuffled_uses_all_samples_equally(size: int, counts: set[int]) -> None:
    order = shuffled(7, torch.Generator().manual_seed(2), size)
    assert len(order) == size
    assert set(torch.bincount(order, minlength=7).tolist()) == counts


def test_with_replacement_is_uniform() -> None:
    draws = with_replacement(5, torch.Generator().manual_seed(0), 50_000)
    # 10,000 each, with a standard deviation of 89.
    assert (torch.bincount(draws, minlength=5) - 10_000).abs().max() < 5 * 89
