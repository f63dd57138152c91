"""Which operations of a supernet have run, for the protocol that leaves the others as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

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
