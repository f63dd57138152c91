"""One cell of the supernet, and what the searcher's edge weights come to inside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from proxysample.device import copy_to_device
from proxysample_nas.space.cell import CONVOLUTIONS, OPERATIONS, Cell, edges_of, n_edges
from proxysample_nas.space.operations import KERNEL_SIZES, WideConvolution, average_pool

_SKIP = OPERATIONS.index("skip_connect")
_POOL = OPERATIONS.index("avg_pool_3x3")


@dataclass(frozen=True)
class SourceMixing:
    """The weights of the operations on the edges out of one node, targets ascending.

    Attributes
    ----------
    convolutions : dict of str to torch.Tensor, shape (n_targets,)
        One vector per convolution.
    skip, pool : tuple of torch.Tensor, shape ()
        One scalar per target.
    """

    convolutions: dict[str, torch.Tensor]
    skip: tuple[torch.Tensor, ...]
    pool: tuple[torch.Tensor, ...]


def split_mixing(mixing: torch.Tensor, n_nodes: int) -> list[SourceMixing]:
    """Sort a matrix of edge weights by source node, once for all cells.

    Parameters
    ----------
    mixing : torch.Tensor, shape (n_edges, 5)
    n_nodes : int
        Number of nodes of a cell.

    Returns
    -------
    list of SourceMixing
        One per node but the last.
    """
    edges = edges_of(n_nodes)
    # Indexing by a list would copy it to the device, and wait for the device, in every pass.
    rows = mixing.unbind()
    mixings = []
    for node in range(n_nodes - 1):
        weights = torch.stack(
            [rows[edge] for edge, (source, _) in enumerate(edges) if source == node]
        )
        mixings.append(
            SourceMixing(
                convolutions={name: weights[:, OPERATIONS.index(name)] for name in KERNEL_SIZES},
                skip=weights[:, _SKIP].unbind(),
                pool=weights[:, _POOL].unbind(),
            )
        )
    return mixings


@dataclass(frozen=True)
class SampledCell:
    """One chosen operation per edge, with what scales it and what is added to each node.

    Attributes
    ----------
    edges : tuple of tuple of (int, str, torch.Tensor or None)
        For each node but the last its out-edges that are to be run: target, operation and the
        scalar that multiplies the operation's output.
    offsets : tuple of torch.Tensor, shape (), or None
        What is added to every value of node 1, 2, ...
    """

    edges: tuple[tuple[tuple[int, str, torch.Tensor | None], ...], ...]
    offsets: tuple[torch.Tensor | None, ...]


def sample_cell(
    cell: Cell, gates: torch.Tensor | None, scalar_trick: bool, run_all: bool
) -> SampledCell:
    """Prepare the chosen operations, once for all cells.

    Parameters
    ----------
    cell : Cell
        The chosen operations.
    gates : torch.Tensor, shape (n_edges, 5), or None
        What multiplies the chosen operations.
    scalar_trick : bool
        Whether the gates of the operations that were not chosen are added to the nodes.
    run_all : bool
        Whether to run operations, too, that do not reach the output.

    Returns
    -------
    SampledCell
    """
    factors: tuple[torch.Tensor | None, ...] = (None,) * len(cell.operations)
    offsets: tuple[torch.Tensor | None, ...] = (None,) * (cell.n_nodes - 1)
    if gates is not None:
        one_hot = F.one_hot(torch.tensor(cell.indices), len(OPERATIONS))
        chosen = copy_to_device(one_hot, gates.device)
        factors = (gates * chosen).sum(dim=1).unbind()
        if scalar_trick:
            others = (gates * (1 - chosen)).sum(dim=1)
            first_edges = [n_edges(node) for node in range(2, cell.n_nodes)]
            offsets = tuple(into_node.sum() for into_node in others.tensor_split(first_edges))
    running = set(range(len(cell.operations)) if run_all else cell.edges_to_output)
    edges: list[list[tuple[int, str, torch.Tensor | None]]] = [[] for _ in offsets]
    for edge, (source, target, operation) in enumerate(cell.edges):
        if edge in running and operation != "none":
            edges[source].append((target, operation, factors[edge]))
    return SampledCell(tuple(map(tuple, edges)), offsets)


class SupernetCell(nn.Module):
    """One cell with all operations on every edge.

    What reads the same node runs together: per node there is one ReLU, one average pool and one
    wide convolution of each kernel size for all edges out of it.

    Parameters
    ----------
    n_nodes : int
        Number of nodes, the input node included.
    channels : int
        Channels of every feature map.
    affine, track_running_stats, conv_bias : bool
        See `proxysample_nas.space.supernet.Supernet`.
    """

    def __init__(
        self,
        n_nodes: int,
        channels: int,
        affine: bool,
        track_running_stats: bool,
        conv_bias: bool,
    ) -> None:
        super().__init__()
        self.n_nodes = n_nodes
        self.convolutions = nn.ModuleDict(
            {
                f"{name}~{source}": WideConvolution(
                    channels, n_nodes - 1 - source, size, affine, track_running_stats, conv_bias
                )
                for source in range(n_nodes - 1)
                for name, size in KERNEL_SIZES.items()
            }
        )

    def forward(self, features: torch.Tensor, mixings: list[SourceMixing]) -> torch.Tensor:
        """Mix all operations on every edge.

        Parameters
        ----------
        features : torch.Tensor, shape (b, channels, h, w)
        mixings : list of SourceMixing
            From `split_mixing`.

        Returns
        -------
        torch.Tensor, shape (b, channels, h, w)
        """
        nodes = [features]
        for source, mixing in enumerate(mixings):
            node = nodes[source]
            pooled = average_pool(node)
            for target, convolved in enumerate(self._convolve(source, node, mixing), source + 1):
                # Cast here and not before: so their gradients add up over cells in full.
                skip = mixing.skip[target - source - 1].to(node.dtype)
                pool = mixing.pool[target - source - 1].to(node.dtype)
                if target == len(nodes):
                    nodes.append(torch.addcmul(convolved, node, skip))
                else:
                    # In place: the sum at a target is not read before all its edges are in.
                    nodes[target].add_(convolved).addcmul_(node, skip)
                nodes[target].addcmul_(pooled, pool)
        return nodes[-1]

    def _convolve(
        self, source: int, node: torch.Tensor, mixing: SourceMixing
    ) -> tuple[torch.Tensor, ...]:
        rectified = torch.relu(node)
        wide: list[torch.Tensor] = [
            self.convolution(name, source)(rectified, mixing.convolutions[name])
            for name in KERNEL_SIZES
        ]
        return wide[0].add_(wide[1]).chunk(self.n_nodes - 1 - source, dim=1)

    def forward_sampled(self, features: torch.Tensor, sample: SampledCell) -> torch.Tensor:
        """Run one operation on every edge.

        Parameters
        ----------
        features : torch.Tensor, shape (b, channels, h, w)
        sample : SampledCell
            From `sample_cell`.

        Returns
        -------
        torch.Tensor, shape (b, channels, h, w)
        """
        sums: list[torch.Tensor | None] = [features, *sample.offsets]
        for source, edges in enumerate(sample.edges):
            operations = {operation for _, operation, _ in edges}
            node = _full(sums[source], features)
            rectified = torch.relu(node) if operations & CONVOLUTIONS else node
            pooled = average_pool(node) if "avg_pool_3x3" in operations else node
            for target, operation, factor in edges:
                if operation in CONVOLUTIONS:
                    wide = self.convolution(operation, source)
                    term = wide.forward_group(rectified, target - source - 1, factor)
                    sums[target] = _add(sums[target], term, None)
                else:
                    term = pooled if operation == "avg_pool_3x3" else node
                    sums[target] = _add(sums[target], term, factor)
        return _full(sums[-1], features)

    def convolution(self, name: str, source: int) -> WideConvolution:
        """Get the convolutions of one kernel size on all edges out of one node."""
        return cast(WideConvolution, self.convolutions[f"{name}~{source}"])

    def edge_tensors(self, edge: int, operation: str) -> dict[str, torch.Tensor]:
        """Give views of the parameters and statistics of one operation on one edge.

        Parameters
        ----------
        edge : int
            Index in `proxysample_nas.space.cell.edges_of`.
        operation : str
            ``"nor_conv_1x1"`` or ``"nor_conv_3x3"``.

        Returns
        -------
        dict of str to torch.Tensor
            Detached; writing into them changes the cell. See `WideConvolution.group_tensors`.

        Examples
        --------
        >>> cell = SupernetCell(4, 8, affine=True, track_running_stats=False, conv_bias=False)
        >>> for name, tensor in cell.edge_tensors(2, "nor_conv_3x3").items():
        ...     print(name, tuple(tensor.shape))
        convolution.weight (8, 8, 3, 3)
        norm.weight (8,)
        norm.bias (8,)
        """
        source, target = edges_of(self.n_nodes)[edge]
        return self.convolution(operation, source).group_tensors(target - source - 1)


def _add(
    total: torch.Tensor | None, term: torch.Tensor, factor: torch.Tensor | None
) -> torch.Tensor:
    total = None if total is None else total.to(term.dtype)
    if factor is None:
        return term if total is None else total + term
    factor = factor.to(term.dtype)
    return term * factor if total is None else torch.addcmul(total, term, factor)


def _full(total: torch.Tensor | None, features: torch.Tensor) -> torch.Tensor:
    if total is None:
        return torch.zeros_like(features)
    return total.to(features.dtype).expand_as(features)
