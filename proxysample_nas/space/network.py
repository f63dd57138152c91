"""The network that evaluates a cell: the macro skeleton filled with it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from proxysample.errors import InputError
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.layers import WideConvolution
from proxysample_nas.space.modules import build_module
from proxysample_nas.space.operations import get_operation, in_fixed_order
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
        operations = {name: get_operation(name) for name in in_fixed_order(set(cell.operations))}
        self._kinds = {name: operation.kind for name, operation in operations.items()}
        groups: dict[tuple[int, str], list[int]] = {}
        for source, target, name in cell.edges:
            groups.setdefault((source, name), []).append(target)
        self.convolutions = nn.ModuleDict(
            {
                f"{name}~{source}": WideConvolution(
                    channels,
                    n_groups=len(targets),
                    kernel_size=kernel_size,
                    affine=True,
                    track_running_stats=True,
                    conv_bias=False,
                )
                for (source, name), targets in groups.items()
                if (kernel_size := operations[name].kernel_size) is not None
            }
        )
        self.pools = nn.ModuleDict(
            {
                name: build_module(operation, channels, affine=True, track_running_stats=True)
                for name, operation in operations.items()
                if operation.kind == "pool"
            }
        )
        self.edge_modules = nn.ModuleDict(
            {
                f"{name}~{source}~{target}": build_module(
                    operations[name], channels, affine=True, track_running_stats=True
                )
                for source, target, name in cell.edges
                if operations[name].kind == "module"
            }
        )
        running: dict[tuple[int, str], list[int]] = {}
        for edge in cell.edges_to_output:
            source, target, name = cell.edges[edge]
            running.setdefault((source, name), []).append(target)
        # Convolutions run side by side, those too that lead nowhere.
        running |= {key: groups[key] for key in running if self._kinds[key[1]] == "convolution"}
        self._groups = [
            [(name, running[source, name]) for name in operations if (source, name) in running]
            for source in range(self.n_nodes - 1)
        ]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (b, channels, h, w) to the same shape."""
        sums: list[torch.Tensor | None] = [features] + [None] * (self.n_nodes - 1)
        for source, groups in enumerate(self._groups):
            reached = sums[source]
            node = torch.zeros_like(features) if reached is None else reached
            convolves = any(self._kinds[name] == "convolution" for name, _ in groups)
            rectified = torch.relu(node) if convolves else node
            for name, targets in groups:
                terms = self._terms(name, source, targets, node, rectified)
                for target, term in zip(targets, terms, strict=True):
                    total = sums[target]
                    sums[target] = term if total is None else total + term
        last = sums[-1]
        return torch.zeros_like(features) if last is None else last

    def _terms(
        self,
        operation: str,
        source: int,
        targets: list[int],
        node: torch.Tensor,
        rectified: torch.Tensor,
    ) -> Sequence[torch.Tensor]:
        kind = self._kinds[operation]
        if kind == "identity":
            return [node] * len(targets)
        if kind == "pool":
            return [self.pools[operation](node)] * len(targets)
        if kind == "module":
            return [self.edge_modules[f"{operation}~{source}~{target}"](node) for target in targets]
        if kind == "convolution":
            wide: torch.Tensor = self.convolutions[f"{operation}~{source}"](rectified)
            return wide.chunk(len(targets), dim=1)
        raise InputError(f"a network cannot run the operation {operation!r} of kind {kind!r}")


class CellNetwork(Skeleton):
    """The macro skeleton with the same cell everywhere, trained to evaluate the cell.

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
