"""The data of a rank agreement: what trains, and what every configuration is judged on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from proxysample.checks import FRACTION
from proxysample.data.datasets import ArrayDataset, Splits, training_part
from proxysample.data.fingerprint import fingerprint
from proxysample.data.labels import encode_labels
from proxysample.data.reading import Samples
from proxysample.data.tables import take_rows
from proxysample.data.whole import find_whole
from proxysample.digests import digest_of
from proxysample.errors import InputError
from proxysample.keeping import IntArray
from proxysample.shares import interleave_classes


@dataclass(frozen=True)
class RankedData:
    """A training part in two: what may train, and what is held out of it.

    Attributes
    ----------
    train, held_out : object
        See `rows_of`.
    digest : str
        Changes with the data and with the split.
    n_train, n_held_out : int
    name : str
        For people.
    """

    train: Any
    held_out: Any
    digest: str
    n_train: int
    n_held_out: int
    name: str


def split_data(
    dataset: Any, held_out: float, random_state: int, n: int | None = None
) -> RankedData:
    """Hold a part out of a dataset's training part, class shares kept.

    Parameters
    ----------
    dataset : str or object
        A name, of which the training part is taken (see `proxysample.load_dataset`), or a
        dataset that samplers read. The test part is not looked at. What cannot be read is left
        out where that is to be skipped.
    held_out : float
        Share to hold out.
    random_state : int
        Seed of the draw.
    n : int, optional
        Use only so many samples, class shares kept; what is held out is a share of these.

    Raises
    ------
    InputError
        If the dataset cannot be read, or the parts would be empty.
    """
    FRACTION.check("held_out", held_out)
    whole = training_part(dataset)
    readable = find_whole(Samples(whole), pixels=True)
    if readable.broken:
        whole = rows_of(whole, readable.indices)
    samples = Samples(whole)
    order = _order(samples, random_state)
    if n is not None and not 2 <= n <= len(order):
        raise InputError(f"n_train must be from 2 to {len(order):,}, not {n}")
    order = order[:n]
    n_held_out = round(held_out * len(order))
    if not 0 < n_held_out < len(order):
        raise InputError(
            f"held_out={held_out:g} of {len(order):,} samples leaves a part empty; change it"
        )
    judged, rows = np.sort(order[:n_held_out]), np.sort(order[n_held_out:])
    return RankedData(
        train=rows_of(whole, rows),
        held_out=rows_of(whole, judged),
        digest=digest_of([judged, rows], _digest(whole, samples)),
        n_train=len(rows),
        n_held_out=len(judged),
        name=name_of_data(dataset),
    )


def name_of_data(dataset: Any) -> str:
    """Name a dataset for people.

    Examples
    --------
    >>> name_of_data("digits"), name_of_data(([[0], [1]], [0, 1]))
    ('digits', 'given data')
    """
    if isinstance(dataset, str):
        return dataset
    if isinstance(dataset, Splits):
        return dataset.name
    is_plain = isinstance(dataset, np.ndarray | list | tuple | Mapping)
    return "given data" if is_plain else type(dataset).__name__


def rows_of(dataset: Any, rows: IntArray) -> Any:
    """Take some samples: arrays in memory as arrays, others as `take_rows` does."""
    if _is_in_memory(dataset):
        targets = None if dataset.targets is None else np.asarray(dataset.targets)[rows]
        return ArrayDataset(dataset.images[rows], targets, dataset.classes)
    return take_rows(dataset, rows)


def _is_in_memory(dataset: Any) -> bool:
    return isinstance(dataset, ArrayDataset) and isinstance(dataset.images, np.ndarray)


def _order(samples: Samples, random_state: int) -> IntArray:
    """Shuffle, such that every prefix has the class shares of the whole, where there are labels."""
    shuffled = np.random.default_rng(random_state).permutation(len(samples))
    labels = samples.labels
    if labels is None:
        return shuffled
    return interleave_classes(shuffled, encode_labels(np.asarray(labels))[1])


def _digest(whole: Any, samples: Samples) -> str:
    if not _is_in_memory(whole):
        return json.dumps(fingerprint(samples, labels=True, pixels=True))
    labels = samples.labels
    return digest_of([whole.images, *([] if labels is None else [np.asarray(labels)])])
