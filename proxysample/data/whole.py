"""The samples of a dataset that can be read, where those that cannot are to be skipped."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.data.datasets import ArrayDataset
from proxysample.data.fields import Pairs, Unsure
from proxysample.data.labels import check_labels
from proxysample.data.reading import ROWS_PER_CHUNK, Samples
from proxysample.data.scanning import find_broken
from proxysample.data.shortcuts import sample_file
from proxysample.errors import InputError, SampleError

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]

# Skipped samples that a warning lists; a ranking tells all.
MOST_TOLD = 20


class BrokenImageWarning(UserWarning):
    """Samples that cannot be read are skipped; the message names each by index and file."""


@dataclass(frozen=True, eq=False)
class WholeSamples:
    """Samples that can be read, which they are, and what is wrong with the others.

    Attributes
    ----------
    samples : Samples
        Those that can be read, alone.
    indices : ndarray of int64
        Of these in the dataset, ascending.
    broken : mapping of int to str
    every : Samples
        Those of all samples.
    """

    samples: Samples
    indices: IntArray
    every: Samples
    broken: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def all_of(cls, samples: Samples) -> WholeSamples:
        """Take every sample for one that can be read."""
        return cls(samples, np.arange(len(samples)), samples)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Have an error name its sample by the dataset's own index, and by its file."""
        try:
            yield
        except SampleError as error:
            index = int(self.indices[error.index])
            raise error.at(index, sample_file(self.every.dataset, index)) from error


def find_whole(samples: Samples, *, pixels: bool) -> WholeSamples:
    """Find the samples that can be read, and warn of the others; all, unless these are skipped.

    Parameters
    ----------
    samples : Samples
    pixels : bool
        Whether images are read; else only labels are, as far as items are read for them.

    Raises
    ------
    InputError
        If none can be read.

    Warns
    -----
    BrokenImageWarning
        Once, if some are skipped.
    """
    if samples.broken == "stop" or (not pixels and samples.tells_labels_without_items):
        return WholeSamples.all_of(samples)
    if pixels and samples.array is not None:
        broken, labels = _broken_rows(samples.array), None
    else:
        broken, labels = find_broken(samples.pairs, pixels=pixels, **samples.options)
    if len(broken) == len(samples):
        raise InputError(f"none of {len(samples)} samples can be read; the first: {broken[0]}")
    if not broken:
        return WholeSamples.all_of(samples)
    tell_of_broken(samples.dataset, broken)
    indices = np.setdiff1d(np.arange(len(samples)), list(broken))
    return WholeSamples(Taken(samples, indices, labels), indices, samples, broken)


def _broken_rows(images: Array) -> dict[int, str]:
    """Tell the rows of an array that hold what is not finite."""
    broken: dict[int, str] = {}
    if images.dtype.kind != "f":
        return broken
    for start in range(0, len(images), ROWS_PER_CHUNK):
        chunk = np.asarray(images[start : start + ROWS_PER_CHUNK])
        finite = np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1)
        for index in np.flatnonzero(~finite):
            broken[start + int(index)] = "it holds NaN or infinite pixels"
    return broken


def tell_of_broken(dataset: Any, broken: Mapping[int, str]) -> None:
    """Warn of the samples that were skipped, each by its index, and its file where it has one."""
    told = [
        f"sample {index}{'' if file is None else f' ({file})'}: {words}"
        for index, words in islice(sorted(broken.items()), MOST_TOLD)
        for file in [sample_file(dataset, index)]
    ]
    more = f"; and {len(broken) - len(told)} more" if len(broken) > len(told) else ""
    warnings.warn(
        f"{len(broken)} of {len(dataset)} samples cannot be read and are skipped, so that none of "
        f"them is kept: {'; '.join(told)}{more}",
        BrokenImageWarning,
        stacklevel=4,
    )


class Taken(Samples):
    """Some samples of others, whose labels are theirs."""

    def __init__(self, samples: Samples, indices: IntArray, labels: list[Any] | None) -> None:
        rows = _Rows(samples.pairs, indices) if samples.array is None else samples.array[indices]
        super().__init__(
            rows,
            distinct_labels=samples.distinct_labels,
            image_size=samples.image_size,
            cache=samples.cache,
            **samples.options,
        )
        self._all = samples
        self._taken = indices
        self._labels_read = labels

    @cached_property
    def labels(self) -> Array | None:
        """Those of these samples; see `Samples`."""
        if self._all.tells_labels_without_items or self._labels_read is None:
            labels = self._all.labels
            return None if labels is None else labels[self._taken]
        if all(label is None for label in self._labels_read):
            return None
        unsure = next((one for one in self._labels_read if isinstance(one, Unsure)), None)
        if unsure is not None:
            raise InputError(unsure.reason)
        return check_labels(self._labels_read, len(self))


class _Rows(Pairs):
    """Some pairs of a dataset."""

    def __init__(self, pairs: Pairs, indices: IntArray) -> None:
        super().__init__(pairs.dataset, pairs.fields)
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return super().__getitem__(int(self._indices[index]))

    def label(self, index: int) -> Any:
        """Give the label of a sample; see `Pairs.label`."""
        return super().label(int(self._indices[index]))


def read_whole(dataset: Any) -> tuple[ArrayDataset, IntArray]:
    """Read all images of a dataset into memory, but for those that are to be skipped.

    Parameters
    ----------
    dataset : object
        See `Samples`; a `FieldView` says whether broken samples are skipped.

    Returns
    -------
    ArrayDataset
    ndarray of int64
        Which samples of the dataset they are.

    Examples
    --------
    >>> from proxysample.data import FieldView
    >>> pixels = np.array([[[0.5]], [[np.nan]], [[1.0]]])
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     images, indices = read_whole(FieldView(pixels, broken="skip"))
    >>> len(images), indices.tolist()
    (2, [0, 2])
    """
    samples = Samples(dataset, cache=None)
    whole = find_whole(samples, pixels=True)
    with whole.named():
        images, labels = np.asarray(whole.samples.images), whole.samples.labels
    classes = getattr(samples.dataset, "classes", None)
    return ArrayDataset(images, labels, classes), whole.indices
