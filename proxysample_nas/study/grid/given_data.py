"""A study's dataset as a user has it: by name, as parts, or as a pair of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxysample.data.datasets import Splits
from proxysample.errors import InputError
from proxysample.printing import shown

DatasetLike = str | Splits | tuple[Any, Any] | Mapping[str, Any]

GIVEN = "given data"
"""What a pair of parts is called in a store and its reports."""


def name_and_parts(dataset: DatasetLike) -> tuple[str, Splits | None]:
    """Tell what a study's dataset is called, and give it where it is no mere name.

    Raises
    ------
    InputError
        If it is neither a name nor two parts.

    Examples
    --------
    >>> name_and_parts("digits")
    ('digits', None)
    >>> name_and_parts(([0, 1], [2]))
    ('given data', Splits('given data', [0, 1]))
    """
    if isinstance(dataset, str):
        return dataset, None
    if isinstance(dataset, Splits):
        return dataset.name, dataset
    if isinstance(dataset, Mapping) and "train" in dataset:
        test = next((dataset[name] for name in ("test", "validation") if name in dataset), None)
        return GIVEN, Splits(GIVEN, dataset["train"], test)
    if isinstance(dataset, tuple | list) and len(dataset) == 2:
        return GIVEN, Splits(GIVEN, *dataset)
    raise InputError(
        "dataset must be a name such as 'digits', a pair (train, test) of datasets, or "
        f"proxysample.data.Splits, not {shown(dataset)}"
    )
