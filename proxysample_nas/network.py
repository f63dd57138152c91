"""The network that judges a cell: the macro skeleton filled with it."""

from __future__ import annotations

import torch
from torch import nn

from proxysample.errors import InputError
from proxysample_nas.cell import Cell
from proxysample_nas.operations import KERNEL_SIZES, WideConvolution, average_pool
from proxysample_nas.skeleton import Skeleton


class CellModule(nn.Module):
    """One cell as a module; convolutions that read the same node run as one.

    An operation that does not reach the output keeps its parameters, since published parameter
    counts include them, but ``forward`` adds it to no node that is read.

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
        self.targets: dict[tuple[int, str], list[int]] = {}
        for source, target, operation in cell.edges:
            self.targets.setdefault((source, operation), []).append(target)
        self.convolutions = nn.ModuleDict(
            {
                f"{operation}~{source}": WideConvolution(
                    channels, len(targets), KERNEL_SIZES[operation], True, True, False
                )
                for (source, operation), targets in self.targets.items()
                if operation in KERNEL_SIZES
            }
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (b, channels, h, w) to the same shape."""
        sums: list[torch.Tensor | None] = [None] * self.n_nodes
        sums[0] = features
        for source in range(self.n_nodes - 1):
            reached = sums[source]
            node = torch.zeros_like(features) if reached is None else reached
            for operation, outputs in self._outputs(source, node):
                for target, output in zip(self.targets[source, operation], outputs, strict=True):
                    previous = sums[target]
                    sums[target] = output if previous is None else previous + output
        last = sums[-1]
        return torch.zeros_like(features) if last is None else last

    def _outputs(
        self, source: int, node: torch.Tensor
    ) -> list[tuple[str, tuple[torch.Tensor, ...]]]:
        outputs = []
        rectified = None
        for (edge_source, operation), targets in self.targets.items():
            if edge_source != source or operation == "none":
                continue
            if operation == "skip_connect":
                outputs.append((operation, (node,) * len(targets)))
            elif operation == "avg_pool_3x3":
                outputs.append((operation, (average_pool(node),) * len(targets)))
            else:
                rectified = torch.relu(node) if rectified is None else rectified
                wide = self.convolutions[f"{operation}~{source}"](rectified)
                outputs.append((operation, wide.chunk(len(targets), dim=1)))
        return outputs


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
        )
        self.cell = cell

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (b, in_channels, h, w) to logits (b, n_classes)."""
        return self.propagate(images, lambda cell, features: cell(features))
