"""The small network: its size, that it learns, and how images are augmented."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from proxysample.samplers.classifiers import rate_at, train_classifier
from proxysample.samplers.small_network import SmallNetwork, augmented, small_network
from proxysample.testing import small_digits


@pytest.mark.parametrize("side", [1, 2, 3, 8, 32, 50, 224])
def test_images_of_any_size(side):
    network = small_network(1, 3, seed=0).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 1, side, side + 1)).shape == (2, 3)


def test_the_seed_alone_decides_the_weights():
    first, second, other = (small_network(3, 10, seed) for seed in (0, 0, 1))
    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)
    assert isinstance(first, SmallNetwork)


def test_it_learns_the_digits_from_scratch():
    digits = small_digits(600)
    images = torch.from_numpy(digits.images).permute(0, 3, 1, 2).float() / 8 - 1
    labels = torch.from_numpy(np.asarray(digits.targets))
    network = small_network(1, 10, seed=0)
    curve = train_classifier(
        network,
        images,
        labels,
        np.arange(500),
        epochs=6,
        batch_size=64,
        learning_rate=0.1,
        seed=0,
        change=lambda batch, generator: augmented(batch, "auto", generator),
    )
    network.eval()
    with torch.no_grad():
        right = network(images[500:]).argmax(dim=1) == labels[500:]
    assert curve[-1] < 0.5 < curve[0]
    assert right.float().mean() > 0.85


def test_shifts_move_by_an_eighth_and_grey_images_are_not_mirrored():
    images = torch.arange(1.0, 65.0).reshape(1, 1, 8, 8).repeat(200, 1, 1, 1)
    found = augmented(images, "auto", torch.Generator().manual_seed(0))
    expected = {
        (down, right): torch.nn.functional.pad(images[0], (1, 1, 1, 1))[
            :, 1 + down : 9 + down, 1 + right : 9 + right
        ]
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    }
    for image in found:
        assert sum(torch.equal(image, one) for one in expected.values()) == 1
    seen = {key for key, one in expected.items() if any(torch.equal(i, one) for i in found)}
    assert seen == expected.keys()


def test_images_of_colours_are_mirrored_half_of_the_time():
    images = torch.arange(1.0, 17.0).repeat(3, 1).reshape(1, 3, 4, 4).repeat(400, 1, 1, 1)
    found = augmented(images, "auto", torch.Generator().manual_seed(0))
    middle = found[:, 0, 1:3, 1:3]
    mirrored = middle[:, 0, 0] > middle[:, 0, 1]
    assert 150 < int(mirrored.sum()) < 250
    assert found.shape == images.shape
    never = augmented(images, "shift", torch.Generator().manual_seed(0))[:, 0, 1:3, 1:3]
    assert not (never[:, 0, 0] > never[:, 0, 1]).any()


def test_the_learning_rate_rises_then_falls():
    rates = [rate_at(share) for share in np.linspace(0, 1, 101)]
    assert np.argmax(rates) == 10
    assert rates[-1] == pytest.approx(0)


def test_each_row_is_watched_once_an_epoch_in_another_order():
    seen = []
    train_classifier(
        torch.nn.Linear(2, 2),
        torch.zeros(9, 2),
        torch.zeros(9, dtype=torch.int64),
        np.array([1, 3, 4, 7]),
        epochs=3,
        batch_size=3,
        learning_rate=0.1,
        seed=0,
        watch=lambda rows, logits, last: seen.extend(rows.tolist()),
        after_epoch=lambda: seen.append(-1),
    )
    epochs = np.array(seen).reshape(3, 5)
    assert np.all(epochs[:, -1] == -1)
    assert np.all(np.sort(epochs[:, :-1], axis=1) == [1, 3, 4, 7])
    assert len({tuple(row) for row in epochs}) > 1
