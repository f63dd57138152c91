"""Whether labels agree: found ones with those of items, those of joined parts with each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.data.labels import as_label_array
from proxysample.data.shortcuts import JOINED, SUBSET, class_of
from proxysample.data.tables import is_huggingface, label_column
from proxysample.errors import InputError

Array = npt.NDArray[Any]

N_COMPARED = 16
MOST_CLASSES_COMPARED = 64


def probes_of(labels: Array) -> list[int]:
    """Choose items to compare labels with: some evenly spread, and the first of each class."""
    spread = np.linspace(0, len(labels) - 1, N_COMPARED).round().astype(np.int64)
    firsts: dict[str, int] = {}
    for index, label in enumerate(labels.tolist()):
        firsts.setdefault(repr(label), index)
        if len(firsts) == MOST_CLASSES_COMPARED:
            break
    return sorted({*spread.tolist(), *firsts.values()})


def same_label(one: Any, other: Any) -> bool:
    """Tell whether two labels of any kind are alike.

    Examples
    --------
    >>> same_label(np.int64(3), 3), same_label(3, "3"), same_label([0, 1], np.array([0, 1]))
    (True, False, True)
    """
    pair = [as_label_array([label])[0] for label in (one, other)]
    try:
        return bool(np.array_equal(*pair)) and np.shape(pair[0]) == np.shape(pair[1])
    except (ValueError, TypeError):
        return False


def number_alike(labels: Array, dataset: Any) -> Array:
    """Replace integer labels by names where joined parts number their classes differently.

    Parameters
    ----------
    labels : ndarray of shape (n,), int64 or str
    dataset : object
        That they are of.

    Returns
    -------
    ndarray of shape (n,)
        The same where all parts agree.

    Raises
    ------
    InputError
        If parts do not agree, and one has no names.
    """
    numberings, which = numbering_of(dataset, len(labels))
    named = [names for names in numberings if names is not None]
    longest = max(named, key=len, default=[])
    if labels.dtype.kind != "i" or all(names == longest[: len(names)] for names in named):
        return labels
    if len(named) < len(numberings):
        raise InputError(
            "the joined parts number their classes differently, and some of them have no names "
            "(attribute classes); pass labels that count alike by y= or label="
        )
    together = np.empty(len(labels), dtype=object)
    for place, names in enumerate(named):
        if len({name.rstrip("\0") for name in names}) < len(names):
            raise InputError(
                "the joined parts number their classes differently, and one names two classes "
                f"alike ({', '.join(sorted(names))[:200]}); pass labels that count alike by y= or "
                "label="
            )
        own = which == place
        if own.any() and not 0 <= labels[own].min() <= labels[own].max() < len(names):
            raise InputError(
                f"labels of a joined part run from {labels[own].min()} to {labels[own].max()}, "
                f"and it names {len(names)} classes; pass labels by y= or label="
            )
        together[own] = np.asarray(names, dtype=object)[labels[own]]
    return together.astype(str)


def numbering_of(dataset: Any, size: int) -> tuple[list[list[str] | None], Array]:
    """Tell by which list of class names each sample's label counts.

    Parameters
    ----------
    dataset : object
        Of which joined parts may number their classes each in its own way.
    size : int
        Number of samples.

    Returns
    -------
    numberings : list of list of str or None
        None where a part names no classes.
    which : ndarray of shape (n,), int64
        Position in `numberings` for each sample.

    Examples
    --------
    >>> class Photos(list):
    ...     classes = ["cat", "dog"]
    >>> numbering_of(Photos([0, 0, 1]), 3)
    ([['cat', 'dog']], array([0, 0, 0]))
    """
    kind = class_of(dataset)
    if kind == SUBSET:
        numberings, which = numbering_of(dataset.dataset, len(dataset.dataset))
        return numberings, which[np.asarray(dataset.indices, dtype=np.int64)]
    if kind == JOINED:
        numberings, parts = [], []
        for part in dataset.datasets:
            names, places = numbering_of(part, len(part))
            parts.append(places + len(numberings))
            numberings += names
        return numberings, np.concatenate(parts)
    return [_class_names(dataset)], np.zeros(size, dtype=np.int64)


def _class_names(dataset: Any) -> list[str] | None:
    if is_huggingface(dataset):
        try:
            column = label_column(dataset, None)
        except InputError:
            return None
        names = None if column is None else getattr(dataset.features[column], "names", None)
    else:
        names = _by_number(getattr(dataset, "class_to_idx", None))
        names = getattr(dataset, "classes", None) if names is None else names
    if getattr(dataset, "target_transform", None) is not None:
        return None
    if not isinstance(names, list | tuple) or not names:
        return None
    return list(names) if all(isinstance(name, str) for name in names) else None


def _by_number(numbers: Any) -> list[Any] | None:
    """Order class names by the numbers that they have, where these count from 0."""
    if not isinstance(numbers, Mapping) or set(numbers.values()) != {*range(len(numbers))}:
        return None
    return sorted(numbers, key=numbers.__getitem__)
