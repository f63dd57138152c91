"""Tables 1 to 4: accuracies of the cells that one searcher found.

What a table shows is a tuple of columns, such as `SEARCH_COLUMNS`: a new column is one entry there,
and is in every form of the table. An entry is a `Column`, or a function that gives columns by what
is compared, such as one for each width.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from proxysample.checks import as_tuple, instance_of
from proxysample.components import Component
from proxysample.keeping import name_size
from proxysample.rendering import (
    CODE,
    NUMBER,
    TEXT,
    VERBATIM,
    Column,
    Kind,
    Section,
    Table,
    seconds,
)
from proxysample_nas.paper import Comparison, papers_row, papers_rows
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.zero_cost import NetworkSize
from proxysample_nas.study.reports.notes import protocol_notes
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.results import (
    COLLAPSED,
    DISCONNECTED,
    GROUPS,
    CellAccuracy,
    FoundCell,
    Row,
)

FAILED = "failed"
"""What stands in the place of what a search or a training was to give."""

R = TypeVar("R")
S = TypeVar("S")


def write_accuracy(accuracy: CellAccuracy) -> str:
    """Write the accuracy of one cell as the paper does.

    Examples
    --------
    >>> write_accuracy(CellAccuracy((70.0, 71.0))), write_accuracy(CellAccuracy((70.0,)))
    ('70.5 ± 0.7', '70.0')
    """
    spread = "" if accuracy.std is None else f" ± {accuracy.std:.1f}"
    return f"{accuracy.mean:.1f}{spread}"


@dataclass(frozen=True)
class Distribution:
    """Mean accuracies of the cells of several searches, in percent.

    Attributes
    ----------
    means : tuple of float
        One for each search whose cell has been evaluated.
    n_searches : int
        That have ended.
    connected : tuple of float, optional
        Those of `means` whose cells have a path to the output; all by default.
    n_disconnected : int
        Searches whose cells have none.

    Examples
    --------
    >>> Distribution((70.0, 71.0, 75.0), 3).text
    '72.0 ± 2.6 [70.0, 75.0]'
    >>> Distribution((70.0, 71.0, 1.0), 3, (70.0, 71.0), 1).text
    '70.5 ± 0.7 [70.0, 71.0], 1 disconnected'
    """

    means: tuple[float, ...]
    n_searches: int
    connected: tuple[float, ...] | None = None
    n_disconnected: int = 0

    @property
    def mean(self) -> float | None:
        """None where none has been evaluated."""
        return statistics.fmean(self.means) if self.means else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation; None for fewer than two."""
        return statistics.stdev(self.means) if len(self.means) > 1 else None

    @property
    def of_connected(self) -> Distribution:
        """That of the connected cells alone.

        A disconnected cell scores chance, so that a mean over both says nothing of either.
        """
        means = self.means if self.connected is None else self.connected
        return Distribution(means, self.n_searches - self.n_disconnected)

    @property
    def text(self) -> str:
        """Of the connected cells: mean, sample standard deviation, lowest and highest."""
        means = self.of_connected.means
        spread = f" [{min(means):.1f}, {max(means):.1f}]" if len(means) > 1 else ""
        return self._write(spread, f", {self.n_disconnected} disconnected")

    @property
    def short(self) -> str:
        """The same without the lowest and the highest."""
        return self._write("", f", {self.n_disconnected} {DISCONNECTED}")

    def _write(self, spread: str, disconnected: str) -> str:
        connected = self.of_connected
        text = "" if connected.mean is None else f"{connected.mean:.1f}"
        if connected.std is not None:
            text += f" ± {connected.std:.1f}{spread}"
        # Some searches' cells may still have to be evaluated.
        if len(connected.means) != connected.n_searches:
            text += f" (n={len(connected.means)})"
        return (text + (disconnected if self.n_disconnected else "")).strip(" ,")


def _without_folders(method: str) -> str:
    return _FOLDERS.sub("", method)


_FOLDERS = re.compile(r"(?<==)(?:[^\s,=]*[/\\\\])(?=[^\s,)])")

