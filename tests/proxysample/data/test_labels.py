"""Labels that would merge are refused, and what is told apart stays apart."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import Enum
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import ConcatDataset

from proxysample import ArrayDataset, InputError, create_sampler
from proxysample.data import Samples
from proxysample.data.classes import name_classes
from proxysample.data.labels import MADE_OF_NUMBERS, check_labels
from proxysample_nas.data.images import classes_of, load_images

PIXELS = np.arange(40 * 4, dtype=np.uint8).reshape(40, 2, 2, 1)

MERGING = {
    "too large to be whole": np.arange(40) % 4 * 1e300,
    "beyond 53 bits": np.array([2.0**53, 2.0**53 + 1] * 20),
    "beyond 24 bits": np.array([2**24, 2**24 + 1] * 20, dtype=np.float32),
    "beyond 11 bits": torch.tensor([2048.0, 2049.0] * 20).half(),
    "beyond 8 bits": torch.tensor([256.0, 257.0] * 20).bfloat16(),
    "beyond 64 bits": [2**64, 2**64 + 1] * 20,
    "unsigned": np.array([2**63, 2**63 + 1] * 20, dtype=np.uint64),
    "whole numbers among fractions": pd.Series([2**53, 2**53 + 1, None, 1] * 10),
    "NaN": ["a", float("nan"), "b", "a"] * 10,
    "NaN of objects": np.array(["a", float("nan")] * 20, dtype=object),
    "NaN in words": np.array(["a", float("nan")] * 20),
    "None": ["a", None] * 20,
    "masked": np.ma.array(["a", "b"] * 20, mask=[0, 1] * 20),
    "masked numbers": np.ma.array([1, 2] * 20, mask=[0, 1] * 20),
    "number and text": [1, "1"] * 20,
    "number and text of objects": np.array([1, "1"] * 20, dtype=object),
    "number and text in words": np.array([1, "1"] * 20),
    "bytes and text": [b"a", "a"] * 20,
    "true and 1": [True, 1, 0, 2] * 10,
    "true and 1 of objects": np.array([True, 1] * 20, dtype=object),
    "true and text": [True, "True"] * 20,
    "NUL": ["a", "a\0"] * 20,
    "NUL of objects": np.array(["a", "a\0"] * 20, dtype=object),
    "NUL in a column": pd.Series(["", "\0"] * 20),
    "true and 1 of tensors": [torch.tensor(True), torch.tensor(1)] * 20,
    "true and 1 of arrays": [np.array(True), np.array(1), 0] * 13 + [2],
    "beyond 8 bits one by one": [torch.tensor(one, dtype=torch.bfloat16) for one in (256, 1)] * 20,
    "NUL of numpy's strings": [np.str_("a"), np.str_("a\0")] * 20,
    "fractions in words": np.array([1.5, "1.5"] * 20),
    "true in words": np.array([True, "True"] * 20),
    "fractions of Decimal": [Decimal("1"), Decimal("1.0")] * 20,
    "rational numbers": [Fraction(1, 2), Fraction(2, 4)] * 20,
    "missing in a column": pd.Series([1, pd.NA] * 20, dtype="Int64"),
    "missing in texts": pd.Series(["a", pd.NA] * 20, dtype="string"),
    "missing categories": pd.Series(["a", None] * 20, dtype="category"),
    "categories of several kinds": pd.Series([1, "1"] * 20, dtype="category"),
    "no times": pd.Series([pd.NaT, pd.Timestamp("2020")] * 20),
    "days": [date(2020, 1, 1), date(2020, 1, 2)] * 20,
    "24 bits in a column": pd.Series([2**24, 2**24 + 1] * 20, dtype="Float32"),
    "bytes": [b"a", b"a\0"] * 20,
    "complex": [1 + 0j, 1 - 0j] * 20,
    "of several sizes": [np.uint64(2**63), np.int64(1)] * 20,
    "beyond 64 bits below": [-(2**63) - 1, 1] * 20,
    "structured": np.array([(1, "a"), (2, "b")] * 20, dtype=[("x", int), ("y", "U1")]),
    "nothing in them": torch.zeros(40, device="meta"),
}


@pytest.mark.parametrize("labels", MERGING.values(), ids=MERGING)
def test_labels_that_would_merge_are_refused_by_everyone_who_takes_them(labels):
    with pytest.raises(InputError):
        create_sampler("cc-rs").select(PIXELS, 0.5, y=labels)
    with pytest.raises(InputError):
        load_images(PIXELS, labels, device="cpu")
    if isinstance(labels, torch.Tensor):
        return
    with pytest.raises(InputError):
        create_sampler("cc-rs").select(ArrayDataset(PIXELS, labels), 0.5)
    # Of strings one by one nobody can tell what they were made of.
    if str(getattr(labels, "dtype", "")) not in MADE_OF_NUMBERS:
        items = list(zip(PIXELS, labels, strict=True))
        with pytest.raises(InputError):
            create_sampler("cc-rs").select(items, 0.5)


class Animal(str, Enum):  # noqa: UP042
    CAT = "cat"
    DOG = "dog"


APART = {
    "members of an enumeration": [Animal.CAT, Animal.DOG],
    "ligatures": ["\ufb01", "fi"],
    "signs and letters": ["\u212a", "K", "\u0130", "\u0131"],
    "what cannot be seen": ["a", "a\u200b", "a\xa0", "a\t"],
    "unicode": ["é", "e\u0301"],
    "spaces": ["a", "a ", " a"],
    "NUL within": ["a\0b", "a", "\0a"],
    "case": ["a", "A"],
    "zeros in front": ["7", "007"],
    "large": [2**53, 2**53 + 1],
    "negative": [-1, 1],
    "true": [True, False],
    "nan as a word": ["nan", "a"],
    "lone surrogate": ["a\udcff", "a\udcfe"],
}


@pytest.mark.parametrize("labels", APART.values(), ids=APART)
def test_labels_that_differ_stay_apart(labels):
    n_classes = len(labels)
    everyone = (labels * 40)[:40]
    kept = create_sampler("cc-rs").fit(PIXELS, y=everyone).ranking_
    assert len(np.unique(kept.codes)) == n_classes
    assert len(set(kept.classes.names)) == n_classes
    assert len(load_images(PIXELS, everyone, device="cpu").classes) == n_classes


def test_zero_has_one_sign():
    assert check_labels(np.array([0.0, -0.0, 1.0]), 3).tolist() == [0, 0, 1]


def test_class_names_that_files_cannot_tell_apart_are_replaced_by_numbers():
    dataset = ArrayDataset(PIXELS[:2], [0, 1])
    dataset.classes = ["a", "a\0"]
    assert name_classes(np.array([0, 1]), Samples(dataset)).names == ("0", "1")


def test_classes_that_are_given_are_all_numbers_or_all_texts():
    with pytest.raises(InputError, match="kept apart"):
        load_images(PIXELS, [0, 1] * 20, classes=[0, 1, "1"], device="cpu")
    numbers = load_images(PIXELS, [0, 1] * 20, device="cpu")
    texts = load_images(PIXELS, ["0", "1"] * 20, device="cpu")
    with pytest.raises(InputError, match="kept apart"):
        classes_of(numbers, texts)


class Numbered(list):
    """Items whose labels count in an order of their own."""

    def __init__(self, items, **names):
        super().__init__(items)
        vars(self).update(names)


ITEMS = [(PIXELS[index], index % 2) for index in range(4)]


def test_parts_count_by_the_numbers_that_their_names_have():
    one = Numbered(ITEMS, classes=["cat", "dog"], class_to_idx={"dog": 0, "cat": 1})
    other = Numbered(ITEMS, class_to_idx={"cat": 0, "dog": 1})
    assert (
        Samples(ConcatDataset([one, other])).labels.tolist()
        == ["dog", "cat"] * 2
        + [
            "cat",
            "dog",
        ]
        * 2
    )


def test_parts_that_name_two_classes_alike_cannot_be_told_apart():
    one = ArrayDataset(PIXELS[:4], [0, 1, 2, 2], ["crane", "crane", "dog"])
    other = ArrayDataset(PIXELS[:4], [0, 1, 2, 2], ["dog", "crane", "emu"])
    with pytest.raises(InputError, match="two classes alike"):
        _ = Samples(ConcatDataset([one, other])).labels


def test_parts_of_booleans_and_of_numbers_are_refused():
    one = ArrayDataset(PIXELS[:4], [True, False] * 2)
    one.targets = np.array([True, False] * 2)
    other = ArrayDataset(PIXELS[:4], [1, 2] * 2)
    with pytest.raises(InputError, match="mix of bool, int"):
        _ = Samples(ConcatDataset([one, other])).labels


class Endless:
    """Gives a label for every place, though it says how many there are."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, place: int) -> int:
        assert place < 4, "more is read than there are"
        return place % 2


def test_labels_without_an_end_are_read_by_their_number():
    assert check_labels(Endless(4), 4).tolist() == [0, 1, 0, 1]
    with pytest.raises(InputError, match="1000000000000 labels for 4 samples"):
        check_labels(Endless(10**12), 4)
