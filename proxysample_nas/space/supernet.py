"""The supernet: every operation on every edge, mixed by weights that the searcher owns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from proxysample.device import copy_to_device
from proxysample.errors import InputError
from proxysample_nas.space.cell import Cell, edges_of, n_edges
from proxysample_nas.space.layers import WideConvolution
from proxysample_nas.space.modules import build_module
from proxysample_nas.space.network import Skeleton
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace


class Supernet(Skeleton):
    """The macro skeleton with all operations of a search space on every edge of every cell.

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
    space : SearchSpace, optional
        The operations; by default those of NAS-Bench-201.

    Raises
    ------
    InputError
        If `n_nodes` is below 2, another size is not a positive integer, or an operation cannot
        be built.

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
        space: SearchSpace = NAS_BENCH_201,
    ) -> None:
        edge_count = n_edges(n_nodes)
        super().__init__(
            lambda width: SupernetCell(
                n_nodes, width, affine, track_running_stats, conv_bias, space
            ),
            channels,
            cells_per_stage,
            n_classes,
            in_channels,
            generator,
            autocast_dtype,
        )
        self.space = space
        self.n_nodes = n_nodes
        self.n_edges = edge_count
        self.track_running_stats = track_running_stats

    def forward(self, images: torch.Tensor, mixing: torch.Tensor) -> torch.Tensor:
        """Mix all operations on every edge.

        Parameters
        ----------
        images : torch.Tensor, shape (b, in_channels, h, w), floating point
        mixing : torch.Tensor, shape (n_edges, n_operations), floating point
            The weight of each operation on each edge, in the order of the space; DARTS takes
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
        mixings = split_mixing(mixing.to(images.dtype), self.n_nodes, self.space)
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
            Index in the space of each edge's operation.
        gates : torch.Tensor, shape (n_edges, n_operations), floating point, optional
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
        cell = Cell.from_indices(operations, self.space)
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
        sample = sample_cell(cell, self.space, gates, scalar_trick, run_all=updates_statistics)
        return self.propagate(
            images,
            lambda module, features: cast(SupernetCell, module).forward_sampled(features, sample),
        )

    def parameters_of(
        self, edge: int, operation: str
    ) -> list[tuple[torch.nn.Parameter, torch.Tensor, slice]]:
        """List the parameters of one operation on one edge, in all cells.

        Returns
        -------
        list of (Parameter, Tensor, slice)
            The parameter that holds it, a view of the part that is its own, and the rows of that
            part. Empty for an operation without parameters.
        """
        cells = [cast(SupernetCell, cell) for stage in self.stages for cell in _modules(stage)]
        return [one for cell in cells for one in cell.parameters_of(edge, operation)]

    def _check_edge_weights(self, name: str, weights: torch.Tensor) -> None:
        expected = (self.n_edges, len(self.space))
        if tuple(weights.shape) != expected or not weights.is_floating_point():
            raise InputError(
                f"{name} must be a floating point tensor of shape {expected}, not "
                f"{weights.dtype} of shape {tuple(weights.shape)}"
            )


def _modules(stage: nn.Module) -> list[nn.Module]:
    return list(cast(nn.ModuleList, stage))


@dataclass(frozen=True)
class SourceMixing:
    """The weights of the operations on the edges out of one node, targets ascending.

    A convolution has a vector of them, any other operation but a zero one scalar per target.
    """

    convolutions: dict[str, torch.Tensor]
    others: dict[str, tuple[torch.Tensor, ...]]


def split_mixing(mixing: torch.Tensor, n_nodes: int, space: SearchSpace) -> list[SourceMixing]:
    """Sort a matrix of edge weights by source node, the last left out, once for all cells."""
    edges = edges_of(n_nodes)
    # Indexing by a list would copy it to the device, and wait for the device, in every pass.
    rows = mixing.unbind()
    mixings = []
    for node in range(n_nodes - 1):
        weights = torch.stack(
            [rows[edge] for edge, (source, _) in enumerate(edges) if source == node]
        )
        columns = {one.name: (one, weights[:, index]) for index, one in enumerate(space)}
        mixings.append(
            SourceMixing(
                convolutions={
                    name: column
                    for name, (one, column) in columns.items()
                    if one.kind == "convolution"
                },
                others={
                    name: column.unbind()
                    for name, (one, column) in columns.items()
                    if one.kind not in ("convolution", "zero")
                },
            )
        )
    return mixings


@dataclass(frozen=True)
class SampledCell:
    """One chosen operation per edge, with what scales it and what is added to each node.

    The edges are those out of each node but the last that are to be run: target, operation and the
    scalar that multiplies the operation's output. The offsets are added to node 1, 2, ...
    """

    edges: tuple[tuple[tuple[int, str, torch.Tensor | None], ...], ...]
    offsets: tuple[torch.Tensor | None, ...]


def sample_cell(
    cell: Cell, space: SearchSpace, gates: torch.Tensor | None, scalar_trick: bool, run_all: bool
) -> SampledCell:
    """Prepare the chosen operations, once for all cells; `run_all` includes dead ends."""
    factors: tuple[torch.Tensor | None, ...] = (None,) * len(cell.operations)
    offsets: tuple[torch.Tensor | None, ...] = (None,) * (cell.n_nodes - 1)
    if gates is not None:
        one_hot = F.one_hot(torch.tensor(space.indices_of(cell)), len(space))
        chosen = copy_to_device(one_hot, gates.device)
        factors = (gates * chosen).sum(dim=1).unbind()
        if scalar_trick:
            others = (gates * (1 - chosen)).sum(dim=1)
            first_edges = [n_edges(node) for node in range(2, cell.n_nodes)]
            offsets = tuple(into_node.sum() for into_node in others.tensor_split(first_edges))
    running = set(cell.edges_that_pass if run_all else cell.edges_to_output)
    edges: list[list[tuple[int, str, torch.Tensor | None]]] = [[] for _ in offsets]
    for edge, (source, target, operation) in enumerate(cell.edges):
        if edge in running:
            edges[source].append((target, operation, factors[edge]))
    return SampledCell(tuple(map(tuple, edges)), offsets)


class SupernetCell(nn.Module):
    """One cell with all operations on every edge.

    What reads the same node runs together: per node there is one ReLU, one wide convolution of
    each kernel size and one pool of each kind for all edges out of it. Only an operation of the
    kind ``"module"`` runs edge by edge.
    """

    def __init__(
        self,
        n_nodes: int,
        channels: int,
        affine: bool,
        track_running_stats: bool,
        conv_bias: bool,
        space: SearchSpace = NAS_BENCH_201,
    ) -> None:
        super().__init__()
        self.n_nodes = n_nodes
        self.kinds = {operation.name: operation.kind for operation in space}
        sources = range(n_nodes - 1)
        self.convolutions = nn.ModuleDict(
            {
                f"{one.name}~{source}": WideConvolution(
                    channels,
                    n_nodes - 1 - source,
                    one.kernel_size,
                    affine,
                    track_running_stats,
                    conv_bias,
                )
                for source in sources
                for one in space
                if one.kernel_size is not None
            }
        )
        self.pools = nn.ModuleDict(
            {
                one.name: build_module(one, channels, affine, track_running_stats)
                for one in space
                if one.kind == "pool"
            }
        )
        self.edge_modules = nn.ModuleDict(
            {
                f"{one.name}~{source}~{target}": build_module(
                    one, channels, affine, track_running_stats
                )
                for source in sources
                for target in range(source + 1, n_nodes)
                for one in space
                if one.kind == "module"
            }
        )

    def forward(self, features: torch.Tensor, mixings: list[SourceMixing]) -> torch.Tensor:
        """Mix all operations on every edge; the shape (b, channels, h, w) stays."""
        nodes = [features]
        for source, mixing in enumerate(mixings):
            node = nodes[source]
            shared = self._run_shared(node, set(mixing.others))
            convolved = self._convolve(source, node, mixing)
            for target in range(source + 1, self.n_nodes):
                group = target - source - 1
                terms = [
                    # Cast here and not before: so their gradients add up over cells in full.
                    (self._term(name, source, target, node, shared), weights[group].to(node.dtype))
                    for name, weights in mixing.others.items()
                ]
                part = None if convolved is None else convolved[group]
                if target == len(nodes):
                    nodes.append(_start_sum(node, part, terms))
                else:
                    # In place: the sum at a target is not read before all its edges are in.
                    _add_to_sum(nodes[target], part, terms)
        return nodes[-1]

    def _convolve(
        self, source: int, node: torch.Tensor, mixing: SourceMixing
    ) -> tuple[torch.Tensor, ...] | None:
        if not mixing.convolutions:
            return None
        rectified = torch.relu(node)
        total, *others = [
            self.convolution(name, source)(rectified, weights)
            for name, weights in mixing.convolutions.items()
        ]
        for other in others:
            total.add_(other)
        chunks: tuple[torch.Tensor, ...] = total.chunk(self.n_nodes - 1 - source, dim=1)
        return chunks

    def forward_sampled(self, features: torch.Tensor, sample: SampledCell) -> torch.Tensor:
        """Run one operation on every edge; the shape (b, channels, h, w) stays."""
        sums: list[torch.Tensor | None] = [features, *sample.offsets]
        for source, edges in enumerate(sample.edges):
            operations = {operation for _, operation, _ in edges}
            node = _full(sums[source], features)
            convolves = any(self.kinds[operation] == "convolution" for operation in operations)
            rectified = torch.relu(node) if convolves else node
            shared = self._run_shared(node, operations)
            for target, operation, factor in edges:
                if self.kinds[operation] == "convolution":
                    wide = self.convolution(operation, source)
                    term = wide.forward_group(rectified, target - source - 1, factor)
                    sums[target] = _add(sums[target], term, None)
                else:
                    term = self._term(operation, source, target, node, shared)
                    sums[target] = _add(sums[target], term, factor)
        return _full(sums[-1], features)

    def _run_shared(self, node: torch.Tensor, operations: set[str]) -> dict[str, torch.Tensor]:
        """Run what is the same on all edges out of a node, where it is asked for."""
        return {name: pool(node) for name, pool in self.pools.items() if name in operations}

    def _term(
        self,
        operation: str,
        source: int,
        target: int,
        node: torch.Tensor,
        shared: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """Give what one edge makes of its source by an operation that is no convolution."""
        kind = self.kinds[operation]
        if kind == "identity":
            return node
        if kind == "pool":
            return shared[operation]
        if kind == "module":
            output: torch.Tensor = self.edge_modules[f"{operation}~{source}~{target}"](node)
            return output
        raise InputError(f"a supernet cannot run the operation {operation!r} of kind {kind!r}")

    def convolution(self, name: str, source: int) -> WideConvolution:
        """Get the convolutions of one kernel size on all edges out of one node."""
        return cast(WideConvolution, self.convolutions[f"{name}~{source}"])

    def parameters_of(
        self, edge: int, operation: str
    ) -> list[tuple[torch.nn.Parameter, torch.Tensor, slice]]:
        """List the parameters of one operation on one edge; see `Supernet.parameters_of`."""
        source, target = edges_of(self.n_nodes)[edge]
        kind = self.kinds[operation]
        if kind == "convolution":
            wide = self.convolution(operation, source)
            first = (target - source - 1) * wide.channels
            rows = slice(first, first + wide.channels)
            return [(parameter, parameter[rows], rows) for parameter in wide.parameters()]
        if kind == "module":
            module = self.edge_modules[f"{operation}~{source}~{target}"]
            whole = slice(None)
            return [(parameter, parameter[whole], whole) for parameter in module.parameters()]
        return []

    def edge_tensors(self, edge: int, operation: str) -> dict[str, torch.Tensor]:
        """Give views of the parameters and statistics of one operation on one edge, to write into.

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
        kind = self.kinds.get(operation)
        if kind == "convolution":
            return self.convolution(operation, source).group_tensors(target - source - 1)
        if kind == "module":
            return dict(self.edge_modules[f"{operation}~{source}~{target}"].state_dict())
        raise InputError(f"the supernet has no parameters of an operation {operation!r}")


Terms = list[tuple[torch.Tensor, torch.Tensor]]
"""Feature maps, and the scalar that multiplies each."""


def _start_sum(node: torch.Tensor, part: torch.Tensor | None, terms: Terms) -> torch.Tensor:
    """Add up in a tensor of its own, which may be added to in place."""
    if not terms:
        return torch.zeros_like(node) if part is None else part.clone()
    (feature, weight), *others = terms
    feature = feature.to(node.dtype)
    total = feature * weight if part is None else torch.addcmul(part, feature, weight)
    _add_to_sum(total, None, others)
    return total


def _add_to_sum(total: torch.Tensor, part: torch.Tensor | None, terms: Terms) -> None:
    if part is not None:
        total.add_(part)
    for feature, weight in terms:
        total.addcmul_(feature.to(total.dtype), weight)


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
