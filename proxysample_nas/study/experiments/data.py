"""A study's data: read once, cut to size, and named by what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch

from proxysample.data.datasets import ArrayDataset, Splits, load_dataset
from proxysample.data.labels import check_labels, encode_labels
from proxysample.data.whole import read_whole
from proxysample.errors import InputError
from proxysample.keeping import IntArray
from proxysample.records import REQUIRED, Positive, Record, one_of
from proxysample.shares import interleave_classes
from proxysample_nas.data.images import LabelledImages, load_images, stratified_holdout
from proxysample_nas.study.grid.given_data import GIVEN

WHERE = "what the store knows of the data"


@dataclass(frozen=True)
class DatasetInfo(Record, title=WHERE):
    """What a report has to state about a dataset.

    Attributes
    ----------
    fingerprint : str
        Changes with any pixel or label.
    n_train, n_test : int
        Images that train, and that evaluate.
    n_classes : int
    image_shape : tuple of int
        Height, width and channels.
    split : {"test", "test half"}
        Whether cells are evaluated on the whole test part.
    """

    fingerprint: str
    n_train: Positive
    n_test: Positive
    n_classes: Positive
    image_shape: tuple[Positive, Positive, Positive]
    split: Annotated[str, one_of("test", "test half")]


@dataclass(frozen=True)
class StudyInfo(Record, title=WHERE):
    """What is known of everything that a study reads.

    Attributes
    ----------
    datasets : mapping of str to DatasetInfo
        The study's dataset and those of its transfers, by name.
    lookup_fingerprint : str or None
        Of the file of published accuracies.

    Examples
    --------
    >>> info = StudyInfo({"digits": DatasetInfo("ab", 100, 360, 10, (8, 8, 1), "test")})
    >>> StudyInfo.from_json(info.to_json()) == info
    True
    """

    datasets: Mapping[str, DatasetInfo]
    lookup_fingerprint: Annotated[str | None, REQUIRED] = None


@dataclass(frozen=True)
class StudyData:
    """Training and test part of a dataset.

    Attributes
    ----------
    train : ArrayDataset
        As samplers read it.
    train_images, test_images : LabelledImages
        As searchers and trainers read them, on the device.
    architecture_images : LabelledImages or None
        What trains the architecture, where the study takes it from the test part.
    info : DatasetInfo
    """

    train: ArrayDataset
    train_images: LabelledImages
    test_images: LabelledImages
    architecture_images: LabelledImages | None
    info: DatasetInfo


def load_study_data(
    dataset: str | Splits,
    n_train: int | None = None,
    random_state: int = 0,
    architecture_data: Literal["held-out", "test-half"] = "held-out",
    device: str = "auto",
    *,
    picked_by_index: bool = False,
) -> StudyData:
    """Load a dataset for a study.

    Parameters
    ----------
    dataset : str or Splits
        See `proxysample.data.datasets.load_dataset`; or its parts.
    n_train : int, optional
        Use only so many training images, class shares kept.
    random_state : int
        Seed of that draw, and of the halves of the test part.
    architecture_data : {"held-out", "test-half"}
        See `proxysample_nas.study.StudyConfiguration`.
    device : str
        See `proxysample.device.resolve_device`.
    picked_by_index : bool
        Whether training images were picked by index elsewhere, so that none may be skipped here.

    Raises
    ------
    InputError
        If the dataset cannot be loaded, has no labels or no test part, or is too small.

    Examples
    --------
    >>> data = load_study_data("digits", n_train=100, architecture_data="test-half")
    >>> len(data.train), len(data.architecture_images), len(data.test_images)
    (100, 180, 180)
    """
    train, test = read_parts(dataset, picked_by_index)
    if n_train is not None:
        train = _draw(train, n_train, random_state)
    train_images = load_images(train, device=device)
    test_images = load_images(test, classes=train_images.classes, device=device)
    architecture_images = None
    if architecture_data == "test-half":
        generator = torch.Generator().manual_seed(random_state)
        evaluation, architecture = stratified_holdout(test_images.labels, 0.5, generator)
        architecture_images = test_images.take(architecture)
        test_images = test_images.take(evaluation)
    height, width = train_images.image_size
    return StudyData(
        train,
        train_images,
        test_images,
        architecture_images,
        DatasetInfo(
            fingerprint=_fingerprint(train, test),
            n_train=len(train_images),
            n_test=len(test_images),
            n_classes=train_images.n_classes,
            image_shape=(height, width, train_images.n_channels),
            split="test" if architecture_images is None else "test half",
        ),
    )


def read_parts(dataset: str | Splits, picked_by_index: bool) -> tuple[ArrayDataset, ArrayDataset]:
    """Read a dataset's training and test part into memory; both have labels.

    Raises
    ------
    InputError
        If it cannot be loaded, or labels or the test part are missing.
    """
    splits = _load(dataset) if isinstance(dataset, str) else dataset
    train, test = (_as_pair(part) for part in (splits.train, splits.require_test()))
    if not (isinstance(train, ArrayDataset) and isinstance(test, ArrayDataset)):
        n_samples = len(train)
        train, _ = read_whole(train)
        test, _ = read_whole(test)
        if picked_by_index and len(train) < n_samples:
            raise InputError(
                f"{splits.name}: {n_samples - len(train):,} training samples are skipped, and "
                "indices that were picked before would be those of others; repair or remove the "
                "samples, and pick anew"
            )
    for part in (train, test):
        if part.targets is None:
            raise InputError(f"{splits.name} has no labels, and a study needs them")
        check_labels(part.targets, len(part))
    return train, test


def _load(name: str) -> Splits:
    if name == GIVEN:
        raise InputError(
            "the data of this study were given as objects, and the store does not hold them: "
            "give them again, as in Study.open(folder, dataset=(train, test))"
        )
    return load_dataset(name)


def _as_pair(part: Any) -> Any:
    """Read a pair of images and labels as the dataset that it is."""
    return ArrayDataset(*part) if isinstance(part, tuple) and len(part) == 2 else part


def _draw(train: ArrayDataset, n_train: int, random_state: int) -> ArrayDataset:
    rows = draw_rows(train, n_train, random_state)
    _check_classes(train, rows)
    return ArrayDataset(train.images[rows], np.asarray(train.targets)[rows], train.classes)


def draw_rows(train: ArrayDataset, n_train: int, random_state: int) -> IntArray:
    """Draw training images, class shares kept.

    Parameters
    ----------
    train : ArrayDataset
    n_train : int
        How many.
    random_state : int
        Seed.

    Returns
    -------
    ndarray of shape (n_train,), int64
        Sorted indices.

    Raises
    ------
    InputError
        If there are fewer.
    """
    if n_train > len(train):
        raise InputError(f"n_train={n_train:,}, but there are {len(train):,} training images")
    shuffled = np.random.default_rng(random_state).permutation(len(train))
    codes = encode_labels(np.asarray(train.targets))[1]
    return np.sort(interleave_classes(shuffled, codes)[:n_train])


def _check_classes(train: ArrayDataset, rows: IntArray) -> None:
    """Refuse rows that leave a class without an image."""
    names, codes = encode_labels(np.asarray(train.targets))
    n_empty = len(names) - len(np.unique(codes[rows]))
    if n_empty:
        raise InputError(
            f"n_train={len(rows):,} leaves {n_empty:,} of {len(names):,} classes without an "
            "image; raise it"
        )


def _fingerprint(*parts: ArrayDataset) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for array in (part.images, np.asarray(part.targets)):
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]
