"""A study's tables as documents, one of each form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from proxysample.files import replace_file
from proxysample_nas.study.grid.component import Component
from proxysample_nas.study.reports.accuracy_table import COST_COLUMNS, accuracy_table
from proxysample_nas.study.reports.break_even import break_even_table, break_evens_to_csv
from proxysample_nas.study.reports.latex import to_latex
from proxysample_nas.study.reports.layout import Layout
from proxysample_nas.study.reports.markdown import notes_to_markdown, to_markdown
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.reports.spreadsheet import searches_to_csv, settings_to_csv
from proxysample_nas.study.reports.transfer_table import (
    papers_transfer_table,
    transfer_table,
    transfers_to_csv,
)


def markdown_document(table: Layout) -> str:
    """Write a table with its title and notes.

    Parameters
    ----------
    table : Layout

    Returns
    -------
    str
    """
    parts = [f"## {table.title}", to_markdown(table), notes_to_markdown(table.notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def accuracy_documents(results: StudyResults, searcher: Component) -> dict[str, str]:
    """Write a searcher's table as Markdown and CSV.

    Parameters
    ----------
    results : StudyResults
    searcher : Component
        One of the study's.

    Returns
    -------
    dict
        Texts by the names of their files.
    """
    stem = f"table-{results.name_of(searcher)}"
    rows, channels = results.rows_of(searcher), results.configuration.channels
    documents = {
        f"{stem}.md": markdown_document(accuracy_table(results, searcher)),
        f"{stem}.csv": searches_to_csv(rows, channels),
    }
    if len(results.configuration.search_seeds) > 1:
        documents[f"{stem}-distribution.csv"] = settings_to_csv(rows, channels)
    return documents


def all_documents(results: StudyResults) -> dict[str, str]:
    """Write every table in every form.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    dict
        Texts by the names of their files.
    """
    documents: dict[str, str] = {}
    for name, searcher in results.named_searchers:
        documents |= accuracy_documents(results, searcher)
        papers_form = accuracy_table(results, searcher).without(*COST_COLUMNS)
        documents[f"table-{name}.tex"] = to_latex(papers_form, f"tab:{name}") + "\n"
    for stem, table, text in _other_tables(results):
        documents[f"{stem}.md"] = markdown_document(table)
        documents[f"{stem}.tex"] = to_latex(table.without("cell"), f"tab:{stem}") + "\n"
        if text is not None:
            documents[f"{stem}.csv"] = text
    return documents


def save_documents(documents: dict[str, str], folder: Path) -> list[Path]:
    """Write texts into a folder.

    Parameters
    ----------
    documents : dict
        By the names of their files.
    folder : Path

    Returns
    -------
    list of Path
        The files.
    """
    paths = []
    for name, text in documents.items():
        paths.append(folder / name)
        with replace_file(paths[-1]) as stream:
            stream.write(text.encode())
    return paths


def _other_tables(results: StudyResults) -> Iterator[tuple[str, Layout, str | None]]:
    transfers = transfer_table(results)
    if transfers is not None:
        yield "table-transfers", transfers, transfers_to_csv(results)
    published = papers_transfer_table(results)
    if published is not None:
        yield "table-transfers-paper", published, None
    break_even = break_even_table(results)
    if break_even is not None:
        yield "break-even", break_even, break_evens_to_csv(results)
