"""Remedies against a collapse into skip connections, and the warning that names them.

Sources: Liang, Zhang, Sun, He, Huang, Zhuang & Li, "DARTS+: Improved Differentiable Architecture
Search with Early Stopping" (2019), the two criteria of its section 3, for `reason_to_stop`; Ye, Li,
Li, Chen, Fan & Ouyang, "Beta-DARTS: Beta-Decay Regularization for Differentiable Architecture
Search" (CVPR 2022), section 3, and the schedule of its authors' code, for `beta_strength` and
`beta_gradient`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from proxysample.errors import ProxysampleWarning, level_of_caller
from proxysample_nas.searchers.result import EpochRecord
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace

COLLAPSE_SHARE = 0.75
"""Share of skip connections from which a cell counts as collapsed.

A random cell of ten edges has eight or more of them with the probability 8e-5.
"""

REMEDIES: dict[str, tuple[object, str]] = {
    "beta_regularization": (0.0, "beta_regularization=50"),
    "stop_at_skips": (None, "stop_at_skips or stop_when_stable"),
    "selection": ("argmax", 'selection="perturbation"'),
}
"""Parameters that hold a collapse off: the value that leaves each out, and how to set it."""


class SearchCollapseWarning(ProxysampleWarning):
    """The search is collapsing: skip connections, or nothing at all, win on nearly every edge."""


def has_collapsed(cell: Cell) -> bool:
    """Tell whether nearly all edges of a searched cell are skip connections.

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


def remedies_left(parameters: Mapping[str, Any]) -> list[str]:
    """List the remedies that a search has and does not use.

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
    >>> remedies_left(DARTS(selection="perturbation").get_params())
    ['beta_regularization=50', 'stop_at_skips or stop_when_stable']
    """
    return [
        call
        for name, (off, call) in REMEDIES.items()
        if name in parameters and parameters[name] == off
    ]


def warn_of_collapse(cell: Cell, epoch: int, remedies: Sequence[str]) -> None:
    """Warn that nearly all edges have become skip connections.

    Parameters
    ----------
    cell : Cell
        The genotype after the epoch.
    epoch : int
        Counted from 0; the message counts from 1.
    remedies : sequence of str
        What the searcher has against it, to be named beside fewer epochs.
    """
    named = ", ".join([*remedies, "fewer epochs"])
    warnings.warn(
        f"the search collapses: after epoch {epoch + 1}, {cell.n_skip_connections} of "
        f"{len(cell.operations)} edges are skip connections (the paper's section 4.4.2, the "
        f"local optimum cell). Remedies (docs/collapse.md): {named}. The result's history keeps "
        "the cell of every epoch",
        SearchCollapseWarning,
        stacklevel=level_of_caller(),
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
            stacklevel=level_of_caller(),
        )


def reason_to_stop(
    history: Sequence[EpochRecord],
    *,
    stop_at_skips: int | None,
    stop_when_stable: int | None,
    space: SearchSpace = NAS_BENCH_201,
) -> str | None:
    """Tell whether a search should end after the epochs that are done, and why.

    It depends on the history alone, so that a search which is taken up again stops where one
    that was never interrupted does.

    Parameters
    ----------
    history : sequence of EpochRecord
        The epochs that are done.
    stop_at_skips : int or None
        Number of skip connections in the last epoch's genotype.
    stop_when_stable : int or None
        Number of epochs up to the last one which have left alone, on every edge, the order of
        the operations that learn, in NAS-Bench-201 the two convolutions. With N of them the last
        N + 1 epochs must agree.
    space : SearchSpace
        What the search chooses from.

    Returns
    -------
    str or None
        The reason, or None to go on.

    Examples
    --------
    >>> from proxysample_nas.space.cell import Cell
    >>> cell = Cell.filled("skip_connect", n_nodes=2)
    >>> record = EpochRecord(0, cell, ((0.1, 0.6, 0.1, 0.1, 0.1),), 0.025, 2.3, 10.0, 2.3, 9.0, 1.5)
    >>> reason_to_stop([record], stop_at_skips=1, stop_when_stable=None)
    'after epoch 1, 1 of 1 edges are skip connections (stop_at_skips=1)'
    >>> reason_to_stop([record], stop_at_skips=2, stop_when_stable=1) is None
    True
    """
    if not history:
        return None
    last = history[-1]
    if stop_at_skips is not None and last.n_skip_connections >= stop_at_skips:
        return (
            f"after epoch {last.epoch + 1}, {last.n_skip_connections} of "
            f"{len(last.cell.operations)} edges are skip connections "
            f"(stop_at_skips={stop_at_skips})"
        )
    if stop_when_stable is not None and _is_stable(history, stop_when_stable, space):
        return (
            f"after epoch {last.epoch + 1}, {stop_when_stable} epochs in a row have left the order "
            f"of the convolutions on every edge as it was (stop_when_stable={stop_when_stable})"
        )
    return None


def _is_stable(history: Sequence[EpochRecord], n_epochs: int, space: SearchSpace) -> bool:
    recent = history[-n_epochs - 1 :]
    rankings = {_rankings(record, space) for record in recent}
    return len(recent) == n_epochs + 1 and len(rankings) == 1


def _rankings(record: EpochRecord, space: SearchSpace) -> tuple[tuple[int, ...], ...]:
    """Rank the operations that learn on every edge, the likeliest first."""
    learning = [index for index, operation in enumerate(space) if operation.has_parameters]
    return tuple(
        tuple(sorted(learning, key=lambda index: -row[index]))
        for row in record.architecture_weights
    )


def beta_strength(epoch: int, n_epochs: int, highest: float) -> float:
    """Give the weight of the regularization in an epoch.

    Parameters
    ----------
    epoch : int
        From 0 to ``n_epochs - 1``; the weight is constant within it.
    n_epochs : int
        Length of the whole search, were it not stopped early.
    highest : float
        The weight that an epoch `n_epochs` would have.

    Examples
    --------
    >>> [beta_strength(epoch, 4, 50.0) for epoch in range(4)]
    [0.0, 12.5, 25.0, 37.5]
    """
    return highest * epoch / n_epochs


def beta_gradient(alphas: Tensor) -> Tensor:
    """Differentiate the mean over all edges of log(sum(exp(alpha))).

    Parameters
    ----------
    alphas : Tensor of shape (n_edges, n_operations)
        Architecture parameters.

    Returns
    -------
    Tensor of shape (n_edges, n_operations)
        ``softmax(alphas) / n_edges``. It pulls most at the likeliest operation of an edge.

    Examples
    --------
    >>> beta_gradient(torch.zeros(2, 4))[0]
    tensor([0.1250, 0.1250, 0.1250, 0.1250])
    """
    return torch.softmax(alphas.detach(), dim=1) / len(alphas)
