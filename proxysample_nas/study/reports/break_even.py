"""Search cost and break-even: seconds spent scoring against seconds saved in searching."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from proxysample.components import Component
from proxysample.rendering import NUMBER, PERCENT, TEXT, Column, Section, Table, seconds
from proxysample_nas.study.reports.accuracy_table import PART
from proxysample_nas.study.reports.notes import describe_machines
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.results import Row


@dataclass(frozen=True)
class BreakEven:
    """What one proxy cost and saved.

    Attributes
    ----------
    searcher, sampler : Component
    r : float
    scoring_seconds : float
        Of the sampler's one pass; it serves every ratio and searcher, but is counted in full
        here.
    search_seconds, full_search_seconds : float
        Mean wall-clock time of a search on the proxy and on the full data.
    n : int or None
        How many samples are kept, where that was given in place of `r`.

    Examples
    --------
    >>> one = BreakEven(Component("gdas"), Component("ae"), 0.5, 250.0, 60.0, 160.0)
    >>> one.saved_seconds, one.net_seconds, one.n_searches
    (100.0, -150.0, 3)
    """

    searcher: Component
    sampler: Component
    r: float
    scoring_seconds: float
    search_seconds: float
    full_search_seconds: float
    n: int | None = None

    @property
    def saved_seconds(self) -> float:
        """What a search on the proxy takes less than one on the full data."""
        return self.full_search_seconds - self.search_seconds

    @property
    def saved_share(self) -> float | None:
        """The same as a part of the search on the full data; None where that takes no time."""
        if not self.full_search_seconds:
            return None
        return self.saved_seconds / self.full_search_seconds

    @property
    def net_seconds(self) -> float:
        """What is saved if the proxy serves one search."""
        return self.saved_seconds - self.scoring_seconds

    @property
    def n_searches(self) -> int | None:
        """How many searches pay the scoring back; None where a search saves nothing."""
        if self.saved_seconds <= 0:
            return None
        return max(1, math.ceil(self.scoring_seconds / self.saved_seconds))


BREAK_EVEN_COLUMNS: tuple[Column[BreakEven], ...] = (
    Column(None, TEXT, lambda one: one.searcher.label, csv_name="searcher"),
    Column("Method", TEXT, lambda one: one.sampler.label, csv_name="sampler"),
    Column("r", PART, lambda one: one, csv_name="r"),
    Column("scoring s", seconds(2), lambda one: one.scoring_seconds, csv_name="scoring_seconds"),
    Column("search s", seconds(1), lambda one: one.search_seconds, csv_name="search_seconds"),
    Column(
        "full search s",
        seconds(1),
        lambda one: one.full_search_seconds,
        csv_name="full_search_seconds",
    ),
    Column("saved s", seconds(1), lambda one: one.saved_seconds, csv_name="saved_seconds"),
    Column("saved", PERCENT, lambda one: one.saved_share),
    Column("net s, one search", seconds(1), lambda one: one.net_seconds, csv_name="net_seconds"),
    Column(
        "searches to pay back",
        NUMBER,
        lambda one: "never" if one.n_searches is None else one.n_searches,
        csv_name="searches_to_pay_back",
    ),
)
"""Of the table of search cost and break-even."""


def break_evens(results: StudyResults) -> list[BreakEven]:
    """Weigh every proxy whose searches and baseline have ended.

    Returns
    -------
    list of BreakEven
        In the order of the tables.
    """
    return [
        one
        for searcher in results.configuration.searchers
        for one in _weigh(results.rows_of(searcher))
    ]


def break_even_table(results: StudyResults) -> Table[BreakEven] | None:
    """Lay out what proxies cost and saved: seconds of scoring against seconds of searching.

    Returns
    -------
    Table or None
        None where there is nothing to weigh yet.
    """
    found = break_evens(results)
    if not found:
        return None
    sections = (
        Section(name.upper(), [one for one in found if one.searcher == searcher])
        for name, searcher in results.named_searchers
    )
    return Table(
        "Search cost and break-even",
        BREAK_EVEN_COLUMNS,
        tuple(section for section in sections if section.rows),
        tuple(_break_even_notes(results)),
    )


def _weigh(rows: list[Row]) -> Iterator[BreakEven]:
    full = [row.search_seconds for row in rows if row.setting.sampler is None]
    for row in rows:
        times = (row.scoring_seconds, row.search_seconds, full[0] if full else None)
        scoring, search, whole = times
        if row.setting.sampler is None or scoring is None or search is None or whole is None:
            continue
        setting = row.setting
        yield BreakEven(
            setting.searcher, row.setting.sampler, setting.r, scoring, search, whole, setting.n
        )


def _break_even_notes(results: StudyResults) -> Iterator[str]:
    n_seeds = len(results.configuration.search_seeds)
    measured = "of one search each" if n_seeds == 1 else f"means of up to {n_seeds} searches"
    yield (
        f"Wall-clock seconds, {measured}. A scoring pass serves every ratio and every "
        "searcher; here each row bears the whole of it. A study pays it once."
    )
    yield (
        "Experiments that run side by side slow one another down, so a fair comparison needs the "
        "same load throughout."
    )
    searches = [one.search for row in results.rows for one in row.found]
    yield describe_machines([search["machine"] for search in searches])
