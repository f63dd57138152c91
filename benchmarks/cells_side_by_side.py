"""Time the training of cells side by side, their convolutions grouped, against one after another.

Networks of several cells are one network here: the channels of all stand side by side, and each
convolution is a grouped one. In double precision its logits and the gradients of its first layer
are those of the cells alone, which is checked first. Printed are seconds a step and cells an hour,
both ways.

    python benchmarks/cells_side_by_side.py --side 32 --channels 8
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from proxysample_nas.agreement import draw_distinct_cells
from proxysample_nas.space import Cell, CellNetwork
from proxysample_nas.space.layers import average_pool

CONVOLUTIONS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


class Grouped(nn.Module):
    """Several cells' networks of one cell a stage as one, with the weights that they have."""

    def __init__(self, networks: list[CellNetwork]) -> None:
        super().__init__()
        self.cells = [network.cell for network in networks]
        self.k = len(networks)
        self.stem = side_by_side([network.stem[0] for network in networks], groups=1)
        self.stem_norm = norms([network.stem[1] for network in networks])
        self.stages = nn.ModuleList()
        self.reductions = nn.ModuleList()
        for stage in range(3):
            parts = nn.ModuleDict()
            for source in range(self.cells[0].n_nodes - 1):
                for name in CONVOLUTIONS:
                    users = [
                        network.stages[stage][0].convolutions[f"{name}~{source}"]
                        for network in networks
                        if f"{name}~{source}" in network.stages[stage][0].convolutions
                    ]
                    if users:
                        parts[f"{name}~{source}"] = nn.Sequential(
                            split_up([one.convolution for one in users]),
                            norms([one.norm for one in users]),
                        )
            self.stages.append(parts)
        for place in range(2):
            main = [network.reductions[place].main for network in networks]
            cut = [network.reductions[place].shortcut for network in networks]
            self.reductions.append(
                nn.ModuleList(
                    [
                        side_by_side([one[1] for one in main]),
                        norms([one[2] for one in main]),
                        side_by_side([one[4] for one in main]),
                        norms([one[5] for one in main]),
                        side_by_side([one[1] for one in cut]),
                    ]
                )
            )
        self.head_norm = norms([network.head[0] for network in networks])
        linear = [network.head[4] for network in networks]
        self.weight = nn.Parameter(torch.stack([one.weight.detach() for one in linear]))
        self.bias = nn.Parameter(torch.stack([one.bias.detach() for one in linear]))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, c, h, w) to logits (cells, b, n_classes)."""
        features = self.stem_norm(self.stem(images))
        features = features.contiguous(memory_format=torch.channels_last)
        for stage, parts in enumerate(self.stages):
            if stage:
                first, norm, second, other_norm, shortcut = self.reductions[stage - 1]
                main = other_norm(second(F.relu(norm(first(F.relu(features))))))
                features = main + shortcut(F.avg_pool2d(features, 2, ceil_mode=True))
            features = self._cells(features, parts)
        pooled = F.relu(self.head_norm(features)).mean(dim=(2, 3))
        by_cell = pooled.unflatten(1, (self.k, -1)).transpose(0, 1)
        return torch.baddbmm(self.bias[:, None], by_cell, self.weight.transpose(1, 2))

    def _cells(self, features: Tensor, parts: nn.ModuleDict) -> Tensor:
        nodes: list[list[Tensor | None]] = [
            list(features.chunk(self.k, dim=1)),
            *([None] * self.k for _ in range(self.cells[0].n_nodes - 1)),
        ]
        zero = torch.zeros_like(nodes[0][0])  # type: ignore[arg-type]  # the first are there
        for source in range(len(nodes) - 1):
            here = [zero if one is None else one for one in nodes[source]]
            for name in CONVOLUTIONS:
                edges = [
                    (cell, target)
                    for cell in range(self.k)
                    for start, target, operation in self.cells[cell].edges
                    if start == source and operation == name
                ]
                if edges:
                    wide = F.relu(torch.cat([here[cell] for cell, _ in edges], dim=1))
                    terms = parts[f"{name}~{source}"](wide).chunk(len(edges), dim=1)
                    for (cell, target), term in zip(edges, terms, strict=True):
                        add(nodes, target, cell, term)
            pooled = [
                cell
                for cell in range(self.k)
                if any(
                    s == source and name == "avg_pool_3x3" for s, _, name in self.cells[cell].edges
                )
            ]
            means = {}
            if pooled:
                wide = average_pool(torch.cat([here[cell] for cell in pooled], dim=1))
                means = dict(zip(pooled, wide.chunk(len(pooled), dim=1), strict=True))
            for cell in range(self.k):
                for start, target, name in self.cells[cell].edges:
                    if start == source and name == "skip_connect":
                        add(nodes, target, cell, here[cell])
                    elif start == source and name == "avg_pool_3x3":
                        add(nodes, target, cell, means[cell])
        return torch.cat([zero if one is None else one for one in nodes[-1]], dim=1)


def add(nodes: list[list[Tensor | None]], target: int, cell: int, term: Tensor) -> None:
    """Add a term to the sum at a node of a cell."""
    total = nodes[target][cell]
    nodes[target][cell] = term if total is None else total + term


def side_by_side(convolutions: list[nn.Conv2d], groups: int | None = None) -> nn.Conv2d:
    """Join one convolution of each cell; with one group all read the same."""
    first = convolutions[0]
    n = len(convolutions)
    joined = nn.Conv2d(
        first.in_channels * (1 if groups == 1 else n),
        first.out_channels * n,
        first.kernel_size,
        stride=first.stride,
        padding=first.padding,
        groups=groups or n,
        bias=False,
    )
    joined.weight = nn.Parameter(torch.cat([one.weight.detach() for one in convolutions]))
    return joined


def split_up(convolutions: list[nn.Conv2d]) -> nn.Conv2d:
    """Join wide convolutions, a group for each edge."""
    weight = torch.cat([one.weight.detach() for one in convolutions])
    channels = weight.shape[1]
    n = len(weight) // channels
    size = weight.shape[2]
    joined = nn.Conv2d(n * channels, n * channels, size, padding=size // 2, groups=n, bias=False)
    joined.weight = nn.Parameter(weight)
    return joined


def norms(given: list[nn.Module]) -> nn.BatchNorm2d:
    """Join BatchNorms as they begin: scale 1, shift 0."""
    width = sum(one.weight.numel() for one in given)
    return nn.BatchNorm2d(width, dtype=given[0].weight.dtype)


def build(cells: list[Cell], channels: int, n_classes: int) -> list[CellNetwork]:
    """Build each cell's network of one cell a stage."""
    return [
        CellNetwork(cell, channels, 1, n_classes, 3, torch.Generator().manual_seed(place))
        for place, cell in enumerate(cells)
    ]


