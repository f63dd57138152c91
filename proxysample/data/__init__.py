"""Datasets of any kind, read into arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample.data.blocks import BlockArray
    from proxysample.data.datasets import ArrayDataset, Splits, load_dataset
    from proxysample.data.fields import FieldView
    from proxysample.data.folders import SkippedFilesWarning
    from proxysample.data.image_files import ImageFiles
    from proxysample.data.path_tables import read_csv, read_paths
    from proxysample.data.reading import Samples, UnsureLabelsWarning
    from proxysample.data.streams import read_stream
    from proxysample.data.whole import BrokenImageWarning

__all__ = [
    "ArrayDataset",
    "BlockArray",
    "BrokenImageWarning",
    "FieldView",
    "ImageFiles",
    "Samples",
    "SkippedFilesWarning",
    "Splits",
    "UnsureLabelsWarning",
    "load_dataset",
    "read_csv",
    "read_paths",
    "read_stream",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample.data.blocks": ["BlockArray"],
            "proxysample.data.datasets": ["ArrayDataset", "Splits", "load_dataset"],
            "proxysample.data.fields": ["FieldView"],
            "proxysample.data.folders": ["SkippedFilesWarning"],
            "proxysample.data.image_files": ["ImageFiles"],
            "proxysample.data.whole": ["BrokenImageWarning"],
            "proxysample.data.path_tables": ["read_csv", "read_paths"],
            "proxysample.data.reading": ["Samples", "UnsureLabelsWarning"],
            "proxysample.data.streams": ["read_stream"],
        },
    )
