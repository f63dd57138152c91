"""Take modules, optimisers and generators down as tensors, and put them back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

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

    Parameters
    ----------
    network : nn.Module

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
