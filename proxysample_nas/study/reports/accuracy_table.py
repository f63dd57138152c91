"""Tables 1 to 4: accuracies of the cells that one searcher found."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from proxysample_nas.study.grid.component import Component
from proxysample_nas.study.reports.comparison import Comparison, compare_with_paper
from proxysample_nas.study.reports.layout import Column, Layout, Section
from proxysample_nas.study.reports.papers_numbers import papers_row, papers_rows
from proxysample_nas.study.reports.protocol import protocol_notes
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.results import GROUPS, CellAccuracy, Row

COST_COLUMNS = ("kept", "search s", "scoring s", "without parameters", "cell")
"""Columns that the paper's tables do not have."""


def accuracy_table(results: StudyResults, searcher: Component) -> Layout:
    """Lay one searcher's table out, in the paper's form and order.

    Parameters
    ----------
    results : StudyResults
    searcher : Component
        One of the study's.

    Returns
    -------
    Layout
        With one search seed, accuracies are mean ± std over the trainings of the found cell.
        With several, they are mean ± std over the searches of their cells' mean accuracies,
        with the lowest and the highest. The paper's numbers stand beside them where its table
        is of the same data; see `proxysample_nas.study.reports.comparison`.
    """
    configuration = results.configuration
    rows = results.rows_of(searcher)
    comparison = compare_with_paper(configuration, results.facts, searcher)
    several = len(configuration.search_seeds) > 1
    writer = _Several(results) if several else _One(results)
    published = [] if comparison is None else [c for c in configuration.channels if _has_paper(c)]
    columns = (
        Column("Method"),
        Column("r", "number"),
        Column("kept", "number"),
        *(Column(f"A, C={c}", "number") for c in configuration.channels),
        *(Column(f"{_heading(comparison)}, C={c}", "number", is_borrowed=True) for c in published),
        *writer.columns,
    )

    def line(row: Row) -> list[str]:
        return [
            _marked(row, comparison),
            f"{row.setting.r:g}",
            "" if row.n_kept is None else f"{row.n_kept:,}",
            *(writer.accuracy(row, c) for c in configuration.channels),
            *(_published(row, c, comparison) for c in published),
            *writer.rest(row),
        ]

    sections = tuple(
        Section(group, [line(row) for row in rows if row.group == group])
        for group in GROUPS
        if any(row.group == group for row in rows)
    )
    title = f"Cell evaluation with {searcher.name.upper()}"
    published_notes = tuple(_notes(comparison)) if published else ()
    notes = (*published_notes, *protocol_notes(results, searcher))
    return Layout(title, columns, sections, notes)


class _One:
    """Writes rows of one search each."""

    columns = (Column("search s", "number"), Column("scoring s", "number"), Column("cell", "code"))

    def __init__(self, results: StudyResults) -> None:
        self.results = results

    def accuracy(self, row: Row, channels: int) -> str:
        if not row.found or channels not in row.found[0].evaluations:
            return ""
        return write_accuracy(row.found[0].evaluations[channels])

    def rest(self, row: Row) -> list[str]:
        cell = str(row.found[0].cell) if row.found else "not searched yet"
        return [*_seconds(row), cell]


class _Several:
    """Writes rows of several searches each."""

    columns = (
        Column("searches", "number"),
        Column("without parameters", "number"),
        Column("search s", "number"),
        Column("scoring s", "number"),
    )

    def __init__(self, results: StudyResults) -> None:
        self.n_seeds = len(results.configuration.search_seeds)

    def accuracy(self, row: Row, channels: int) -> str:
        judged = row.accuracies(channels)
        text = write_distribution(judged)
        # Some searches' cells may still have to be judged.
        return text if len(judged) == len(row.found) else f"{text} (n={len(judged)})".strip()

    def rest(self, row: Row) -> list[str]:
        free = sum(one.cell.is_parameter_free for one in row.found)
        done = f"{len(row.found)} of {self.n_seeds}"
        return [done, f"{free} of {len(row.found)}", *_seconds(row)]


def write_accuracy(accuracy: CellAccuracy) -> str:
    """Write the accuracy of one cell as the paper does.

    Parameters
    ----------
    accuracy : CellAccuracy

    Returns
    -------
    str

    Examples
    --------
    >>> write_accuracy(CellAccuracy((70.0, 71.0))), write_accuracy(CellAccuracy((70.0,)))
    ('70.5 ± 0.7', '70.0')
    """
    spread = "" if accuracy.std is None else f" ± {accuracy.std:.1f}"
    return f"{accuracy.mean:.1f}{spread}"


def write_distribution(means: list[float]) -> str:
    """Write the accuracies of several searches.

    Parameters
    ----------
    means : list of float
        Percent.

    Returns
    -------
    str
        Mean, sample standard deviation, lowest and highest.

    Examples
    --------
    >>> write_distribution([70.0, 71.0, 75.0])
    '72.0 ± 2.6 [70.0, 75.0]'
    """
    if not means:
        return ""
    if len(means) == 1:
        return f"{means[0]:.1f}"
    mean, std = statistics.fmean(means), statistics.stdev(means)
    return f"{mean:.1f} ± {std:.1f} [{min(means):.1f}, {max(means):.1f}]"


def _seconds(row: Row) -> list[str]:
    return [
        "" if row.search_seconds is None else f"{row.search_seconds:,.1f}",
        "" if row.scoring_seconds is None else f"{row.scoring_seconds:,.2f}",
    ]


def _has_paper(channels: int) -> bool:
    return any(channels in row.accuracies for row in papers_rows())


def _heading(comparison: Comparison | None) -> str:
    if comparison is not None and comparison.is_same_protocol:
        return "paper's A"
    return "paper's A (other protocol)"


def _marked(row: Row, comparison: Comparison | None) -> str:
    if comparison is None or not comparison.of_sampler(row.setting.sampler):
        return row.method
    return f"{row.method}†"


def _published(row: Row, channels: int, comparison: Comparison | None) -> str:
    sampler = row.setting.sampler
    if comparison is None or not comparison.has_paper(sampler):
        return ""
    name = None if sampler is None else sampler.name
    found = papers_row(row.setting.searcher.name, name, row.setting.r)
    if found is None or channels not in found.accuracies:
        return ""
    return found.accuracies[channels].printed + ("*" if found.is_marked else "")


def _notes(comparison: Comparison | None) -> Iterator[str]:
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
