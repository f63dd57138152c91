"""Figures that pyplot does not know, saved to the same bytes each time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxysample.errors import InputError, MissingDependencyError
from proxysample.files import as_path, replace_file
from proxysample.printing import cleaned, cleaned_lines

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "*")
HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe & Ito (2008); with another number of markers, so that both together tell many lines
apart."""
INK = "#1c2733"


def create_figure(width: float, height: float) -> Figure:
    """Create an empty figure that pyplot does not know.

    Parameters
    ----------
    width, height : float
        Inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed (extra ``plots``).
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "drawing needs matplotlib: pip install 'proxysample[plots]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def legend_label(name: str) -> str:
    r"""Give a name of anyone's as a legend's: matplotlib leaves out those that begin with ``_``.

    Examples
    --------
    >>> legend_label("rs"), legend_label("_a\x1b")
    ('rs', ' _a\\x1b')
    """
    return f" {cleaned(name)}" if name.startswith("_") else cleaned(name)


def show_as_written(figure: Figure) -> None:
    """Have names in a figure stand for themselves: no formula between dollars, nothing hidden."""
    for axes in figure.axes:
        legend = axes.get_legend()
        in_legend = [] if legend is None else legend.get_texts()
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts, *in_legend):
            _show_text_as_written(text)
    for text in (*figure.texts, *(text for one in figure.legends for text in one.get_texts())):
        _show_text_as_written(text)


def _show_text_as_written(text: Any) -> None:
    text.set_parse_math(False)
    text.set_text(cleaned_lines(text.get_text()))


def legend_below(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """Put a legend below all axes, of as many columns as the figure is wide enough for."""
    # A letter is about 0.085 inches wide, a handle with its margins 0.65 and a gap.
    longest = 0.75 + 0.085 * max(map(len, labels), default=0)
    figure.legend(
        list(handles),
        list(labels),
        loc="outside lower center",
        ncols=max(1, min(len(labels), int(figure.get_figwidth() / longest))),
        frameon=False,
    )


def settle_layout(figure: Figure) -> None:
    """Let the places of a finished figure's parts come to rest, and keep them.

    What its texts say is what was written, see `show_as_written`.

    The layout of axes whose aspect is fixed moves a little each time it is made. Left alone, a
    title may be cut off in the file that is saved first, and the next file is another.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        From `create_figure`.
    """
    show_as_written(figure)
    engine = figure.get_layout_engine()
    assert engine is not None  # of `create_figure`
    for _ in range(_N_LAYOUTS - 1):
        engine.execute(figure)
    # The last time with what stands where its axes are.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


_N_LAYOUTS = 4


def save_figure(figure: Figure, path: str | Path) -> None:
    """Save a figure, the same bytes for the same figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or Path
        Ends in one of `FORMATS`.

    Raises
    ------
    InputError
        If the ending is another, or the folder is missing.
    """
    path = as_path(path)
    check_drawing_path(path)
    from matplotlib import rc_context

    # Text stays text and ids do not change, so that a drawing can be searched and compared.
    with (
        rc_context({"svg.fonttype": "none", "svg.hashsalt": "proxysample"}),
        replace_file(path) as stream,
    ):
        figure.savefig(
            stream, format=path.suffix[1:], dpi=150, metadata=_WITHOUT_DATE.get(path.suffix)
        )


_WITHOUT_DATE: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def check_drawing_path(path: str | Path) -> None:
    """Check, before a search, that a drawing can be saved there.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    InputError
        If its ending is none of `FORMATS`.
    """
    if as_path(path).suffix not in FORMATS:
        raise InputError(f"a drawing ends in {', '.join(FORMATS)}, not {as_path(path).name!r}")
