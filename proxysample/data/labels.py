"""Labels: where a dataset keeps them, and whether they can serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError

Array = npt.NDArray[Any]


def find_labels(dataset: Any) -> Any:
    """Find a dataset's labels without a single ``dataset[i]``.

    Looks through Subset and ConcatDataset, then for ``targets``, ``labels`` or ``y``, for the
    last of a TensorDataset's tensors, and for torchvision's ``samples`` or ``imgs``.

    Parameters
    ----------
    dataset : object
        Any dataset.

    Returns
    -------
    array-like or None
        One label a sample; None where the dataset does not offer them.

    Examples
    --------
    >>> class Photos:
    ...     targets = [1, 0, 1]
    >>> find_labels(Photos())
    [1, 0, 1]
    """
    if isinstance(dataset, np.ndarray | list | tuple):
        return None
    if hasattr(dataset, "datasets") and hasattr(dataset, "cumulative_sizes"):
        return _labels_of_concatenation(dataset)
    if hasattr(dataset, "dataset") and hasattr(dataset, "indices"):
        whole = find_labels(dataset.dataset)
        if whole is None:
            return None
        return as_label_array(whole)[np.asarray(dataset.indices, dtype=np.int64)]
    own = _own_labels(dataset)
    transform = getattr(dataset, "target_transform", None)
    if own is None or transform is None:
        return own
    return [transform(label) for label in own]


def _labels_of_concatenation(dataset: Any) -> Any:
    parts = [find_labels(part) for part in dataset.datasets]
    if any(part is None for part in parts):
        return None
    return np.concatenate([as_label_array(part) for part in parts])


def _own_labels(dataset: Any) -> Any:
    for name in ("targets", "labels", "y"):
        found = getattr(dataset, name, None)
        if found is not None and not callable(found):
            return found
    tensors = getattr(dataset, "tensors", None)
    if isinstance(tensors, tuple) and len(tensors) > 1:
        return tensors[-1]
    for name in ("samples", "imgs"):
        pairs = getattr(dataset, name, None)
        if isinstance(pairs, Sequence) and len(pairs) and isinstance(pairs[0], tuple):
            return [pair[1] for pair in pairs]
    return None


def as_label_array(labels: Any) -> Array:
    """Turn lists, tensors and series into a numpy array."""
    return np.asarray(labels.cpu() if hasattr(labels, "cpu") else labels)


def check_labels(labels: Any, n_samples: int) -> Array:
    """Check that there is one integer or string label a sample.

    Parameters
    ----------
    labels : array-like
        What the user or the dataset gives.
    n_samples : int
        Number of samples.

    Returns
    -------
    ndarray of shape (n_samples,), int64 or str
        The labels.

    Raises
    ------
    InputError
        If there are more or fewer, or they are not integers or strings.

    Examples
    --------
    >>> check_labels(["dog", "cat"], 2).tolist()
    ['dog', 'cat']
    """
    array = as_label_array(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError(
            f"labels have shape {array.shape}; needed: one class a sample, shape ({n_samples},)"
            + (" (turn one-hot rows into classes with argmax(axis=1))" if array.ndim == 2 else "")
        )
    if len(array) != n_samples:
        raise InputError(f"{len(array)} labels for {n_samples} samples; give one a sample")
    if array.dtype.kind == "O":
        array = _labels_from_objects(array)
    if array.dtype.kind in "iub":
        return array.astype(np.int64)
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == array.round()).all():
        return array.astype(np.int64)
    if array.dtype.kind != "U":
        raise InputError(f"labels have type {array.dtype}; needed: integers or strings, no NaN")
    return array


def _labels_from_objects(array: Array) -> Array:
    kinds = {type(label) for label in array}
    if kinds <= {str}:
        return array.astype(str)
    if all(isinstance(label, int | np.integer) for label in array):
        return array.astype(np.int64)
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise InputError(f"labels are a mix of {names}; needed: all integers or all strings")


def encode_labels(labels: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Replace labels by class codes, in sorted order.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Integers or strings.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        Sorted, unique.
    codes : ndarray of shape (n,), int64
        ``classes[codes]`` are the labels.

    Examples
    --------
    >>> classes, codes = encode_labels(np.array(["dog", "cat", "dog"]))
    >>> classes.tolist(), codes.tolist()
    (['cat', 'dog'], [1, 0, 1])
    """
    classes, codes = np.unique(labels, return_inverse=True)
    return classes, codes.astype(np.int64)


def check_class_sizes(labels: Array) -> None:
    """Refuse classes that a class-conditional rule cannot rank.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Integers or strings.

    Raises
    ------
    InputError
        If a class has a single sample: it is its own centroid, and no share of it can be kept.

    Examples
    --------
    >>> check_class_sizes(np.array([0, 0, 1]))
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: class 1 has one sample (index 2)...
    """
    classes, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    single = np.flatnonzero(sizes < 2)
    if len(single):
        position = single[0]
        more = f" (and {len(single) - 1} more classes)" if len(single) > 1 else ""
        raise InputError(
            f"class {classes[position]} has one sample (index {first[position]}){more}; "
            "a class-conditional sampler needs two or more: leave the class out, merge it, "
            "or use a sampler without classes, such as 'rs' or 'km-or'"
        )
