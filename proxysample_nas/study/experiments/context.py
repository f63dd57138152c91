"""What every experiment of a study works with: its data, read once or received from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch

from proxysample.data.datasets import ArrayDataset, Splits
from proxysample.device import resolve_device
from proxysample.errors import InputError
from proxysample.experiments.experiment import Checkpoints, Context
from proxysample.printing import shown
from proxysample_nas.data.images import LabelledImages
from proxysample_nas.study.experiments.data import (
    DatasetInfo,
    StudyData,
    StudyInfo,
    load_study_data,
    read_parts,
)
from proxysample_nas.study.experiments.published import PublishedAccuracies
from proxysample_nas.study.grid.configuration import StudyConfiguration
from proxysample_nas.study.grid.evaluation import Transfer
from proxysample_nas.training.optimization import EpochCallback

StudyCallback = Callable[[str, Mapping[str, float]], object]
"""What is called after every epoch with what is searched or trained, and its numbers by name."""


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
        if transfer.dataset not in self._transfers:
            self._transfers[transfer.dataset] = load_study_data(transfer.dataset)
        return self._transfers[transfer.dataset]

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
