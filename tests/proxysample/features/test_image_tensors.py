from __future__ import annotations

import numpy as np
import pytest
import torch

from proxysample import InputError
from proxysample.data.reading import ROWS_PER_CHUNK, Samples
from proxysample.features.batches import ROWS_PER_FORWARD, ImageTensors

CPU = torch.device("cpu")


def tensors(images):
    return ImageTensors(Samples(images), CPU)


def test_bytes_are_scaled_and_channels_come_first():
    images = np.zeros((2, 2, 3, 3), dtype=np.uint8)
    images[1, 0, 2] = [255, 51, 0]
    batch = tensors(images)[np.array([1, 0])]
    assert batch.dtype == torch.float32
    assert batch.shape == (2, 3, 2, 3)
    assert batch[0, :, 0, 2].tolist() == pytest.approx([1, 0.2, 0])
    assert batch.sum() == pytest.approx(1.2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.bool_])
def test_fractions_and_truth_values_go_in_as_they_are(dtype):
    images = np.array([[[0, 1]], [[1, 1]]], dtype=dtype)
    batch = tensors(images)[slice(0, 2)]
    assert batch.dtype == torch.float32
    assert batch.flatten().tolist() == [0, 1, 1, 1]


def test_batches_are_copies():
    images = np.zeros((2, 1, 1), dtype=np.float32)
    images.flags.writeable = False
    batch = tensors(images)[slice(0, 1)]
    batch += 1
    assert images.sum() == 0


def test_all_images_come_once_in_order():
    n_images = 2 * ROWS_PER_FORWARD + 3
    images = np.arange(n_images, dtype=np.uint8).reshape(-1, 1, 1)
    batches = list(tensors(images).in_order())
    assert [len(batch) for batch in batches] == [ROWS_PER_FORWARD, ROWS_PER_FORWARD, 3]
    assert (torch.cat(batches).flatten() * 255).round().tolist() == list(range(n_images))


@pytest.mark.parametrize("value", [-0.1, 1.5, 255.0])
def test_fractions_outside_the_unit_range_are_refused(value):
    images = np.zeros((ROWS_PER_CHUNK + 9, 1, 2))
    images[ROWS_PER_CHUNK + 7, 0, 1] = value
    with pytest.raises(InputError, match=f"sample {ROWS_PER_CHUNK + 7} has pixels .*Normalize"):
        tensors(images)


def test_other_integers_and_features_are_refused():
    with pytest.raises(InputError, match="int64"):
        tensors(np.zeros((2, 4, 4), dtype=np.int64))
    with pytest.raises(InputError, match="not features"):
        tensors(np.zeros((2, 4)))


@pytest.mark.parametrize("dataset", [np.zeros((2, 3, 9, 9)), torch.zeros(2, 9, 9, 3)])
def test_axes_in_another_order_are_refused(dataset):
    with pytest.raises(InputError, match=r"another order. Arrays are .*torch tensors are"):
        tensors(dataset)
