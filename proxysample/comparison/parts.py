"""What a model is trained on and held to: samples, their classes, their features; and how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from proxysample.data.datasets import ArrayDataset
from proxysample.data.reading import Samples
from proxysample.data.tables import take_rows
from proxysample.schedule import RandomSchedule

IntArray = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

BudgetKind = Literal["epochs", "steps"]
BUDGETS: tuple[BudgetKind, ...] = get_args(BudgetKind)


def take_samples(dataset: Any, rows: IntArray) -> Any:
    """Cut a dataset down to some samples, an array in memory to an array in memory."""
    if isinstance(dataset, ArrayDataset):
        targets = None if dataset.targets is None else np.asarray(dataset.targets)[rows]
        files = None if dataset.files is None else [dataset.files[row] for row in rows.tolist()]
        return ArrayDataset(dataset.images[rows], targets, dataset.classes, files=files)
    return take_rows(dataset, rows)


@dataclass(frozen=True)
class Budget:
    """How long a model may train on a kept set.

    Attributes
    ----------
    kind : {"epochs", "steps"}
        ``"epochs"``: as many passes over the kept samples as over all of them, so that training
        on a tenth takes a tenth of the time. ``"steps"``: as many steps as on all of them.
    n_kept, n_all : int
        Samples kept, and of the whole training part.

    Examples
    --------
    >>> Budget("epochs", 100, 1000).passes(30), Budget("steps", 100, 1000).passes(30)
    (30, 300)
    """

    kind: BudgetKind
    n_kept: int
    n_all: int

    def passes(self, epochs: int) -> int:
        """Count the passes over the kept samples that stand for so many over all of them."""
        if self.kind == "epochs":
            return epochs
        return max(1, round(epochs * self.n_all / self.n_kept))

    def steps(self, epochs: int, batch_size: int) -> int:
        """Count the steps in batches of a size that stand for so many passes over all samples."""
        n_samples = self.n_kept if self.kind == "epochs" else self.n_all
        return epochs * -(-n_samples // batch_size)


class Part:
    """Some of a dataset's samples, as a map-style dataset of images and class codes.

    Parameters
    ----------
    dataset : object
        As it was given, with all samples.
    codes : ndarray of shape (n,), int64
        Class of each of them, 0 to ``n_classes - 1``. They count, not the dataset's own labels:
        some may have been changed on purpose.
    n_classes : int
    features : array-like of shape (n, d), optional
    indices : ndarray of int64, optional
        The samples of this part; all by default.

    Attributes
    ----------
    y : ndarray of int64
        Class codes of this part's samples.
    X : ndarray of shape (len(part), d), float32
        Their features; where there are none, their pixels, flat, those of uint8 scaled to [0, 1].

    Examples
    --------
    >>> part = Part(np.full((3, 2, 2), 255, np.uint8), np.array([0, 1, 0]), 2)
    >>> part.take(np.array([0, 2])).X.tolist(), part.take(np.array([1])).y.tolist()
    ([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]], [1])
    """

    def __init__(
        self,
        dataset: Any,
        codes: IntArray,
        n_classes: int,
        features: Any = None,
        indices: IntArray | None = None,
    ) -> None:
        self.dataset = dataset
        self.codes = codes
        self.n_classes = n_classes
        self.features = features
        self.indices = indices

    def __len__(self) -> int:
        return len(self.codes) if self.indices is None else len(self.indices)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Give an image as the dataset has it, and its class code."""
        row = index if self.indices is None else int(self.indices[index])
        image, _ = self.samples.pairs[row]
        return image, int(self.codes[row])

    def take(self, rows: IntArray) -> Part:
        """Give a part of this one, by places in it."""
        indices = rows if self.indices is None else self.indices[rows]
        taken = Part(self.dataset, self.codes, self.n_classes, self.features, indices)
        # What was read once serves every part.
        taken.samples = self.samples
        return taken

    @cached_property
    def samples(self) -> Samples:
        """All samples of the dataset, with their class codes as labels."""
        return Samples(self.dataset, self.codes)

    @property
    def y(self) -> IntArray:
        """Class codes, (len(part),), int64."""
        return self.codes if self.indices is None else self.codes[self.indices]

    @property
    def images(self) -> Array:
        """Images as arrays of one size, (len(part), height, width, channels), or vectors (.., d).

        Of the dataset's own type.
        """
        images = self.samples.images
        return np.asarray(images if self.indices is None else images[self.indices])

    @property
    def X(self) -> npt.NDArray[np.float32]:  # noqa: N802  # as scikit-learn has it
        """Features, or else pixels; see the class."""
        if self.features is not None:
            rows = self.features if self.indices is None else self.features[self.indices]
            return np.asarray(rows, dtype=np.float32)
        images = self.images
        flat = images.reshape(len(images), -1).astype(np.float32)
        return flat / np.float32(255) if images.dtype == np.uint8 else flat


@dataclass(frozen=True)
class KeptSet:
    """Samples that every epoch trains on, by their indices."""

    indices: IntArray


Schedule = KeptSet | RandomSchedule
"""What a training is given: the same samples each epoch, or another part of all of them (RS2)."""


def size_of(schedule: Schedule) -> int:
    """Count the samples of an epoch."""
    return len(schedule.indices) if isinstance(schedule, KeptSet) else schedule.n


def epochs_of(schedule: Schedule) -> Iterator[IntArray]:
    """Give the samples of each epoch, without end.

    Examples
    --------
    >>> epochs = epochs_of(RandomSchedule(5, n=2, seed=0))
    >>> len({*next(epochs).tolist(), *next(epochs).tolist()})
    4
    """
    for epoch in count():
        yield schedule.indices if isinstance(schedule, KeptSet) else schedule.indices(epoch)
