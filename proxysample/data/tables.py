"""Tables as datasets: HuggingFace datasets and pandas, with labels and images in columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError, unknown_name

Array = npt.NDArray[Any]

IMAGE_COLUMNS = ("image", "img", "pixel_values")
LABEL_COLUMNS = ("label", "labels", "fine_label", "target", "y")


def is_huggingface(dataset: Any) -> bool:
    """Tell whether a dataset is HuggingFace's, without importing its library."""
    return all(hasattr(dataset, name) for name in ("column_names", "features", "select"))


def is_frame(dataset: Any) -> bool:
    """Tell whether a dataset is a pandas DataFrame or Series, without importing pandas."""
    return hasattr(dataset, "iloc") and hasattr(dataset, "to_numpy")


def is_foreign(dataset: Any) -> bool:
    """Tell whether a value is a frame or column of polars or pyarrow, without importing these."""
    package = type(dataset).__module__.partition(".")[0]
    names = ("DataFrame", "Series", "LazyFrame", "Table", "RecordBatch", "ChunkedArray")
    return package in ("polars", "pyarrow") and type(dataset).__name__ in names


def column_labels(dataset: Any, column: str | None) -> Any:
    """Read a table's column of labels; no other column is touched.

    Parameters
    ----------
    dataset : object
        Any dataset; what is no table has no columns.
    column : str, optional
        Its name; by default the first of `LABEL_COLUMNS` that there is.

    Returns
    -------
    array-like or None
        None where there is no such column and none was named.

    Raises
    ------
    InputError
        If a column was named that there is not.
    """
    names = _column_names(dataset)
    if column is None:
        column = next((name for name in LABEL_COLUMNS if name in names), None)
        return None if column is None else _values(dataset, column)
    if not names:
        raise InputError(
            f"y={column!r} names a column, and a {type(dataset).__name__} has none; "
            "pass the labels themselves"
        )
    if column not in names:
        raise unknown_name("column", column, names)
    return _values(dataset, column)


def _column_names(dataset: Any) -> list[str]:
    if is_huggingface(dataset):
        return list(dataset.column_names)
    if is_frame(dataset) and hasattr(dataset, "columns"):
        return [str(name) for name in dataset.columns]
    return []


def _values(dataset: Any, column: str) -> Array:
    return np.asarray(dataset[column])


def by_position(dataset: Any, label_column: str | None) -> Any:
    """Turn a pandas table into an array of features, or a list of images.

    Parameters
    ----------
    dataset : object
        Any dataset; others than pandas's come back as they are.
    label_column : str, optional
        A column that is no feature.

    Returns
    -------
    object
        Something whose ``[i]`` is sample i.

    Raises
    ------
    InputError
        If a frame has neither a column of images nor only numbers.
    """
    if not is_frame(dataset):
        return dataset
    if not hasattr(dataset, "columns"):  # a Series
        return list(dataset)
    names = [str(name) for name in dataset.columns]
    images = next((name for name in IMAGE_COLUMNS if name in names), None)
    if images is not None:
        return list(dataset[images])
    labels = label_column or next((name for name in LABEL_COLUMNS if name in names), None)
    features = dataset[[name for name in dataset.columns if str(name) != labels]]
    words = [str(name) for name, kind in features.dtypes.items() if kind.kind not in "fiub"]
    if words:
        raise InputError(
            f"column {words[0]!r} holds no numbers; keep the feature columns only, or put the "
            f"images, not their paths, in a column {IMAGE_COLUMNS[0]!r}"
        )
    return features.to_numpy(dtype=np.float64)


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
    if hasattr(dataset, "tocsr") and hasattr(dataset, "nnz"):
        return dataset.tocsr()[indices]
    from torch.utils.data import Subset

    # A list: torch hands elements of arrays and tensors on as they are.
    return Subset(dataset, indices.tolist())
