"""Features of samples: rows read block by block, and the frozen networks that make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample.features.backbones import (
        Backbone,
        as_backbone,
        extract_features,
        load_backbone,
    )
    from proxysample.features.embedding import embed
    from proxysample.features.store import Features

__all__ = [
    "Backbone",
    "Features",
    "as_backbone",
    "embed",
    "extract_features",
    "load_backbone",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample.features.backbones": [
                "Backbone",
                "as_backbone",
                "extract_features",
                "load_backbone",
            ],
            "proxysample.features.embedding": ["embed"],
            "proxysample.features.store": ["Features"],
        },
    )
