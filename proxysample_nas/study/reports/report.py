"""The whole report of a study, written into a folder."""

from __future__ import annotations

from pathlib import Path

from proxysample.files import check_writable, make_folder, replace_file
from proxysample_nas.study.reports.documents import all_documents, save_documents
from proxysample_nas.study.reports.edge_distribution import edge_distributions_to_csv
from proxysample_nas.study.reports.figures import save_figures
from proxysample_nas.study.reports.page import to_html
from proxysample_nas.study.reports.results import StudyResults


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
    check_writable(page)
    # First: without matplotlib nothing is written.
    figures, missing = save_figures(results, folder)
    documents = all_documents(results)
    documents["edge-distribution.csv"] = edge_distributions_to_csv(results)
    saved = save_documents(documents, folder)
    with replace_file(page) as stream:
        drawn = {name: paths[0] for name, paths in figures.items()}
        stream.write(to_html(results, drawn, missing).encode())
    return [page, *saved, *(path for paths in figures.values() for path in paths)]
