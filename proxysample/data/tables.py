"""Tables as datasets: HuggingFace datasets and pandas, with labels and images in columns."""

from __future__ import annotations

import warnings
from collections.abc import Container
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.checks import has_attributes
from proxysample.data.blocks import is_sparse
from proxysample.errors import InputError, ProxysampleWarning, level_of_caller, unknown_name

Array = npt.NDArray[Any]

IMAGE_COLUMNS = ("image", "img", "pixel_values")
# Formats of sparse matrices of which scipy slices no rows.
WITHOUT_ROWS = ("coo", "bsr", "dia")
LABEL_COLUMNS = ("label", "labels", "fine_label", "target", "y")


def is_huggingface(dataset: Any) -> bool:
    """Tell whether a dataset is HuggingFace's, without importing its library."""
    return has_attributes(dataset, "column_names", "features", "select")


def is_frame(dataset: Any) -> bool:
    """Tell whether a dataset is a pandas DataFrame or Series, without importing pandas."""
    return has_attributes(dataset, "iloc", "to_numpy")


def is_foreign(dataset: Any) -> bool:
    """Tell whether a value is a frame or column of polars or pyarrow, without importing these."""
    package = type(dataset).__module__.partition(".")[0]
    names = ("DataFrame", "Series", "LazyFrame", "Table", "RecordBatch", "ChunkedArray")
    return package in ("polars", "pyarrow") and type(dataset).__name__ in names


def column_names(dataset: Any) -> list[str]:
    """List a table's columns; empty for any other dataset.

    Examples
    --------
    >>> column_names(np.zeros((3, 2)))
    []
    """
    if is_huggingface(dataset):
        return list(dataset.column_names)
    if is_frame(dataset) and hasattr(dataset, "columns"):
        return [str(name) for name in dataset.columns]
    return []


def has_transform(dataset: Any) -> bool:
    """Tell whether a HuggingFace dataset computes its items from its columns."""
    return is_huggingface(dataset) and dataset.format["type"] == "custom"


def label_column(dataset: Any, field: Any, image: Any = None) -> str | None:
    """Find a table's column of labels.

    Parameters
    ----------
    dataset : object
        A table.
    field : str, int or None
        Its name or position; by default that of `LABEL_COLUMNS` which there is.
    image : str, optional
        A column that is none of labels.

    Returns
    -------
    str or None
        None where there is no such column and none was named.

    Raises
    ------
    InputError
        If a column was named that there is not, or several may be it.
    """
    names = column_names(dataset)
    if field is not None:
        return named_column(dataset, field)
    known = [name for name in LABEL_COLUMNS if name in names and name != image]
    if len(known) > 1:
        raise InputError(
            f"the columns {' and '.join(known)} may each be the labels: pass "
            f"{' or '.join(f'label={name!r}' for name in known)}"
        )
    if not known:
        return None
    tell_coarser(known[0], names)
    return known[0]


def tell_coarser(chosen: object, names: Container[Any]) -> None:
    """Warn where labels were taken of CIFAR-100's classes, and its coarser ones are there, too."""
    if chosen == "fine_label" and "coarse_label" in names:
        warnings.warn(
            "there are fine_label and coarse_label, and fine_label is taken, since the classes of "
            "CIFAR-100 are the fine ones: pass label='fine_label' or label='coarse_label'",
            ProxysampleWarning,
            stacklevel=level_of_caller(),
        )


def named_column(dataset: Any, field: str | int) -> str:
    """Give the name of a table's column, or an `InputError` that names those that there are."""
    names = column_names(dataset)
    if str(field) in names:
        return str(field)
    if isinstance(field, int) and -len(names) <= field < len(names):
        return names[field]
    raise unknown_name("column", field, names)


def column_values(dataset: Any, column: str) -> Any:
    """Read a table's column as it is stored; no other column is touched."""
    if is_huggingface(dataset) and dataset.format["type"] is not None:
        dataset = dataset.with_format(None)
    if is_frame(dataset):
        # A name may be a number.
        return dataset.iloc[:, column_names(dataset).index(column)]
    return dataset[column]


class FrameRows:
    """The rows of a frame as mappings from column to value, by position.

    Examples
    --------
    >>> import pandas as pd
    >>> FrameRows(pd.DataFrame({"path": ["a", "b"], "label": ["x", "y"]}, index=[7, 8]))[1]
    {'path': 'b', 'label': 'y'}
    """

    def __init__(self, frame: Any) -> None:
        # A name may be a number, and may be there twice.
        self._columns = {
            str(name): frame.iloc[:, place].array for place, name in enumerate(frame.columns)
        }
        self._size = len(frame)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: column[index] for name, column in self._columns.items()}


