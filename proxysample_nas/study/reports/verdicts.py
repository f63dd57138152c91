"""Which rows can be told from the full data and from class-random, and what chance alone does."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from proxysample.comparison.statistics import Interval, holm_among
from proxysample.components import Component
from proxysample.keeping import FloatArray
from proxysample.rendering import NUMBER, TEXT, Column, Kind, Section, Table
from proxysample.wording import pluralize
from proxysample_nas.study.reports.accuracy_table import METHOD, PART
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.reports.statistics import (
    EFFECT,
    Luck,
    crossed_interval,
    differences,
    luck_of,
    pooled_deviation,
    searches_needed,
)
from proxysample_nas.study.results import Row

LEVEL = 0.05
# Of paired differences that are equal but for rounding.
NO_SPREAD = 1e-9
RIVAL = "cc-rs"
"""Class-random: what a selection has to beat to be worth its scores."""

HALF = 50.0
"""The mean place of all cells among themselves, in percent."""


@dataclass(frozen=True)
class Tested:
    """How a row differs from another.

    Attributes
    ----------
    interval : Interval or None
        Of the mean difference, paired by search seed; None where no seed is shared.
    p_value : float or None
        Corrected by Holm for all rows of the searcher.
    """

    interval: Interval | None = None
    p_value: float | None = None

    @property
    def sign(self) -> int:
        """1 or -1 where the row is told apart, 0 where it is not."""
        if self.interval is None or self.p_value is None or self.p_value >= LEVEL:
            return 0
        return 1 if self.interval.mean > 0 else -1


@dataclass(frozen=True)
class Verdict:
    """One line: a row, or a cell drawn by chance.

    Attributes
    ----------
    searcher : Component
    method : str
    r : float or None
    accuracies : tuple of float
        Of its searches, disconnected cells included: a search that ends in one has failed.
    to_full, to_random : Tested
        Against the full data, and against class-random at the same r.
    percentile, regret : float or None
        Mean place of the found cells among all cells of the table, and mean accuracy that they
        lack to the best, where a table was looked up.
    words : str
    n : int or None
        How many samples are kept, where that was given in place of `r`.
    """

    searcher: Component
    method: str
    r: float | None
    accuracies: tuple[float, ...]
    to_full: Tested
    to_random: Tested
    percentile: float | None
    regret: float | None
    words: str
    n: int | None = None

    @property
    def mean(self) -> float | None:
        """Of the accuracies."""
        return statistics.fmean(self.accuracies) if self.accuracies else None


def _write_interval(interval: Interval) -> str:
    half = "" if interval.half is None else f" ± {interval.half:.1f}"
    return f"{interval.mean:+.1f}{half}"


INTERVAL = Kind(
    _write_interval,
    is_number=True,
    parts={
        "difference": lambda interval: interval.mean,
        "half_interval": lambda interval: interval.half,
        "p": lambda interval: interval.p_value,
    },
)
P_VALUE = Kind(lambda value: "< 0.001" if value < 0.001 else f"{value:.3f}", is_number=True)
ONE_PLACE = Kind(lambda value: f"{value:.1f}", is_number=True)

VERDICT_COLUMNS: tuple[Column[Verdict], ...] = (
    Column(None, TEXT, lambda one: one.searcher.label, csv_name="searcher"),
    Column("Method", METHOD, lambda one: one.method, csv_name="method"),
    Column("r", PART, lambda one: None if one.r is None else one, csv_name="r"),
    Column("searches", NUMBER, lambda one: len(one.accuracies) or None, csv_name="n_searches"),
    Column("A", ONE_PLACE, lambda one: one.mean, csv_name="mean_accuracy"),
    Column("A - full data", INTERVAL, lambda one: one.to_full.interval, csv_name="_to_full"),
    Column("p (Holm)", P_VALUE, lambda one: one.to_full.p_value, csv_name="p_holm_to_full"),
    Column("A - class-random", INTERVAL, lambda one: one.to_random.interval, csv_name="_to_random"),
    Column("p (Holm)", P_VALUE, lambda one: one.to_random.p_value, csv_name="p_holm_to_random"),
    Column(
        "percentile", ONE_PLACE, lambda one: one.percentile, csv_name="percentile", in_latex=False
    ),
    Column("regret", ONE_PLACE, lambda one: one.regret, csv_name="regret", in_latex=False),
    Column("verdict", TEXT, lambda one: one.words, csv_name="verdict", in_latex=False),
)
"""Of the table of verdicts."""


def verdicts(results: StudyResults, searcher: Component) -> list[Verdict]:
    """Test every row of a searcher, at the widest networks.

    Returns
    -------
    list of Verdict
        In the order of the searcher's table, the full data first.
    """
    rows = [row for row in results.rows_of(searcher) if row.accuracies(results.widest)]
    values = {_name(row): row.by_seeds(results.widest) for row in rows}
    full = next((row for row in rows if row.setting.sampler is None), None)
    rivals = {row.setting.r: row for row in reversed(rows) if _is_rival(row)}
    resolution = _resolution(results)
    to_full: dict[str, Interval | None] = {}
    to_random: dict[str, Interval | None] = {}
    for row in rows:
        name, rival = _name(row), rivals.get(row.setting.r)
        for found, other in ((to_full, full), (to_random, rival)):
            if other is not None and other is not row and row is not full:
                paired = differences(values[name], values[_name(other)])
                found[name] = crossed_interval(paired, resolution=resolution)
    corrected = holm_among(to_full), holm_among(to_random)
    return [
        _verdict(
            results,
            row,
            Tested(to_full.get(_name(row)), corrected[0].get(_name(row))),
            Tested(to_random.get(_name(row)), corrected[1].get(_name(row))),
        )
        for row in rows
    ]


def _name(row: Row) -> str:
    return repr(row.setting)


def _is_rival(row: Row) -> bool:
    return row.setting.sampler is not None and row.setting.sampler.name == RIVAL


def _resolution(results: StudyResults) -> float:
    """Say what accuracies are multiples of, in percent."""
    if results.configuration.lookup is not None:
        return 0.01
    return 100 / results.info.datasets[results.configuration.dataset].n_test


def _verdict(results: StudyResults, row: Row, to_full: Tested, to_random: Tested) -> Verdict:
    accuracies = tuple(row.by_seeds(results.widest).values())
    table = results.random_cell
    places = [] if table is None else [table.percentile(one) for one in accuracies]
    regrets = [] if table is None else [table.regret(one) for one in accuracies]
    return Verdict(
        row.setting.searcher,
        row.method,
        row.setting.r,
        accuracies,
        to_full,
        to_random,
        statistics.fmean(places) if places else None,
        statistics.fmean(regrets) if regrets else None,
        "" if row.setting.sampler is None else _words(to_full, to_random),
        row.setting.n,
    )


def _words(to_full: Tested, to_random: Tested) -> str:
    tested = {"the full data": to_full, "class-random": to_random}
    known = {name: one for name, one in tested.items() if one.p_value is not None}
    if not known:
        return "one search seed: cannot be told"
    said = [
        f"{'above' if one.sign > 0 else 'below'} {name}" for name, one in known.items() if one.sign
    ]
    alike = [name for name, one in known.items() if not one.sign]
    if alike:
        said.append(f"not told from {' or '.join(alike)}")
    return ", ".join(said)


def verdict_table(results: StudyResults) -> Table[Verdict] | None:
    """Lay out which rows are told apart, searcher by searcher.

    Returns
    -------
    Table or None
        None where no proxy's cell has been evaluated yet.
    """
    found = {name: verdicts(results, searcher) for name, searcher in results.named_searchers}
    tested = {name: lines for name, lines in found.items() if len(lines) > 1}
    if not tested:
        return None
    sections = tuple(
        Section(name.upper(), [*_by_chance(results, lines[0].searcher), *lines])
        for name, lines in tested.items()
    )
    return Table(
        f"Verdicts, paired by search seed, C={results.widest}",
        VERDICT_COLUMNS,
        sections,
        tuple(_notes(results, tested)),
    )


def _by_chance(results: StudyResults, searcher: Component) -> Iterator[Verdict]:
    table = results.random_cell
    if table is not None:
        yield Verdict(
            searcher,
            "random cell of this space",
            None,
            (table.mean,),
            Tested(),
            Tested(),
            HALF,
            table.regret(table.mean),
            f"median {table.median:.1f}, deviation {table.std:.1f}, best {table.best:.1f}",
        )


def _notes(results: StudyResults, tested: Mapping[str, Sequence[Verdict]]) -> Iterator[str]:
    yield (
        "Differences of accuracy in percentage points, paired by search seed (and by proxy seed "
        "where both draw), with intervals of 95 % by Student's t; p-values are two-sided and "
        "corrected by Holm for all rows of a searcher. Disconnected cells count: a search that "
        "ends in one has failed."
    )
    if results.configuration.proxy_seeds:
        yield (
            "A sampler's draws are pooled in its row, and what they vary by is in its intervals: "
            "search seeds and draws are both taken as chance."
        )
    if not any(one.to_random.interval for lines in tested.values() for one in lines):
        yield (
            "Class-random (cc-rs) was not searched at these ratios. Add it: a selection that is "
            "not told from it was not worth its scores."
        )
    for name, lines in tested.items():
        yield from _told_apart(name, lines)
        yield from _power(name, results, lines)
        yield from _luck(name, results, lines)
    if results.random_cell is None:
        yield (
            "How a random cell of this space does is not known here: a table of published "
            "accuracies says it (lookup), or the searcher random:n_samples=1 as one of the "
            "study's."
        )
    else:
        yield (
            f"Percentile and regret are among the {results.random_cell.n_cells:,} cells of the "
            "table, and means over the found cells; cells drawn by chance are at 50 on average."
        )


def _told_apart(name: str, lines: Sequence[Verdict]) -> Iterator[str]:
    proxies = [one for one in lines if one.words]
    counts = [sum(one.to_full.sign == sign for one in proxies) for sign in (1, -1)]
    known = [one for one in proxies if one.to_full.p_value is not None]
    if known:
        yield (
            f"{name.upper()}: of {pluralize(len(known), 'row')}, {counts[0]} lie above the full "
            f"data and {counts[1]} below it after Holm's correction; "
            f"{sum(one.to_random.sign > 0 for one in proxies)} lie above class-random."
        )


def _power(name: str, results: StudyResults, lines: Sequence[Verdict]) -> Iterator[str]:
    deviation = _deviation_of_differences(results, lines)
    if deviation is None:
        yield (
            f"{name.upper()}: one search seed says nothing of how much a search varies. Several "
            "tell how many are needed to see a difference."
        )
        return
    if deviation < NO_SPREAD:
        yield (
            f"{name.upper()}: all paired differences are equal, which says nothing of how many "
            "searches it takes to see another."
        )
        return
    n = searches_needed(deviation)
    needed = "more searches than can be run" if n is None else f"{n:,} searches a row"
    yield (
        f"{name.upper()}: to see a difference of {EFFECT:g} points takes {needed} (power 80 %, "
        f"one comparison at 5 %), since paired differences have a standard deviation of "
        f"{deviation:.1f} points. This study has {len(results.configuration.search_seeds)}."
    )


def _deviation_of_differences(results: StudyResults, lines: Sequence[Verdict]) -> float | None:
    searcher = lines[0].searcher
    rows = results.rows_of(searcher)
    full = next((row for row in rows if row.setting.sampler is None), None)
    if full is None:
        return None
    groups = []
    for row in rows:
        if row is not full:
            paired = differences(row.by_seeds(results.widest), full.by_seeds(results.widest))
            draws = {draw for _, draw in paired}
            # Of each draw by itself: more searches do not make up for few draws.
            groups += [[v for (_, one), v in paired.items() if one == draw] for draw in draws]
    return pooled_deviation(groups)


def _luck(name: str, results: StudyResults, lines: Sequence[Verdict]) -> Iterator[str]:
    n_searches = [len(one.accuracies) for one in lines if one.words]
    n_full = [len(one.accuracies) for one in lines if not one.words]
    if not n_full:
        return
    table = results.random_cell
    if table is not None:
        luck = luck_of(n_searches, n_full[0], table.draw)
        source = "a cell of the table drawn by chance"
    else:
        spread = pooled_deviation([one.accuracies for one in lines])
        source = "a draw of one and the same spread, that of searches within a row"
        if spread is None:
            spread = pooled_deviation([[x for one in lines for x in one.accuracies]])
            source = "a draw of one and the same spread, that of all searches here"
        if not spread:
            return
        luck = luck_of(n_searches, n_full[0], _normal(spread))
    yield f"{name.upper()}: were every search {source}, {_say(luck, n_searches)}"


def _normal(spread: float) -> Any:
    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        return generator.normal(0.0, spread, shape)

    return draw


def _say(luck: Luck, n_searches: Sequence[int]) -> str:
    n_rows, least, most = len(n_searches), min(n_searches), max(n_searches)
    rows = "the one proxy row" if n_rows == 1 else f"the best of {n_rows} proxy rows"
    each = f"{least:,} to " if least < most else ""
    return (
        f"{rows} ({each}{pluralize(most, 'search')} each) would lie above the full data in "
        f"{luck.chance:.0%} of studies, in the median by {luck.median_lead:.1f} points."
    )
