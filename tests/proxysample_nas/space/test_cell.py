"""Cells: notation, counts, and the properties that a search reports."""

from __future__ import annotations

import itertools
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from proxysample.errors import InputError
from proxysample_nas.space.cell import Cell, all_cells, edges_of, n_edges
from proxysample_nas.space.operations import NAS_BENCH_201

THREE_NODES = "|nor_conv_3x3~0|+|skip_connect~0|none~1|"
BEST_OF_BENCHMARK = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    n_nodes = draw(st.integers(2, 6))
    length = math.comb(n_nodes, 2)
    names = draw(
        st.lists(st.sampled_from(NAS_BENCH_201.operations), min_size=length, max_size=length)
    )
    return Cell(tuple(names))


@given(cells())
def test_every_cell_survives_writing_and_reading(cell: Cell) -> None:
    assert Cell.from_string(str(cell)) == cell
    assert Cell.from_string(f"  {cell}\n") == cell
    assert Cell.from_indices(cell.indices) == cell
    assert eval(repr(cell)) == cell
    assert pickle.loads(pickle.dumps(cell)) == cell
    assert [operation for _, _, operation in cell.edges] == list(cell.operations)


def test_notation_is_that_of_the_benchmark() -> None:
    cell = Cell.from_string(BEST_OF_BENCHMARK)
    assert cell.n_nodes == 4
    assert cell.indices == (3, 3, 3, 1, 3, 3)
    assert str(cell) == BEST_OF_BENCHMARK
    assert cell.edges[3:] == (
        (0, 3, "skip_connect"),
        (1, 3, "nor_conv_3x3"),
        (2, 3, "nor_conv_3x3"),
    )


def test_edge_order_ascends_in_target_then_source() -> None:
    assert edges_of(4) == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert [n_edges(n_nodes) for n_nodes in (2, 3, 4, 5, 6)] == [1, 3, 6, 10, 15]
    assert n_edges(np.int64(4)) == 6