PART = Kind(
    lambda one: f"{one.r:g}" if one.n is None else name_size(one.r, one.n),
    is_number=True,
    parts={"": lambda one: one.r},
)
"""Of what has `r`, and `n` where that was given in its place."""

# What marks a row's cells and a † that points to a note are for readers.
METHOD = Kind(
    str,
    parts={"": lambda name: name.removesuffix("†").rstrip(COLLAPSED + DISCONNECTED)},
    short=_without_folders,
)
ACCURACY = Kind(
    write_accuracy,
    is_number=True,
    parts={
        "accuracy_mean": lambda accuracy: accuracy.mean,
        "accuracy_std": lambda accuracy: accuracy.std,
        "n_seeds": lambda accuracy: len(accuracy.accuracies),
    },
)
DISTRIBUTION = Kind(
    lambda distribution: distribution.text,
    is_number=True,
    parts={
        "mean": lambda distribution: distribution.mean,
        "std": lambda distribution: distribution.std,
        "lowest": lambda distribution: min(distribution.means, default=None),
        "highest": lambda distribution: max(distribution.means, default=None),
        "n_evaluated": lambda distribution: len(distribution.means),
        "mean_connected": lambda distribution: distribution.of_connected.mean,
        "std_connected": lambda distribution: distribution.of_connected.std,
    },
    short=lambda distribution: distribution.short,
)
MILLIONS = Kind(lambda value: f"{value / 1e6:,.2f}", is_number=True)


@dataclass(frozen=True)
class Compared:
    """What the accuracy table of one searcher compares."""

    results: StudyResults
    comparison: Comparison | None

    @property
    def channels(self) -> tuple[int, ...]:
        """Widths at which cells are evaluated."""
        return self.results.configuration.channels

    @property
    def published(self) -> list[int]:
        """Widths at which the paper's numbers may stand beside ours."""
        if self.comparison is None:
            return []
        return [c for c in self.channels if any(c in row.accuracies for row in papers_rows())]


@dataclass(frozen=True)
class Line:
    """One line of an accuracy table: a setting and all its searches, or one of them.

    Attributes
    ----------
    row : Row
    found : tuple of FoundCell
        One, or none where it has not ended; all in a table with a line for each setting.
    compared : Compared
    """

    row: Row
    found: tuple[FoundCell, ...]
    compared: Compared

    @property
    def sampler(self) -> str | None:
        """Its label; None for the full data."""
        sampler = self.row.setting.sampler
        return None if sampler is None else sampler.label

    @property
    def one(self) -> FoundCell | None:
        """The search of a line for one; None where it has not ended."""
        return self.found[0] if self.found else None

    @property
    def n_searches(self) -> int:
        """How many searches the setting has, ended or not."""
        return self.compared.results.configuration.n_searches_of(self.row.setting.sampler)

    @property
    def proxy_seed(self) -> int | None:
        """What the sampler of a line for one search drew from."""
        return None if self.one is None else self.one.proxy_seed

    @property
    def seed(self) -> int | None:
        """Of the search of a line for one."""
        return None if self.one is None else self.one.seed

    @property
    def cell(self) -> Cell | None:
        """What the search of a line for one found."""
        return None if self.one is None else self.one.cell

    @property
    def is_parameter_free(self) -> bool | None:
        """Whether the search of a line for one found a cell that is collapsed or disconnected."""
        return None if self.cell is None else self.cell.is_parameter_free

    @property
    def is_collapsed(self) -> bool | None:
        """Whether the search of a line for one found a cell of skips and pools alone."""
        return None if self.cell is None else self.cell.is_collapsed

    @property
    def is_connected(self) -> bool | None:
        """Whether the search of a line for one found a cell with a path to its output."""
        return None if self.cell is None else self.cell.is_connected

    @property
    def seconds(self) -> float | None:
        """Mean wall-clock time of the searches."""
        return statistics.fmean(one.seconds for one in self.found) if self.found else None

    @property
    def n_parameter_free(self) -> int:
        """How many searches found a cell that is collapsed or disconnected."""
        return sum(one.cell.is_parameter_free for one in self.found)

    @property
    def n_collapsed(self) -> int:
        """How many searches found a cell of skips and pools alone."""
        return sum(one.cell.is_collapsed for one in self.found)

    @property
    def n_disconnected(self) -> int:
        """How many searches found a cell without a path to its output."""
        return sum(not one.cell.is_connected for one in self.found)

    def n_parameters(self, channels: int) -> float | None:
        """Give the mean number of parameters of the found cells' networks."""
        return self._mean_size(channels, attrgetter("n_parameters"))

    def n_flops(self, channels: int) -> float | None:
        """Give the mean number of floating-point operations of one image."""
        return self._mean_size(channels, attrgetter("n_flops"))

    def _mean_size(self, channels: int, of: Callable[[NetworkSize], int]) -> float | None:
        if not self.found:
            return None
        measured = [self.compared.results.size_of(one.cell, channels) for one in self.found]
        if None in measured:
            return None
        sizes = [of(one) for one in measured if one is not None]
        # Whole where it is that of one cell.
        return sizes[0] if len(set(sizes)) == 1 else statistics.fmean(sizes)

    def accuracy(self, channels: int) -> CellAccuracy | None:
        """Give the accuracy of the cell that the search of a line for one found."""
        return None if self.one is None else self.one.evaluations.get(channels)

    def absence(self, otherwise: str, channels: int | None = None) -> str:
        """Say in the place of a number of a line for one search whether that has failed."""
        if self.one is None:
            return FAILED if self.row.n_failed else otherwise
        return FAILED if channels in self.one.failed else otherwise

    @property
    def progress(self) -> str:
        """How many of its searches have found a cell."""
        failed = f", {self.row.n_failed} {FAILED}" if self.row.n_failed else ""
        return f"{len(self.found)} of {self.n_searches}{failed}"

    def distribution(self, channels: int) -> Distribution:
        """Give the accuracies of the cells of all its searches."""
        return Distribution(
            tuple(self.row.accuracies(channels)),
            len(self.found),
            tuple(self.row.accuracies(channels, connected_only=True)),
            self.n_disconnected,
        )


