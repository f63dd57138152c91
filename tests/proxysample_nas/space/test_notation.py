"""The normal form: equal exactly where the functions are equal."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterable

import pytest
import torch
import torch.nn.functional as F

from proxysample_nas.space.cell import Cell, all_cells, edges_of
from proxysample_nas.space.operations import SearchSpace

from .own_operations import MAX_POOL, registered

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randn(3, 2, 4, 4, generator=GENERATOR, dtype=torch.float64)
PROJECTION = torch.randn(IMAGES.shape, generator=GENERATOR, dtype=torch.float64)
WEIGHTS = {
    name: torch.randn(6, 2, 2, size, size, generator=GENERATOR, dtype=torch.float64)
    for name, size in (("nor_conv_1x1", 1), ("nor_conv_3x3", 3))
}


def apply(operation: str, features: torch.Tensor, label: int | None) -> torch.Tensor:
    if operation == "skip_connect":
        return features
    if operation == "avg_pool_3x3":
        return F.avg_pool2d(features, 3, 1, 1, count_include_pad=False)
    if operation == "max_pool_3x3":
        return F.max_pool2d(features, 3, 1, 1)
    weight = WEIGHTS[operation][label]
    convolved = F.conv2d(features.relu(), weight, padding=weight.shape[-1] // 2)
    return F.batch_norm(convolved, None, None, training=True)


def fingerprint(cell: Cell, labels: dict[int, int]) -> float:
    """Project the cell's output on one number; `labels` gives each convolution its weights."""
    nodes = [IMAGES] + [torch.zeros_like(IMAGES)] * (cell.n_nodes - 1)
    for edge, (source, target, operation) in enumerate(cell.edges):
        if operation != "none":
            nodes[target] = nodes[target] + apply(operation, nodes[source], labels.get(edge))
    return round(float((nodes[-1] * PROJECTION).sum()), 7)


def family(cell: Cell) -> frozenset[float]:
    """Collect what the cell computes over every way to hand out weights to its convolutions."""
    by_kind = [
        [edge for edge in cell.contributing_edges if cell.operations[edge] == kind]
        for kind in WEIGHTS
    ]
    # A convolution that sees only zeros gives zeros, whatever its weights.
    idle = {
        edge: 0
        for edge, operation in enumerate(cell.operations)
        if operation in WEIGHTS and edge not in cell.contributing_edges
    }
    choices = (itertools.permutations(range(len(edges))) for edges in by_kind)
    return frozenset(
        fingerprint(
            cell, idle | dict(zip(itertools.chain(*by_kind), itertools.chain(*labels), strict=True))
        )
        for labels in itertools.product(*choices)
    )


def partition(cells: Iterable[Cell], key: Callable[[Cell], object]) -> set[frozenset[Cell]]:
    classes = defaultdict(set)
    for cell in cells:
        classes[key(cell)].add(cell)
    return {frozenset(members) for members in classes.values()}


def test_all_cells_of_three_nodes_are_told_apart_by_what_they_compute() -> None:
    cells = list(all_cells(3))
    by_form = partition(cells, Cell.unique_form)
    assert by_form == partition(cells, family)
    assert len(by_form) < len(cells)


def test_a_pool_that_is_not_linear_is_told_apart_by_what_it_computes() -> None:
    with registered(MAX_POOL):
        space = SearchSpace.of("none+skip_connect+nor_conv_1x1+avg_pool_3x3+max_pool_3x3")
        cells = list(all_cells(3, space))
        assert partition(cells, Cell.unique_form) == partition(cells, family)


