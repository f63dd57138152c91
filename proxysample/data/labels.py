"""Labels: whether they can serve as classes, and what they are where they cannot."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sized
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError, SampleError
from proxysample.files import expanded, read_npy
from proxysample.printing import shown

Array = npt.NDArray[Any]


class Unsure:
    """What stands for a label that cannot be told; only who needs labels is to refuse it.

    Parameters
    ----------
    reason : str
        Naming the candidates.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason


# Above, floating point numbers are whole for want of digits; those of fewer digits are sooner.
LARGEST_WHOLE = 2.0**53

# As `MOST_SAMPLES` of a dataset.
MOST_LABELS = 1 << 36

# What numpy makes of strings among which there are numbers, whatever their length.
MADE_OF_NUMBERS = {
    "<U5": re.compile("True|False"),
    "<U21": re.compile("0|-?[1-9][0-9]*"),
    "<U32": re.compile(r"nan|-?inf|-?[0-9]+\.[0-9]*(e[+-][0-9]+)?"),
}

TEXTS = (str, np.str_)
PLAIN_KINDS = {bool, np.bool_, int, float, *np.sctypeDict.values()}


HOW_TO_GIVE = (
    "give one class a sample by label= (a key, a position, a column or a function of the item) or "
    "y=, or use a sampler without classes, such as 'rs' or 'km-or'"
)


def as_label_array(labels: Any) -> Array:
    """Turn lists, tensors and series into a numpy array, of objects where nothing else will do.

    Examples
    --------
    >>> as_label_array([[1, 2], [3]]).tolist()
    [[1, 2], [3]]
    """
    labels = _as_list(labels)
    try:
        if not isinstance(labels, list | tuple) or type(np.ma.masked) not in set(map(type, labels)):
            array = np.asarray(_on_host(labels) if hasattr(labels, "detach") else labels)
            if array.ndim > 1 or not _has_changed(labels, array):
                return array
    # Whatever anyone's object gives numpy to raise.
    except Exception:
        pass
    try:
        array = np.empty(_claimed(labels), dtype=object)
        for index, label in enumerate(labels):
            array[index] = None if label is np.ma.masked else label
    # Whatever an object of anyone's raises that is no list.
    except Exception as error:
        raise InputError(f"labels are {shown(labels)}, which is no list: {error}") from error
    return array


def _as_list(labels: Any) -> Any:
    """Read by its length what has no iterator: numpy would go on until an item is missing."""
    known = ("__array__", "__array_interface__", "__iter__", "detach")
    if any(hasattr(labels, name) for name in known) or not hasattr(labels, "__getitem__"):
        return labels
    try:
        return [labels[place] for place in range(_claimed(labels))]
    # Whatever anyone's object raises.
    except Exception as error:
        raise InputError(f"labels are {shown(labels)}, which is no list: {error}") from error


def _claimed(labels: Any) -> int:
    """Count the labels, and refuse a claim of more than there can be."""
    n_labels = len(labels)
    if n_labels > MOST_LABELS:
        # Memory for them may be promised, and be filled for days.
        raise ValueError(f"it claims {n_labels:,} labels")
    return n_labels


def _check_number(labels: Any, n_samples: int) -> None:
    """Refuse another number of labels before any is read, where it is told."""
    if isinstance(labels, str | bytes):
        return
    try:
        n_labels = len(labels)
    # Whatever anyone's object raises: it may be a scalar.
    except Exception:
        return
    if n_labels != n_samples:
        raise InputError(f"{n_labels} labels for {n_samples} samples; give one a sample")


def _on_host(labels: Any) -> Any:
    # numpy knows nothing of some types with few digits.
    on_host = labels.detach().cpu()
    return on_host.double() if on_host.is_floating_point() else on_host


