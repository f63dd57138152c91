"""The operation that one edge keeps, and what it was chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from proxysample.records import MEASURE, Amount, Count, Record, list_of, one_of
from proxysample_nas.space.cell import OPERATIONS

# One for each operation.
Measures = Annotated[tuple[float, ...], list_of(MEASURE, len(OPERATIONS))]


@dataclass(frozen=True)
class EdgeDecision(Record, title="the decision of an edge"):
    """How one edge's operation was chosen by what its removal costs.

    Attributes
    ----------
    edge : int
        Index in `proxysample_nas.space.cell.edges_of`.
    operation : str
        What was kept.
    losses, accuracies : tuple of float, length 5
        Mean cross-entropy in nats, and percent, of the supernet on all architecture data without
        each operation, in the order of `proxysample_nas.space.cell.OPERATIONS`.
    seconds : float
        Wall-clock time, with the training that followed.
    """

    edge: Count
    operation: Annotated[str, one_of(*OPERATIONS)]
    losses: Measures
    accuracies: Measures
    seconds: Amount = 0.0


def decisions_to_tensor(decisions: Sequence[EdgeDecision]) -> Tensor:
    """Write decisions as one row of numbers each.

    Parameters
    ----------
    decisions : sequence of EdgeDecision

    Returns
    -------
    Tensor of shape (n_decisions, 13), float64

    Examples
    --------
    >>> decision = EdgeDecision(3, "nor_conv_1x1", (1.0,) * 5, (0.1, 90.0, 20.0, 80.0, 85.0), 2.5)
    >>> decisions_from_tensor(decisions_to_tensor([decision])) == [decision]
    True
    """
    rows = [
        (one.edge, OPERATIONS.index(one.operation), one.seconds, *one.losses, *one.accuracies)
        for one in decisions
    ]
    return torch.tensor(rows, dtype=torch.float64)


def decisions_from_tensor(rows: Tensor) -> list[EdgeDecision]:
    """Read what `decisions_to_tensor` wrote.

    Parameters
    ----------
    rows : Tensor of shape (n_decisions, 13), float64

    Returns
    -------
    list of EdgeDecision
    """
    n_operations = len(OPERATIONS)
    return [
        EdgeDecision(
            edge=int(edge),
            operation=OPERATIONS[int(operation)],
            losses=tuple(measured[:n_operations]),
            accuracies=tuple(measured[n_operations:]),
            seconds=seconds,
        )
        for edge, operation, seconds, *measured in rows.tolist()
    ]