def test_cells_of_four_nodes_are_told_apart_by_what_they_compute() -> None:
    def n_convolutions(cell: Cell) -> int:
        return sum(cell.operations[edge] in WEIGHTS for edge in cell.contributing_edges)

    few = [cell for cell in all_cells(4) if 1 <= n_convolutions(cell) <= 3]
    classes = sorted(
        sorted(members)
        for members in partition(few, Cell.unique_form)
        if len({cell.operations for cell in members}) > 1
    )
    picked = random.Random(0).sample(classes, 60)
    cells = [cell for members in picked for cell in members[:3]]
    assert partition(cells, Cell.unique_form) == partition(cells, family)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("|none~0|", "0"),
        ("|skip_connect~0|", "x"),
        ("|skip_connect~0|+|skip_connect~0|skip_connect~1|", "2*x"),
        (
            "|avg_pool_3x3~0|+|none~0|avg_pool_3x3~1|",
            "avg_pool_3x3(avg_pool_3x3(x))",
        ),
        # One convolution that arrives twice, and two convolutions.
        (
            "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|",
            "c1=nor_conv_1x1(x); 2*c1",
        ),
        (
            "|nor_conv_1x1~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|skip_connect~2|",
            "c1=nor_conv_1x1(x); c2=nor_conv_1x1(x); c1+c2",
        ),
    ],
)
def test_forms_derived_by_hand(text: str, form: str) -> None:
    assert Cell.from_string(text).unique_form() == form


def test_all_skip_cell_multiplies_its_input_by_a_power_of_two() -> None:
    for n_nodes in (3, 4, 5, 6):
        form = Cell.filled("skip_connect", n_nodes).unique_form()
        assert form == f"{2 ** (n_nodes - 2)}*x"


def test_exchanged_inner_nodes_give_the_same_form() -> None:
    """Nodes 1, 2 and 3 hang between input and output; exchange what they do."""
    forms = set()
    for kinds in itertools.permutations(["nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]):
        first, second, third = kinds
        forms.add(
            Cell.from_string(
                f"|{first}~0|+|{second}~0|none~1|+|{third}~0|none~1|none~2|"
                "+|none~0|nor_conv_3x3~1|nor_conv_3x3~2|nor_conv_3x3~3|"
            ).unique_form()
        )
    assert len(forms) == 1


def ring_cell(order: list[int], rings: list[int]) -> Cell:
    """Close rings of convolutions, `rings` long: each later one adds up two neighbouring ones.

    Node ``1 + order[i]`` is the i-th convolution of the input; a second layer of nodes adds two
    of them each, and the output convolves each of those sums.
    """
    size = len(order)
    pairs = []
    for ring in rings:
        first = len(pairs)
        pairs += [(first + index, first + (index + 1) % ring) for index in range(ring)]
    chosen = {(0, 1 + index): "nor_conv_3x3" for index in range(size)}
    output = 2 * size + 1
    for index, pair in enumerate(pairs):
        sum_node = 1 + size + order[index]
        chosen[sum_node, output] = "nor_conv_3x3"
        chosen |= {(1 + order[member], sum_node): "skip_connect" for member in pair}
    edges = edges_of(output + 1)
    return Cell(tuple(chosen.get(edge, "none") for edge in edges))


def test_numbering_does_not_matter_where_neighbourhoods_look_alike() -> None:
    """Every convolution of a ring sees the same around it, whatever the length of the ring."""
    order = list(range(7))
    forms = {rings: ring_cell(order, list(rings)).unique_form() for rings in ((3, 4), (7,))}
    assert forms[3, 4] != forms[7,]
    for seed in range(4):
        random.Random(seed).shuffle(order)
        for rings, form in forms.items():
            assert ring_cell(order, list(rings)).unique_form() == form


def published_string(cell: Cell, prune: bool) -> str:
    """Write the string by which NAS-Bench-201 counts its topologies, expanding every node."""
    nodes = ["0"]
    for node in range(1, cell.n_nodes):
        terms = []
        for source, target, operation in cell.edges:
            if target == node:
                zero = prune and (operation == "none" or nodes[source] == "#")
                expanded = f"({nodes[source]})@{operation}"
                skipped = nodes[source] if operation == "skip_connect" else expanded
                terms.append("#" if zero else skipped)
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]


def test_counts_stand_beside_the_published_ones() -> None:
    cells = list(all_cells(4))
    assert len({published_string(cell, prune=False) for cell in cells}) == 12_751
    assert len({published_string(cell, prune=True) for cell in cells}) == 6_466
    assert len({cell.unique_form() for cell in cells}) == 5_044
