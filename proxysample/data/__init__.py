"""Datasets of any kind, read into arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample.data.datasets import ArrayDataset, Splits, load_dataset
    from proxysample.data.fields import FieldView
    from proxysample.data.image_folder import BrokenImageWarning
    from proxysample.data.reading import Samples

__all__ = [
    "ArrayDataset",
    "BrokenImageWarning",
    "FieldView",
    "Samples",
    "Splits",
    "load_dataset",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample.data.datasets": ["ArrayDataset", "Splits", "load_dataset"],
            "proxysample.data.fields": ["FieldView"],
            "proxysample.data.image_folder": ["BrokenImageWarning"],
            "proxysample.data.reading": ["Samples"],
        },
    )