Entry = Column[R] | Callable[[S], Iterable[Column[R]]]


def _method(line: Line) -> str:
    """Name the sampler, marked where a note tells it from the paper's."""
    comparison = line.compared.comparison
    is_told_apart = comparison is not None and comparison.of_sampler(line.sampler)
    return f"{line.row.method}†" if is_told_apart else line.row.method


def _accuracies(compared: Compared) -> Iterator[Column[Line]]:
    for c in compared.channels:
        yield Column(
            f"A, C={c}",
            ACCURACY,
            _at(Line.accuracy, c),
            csv_name=f"_c{c}",
            missing=partial(_absence, channels=c),
        )


def _distributions(compared: Compared) -> Iterator[Column[Line]]:
    for c in compared.channels:
        yield Column(f"A, C={c}", DISTRIBUTION, _at(Line.distribution, c), csv_name=f"_c{c}")


def _sizes(compared: Compared) -> Iterator[Column[Line]]:
    for c in compared.channels:
        # A reader sees the widest, whose numbers are largest.
        shown = c == compared.results.widest
        for heading, kind, value, name in (
            ("M params", MILLIONS, Line.n_parameters, "n_parameters"),
            ("MFLOPs", MILLIONS, Line.n_flops, "n_flops"),
        ):
            yield Column(
                f"{heading}, C={c}" if shown else None,
                kind,
                _at(value, c),
                csv_name=f"{name}_c{c}",
                in_latex=False,
            )


def _proxy_seeds(compared: Compared) -> Iterator[Column[Line]]:
    if compared.results.configuration.proxy_seeds:
        yield Column(None, VERBATIM, lambda line: line.proxy_seed, csv_name="proxy_seed")


def _absence(line: Line, channels: int) -> str:
    return line.absence("", channels)


def _papers_accuracies(compared: Compared) -> Iterator[Column[Line]]:
    comparison = compared.comparison
    is_same = comparison is not None and comparison.is_same_protocol
    heading = "paper's A" if is_same else "paper's A (other protocol)"
    for c in compared.published:
        value = _at(_papers_accuracy, c)
        yield Column(f"{heading}, C={c}", VERBATIM, value, is_borrowed=True)


