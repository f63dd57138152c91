"""The search space, from a string to a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample_nas.space.cell import Cell
    from proxysample_nas.space.network import CellNetwork
    from proxysample_nas.space.supernet import Supernet

__all__ = [
    "Cell",
    "CellNetwork",
    "Supernet",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample_nas.space.cell": ["Cell"],
            "proxysample_nas.space.network": ["CellNetwork"],
            "proxysample_nas.space.supernet": ["Supernet"],
        },
    )
