"""A study's report as one HTML page: no script, no other file."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from pathlib import Path

from proxysample_nas.study.reports.accuracy_table import accuracy_table
from proxysample_nas.study.reports.break_even import break_even_table
from proxysample_nas.study.reports.figures import FIGURES
from proxysample_nas.study.reports.layout import Column, Layout
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.reports.summary import (
    describe_experiment,
    how_far_it_got,
    reading_rules,
    what_was_run,
)
from proxysample_nas.study.reports.transfer_table import papers_transfer_table, transfer_table

STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --quiet: #52606d; --paper: #fff;
  --line: #d5dbe1; --band: #f2f5f8; --accent: #0060a0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --quiet: #a3b0bc;
  --paper: #14191f; --line: #37424d; --band: #1e262e; --accent: #6cb8f0; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 78rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; } h3 { font-size: 1rem; margin-bottom: .3rem; }
a { color: var(--accent); }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; list-style: none; }
.scroll { overflow-x: auto; margin: .8rem 0; }
/* Collapsed borders do not follow a cell that sticks. */
table { border-collapse: separate; border-spacing: 0; }
td, th { padding: .2rem .9rem .2rem .3rem; text-align: left; white-space: nowrap; }
thead th { border-bottom: 2px solid var(--line); vertical-align: bottom; }
tbody th { font-weight: 400; position: sticky; left: 0; background: var(--paper); }
tr.group th { font-weight: 600; padding-top: .7rem; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.code { font: 12px ui-monospace, monospace; }
.borrowed { color: var(--quiet); font-style: italic; }
.notes, .summary { color: var(--quiet); max-width: 60rem; padding-left: 1.2rem; }
.summary { color: inherit; }
.notes li { margin-bottom: .2rem; }
.rules { border-left: 4px solid var(--accent); background: var(--band); max-width: 60rem;
  padding: .4rem 1rem .6rem; }
.rules ul { padding-left: 1.2rem; margin: .3rem 0; }
figure { margin: 1rem 0; } figcaption { color: var(--quiet); max-width: 60rem; }
figure .scroll { background: #fff; padding: .6rem; border: 1px solid var(--line); }
figure img { display: block; max-width: 100%; min-width: min(44rem, 210vw); height: auto;
  margin: 0 auto; }
@media (max-width: 45rem) {
  /* A long name that sticks would cover the numbers. */
  tbody th[scope="row"] { white-space: normal; min-width: 6rem; max-width: 38vw; }
}
.error { font: 13px ui-monospace, monospace; white-space: pre-wrap; }
"""


def to_html(results: StudyResults, figures: dict[str, Path], missing: dict[str, str]) -> str:
    """Write a study's report as a page.

    Parameters
    ----------
    results : StudyResults
    figures : dict
        An SVG file of each figure, by its name.
    missing : dict
        Why a figure is not drawn, by its name.

    Returns
    -------
    str
        HTML with the figures inside.
    """
    tables = _tables(results)
    title = f"Proxy datasets in architecture search: a study on {results.configuration.dataset}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{html.escape(title)}</h1>",
        _summary(results),
        _contents(tables),
        *(_section(anchor, table) for anchor, table in tables.items()),
        '<h2 id="figures">Figures</h2>',
        *(_figure(results, name, figures.get(name), missing.get(name, "")) for name in FIGURES),
        _unfinished(results),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _tables(results: StudyResults) -> dict[str, Layout]:
    tables = {
        f"table-{name}": accuracy_table(results, searcher)
        for name, searcher in results.named_searchers
    }
    others = {
        "transfers": transfer_table(results),
        "transfers-paper": papers_transfer_table(results),
        "break-even": break_even_table(results),
    }
    return tables | {anchor: table for anchor, table in others.items() if table is not None}


def _summary(results: StudyResults) -> str:
    lines = [*what_was_run(results), *how_far_it_got(results)]
    return (
        f'{_list(lines, "summary")}<div class="rules"><h3>How to read it</h3>'
        f"{_list(reading_rules(results))}</div>"
    )


def _contents(tables: dict[str, Layout]) -> str:
    links = {anchor: table.title for anchor, table in tables.items()}
    links |= {"figures": "Figures", "unfinished": "Failed and missing"}
    items = "".join(
        f'<li><a href="#{html.escape(anchor)}">{html.escape(title)}</a></li>'
        for anchor, title in links.items()
    )
    return f"<nav><ul>{items}</ul></nav>"


def _section(anchor: str, table: Layout) -> str:
    return (
        f'<h2 id="{html.escape(anchor)}">{html.escape(table.title)}</h2>'
        f"{_table(table)}{_list(table.notes, 'notes')}"
    )


def _table(table: Layout) -> str:
    header = "".join(
        f'<th scope="col"{_class(column)}>{html.escape(column.heading)}</th>'
        for column in table.columns
    )
    bodies = []
    for section in table.sections:
        lines = [_line(line, table.columns) for line in section.lines]
        if section.heading:
            width = len(table.columns)
            lines.insert(
                0,
                f'<tr class="group"><th scope="rowgroup" colspan="{width}">'
                f"{html.escape(section.heading)}</th></tr>",
            )
        bodies.append(f"<tbody>{''.join(lines)}</tbody>")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(table.title)}">'
        f"<table><thead><tr>{header}</tr></thead>{''.join(bodies)}</table></div>"
    )


def _line(texts: Iterable[str], columns: tuple[Column, ...]) -> str:
    first, *others = zip(texts, columns, strict=True)
    cells = [f'<th scope="row"{_class(first[1])}>{html.escape(first[0])}</th>']
    cells += [f"<td{_class(column, text)}>{html.escape(text)}</td>" for text, column in others]
    return f"<tr>{''.join(cells)}</tr>"


def _class(column: Column, text: str = "") -> str:
    kinds: list[str] = [column.kind] if column.kind == "number" or column.is_code(text) else []
    kinds += ["borrowed"] if column.is_borrowed else []
    return f' class="{" ".join(kinds)}"' if kinds else ""


def _figure(results: StudyResults, name: str, path: Path | None, reason: str) -> str:
    kind = FIGURES[name]
    if path is None:
        return f"<h3>{html.escape(kind.title)}</h3><p>Not drawn: {html.escape(reason)}.</p>"
    picture = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure id="{html.escape(name)}"><h3>{html.escape(kind.title)}</h3>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(kind.title)}">'
        f'<img alt="{html.escape(kind.title)}" src="data:image/svg+xml;base64,{picture}"></div>'
        f"<figcaption>{html.escape(kind.caption(results))}</figcaption></figure>"
    )


def _unfinished(results: StudyResults) -> str:
    failures, missing = results.store.failures(), results.missing_searches()
    parts = ['<h2 id="unfinished">Failed and missing</h2>']
    if not failures and not missing:
        parts.append("<p>Nothing has failed, and no search is missing.</p>")
    if failures:
        items = "".join(
            f"<li>{html.escape(describe_experiment(record.kind, record.specification))}"
            f'<div class="error">{html.escape(record.error or "")}</div></li>'
            for record in failures
        )
        parts.append(f"<h3>{len(failures):,} failed experiments in the store</h3><ul>{items}</ul>")
    if missing:
        parts.append(f"<h3>{len(missing):,} searches without a result</h3>{_list(missing)}")
    return "".join(parts)


def _list(lines: Iterable[str], kind: str = "") -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f'<ul class="{kind}">{items}</ul>' if kind else f"<ul>{items}</ul>"
