"""A study's data in a form that travels to other processes and machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from proxysample.data.datasets import ArrayDataset
from proxysample.device import resolve_device
from proxysample_nas.data.images import LabelledImages
from proxysample_nas.study.experiments.data import StudyData
from proxysample_nas.study.experiments.facts import DatasetFacts
from proxysample_nas.study.experiments.published import PublishedAccuracies
from proxysample_nas.study.experiments.workbench import Workbench


@dataclass(frozen=True)
class PackedImages:
    """Labelled images as arrays, wherever they lived.

    Attributes
    ----------
    images, labels : ndarray
    classes : tuple of int or str
    """

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
    facts: DatasetFacts

    @classmethod
    def pack(cls, data: StudyData) -> Self:
        """Bring a dataset to this machine's memory."""
        architecture = data.architecture_images
        return cls(
            data.train,
            PackedImages.pack(data.train_images),
            PackedImages.pack(data.test_images),
            None if architecture is None else PackedImages.pack(architecture),
            data.facts,
        )

    def unpack(self) -> StudyData:
        """Bring a dataset to this process's device."""
        architecture = self.architecture_images
        return StudyData(
            self.train,
            self.train_images.unpack(),
            self.test_images.unpack(),
            None if architecture is None else architecture.unpack(),
            self.facts,
        )


@dataclass(frozen=True)
class Shipment:
    """Everything that a study's tasks read.

    Attributes
    ----------
    data : PackedData
    transfers : mapping of str to PackedData
    published : PublishedAccuracies or None
    """

    data: PackedData
    transfers: Mapping[str, PackedData]
    published: PublishedAccuracies | None

    @classmethod
    def of(cls, workbench: Workbench) -> Self:
        """Pack what a workbench has read, or reads now."""
        configuration = workbench.configuration
        return cls(
            PackedData.pack(workbench.data),
            {
                transfer.dataset: PackedData.pack(workbench.transfer_data(transfer))
                for transfer in configuration.transfers
            },
            None if configuration.lookup is None else workbench.published,
        )

    def unpack_into(self, workbench: Workbench) -> None:
        """Provide a workbench of another process with it.

        Parameters
        ----------
        workbench : Workbench
            Changed in place.
        """
        workbench.provide(
            self.data.unpack(),
            {name: packed.unpack() for name, packed in self.transfers.items()},
            self.published,
        )
