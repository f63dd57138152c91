"""A study's figures by name, and the first of them: time and accuracy over r."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from proxysample.errors import InputError, check_name
from proxysample.figures import (
    HUES,
    INK,
    MARKERS,
    create_figure,
    legend_below,
    legend_label,
    save_figure,
    settle_layout,
)
from proxysample_nas.study.reports.cell_figures import (
    best_cells_caption,
    draw_best_cells,
    draw_edge_distribution,
    draw_parameter_free_cells,
    edge_distribution_caption,
    parameter_free_caption,
)
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.results import FoundCell, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


UNITS = {"s": 1, "min": 60, "h": 3600}
"""Seconds of each unit of time."""


@dataclass(frozen=True)
class Point:
    """One search.

    Attributes
    ----------
    sampler : str or None
        Its label; None for the full data.
    seed : int
        Of the search.
    r : float
    value : float
    """

    sampler: str | None
    seed: int
    r: float
    value: float


@dataclass(frozen=True)
class Spread:
    """The searches of one size, such as those of one sampler.

    Attributes
    ----------
    r : float
    mean : float
    std : float or None
        Sample standard deviation; None for fewer than two searches.
    n : int
    """

    r: float
    mean: float
    std: float | None
    n: int


def seconds_points(rows: list[Row]) -> list[Point]:
    """Give the wall-clock time of each search, in seconds.

    Parameters
    ----------
    rows : list of Row
        Of one searcher.
    """
    return [_point(row, one, one.seconds) for row in rows for one in row.found]


def time_unit(longest: float) -> str:
    """Choose the unit of an axis of times.

    Parameters
    ----------
    longest : float
        Seconds.

    Examples
    --------
    >>> time_unit(90), time_unit(900), time_unit(90_000)
    ('s', 'min', 'h')
    """
    return max(
        (unit for unit in UNITS if 2 * UNITS[unit] <= longest), key=UNITS.__getitem__, default="s"
    )


def relative_points(rows: list[Row]) -> list[Point]:
    """Give the time of each search in percent of the mean search on the full data.

    Parameters
    ----------
    rows : list of Row
        Of one searcher.

    Returns
    -------
    list of Point
        Empty where the full data have not been searched, or that took no time: a random search
        of a single cell has nothing to do.
    """
    points = seconds_points(rows)
    full = [point.value for point in points if point.sampler is None]
    whole = statistics.fmean(full) if full else 0.0
    if not whole:
        return []
    return [replace(one, value=100 * one.value / whole) for one in points]


def accuracy_points(rows: list[Row], channels: int) -> list[Point]:
    """Give the accuracy of the cell of each search, in percent.

    Parameters
    ----------
    rows : list of Row
        Of one searcher.
    channels : int
        Width at which cells were evaluated.

    Returns
    -------
    list of Point
        Means over the trainings of a cell.
    """
    return [
        _point(row, one, one.evaluations[channels].mean)
        for row in rows
        for one in row.found
        if channels in one.evaluations
    ]


def spreads(points: list[Point]) -> list[Spread]:
    """Summarise points for each r.

    Returns
    -------
    list of Spread
        Ascending in r; the full data stand at r=1.

    Examples
    --------
    >>> spreads([Point("RS", 0, 0.5, 70.0), Point("RS", 1, 0.5, 74.0), Point(None, 0, 1.0, 75.0)])
    [Spread(r=0.5, mean=72.0, std=2.8284271247461903, n=2), Spread(r=1.0, mean=75.0, std=None, n=1)]
    """
    values: dict[float, list[float]] = {}
    for point in sorted(points, key=lambda point: point.r):
        values.setdefault(point.r, []).append(point.value)
    return [
        Spread(r, statistics.fmean(v), statistics.stdev(v) if len(v) > 1 else None, len(v))
        for r, v in values.items()
    ]


def in_unit(points: list[Point], unit: str) -> list[Point]:
    """Give times in another unit than seconds."""
    return [replace(point, value=point.value / UNITS[unit]) for point in points]


def _point(row: Row, found: FoundCell, value: float) -> Point:
    sampler = row.setting.sampler
    return Point(None if sampler is None else sampler.label, found.seed, row.setting.r, value)


def draw_time_and_accuracy(results: StudyResults) -> Figure:
    """Draw search time and accuracy over r, a column for each searcher.

    Returns
    -------
    matplotlib.figure.Figure
        Every search is a point. A line for each sampler joins its means over the searches of an
        r, and leads to the full data's; its bars are sample standard deviations.

    Raises
    ------
    InputError
        If no search has ended.
    MissingDependencyError
        If matplotlib is not installed (extra ``plots``).
    """
    searchers = [
        (name, searcher)
        for name, searcher in results.named_searchers
        if any(row.found for row in results.rows_of(searcher))
    ]
    if not searchers:
        raise InputError("no search of this study has ended, so there is nothing to draw")
    unit = time_unit(max(point.value for point in seconds_points(list(results.rows))))
    panels: list[tuple[str, Callable[[list[Row]], list[Point]]]] = [
        ("search time,\n% of the full data's", relative_points),
        (f"search time, {unit}", lambda rows: in_unit(seconds_points(rows), unit)),
        (
            f"test accuracy, %\nC={results.widest}",
            lambda rows: accuracy_points(rows, results.widest),
        ),
    ]
    figure = create_figure(2.4 + 2.9 * len(searchers), 8.4)
    grid = figure.subplots(len(panels), len(searchers), squeeze=False, sharex=True)
    for column, (name, searcher) in enumerate(searchers):
        rows = results.rows_of(searcher)
        for place, (label, points_of) in enumerate(panels):
            axes = grid[place, column]
            _draw_points(axes, points_of(rows), results)
            if column == 0:
                axes.set_ylabel(label)
        for axes in grid[:2, column]:
            axes.set_ylim(bottom=0)
        grid[0, column].set_title(name.upper())
        _draw_proportional(grid[0, column])
        grid[-1, column].set_xlabel("r, part of the training data")
    handles, labels = _legend(results)
    legend_below(figure, handles, labels)
    settle_layout(figure)
    return figure


def _draw_points(axes: Axes, points: list[Point], results: StudyResults) -> None:
    # Ready indices have a ratio of their own.
    ratios = sorted({row.setting.r for row in results.rows})
    for sampler in _labels(results):
        own = [point for point in points if point.sampler == sampler]
        color, marker = _style(sampler, results)
        axes.scatter(
            [one.r + _shift(one, results) for one in own],
            [one.value for one in own],
            s=26,
            color=color,
            marker=marker,
        )
        _draw_line(axes, sampler, points, results)
    axes.set_xticks(ratios, [f"{r:g}" for r in ratios])
    axes.grid(axis="y", color="#d5dbe1", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.08)


def _draw_line(axes: Axes, sampler: str | None, points: list[Point], results: StudyResults) -> None:
    """Join a sampler's means, and lead them to the full data's."""
    full = [point for point in points if point.sampler is None]
    own = [point for point in points if point.sampler == sampler]
    summary = spreads(own if sampler is None else [*own, *full])
    # The full data's bar is drawn once, with its own points.
    bars = [one.std if sampler is None or one.r < 1 else None for one in summary]
    shift = 0.0 if sampler is None else _shift_of_sampler(sampler, results)
    axes.errorbar(
        [one.r + (shift if one.r < 1 else 0.0) for one in summary],
        [one.mean for one in summary],
        [0.0 if bar is None else bar for bar in bars],
        color=_style(sampler, results)[0],
        linewidth=1.2,
        capsize=3,
        zorder=1,
    )


def _draw_proportional(axes: Axes) -> None:
    low = min(axes.get_xticks())
    axes.plot([low, 1], [100 * low, 100], color=INK, linewidth=1, linestyle=":", zorder=0)


def _labels(results: StudyResults) -> list[str | None]:
    return [None, *(sampler.label for sampler in results.configuration.samplers)]


def _shift(point: Point, results: StudyResults) -> float:
    """Move points sideways by sampler, then by search seed, so that none hides another."""
    seeds = results.configuration.search_seeds
    by_sampler = _shift_of_sampler(point.sampler, results) if point.sampler else 0.0
    return by_sampler + 0.6 * _slot(results) * _centred(seeds, point.seed) / len(seeds)


def _shift_of_sampler(sampler: str, results: StudyResults) -> float:
    return _slot(results) * _centred(_labels(results)[1:], sampler)


def _slot(results: StudyResults) -> float:
    """Say how much room along r there is for the points of one sampler."""
    counted = {row.setting.r for row in results.rows if row.setting.n is not None}
    ratios = sorted({*results.configuration.ratios, *counted, 1.0})
    room = 0.6 * min((high - low for low, high in pairwise(ratios)), default=0.25)
    return room / len(results.configuration.samplers)


def _centred(values: Sequence[object], value: object) -> float:
    return values.index(value) - (len(values) - 1) / 2


def _style(sampler: str | None, results: StudyResults) -> tuple[str, str]:
    if sampler is None:
        return INK, "o"
    place = _labels(results).index(sampler) - 1
    return HUES[place % len(HUES)], MARKERS[place % len(MARKERS)]


def _legend(results: StudyResults) -> tuple[list[Line2D], list[str]]:
    from matplotlib.lines import Line2D

    labels = _labels(results)
    styles = [_style(label, results) for label in labels]
    handles = [Line2D([], [], linewidth=1.2, color=c, marker=marker) for c, marker in styles]
    handles.append(Line2D([], [], color=INK, linewidth=1, linestyle=":"))
    named = [*(legend_label(label or "full data") for label in labels), "proportional to r"]
    return handles, named


def time_and_accuracy_caption(results: StudyResults) -> str:
    """Say what the figure shows."""
    n_seeds = len(results.configuration.search_seeds)
    return (
        "Every point is one search, moved a little sideways so that none hides another. A line for "
        "each sampler "
        + (
            f"joins its means over {n_seeds} search seeds; bars are sample standard deviations "
            "over these searches, not over trainings. "
            if n_seeds > 1
            else "joins its searches. "
        )
        + f"Accuracies are means over the trainings of a cell at C={results.widest}."
    )


SUFFIXES = ("svg", "png", "pdf")


@dataclass(frozen=True)
class FigureKind:
    """One of the figures.

    Attributes
    ----------
    title : str
    draw : callable
        Draws it, or raises `InputError` where there is nothing to draw.
    caption : callable
        Says what it shows.
    """

    title: str
    draw: Callable[[StudyResults], Figure]
    caption: Callable[[StudyResults], str]


FIGURES = {
    "time-and-accuracy": FigureKind(
        "Search time and accuracy over r",
        draw_time_and_accuracy,
        time_and_accuracy_caption,
    ),
    "best-cells": FigureKind("Best cells", draw_best_cells, best_cells_caption),
    "parameter-free-cells": FigureKind(
        "Cells without parameters",
        draw_parameter_free_cells,
        parameter_free_caption,
    ),
    "edge-distribution": FigureKind(
        "Cell edge distribution",
        draw_edge_distribution,
        edge_distribution_caption,
    ),
}
"""The paper's Figures 2 to 5, in its order."""


def draw_figure(results: StudyResults, name: str) -> Figure:
    """Draw a figure.

    Parameters
    ----------
    results : StudyResults
    name : str
        One of `FIGURES`.

    Returns
    -------
    matplotlib.figure.Figure
        Not known to pyplot, so nothing has to be closed.

    Raises
    ------
    InputError
        If there is no such figure, or nothing to draw yet.
    MissingDependencyError
        If matplotlib is not installed (extra ``plots``).
    """
    check_name("figure", name, FIGURES)
    return FIGURES[name].draw(results)


def save_figures(
    results: StudyResults, folder: Path
) -> tuple[dict[str, list[Path]], dict[str, str]]:
    """Draw every figure that there is something to draw for.

    Returns
    -------
    saved : dict
        The files of each figure, by its name.
    missing : dict
        Why a figure is not drawn, by its name.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed (extra ``plots``).
    """
    saved, missing = {}, {}
    for name in FIGURES:
        try:
            figure = draw_figure(results, name)
        except InputError as nothing_to_draw:
            missing[name] = str(nothing_to_draw)
            continue
        saved[name] = [folder / f"{name}.{suffix}" for suffix in SUFFIXES]
        for path in saved[name]:
            save_figure(figure, path)
    return saved, missing
