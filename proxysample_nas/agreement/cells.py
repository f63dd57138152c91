"""Cells to be ranked: drawn uniformly, no two of which compute the same functions."""

from __future__ import annotations

import torch

from proxysample.checks import POSITIVE_INTEGER, SEED
from proxysample.errors import InputError
from proxysample_nas.searchers.candidates import draw_cells
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace

MOST_DRAWS_EACH = 200
"""So many cells are drawn for each that is wanted before a space counts as too small."""


def draw_distinct_cells(
    n: int, n_nodes: int = 4, *, seed: int = 0, space: SearchSpace = NAS_BENCH_201
) -> list[Cell]:
    """Draw cells that are connected and pairwise not isomorphic.

    Parameters
    ----------
    n : int
        Number of cells.
    n_nodes : int
        Nodes of a cell, its input included.
    seed : int
        More cells from the same seed begin with the same ones.
    space : SearchSpace, optional
        By default that of NAS-Bench-201.

    Returns
    -------
    list of Cell
        In the order of drawing. A cell that computes the same functions as an earlier one is
        passed over, so that families with many members are met no more often than once.

    Raises
    ------
    InputError
        If there are not so many, as far as drawing can tell.

    Examples
    --------
    >>> cells = draw_distinct_cells(3, seed=1)
    >>> len({cell.unique_form() for cell in cells}), cells == draw_distinct_cells(5, seed=1)[:3]
    (3, True)
    """
    POSITIVE_INTEGER.check("n_cells", n)
    SEED.check("cell_seed", seed)
    space = SearchSpace.of(space)
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Cell] = {}
    for _ in range(MOST_DRAWS_EACH * n):
        cell = draw_cells(1, n_nodes, connected_only=True, generator=generator, space=space)[0]
        found.setdefault(cell.unique_form(), cell)
        if len(found) == n:
            return list(found.values())
    raise InputError(
        f"only {len(found)} cells of {n_nodes} nodes that compute different functions were found; "
        f"n_cells={n} is too many"
    )
