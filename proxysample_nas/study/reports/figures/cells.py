"""Figures 3 and 4: the best cells, and the cells without parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxysample.errors import InputError
from proxysample.figures import create_figure, settle_layout
from proxysample.wording import pluralize
from proxysample_nas.drawing import LEGEND_COLUMNS, draw_cell, legend_handles
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import NAS_BENCH_201
from proxysample_nas.study.reports.accuracy_table import write_accuracy
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.results import GROUPS, FoundCell, Row, best_cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_SHOWN = 8
"""So many cells without parameters are drawn, those found most often."""
N_COLUMNS = 2


@dataclass(frozen=True)
class Finding:
    """A cell, and every search that found it.

    Attributes
    ----------
    cell : Cell
    found_by : tuple of (Row, FoundCell)
    """

    cell: Cell
    found_by: tuple[tuple[Row, FoundCell], ...]


def parameter_free_cells(results: StudyResults) -> list[Finding]:
    """List the found cells without parameters.

    Returns
    -------
    list of Finding
        Distinct ones, those found most often first, of these the first found.
    """
    found: dict[Cell, list[tuple[Row, FoundCell]]] = {}
    for row in results.rows:
        for one in row.found:
            if one.cell.is_parameter_free:
                found.setdefault(one.cell, []).append((row, one))
    findings = [Finding(cell, tuple(searches)) for cell, searches in found.items()]
    return sorted(findings, key=lambda one: -len(one.found_by))


def draw_best_cells(results: StudyResults) -> Figure:
    """Draw the best cell of each group of samplers (Figure 3).

    Raises
    ------
    InputError
        If no cell found on a proxy has been evaluated.
    MissingDependencyError
        If matplotlib is not installed (extra ``plots``).
    """
    champions = [
        one
        for one in best_cells(list(results.rows), results.widest, 1)
        if one.row.group != GROUPS[0]
    ]
    if not champions:
        raise InputError("no cell found on a proxy has been evaluated, so there is no best to draw")
    return _draw(
        [
            (
                one.found.cell,
                f"{one.row.group}: {write_accuracy(one.found.evaluations[results.widest])} %\n"
                f"{_where(results, one.row, one.found)}",
            )
            for one in champions
        ]
    )


def draw_parameter_free_cells(results: StudyResults) -> Figure:
    """Draw the found cells without parameters, the most frequent first (Figure 4).

    Returns
    -------
    matplotlib.figure.Figure
        At most `N_SHOWN` of them.

    Raises
    ------
    InputError
        If none was found.
    MissingDependencyError
        If matplotlib is not installed (extra ``plots``).
    """
    findings = parameter_free_cells(results)
    if not findings:
        raise InputError("no search of this study found a cell without parameters")
    return _draw([(one.cell, _count(results, one)) for one in findings[:N_SHOWN]])


def best_cells_caption(results: StudyResults) -> str:
    """Say what the figure of the best cells shows."""
    return (
        f"The best cell of each group of samplers, by test accuracy at C={results.widest}. The "
        "best of many is chosen by the accuracy that is shown, so that is optimistic."
    )


def parameter_free_caption(results: StudyResults) -> str:
    """Say what the figure of the cells without parameters shows."""
    findings = parameter_free_cells(results)
    n_searches = sum(len(row.found) for row in results.rows)
    n_free = sum(len(one.found_by) for one in findings)
    n_cut = sum(len(one.found_by) for one in findings if not one.cell.is_connected)
    cut = (
        f" {n_cut} of them {'has' if n_cut == 1 else 'have'} no such path at all." if n_cut else ""
    )
    shown = f", the {N_SHOWN} most frequent drawn" if len(findings) > N_SHOWN else ""
    return (
        f"{n_free} of {n_searches} searches ended in a cell without a convolution on a path from "
        f"input to output: {pluralize(len(findings), 'distinct cell')}{shown}.{cut}"
    )


def _where(results: StudyResults, row: Row, found: FoundCell) -> str:
    searcher = results.name_of(row.setting.searcher).upper()
    data = "full data" if row.setting.sampler is None else row.setting.sampler.label
    seed = f", seed {found.seed}" if len(results.configuration.search_seeds) > 1 else ""
    return f"{searcher} on {data}, {row.setting.size}{seed}"


def _count(results: StudyResults, finding: Finding) -> str:
    (row, found), *others = finding.found_by
    times = f"\nand {len(others)} more" if others else "\n"
    return _where(results, row, found) + times


def _draw(cells: list[tuple[Cell, str]]) -> Figure:
    n_columns = min(N_COLUMNS, len(cells))
    n_rows = -(-len(cells) // n_columns)
    n_nodes = max(cell.n_nodes for cell, _ in cells)
    figure = create_figure(
        max(6.2, n_columns * 1.2 * n_nodes), 0.5 + n_rows * (0.5 + 0.45 * n_nodes)
    )
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, (cell, title) in zip(grid.flat, cells, strict=False):
        draw_cell(cell, axes)
        axes.set_title(title, fontsize=10)
    figure.legend(
        handles=legend_handles(NAS_BENCH_201.covering(cell for cell, _ in cells)),
        loc="outside lower center",
        ncols=LEGEND_COLUMNS,
        frameon=False,
    )
    settle_layout(figure)
    return figure
