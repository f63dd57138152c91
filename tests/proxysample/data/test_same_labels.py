"""Joined parts that number their classes each in its own way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from proxysample import ArrayDataset, CCRandomSampling, InputError
from proxysample.data import Samples
from proxysample.data.same_labels import same_label

PIXELS = np.zeros((4, 2, 2, 1), np.uint8)


def part(classes, labels=(0, 1, 0, 1)):
    return ArrayDataset(PIXELS[: len(labels)], list(labels), classes)


def test_parts_that_number_their_classes_differently_are_told_apart():
    joined = ConcatDataset([part(["cat", "dog"]), part(["dog", "emu"])])
    expected = ["cat", "dog", "cat", "dog", "dog", "emu", "dog", "emu"]
    assert Samples(joined).labels.tolist() == expected
    assert Samples(Subset(joined, [0, 4, 7])).labels.tolist() == ["cat", "dog", "emu"]
    deeper = ConcatDataset([joined, Subset(part(["emu", "cat"]), [3, 0])])
    assert Samples(deeper).labels.tolist() == [*expected, "cat", "emu"]
    assert len(CCRandomSampling().select(joined, 0.5)) == 4


def test_parts_that_agree_keep_their_numbers():
    for others in (["cat", "dog"], ["cat", "dog", "emu"]):
        joined = ConcatDataset([part(["cat", "dog"]), part(others)])
        assert Samples(joined).labels.tolist() == [0, 1] * 4
    bare = TensorDataset(torch.zeros(2, 1, 2, 2), torch.tensor([1, 0]))
    assert Samples(ConcatDataset([part(["cat", "dog"]), bare])).labels.tolist() == [0, 1] * 2 + [
        1,
        0,
    ]


def test_items_are_told_apart_as_well():
    class Photos(Dataset):
        def __init__(self, classes):
            self.classes = classes

        def __len__(self):
            return 4

        def __getitem__(self, index):
            return PIXELS[index], index % 2

    joined = ConcatDataset([Photos(["cat", "dog"]), Photos(["dog", "cat"])])
    assert Samples(joined).labels.tolist() == ["cat", "dog"] * 2 + ["dog", "cat"] * 2


def test_what_cannot_be_told_apart_is_refused():
    bare = TensorDataset(torch.zeros(2, 1, 2, 2), torch.tensor([1, 0]))
    joined = ConcatDataset([part(["cat", "dog"]), part(["dog", "cat"]), bare])
    with pytest.raises(InputError, match=r"number their classes differently, .* no names"):
        Samples(joined).labels  # noqa: B018
    assert Samples(joined, [0] * 10).labels.tolist() == [0] * 10
    assert Samples(joined, label=lambda item: item[1]).labels.tolist() == [0, 1] * 4 + [1, 0]
    words = ConcatDataset([part(["cat", "dog"]), ArrayDataset(PIXELS, ["cat", "dog"] * 2)])
    with pytest.raises(InputError, match="a mix of int, str"):
        Samples(words).labels  # noqa: B018


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (1, 1.0, True),
        (torch.tensor(1), 1, True),
        (True, 1, True),
        ("1", 1, False),
        (None, 0, False),
        ({"boxes": []}, 0, False),
        ([0, 1], np.array([0, 1]), True),
        ([0, 1], [0, 1, 2], False),
        (np.zeros((2, 2)), 0, False),
    ],
)
def test_labels_are_compared_by_value(one, other, alike):
    assert same_label(one, other) is alike
    assert same_label(other, one) is alike
