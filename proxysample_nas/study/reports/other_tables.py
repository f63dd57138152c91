"""The tables beside that of accuracies: transfers to other datasets, and what searching cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from proxysample.components import Component
from proxysample.rendering import (
    CODE,
    NUMBER,
    PERCENT,
    TEXT,
    VERBATIM,
    Column,
    Section,
    Table,
    seconds,
    to_csv,
)
from proxysample.wording import without_folders
from proxysample_nas.paper import (
    PapersTransferRow,
    is_cifar100,
    is_imagenet16_120,
    papers_transfer_rows,
)
from proxysample_nas.study.reports.accuracy_table import (
    ACCURACY,
    METHOD,
    Entry,
    columns_of,
    grouped,
)
from proxysample_nas.study.reports.notes import describe_machines, describe_training
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.results import CellAccuracy, Champion, Row, best_cells


@dataclass(frozen=True)
class Transferred:
    """A cell, and how it did on some datasets.

    Attributes
    ----------
    results : StudyResults
    champion : Champion
    accuracies : tuple of (str, int, CellAccuracy or None)
        Dataset, width and accuracy; None where it has not been evaluated there.
    """

    results: StudyResults
    champion: Champion
    accuracies: tuple[tuple[str, int, CellAccuracy | None], ...]

    @property
    def row(self) -> Row:
        """What the cell was found in."""
        return self.champion.row


def _by_dataset(results: StudyResults) -> Iterator[Column[Transferred]]:
    for place, (dataset, channels) in enumerate(_datasets(results)):
        shown = without_folders(dataset)
        yield Column(f"{shown}, C={channels}", ACCURACY, _of_dataset(place))


def _of_dataset(place: int) -> Callable[[Transferred], CellAccuracy | None]:
    return lambda one: one.accuracies[place][2]


TRANSFER_COLUMNS: tuple[Entry[Transferred, StudyResults], ...] = (
    Column(None, TEXT, lambda one: one.row.group, csv_name="group"),
    Column(None, METHOD, lambda one: one.row.method, csv_name="method"),
    Column("r", NUMBER, lambda one: one.row.setting.r, csv_name="r"),
    Column("Method", METHOD, lambda one: one.row.method),
    Column("Model", TEXT, lambda one: one.results.name_of(one.row.setting.searcher).upper()),
    Column(None, TEXT, lambda one: one.row.setting.searcher.label, csv_name="searcher"),
    Column("search seed", VERBATIM, lambda one: one.champion.found.seed, csv_name="search_seed"),
    _by_dataset,
    # As comma-separated values each line is of one dataset.
    Column(None, TEXT, lambda one: one.accuracies[0][0], csv_name="dataset"),
    Column(None, NUMBER, lambda one: one.accuracies[0][1], csv_name="channels"),
    Column(None, ACCURACY, lambda one: one.accuracies[0][2], csv_name=""),
    Column("cell", CODE, lambda one: one.champion.found.cell, csv_name="cell", in_latex=False),
)
"""Of the table of cells on other datasets."""


def transfer_table(results: StudyResults) -> Table[Transferred] | None:
    """Lay out how the best cells of each group do on other datasets (Table 5).

    Returns
    -------
    Table or None
        None where the study has no other dataset.
    """
    if not results.configuration.transfers:
        return None
    lines = _transferred(results)
    return Table(
        "Best cells on other datasets",
        tuple(columns_of(TRANSFER_COLUMNS, results)),
        grouped(lines, lambda one: one.row.group),
        (_how_chosen(results), _how_transferred(results, lines)),
    )


def transfers_to_csv(results: StudyResults) -> str:
    """Write that table with one line per cell and dataset, numbers unrounded.

    Returns
    -------
    str
        Where a cell has not been evaluated on a dataset, there is no line.
    """
    lines = (
        Transferred(results, line.champion, (accuracy,))
        for line in _transferred(results)
        for accuracy in line.accuracies
        if accuracy[2] is not None
    )
    return to_csv(columns_of(TRANSFER_COLUMNS, results), lines)


def papers_transfer_table(results: StudyResults) -> Table[PapersTransferRow] | None:
    """Lay the paper's own Table 5 out, where ours is of the same datasets.

    Returns
    -------
    Table or None
        None where the study's dataset is not CIFAR-100 or none of its others ImageNet16-120, or
        the paper's numbers are left out.
    """
    datasets = results.info.datasets
    others = [datasets[transfer.dataset] for transfer in results.configuration.transfers]
    own = datasets[results.configuration.dataset]
    is_comparable = is_cifar100(own) and any(map(is_imagenet16_120, others))
    if not is_comparable or not results.paper_column:
        return None
    columns: tuple[Column[PapersTransferRow], ...] = (
        Column("r", NUMBER, lambda row: row.r),
        Column("Model", TEXT, lambda row: row.model),
        Column("CIFAR-100", VERBATIM, lambda row: row.accuracies["cifar100"].printed),
        Column("ImageNet16-120", VERBATIM, lambda row: row.accuracies["imagenet16-120"].printed),
    )
    headings = {
        "nas-bench-201": "NAS-Bench-201, as the paper cites it",
        "baseline": "Baseline",
        "ae": "AE",
        "tl": "TL",
    }
    sections = (
        Section(heading, [row for row in papers_transfer_rows() if row.group == group])
        for group, heading in headings.items()
    )
    note = (
        'Numbers of "Less is More: Proxy Datasets in NAS approaches", whose cells are others '
        "than ours: a table of its own, not a column to compare with. On CIFAR-100 they are "
        "those of its Tables 1 to 4 at C=64."
    )
    return Table("The paper's Table 5", columns, tuple(sections), (note,))


def _datasets(results: StudyResults) -> list[tuple[str, int]]:
    """List the study's dataset and its others, each with the width of the networks."""
    transfers = results.configuration.transfers
    return [
        (results.configuration.dataset, results.widest),
        *((transfer.dataset, transfer.channels) for transfer in transfers),
    ]