def positional(dataset: Any) -> Any:
    """Give something whose ``[i]`` is sample i; a dataset that is no frame comes back as it is."""
    if not is_frame(dataset):
        return dataset
    return FrameRows(dataset) if hasattr(dataset, "columns") else list(dataset)


def feature_columns(dataset: Any, features: Any, labels: str | None) -> Array | None:
    """Read the features that a table has in columns.

    Parameters
    ----------
    dataset : object
        Any dataset.
    features : str, int, list of str or None
        A column of vectors, or several of numbers; None takes all columns of a frame that has no
        images but those of labels.
    labels : str, optional
        A column that is no feature.

    Returns
    -------
    ndarray of shape (n, d) or None
        None where the dataset is no table, or its images are to be read.

    Raises
    ------
    InputError
        If a column holds no numbers, or vectors of several lengths.
    """
    if not column_names(dataset):
        return None
    if isinstance(features, list):
        return np.column_stack([_numbers(dataset, named_column(dataset, one)) for one in features])
    if isinstance(features, str | int):
        return _vectors(dataset, named_column(dataset, features))
    is_of_images = any(name in column_names(dataset) for name in IMAGE_COLUMNS)
    if features is not None or not is_frame(dataset) or is_of_images:
        return None
    named = [name for name in column_names(dataset) if name != labels]
    return np.column_stack([_numbers(dataset, name) for name in named]) if named else None


def _numbers(dataset: Any, column: str) -> Array:
    values = np.asarray(column_values(dataset, column))
    if values.dtype.kind not in "fiub" or values.ndim != 1:
        raise InputError(
            f"column {column!r} holds no numbers, of {', '.join(column_names(dataset))}: name the "
            "labels by label=, the columns of features by features=, or that of images by image="
        )
    return values.astype(np.float64)


def _vectors(dataset: Any, column: str) -> Array:
    if is_huggingface(dataset):
        values = dataset.with_format("numpy", columns=[column])[:][column]
    else:
        values = list(column_values(dataset, column))
    try:
        array = np.stack([np.asarray(row) for row in values]) if len(values) else np.zeros((0, 0))
    except ValueError:
        raise InputError(
            f"features={column!r}: the column holds vectors of several lengths"
        ) from None
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise InputError(
            f"features={column!r}: the column holds values of shape {array.shape[1:]} and type "
            f"{array.dtype}; needed: vectors of numbers"
        )
    return array


def take_rows(dataset: Any, indices: npt.NDArray[np.int64]) -> Any:
    """Cut a dataset down to some samples, as its own kind does it.

    Parameters
    ----------
    dataset : object
        Any dataset.
    indices : ndarray of int64
        Which samples.

    Returns
    -------
    object
        A HuggingFace dataset, a table or a sparse matrix where that was given; else a torch
        Subset.
    """
    if is_huggingface(dataset):
        return dataset.select(indices)
    if is_frame(dataset):
        return dataset.iloc[indices]
    if is_foreign(dataset):
        return dataset.take(indices) if hasattr(dataset, "take") else dataset[indices]
    if is_sparse(dataset):
        return dataset.tocsr()[indices]
    from torch.utils.data import Subset

    # A list: torch hands elements of arrays and tensors on as they are.
    return Subset(dataset, indices.tolist())


def take_pair(X: Any, y: Any, indices: npt.NDArray[np.int64]) -> tuple[Any, Any]:
    """Cut a dataset and its labels down to some samples, each as its own kind.

    Parameters
    ----------
    X : object
        Any dataset.
    y : array-like, str or None
        Labels, or the name of a column of them.
    indices : ndarray of int64
        Which samples.

    Returns
    -------
    X_kept, y_kept : object
        Arrays, sparse matrices, tensors, lists and tables stay what they are.
    """
    labels = column_values(X, named_column(X, y)) if isinstance(y, str) else y
    return _take(X, indices), None if labels is None else _take(labels, indices)


def _take(values: Any, indices: npt.NDArray[np.int64]) -> Any:
    if isinstance(values, list | tuple):
        return type(values)([values[index] for index in indices.tolist()])
    if is_sparse(values) and values.format in WITHOUT_ROWS:
        return values.tocsr()[indices]
    if hasattr(values, "shape") and not is_frame(values):
        return values[indices]
    return take_rows(values, indices)
