"""The supernet: every operation on every edge, mixed by weights that the searcher owns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch

from proxysample.errors import InputError
from proxysample_nas.space.cell import OPERATIONS, Cell, n_edges
from proxysample_nas.space.skeleton import Skeleton
from proxysample_nas.space.supernet_cell import SupernetCell, sample_cell, split_mixing


class Supernet(Skeleton):
    """The macro skeleton with all five operations on every edge of every cell.

    All cells share one matrix of edge weights, which is not part of the module: the searcher owns
    the architecture parameters and hands in what it made of them (DARTS, Liu et al. 2019,
    equation 2; NAS-Bench-201, section 4).

    Parameters
    ----------
    n_nodes : int, default=5
        Nodes of a cell, its input included: 5 in the paper, 4 in NAS-Bench-201.
    channels : int, default=16
        Channels of the first stage; they double twice.
    cells_per_stage : int, default=5
        Cells in each of the three stages.
    n_classes : int, default=100
        Number of logits.
    in_channels : int, default=3
        Channels of the images.
    affine : bool, default=False
        Whether the BatchNorm of the operations has a learnable scale and shift.
    track_running_stats : bool, default=True
        Whether that BatchNorm keeps running statistics and uses them in evaluation mode. The
        BatchNorm of stem, reductions and head always does.
    conv_bias : bool, default=False
        Whether the convolutions of the operations have a bias. BatchNorm cancels it in training
        mode, yet the authors' supernet has it.
    generator : torch.Generator, optional
        Source of the initial weights, on the CPU. Without it they differ from network to network.
        The global random state is left alone either way.
    autocast_dtype : torch.dtype, optional
        See `Skeleton`.

    Raises
    ------
    InputError
        If `n_nodes` is below 2 or another size is not a positive integer.

    Examples
    --------
    >>> supernet = Supernet(n_nodes=4, channels=4, cells_per_stage=1, n_classes=10)
    >>> mixing = torch.full((6, 5), 0.2)
    >>> supernet(torch.zeros(2, 3, 8, 8), mixing).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        n_nodes: int = 5,
        channels: int = 16,
        cells_per_stage: int = 5,
        n_classes: int = 100,
        in_channels: int = 3,
        affine: bool = False,
        track_running_stats: bool = True,
        conv_bias: bool = False,
        generator: torch.Generator | None = None,
        autocast_dtype: torch.dtype | None = None,
    ) -> None:
        edge_count = n_edges(n_nodes)
        super().__init__(
            lambda width: SupernetCell(n_nodes, width, affine, track_running_stats, conv_bias),
            channels,
            cells_per_stage,
            n_classes,
            in_channels,
            generator,
            autocast_dtype,
        )
        self.n_nodes = n_nodes
        self.n_edges = edge_count
        self.track_running_stats = track_running_stats

    def forward(self, images: torch.Tensor, mixing: torch.Tensor) -> torch.Tensor:
        """Mix all operations on every edge.

        Parameters
        ----------
        images : torch.Tensor, shape (b, in_channels, h, w), floating point
        mixing : torch.Tensor, shape (n_edges, 5), floating point
            The weight of each operation on each edge, in the order of `OPERATIONS`; DARTS takes
            a softmax over the last dimension. ``none`` contributes nothing.

        Returns
        -------
        torch.Tensor, shape (b, n_classes)
            The logits.

        Raises
        ------
        InputError
            If a shape or dtype is another.
        """
        self._check_edge_weights("mixing", mixing)
        mixings = split_mixing(mixing.to(images.dtype), self.n_nodes)
        return self.propagate(images, lambda cell, features: cell(features, mixings))

    def forward_sampled(
        self,
        images: torch.Tensor,
        operations: Sequence[int],
        gates: torch.Tensor | None = None,
        scalar_trick: bool = False,
    ) -> torch.Tensor:
        """Run one chosen operation on every edge and none of the others.

        Parameters
        ----------
        images : torch.Tensor, shape (b, in_channels, h, w), floating point
        operations : sequence of int, length n_edges
            Index in `OPERATIONS` of each edge's operation.
        gates : torch.Tensor, shape (n_edges, 5), floating point, optional
            The chosen operation's output is multiplied by its gate, as GDAS needs (Dong & Yang
            2019, equation 7). Without it the output is taken as it is.
        scalar_trick : bool, default=False
            Add the gates of the operations that were not chosen to the feature map, as the
            authors of GDAS do. They are zeros, but so get a gradient.

        Returns
        -------
        torch.Tensor, shape (b, n_classes)
            The logits.

        Raises
        ------
        InputError
            If a shape, dtype or index is another.
        """
        cell = Cell.from_indices(operations)
        if cell.n_nodes != self.n_nodes:
            raise InputError(
                f"operations must be {self.n_edges} indices, one per edge, not {len(operations)}"
            )
        if gates is None and scalar_trick:
            raise InputError("scalar_trick adds gates to the feature map; give gates as well")
        if gates is not None:
            self._check_edge_weights("gates", gates)
            gates = gates.to(images.dtype)
        updates_statistics = self.training and self.track_running_stats
        sample = sample_cell(cell, gates, scalar_trick, run_all=updates_statistics)
        return self.propagate(
            images,
            lambda module, features: cast(SupernetCell, module).forward_sampled(features, sample),
        )

    def _check_edge_weights(self, name: str, weights: torch.Tensor) -> None:
        expected = (self.n_edges, len(OPERATIONS))
        if tuple(weights.shape) != expected or not weights.is_floating_point():
            raise InputError(
                f"{name} must be a floating point tensor of shape {expected}, not "
                f"{weights.dtype} of shape {tuple(weights.shape)}"
            )