def _transferred(results: StudyResults) -> list[Transferred]:
    transfers = results.configuration.transfers
    n_best = max(transfer.n_best for transfer in transfers)
    champions = best_cells(list(results.rows), results.widest, n_best)
    cells = [one.found.cell for one in champions]
    others = [results.transferred(transfer, cells) for transfer in transfers]
    lines = []
    for one in champions:
        found = [one.found.evaluations.get(results.widest)]
        found += [accuracies.get(one.found.cell) for accuracies in others]
        named = zip(_datasets(results), found, strict=True)
        lines.append(
            Transferred(results, one, tuple((*name, accuracy) for name, accuracy in named))
        )
    return lines


def _how_chosen(results: StudyResults) -> str:
    return (
        "Of each group of samplers, the cells with the best accuracy on "
        f"{without_folders(results.configuration.dataset)} at C={results.widest}. They were chosen "
        "by the same test accuracy that stands here, which is optimistic for that reason; the "
        "other datasets took no part in the choice. Only there can a baseline be compared with "
        "them."
    )


def _how_transferred(results: StudyResults, lines: list[Transferred]) -> str:
    # A cell that was found more than once has one line in each group, and one training.
    cells = {line.champion.found.cell: line for line in lines}
    n_all = len(cells) * len(results.configuration.seeds)
    described = []
    for place, transfer in enumerate(results.configuration.transfers, start=1):
        accuracies = [line.accuracies[place][2] for line in cells.values()]
        n_done = sum(len(one.runs) for one in accuracies if one is not None)
        described.append(
            f"{without_folders(transfer.dataset)}: {describe_training(transfer)}, {n_done:,} of "
            f"{n_all:,} trainings ended"
        )
    return f"Evaluated from scratch on the other datasets. {'; '.join(described)}."


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
    Column("r", NUMBER, lambda one: one.r, csv_name="r"),
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
        yield BreakEven(setting.searcher, row.setting.sampler, setting.r, scoring, search, whole)


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
