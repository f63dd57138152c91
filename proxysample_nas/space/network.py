"""The network that evaluates a cell: the macro skeleton, the same in search, filled with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from torch import nn

from proxysample.checks import instance_of, integer_from, one_of
from proxysample.device import is_traced
from proxysample.errors import InputError
from proxysample.isolation import is_for_memory
from proxysample.printing import shown
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.layers import WideConvolution
from proxysample_nas.space.modules import build_module, failing_operation, materialize
from proxysample_nas.space.operations import get_operation, in_fixed_order

N_STAGES = 3
# More is no network that anybody trains, and some of it no number that torch takes.
MOST_SIZES = {
    "channels": 1 << 20,
    "cells_per_stage": 1 << 10,
    "n_classes": 1 << 24,
    "in_channels": 1 << 20,
}

Precision = Literal["float32", "bfloat16"]

AUTOCAST_DTYPES: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16}

PRECISION = one_of("precision", AUTOCAST_DTYPES)


def autocast_dtype(precision: str) -> torch.dtype | None:
    """Say to which dtype a network's features and products are cast.

    float16 is no choice: a cell of five nodes that only skips multiplies its input by 8, 15 cells
    in a row by 3.5e13, which float16 cannot hold and bfloat16 can.

    Parameters
    ----------
    precision : {"float32", "bfloat16"}

    Returns
    -------
    torch.dtype or None
        None for no cast.

    Raises
    ------
    InputError
        If the name is unknown.

    Examples
    --------
    >>> autocast_dtype("bfloat16")
    torch.bfloat16
    """
    PRECISION.check("precision", precision)
    return AUTOCAST_DTYPES[precision]


class ResidualReduction(nn.Module):
    """Halve the height and width and change the channels, as a residual block.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels before and after.

    Notes
    -----
    Main path: ReLU, 3x3 convolution of stride 2, BatchNorm, ReLU, 3x3 convolution, BatchNorm.
    Shortcut: 2x2 average pool, 1x1 convolution, without BatchNorm (NAS-Bench-201, Figure 1).
    An odd height or width is rounded up on both paths.

    Examples
    --------
    >>> ResidualReduction(4, 8)(torch.zeros(2, 4, 8, 7)).shape
    torch.Size([2, 8, 4, 4])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, stride=2, ceil_mode=True),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (b, in_channels, h, w) to (b, out_channels, ceil(h / 2), ceil(w / 2))."""
        reduced: torch.Tensor = self.main(features) + self.shortcut(features)
        return reduced


class Skeleton(nn.Module):
    """Stem, three stages of cells with a reduction between them, and a linear head.

    Parameters
    ----------
    create_cell : callable
        Called with the number of channels for every cell; returns the cell's module, which keeps
        the shape (b, channels, h, w).
    channels : int
        Channels of the first stage; they double at each of the two reductions.
    cells_per_stage : int
        Cells in each of the three stages.
    n_classes : int
        Number of logits.
    in_channels : int
        Channels of the images.
    generator : torch.Generator, optional
        Source of the initial weights, on the CPU. Without it they differ from one to the next.
    autocast_dtype : torch.dtype, optional
        What features and products are cast to; parameters, statistics and logits are not.

    Raises
    ------
    InputError
        If a size is not a positive integer.

    Notes
    -----
    Stem: 3x3 convolution and BatchNorm. Head: BatchNorm, ReLU, global average pool, linear layer
    (NAS-Bench-201, section 2.1 and Figure 1). No convolution has a bias here.

    Examples
    --------
    >>> skeleton = Skeleton(lambda channels: nn.Identity(), 16, 5, 100, 3)
    >>> sum(weight.numel() for weight in skeleton.parameters())
    79156
    """

    def __init__(
        self,
        create_cell: Callable[[int], nn.Module],
        channels: int,
        cells_per_stage: int,
        n_classes: int,
        in_channels: int,
        generator: torch.Generator | None = None,
        autocast_dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in [
            ("channels", channels),
            ("cells_per_stage", cells_per_stage),
            ("n_classes", n_classes),
            ("in_channels", in_channels),
        ]:
            integer_from(1, MOST_SIZES[name]).check(name, size)
        self.in_channels = in_channels
        self.autocast_dtype = autocast_dtype
        self.channels = channels
        self.cells_per_stage = cells_per_stage
        self.n_classes = n_classes
        widths = [channels * 2**stage for stage in range(N_STAGES)]
        with torch.device("meta"):
            self.stem = nn.Sequential(
                nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
            )
            self.stages = nn.ModuleList(
                nn.ModuleList(create_cell(width) for _ in range(cells_per_stage))
                for width in widths
            )
            self.reductions = nn.ModuleList(
                ResidualReduction(width, 2 * width) for width in widths[:-1]
            )
            self.head = nn.Sequential(
                nn.BatchNorm2d(widths[-1]),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(widths[-1], n_classes),
            )
        # Under ``torch.device("meta")`` a network stays there, without memory, to be loaded into.
        if torch.empty(0).device.type != "meta":
            materialize(self, generator)

    def propagate(
        self, images: torch.Tensor, run_cell: Callable[[nn.Module, torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Run the images through stem, cells, reductions and head.

        Parameters
        ----------
        images : torch.Tensor, shape (b, in_channels, h, w), floating point
        run_cell : callable
            Applies one cell's module to its input.

        Returns
        -------
        torch.Tensor, shape (b, n_classes)
            The logits.

        Raises
        ------
        InputError
            If `images` does not have that shape and kind.
        """
        # A trace would tell of every comparison of a shape that it cannot follow it.
        if not is_traced():
            self._check_images(images)
        if self.autocast_dtype is None:
            return self._propagate(images, run_cell)
        with torch.autocast(images.device.type, self.autocast_dtype):
            return self._propagate(images, run_cell).to(images.dtype)

    def _propagate(
        self, images: torch.Tensor, run_cell: Callable[[nn.Module, torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        # Channels innermost suits narrow convolutions. It is set behind the stem, since images of
        # one channel have no such layout to hand on.
        features = self.stem(images).contiguous(memory_format=torch.channels_last)
        for index, stage in enumerate(self.stages):
            if index > 0:
                features = self.reductions[index - 1](features)
            for cell in cast(nn.ModuleList, stage):
                try:
                    features = run_cell(cell, features)
                except (RuntimeError, ValueError, TypeError, LookupError) as error:
                    _refuse_operation(cell, features, index, error)
                    raise
        logits: torch.Tensor = self.head(features)
        return logits

    def _check_images(self, images: torch.Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise InputError(
                f"images must have the shape (batch, {self.in_channels}, height, width), not "
                f"{tuple(images.shape)}"
            )
        if not images.is_floating_point():
            raise InputError(
                f"images must be floating point, not {images.dtype}; scale and normalise them"
            )


def _refuse_operation(
    cell: nn.Module, features: torch.Tensor, stage: int, error: Exception
) -> None:
    """Name the operation that could not be run, where an error is of one and not of memory."""
    if isinstance(error, torch.OutOfMemoryError) or is_for_memory(error):
        return
    found = failing_operation(cell, features)
    if found is not None:
        raise InputError(
            f"operation {found[0]!r} cannot be run on images of the shape "
            f"{tuple(features.shape)}, which they have in stage {stage + 1} of the network: "
            f"{type(found[1]).__name__}: {found[1]}"
        ) from error


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


class _Traced(nn.Sequential):
    def __init__(self, traced: nn.Module, network: nn.Module) -> None:
        super().__init__(traced)
        # PyTorch remembers by its id what it replaces in a larger network, so it has to stay alive.
        self._network = (network,)


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
            raise InputError(
                f"cell must be a Cell, not {shown(given)}; parse it by Cell.from_string"
            )
        instance_of(torch.Generator).or_none().check("generator", generator)
        instance_of(torch.dtype).or_none().check("autocast_dtype", autocast_dtype)
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

    def __prepare_scriptable__(self) -> nn.Module:
        """Give `torch.jit.script` the network as it is traced: what runs a cell is no script."""
        if self.training:
            raise InputError(
                "torch.jit.script records a network as it evaluates; call eval() on it before"
            )
        like = next(self.parameters())
        images = like.new_zeros(2, self.in_channels, 16, 16)
        traced: nn.Module = torch.jit.trace(  # type: ignore[no-untyped-call]
            self, images, check_trace=False
        )
        return _Traced(traced, self).eval()