def test_enumeration_is_complete_ordered_and_lazy() -> None:
    cells = list(all_cells(4))
    assert len(set(cells)) == len(cells) == 15_625
    assert [cell.indices for cell in cells] == sorted(cell.indices for cell in cells)
    first = list(itertools.islice(all_cells(9), 2))
    assert [cell.indices[-2:] for cell in first] == [(0, 0), (0, 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the cell string is empty"),
        ("nor_conv_3x3~0", "position 1 .* operations of node 1 must stand between"),
        ("|none~0|+", "position 10 .* operations of node 2"),
        ("|none~0|+||", "position 11 .* expected 'operation~0', not ''"),
        ("|none~0|+|none|none~1|", "position 11 .* expected 'operation~0', not 'none'"),
        ("|none~0|+|none~0|", "position 18 .* node 2 needs 2 operations.* but has 1"),
        ("|none~0|+|none~0|none~1|none~2|", "node 2 needs 2 operations.* but has 3"),
        ("|none~1|", "position 2 .* expected source 0 here"),
        ("|none~0|+|none~1|none~0|", "position 11 .* expected source 0 here.* not 1"),
        ("|nor_conv_3x3~0|+|none~0|conv_1x1~1|", "position 26 .* did you mean 'nor_conv_1x1'"),
        ("  |max_pool_3x3~0|", "position 4 .* did you mean 'avg_pool_3x3'"),
        (None, "a cell is parsed from a string"),
    ],
)
def test_broken_notation_is_refused_with_its_position(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Cell.from_string(text)


@given(st.lists(st.sampled_from([*NAS_BENCH_201.operations, *"|+~0123456789 ", "none~0|"])))
def test_no_string_is_refused_in_another_way(pieces: list[str]) -> None:
    text = "|" + "".join(pieces)
    try:
        cell = Cell.from_string(text)
    except InputError:
        return
    assert str(cell) == text.strip()


@pytest.mark.parametrize("count", [0, 2, 4, 5, 7, 9])
def test_a_count_that_fits_no_number_of_nodes_is_refused(count: int) -> None:
    with pytest.raises(InputError, match=f"{count} operations fit no number of nodes"):
        Cell(("none",) * count)


@pytest.mark.parametrize("index", [-1, 5, 1.0, "1", None])
def test_wrong_indices_are_refused(index: object) -> None:
    with pytest.raises(InputError, match=r"edge 1: .* is not an operation index"):
        Cell.from_indices([0, index, 0])


def test_indices_of_numpy_and_torch_are_taken() -> None:
    expected = Cell.from_string(THREE_NODES)
    assert Cell.from_indices(np.array([3, 1, 0])) == expected
    assert Cell.from_indices(torch.tensor([3, 1, 0])) == expected


def test_wrong_arguments_name_the_fix() -> None:
    with pytest.raises(InputError, match=r"Cell\.from_string"):
        Cell(THREE_NODES)
    with pytest.raises(InputError, match=r"edge 0: .* did you mean 'skip_connect'"):
        Cell.filled("skip", 2)
    for n_nodes in (1, 0, 2.0, True, "4"):
        with pytest.raises(InputError, match="n_nodes must be an integer of at least 2"):
            Cell.filled("none", n_nodes)


def test_cells_are_values() -> None:
    cell = Cell(["none"])
    assert cell == Cell(("none",))
    assert hash(cell) == hash(Cell(("none",)))
    assert Cell(("none",)) < Cell(("skip_connect",))
    with pytest.raises(AttributeError):
        cell.operations = ("skip_connect",)


@pytest.mark.parametrize(
    ("text", "connected", "parameter_free", "contributing", "to_output"),
    [
        # The only convolution ends in a node that leads nowhere.
        (THREE_NODES, True, True, (1,), (1,)),
        ("|nor_conv_3x3~0|+|none~0|skip_connect~1|", True, False, (0, 2), (0, 2)),
        # The only convolution starts at a node that the input does not reach.
        ("|none~0|+|avg_pool_3x3~0|nor_conv_1x1~1|", True, True, (1,), (1, 2)),
        ("|skip_connect~0|+|none~0|none~1|", False, True, (), ()),
        ("|none~0|+|none~0|nor_conv_3x3~1|", False, True, (), (2,)),
        (str(Cell.filled("skip_connect", 5)), True, True, tuple(range(10)), tuple(range(10))),
        (str(Cell.filled("none", 4)), False, True, (), ()),
    ],
)
def test_paths_from_input_to_output(
    text: str,
    connected: bool,
    parameter_free: bool,
    contributing: tuple[int, ...],
    to_output: tuple[int, ...],
) -> None:
    cell = Cell.from_string(text)
    assert cell.is_connected == connected
    assert cell.is_parameter_free == parameter_free
    assert cell.contributing_edges == contributing
    assert cell.edges_to_output == to_output


@given(cells())
def test_contributing_edges_are_those_on_a_path(cell: Cell) -> None:
    """Enumerate the paths one by one, which is slow and plain."""
    last = cell.n_nodes - 1
    on_path = set()
    for inner in range(cell.n_nodes):
        for between in itertools.combinations(range(1, last), inner):
            steps = list(itertools.pairwise((0, *between, last)))
            edges = [edges_of(cell.n_nodes).index(step) for step in steps]
            if all(cell.operations[edge] != "none" for edge in edges):
                on_path.update(edges)
    assert set(cell.contributing_edges) == on_path


def test_number_of_skip_connections() -> None:
    assert Cell.filled("skip_connect", 5).n_skip_connections == 10
    assert Cell.from_string(THREE_NODES).n_skip_connections == 1
    assert Cell.filled("none", 4).n_skip_connections == 0


def test_reading_a_cell_does_not_import_torch() -> None:
    code = "import sys, proxysample_nas.space.cell; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
