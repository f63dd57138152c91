"""Batches of images that live on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample_nas.data.images import LabelledImages, load_images, stratified_holdout
    from proxysample_nas.data.loader import Augmentation, Loader
    from proxysample_nas.data.normalization import Normalization

__all__ = [
    "Augmentation",
    "LabelledImages",
    "Loader",
    "Normalization",
    "load_images",
    "stratified_holdout",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample_nas.data.images": ["LabelledImages", "load_images", "stratified_holdout"],
            "proxysample_nas.data.loader": ["Augmentation", "Loader"],
            "proxysample_nas.data.normalization": ["Normalization"],
        },
    )