def _at(value: Callable[[Line, int], R], channels: int) -> Callable[[Line], R]:
    return lambda line: value(line, channels)


def _papers_accuracy(line: Line, channels: int) -> str | None:
    comparison = line.compared.comparison
    if comparison is None or not comparison.has_paper(line.sampler):
        return None
    setting = line.row.setting
    name = None if setting.sampler is None else setting.sampler.name
    found = papers_row(setting.searcher.name, name, setting.r)
    if found is None or channels not in found.accuracies:
        return None
    return found.accuracies[channels].printed + ("*" if found.is_marked else "")


SEARCHER: Column[Line] = Column(
    None, TEXT, lambda line: line.row.setting.searcher.label, csv_name="searcher"
)
GROUP: Column[Line] = Column(None, TEXT, lambda line: line.row.group, csv_name="group")
METHOD_OF_ROW: Column[Line] = Column("Method", METHOD, _method, csv_name="method")
RATIO: Column[Line] = Column("r", PART, lambda line: line.row.setting, csv_name="r")
KEPT: Column[Line] = Column(
    "kept", NUMBER, lambda line: line.row.n_kept, csv_name="n_kept", in_latex=False
)
SCORING: Column[Line] = Column(
    "scoring s",
    seconds(2),
    lambda line: line.row.scoring_seconds,
    csv_name="scoring_seconds",
    in_latex=False,
)

SEARCH_COLUMNS: tuple[Entry[Line, Compared], ...] = (
    SEARCHER,
    GROUP,
    METHOD_OF_ROW,
    RATIO,
    Column(None, VERBATIM, lambda line: line.seed, csv_name="search_seed"),
    _proxy_seeds,
    KEPT,
    _accuracies,
    _papers_accuracies,
    Column(
        "search s",
        seconds(1),
        lambda line: line.seconds,
        csv_name="search_seconds",
        in_latex=False,
    ),
    SCORING,
    _sizes,
    Column(None, TEXT, lambda line: line.is_parameter_free, csv_name="parameter_free"),
    Column(None, TEXT, lambda line: line.is_collapsed, csv_name="collapsed"),
    Column(None, TEXT, lambda line: line.is_connected, csv_name="connected"),
    Column(
        "cell",
        CODE,
        lambda line: line.cell,
        csv_name="cell",
        missing=lambda line: line.absence("not searched yet"),
        in_latex=False,
    ),
)
"""Of a table with a line for each search: what is read where a setting is searched once, and
always as comma-separated values."""

SETTING_COLUMNS: tuple[Entry[Line, Compared], ...] = (
    SEARCHER,
    GROUP,
    METHOD_OF_ROW,
    RATIO,
    KEPT,
    Column(None, NUMBER, lambda line: len(line.found), csv_name="n_searches"),
    Column(None, NUMBER, lambda line: line.n_parameter_free, csv_name="n_parameter_free"),
    Column(None, NUMBER, lambda line: line.n_collapsed, csv_name="n_collapsed"),
    Column(None, NUMBER, lambda line: line.n_disconnected, csv_name="n_disconnected"),
    _distributions,
    _papers_accuracies,
    Column("searches", VERBATIM, lambda line: line.progress),
    Column(
        "collapsed",
        VERBATIM,
        lambda line: f"{line.n_collapsed} of {len(line.found)}",
        in_latex=False,
    ),
    Column(
        "disconnected",
        VERBATIM,
        lambda line: f"{line.n_disconnected} of {len(line.found)}",
        in_latex=False,
    ),
    _sizes,
    Column(
        "search s",
        seconds(1),
        lambda line: line.seconds,
        csv_name="mean_search_seconds",
        in_latex=False,
    ),
    SCORING,
)
"""Of a table with a line for each setting: how its searches are distributed."""


