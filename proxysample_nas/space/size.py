"""How large a cell's network is: its parameters, and the arithmetic of one image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from proxysample.checks import POSITIVE_INTEGER
from proxysample.errors import InputError
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.network import CellNetwork

# What files and frames of numbers hold.
LARGEST = 2**63 - 1


@dataclass(frozen=True)
class NetworkSize:
    """Size of a cell's network.

    Attributes
    ----------
    n_parameters : int
        Learnable ones. As in published counts, operations that lead nowhere have theirs too.
    n_flops : int
        Floating-point operations of the convolutions and matrix products that one image runs
        through, forwards; a multiplication and its addition are two. Published counts of
        NAS-Bench-201 take them for one.
    """

    n_parameters: int
    n_flops: int


def network_size(
    cell: Cell,
    n_classes: int,
    image_shape: tuple[int, int, int] = (3, 32, 32),
    *,
    channels: int = 16,
    cells_per_stage: int = 5,
) -> NetworkSize:
    """Measure the network that has a cell everywhere, without memory for its weights.

    It takes no longer for many cells a stage than for two.

    Parameters
    ----------
    cell : Cell
    n_classes : int
        Number of logits.
    image_shape : tuple of int
        Channels, height and width.
    channels, cells_per_stage : int
        See `proxysample_nas.space.network.CellNetwork`.

    Returns
    -------
    NetworkSize

    Raises
    ------
    InputError
        If a size is not a positive integer, or the network is larger than any can be.

    Examples
    --------
    >>> network_size(Cell.filled("skip_connect", n_nodes=4), n_classes=10)
    NetworkSize(n_parameters=73306, n_flops=15566080)
    """
    for name, value in (
        ("channels", channels),
        ("cells_per_stage", cells_per_stage),
        ("n_classes", n_classes),
    ):
        POSITIVE_INTEGER.check(name, value)
    if max(channels, n_classes, *image_shape) > LARGEST // 4:
        raise _too_large(channels, cells_per_stage, n_classes, image_shape)
    try:
        one, two = (_measure(cell, channels, n, n_classes, image_shape) for n in (1, 2))
    except (RuntimeError, OverflowError) as error:
        raise _too_large(channels, cells_per_stage, n_classes, image_shape) from error
    # The cells of a stage are all alike.
    size = NetworkSize(
        *(
            first + (cells_per_stage - 1) * (second - first)
            for first, second in zip(one, two, strict=True)
        )
    )
    if max(size.n_parameters, size.n_flops) > LARGEST:
        raise _too_large(channels, cells_per_stage, n_classes, image_shape)
    return size


def _measure(
    cell: Cell,
    channels: int,
    cells_per_stage: int,
    n_classes: int,
    image_shape: tuple[int, int, int],
) -> tuple[int, int]:
    # Nothing is drawn where nothing has memory.
    with torch.device("meta"):
        network = CellNetwork(cell, channels, cells_per_stage, n_classes, image_shape[0]).eval()
        images = torch.zeros(1, *image_shape)
    with torch.no_grad(), _Counter() as counter:
        network(images)
    return sum(weight.numel() for weight in network.parameters()), counter.n_flops


def _too_large(
    channels: int, cells_per_stage: int, n_classes: int, image_shape: tuple[int, int, int]
) -> InputError:
    return InputError(
        f"no network can be as large as one of channels={channels} and "
        f"cells_per_stage={cells_per_stage} for {n_classes} classes and images of "
        f"{'x'.join(map(str, image_shape))}; lower them"
    )


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch has no types here
    """Counts as `torch.utils.flop_counter.FlopCounterMode`, which takes other calls apart first."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.n_flops = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        count: Callable[..., int] | None = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.n_flops += count(*args, **(kwargs or {}), out_val=result)
        return result
