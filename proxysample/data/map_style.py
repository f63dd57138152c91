"""What counts as a dataset: something with a length and indices."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from os import PathLike
from typing import Any

from proxysample.errors import InputError


def n_samples(dataset: Any) -> int:
    """Count the samples of a dataset.

    Parameters
    ----------
    dataset : object
        Anything with a length and indices.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    InputError
        If the dataset has no length, cannot be indexed or is empty; where it holds a dataset, the
        message says how to get at it.
    """
    if isinstance(dataset, str | PathLike):
        raise InputError(
            f"a dataset is an array or a map-style dataset, not the name {str(dataset)!r}; read "
            "files with proxysample.load_dataset, such as load_dataset('folder:PATH').train"
        )
    if isinstance(dataset, Mapping) and 0 not in dataset:
        raise InputError(
            f"a {type(dataset).__name__} with {', '.join(map(str, islice(dataset, 9)))} is no "
            "dataset: pass one of its values"
        )
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise InputError(
            f"{type(dataset).__name__} is not a map-style dataset: it needs a length and indices; "
            f"{_way_to_items(dataset)}"
        )
    if not getattr(dataset, "shape", True):
        raise InputError(f"{type(dataset).__name__} has no axes; needed: one along the samples")
    if _is_pair_of_images_and_labels(dataset):
        raise InputError("a pair of images and labels is no dataset: pass the labels as y=")
    size = len(dataset)
    if size == 0:
        raise InputError("the dataset is empty")
    return int(size)


def _way_to_items(dataset: Any) -> str:
    if hasattr(dataset, "dataset"):
        return "pass the dataset that it reads, its attribute dataset"
    if hasattr(dataset, "require_test"):
        return "pass one of its parts, such as its attribute train"
    return "an iterable dataset has to be read into one first"


def _is_pair_of_images_and_labels(dataset: Any) -> bool:
    if not isinstance(dataset, tuple | list) or len(dataset) != 2:
        return False
    images, labels = (tuple(getattr(part, "shape", ())) for part in dataset)
    return len(images) > len(labels) > 0 and images[:1] == labels[:1]
