"""A study's data: read once or received from elsewhere, cut to size, named by what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch

from proxysample.checks import check_call
from proxysample.data.datasets import GIVEN_DATA, ArrayDataset, Splits, load_dataset
from proxysample.data.labels import (
    as_label_array,
    check_labels,
    codes_like,
    encode_labels,
)
from proxysample.data.whole import read_whole
from proxysample.device import resolve_device
from proxysample.errors import InputError
from proxysample.experiments.experiment import Checkpoints, Context
from proxysample.keeping import IntArray
from proxysample.printing import shown
from proxysample.records import REQUIRED, Positive, Record, one_of
from proxysample.shares import interleave_classes
from proxysample_nas.data.images import LabelledImages, load_images, stratified_holdout
from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.experiments.published import PublishedAccuracies
from proxysample_nas.study.given import Transfer
from proxysample_nas.training.optimization import EpochCallback

WHERE = "what the store knows of the data"

StudyCallback = Callable[[str, Mapping[str, float]], object]
"""What is called after every epoch with what is searched or trained, and its numbers by name."""


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
    shapes = [tuple(part.images.shape[1:]) for part in (train_images, test_images)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"training and test images differ in shape (channels, height, width): {shapes[0]} and "
            f"{shapes[1]}; bring them to one size"
        )
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
    labels, of_test = (as_label_array(part.targets) for part in (train, test))
    codes_like(of_test, encode_labels(labels)[0], splits.name, "the test part")
    return train, test


def _load(name: str) -> Splits:
    if name == GIVEN_DATA:
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


class StudyContext(Context):
    """What every experiment of a study works with, made once a process.

    Parameters
    ----------
    configuration : StudyConfiguration
    checkpoints, n_side_by_side, progress
        See `proxysample.experiments.experiment.Context`.
    callback : callable, optional
        See `StudyCallback`; called in the process that runs the experiment.
    """

    noun: ClassVar[str] = "study"

    def __init__(
        self,
        configuration: StudyConfiguration,
        checkpoints: Checkpoints | None = None,
        *,
        n_side_by_side: int = 1,
        progress: bool = False,
        callback: StudyCallback | None = None,
    ) -> None:
        super().__init__(checkpoints, n_side_by_side=n_side_by_side, progress=progress)
        if callback is not None and not callable(callback):
            raise InputError(
                "callback must take what is trained and a mapping of numbers, and "
                f"{shown(callback)} cannot"
            )
        if callback is not None:
            check_call("callback", callback, ("name", "numbers"))
        self.configuration = configuration
        self.callback = callback
        self._transfers: dict[str, StudyData] = {}

    @cached_property
    def data(self) -> StudyData:
        """The dataset, read when first needed."""
        return load_study_data(
            self.configuration.splits or self.configuration.dataset,
            self.configuration.n_train,
            self.configuration.random_state,
            self.configuration.architecture_data,
            picked_by_index=self._picked_by_index,
        )

    @property
    def _picked_by_index(self) -> bool:
        return any(one.name == "indices" for one in self.configuration.samplers)

    def transfer_data(self, transfer: Transfer) -> StudyData:
        """Give the whole of another dataset, read when first needed."""
        name = transfer.dataset
        if name not in self._transfers:
            try:
                self._transfers[name] = load_study_data(name)
            except InputError as error:
                raise InputError(
                    f"the transfer to {name}: {error}; without it by --transfer none"
                ) from error
        return self._transfers[name]

    @cached_property
    def published(self) -> PublishedAccuracies:
        """The published accuracies, read when first needed."""
        if self.configuration.lookup is None:
            raise ValueError("the study looks nothing up")
        return PublishedAccuracies.read(self.configuration.lookup.path)

    def info(self) -> StudyInfo:
        """Read everything that the study needs, and say what it is; see `Context.info`."""
        configuration = self.configuration
        datasets = {configuration.dataset: self.data.info}
        for transfer in configuration.transfers:
            datasets[transfer.dataset] = self.transfer_data(transfer).info
        if configuration.lookup is None:
            return StudyInfo(datasets)
        self.published.check(configuration.lookup.dataset, configuration.lookup.epochs)
        return StudyInfo(datasets, self.published.fingerprint)

    def epoch_callback(self, label: str) -> EpochCallback | None:
        """Give what a search or a training calls after every epoch, if anything."""
        callback = self.callback
        return None if callback is None else lambda numbers: callback(label, numbers)

    def for_worker(self, n_side_by_side: int) -> Self:
        """Create the context of another process, which has read nothing yet."""
        return type(self)(
            self._sendable,
            self.checkpoints,
            n_side_by_side=n_side_by_side,
            callback=self.callback,
        )

    @cached_property
    def _sendable(self) -> StudyConfiguration:
        """The configuration with data that any process can be sent, whatever they were given as."""
        splits = self.configuration.splits
        if splits is None:
            return self.configuration
        parts = read_parts(splits, self._picked_by_index)
        return replace(self.configuration, splits=Splits(splits.name, *parts))

    def ship(self) -> PackedStudyData:
        """Pack what was read, or is read now."""
        return PackedStudyData(
            PackedData.pack(self.data),
            {
                transfer.dataset: PackedData.pack(self.transfer_data(transfer))
                for transfer in self.configuration.transfers
            },
            None if self.configuration.lookup is None else self.published,
        )

    def unship(self, packed: PackedStudyData) -> None:
        """Take over what was read elsewhere, so that nothing is read here."""
        self.data = packed.data.unpack()
        self._transfers = {name: one.unpack() for name, one in packed.transfers.items()}
        if packed.published is not None:
            self.published = packed.published


@dataclass(frozen=True)
class PackedImages:
    """Labelled images as arrays, wherever they lived."""

    images: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    classes: tuple[int | str, ...]

    @classmethod
    def pack(cls, images: LabelledImages) -> Self:
        """Bring images to this machine's memory."""
        return cls(images.images.cpu().numpy(), images.labels.cpu().numpy(), images.classes)

    def unpack(self) -> LabelledImages:
        """Bring images to this process's device."""
        device = resolve_device()
        # What arrives may lie in memory that processes share, and must not be written to.
        images, labels = (torch.from_numpy(one.copy()) for one in (self.images, self.labels))
        return LabelledImages(images.to(device), labels.to(device), self.classes)


@dataclass(frozen=True)
class PackedData:
    """A study's dataset as arrays; see `StudyData`."""

    train: ArrayDataset
    train_images: PackedImages
    test_images: PackedImages
    architecture_images: PackedImages | None
    info: DatasetInfo

    @classmethod
    def pack(cls, data: StudyData) -> Self:
        """Bring a dataset to this machine's memory."""
        architecture = data.architecture_images
        return cls(
            data.train,
            PackedImages.pack(data.train_images),
            PackedImages.pack(data.test_images),
            None if architecture is None else PackedImages.pack(architecture),
            data.info,
        )

    def unpack(self) -> StudyData:
        """Bring a dataset to this process's device."""
        architecture = self.architecture_images
        return StudyData(
            self.train,
            self.train_images.unpack(),
            self.test_images.unpack(),
            None if architecture is None else architecture.unpack(),
            self.info,
        )


@dataclass(frozen=True)
class PackedStudyData:
    """Everything that a study's experiments read."""

    data: PackedData
    transfers: Mapping[str, PackedData]
    published: PublishedAccuracies | None