def _has_changed(labels: Any, array: Array) -> bool:
    """Tell whether numpy made one type of what is of several, or left something out."""
    if isinstance(labels, np.ma.MaskedArray):
        return bool(np.ma.getmaskarray(labels).any())
    if not isinstance(labels, list | tuple):
        return False
    if array.dtype.kind == "U":
        # It ends strings at their last character that is not NUL.
        return not all(type(label) in TEXTS and label[-1:] != "\0" for label in labels)
    kinds = set(map(type, labels))
    # Tensors of one value, members of an enumeration and the like are looked at one by one.
    return not kinds <= PLAIN_KINDS or (len(kinds) > 1 and not kinds.isdisjoint((bool, np.bool_)))


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
        If there are more or fewer, or they are not integers or strings; the message says what
        they are, and how to give others.

    Examples
    --------
    >>> check_labels(["dog", "cat"], 2).tolist()
    ['dog', 'cat']
    >>> check_labels([[0, 1], [2, 3]], 2)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: labels are rows of 2 values (boxes, several labels or one-hot
    rows, which argmax(axis=1) turns into classes); give one class a sample by label= ...
    """
    _check_number(labels, n_samples)
    array = as_label_array(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 0:
        raise InputError(f"labels are {shown(labels)}; {HOW_TO_GIVE}")
    if len(array) != n_samples:
        raise InputError(f"{len(array)} labels for {n_samples} samples; give one a sample")
    if array.ndim > 1:
        raise InputError(f"labels are {_describe_arrays(array.shape[1:])}; {HOW_TO_GIVE}")
    if array.dtype.kind == "O":
        array = _labels_from_objects(array)
    if array.dtype.kind in "iub":
        return _as_int64(array)
    if array.dtype.kind == "f":
        return _labels_from_floats(array, _largest_whole(labels, array))
    if array.dtype.kind == "U" and isinstance(labels, np.ndarray):
        _check_made_of_strings(array)
    if array.dtype.kind != "U":
        raise InputError(
            f"labels have type {array.dtype}; needed: integers or strings; {HOW_TO_GIVE}"
        )
    return array


def _as_int64(array: Array) -> Array:
    # Python's integers of any size come as objects.
    is_large = array.dtype.kind == "O" or (array.dtype.kind == "u" and array.max(initial=0) >> 63)
    if is_large:
        farthest = max(map(int, array.tolist()), key=abs)
        raise InputError(f"labels run to {shown(farthest)}, which is no class; {HOW_TO_GIVE}")
    return array.astype(np.int64)


def _largest_whole(labels: Any, array: Array) -> float:
    """Tell up to where all whole numbers are kept apart by the type that labels have."""
    kind = str(getattr(labels, "dtype", ""))
    if kind.startswith("torch."):
        import torch

        return min(2 / torch.finfo(labels.dtype).eps, LARGEST_WHOLE)
    return min(2 / float(np.finfo(array.dtype).eps), LARGEST_WHOLE)


def _check_made_of_strings(array: Array) -> None:
    number = MADE_OF_NUMBERS.get(array.dtype.newbyteorder("<").str)
    if number is None or np.char.str_len(array).max(initial=0) == array.itemsize // 4:
        return
    found = next((label for label in array.tolist() if number.fullmatch(label)), None)
    if found is not None:
        raise InputError(
            f"labels are strings of type {array.dtype}, such as {found!r}, as numpy makes of "
            "numbers or NaN among strings; pass the list that they are from, or its labels.tolist()"
            " where all were strings"
        )


def _labels_from_floats(array: Array, largest: float) -> Array:
    whole = np.isfinite(array) & (array == array.round()) & (np.abs(array) < largest)
    if whole.all():
        return array.astype(np.int64)
    index = int(np.argmin(whole))
    raise SampleError(
        index,
        f" (targets of a regression?); needed: integers or strings, no NaN; {HOW_TO_GIVE}",
        before=f"labels are floating point numbers, such as {array[index]:g} for ",
    )


def _describe_arrays(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return (
            f"rows of {shape[0]} values (boxes, several labels or one-hot rows, which "
            "argmax(axis=1) turns into classes)"
        )
    return f"arrays of shape {shape}, such as masks or boxes"


def _labels_from_objects(array: Array) -> Array:
    try:
        array = np.array([plain_label(label) for label in array], dtype=object)
    # Such as of rows of a sparse tensor, or whatever an object of anyone's raises.
    except Exception as error:
        raise InputError(f"labels are {shown(array[0])} and others; {HOW_TO_GIVE}") from error
    if array.ndim > 1:
        return check_labels(array, len(array))
    kinds = {type(label) for label in array}
    if kinds <= {str, np.str_}:
        _check_ends(array)
        return array.astype(str)
    if len(kinds) > 1 and not kinds.isdisjoint((bool, np.bool_)):
        raise InputError(f"labels are {_describe_objects(array)}; {HOW_TO_GIVE}")
    if all(isinstance(label, int | np.integer | np.bool_) for label in array):
        # Of any size: what no int64 holds is no class.
        return _as_int64(np.asarray(array.tolist()))
    if all(isinstance(label, int | float | np.number) for label in array):
        return check_labels(array.astype(np.float64), len(array))
    missing = [index for index, label in enumerate(array) if _is_missing(label)]
    if missing:
        raise SampleError(
            missing[0],
            f"; {HOW_TO_GIVE}",
            before=f"labels are missing for {len(missing)} of {len(array)} samples, first for ",
        )
    raise InputError(f"labels are {_describe_objects(array)}; {HOW_TO_GIVE}")


def _check_ends(labels: Array) -> None:
    for index, label in enumerate(labels):
        if label.endswith("\0"):
            raise InputError(
                f"label {shown(label)} of sample {index} ends in NUL, which no array of strings "
                "keeps; give it another name"
            )


def plain_label(label: Any) -> Any:
    """Turn a tensor or an array of one value into that value."""
    if isinstance(label, str):
        # Members of an enumeration are texts that are written otherwise, and numpy takes a NUL off.
        return str.__str__(label)
    shape = getattr(label, "shape", None)
    if shape is None or math.prod(shape) != 1:
        return label
    if getattr(getattr(label, "device", None), "type", "") == "meta":
        raise InputError(
            f"labels are tensors on the device 'meta', which hold nothing; {HOW_TO_GIVE}"
        )
    value = label.item()
    if isinstance(value, float) and hasattr(label, "detach"):
        _check_precision(value, label)
    return value


def _check_precision(value: float, label: Any) -> None:
    import torch

    if abs(value) >= 2 / torch.finfo(label.dtype).eps:
        raise InputError(
            f"labels are floating point numbers, such as {value:g}, which {label.dtype} cannot "
            f"tell from the next; {HOW_TO_GIVE}"
        )


def _is_missing(label: Any) -> bool:
    # The last two are pandas's.
    is_nan = isinstance(label, float | np.floating) and math.isnan(label)
    return label is None or is_nan or type(label).__name__ in ("NAType", "NaTType")


def _describe_objects(array: Array) -> str:
    first = array[0]
    kinds = sorted({type(label).__name__ for label in array})
    if len(kinds) > 1:
        return f"a mix of {', '.join(kinds)} (needed: all integers or all strings)"
    if isinstance(first, Mapping):
        return f"mappings with {', '.join(map(str, first))}, as of boxes and masks"
    if hasattr(first, "shape"):
        return f"of several shapes, such as {tuple(first.shape)}"
    if isinstance(first, list | tuple):
        return f"lists of several values, such as {shown(first)} (boxes or several labels)"
    return f"of type {kinds[0]} (needed: integers or strings)"


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


def check_not_all_different(labels: Array) -> None:
    """Question labels of which no two are alike: they are rather numbers or names of samples.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Integers or strings.

    Raises
    ------
    InputError
        If there are several, and all are different.

    Examples
    --------
    >>> check_not_all_different(np.array([7, 8, 9]))
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: all 3 labels are different, such as 7 and 8, as targets of a
    regression, ids or file names are; ...
    """
    if len(labels) > 1 and len(np.unique(labels)) == len(labels):
        raise InputError(
            f"all {len(labels)} labels are different, such as {labels[0]} and {labels[1]}, as "
            "targets of a regression, ids or file names are; give classes by label= or y=, or "
            "confirm that each sample is a class of its own by distinct_labels=True"
        )


def kept_labels(targets: Any, n_samples: int) -> Any:
    """Give classes as one array; what cannot be classes is kept as it was given."""
    try:
        return check_labels(targets, n_samples)
    except InputError:
        if not _is_one_each(targets, n_samples):
            raise
        return targets


def _is_one_each(targets: Any, n_samples: int) -> bool:
    try:
        has_rows = isinstance(targets, Sized) and getattr(targets, "shape", (1,)) != ()
        return has_rows and len(targets) == n_samples
    # Whatever anyone's object raises.
    except Exception:
        return False


def kept_targets(targets: Any, n_samples: int) -> tuple[Any, Unsure | None]:
    """Give what a dataset keeps of labels, or why it cannot be told which they are."""
    if targets is None or isinstance(targets, Unsure):
        return None, targets
    return kept_labels(targets, n_samples), None


def kind_of_labels(targets: Any) -> str:
    """Say how many classes a dataset's labels have, in words."""
    if targets is None:
        return "no labels"
    try:
        n_classes = len(np.unique(check_labels(targets, len(targets))))
    except InputError:
        return "labels that are no classes"
    return f"{n_classes} classes"


def codes_like(
    labels: Array, classes: Array, name: str, part: str = "what is held out"
) -> npt.NDArray[np.int64]:
    """Give labels the codes of the training part; `InputError` for a class that it lacks."""
    if labels.dtype.kind != classes.dtype.kind:
        raise InputError(
            f"{name} has labels such as {plain_label(classes[0])!r} in its training part and "
            f"{plain_label(labels[0])!r} in {part}; they must be of one kind"
        )
    places = np.searchsorted(classes, labels)
    known = classes[np.minimum(places, len(classes) - 1)] == labels
    if not known.all():
        lost = plain_label(labels[np.argmin(known)])
        raise InputError(
            f"{name}: class {lost!r} is in {part} and has no sample in the training part"
        )
    return places.astype(np.int64)


def is_label_file(label: Any) -> bool:
    """Tell whether ``label=`` names a file, and not an array in the file of the images.

    Examples
    --------
    >>> is_label_file("y.npy"), is_label_file("labels"), is_label_file(1)
    (True, False, False)
    """
    return isinstance(label, str | Path) and Path(label).suffix == ".npy"


def read_label_file(label: Any) -> Any:
    """Read labels from a file of their own; `InputError` if it is missing or damaged."""
    return read_npy(expanded(label))
