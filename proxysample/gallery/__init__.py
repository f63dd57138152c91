"""Pictures of what is kept and dropped: thumbnails, contact sheets, and a page of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample.gallery.sheets import side_by_side

__all__ = ["side_by_side"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, {"proxysample.gallery.sheets": ["side_by_side"]})
