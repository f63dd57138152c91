"""Networks that samplers train or borrow, and how they are fed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample.networks.backbones import as_backbone, load_backbone
    from proxysample.networks.embedding import Backbone, extract_features

__all__ = [
    "Backbone",
    "as_backbone",
    "extract_features",
    "load_backbone",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample.networks.backbones": ["as_backbone", "load_backbone"],
            "proxysample.networks.embedding": ["Backbone", "extract_features"],
        },
    )
