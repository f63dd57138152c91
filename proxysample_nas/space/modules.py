"""Modules as networks need them: initial weights of a generator of their own, operations tried."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch
from torch import nn

from proxysample.errors import InputError
from proxysample.features.backbones import lazy_part
from proxysample.printing import shown
from proxysample_nas.space.layers import ScaledBatchNorm
from proxysample_nas.space.operations import (
    Builder,
    Operation,
    SearchSpace,
    refuse_described,
)

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
    # As `to_empty`, which asks for the layout of each tensor by many steps in Python.
    module._apply(  # type: ignore[no-untyped-call]
        lambda one: torch.empty_strided(one.size(), one.stride(), dtype=one.dtype, device="cpu")
    )
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


_SHAPES = ((2, 4, 8, 8), (3, 4, 5, 7))


def build_module(
    operation: Operation, channels: int, affine: bool, track_running_stats: bool
) -> nn.Module:
    """Make the module of one edge, or of all edges out of a node where it is a pool.

    The operation is tried out before the first is built; `InputError` where no network could run
    it.
    """
    if operation.builder is None:
        raise InputError(
            f"operation {operation.name!r} is of kind {operation.kind!r}, which builds no module"
        )
    refuse_described([operation.name])
    _try(operation, operation.builder)
    return _build(operation, channels, affine, track_running_stats)


def try_operations(space: SearchSpace) -> None:
    """Raise `InputError` for the first operation of a space that no network could run."""
    for operation in space:
        if operation.is_runnable and operation.builder is not None:
            _try(operation, operation.builder)


@cache
def _try(operation: Operation, builder: Builder) -> None:  # noqa: ARG001  # of the cache's key
    # The networks are built on the meta device, under which nothing can be computed.
    with torch.device("cpu"), torch.random.fork_rng(devices=[]), torch.no_grad():
        plain = build(lambda: _build(operation, _SHAPES[0][1], False, False))
        with_parameters = build(lambda: _build(operation, _SHAPES[0][1], True, True))
        _check_parameters(operation, with_parameters)
        _check_own(operation)
        for shape in _SHAPES:
            images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
            for module in (plain, with_parameters):
                _check_output(operation, module, images)
        _check_gradient(operation, with_parameters)


def _build(
    operation: Operation, channels: int, affine: bool, track_running_stats: bool
) -> nn.Module:
    where = f"operation {operation.name!r}"
    assert operation.builder is not None
    try:
        module: object = operation.builder(channels, affine, track_running_stats)
    except Exception as error:
        raise InputError(
            f"{where}: its builder failed for {channels} channels: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(module, nn.Module):
        raise InputError(f"{where}: its builder must return an nn.Module, not {shown(module)}")
    lazy = lazy_part(module)
    if lazy is not None:
        raise InputError(
            f"{where}: its {type(lazy).__name__} has no weights before it is run; build it of "
            "layers that are told their channels"
        )
    owner = owner_without_rule(module)
    if owner is not None:
        known = ", ".join(layer.__name__ for layer in INITIALIZED)
        raise InputError(
            f"{where}: a network cannot initialise the parameters or buffers of its "
            f"{type(owner).__name__}; build it of {known}"
        )
    return module


def _check_parameters(operation: Operation, module: nn.Module) -> None:
    learns = any(True for _ in module.parameters())
    if operation.kind == "pool" and (learns or any(True for _ in module.buffers())):
        raise InputError(
            f"operation {operation.name!r} has parameters or buffers, which every edge needs for "
            "itself: its kind is 'module', not 'pool'"
        )
    if operation.kind == "module" and not learns:
        raise InputError(
            f"operation {operation.name!r} has no parameters: its kind is 'pool', not 'module'"
        )
    if not all(parameter.requires_grad for parameter in module.parameters()):
        raise InputError(
            f"operation {operation.name!r} has parameters that require no gradient, so that they "
            "would stay as they are drawn; build it with parameters that are trained"
        )


def _check_gradient(operation: Operation, module: nn.Module) -> None:
    parameters = list(module.parameters())
    if not parameters:
        return
    with torch.enable_grad():
        output = module(torch.ones(_SHAPES[0]))
        is_reached = output.requires_grad and any(
            gradient is not None
            for gradient in torch.autograd.grad(output.sum(), parameters, allow_unused=True)
        )
    if not is_reached:
        raise InputError(
            f"operation {operation.name!r} passes no gradient on to its parameters, so that they "
            "would never be trained; build it without detach, numpy and the like"
        )


def _check_own(operation: Operation) -> None:
    """Refuse a builder that hands out the same parameters again: each edge has its own."""
    with torch.device("meta"):
        one, other = (_build(operation, _SHAPES[0][1], True, True) for _ in range(2))
    if {id(tensor) for tensor in one.parameters()} & {id(tensor) for tensor in other.parameters()}:
        raise InputError(
            f"operation {operation.name!r}: its builder gives the same module again, and every "
            "edge needs one of its own; make it anew in each call"
        )


def failing_operation(cell: nn.Module, features: torch.Tensor) -> tuple[str, Exception] | None:
    """Find an operation of a cell's module that cannot be run on its input, where that is why."""
    with torch.no_grad():
        for modules in (getattr(cell, "pools", {}), getattr(cell, "edge_modules", {})):
            for name, module in modules.items():
                try:
                    module(features)
                except Exception as error:  # whatever a module of anyone's raises
                    return name.partition("~")[0], error
    return None


def _check_output(operation: Operation, module: nn.Module, images: torch.Tensor) -> None:
    given = images.clone()
    try:
        output = module(given)
        unchanged = torch.equal(given, images)
        again = module(images.clone())
    except Exception as error:
        raise InputError(
            f"operation {operation.name!r} cannot be run on images of the shape "
            f"{tuple(images.shape)}: {type(error).__name__}: {error}"
        ) from error
    if not unchanged:
        raise InputError(
            f"operation {operation.name!r} changes its input in place, which other edges read; "
            "build it with inplace=False"
        )
    if not isinstance(output, torch.Tensor) or output.shape != images.shape:
        made = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise InputError(
            f"operation {operation.name!r} must keep the shape (batch, channels, height, width), "
            f"but makes {made} of {tuple(images.shape)}"
        )
    if output.dtype != images.dtype:
        raise InputError(
            f"operation {operation.name!r} must keep the type of its input, but makes "
            f"{output.dtype} of {images.dtype}"
        )
    if not output.isfinite().all():
        raise InputError(
            f"operation {operation.name!r} makes values that are not finite of images that are"
        )
    if not torch.equal(output, again):
        raise InputError(
            f"operation {operation.name!r} gives another output each time, as dropout does, so "
            "that no search with it could be repeated; build it without that"
        )
