"""Figures 3 to 5: the best cells, those without parameters, and the operations on each edge."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxysample.components import Component
from proxysample.errors import InputError
from proxysample.figures import create_figure, legend_label, settle_layout
from proxysample.rendering import NUMBER, TEXT, Column, to_csv
from proxysample.wording import pluralize
from proxysample_nas.drawing import LEGEND_COLUMNS, draw_cell, legend_handles
from proxysample_nas.space.cell import Cell, edges_of
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace
from proxysample_nas.study.reports.accuracy_table import write_accuracy
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.results import GROUPS, FoundCell, Row, best_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch


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


# Of a pie, where nodes are one apart.
RADIUS = 0.34
# In inches; the legend needs it.
NARROWEST = 6.4


@dataclass(frozen=True)
class EdgeDistribution:
    """The operations on each edge of the cells that one searcher found at one r.

    Attributes
    ----------
    searcher : Component
    r : float
        1 for the full data.
    cells : tuple of Cell
        One per search, over all samplers and search seeds; equal ones count each time.
    space : SearchSpace
        What the searcher chose from.

    Examples
    --------
    >>> cells = (Cell.from_indices([3, 1, 0]), Cell.from_indices([3, 1, 1]))
    >>> distribution = EdgeDistribution(Component("gdas"), 0.5, cells)
    >>> distribution.counts[0], distribution.counts[2]
    (Counter({'nor_conv_3x3': 2}), Counter({'none': 1, 'skip_connect': 1}))
    """

    searcher: Component
    r: float
    cells: tuple[Cell, ...]
    space: SearchSpace = NAS_BENCH_201

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Source and target of each edge, in the order of `counts`."""
        return edges_of(self.cells[0].n_nodes)

    @property
    def counts(self) -> list[Counter[str]]:
        """How many cells have each operation, edge by edge."""
        return [Counter(operations) for operations in zip(*self._operations, strict=True)]

    @property
    def _operations(self) -> list[tuple[str, ...]]:
        return [cell.operations for cell in self.cells]


def edge_distributions(results: StudyResults) -> list[EdgeDistribution]:
    """Gather the cells of each searcher and r.

    Returns
    -------
    list of EdgeDistribution
        In the order of the searchers, r descending; what has not been searched is left out.
    """
    distributions = []
    for searcher in results.configuration.searchers:
        parameters = results.configuration.searcher_parameters(searcher)
        space = SearchSpace.of(parameters.get("space", NAS_BENCH_201))
        for r in _ratios(results):
            cells = [
                one.cell
                for row in results.rows_of(searcher)
                if row.setting.r == r
                for one in row.found
            ]
            if cells:
                distributions.append(
                    EdgeDistribution(searcher, r, tuple(cells), space.covering(cells))
                )
    return distributions


@dataclass(frozen=True)
class OperationCount:
    """How many cells have one operation on one edge, which is counted from 1."""

    distribution: EdgeDistribution
    edge: int
    operation: str

    @property
    def nodes(self) -> tuple[int, int]:
        """Source and target of the edge."""
        return self.distribution.edges[self.edge - 1]

    @property
    def count(self) -> int:
        """How many cells have the operation there."""
        return self.distribution.counts[self.edge - 1][self.operation]

    @property
    def n_cells(self) -> int:
        """How many cells there are."""
        return len(self.distribution.cells)


COLUMNS: tuple[Column[OperationCount], ...] = (
    Column(None, TEXT, lambda one: one.distribution.searcher.label, csv_name="searcher"),
    Column(None, NUMBER, lambda one: one.distribution.r, csv_name="r"),
    Column(None, NUMBER, lambda one: one.edge, csv_name="edge"),
    Column(None, NUMBER, lambda one: one.nodes[0], csv_name="source"),
    Column(None, NUMBER, lambda one: one.nodes[1], csv_name="target"),
    Column(None, TEXT, lambda one: one.operation, csv_name="operation"),
    Column(None, NUMBER, lambda one: one.count, csv_name="count"),
    Column(None, NUMBER, lambda one: one.n_cells, csv_name="n_cells"),
    Column(None, NUMBER, lambda one: one.count / one.n_cells, csv_name="probability"),
)


