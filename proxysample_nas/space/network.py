"""The network that judges a cell: the macro skeleton filled with it."""

from __future__ import annotations

import torch
from torch import nn

from proxysample.errors import InputError
from proxysample_nas.space.cell import CONVOLUTIONS, OPERATIONS, Cell
from proxysample_nas.space.operations import KERNEL_SIZES, WideConvolution, average_pool
from proxysample_nas.space.skeleton import Skeleton


class CellModule(nn.Module):
    """One cell as a module; convolutions that read the same node run as one.

    An operation that does not reach the output keeps its parameters, since published parameter
    counts include them, and is run only where it shares a convolution with one that does.

    Parameters
    ----------
    cell : Cell
        What to build.
    channels : int
        Channels of every feature map.
    """

    def __init__(self, cell: Cell, channels: int) -> None:
        super().__init__()
        self.n_nodes = cell.n_nodes
        groups: dict[tuple[int, str], list[int]] = {}
        for source, target, operation in cell.edges:
            groups.setdefault((source, operation), []).append(target)
        self.convolutions = nn.ModuleDict(
            {
                f"{operation}~{source}": WideConvolution(
                    channels,
                    n_groups=len(targets),
                    kernel_size=KERNEL_SIZES[operation],
                    affine=True,
                    track_running_stats=True,
                    conv_bias=False,
                )
                for (source, operation), targets in groups.items()
                if operation in CONVOLUTIONS
            }
        )
        edges = cell.edges
        running = {(edges[edge][0], edges[edge][2]) for edge in cell.edges_to_output}
        self._groups = [
            [(name, groups[source, name]) for name in OPERATIONS if (source, name) in running]
            for source in range(self.n_nodes - 1)
        ]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (b, channels, h, w) to the same shape."""
        sums: list[torch.Tensor | None] = [features] + [None] * (self.n_nodes - 1)
        for source, groups in enumerate(self._groups):
            reached = sums[source]
            node = torch.zeros_like(features) if reached is None else reached
            convolves = any(operation in CONVOLUTIONS for operation, _ in groups)
            rectified = torch.relu(node) if convolves else node
            for operation, targets in groups:
                terms = self._terms(operation, source, len(targets), node, rectified)
                for target, term in zip(targets, terms, strict=True):
                    total = sums[target]
                    sums[target] = term if total is None else total + term
        last = sums[-1]
        return torch.zeros_like(features) if last is None else last

    def _terms(
        self,
        operation: str,
        source: int,
        n_terms: int,
        node: torch.Tensor,
        rectified: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        if operation == "skip_connect":
            return (node,) * n_terms
        if operation == "avg_pool_3x3":
            return (average_pool(node),) * n_terms
        wide: torch.Tensor = self.convolutions[f"{operation}~{source}"](rectified)
        return wide.chunk(n_terms, dim=1)


class CellNetwork(Skeleton):
    """The macro skeleton with the same cell everywhere, trained to judge the cell.

    Parameters
    ----------
    cell : Cell
        The cell, with any number of nodes.
    channels : int, default=16
        Channels of the first stage; they double twice.
    cells_per_stage : int, default=5
        Cells in each of the three stages.
    n_classes : int, default=100
        Number of logits.
    in_channels : int, default=3
        Channels of the images.
    generator : torch.Generator, optional
        Source of the initial weights, on the CPU. Without it they differ from network to network.
        The global random state is left alone either way.
    autocast_dtype : torch.dtype, optional
        See `Skeleton`.

    Raises
    ------
    InputError
        If `cell` is not a `Cell` or a size is not a positive integer.

    Examples
    --------
    >>> cell = Cell.filled("skip_connect", n_nodes=5)
    >>> network = CellNetwork(cell)
    >>> sum(weight.numel() for weight in network.parameters())
    79156
    >>> network(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 100])
    """

    def __init__(
        self,
        cell: Cell,
        channels: int = 16,
        cells_per_stage: int = 5,
        n_classes: int = 100,
        in_channels: int = 3,
        generator: torch.Generator | None = None,
        autocast_dtype: torch.dtype | None = None,
    ) -> None:
        given: object = cell
        if not isinstance(given, Cell):
            raise InputError(f"cell must be a Cell, not {given!r}; parse it by Cell.from_string")
        super().__init__(
            lambda width: CellModule(cell, width),
            channels,
            cells_per_stage,
            n_classes,
            in_channels,
            generator,
            autocast_dtype,
        )
        self.cell = cell

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (b, in_channels, h, w) to logits (b, n_classes)."""
        return self.propagate(images, lambda cell, features: cell(features))
