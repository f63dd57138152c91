"""Draw a cell as the paper does: nodes in a row, one coloured arrow per edge (its Figure 3)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from proxysample.figures import (
    check_drawing_path,
    create_figure,
    legend_label,
    save_figure,
    settle_layout,
)
from proxysample.files import as_path
from proxysample_nas.space.cell import Cell, edges_of
from proxysample_nas.space.operations import NAS_BENCH_201, Operation, SearchSpace, get_operation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

LEGEND_COLUMNS = 5


def save_drawing(
    cell: Cell, path: str | Path, title: str = "", space: SearchSpace | None = None
) -> None:
    """Draw a cell into a file.

    Parameters
    ----------
    cell : Cell
    path : str or Path
        Ends in ``.png``, ``.svg`` or ``.pdf``.
    title : str
        Written above the cell.
    space : SearchSpace, optional
        What the legend lists; by default the operations of NAS-Bench-201 and what the cell has
        besides.

    Raises
    ------
    InputError
        If the ending is another, or the folder is missing.
    MissingDependencyError
        If matplotlib is not installed (extra ``plots``).

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cell.svg"
    >>> save_drawing(Cell.from_string("|nor_conv_3x3~0|+|skip_connect~0|none~1|"), path)
    >>> "3x3 Conv" in path.read_text()
    True
    """
    path = as_path(path)
    check_drawing_path(path)
    save_figure(draw_figure(cell, title, space), path)


def draw_figure(cell: Cell, title: str = "", space: SearchSpace | None = None) -> Figure:
    """Draw a cell as a matplotlib figure of its own.

    Parameters
    ----------
    cell : Cell
    title : str
    space : SearchSpace, optional
        See `save_drawing`.

    Returns
    -------
    matplotlib.figure.Figure
        Not known to pyplot, so nothing has to be closed.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed (extra ``plots``).
    """
    figure = create_figure(1.6 * max(cell.n_nodes, 4), 0.4 * cell.n_nodes + 2)
    axes = figure.add_subplot()
    draw_cell(cell, axes)
    axes.legend(
        handles=legend_handles(
            SearchSpace.of(NAS_BENCH_201 if space is None else space).covering([cell])
        ),
        loc="upper center",
        bbox_to_anchor=(0.5, 0.02),
        ncols=LEGEND_COLUMNS,
        frameon=False,
    )
    if title:
        axes.set_title(title)
    settle_layout(figure)
    return figure


def legend_handles(space: SearchSpace) -> list[Line2D]:
    """Make a legend's line for each operation, as `draw_cell` draws it.

    Parameters
    ----------
    space : SearchSpace

    Returns
    -------
    list of matplotlib.lines.Line2D
    """
    from matplotlib.lines import Line2D

    return [
        Line2D(
            [],
            [],
            color=operation.colour,
            label=legend_label(operation.label),
            linewidth=2.2,
            linestyle=_line_style(operation),
        )
        for operation in space.in_order_of_legend
    ]


def _line_style(operation: Operation) -> Literal["--", "-"]:
    return "--" if operation.kind == "zero" else "-"


def draw_cell(cell: Cell, axes: Axes) -> None:
    """Draw a cell into given axes, without a legend.

    Edges between neighbours are straight; longer ones bend, alternately above and below, the
    more the further they reach.

    Parameters
    ----------
    cell : Cell
    axes : matplotlib.axes.Axes
        Its ticks and frame are removed.
    """
    from matplotlib.patches import Circle, FancyArrowPatch

    for source, target, name in cell.edges:
        operation = get_operation(name)
        reach = target - source
        bend = _bend(reach) * (-1 if _is_above(source, target) else 1)
        axes.add_patch(
            FancyArrowPatch(
                (source, 0),
                (target, 0),
                connectionstyle=f"arc3,rad={bend}",
                arrowstyle="-|>",
                mutation_scale=16,
                linewidth=2.2,
                linestyle=_line_style(operation),
                color=operation.colour,
                shrinkA=14,
                shrinkB=14,
            )
        )
    for node in range(cell.n_nodes):
        axes.add_patch(Circle((node, 0), 0.13, facecolor="white", edgecolor="#1c2733", zorder=3))
        axes.text(node, 0, str(node), ha="center", va="center", zorder=4)
    below, above = _heights(cell.n_nodes)
    axes.set(xlim=(-0.4, cell.n_nodes - 0.6), ylim=(-below, above), aspect="equal")
    axes.axis("off")


def _is_above(source: int, target: int) -> bool:
    return (source + target) % 2 == 1


def _bend(reach: int) -> float:
    return 0 if reach == 1 else 0.28 * reach**0.5


def _heights(n_nodes: int) -> tuple[float, float]:
    """Measure how far arrows and nodes reach below and above the row of nodes."""
    heights = {False: 0.0, True: 0.0}
    for source, target in edges_of(n_nodes):
        reach = target - source
        side = _is_above(source, target)
        # A bend is the height of the curve's control point; the curve rises half as high.
        heights[side] = max(heights[side], 0.5 * reach * _bend(reach))
    return heights[False] + 0.25, heights[True] + 0.25
