"""A comparison's tables in every form, its figure, and one page with all of it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from proxysample.comparison.data import CLEAN
from proxysample.comparison.experiments import Plan
from proxysample.comparison.figure import caption, draw_comparison
from proxysample.comparison.results import CLASS_RANDOM, ComparisonResults
from proxysample.comparison.table import comparison_table
from proxysample.figures import save_figure
from proxysample.files import check_writable, make_folder, replace_file, save_documents
from proxysample.gallery.sheets import side_by_side
from proxysample.ranking import Ranking
from proxysample.rendering import markdown_document, render_template, to_csv, to_latex

if TYPE_CHECKING:
    from proxysample.comparison.data import ComparisonData
    from proxysample.experiments.store import Store

FIGURE_FORMATS = ("svg", "png", "pdf")
STEM = "comparison"


def table_documents(results: ComparisonResults) -> dict[str, str]:
    """Write the table as Markdown and CSV, by the names of the files."""
    table = comparison_table(results)
    verdict = f"**{results.verdict}**\n\n"
    return {
        f"{STEM}.md": verdict + markdown_document(table),
        f"{STEM}.csv": to_csv(table.columns, table.rows),
    }


def write_report(
    results: ComparisonResults, store: Store, folder: Path, page: Path, data: ComparisonData | None
) -> list[Path]:
    """Write table, figure and page.

    Parameters
    ----------
    results : ComparisonResults
    store : Store
        Rankings are read from it.
    folder : Path
        Made where it does not exist.
    page : Path
    data : ComparisonData or None
        For pictures of what is kept; without, the page has none.

    Returns
    -------
    list of Path
        The files, the page first.
    """
    make_folder(folder)
    check_writable(page)
    # First: without matplotlib nothing is written.
    figure = draw_comparison(results)
    drawn = [folder / f"{STEM}.{suffix}" for suffix in FIGURE_FORMATS]
    for path in drawn:
        save_figure(figure, path)
    documents = table_documents(results)
    documents[f"{STEM}.tex"] = to_latex(comparison_table(results), f"tab:{STEM}") + "\n"
    saved = save_documents(documents, folder)
    picture = base64.b64encode(drawn[0].read_bytes()).decode()
    r, sheets = (None, "") if data is None else _sheets(results, store, data)
    text = render_template(
        "comparison.html.j2",
        package=__package__,
        title=f"Which sampler pays on {results.configuration.dataset}",
        verdict=results.verdict,
        table=comparison_table(results),
        picture=f"data:image/svg+xml;base64,{picture}",
        caption=caption(results),
        sheets=sheets,
        r=r,
        failures=[(one.kind, one.error or "") for one in results.failures],
        n_missing=results.n_missing,
    )
    with replace_file(page) as stream:
        stream.write(text.encode())
    return [page, *saved, *drawn]


def _sheets(
    results: ComparisonResults, store: Store, data: ComparisonData
) -> tuple[float | None, str]:
    """Put what two samplers keep side by side: the best one, and a class-random draw."""
    arm = data.arms[CLEAN]
    if arm.dataset_is_vectors:
        return None, ""
    plan = Plan(results.configuration, results.info, store)
    better = results.better()
    methods = results.configuration.others
    first = better[0].method if better else methods[0].component.label
    r = better[0].r if better else next(iter(results.configuration.all_sizes(len(arm.train))))
    rankings: dict[str, Ranking] = {}
    for place in plan.places():
        wanted = place.method in (first, CLASS_RANDOM) and place.method not in rankings
        if wanted and place.arm == CLEAN and place.r == r and place.scoring is not None:
            ranking = plan.ranking(place.scoring, len(arm.train))
            if ranking is not None:
                rankings[place.method] = ranking
    if not rankings:
        return None, ""
    return r, side_by_side(dict(reversed(rankings.items())), arm.dataset, r, arm.train.y)
