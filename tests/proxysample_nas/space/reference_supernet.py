"""A plain supernet: one module per edge and operation, written to be read and not to be fast.

It follows the published search space step by step and stands as the yardstick for the grouped one,
in value (tests) and in time (benchmarks).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from proxysample_nas.space.cell import edges_of, n_edges
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace
from proxysample_nas.space.supernet import Supernet


class Zero(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features * 0.0


def create_operation(
    name: str, channels: int, affine: bool, track_running_stats: bool, conv_bias: bool
) -> nn.Module:
    if name == "none":
        return Zero()
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride=1, padding=1)
    if name == "sep_conv_3x3":
        return separable_convolution(channels, affine, track_running_stats)
    size = {"nor_conv_1x1": 1, "nor_conv_3x3": 3, "nor_conv_5x5": 5}[name]
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, size, padding=size // 2, bias=conv_bias),
        nn.BatchNorm2d(channels, affine=affine, track_running_stats=track_running_stats),
    )


def separable_convolution(channels: int, affine: bool, track_running_stats: bool) -> nn.Module:
    """Make what the supernet runs edge by edge."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels, affine=affine, track_running_stats=track_running_stats),
    )


class ReferenceCell(nn.Module):
    def __init__(
        self, n_nodes: int, channels: int, operations: Sequence[str], *options: bool
    ) -> None:
        super().__init__()
        self.n_nodes = n_nodes
        self.edges = nn.ModuleList(
            nn.ModuleList(create_operation(name, channels, *options) for name in operations)
            for _ in range(n_edges(n_nodes))
        )

    def forward(self, features: torch.Tensor, mixing: torch.Tensor) -> torch.Tensor:
        nodes = [features]
        for target in range(1, self.n_nodes):
            total = []
            for edge, source in self.edges_into(target):
                weighted = [
                    weight * operation(nodes[source])
                    for weight, operation in zip(mixing[edge], self.edges[edge], strict=True)
                ]
                total.append(sum(weighted))
            nodes.append(sum(total))
        return nodes[-1]

    def forward_sampled(
        self,
        features: torch.Tensor,
        operations: Sequence[int],
        gates: torch.Tensor | None,
        scalar_trick: bool,
    ) -> torch.Tensor:
        nodes = [features]
        for target in range(1, self.n_nodes):
            total = []
            for edge, source in self.edges_into(target):
                chosen = operations[edge]
                output = self.edges[edge][chosen](nodes[source])
                if gates is not None and scalar_trick:
                    output = sum(
                        gate * output if index == chosen else gate
                        for index, gate in enumerate(gates[edge])
                    )
                elif gates is not None:
                    output = gates[edge, chosen] * output
                total.append(output)
            nodes.append(sum(total))
        return nodes[-1]

    def edges_into(self, target: int) -> list[tuple[int, int]]:
        ends = enumerate(edges_of(self.n_nodes))
        return [(edge, source) for edge, (source, end) in ends if end == target]