def check(cells: list[Cell]) -> None:
    """Hold logits and first gradients in double precision against those of each cell alone."""
    networks = [network.double() for network in build(cells, 4, 10)]
    grouped = Grouped(networks).double()
    images = torch.randn(6, 3, 9, 9, dtype=torch.float64)
    labels = torch.arange(6) % 10
    alone = torch.stack([network(images) for network in networks])
    together = grouped(images)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-11)
    sum(F.cross_entropy(one, labels) for one in alone).backward()
    sum(F.cross_entropy(one, labels) for one in together).backward()
    stems = torch.cat([network.stem[0].weight.grad for network in networks])
    torch.testing.assert_close(grouped.stem.weight.grad, stems, rtol=0, atol=1e-11)
    print(f"equal to {len(cells)} cells alone in double precision, logits and first gradients")


def seconds(step: Callable[[], None], repeats: int) -> float:
    """Time a step by the processor's clock: the best of some, after one that is not counted."""
    step()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return min(times)


def step_of(modules: list[nn.Module], images: Tensor, labels: Tensor) -> Callable[[], None]:
    """Make what trains modules on a batch once."""
    optimizers = [
        torch.optim.SGD(one.parameters(), lr=0.1, momentum=0.9, nesterov=True) for one in modules
    ]

    def step() -> None:
        for module, optimizer in zip(modules, optimizers, strict=True):
            logits = module(images)
            logits = logits if logits.ndim == 3 else logits[None]
            loss = sum(F.cross_entropy(one, labels) for one in logits)
            optimizer.zero_grad()
            torch.autograd.backward(loss)  # type: ignore[arg-type]  # at least one cell
            optimizer.step()

    return step


def main() -> None:
    """Check, then time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=32, help="of the images")
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--images", type=int, default=10_000, help="of an epoch")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cells", type=int, nargs="+", default=[2, 4, 8])
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cells = draw_distinct_cells(max(options.cells), seed=0)
    check(cells)
    images = torch.randn(options.batch, 3, options.side, options.side)
    labels = torch.randint(100, (options.batch,))
    steps = options.epochs * -(-options.images // options.batch)
    print(f"{torch.__version__}, one thread, {options.side} pixels, C={options.channels}")
    for k in options.cells:
        networks = build(cells[:k], options.channels, 100)
        for network in networks:
            network.train()
        alone = seconds(step_of([*networks], images, labels), options.repeats) / k
        together = seconds(step_of([Grouped(networks)], images, labels), options.repeats) / k
        print(
            f"{k} cells: {1000 * alone:6.1f} ms a cell and step alone, {1000 * together:6.1f} ms "
            f"side by side; {3600 / alone / steps:.0f} and {3600 / together / steps:.0f} cells an "
            f"hour of {options.epochs} epochs of {options.images:,} images"
        )


if __name__ == "__main__":
    main()
