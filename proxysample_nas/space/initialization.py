"""Modules whose initial weights come from a generator of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from proxysample_nas.space.layers import ScaledBatchNorm

ModuleT = TypeVar("ModuleT", bound=nn.Module)

_DRAWN = (nn.Conv2d, nn.Linear)
_CONSTANT = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm, ScaledBatchNorm)

INITIALIZED = (*_DRAWN, *_CONSTANT)
"""The layers whose parameters and buffers `build` can initialise."""


def fresh_generator() -> torch.Generator:
    """Make a generator seeded by the operating system, the global one left untouched.

    Returns
    -------
    torch.Generator
        On the CPU.

    Examples
    --------
    >>> fresh_generator().initial_seed() != fresh_generator().initial_seed()
    True
    """
    generator = torch.Generator()
    generator.seed()
    return generator


def build(
    factory: Callable[[], ModuleT],
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> ModuleT:
    """Construct a module with PyTorch's default distributions, drawn from one generator.

    The weights are drawn on the CPU in float32 and then moved, so that they are the same on every
    device and in every dtype. The global random state is neither read nor advanced.

    Parameters
    ----------
    factory : callable
        Called without arguments, returns the module. Its parameters must belong to layers out of
        `INITIALIZED`.
    generator : torch.Generator, optional
        On the CPU. Without it the weights differ from call to call.
    device, dtype : optional
        Where the module goes; the CPU and float32 by default.

    Returns
    -------
    nn.Module
        What `factory` built.

    Raises
    ------
    TypeError
        If a module owns parameters or buffers that this function has no rule for.

    Examples
    --------
    >>> first = build(lambda: nn.Linear(3, 2), torch.Generator().manual_seed(0))
    >>> second = build(lambda: nn.Linear(3, 2), torch.Generator().manual_seed(0))
    >>> torch.equal(first.weight, second.weight)
    True
    """
    with torch.device("meta"):
        module = factory()
    materialize(module, generator)
    return module.to(device=device, dtype=dtype)


def materialize(module: nn.Module, generator: torch.Generator | None = None) -> None:
    """Give a module on the meta device its memory, on the CPU, and its initial values.

    Parameters
    ----------
    module : nn.Module
        Changed in place; see `build` for what it may consist of.
    generator : torch.Generator, optional
        On the CPU. Without it the weights differ from call to call.

    Raises
    ------
    TypeError
        If a module owns parameters or buffers that this function has no rule for.

    Examples
    --------
    >>> layer = nn.Linear(3, 2, device="meta")
    >>> materialize(layer)
    >>> layer.weight.device
    device(type='cpu')
    """
    module.to_empty(device="cpu")
    generator = generator if generator is not None else fresh_generator()
    with torch.no_grad():
        for submodule in module.modules():
            _initialize(submodule, generator)


def uniform_fan_in(tensor: torch.Tensor, fan_in: int, generator: torch.Generator) -> torch.Tensor:
    """Fill a weight or bias as PyTorch does by default: uniform within 1 / sqrt(fan_in).

    `nn.Conv2d` and `nn.Linear` take ``kaiming_uniform_(a=sqrt(5))`` for weights (He et al. 2015,
    equation 14), whose bound sqrt(6 / ((1 + a^2) fan_in)) is 1 / sqrt(fan_in), and the same
    bound for biases.

    Parameters
    ----------
    tensor : torch.Tensor
        Filled in place.
    fan_in : int
        Number of inputs of one output unit.
    generator : torch.Generator
        On the device of `tensor`.

    Returns
    -------
    torch.Tensor
        The same tensor.

    Examples
    --------
    >>> weight = uniform_fan_in(torch.empty(100), 25, torch.Generator().manual_seed(0))
    >>> bool(weight.abs().max() <= 0.2)
    True
    """
    bound = 1 / math.sqrt(fan_in)
    return nn.init.uniform_(tensor, -bound, bound, generator=generator)


def owner_without_rule(module: nn.Module) -> nn.Module | None:
    """Find the first part with parameters or buffers of its own that `build` cannot initialise.

    Examples
    --------
    >>> owner_without_rule(nn.Sequential(nn.ReLU(), nn.Conv2d(1, 1, 3)))
    >>> owner_without_rule(nn.Sequential(nn.PReLU()))
    PReLU(num_parameters=1)
    """
    return next(
        (part for part in module.modules() if not isinstance(part, INITIALIZED) and _owns(part)),
        None,
    )


def _initialize(module: nn.Module, generator: torch.Generator) -> None:
    if isinstance(module, _DRAWN):
        fan_in = module.weight[0].numel()
        uniform_fan_in(module.weight, fan_in, generator)
        if module.bias is not None:
            uniform_fan_in(module.bias, fan_in, generator)
    elif isinstance(module, _CONSTANT):
        module.reset_parameters()
    elif _owns(module):
        raise TypeError(f"no rule to initialise {type(module).__name__}")


def _owns(module: nn.Module) -> bool:
    own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    return bool(own)
