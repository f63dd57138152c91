"""Draw cells uniformly from a search space."""

from __future__ import annotations

import torch

from proxysample.errors import InputError
from proxysample_nas.space.cell import Cell, n_edges
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace


def n_cells(n_nodes: int, *, connected_only: bool, space: SearchSpace = NAS_BENCH_201) -> int:
    """Count the cells of a search space.

    Parameters
    ----------
    n_nodes : int
        Nodes of a cell, its input included.
    connected_only : bool
        Whether to count only those with a path from input to output without ``none``.
    space : SearchSpace, optional
        By default that of NAS-Bench-201.

    Returns
    -------
    int

    Examples
    --------
    >>> n_cells(4, connected_only=False), n_cells(4, connected_only=True)
    (15625, 15284)
    """
    n_operations = len(space)
    n_zeros = sum(operation.kind == "zero" for operation in space)
    if not connected_only:
        everything: int = n_operations ** n_edges(n_nodes)
        return everything
    # In how many ways the nodes so far can be wired, by how many of them the input reaches.
    ways = {1: 1}
    reaching = 0
    for node in range(1, n_nodes):
        wired: dict[int, int] = {}
        reaching = 0
        for n_reached, count in ways.items():
            # Edges from nodes that are not reached are free; of the others all are ``none``,
            # or the node is reached too.
            free = count * n_operations ** (node - n_reached)
            apart = free * n_zeros**n_reached
            joined = free * (n_operations**n_reached - n_zeros**n_reached)
            wired[n_reached] = wired.get(n_reached, 0) + apart
            wired[n_reached + 1] = wired.get(n_reached + 1, 0) + joined
            reaching += joined
        ways = wired
    return reaching


def draw_cells(
    n: int,
    n_nodes: int,
    *,
    connected_only: bool,
    generator: torch.Generator,
    space: SearchSpace = NAS_BENCH_201,
) -> list[Cell]:
    """Draw distinct cells, all equally likely.

    Parameters
    ----------
    n : int
        Number of cells.
    n_nodes : int
        Nodes of a cell, its input included.
    connected_only : bool
        Whether to draw only cells with a path from input to output without ``none``; the others
        cannot learn.
    generator : torch.Generator
        A CPU generator.
    space : SearchSpace, optional
        By default that of NAS-Bench-201.

    Returns
    -------
    list of Cell
        In the order of drawing.

    Raises
    ------
    InputError
        If there are not so many cells.

    Examples
    --------
    >>> cells = draw_cells(
    ...     4, 2, connected_only=True, generator=torch.Generator().manual_seed(0)
    ... )
    >>> sorted(cell.operations[0] for cell in cells)
    ['avg_pool_3x3', 'nor_conv_1x1', 'nor_conv_3x3', 'skip_connect']
    """
    check_n_cells(n, n_nodes, connected_only=connected_only, space=space)
    cells: dict[Cell, None] = {}
    while len(cells) < n:
        indices = torch.randint(len(space), (n_edges(n_nodes),), generator=generator)
        cell = Cell.from_indices(indices.tolist(), space)
        if cell.is_connected or not connected_only:
            cells[cell] = None
    return list(cells)


def check_n_cells(
    n: int, n_nodes: int, *, connected_only: bool, space: SearchSpace = NAS_BENCH_201
) -> None:
    """Check that there are so many cells.

    Parameters
    ----------
    n, n_nodes : int
    connected_only : bool
    space : SearchSpace, optional
        See `draw_cells`.

    Raises
    ------
    InputError
        If there are fewer.
    """
    # A node more makes at least so many times as many cells, be one operation a zero; from three
    # nodes on twice as many. So more nodes need no counting of huge numbers.
    bits = max(1, (len(space) - 1).bit_length() - 1)
    enough = min(n_nodes, n.bit_length() // bits + 3)
    available = n_cells(enough, connected_only=connected_only, space=space)
    if n > available:
        kind = "connected cells" if connected_only else "cells"
        raise InputError(
            f"{n} distinct {kind} of {n_nodes} nodes cannot be drawn, since there are "
            f"{available}; lower n_samples or raise n_nodes"
        )
