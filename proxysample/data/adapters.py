"""What people have, as a dataset that samplers read: lists of files, frames, arrays on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from proxysample.checks import has_attributes, is_integer
from proxysample.data.blocks import BlockArray, is_block_source
from proxysample.data.fields import Fields
from proxysample.data.path_tables import (
    as_pandas,
    frame_columns,
    is_list_of_paths,
    is_table,
    path_columns,
    read_paths,
)
from proxysample.data.tables import is_foreign, is_frame, named_column
from proxysample.errors import InputError
from proxysample.printing import shown


def adapted(dataset: Any, fields: Fields) -> tuple[Any, Fields]:
    """Turn what is neither an array in memory nor a map-style dataset into one of these.

    Lists of image files and frames with a column of them become `ImageFiles`; frames of polars
    and pyarrow those of pandas; what has a shape and slices (HDF5, zarr, scipy's sparse
    matrices) a `BlockArray`. Others come back as they are. Nothing is read.

    Parameters
    ----------
    dataset : object
        Anything.
    fields : Fields
        Where images and labels are.

    Returns
    -------
    dataset : object
    fields : Fields
        Without the columns that were used up.

    Raises
    ------
    InputError
        If it can only be read from its beginning, or which column holds the paths is not sure.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> dataset, _ = adapted(csr_array([[0, 1], [2, 0]]), Fields())
    >>> dataset
    BlockArray(the csr_array, (2, 2) int64)
    """
    try:
        are_kept = hasattr(dataset, "name_in_keys")
    # Whatever anyone's object raises when it is asked for anything.
    except Exception as error:
        raise InputError(f"{shown(dataset)} is no dataset: {error}") from error
    if are_kept:  # features on disk, with labels
        from proxysample.data.datasets import ArrayDataset

        return ArrayDataset(np.asarray(dataset), dataset.labels), fields
    if is_foreign(dataset):
        dataset = as_pandas(dataset)
    dataset = _listed(dataset)
    if is_table(dataset):
        return _adapted_frame(dataset, fields)
    if is_block_source(dataset):
        return BlockArray(dataset), fields
    has_usual_fields = _is_usual(fields.image, 0) and _is_usual(fields.label, 1)
    if is_list_of_paths(dataset) and has_usual_fields and fields.features is None:
        return read_paths(dataset), Fields()
    if is_stream(dataset):
        raise InputError(
            f"{type(dataset).__name__} is not a map-style dataset: it can only be read from its "
            "beginning, and samplers need more than one pass. Read it once with "
            "proxysample.data.read_stream(dataset, FOLDER), and pass what that gives; shards of "
            "WebDataset are read by proxysample.load_dataset('webdataset:PATTERN')"
        )
    return dataset, fields


def _is_usual(field: Any, place: int) -> bool:
    return field is None or (is_integer(field) and field == place)


def _listed(dataset: Any) -> Any:
    """Give a column of paths, of pandas or numpy, as the list that it is; others as they are."""
    is_series = is_frame(dataset) and not hasattr(dataset, "columns")
    if not is_series and not (isinstance(dataset, np.ndarray) and dataset.dtype.kind in "OU"):
        return dataset
    if np.ndim(dataset) != 1 or not len(dataset):
        return dataset
    first = dataset.iloc[0] if is_series else dataset[0]
    return list(dataset) if is_list_of_paths([first]) else dataset


def _adapted_frame(frame: Any, fields: Fields) -> tuple[Any, Fields]:
    if callable(fields.image) or callable(fields.label) or fields.features is not None:
        return frame, fields
    columns = frame_columns(frame)
    image, label = (
        None if field is None else named_column(frame, field)
        for field in (fields.image, fields.label)
    )
    if not path_columns(columns if image is None else {image: columns[image]}):
        return frame, fields
    return read_paths(frame, path=image, label=label), Fields()


def is_stream(dataset: Any) -> bool:
    """Tell whether a dataset has to be read from its beginning: it has no length and indices.

    Examples
    --------
    >>> is_stream(iter([1])), is_stream([1]), is_stream("digits")
    (True, False, False)
    """
    # torch's IterableDataset inherits an indexing that always raises.
    has_length = hasattr(type(dataset), "__len__") and hasattr(type(dataset), "__getitem__")
    # A DataLoader reads a dataset that can be had from it.
    is_loader = has_attributes(dataset, "batch_sampler", "dataset")
    is_other = isinstance(dataset, Mapping | set | frozenset) or has_length or is_loader
    return has_attributes(dataset, "__iter__") and not is_other
