"""Networks whose initial weights come from a generator of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def initialized(factory: Callable[[], ModuleT], seed: int) -> ModuleT:
    """Construct a network with PyTorch's default initial weights, drawn from one seed.

    The weights have the bits that the constructors would give them after
    ``torch.manual_seed(seed)``, and the global generators are neither seeded nor drawn from.

    Parameters
    ----------
    factory : callable
        Called without arguments, returns the network. Its parameters must belong to linear,
        convolution, transposed convolution or batch normalisation layers.
    seed : int

    Returns
    -------
    nn.Module
        On the CPU.

    Raises
    ------
    TypeError
        If a layer owns parameters or buffers that this function has no rule for.

    Examples
    --------
    >>> first, second = (initialized(lambda: nn.Linear(3, 2), seed=0) for _ in range(2))
    >>> torch.equal(first.weight, second.weight)
    True
    """
    # Constructors draw from the global generator and take no other: on the meta device there is
    # nothing to draw.
    with torch.device("meta"):
        network = factory()
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        _initialize(layer, generator)
    return network


def _initialize(layer: nn.Module, generator: torch.Generator) -> None:
    if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
        if layer.bias is not None:
            # As PyTorch counts them: of a transposed convolution, the inputs of its transpose.
            bound = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        layer.reset_parameters()
    elif (
        next(layer.parameters(recurse=False), next(layer.buffers(recurse=False), None)) is not None
    ):
        raise TypeError(f"no rule to initialise {type(layer).__name__}")
