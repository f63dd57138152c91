"""The operation that one edge keeps, and what it was chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from proxysample.plain_values import (
    AMOUNT,
    COUNT,
    MEASURE,
    check_values,
    list_of,
    one_of,
    require_values,
)
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace

DECISION = {
    "edge": COUNT,
    "operation": one_of(*OPERATIONS),
    "losses": list_of(MEASURE, len(OPERATIONS)),
    "accuracies": list_of(MEASURE, len(OPERATIONS)),
}


@dataclass(frozen=True)
class EdgeDecision:
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

    edge: int
    operation: str
    losses: tuple[float, ...]
    accuracies: tuple[float, ...]
    seconds: float = 0.0

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `dataclasses.asdict` and JSON made of a decision.

        Parameters
        ----------
        values : dict

        Returns
        -------
        EdgeDecision

        Raises
        ------
        InputError
            If a value is missing or of another type.
        """
        require_values(values, DECISION, "the decision of an edge")
        check_values(values, {"seconds": AMOUNT}, "the decision of an edge")
        return cls(
            values["edge"],
            values["operation"],
            tuple(values["losses"]),
            tuple(values["accuracies"]),
            values.get("seconds", 0.0),
        )


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


def decisions_from_tensor(
    rows: Tensor, space: SearchSpace = NAS_BENCH_201
) -> list[EdgeDecision]:
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