def search_table(
    results: StudyResults, searcher: Component, columns: Sequence[Column[Line]] = ()
) -> Table[Line]:
    """Lay one searcher's table out with a line for each search.

    Parameters
    ----------
    results : StudyResults
    searcher : Component
        One of the study's.
    columns : sequence of Column
        More columns, behind the table's own.

    Returns
    -------
    Table
        In the paper's form and order. Accuracies are mean ± std over the trainings of the found
        cell. The paper's numbers stand beside them where its table is of the same data; see
        `proxysample_nas.paper`. A setting that has not been searched, or of which a search has
        failed, has one line without a cell, which says so.
    """
    compared = Compared(results, results.compare_with_paper(searcher))
    lines = [
        Line(row, found, compared)
        for row in results.rows_of(searcher)
        for found in _one_by_one(row)
    ]
    return _table(compared, searcher, (*SEARCH_COLUMNS, *_more_columns(columns)), lines)


def setting_table(
    results: StudyResults, searcher: Component, columns: Sequence[Column[Line]] = ()
) -> Table[Line]:
    """Lay one searcher's table out with a line for each setting.

    Parameters
    ----------
    results : StudyResults
    searcher : Component
        One of the study's.
    columns : sequence of Column
        More columns, behind the table's own.

    Returns
    -------
    Table
        Accuracies are mean ± std over the searches of their cells' mean accuracies, with the
        lowest and the highest.
    """
    compared = Compared(results, results.compare_with_paper(searcher))
    lines = [Line(row, row.found, compared) for row in results.rows_of(searcher)]
    return _table(compared, searcher, (*SETTING_COLUMNS, *columns), lines)


def accuracy_table(
    results: StudyResults, searcher: Component, columns: Sequence[Column[Line]] = ()
) -> Table[Line]:
    """Lay one searcher's table out as it is read: by searches, or by settings of several each.

    Parameters
    ----------
    results : StudyResults
    searcher : Component
        One of the study's.
    columns : sequence of Column
        More columns, behind the table's own.
    """
    several = results.configuration.searches_several
    return (setting_table if several else search_table)(results, searcher, columns)


def _one_by_one(row: Row) -> list[tuple[FoundCell, ...]]:
    found: list[tuple[FoundCell, ...]] = [(one,) for one in row.found]
    # One line without a cell stands for all that have none.
    return [*found, ()] if row.n_failed or not found else found


def _table(
    compared: Compared,
    searcher: Component,
    entries: tuple[Entry[Line, Compared], ...],
    lines: list[Line],
) -> Table[Line]:
    published = tuple(_papers_notes(compared.comparison)) if compared.published else ()
    return Table(
        f"Cell evaluation with {searcher.name.upper()}",
        tuple(columns_of(entries, compared)),
        grouped(lines, lambda line: line.row.group),
        (*published, *protocol_notes(compared.results, searcher)),
    )


def _more_columns(columns: Any) -> Iterator[Column[Line]]:
    for one in as_tuple("columns", columns):
        instance_of(Column).check("a column", one)
        yield one


def columns_of(entries: Iterable[Entry[R, S]], compared: S) -> Iterator[Column[R]]:
    """Give the columns that a list of entries stands for."""
    for entry in entries:
        if isinstance(entry, Column):
            yield entry
        else:
            yield from entry(compared)


def grouped(lines: list[R], group_of: Callable[[R], str]) -> tuple[Section[R], ...]:
    """Part lines into the groups of samplers, in their order."""
    sections = (
        Section(group, [one for one in lines if group_of(one) == group]) for group in GROUPS
    )
    return tuple(section for section in sections if section.rows)


def _papers_notes(comparison: Comparison | None) -> Iterator[str]:
    if comparison is None:
        return
    marks = "A * there is its own mark, of the cell of skip connections alone."
    source = f'Table {comparison.table} of "Less is More: Proxy Datasets in NAS approaches"'
    if comparison.is_same_protocol:
        yield (
            f"The paper's numbers are those of {source}, of the same protocol as ours. Its halves "
            "of the test part and its seeds are others, and which half it reports is not said. "
            f"{marks}"
        )
    else:
        yield (
            f"The paper's numbers are those of {source}. They come from another protocol and are "
            "no yardstick for ours: " + "; ".join(comparison.common) + f". {marks}"
        )
    alike: dict[tuple[str, ...], list[str]] = {}
    for label, differences in comparison.of_samplers.items():
        alike.setdefault(differences, []).append(label)
    for differences, labels in alike.items():
        if differences:
            yield f"† {', '.join(labels)} beside the paper's sampler: {'; '.join(differences)}."
