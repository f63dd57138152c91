"""The whole report of a study: its tables as documents, its figures, and one page with both."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from proxysample.agreement import RankAgreement
from proxysample.agreement.reports import agreement_table
from proxysample.components import Component
from proxysample.files import check_output, make_folder, replace_file, save_documents
from proxysample.rendering import (
    Table,
    latex_notes,
    markdown_document,
    render_template,
    to_csv,
    to_latex,
)
from proxysample.wording import without_folders
from proxysample_nas.study.reports.accuracy_table import (
    accuracy_table,
    search_table,
    setting_table,
)
from proxysample_nas.study.reports.cell_figures import edge_distributions_to_csv
from proxysample_nas.study.reports.figures import FIGURES, save_figures
from proxysample_nas.study.reports.notes import (
    describe_experiment,
    how_far_it_got,
    reading_rules,
    what_was_run,
)
from proxysample_nas.study.reports.other_tables import (
    break_even_table,
    papers_transfer_table,
    transfer_table,
    transfers_to_csv,
)
from proxysample_nas.study.reports.ranking import RANKING_FOLDER, ranking_figure, ranking_of
from proxysample_nas.study.reports.results import StudyResults, results_to_csv
from proxysample_nas.study.reports.verdicts import verdict_table

SEARCHES = "searches.csv"
"""One long frame of all searches and evaluations, as `Study.to_frame` gives it."""


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
    searches = search_table(results, searcher)
    documents = {
        f"{stem}.md": markdown_document(accuracy_table(results, searcher)),
        f"{stem}.csv": to_csv(searches.columns, searches.rows),
    }
    if results.configuration.searches_several:
        settings = setting_table(results, searcher)
        documents[f"{stem}-distribution.csv"] = to_csv(settings.columns, settings.rows)
    return documents


def all_documents(results: StudyResults) -> dict[str, str]:
    """Write every table in every form.

    Returns
    -------
    dict
        Texts by the names of their files.
    """
    documents: dict[str, str] = {}
    for name, searcher in results.named_searchers:
        documents |= accuracy_documents(results, searcher)
        table = accuracy_table(results, searcher)
        documents |= _latex_documents(f"table-{name}", table, f"tab:{name}")
    for stem, other, text in _other_tables(results):
        documents[f"{stem}.md"] = markdown_document(other)
        documents |= _latex_documents(stem, other, f"tab:{stem}")
        if text is not None:
            documents[f"{stem}.csv"] = text
    return documents | {SEARCHES: results_to_csv(results)}


def _latex_documents(stem: str, table: Table[Any], label: str) -> dict[str, str]:
    return {
        f"{stem}.tex": to_latex(table, label) + "\n",
        f"{stem}-notes.tex": latex_notes(table) + "\n",
    }


def write_report(results: StudyResults, folder: Path, page: Path | None = None) -> list[Path]:
    """Write tables, figures and the page.

    Parameters
    ----------
    results : StudyResults
    folder : Path
        Made where it does not exist.
    page : Path, optional
        Of the page; ``folder/report.html`` by default.

    Returns
    -------
    list of Path
        The files, the page first.

    Raises
    ------
    InputError
        If a file cannot be written.
    MissingDependencyError
        If matplotlib is not installed (extra ``plots``).
    """
    make_folder(folder)
    page = folder / "report.html" if page is None else page
    check_output(page, ".html", "a report is saved")
    # First: without matplotlib nothing is written.
    figures, missing = save_figures(results, folder)
    ranking = ranking_of(results.store.path.parent)
    documents = all_documents(results)
    documents["edge-distribution.csv"] = edge_distributions_to_csv(results)
    saved = save_documents(documents, folder)
    with replace_file(page) as stream:
        drawn = {name: paths[0] for name, paths in figures.items()}
        stream.write(to_html(results, drawn, missing, ranking).encode())
    ranked = [] if ranking is None else ranking.save(folder / RANKING_FOLDER)
    return [page, *saved, *(path for paths in figures.values() for path in paths), *ranked]


def to_html(
    results: StudyResults,
    figures: dict[str, Path],
    missing: dict[str, str],
    ranking: RankAgreement | None = None,
) -> str:
    """Write a study's report as a page: no script, no other file.

    Parameters
    ----------
    results : StudyResults
    figures : dict
        An SVG file of each figure, by its name.
    missing : dict
        Why a figure is not drawn, by its name.
    ranking : RankAgreement, optional
        Of cells, on what the study compares.

    Returns
    -------
    str
        HTML with the figures inside.
    """
    dataset = without_folders(results.configuration.dataset)
    drawn = [_figure(results, name, figures.get(name), missing.get(name)) for name in FIGURES]
    tables = _tables(results)
    if ranking is not None:
        tables["rank-agreement"] = agreement_table(ranking.results)
        drawn.append(ranking_figure(ranking))
    return render_template(
        "report.html.j2",
        package=__package__,
        title=f"Proxy datasets in architecture search: a study on {dataset}",
        summary=[*what_was_run(results), *how_far_it_got(results)],
        rules=list(reading_rules(results)),
        tables=tables,
        figures=drawn,
        failures=[
            (describe_experiment(record.kind, record.specification), record.error or "")
            for record in results.store.failures()
        ],
        missing=results.missing_searches(),
    )


def _tables(results: StudyResults) -> dict[str, Table[Any]]:
    """Lay every table out, by its anchor in the page."""
    tables: dict[str, Table[Any] | None] = {
        f"table-{name}": accuracy_table(results, searcher)
        for name, searcher in results.named_searchers
    }
    tables["transfers"] = transfer_table(results)
    tables["transfers-paper"] = papers_transfer_table(results)
    tables["verdicts"] = verdict_table(results)
    tables["break-even"] = break_even_table(results)
    return {anchor: table for anchor, table in tables.items() if table is not None}


def _figure(
    results: StudyResults, name: str, path: Path | None, reason: str | None
) -> dict[str, str | None]:
    kind = FIGURES[name]
    found: dict[str, str | None] = {"name": name, "title": kind.title, "reason": reason or ""}
    if path is None:
        return found | {"picture": None}
    picture = base64.b64encode(path.read_bytes()).decode()
    return found | {
        "picture": f"data:image/svg+xml;base64,{picture}",
        "caption": kind.caption(results),
    }


def _other_tables(results: StudyResults) -> Iterator[tuple[str, Table[Any], str | None]]:
    transfers = transfer_table(results)
    if transfers is not None:
        yield "table-transfers", transfers, transfers_to_csv(results)
    published = papers_transfer_table(results)
    if published is not None:
        yield "table-transfers-paper", published, None
    verdicts = verdict_table(results)
    if verdicts is not None:
        yield "verdicts", verdicts, to_csv(verdicts.columns, verdicts.rows)
    break_even = break_even_table(results)
    if break_even is not None:
        yield "break-even", break_even, to_csv(break_even.columns, break_even.rows)