class ReferenceReduction(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(out_channels)
        self.pool = nn.AvgPool2d(2, stride=2)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        main = self.first_norm(self.first(torch.relu(features)))
        main = self.second_norm(self.second(torch.relu(main)))
        return self.shortcut(self.pool(features)) + main


class ReferenceSupernet(nn.Module):
    def __init__(
        self,
        n_nodes: int = 5,
        channels: int = 16,
        cells_per_stage: int = 5,
        n_classes: int = 100,
        in_channels: int = 3,
        affine: bool = False,
        track_running_stats: bool = True,
        conv_bias: bool = True,
        space: SearchSpace = NAS_BENCH_201,
    ) -> None:
        super().__init__()
        options = affine, track_running_stats, conv_bias
        self.stem = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(channels)
        blocks: list[nn.Module] = []
        for stage in range(3):
            width = channels * 2**stage
            if stage > 0:
                blocks.append(ReferenceReduction(width // 2, width))
            for _ in range(cells_per_stage):
                blocks.append(ReferenceCell(n_nodes, width, space.operations, *options))
        self.blocks = nn.ModuleList(blocks)
        self.head_norm = nn.BatchNorm2d(4 * channels)
        self.classifier = nn.Linear(4 * channels, n_classes)

    def forward(self, images: torch.Tensor, mixing: torch.Tensor) -> torch.Tensor:
        features = self.stem_norm(self.stem(images))
        for block in self.blocks:
            if isinstance(block, ReferenceCell):
                features = block(features, mixing)
            else:
                features = block(features)
        return self.classify(features)

    def forward_sampled(
        self,
        images: torch.Tensor,
        operations: Sequence[int],
        gates: torch.Tensor | None = None,
        scalar_trick: bool = False,
    ) -> torch.Tensor:
        features = self.stem_norm(self.stem(images))
        for block in self.blocks:
            if isinstance(block, ReferenceCell):
                features = block.forward_sampled(features, operations, gates, scalar_trick)
            else:
                features = block(features)
        return self.classify(features)

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.relu(self.head_norm(features)).mean(dim=(2, 3)))

    def skeleton_modules(self) -> list[nn.Module]:
        reductions = [block for block in self.blocks if isinstance(block, ReferenceReduction)]
        inside = [
            module
            for block in reductions
            for module in (
                block.first,
                block.first_norm,
                block.second,
                block.second_norm,
                block.shortcut,
            )
        ]
        return [self.stem, self.stem_norm, *inside, self.head_norm, self.classifier]

    def cells(self) -> list[ReferenceCell]:
        return [block for block in self.blocks if isinstance(block, ReferenceCell)]


Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]


def paired_parameters(supernet: Supernet, reference: ReferenceSupernet) -> Pairs:
    """Pair every parameter's value; the supernet's are views into its wide ones."""
    return _paired(supernet, reference, "parameters", lambda parameter: parameter.detach())


def paired_gradients(supernet: Supernet, reference: ReferenceSupernet) -> Pairs:
    """Pair every parameter's gradient; one that was not reached counts as zero."""
    return _paired(supernet, reference, "parameters", _gradient)


def paired_statistics(supernet: Supernet, reference: ReferenceSupernet) -> Pairs:
    """Pair every running mean and variance."""
    return _paired(supernet, reference, "buffers", lambda buffer: buffer)


def copy_weights(supernet: Supernet, reference: ReferenceSupernet) -> None:
    """Give the reference the supernet's parameters and running statistics."""
    for pairs in (paired_parameters, paired_statistics):
        for source, target in pairs(supernet, reference).values():
            target.copy_(source)


def _gradient(parameter: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _paired(
    supernet: Supernet,
    reference: ReferenceSupernet,
    kind: str,
    read: Callable[[torch.Tensor], torch.Tensor],
) -> Pairs:
    pairs = {}
    for label, grouped, plain, group in _paired_modules(supernet, reference):
        wide = dict(getattr(grouped, f"named_{kind}")())
        for name, tensor in getattr(plain, f"named_{kind}")():
            if not name.endswith("num_batches_tracked"):
                first = group * tensor.shape[0]
                rows = read(wide[name])[first : first + tensor.shape[0]]
                pairs[f"{label}.{name}"] = rows, read(tensor)
    return pairs


def _paired_modules(
    supernet: Supernet, reference: ReferenceSupernet
) -> Iterator[tuple[str, nn.Module, nn.Module, int]]:
    inside = [
        module
        for reduction in supernet.reductions
        for module in (*(reduction.main[index] for index in (1, 2, 4, 5)), reduction.shortcut[1])
    ]
    skeleton = [*supernet.stem, *inside, supernet.head[0], supernet.head[-1]]
    for index, (grouped, plain) in enumerate(
        zip(skeleton, reference.skeleton_modules(), strict=True)
    ):
        yield f"skeleton {index}", grouped, plain, 0
    cells = [cell for stage in supernet.stages for cell in stage]
    for index, (cell, plain_cell) in enumerate(zip(cells, reference.cells(), strict=True)):
        for edge, (source, target) in enumerate(edges_of(supernet.n_nodes)):
            for place, operation in enumerate(supernet.space):
                plain = plain_cell.edges[edge][place]
                label = f"cell {index} edge {edge} {operation.name}"
                if operation.kind == "convolution":
                    wide = cell.convolution(operation.name, source)
                    yield f"{label} convolution", wide.convolution, plain[1], target - source - 1
                    yield f"{label} norm", wide.norm, plain[2], target - source - 1
                elif operation.kind == "module":
                    yield label, cell.edge_modules[f"{operation.name}~{source}~{target}"], plain, 0
