"""Images and labels without a single ``dataset[i]``, for classes that are known to give them.

What a class of anyone's does in ``__getitem__`` cannot be told from its attributes, so only the
very classes named here are looked into, and nothing that derives from them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.checks import as_array
from proxysample.data.blocks import BlockArray, is_block_source
from proxysample.data.decoding import tensor_to_array
from proxysample.data.fields import Fields, FieldView
from proxysample.data.labels import Unsure, as_label_array, check_labels
from proxysample.data.tables import (
    column_names,
    column_values,
    feature_columns,
    has_transform,
    label_column,
    named_column,
)
from proxysample.errors import InputError

Array = npt.NDArray[Any]

ARRAYS = "proxysample.data.datasets.ArrayDataset"
FILES = "proxysample.data.image_files.ImageFiles"
UNDECIDED = "proxysample.data.image_files.UndecidedFiles"
SHARDS = "proxysample.data.shards.TarImages"
ROWS = "proxysample.data.huggingface.HuggingFaceImages"
STREAMED = "proxysample.data.streams.StreamedDataset"
OURS = (ARRAYS, FILES, UNDECIDED, SHARDS, ROWS, STREAMED)
TENSORS = "torch.utils.data.dataset.TensorDataset"
SUBSET = "torch.utils.data.dataset.Subset"
JOINED = "torch.utils.data.dataset.ConcatDataset"

# Where torchvision's classes hold the second of the pairs that they give.
_TORCHVISION: Mapping[str, str] = {
    "folder.DatasetFolder": "samples",
    "folder.ImageFolder": "samples",
    "imagenet.ImageNet": "samples",
    "eurosat.EuroSAT": "samples",
    "country211.Country211": "samples",
    "imagenette.Imagenette": "_samples",
    "gtsrb.GTSRB": "_samples",
    "cifar.CIFAR10": "targets",
    "cifar.CIFAR100": "targets",
    "mnist.MNIST": "targets",
    "mnist.FashionMNIST": "targets",
    "mnist.KMNIST": "targets",
    "mnist.EMNIST": "targets",
    "svhn.SVHN": "labels",
    "stl10.STL10": "labels",
    "food101.Food101": "_labels",
    "flowers102.Flowers102": "_labels",
    "dtd.DTD": "_labels",
    "fgvc_aircraft.FGVCAircraft": "_labels",
    "sun397.SUN397": "_labels",
}
_ATTRIBUTES = {f"torchvision.datasets.{name}": place for name, place in _TORCHVISION.items()}
KNOWN = frozenset({*OURS, TENSORS, SUBSET, JOINED, *_ATTRIBUTES})


@dataclass(frozen=True, eq=False)
class FoundLabels:
    """Labels that no item was read for.

    Attributes
    ----------
    values : array-like of shape (n, ...) or None
        As the items would have them, of any kind; None where the items are known to have none.
    source : str
        Where they are, for messages.
    is_sure : bool
        Whether the items are known to have the same.
    unsure : Unsure or None
        Why it cannot be told which they are; `values` are None then.
    """

    values: Any
    source: str
    is_sure: bool = True
    unsure: Unsure | None = None


NO_LABELS = FoundLabels(None, "nowhere")


def class_of(dataset: Any) -> str:
    """Name the very class of a dataset.

    Examples
    --------
    >>> class_of([1, 2])
    'builtins.list'
    """
    kind = type(dataset)
    return f"{kind.__module__}.{kind.__qualname__}"


def derives_from_known(dataset: Any) -> bool:
    """Tell whether a dataset's class is none of the known ones, and derives from one."""
    kinds = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(dataset).__mro__]
    return kinds[0] not in KNOWN and not KNOWN.isdisjoint(kinds)


