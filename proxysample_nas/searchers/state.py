"""Everything that changes while a gradient-based search runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from proxysample.device import copy_to_device
from proxysample_nas.searchers.result import EdgeDecision
from proxysample_nas.searchers.snapshot import Parts, kept_statistics
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace
from proxysample_nas.space.supernet import Supernet


@dataclass
class SearchState:
    """A supernet, its architecture parameters, and what trains the two.

    Attributes
    ----------
    supernet : Supernet
    alphas : Tensor of shape (n_edges, n_operations)
        Architecture parameters: logits of the operations of each edge.
    weight_optimizer : torch.optim.SGD
        Of the supernet's parameters.
    architecture_optimizer : torch.optim.Adam
        Of `alphas`.
    generators : dict of torch.Generator
        The streams that the steps draw from, by name.
    decisions : list of EdgeDecision
        The edges that keep one operation, whatever their architecture parameters are.
    """

    supernet: Supernet
    alphas: Tensor
    weight_optimizer: torch.optim.SGD
    architecture_optimizer: torch.optim.Adam
    generators: dict[str, torch.Generator] = field(default_factory=dict)
    decisions: list[EdgeDecision] = field(default_factory=list)

    @property
    def weights(self) -> list[Tensor]:
        """The supernet's parameters."""
        return list(self.supernet.parameters())

    def mixing(self, alphas: Tensor) -> Tensor:
        """Turn architecture parameters into the weights of the operations.

        Parameters
        ----------
        alphas : Tensor of shape (n_edges, n_operations)
            The state's, or the same without a gradient.

        Returns
        -------
        Tensor of shape (n_edges, n_operations)
            A softmax over each row (DARTS, equation 2). On an edge that is decided the one
            operation has the weight 1, and the architecture parameters have no gradient.
        """
        mixing = torch.softmax(alphas, dim=1)
        if not self.decisions:
            return mixing
        edges = torch.tensor([one.edge for one in self.decisions])
        space = self.supernet.space
        kept = torch.tensor([space.index(one.operation) for one in self.decisions])
        alone = F.one_hot(kept, len(space)).to(mixing.dtype)
        # Decisions are known to the host alone, and every pass needs them on the device.
        device = mixing.device
        return mixing.index_copy(0, copy_to_device(edges, device), copy_to_device(alone, device))

    def genotype(self) -> Cell:
        """Take the likeliest operation of each edge, ``none`` included.

        Returns
        -------
        Cell
        """
        likeliest = self.alphas.detach().argmax(dim=1)
        return Cell.from_indices(likeliest.tolist(), self.supernet.space)

    def architecture_weights(self) -> tuple[tuple[float, ...], ...]:
        """Read the probabilities of the operations from the device.

        Returns
        -------
        tuple of tuple of float, shape (n_edges, n_operations)
        """
        rows: list[list[float]] = torch.softmax(self.alphas.detach(), dim=1).tolist()
        return tuple(tuple(row) for row in rows)

    def kept_statistics(self) -> AbstractContextManager[None]:
        """Undo, on leaving, what forward passes did to BatchNorm's running statistics."""
        return kept_statistics(self.supernet)

    def to_tensors(self) -> dict[str, Tensor]:
        """Collect the whole state under distinct names.

        Returns
        -------
        dict of Tensor
            Not copied.
        """
        tensors = self._parts().to_tensors()
        tensors["alphas"] = self.alphas.detach()
        if self.alphas.grad is not None:
            # The authors' gradient clipping reads what the step before left here.
            tensors["alphas.grad"] = self.alphas.grad
        if self.decisions:
            tensors["decisions"] = decisions_to_tensor(self.decisions, self.supernet.space)
        return tensors

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Set the whole state to what `to_tensors` collected.

        Parameters
        ----------
        tensors : dict of Tensor
            From a state with the same shapes.
        """
        self._parts().load_tensors(tensors)
        with torch.no_grad():
            self.alphas.copy_(tensors["alphas"])
        gradient = tensors.get("alphas.grad")
        self.alphas.grad = None if gradient is None else gradient.to(self.alphas.device)
        if "decisions" in tensors:
            self.decisions = decisions_from_tensor(tensors["decisions"], self.supernet.space)

    def _parts(self) -> Parts:
        return Parts(
            {"supernet": self.supernet},
            {
                "weight_optimizer": self.weight_optimizer,
                "architecture_optimizer": self.architecture_optimizer,
            },
            self.generators,
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
