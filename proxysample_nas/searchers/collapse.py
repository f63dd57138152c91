"""Tell a user while it happens that a search collapses."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from proxysample_nas.space.cell import Cell

COLLAPSE_SHARE = 0.75
"""Share of skip connections from which a cell counts as collapsed.

A random cell of ten edges has eight or more of them with the probability 8e-5.
"""

CURES: dict[str, tuple[object, str]] = {
    "beta_regularization": (0.0, "beta_regularization=50"),
    "stop_at_skips": (None, "stop_at_skips or stop_when_stable"),
    "selection": ("argmax", 'selection="perturbation"'),
}
"""Parameters that hold a collapse off: the value that leaves each out, and how to set it."""


class SearchCollapseWarning(UserWarning):
    """The search is collapsing: skip connections, or nothing at all, win on nearly every edge."""


def has_collapsed(cell: Cell) -> bool:
    """Tell whether nearly all edges of a searched cell are skip connections.

    Parameters
    ----------
    cell : Cell

    Returns
    -------
    bool
        Whether at least `COLLAPSE_SHARE` of the edges are.

    Examples
    --------
    >>> has_collapsed(Cell.filled("skip_connect", 5)), has_collapsed(Cell.filled("none", 5))
    (True, False)
    """
    return cell.n_skip_connections >= COLLAPSE_SHARE * len(cell.operations)


def cures_left(parameters: Mapping[str, Any]) -> list[str]:
    """List the cures that a search has and does not use.

    Parameters
    ----------
    parameters : mapping of str to object
        All parameters of the searcher.

    Returns
    -------
    list of str
        How to set each.

    Examples
    --------
    >>> from proxysample_nas.searchers import DARTS
    >>> cures_left(DARTS(selection="perturbation").get_params())
    ['beta_regularization=50', 'stop_at_skips or stop_when_stable']
    """
    return [
        call
        for name, (off, call) in CURES.items()
        if name in parameters and parameters[name] == off
    ]


def warn_of_collapse(cell: Cell, epoch: int, cures: Sequence[str]) -> None:
    """Warn that nearly all edges have become skip connections.

    Parameters
    ----------
    cell : Cell
        The genotype after the epoch.
    epoch : int
        Counted from 0; the message counts from 1.
    cures : sequence of str
        What the searcher has against it, to be named beside fewer epochs.
    """
    named = ", ".join([*cures, "fewer epochs"])
    warnings.warn(
        f"the search collapses: after epoch {epoch + 1}, {cell.n_skip_connections} of "
        f"{len(cell.operations)} edges are skip connections (the paper's section 4.4.2, the "
        f"local optimum cell). Cures (docs/collapse.md): {named}. The result's history keeps the "
        "cell of every epoch",
        SearchCollapseWarning,
        stacklevel=3,
    )


def warn_if_disconnected(cell: Cell) -> None:
    """Warn if nothing that enters the searched cell can leave it.

    Parameters
    ----------
    cell : Cell
        The genotype after the last epoch.

    Examples
    --------
    >>> warn_if_disconnected(Cell.filled("skip_connect", n_nodes=5))
    """
    if not cell.is_connected:
        warnings.warn(
            "the searched cell has no path from its input to its output ('none' won too many "
            "edges), so its network cannot learn; the result's history keeps the cell of every "
            "epoch",
            SearchCollapseWarning,
            stacklevel=3,
        )
