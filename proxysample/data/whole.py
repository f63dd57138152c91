"""The samples of a dataset that can be read, where those that cannot are to be skipped."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.data.datasets import ArrayDataset
from proxysample.data.fields import Pairs
from proxysample.data.labels import Unsure, check_labels
from proxysample.data.reading import ROWS_PER_CHUNK, Samples, check_rows
from proxysample.data.scanning import find_broken
from proxysample.data.shortcuts import sample_file
from proxysample.errors import InputError, ProxysampleWarning, SampleError, level_of_caller

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]

# Skipped samples that a warning lists; a ranking tells all.
MOST_TOLD = 20


class BrokenImageWarning(ProxysampleWarning):
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


def find_whole(samples: Samples, *, pixels: bool, rows: Array | None = None) -> WholeSamples:
    """Find the samples that can be read, and warn of the others; all, unless these are skipped.

    Parameters
    ----------
    samples : Samples
    pixels : bool
        Whether images are read; else only labels are, as far as items are read for them.
    rows : ndarray of shape (n, d), optional
        Features that are read in place of images.

    Raises
    ------
    InputError
        If none can be read.

    Warns
    -----
    BrokenImageWarning
        Once, if some are skipped.
    """
    if samples.broken == "stop":
        return WholeSamples.all_of(samples)
    broken: dict[int, str] = {}
    labels: list[Any] | None = None
    if pixels and samples.array is not None:
        check_rows(samples.array, len(samples))
        broken = _broken_rows(samples.array)
    elif pixels or not samples.tells_labels_without_items:
        broken, labels = find_broken(samples.pairs, pixels=pixels, **samples.options)
    if rows is not None and len(rows) == len(samples):
        of_rows = _broken_rows(rows, "its features hold NaN or infinite values")
        if labels is not None:
            read = (index for index in range(len(samples)) if index not in broken)
            labels = [one for index, one in zip(read, labels, strict=True) if index not in of_rows]
        broken = of_rows | broken
    if len(broken) == len(samples):
        raise InputError(f"none of {len(samples)} samples can be read; the first: {broken[0]}")
    if not broken:
        return WholeSamples.all_of(samples)
    tell_of_broken(broken, len(samples), partial(sample_file, samples.dataset))
    indices = np.setdiff1d(np.arange(len(samples)), list(broken))
    taken = Taken(samples, indices, labels, has_pixels=rows is None)
    return WholeSamples(taken, indices, samples, broken)


def _broken_rows(images: Array, words: str = "it holds NaN or infinite pixels") -> dict[int, str]:
    """Tell the rows of an array that hold what is not finite."""
    broken: dict[int, str] = {}
    if images.dtype.kind != "f":
        return broken
    for start in range(0, len(images), ROWS_PER_CHUNK):
        chunk = np.asarray(images[start : start + ROWS_PER_CHUNK])
        finite = np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1)
        for index in np.flatnonzero(~finite):
            broken[start + int(index)] = words
    return broken


def tell_of_broken(
    broken: Mapping[int, str], n_samples: int, file_of: Callable[[int], str | None]
) -> None:
    """Warn of the samples that were skipped, each by its index, and its file where it has one."""
    told = [
        f"sample {index}{'' if file is None else f' ({file})'}: {words}"
        for index, words in islice(sorted(broken.items()), MOST_TOLD)
        for file in [file_of(index)]
    ]
    more = f"; and {len(broken) - len(told)} more" if len(broken) > len(told) else ""
    warnings.warn(
        f"{len(broken)} of {n_samples} samples cannot be read and are skipped, so that none of "
        f"them is kept: {'; '.join(told)}{more}",
        BrokenImageWarning,
        stacklevel=level_of_caller(),
    )


class Taken(Samples):
    """Some samples of others, whose labels are theirs."""

    def __init__(
        self,
        samples: Samples,
        indices: IntArray,
        labels: list[Any] | None,
        *,
        has_pixels: bool = True,
    ) -> None:
        array = samples.array if has_pixels else None
        rows = _Rows(samples.pairs, indices) if array is None else array[indices]
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

    @property
    def every(self) -> Samples:
        """See `Samples.every`."""
        return self._all

    @property
    def taken(self) -> IntArray:
        """See `Samples.taken`."""
        return self._taken

    @property
    def cheap_labels(self) -> Array | None:
        """See `Samples.cheap_labels`."""
        labels = self._all.cheap_labels
        return None if labels is None else labels[self._taken]

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


class _StandIns(Pairs):
    """All pairs of a dataset, with one that can be read in the place of each that cannot."""

    def __init__(self, pairs: Pairs, broken: Mapping[int, str], stand_in: int) -> None:
        super().__init__(pairs.dataset, pairs.fields)
        self._broken = frozenset(broken)
        self._stand_in = stand_in

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return super().__getitem__(self._stand_in if index in self._broken else index)


def with_stand_ins(samples: Samples) -> tuple[Samples, IntArray]:
    """Give samples that can all be read, and which of them are not what the dataset has there.

    Parameters
    ----------
    samples : Samples
        Images.

    Returns
    -------
    Samples
        As many; themselves where nothing is skipped.
    ndarray of int64
        The skipped ones, in whose place another is.
    """
    whole = find_whole(samples, pixels=True)
    if not whole.broken:
        return samples, np.zeros(0, dtype=np.int64)
    pairs = _StandIns(samples.pairs, whole.broken, int(whole.indices[0]))
    readable = Samples(pairs, image_size=samples.image_size, cache=samples.cache, **samples.options)
    return readable, np.array(sorted(whole.broken), dtype=np.int64)


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
