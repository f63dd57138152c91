"""A study's figures by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from proxysample.errors import InputError, check_name
from proxysample.figures import save_figure
from proxysample_nas.study.reports.figures import cells, edges, time_and_accuracy
from proxysample_nas.study.reports.results import StudyResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        time_and_accuracy.draw_time_and_accuracy,
        time_and_accuracy.caption,
    ),
    "best-cells": FigureKind("Best cells", cells.draw_best_cells, cells.best_cells_caption),
    "parameter-free-cells": FigureKind(
        "Cells without parameters",
        cells.draw_parameter_free_cells,
        cells.parameter_free_caption,
    ),
    "edge-distribution": FigureKind(
        "Cell edge distribution",
        edges.draw_edge_distribution,
        edges.caption,
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
