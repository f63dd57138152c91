"""Everything that changes while a gradient-based search runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from proxysample_nas.cell import Cell
from proxysample_nas.supernet import Supernet


@dataclass
class SearchState:
    """A supernet, its architecture parameters, and what trains the two.

    Attributes
    ----------
    supernet : Supernet
    alphas : Tensor of shape (n_edges, 5)
        Architecture parameters: logits of the operations of each edge.
    weight_optimizer : torch.optim.SGD
        Of the supernet's parameters.
    architecture_optimizer : torch.optim.Adam
        Of `alphas`.
    generators : dict of torch.Generator
        The streams that the steps draw from, by name.
    """

    supernet: Supernet
    alphas: Tensor
    weight_optimizer: torch.optim.SGD
    architecture_optimizer: torch.optim.Adam
    generators: dict[str, torch.Generator] = field(default_factory=dict)

    @property
    def weights(self) -> list[Tensor]:
        """The supernet's parameters."""
        return list(self.supernet.parameters())

    def genotype(self) -> Cell:
        """Take the likeliest operation of each edge, ``none`` included.

        Returns
        -------
        Cell
        """
        return Cell.from_indices(self.alphas.detach().argmax(dim=1).tolist())

    def architecture_weights(self) -> tuple[tuple[float, ...], ...]:
        """Read the probabilities of the operations from the device.

        Returns
        -------
        tuple of tuple of float, shape (n_edges, 5)
        """
        rows: list[list[float]] = torch.softmax(self.alphas.detach(), dim=1).tolist()
        return tuple(tuple(row) for row in rows)

    @contextmanager
    def kept_statistics(self) -> Iterator[None]:
        """Undo, on leaving, what forward passes did to BatchNorm's running statistics."""
        buffers = list(self.supernet.buffers())
        saved = [buffer.clone() for buffer in buffers]
        try:
            yield
        finally:
            for buffer, value in zip(buffers, saved, strict=True):
                buffer.copy_(value)

    def to_tensors(self) -> dict[str, Tensor]:
        """Collect the whole state under distinct names.

        Returns
        -------
        dict of Tensor
            Not copied.
        """
        tensors = {f"supernet.{name}": value for name, value in self.supernet.state_dict().items()}
        tensors["alphas"] = self.alphas.detach()
        if self.alphas.grad is not None:
            # The authors' gradient clipping reads what the step before left here.
            tensors["alphas.grad"] = self.alphas.grad
        for name, optimizer in self._optimizers().items():
            for index, values in optimizer.state_dict()["state"].items():
                for key, value in values.items():
                    if value is not None:
                        tensors[f"{name}.{index}.{key}"] = value
        for name, generator in self.generators.items():
            tensors[f"generator.{name}"] = generator.get_state()
        return tensors

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Set the whole state to what `to_tensors` collected.

        Parameters
        ----------
        tensors : dict of Tensor
            From a state with the same shapes.
        """
        prefix = "supernet."
        self.supernet.load_state_dict(
            {
                name.removeprefix(prefix): tensors[name]
                for name in tensors
                if name.startswith(prefix)
            }
        )
        device = self.alphas.device
        with torch.no_grad():
            self.alphas.copy_(tensors["alphas"])
        gradient = tensors.get("alphas.grad")
        self.alphas.grad = None if gradient is None else gradient.to(device)
        for name, optimizer in self._optimizers().items():
            state: dict[int, dict[str, Any]] = {}
            for full_name, value in tensors.items():
                if full_name.startswith(f"{name}."):
                    _, index, key = full_name.split(".")
                    state.setdefault(int(index), {})[key] = value
            optimizer.load_state_dict(
                {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
            )
        for name, generator in self.generators.items():
            generator.set_state(tensors[f"generator.{name}"].cpu())

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {
            "weight_optimizer": self.weight_optimizer,
            "architecture_optimizer": self.architecture_optimizer,
        }
