"""The modules that an operation's builder makes: tried out once, and built for the networks."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from proxysample.errors import InputError
from proxysample.printing import shown
from proxysample_nas.space.initialization import INITIALIZED, build, owner_without_rule
from proxysample_nas.space.operations import Builder, Operation, SearchSpace

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
    _try(operation, operation.builder)
    return _build(operation, channels, affine, track_running_stats)


def try_operations(space: SearchSpace) -> None:
    """Raise `InputError` for the first operation of a space that no network could run."""
    for operation in space:
        if operation.builder is not None:
            _try(operation, operation.builder)


@cache
def _try(operation: Operation, builder: Builder) -> None:  # noqa: ARG001  # of the cache's key
    # The networks are built on the meta device, under which nothing can be computed.
    with torch.device("cpu"), torch.random.fork_rng(devices=[]), torch.no_grad():
        plain = build(lambda: _build(operation, _SHAPES[0][1], False, False))
        with_parameters = build(lambda: _build(operation, _SHAPES[0][1], True, True))
        _check_parameters(operation, with_parameters)
        for shape in _SHAPES:
            images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
            for module in (plain, with_parameters):
                _check_output(operation, module, images)


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
    if not torch.equal(output, again):
        raise InputError(
            f"operation {operation.name!r} gives another output each time, as dropout does, so "
            "that no search with it could be repeated; build it without that"
        )
