"""The classes of a dataset by their names, for results that a person reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from proxysample.data.labels import encode_labels
from proxysample.data.tables import has_transform, is_huggingface, label_column
from proxysample.errors import InputError
from proxysample.printing import storable

if TYPE_CHECKING:
    from proxysample.data.reading import Samples

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Classes:
    """Each sample's class, and the classes' names.

    Attributes
    ----------
    names : tuple of str
        By code, in the sorted order of the labels; the labels themselves where the dataset does
        not name them.
    codes : ndarray of shape (n,), int64
        Of each sample, 0 to ``len(names) - 1``.

    Examples
    --------
    >>> classes = Classes(("cat", "dog"), np.array([1, 0, 1]))
    >>> classes.labels.tolist(), classes.sizes.tolist()
    (['dog', 'cat', 'dog'], [1, 2])
    """

    names: tuple[str, ...]
    codes: IntArray

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Classes):
            return NotImplemented
        return self.names == other.names and np.array_equal(self.codes, other.codes)

    @property
    def labels(self) -> npt.NDArray[np.str_]:
        """The name of each sample's class, (n,)."""
        return np.asarray(self.names, dtype=str)[self.codes]

    @cached_property
    def sizes(self) -> IntArray:
        """Number of samples of each class, (n_classes,)."""
        return np.bincount(self.codes, minlength=len(self.names)).astype(np.int64)


def read_classes(samples: Samples, *, confirm: bool = True) -> Classes | None:
    """Give the classes of a dataset where it tells them without more work.

    Parameters
    ----------
    samples : Samples
        No image is decoded for its labels; those that were decoded already are asked.
    confirm : bool
        Whether a few items may be read to confirm labels of a dataset of unknown class; without,
        its labels count as unknown.

    Returns
    -------
    Classes or None
        None where there are no labels, or they are no classes (masks, boxes, fractions).
    """
    try:
        labels = samples.cheap_labels if confirm else samples.sure_labels
        if labels is None and samples.is_decoded:
            labels = samples.labels
    except InputError:
        # Only what needs classes may complain of labels that are none.
        return None
    return None if labels is None else name_classes(labels, samples)


def required_classes(samples: Samples) -> Classes:
    """Give the classes of a dataset, decoding images where need be, or raise `InputError`."""
    return read_classes(samples) or name_classes(samples.required_labels, samples)


def class_names_of(dataset: Any, label: Any = None) -> Any:
    """Find what a dataset, or the one that it is a part of, calls its classes; None if nothing."""
    if callable(label):
        return None
    names = getattr(dataset, "classes", None)
    if names is not None:
        return names if label in (None, 1, -1) else None
    if is_huggingface(dataset):
        if has_transform(dataset):
            return None
        column = label_column(dataset, label)
        return None if column is None else getattr(dataset.features[column], "names", None)
    if hasattr(dataset, "dataset") and hasattr(dataset, "indices"):
        return class_names_of(dataset.dataset, label)
    if hasattr(dataset, "datasets") and hasattr(dataset, "cumulative_sizes"):
        found = [class_names_of(part, label) for part in dataset.datasets]
        alike = all(one is not None and list(one) == list(found[0]) for one in found)
        return found[0] if alike else None
    return None


def name_classes(labels: npt.NDArray[np.generic], samples: Samples) -> Classes:
    """Give labels as classes, by the names that the dataset has for them."""
    found, codes = encode_labels(labels)
    whole = samples.every
    # What somebody else counts is not called as the dataset calls its own.
    names = None if whole.has_given_labels else class_names_of(whole.dataset, whole.fields.label)
    numbered = found.dtype.kind == "i" and found.min() >= 0
    if isinstance(names, list | tuple) and numbered and found.max() < len(names):
        named = tuple(storable(str(names[label])) for label in found.tolist())
        # Files keep no NUL at an end.
        if len({name.rstrip("\0") for name in named}) == len(named):
            return Classes(named, codes)
    written = tuple(storable(str(label)) for label in found.tolist())
    if len(set(written)) < len(written):
        raise InputError("labels are no UTF-8, and as text would merge; give them other names")
    return Classes(written, codes)
