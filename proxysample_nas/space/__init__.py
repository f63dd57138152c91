"""Search spaces: operations, cells made of them, and the networks of cells.

Names are imported when they are used, so that cells are read and spaces made without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample_nas.space.cell import Cell, all_cells, edges_of, n_edges
    from proxysample_nas.space.network import CellNetwork
    from proxysample_nas.space.operations import (
        NAS_BENCH_201,
        Operation,
        SearchSpace,
        get_operation,
        list_operations,
    )
    from proxysample_nas.space.supernet import Supernet

__all__ = [
    "NAS_BENCH_201",
    "Cell",
    "CellNetwork",
    "Operation",
    "SearchSpace",
    "Supernet",
    "all_cells",
    "edges_of",
    "get_operation",
    "list_operations",
    "n_edges",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample_nas.space.cell": ["Cell", "all_cells", "edges_of", "n_edges"],
            "proxysample_nas.space.network": ["CellNetwork"],
            "proxysample_nas.space.operations": [
                "NAS_BENCH_201",
                "Operation",
                "SearchSpace",
                "get_operation",
                "list_operations",
            ],
            "proxysample_nas.space.supernet": ["Supernet"],
        },
    )
