"""A rank agreement as a table, a frame, one sentence, two figures and a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np

from proxysample.agreement.results import FULL, AgreementResults, Row, Trained, is_rival
from proxysample.agreement.statistics import Interval
from proxysample.errors import InputError, MissingDependencyError
from proxysample.figures import create_figure, legend_below, legend_label, show_as_written
from proxysample.keeping import name_size
from proxysample.machine import describe_versions
from proxysample.rendering import (
    NUMBER,
    PERCENT,
    TEXT,
    Column,
    Kind,
    Section,
    Table,
    render_template,
    seconds,
)
from proxysample.wording import pluralize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "*")
INK = "#1c2733"

BUDGETS = {"epochs": "equal epochs", "steps": "equal updates", "": ""}

RANK = Kind(lambda value: f"{value:.2f}", is_number=True)
POINTS = Kind(lambda value: f"{value:.2f}", is_number=True)


PART = Kind(
    lambda row: f"{row.r:g}" if row.n is None else name_size(row.r, row.n),
    is_number=True,
    parts={"": lambda row: f"{row.r:g}"},
)


def _spread(value: tuple[float, Interval | None]) -> str:
    middle, found = value
    if found is None:
        return f"{middle:.2f}"
    return f"{middle:.2f} [{found.low:.2f}, {found.high:.2f}]"


WITH_INTERVAL = Kind(
    _spread,
    is_number=True,
    parts={
        "": lambda value: value[0],
        "low_": lambda value: None if value[1] is None else value[1].low,
        "high_": lambda value: None if value[1] is None else value[1].high,
    },
)


def _with_interval(name: str, interval: str) -> Any:
    def take(row: Row) -> Any:
        middle = getattr(row, name)
        # Where all scores are equal there is no order to agree on.
        known = middle is not None and np.isfinite(middle)
        return (middle, getattr(row, interval)) if known else None

    return take


COLUMNS: tuple[Column[Row], ...] = (
    Column(None, TEXT, lambda row: row.reference, "reference"),
    Column("method", TEXT, lambda row: row.method, "method"),
    Column("budget", TEXT, lambda row: BUDGETS[row.budget], "budget"),
    Column("r", PART, lambda row: row, "r"),
    Column("kept", NUMBER, lambda row: row.n_kept, "n_kept", in_latex=False),
    Column("draws", NUMBER, lambda row: row.n_draws, "n_draws", in_latex=False),
    Column("tau", WITH_INTERVAL, _with_interval("tau", "tau_interval"), "tau", missing="none"),
    Column(
        "less class-random's",
        WITH_INTERVAL,
        _with_interval("to_rival", "to_rival_interval"),
        "tau_to_class_random",
    ),
    Column(
        "less the ceiling's",
        WITH_INTERVAL,
        _with_interval("to_ceiling", "to_ceiling_interval"),
        "tau_to_ceiling",
        in_latex=False,
    ),
    Column(
        "Spearman",
        WITH_INTERVAL,
        _with_interval("spearman", "spearman_interval"),
        "spearman",
        in_latex=False,
    ),
    Column("best k in common", PERCENT, lambda row: row.overlap, "top_k_overlap", in_latex=False),
    Column(None, NUMBER, lambda row: row.k, "k"),
    Column("regret", POINTS, lambda row: row.regret, "regret"),
    Column("training s", seconds(0), lambda row: row.seconds, "training_seconds", in_latex=False),
    Column("of the full data's", PERCENT, lambda row: row.share, "share_of_full_seconds"),
    Column(
        "scoring s", seconds(1), lambda row: row.scoring_seconds, "scoring_seconds", in_latex=False
    ),
)


def agreement_table(results: AgreementResults) -> Table[Row]:
    """Lay the rows out, a section for each reference."""
    rows = results.rows
    references = list(dict.fromkeys(row.reference for row in rows))
    noun = pluralize(len(results.compared), results.design.noun)
    return Table(
        f"Rank agreement over {noun}",
        COLUMNS,
        tuple(
            Section(f"Against {one}", [row for row in rows if row.reference == one])
            for one in references
        ),
        tuple(notes(results)),
    )


def notes(results: AgreementResults) -> list[str]:
    """State what has to be known to read the table."""
    design, info = results.design, results.info
    n_done, n_all = results.n_done
    found = [
        verdict(results),
        f"Data: {design.dataset}, {info.n_train:,} samples that train and {info.n_held_out:,} held "
        "out of the same training part, on which every score is measured; no sampler sees "
        "these, and the test part is not read.",
        design.described,
        f"The reference is the full data at seed {design.seeds[0]}; the ceiling is the full data "
        f"at {_listed(design.seeds[1:])}, and proxies are trained at these too, never at the "
        "reference's.",
        "tau is Kendall's tau-b. Brackets hold 95 % intervals of "
        f"resampled {design.noun}s; differences are paired, and draws of a proxy are averaged "
        "first. In one row of twenty an interval excludes 0 by chance; the first sentence "
        "corrects for that.",
        "Regret is what is lost by training the proxy's best, in the reference's units; k is "
        f"{results.rows[0].k if results.rows else 0}.",
    ]
    found += describe_versions(results.machines)
    if n_done < n_all:
        found.append(f"{n_done} of {n_all} proxies are done; the others are not shown.")
    if results.failed_samplers:
        found.append(f"Failed, and so not shown: {', '.join(results.failed_samplers)}.")
    if results.failed:
        found.append(f"Left out everywhere because a training failed: {', '.join(results.failed)}.")
    return found


def _listed(seeds: Sequence[int]) -> str:
    words = ", ".join(map(str, seeds))
    return f"seed {words}" if len(seeds) == 1 else f"seeds {words}"


def verdict(results: AgreementResults) -> str:
    """Say in one sentence or two which proxy keeps the order, and whether it beats random."""
    rows = [row for row in results.rows if row.reference == FULL]
    ceiling = next((row for row in rows if row.is_ceiling), None)
    proxies = [row for row in rows if row.sampler is not None]
    if ceiling is None or not proxies:
        return "Nothing can be said yet: the full data at two seeds and a proxy are needed."
    proxies = [row for row in proxies if np.isfinite(row.tau)]
    if not proxies or not np.isfinite(ceiling.tau):
        return (
            "Nothing can be said: on the full data or on every proxy all "
            f"{results.design.noun}s score the same, which is no order; a larger budget may tell "
            "them apart."
        )
    better = [row for row in proxies if _is_better(row)]
    limit = f"the full data at another seed reach {ceiling.tau:.2f}"
    if better:
        chosen = max(better, key=lambda row: row.tau)
        found = chosen.to_rival_after_all
        assert found is not None
        assert chosen.to_rival is not None
        return (
            f"Rank on {_part(chosen)} kept by {chosen.method} ({BUDGETS[chosen.budget]}): tau "
            f"{chosen.tau:.2f}, {chosen.to_rival:.2f} [{found.low:.2f}, {found.high:.2f}] above "
            f"class-random after correction for all {results.n_compared} comparisons; {limit}."
        )
    random = [row for row in proxies if row.sampler is not None and is_rival(row.sampler)]
    best = max(random or proxies, key=lambda row: row.tau)
    tau = _spread((best.tau, best.tau_interval))
    return (
        "No sampler ranks surely better than class-random sampling of the same size: take it. At "
        f"{name_size(best.r, best.n)} and {BUDGETS[best.budget]} its tau is {tau}; {limit}."
    )


def _part(row: Row) -> str:
    return f"{100 * row.r:g} %" if row.n is None else f"{row.n:,} samples"


def _is_better(row: Row) -> bool:
    found = row.to_rival_after_all
    return found is not None and found.low > 0


def to_frame(results: AgreementResults) -> DataFrame:
    """Give the rows as a pandas frame, numbers unrounded."""
    from pandas import DataFrame

    columns = [name for column in COLUMNS for name in column.csv_names]
    values = [[v for column in COLUMNS for v in column.csv_values(row)] for row in results.rows]
    return DataFrame(values, columns=columns)


def scores_frame(results: AgreementResults) -> DataFrame:
    """Give every score as a pandas frame: a row a configuration, a column what scored it."""
    from pandas import DataFrame, Index

    columns = {_name(one): one.scores for one in results.trained}
    return DataFrame(
        columns | results.known | results.estimates,
        index=Index(results.names, name=results.design.noun),
    )


def _name(one: Trained) -> str:
    proxy = one.proxy
    if proxy.sampler is None:
        return f"Full DS, seed {proxy.seed}"
    return (
        f"{proxy.sampler.label}, {proxy.size}, {BUDGETS[proxy.budget]}, draw {proxy.proxy_seed}, "
        f"seed {proxy.seed}"
    )


def draw_tau(results: AgreementResults) -> Figure:
    """Draw tau over r, a panel for each reference and budget, the ceiling as a band.

    Raises
    ------
    InputError
        If no proxy is done.
    MissingDependencyError
        If matplotlib is not installed (extra ``plots``).
    """
    rows = [row for row in results.rows if row.sampler is not None]
    if not rows:
        raise InputError("no proxy is done yet, so there is nothing to draw")
    references = list(dict.fromkeys(row.reference for row in rows))
    budgets = list(dict.fromkeys(row.budget for row in rows))
    figure = create_figure(1.2 + 4.4 * len(budgets), 0.8 + 3.4 * len(references))
    grid = figure.subplots(len(references), len(budgets), squeeze=False, sharey="row", sharex=True)
    for (line, reference), (column, budget) in product(enumerate(references), enumerate(budgets)):
        axes = grid[line, column]
        _draw_ceiling(axes, results, reference)
        own = [row for row in rows if (row.reference, row.budget) == (reference, budget)]
        _draw_lines(axes, own, results)
        axes.set_title(f"against {reference}\n{BUDGETS[budget]}", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("r, part of the training data")
    for axes in grid[:, 0]:
        axes.set_ylabel("Kendall's tau")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    legend_below(figure, handles, [str(one) for one in labels])
    show_as_written(figure)
    return figure


def _draw_ceiling(axes: Axes, results: AgreementResults, reference: str) -> None:
    for row in results.rows:
        if row.reference == reference and row.is_ceiling:
            axes.axhline(
                row.tau, color=INK, linewidth=1, linestyle=":", label="ceiling: the full data"
            )
            if row.tau_interval is not None:
                axes.axhspan(row.tau_interval.low, row.tau_interval.high, color=INK, alpha=0.08)


def _draw_lines(axes: Axes, rows: list[Row], results: AgreementResults) -> None:
    ratios = sorted({row.r for row in rows})
    samplers = results.design.samplers
    room = 0.5 * min((b - a for a, b in pairwise(ratios)), default=0.1)
    for place, sampler in enumerate(samplers):
        own = sorted(
            (row for row in rows if row.sampler is not None and row.sampler == sampler),
            key=lambda row: row.r,
        )
        shift = room * (place / max(1, len(samplers) - 1) - 0.5)
        taus = [row.tau for row in own]
        errors = [_errors(row) for row in own]
        axes.errorbar(
            [row.r + shift for row in own],
            taus,
            np.array(errors).T if own else None,
            color=INK if is_rival(sampler) else HUES[place % len(HUES)],
            marker=MARKERS[place % len(MARKERS)],
            markersize=5,
            linewidth=1.2,
            capsize=2,
            label=legend_label(sampler.label),
        )
    axes.set_xticks(ratios, [f"{r:g}" for r in ratios])


def _errors(row: Row) -> tuple[float, float]:
    if row.tau_interval is None:
        return 0.0, 0.0
    return max(0.0, row.tau - row.tau_interval.low), max(0.0, row.tau_interval.high - row.tau)


def draw_ranks(results: AgreementResults, r: float | None = None) -> Figure:
    """Draw the ranks by each sampler's first draw at one r over those by the reference.

    Parameters
    ----------
    results : AgreementResults
    r : float, optional
        By default the smallest that is done.

    Raises
    ------
    InputError
        If there is no such proxy, or the reference is not done.
    MissingDependencyError
        If matplotlib is not installed (extra ``plots``).
    """
    budget = results.design.budgets[0]
    full = [one for one in results.trained if one.proxy.sampler is None]
    reference = next((one for one in full if one.proxy.seed == results.design.seeds[0]), None)
    proxies = [
        one
        for one in results.trained
        if one.proxy.sampler is not None and one.proxy.budget == budget
    ]
    if reference is None or not proxies:
        raise InputError("the full data and a proxy have to be done before ranks can be drawn")
    r = min(one.proxy.r for one in proxies) if r is None else r
    chosen = _first_draws([one for one in proxies if one.proxy.r == r])
    if not chosen:
        known = sorted({one.proxy.r for one in proxies})
        raise InputError(f"no proxy of r={r:g} is done; there are {', '.join(map(str, known))}")
    shown = [one for one in full if one is not reference][:1] + chosen
    n_columns = min(4, len(shown))
    n_rows = -(-len(shown) // n_columns)
    figure = create_figure(0.6 + 2.6 * n_columns, 0.6 + 2.7 * n_rows)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, one in zip(grid, shown, strict=False):
        axes.scatter(_ranks(reference.scores), _ranks(one.scores), s=14, color=HUES[0])
        axes.axline((1, 1), slope=1, color=INK, linewidth=0.8, linestyle=":")
        sampler = one.proxy.sampler
        title = "Full DS, another seed" if sampler is None else f"{sampler.label}, r={r:g}"
        axes.set_title(title, fontsize=9)
        axes.locator_params(integer=True, nbins=6)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(shown) :]:
        axes.set_visible(False)
    figure.supxlabel("rank by the full data, 1 the best", fontsize=10)
    figure.supylabel("rank by the proxy", fontsize=10)
    show_as_written(figure)
    return figure


def _first_draws(proxies: Sequence[Trained]) -> list[Trained]:
    found: dict[str, Trained] = {}
    for one in proxies:
        assert one.proxy.sampler is not None
        found.setdefault(one.proxy.sampler.identity, one)
    return list(found.values())


def _ranks(scores: Any) -> Any:
    above = (scores[None, :] > scores[:, None]).sum(axis=1)
    tied = (scores[None, :] == scores[:, None]).sum(axis=1)
    return above + (tied + 1) / 2


def figure_bytes(figure: Figure, kind: str = "svg") -> bytes:
    """Write a figure, the same bytes for the same figure."""
    from matplotlib import rc_context

    stream = io.BytesIO()
    metadata: dict[str, Any] = {"svg": {"Date": None}}.get(kind, {})
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "proxysample"}):
        figure.savefig(stream, format=kind, dpi=150, metadata=metadata)
    return stream.getvalue()


def to_html(results: AgreementResults) -> str:
    """Write the page: no script, no other file."""
    figures = []
    for title, draw in (("Tau over r", draw_tau), ("Ranks", draw_ranks)):
        try:
            picture = base64.b64encode(figure_bytes(draw(results))).decode()
            figures.append((title, f"data:image/svg+xml;base64,{picture}", ""))
        except (InputError, MissingDependencyError) as error:
            figures.append((title, "", str(error)))
    table = agreement_table(results)
    return render_template(
        "rank_agreement.html.j2", title=table.title, table=table, figures=figures
    )
