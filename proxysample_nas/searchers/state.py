"""All that changes while weights are shared in a search, taken down as tensors and put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from proxysample.device import copy_to_device
from proxysample_nas.searchers.result import EdgeDecision
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace
from proxysample_nas.space.supernet import Supernet


class RunOperations:
    """Remembers what has run, and keeps what has not from weight decay and momentum.

    In the authors' code an operation that was never chosen has no gradient, and its optimiser
    passes it by. Once it has run, its gradient is zero where it is not chosen, and weight decay
    and momentum act on it.

    Parameters
    ----------
    supernet : Supernet

    Attributes
    ----------
    has_run : Tensor of shape (n_edges, n_operations), bool
        On the host.
    """

    def __init__(self, supernet: Supernet) -> None:
        self.supernet = supernet
        self.has_run = torch.zeros(supernet.n_edges, len(supernet.space), dtype=torch.bool)

    def add(self, operations: Sequence[int]) -> None:
        """Note that a pass with a gradient has run an operation on every edge."""
        self.has_run[torch.arange(len(operations)), torch.tensor(operations)] = True

    @contextmanager
    def passed_by(self, optimizer: torch.optim.Optimizer) -> Iterator[None]:
        """Undo, on leaving, what a step of an optimiser did to what has not run."""
        waiting = self._waiting()
        saved = [part.detach().clone() for _, part, _ in waiting]
        yield
        with torch.no_grad():
            for (parameter, part, rows), value in zip(waiting, saved, strict=True):
                part.copy_(value)
                momentum = optimizer.state[parameter].get("momentum_buffer")
                if momentum is not None:
                    momentum[rows].zero_()

    def _waiting(self) -> list[tuple[Tensor, Tensor, slice]]:
        """List each parameter of what has not run: whole, its part, and the part's rows."""
        return [
            one
            for edge, operation in (~self.has_run).nonzero().tolist()
            for one in self.supernet.parameters_of(edge, self.supernet.space.operations[operation])
        ]

    def to_tensor(self) -> Tensor:
        """Give what a checkpoint keeps."""
        return self.has_run

    def load_tensor(self, tensor: Tensor) -> None:
        """Set to what `to_tensor` gave; `ValueError` for one of another search."""
        if tensor.shape != self.has_run.shape or tensor.dtype != torch.bool:
            raise ValueError("the operations that have run are of another shape")
        self.has_run = tensor.cpu().clone()


def passed_by(
    run: RunOperations | None, optimizer: torch.optim.Optimizer
) -> AbstractContextManager[None]:
    """See `RunOperations.passed_by`; None lets every step act on all."""
    return nullcontext() if run is None else run.passed_by(optimizer)


# What Adam keeps of every parameter from its first step on.
ADAM = frozenset({"step", "exp_avg", "exp_avg_sq"})


@dataclass(frozen=True)
class Parts:
    """What a state consists of, by names without a dot.

    Attributes
    ----------
    modules : mapping of str to nn.Module
    optimizers : mapping of str to torch.optim.Optimizer
    generators : mapping of str to torch.Generator

    Examples
    --------
    >>> layer = nn.Linear(1, 1)
    >>> parts = Parts({"layer": layer}, {"optimizer": torch.optim.SGD(layer.parameters(), 0.1)})
    >>> sorted(parts.to_tensors())
    ['layer.bias', 'layer.weight']
    """

    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]
    generators: Mapping[str, torch.Generator] = field(default_factory=dict)

    def to_tensors(self) -> dict[str, Tensor]:
        """Collect the parts under distinct names.

        Returns
        -------
        dict of Tensor
            Not copied.
        """
        tensors = {
            f"{name}.{key}": value
            for name, module in self.modules.items()
            for key, value in module.state_dict().items()
        }
        for name, optimizer in self.optimizers.items():
            for index, values in optimizer.state_dict()["state"].items():
                for key, value in values.items():
                    if value is not None:
                        tensors[f"{name}.{index}.{key}"] = value
        for name, generator in self.generators.items():
            tensors[f"generator.{name}"] = generator.get_state()
        return tensors

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the parts to what `to_tensors` collected.

        Parameters
        ----------
        tensors : mapping of str to Tensor
            From parts with the same shapes; other names are left alone.

        Raises
        ------
        RuntimeError, LookupError, ValueError
            If a tensor is missing or of another shape.
        """
        for name, module in self.modules.items():
            module.load_state_dict(_under(name, tensors))
        for name, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Any]] = {}
            for full_name, value in _under(name, tensors).items():
                index, key = full_name.split(".")
                state.setdefault(int(index), {})[key] = value
            optimizer.load_state_dict(
                {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
            )
            _check_state(name, optimizer)
        for name, generator in self.generators.items():
            generator.set_state(tensors[f"generator.{name}"].cpu())


def _check_state(name: str, optimizer: torch.optim.Optimizer) -> None:
    """Raise what torch would only raise, or not even raise, at the next step."""
    needed = ADAM if isinstance(optimizer, torch.optim.Adam) else frozenset()
    for parameter, values in optimizer.state.items():
        missing = needed - values.keys()
        if missing:
            raise LookupError(f"{name} lacks {min(missing)}")
        for key, value in values.items():
            if value.shape not in (torch.Size(), parameter.shape):
                raise ValueError(f"{name}: {key} has shape {tuple(value.shape)}")


def _under(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): tensors[key] for key in tensors if key.startswith(prefix)}


@contextmanager
def kept_statistics(network: nn.Module) -> Iterator[None]:
    """Undo, on leaving, what forward passes did to BatchNorm's running statistics.

    Examples
    --------
    >>> norm = nn.BatchNorm1d(1)
    >>> with kept_statistics(norm):
    ...     _ = norm(torch.tensor([[3.0], [5.0]]))
    >>> norm.running_mean
    tensor([0.])
    """
    buffers = list(network.buffers())
    saved = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, value in zip(buffers, saved, strict=True):
            buffer.copy_(value)


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
    run : RunOperations or None
        Where what has not run yet is passed by.
    """

    supernet: Supernet
    alphas: Tensor
    weight_optimizer: torch.optim.SGD
    architecture_optimizer: torch.optim.Adam
    generators: dict[str, torch.Generator] = field(default_factory=dict)
    decisions: list[EdgeDecision] = field(default_factory=list)
    run: RunOperations | None = None

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
        """Take the likeliest operation of each edge, ``none`` included."""
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
        if self.run is not None:
            tensors["has_run"] = self.run.to_tensor()
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
        if self.run is not None:
            self.run.load_tensor(tensors["has_run"])
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