def edge_distributions_to_csv(results: StudyResults) -> str:
    """Write what the figure shows, one line per searcher, r, edge and operation."""
    return to_csv(
        COLUMNS,
        (
            OperationCount(distribution, edge, operation.name)
            for distribution in edge_distributions(results)
            for edge in range(1, len(distribution.edges) + 1)
            for operation in distribution.space.in_order_of_legend
        ),
    )


def draw_edge_distribution(results: StudyResults) -> Figure:
    """Draw a pie for each edge, rows by searcher and columns by r.

    Returns
    -------
    matplotlib.figure.Figure
        In each entry a pie stands in the column of its edge's source node and the row of its
        target node; its title counts the cells.

    Raises
    ------
    InputError
        If no search has ended.
    MissingDependencyError
        If matplotlib is not installed (extra ``plots``).
    """
    distributions = edge_distributions(results)
    if not distributions:
        raise InputError("no search of this study has ended, so there is nothing to draw")
    searched = [one.searcher for one in distributions]
    rows = [named for named in results.named_searchers if named[1] in searched]
    sizes = {row.setting.r: row.setting.size for row in results.rows}
    ratios = [r for r in _ratios(results) if any(one.r == r for one in distributions)]
    n_nodes = max(one.cells[0].n_nodes for one in distributions)
    side = 0.75 * n_nodes
    width = max(NARROWEST, 0.6 + side * len(ratios))
    figure = create_figure(width, 0.8 + side * len(rows))
    grid = figure.subplots(len(rows), len(ratios), squeeze=False)
    for place, (name, searcher) in enumerate(rows):
        for column, r in enumerate(ratios):
            axes = grid[place, column]
            _prepare(axes, n_nodes)
            for one in distributions:
                if one.searcher == searcher and one.r == r:
                    _draw_pies(axes, one)
            if place == 0:
                axes.set_title("full data" if r == 1 else sizes[r])
            if column == 0:
                axes.set_ylabel(name.upper(), fontsize=11)
    figure.legend(
        handles=_legend(_all_of(distributions)),
        loc="outside lower center",
        ncols=LEGEND_COLUMNS,
        frameon=False,
    )
    settle_layout(figure)
    return figure


def edge_distribution_caption(results: StudyResults) -> str:
    """Say what the figure shows."""
    fewest = min((len(one.cells) for one in edge_distributions(results)), default=0)
    few = " A pie of one cell is that cell, not a distribution." if fewest == 1 else ""
    return (
        "Part of the found cells that have an operation on an edge, over all samplers and search "
        f"seeds; n counts the cells, equal ones each time.{few}"
    )


def _ratios(results: StudyResults) -> list[float]:
    return sorted({row.setting.r for row in results.rows}, reverse=True)


def _prepare(axes: Axes, n_nodes: int) -> None:
    axes.set(xlim=(-0.55, n_nodes - 1.45), ylim=(n_nodes - 0.5, 0.3), aspect="equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#d5dbe1")


def _draw_pies(axes: Axes, distribution: EdgeDistribution) -> None:
    n_cells = len(distribution.cells)
    for (source, target), counts in zip(distribution.edges, distribution.counts, strict=True):
        _draw_pie(axes, (source, target), counts, n_cells, distribution.space)
        axes.text(
            source,
            target - RADIUS - 0.04,
            f"{source}\N{RIGHTWARDS ARROW}{target}, n={n_cells}",
            ha="center",
            va="bottom",
            fontsize=7,
        )


def _draw_pie(
    axes: Axes,
    center: tuple[float, float],
    counts: Counter[str],
    n_cells: int,
    space: SearchSpace,
) -> None:
    from matplotlib.patches import Circle, Wedge

    start = 90.0
    for operation in space.in_order_of_legend:
        count = counts[operation.name]
        colour = operation.colour
        end = start + 360 * count / n_cells
        if count == n_cells:
            axes.add_patch(Circle(center, RADIUS, facecolor=colour, edgecolor="white"))
        elif count:
            wedge = Wedge(
                center, RADIUS, start, end, facecolor=colour, edgecolor="white", linewidth=0.8
            )
            axes.add_patch(wedge)
        start = end


def _all_of(distributions: list[EdgeDistribution]) -> SearchSpace:
    names = dict.fromkeys(name for one in distributions for name in one.space.operations)
    return SearchSpace(tuple(names))


def _legend(space: SearchSpace) -> list[Patch]:
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=operation.colour, label=legend_label(operation.label))
        for operation in space.in_order_of_legend
    ]