def is_tensor(value: Any) -> bool:
    """Tell whether `value` is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def find_array(dataset: Any, fields: Fields | None = None) -> Array | None:
    """Find the images or features of a dataset that holds them in one array, channels last.

    Only data that ``dataset[i]`` would return unchanged counts, so a dataset with a transform
    is not one of them.

    Parameters
    ----------
    dataset : object
        See `Samples`.
    fields : Fields, optional
        Where they are.

    Returns
    -------
    ndarray or None
        A view where possible.

    Examples
    --------
    >>> find_array(np.zeros((2, 4))).shape, find_array([1, 2])
    ((2, 4), None)
    """
    fields = fields or Fields()
    if fields.has_array:
        return _whole_array(fields.features)
    if isinstance(dataset, FieldView):
        return find_array(dataset.dataset, dataset.fields) if fields.pixels is None else None
    if column_names(dataset):
        return None if has_transform(dataset) else _table_features(dataset, fields)
    if callable(fields.pixels):
        return None
    if isinstance(dataset, np.ndarray | BlockArray) or is_tensor(dataset):
        return _whole_array(dataset) if fields.pixels is None else None
    return _find_array_in_dataset(dataset, fields)


def _whole_array(given: Any) -> Array:
    if isinstance(given, BlockArray) or is_block_source(given):
        block: Any = given if isinstance(given, BlockArray) else BlockArray(given)
        return block  # type: ignore[no-any-return]
    if not is_tensor(given):
        return given if isinstance(given, np.ndarray) else as_array("features", given)
    pixels = tensor_to_array(given)
    return np.moveaxis(pixels, 1, -1) if pixels.ndim == 4 else pixels


def _table_features(dataset: Any, fields: Fields) -> Array | None:
    if fields.image is not None or callable(fields.features):
        return None
    features = fields.columns or fields.features
    # Where features are named it is all the same which of the others are labels.
    is_named = features is not None or callable(fields.label)
    labels = None if is_named else label_column(dataset, fields.label)
    return feature_columns(dataset, features, labels)


def _find_array_in_dataset(dataset: Any, fields: Fields) -> Array | None:
    kind = class_of(dataset)
    if kind in (ARRAYS, STREAMED):
        return dataset.images if fields.pixels in (None, 0, -2) else None
    if kind == TENSORS:
        place = _position(_first_item(dataset.tensors), fields.pixels, fields)
        return None if place is None else _whole_array(dataset.tensors[place])
    if kind == SUBSET:
        whole = find_array(dataset.dataset, fields)
        return None if whole is None else whole[np.asarray(dataset.indices, dtype=np.int64)]
    if kind == JOINED:
        parts = [find_array(part, fields) for part in dataset.datasets]
        known = [part for part in parts if part is not None]
        # Parts of other sizes or units than the first's are left to be read item by item.
        alike = len({(part.shape[1:], part.dtype) for part in known}) == 1
        return np.concatenate(known) if alike and len(known) == len(parts) else None
    return None


def _first_item(tensors: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(tensor[0] for tensor in tensors)


def _position(item: tuple[Any, ...], field: Any, fields: Fields) -> int | None:
    """Tell at which position of an item its image is; None leaves it to the item."""
    if isinstance(field, int):
        return field if -len(item) <= field < len(item) else None
    if field is not None:
        return None
    try:
        image = fields.pair(item, 0)[0]
    except InputError:
        return None
    return next(place for place, part in enumerate(item) if part is image)


def find_labels(dataset: Any, fields: Fields | None = None) -> FoundLabels | None:
    """Find a dataset's labels without a single ``dataset[i]``.

    Parameters
    ----------
    dataset : object
        Any dataset.
    fields : Fields, optional
        Where they are.

    Returns
    -------
    FoundLabels or None
        None where only the items tell, or where there are none.

    Raises
    ------
    InputError
        If a column is named that a table has not, or several may be it.

    Examples
    --------
    >>> class Photos:
    ...     targets = [1, 0, 1]
    ...     def __len__(self):
    ...         return 3
    >>> found = find_labels(Photos())
    >>> found.values, found.source, found.is_sure
    ([1, 0, 1], 'Photos.targets', False)
    """
    fields = fields or Fields()
    if isinstance(dataset, FieldView):
        return find_labels(dataset.dataset, dataset.fields) if fields.label is None else None
    if callable(fields.label) or isinstance(dataset, np.ndarray | BlockArray | list | tuple):
        return None
    if column_names(dataset):
        return _column_labels(dataset, fields)
    kind = class_of(dataset)
    if kind == SUBSET:
        return _labels_of_subset(dataset, fields)
    if kind == JOINED:
        return _labels_of_joined(dataset, fields)
    if kind == TENSORS:
        return _labels_of_tensors(dataset, fields)
    if kind in OURS or kind in _ATTRIBUTES:
        return _labels_of_pairs(dataset, kind) if fields.label in (None, 1, -1) else None
    if fields.label is None and not derives_from_known(dataset):
        return _labels_by_custom(dataset)
    return None


def _column_labels(dataset: Any, fields: Fields) -> FoundLabels | None:
    image = fields.pixels if isinstance(fields.pixels, str) else None
    if has_transform(dataset) and fields.label is not None:
        # The column that is named may be one that the transform makes.
        if fields.label not in column_names(dataset):
            return None
        column: str | None = named_column(dataset, fields.label)
    else:
        try:
            column = label_column(dataset, fields.label, image)
        except InputError as error:
            if fields.label is not None:
                raise
            return FoundLabels(None, "several columns", unsure=Unsure(str(error)))
    if column is None:
        return None if has_transform(dataset) else NO_LABELS
    return FoundLabels(
        column_values(dataset, column), f"column {column!r}", not has_transform(dataset)
    )


def _labels_of_subset(dataset: Any, fields: Fields) -> FoundLabels | None:
    whole = find_labels(dataset.dataset, fields)
    if whole is None or whole.values is None:
        return whole
    indices = np.asarray(dataset.indices, dtype=np.int64)
    return replace(whole, values=as_label_array(whole.values)[indices])


# What of joined parts may become one array; others go together item by item, or not at all.
_KINDS = {"O": "objects", "U": "objects", "b": "booleans"}


def _labels_of_joined(dataset: Any, fields: Fields) -> FoundLabels | None:
    parts = [find_labels(part, fields) for part in dataset.datasets]
    found = [part for part in parts if part is not None and part.values is not None]
    if not found and None not in parts:
        return next((part for part in parts if part is not None and part.unsure), NO_LABELS)
    if len(found) < len(parts):
        return None
    arrays = [as_label_array(part.values) for part in found]
    if (
        len({_KINDS.get(array.dtype.kind, "numbers") for array in arrays}) > 1
        or len({array.shape[1:] for array in arrays}) > 1
    ):
        values: Any = [label for array in arrays for label in array]
    else:
        values = np.concatenate(arrays)
    return FoundLabels(values, found[0].source, all(part.is_sure for part in found))


def _labels_of_tensors(dataset: Any, fields: Fields) -> FoundLabels | None:
    item = _first_item(dataset.tensors)
    label = fields.label_of(item, 0)
    if label is None:
        return NO_LABELS
    if isinstance(label, Unsure):
        return FoundLabels(None, "its tensors", unsure=label)
    place = next((place for place, part in enumerate(item) if part is label), None)
    return None if place is None else FoundLabels(dataset.tensors[place], f"its tensor {place}")


def _labels_of_pairs(dataset: Any, kind: str) -> FoundLabels | None:
    place = _ATTRIBUTES.get(kind, "targets")
    values = getattr(dataset, place, None)
    if values is None:
        unsure = getattr(dataset, "unsure", None)
        return None if kind in _ATTRIBUTES else replace(NO_LABELS, unsure=unsure)
    if kind not in _ATTRIBUTES and dataset.classes is not None:
        _check_named_classes(values, dataset.classes)
    if place.endswith("samples"):
        values = [pair[1] for pair in values]
    return FoundLabels(_transformed(dataset, values), f"{type(dataset).__name__}.{place}")


def _check_named_classes(targets: Any, classes: Sequence[str]) -> None:
    is_numbers = isinstance(targets, np.ndarray) and targets.dtype.kind == "i" and len(targets)
    if is_numbers and not 0 <= targets.min() <= targets.max() < len(classes):
        raise InputError(
            f"labels run from {targets.min()} to {targets.max()}, but {len(classes)} classes "
            "are named; labels count from 0"
        )


def _transformed(dataset: Any, values: Any) -> Any:
    transform: Callable[[Any], Any] | None = getattr(dataset, "target_transform", None)
    return values if transform is None else [transform(value) for value in values]


def _labels_by_custom(dataset: Any) -> FoundLabels | None:
    """Find what may be labels by the name of an attribute; the items are to confirm it."""
    for name in ("targets", "labels", "y"):
        try:
            values = getattr(dataset, name, None)
            if _may_be_labels(values, dataset):
                source = f"{type(dataset).__name__}.{name}"
                return FoundLabels(_transformed(dataset, values), source, is_sure=False)
        # Whatever anyone's property or function raises: the items tell.
        except Exception:
            return None
    return None


def _may_be_labels(values: Any, dataset: Any) -> bool:
    if values is None or callable(values) or isinstance(values, str | bytes | Mapping):
        return False
    if not hasattr(values, "__len__") or not hasattr(values, "__getitem__"):
        return False
    try:
        labels = check_labels(values, len(dataset))
    except InputError:
        return False
    # Strings that are all different are names: of classes, of files.
    names = labels.dtype.kind == "U" and len(labels) > 1
    return not (names and len(np.unique(labels)) == len(labels))


def sample_file(dataset: Any, index: int) -> str | None:
    """Name the file of a sample, where its dataset tells it.

    Parameters
    ----------
    dataset : object
        Any dataset.
    index : int
        At least 0.

    Returns
    -------
    str or None

    Examples
    --------
    >>> class Photos(list):
    ...     files = ["a.png", "b.png"]
    >>> sample_file(Photos([0, 0]), 1)
    'b.png'
    """
    kind = class_of(dataset)
    if kind == SUBSET:
        return sample_file(dataset.dataset, int(dataset.indices[index]))
    if kind == JOINED:
        part = int(np.searchsorted(dataset.cumulative_sizes, index, side="right"))
        before = dataset.cumulative_sizes[part - 1] if part else 0
        return sample_file(dataset.datasets[part], index - before)
    for name in ("files", "samples", "imgs"):
        files = getattr(dataset, name, None)
        if isinstance(files, list | tuple) and len(files) == len(dataset):
            file = files[index][0] if name != "files" else files[index]
            return str(file)
    return None
