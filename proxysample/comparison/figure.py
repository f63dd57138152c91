"""Accuracy over the part that is kept, every sampler against what a random part gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.comparison.experiments import ALL_DATA, RS2
from proxysample.comparison.parts import BudgetKind
from proxysample.comparison.results import CLASS_RANDOM, RANDOM, Cell, ComparisonResults, Row
from proxysample.comparison.table import BUDGET_WORDS
from proxysample.errors import InputError
from proxysample.figures import (
    HUES,
    INK,
    MARKERS,
    create_figure,
    legend_below,
    legend_label,
    settle_layout,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND = "#8a97a5"


def draw_comparison(results: ComparisonResults) -> Figure:
    """Draw accuracy over r: a panel for each arm and budget, a line for each sampler.

    Returns
    -------
    matplotlib.figure.Figure
        The band is class-random: its mean and standard deviation over the draws. Bars are
        standard deviations over the seeds.

    Raises
    ------
    InputError
        If no training on a kept set has ended.
    MissingDependencyError
        If matplotlib is not installed (extra ``plots``).
    """
    arms, budgets = list(results.info.arms), results.configuration.budgets
    if not any(row.method != ALL_DATA for row in results.rows):
        raise InputError("no training of this comparison has ended, so there is nothing to draw")
    figure = create_figure(1.2 + 5.4 * len(arms), 0.8 + 4.0 * len(budgets))
    grid = figure.subplots(len(budgets), len(arms), squeeze=False, sharex=True)
    for column, arm in enumerate(arms):
        for line, budget in enumerate(budgets):
            axes = grid[line, column]
            _draw(axes, results, arm, budget)
            words = results.info.arms[arm].words or "the data as they are"
            axes.set_title(f"{words}, {BUDGET_WORDS[budget]}", fontsize=10)
            if column == 0:
                axes.set_ylabel("accuracy, %")
            if line == len(budgets) - 1:
                axes.set_xlabel("r, part of the training data")
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        found, labels = axes.get_legend_handles_labels()
        handles |= {str(label): one for label, one in zip(labels, found, strict=True)}
    legend_below(figure, list(handles.values()), list(handles))
    settle_layout(figure)
    return figure


def _draw(axes: Axes, results: ComparisonResults, arm: str, budget: BudgetKind) -> None:
    lines = _lines(results.rows, arm, budget)
    for cell in lines.pop(ALL_DATA, {}).values():
        axes.axhline(cell.mean, color=INK, linewidth=1, linestyle=":", label="all of the data")
    rival = lines.pop(CLASS_RANDOM, {})
    if rival:
        _draw_band(axes, rival)
    styles = _styles(results)
    for method, cells in lines.items():
        color, marker, style = styles[method]
        axes.errorbar(
            list(cells),
            [cell.mean for cell in cells.values()],
            [cell.std or 0.0 for cell in cells.values()],
            color=color,
            marker=marker,
            linestyle=style,
            markersize=5,
            linewidth=1.3,
            capsize=2,
            label=legend_label(method),
        )
    ratios = sorted({r for cells in (*lines.values(), rival) for r in cells})
    axes.set_xscale("log")
    axes.set_xticks(ratios, [f"{r:.3g}" for r in ratios])
    axes.minorticks_off()
    axes.grid(axis="y", color="#d5dbe1", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_band(axes: Axes, cells: dict[float, Cell]) -> None:
    means = [cell.mean for cell in cells.values()]
    spreads = [cell.std or 0.0 for cell in cells.values()]
    axes.fill_between(
        list(cells),
        [mean - spread for mean, spread in zip(means, spreads, strict=True)],
        [mean + spread for mean, spread in zip(means, spreads, strict=True)],
        color=BAND,
        alpha=0.35,
        linewidth=0,
    )
    axes.plot(list(cells), means, color=BAND, linewidth=2.5, label=f"{CLASS_RANDOM}, mean and std")


def _lines(rows: tuple[Row, ...], arm: str, budget: BudgetKind) -> dict[str, dict[float, Cell]]:
    """Give each method's cells by r, ascending."""
    found: dict[str, dict[float, Cell]] = {}
    for row in sorted(rows, key=lambda row: row.r):
        if row.arm == arm and budget in row.cells:
            found.setdefault(row.method, {})[row.r] = row.cells[budget]
    return found


def _styles(results: ComparisonResults) -> dict[str, tuple[str, str, str]]:
    """Give each method a colour, a marker and a kind of line; what is random has grey ones."""
    samplers = [one.component.label for one in results.configuration.others]
    styles = {
        name: (HUES[place % len(HUES)], MARKERS[place % len(MARKERS)], "-")
        for place, name in enumerate(samplers)
    }
    return styles | {RANDOM: (BAND, "x", "--"), RS2.upper(): (INK, "+", "--")}


def caption(results: ComparisonResults) -> str:
    """Say what the figure shows."""
    return (
        f"The band is {CLASS_RANDOM}: mean and standard deviation over "
        f"{len(results.configuration.draws)} draws. Bars are standard deviations over "
        f"{len(results.configuration.seeds)} seeds; whether a difference is one is said in the "
        "table."
    )
