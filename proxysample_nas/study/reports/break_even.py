"""Search cost and break-even: seconds spent scoring against seconds saved in searching."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from proxysample_nas.study.grid.component import Component
from proxysample_nas.study.reports.layout import Column, Layout, Section
from proxysample_nas.study.reports.protocol import describe_machines
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.reports.spreadsheet import write_csv
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

    @property
    def saved_seconds(self) -> float:
        """What a search on the proxy takes less than one on the full data."""
        return self.full_search_seconds - self.search_seconds

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


def break_evens(results: StudyResults) -> list[BreakEven]:
    """Weigh every proxy whose searches and baseline have ended.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    list of BreakEven
        In the order of the tables.
    """
    return [
        one
        for searcher in results.configuration.searchers
        for one in _of_searcher(results.rows_of(searcher))
    ]


def break_even_table(results: StudyResults) -> Layout | None:
    """Lay out what proxies cost and saved.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    Layout or None
        None where there is nothing to weigh yet.
    """
    found = break_evens(results)
    if not found:
        return None
    columns = (
        Column("Method"),
        Column("r", "number"),
        Column("scoring s", "number"),
        Column("search s", "number"),
        Column("full search s", "number"),
        Column("saved s", "number"),
        Column("saved", "number"),
        Column("net s, one search", "number"),
        Column("searches to pay back", "number"),
    )
    sections = tuple(
        Section(name.upper(), [_line(one) for one in found if one.searcher == searcher])
        for name, searcher in results.named_searchers
        if any(one.searcher == searcher for one in found)
    )
    return Layout("Search cost and break-even", columns, sections, tuple(_notes(results)))


def break_evens_to_csv(results: StudyResults) -> str:
    """Write what proxies cost and saved, numbers unrounded.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    str
    """
    names = ["searcher", "sampler", "r", "scoring_seconds", "search_seconds"]
    names += ["full_search_seconds", "saved_seconds", "net_seconds", "searches_to_pay_back"]
    return write_csv(map(_record, break_evens(results)), names)


def _of_searcher(rows: list[Row]) -> Iterator[BreakEven]:
    full = [row.search_seconds for row in rows if row.setting.sampler is None]
    for row in rows:
        times = (row.scoring_seconds, row.search_seconds, full[0] if full else None)
        scoring, search, whole = times
        if row.setting.sampler is None or scoring is None or search is None or whole is None:
            continue
        setting = row.setting
        yield BreakEven(setting.searcher, row.setting.sampler, setting.r, scoring, search, whole)


def _line(one: BreakEven) -> list[str]:
    return [
        one.sampler.label,
        f"{one.r:g}",
        f"{one.scoring_seconds:,.2f}",
        f"{one.search_seconds:,.1f}",
        f"{one.full_search_seconds:,.1f}",
        f"{one.saved_seconds:z,.1f}",
        f"{one.saved_seconds / one.full_search_seconds:z.0%}" if one.full_search_seconds else "",
        f"{one.net_seconds:z,.1f}",
        "never" if one.n_searches is None else f"{one.n_searches:,}",
    ]


def _record(one: BreakEven) -> dict[str, Any]:
    return {
        "searcher": one.searcher.label,
        "sampler": one.sampler.label,
        "r": one.r,
        "scoring_seconds": one.scoring_seconds,
        "search_seconds": one.search_seconds,
        "full_search_seconds": one.full_search_seconds,
        "saved_seconds": one.saved_seconds,
        "net_seconds": one.net_seconds,
        "searches_to_pay_back": "never" if one.n_searches is None else one.n_searches,
    }


def _notes(results: StudyResults) -> Iterator[str]:
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
