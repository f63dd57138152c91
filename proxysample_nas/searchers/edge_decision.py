"""The operation that one edge keeps, and what it was chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from proxysample.records import Amount, Count, Measure, Record
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace


@dataclass(frozen=True)
class EdgeDecision(Record, title="the decision of an edge"):
    """How one edge's operation was chosen by what its removal costs.

    Attributes
    ----------
    edge : int
        Index in `proxysample_nas.space.cell.edges_of`.
    operation : str
        What was kept.
    losses, accuracies : tuple of float, length n_operations
        Mean cross-entropy in nats, and percent, of the supernet on all architecture data without
        each operation, in the order of the search space.
    seconds : float
        Wall-clock time, with the training that followed.
    """

    edge: Count
    operation: str
    losses: tuple[Measure, ...]
    accuracies: tuple[Measure, ...]
    seconds: Amount = 0.0


def decisions_to_tensor(
    decisions: Sequence[EdgeDecision], space: SearchSpace = NAS_BENCH_201
) -> Tensor:
    """Write decisions as one row of numbers each.

    Parameters
    ----------
    decisions : sequence of EdgeDecision
    space : SearchSpace

    Returns
    -------
    Tensor of shape (n_decisions, 3 + 2 * n_operations), float64

    Examples
    --------
    >>> decision = EdgeDecision(3, "nor_conv_1x1", (1.0,) * 5, (0.1, 90.0, 20.0, 80.0, 85.0), 2.5)
    >>> decisions_from_tensor(decisions_to_tensor([decision])) == [decision]
    True
    """
    rows = [
        (one.edge, space.index(one.operation), one.seconds, *one.losses, *one.accuracies)
        for one in decisions
    ]
    return torch.tensor(rows, dtype=torch.float64)


def decisions_from_tensor(rows: Tensor, space: SearchSpace = NAS_BENCH_201) -> list[EdgeDecision]:
    """Read what `decisions_to_tensor` wrote.

    Parameters
    ----------
    rows : Tensor of shape (n_decisions, 3 + 2 * n_operations), float64
    space : SearchSpace

    Returns
    -------
    list of EdgeDecision
    """
    n_operations = len(space)
    return [
        EdgeDecision(
            edge=int(edge),
            operation=space.operations[int(operation)],
            losses=tuple(measured[:n_operations]),
            accuracies=tuple(measured[n_operations:]),
            seconds=seconds,
        )
        for edge, operation, seconds, *measured in rows.tolist()
    ]
