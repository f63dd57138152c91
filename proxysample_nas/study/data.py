"""A study's data: read once, cut to size, and named by what is in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from proxysample.data.datasets import ArrayDataset, load_dataset
from proxysample.data.labels import encode_labels
from proxysample.errors import InputError
from proxysample.keeping import interleave_classes
from proxysample_nas.data.images import LabelledImages, load_images


@dataclass(frozen=True)
class StudyData:
    """Training and test part of a study's dataset.

    Attributes
    ----------
    train, test : ArrayDataset
        As samplers read them.
    train_images, test_images : LabelledImages
        As searchers and trainers read them, on the device.
    fingerprint : str
        Changes with any pixel or label.
    """

    train: ArrayDataset
    test: ArrayDataset
    train_images: LabelledImages
    test_images: LabelledImages
    fingerprint: str


def load_study_data(
    dataset: str, n_train: int | None = None, random_state: int = 0, device: str = "auto"
) -> StudyData:
    """Load a dataset for a study.

    Parameters
    ----------
    dataset : str
        See `proxysample.data.datasets.load_dataset`.
    n_train : int, optional
        Use only so many training images, class shares kept.
    random_state : int
        Seed of that draw.
    device : str
        See `proxysample.device.resolve_device`.

    Returns
    -------
    StudyData

    Raises
    ------
    InputError
        If the dataset cannot be loaded, has no labels or no test part, or is too small.

    Examples
    --------
    >>> data = load_study_data("digits", n_train=100)
    >>> len(data.train), len(data.test), data.train_images.n_classes
    (100, 360, 10)
    """
    splits = load_dataset(dataset)
    test = splits.require_test()
    for part in (splits.train, test):
        if part.targets is None:
            raise InputError(f"{dataset} has no labels, and a study needs them")
    train = splits.train if n_train is None else _draw(splits.train, n_train, random_state)
    train_images = load_images(train, device=device)
    return StudyData(
        train=train,
        test=test,
        train_images=train_images,
        test_images=load_images(test, classes=train_images.classes, device=device),
        fingerprint=_fingerprint(train, test),
    )


def _draw(train: ArrayDataset, n_train: int, random_state: int) -> ArrayDataset:
    if n_train > len(train):
        raise InputError(f"n_train={n_train:,}, but there are {len(train):,} training images")
    shuffled = np.random.default_rng(random_state).permutation(len(train))
    codes = encode_labels(np.asarray(train.targets))[1]
    rows = np.sort(interleave_classes(shuffled, codes)[:n_train])
    return ArrayDataset(train.images[rows], np.asarray(train.targets)[rows], train.classes)


def _fingerprint(*parts: ArrayDataset) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for array in (part.images, np.asarray(part.targets)):
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]
