"""The data of a search, and its fingerprint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from proxysample_nas.data.images import load_images
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.searchers.data import SearchData, prepare_data

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1), dtype=np.uint8)
LABELS = [0, 1, 2] * 4


def prepared(pixels: Any = PIXELS, labels: Any = LABELS, **changes: Any) -> SearchData:
    settings: dict[str, Any] = {
        "validation": None,
        "classes": None,
        "architecture_fraction": 0.5,
        "normalization": None,
        "generator": torch.Generator().manual_seed(0),
        "device": torch.device("cpu"),
    }
    return prepare_data(pixels, y=labels, **(settings | changes))


def test_the_held_out_half_and_the_kept_half_are_the_whole() -> None:
    data = prepared()
    together = torch.cat([data.weights.images, data.architecture.images]).flatten(1)
    whole = load_images(PIXELS, LABELS, device="cpu")
    assert sorted(together.tolist()) == sorted(whole.images.flatten(1).tolist())
    for part in (data.weights, data.architecture):
        assert torch.bincount(part.labels).tolist() == [2, 2, 2]
    # Measured on all that was given, so that neither half is favoured.
    assert data.normalization == Normalization.of(whole.images)


def test_given_validation_leaves_all_training_data_to_the_weights() -> None:
    validation = load_images(PIXELS[:3], [2, 3, 2], device="cpu")
    data = prepared(validation=validation)
    assert len(data.weights) == 12
    assert data.weights.classes == data.architecture.classes == (0, 1, 2, 3)
    assert data.architecture.labels.tolist() == [2, 3, 2]


def test_the_fingerprint_is_that_of_the_content() -> None:
    assert prepared().digest() == prepared(PIXELS.copy(), np.array(LABELS)).digest()


def other_pixel() -> Any:
    pixels = PIXELS.copy()
    pixels[5, 0, 0] ^= 1
    return pixels


@pytest.mark.parametrize(
    "changes",
    [
        {"pixels": other_pixel()},
        {"pixels": (PIXELS / 255).astype(np.float32)},
        {"pixels": PIXELS.reshape(12, 4, 16, 1)},
        {"labels": [1, 0, 2, *LABELS[3:]]},
        {"labels": [label + 1 for label in LABELS]},
        {"classes": [2, 1, 0]},
        {"normalization": Normalization((0.5,), (0.25,))},
        {"generator": torch.Generator().manual_seed(1)},
        {"validation": load_images(PIXELS, LABELS, device="cpu")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_fingerprint_changes_with_the_content(changes: dict[str, Any]) -> None:
    fixed = {"normalization": Normalization((0.5,), (0.5,))}
    assert prepared(**(fixed | changes)).digest() != prepared(**fixed).digest()


def test_the_fingerprint_changes_with_the_labels_alone() -> None:
    validation = load_images(PIXELS, LABELS, device="cpu")
    swapped = [1, 0, 2, *LABELS[3:]]
    digests = {prepared(labels=y, validation=validation).digest() for y in (LABELS, swapped)}
    assert len(digests) == 2
