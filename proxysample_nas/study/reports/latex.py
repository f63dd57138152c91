r"""Tables as LaTeX, for documents that load ``booktabs`` and ``graphicx``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from proxysample_nas.study.reports.layout import Column, Layout, Section

MOST_LINES = 50
"""So many lines fit a page, with notes."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": r"{[}",  # after \\ an open bracket would be its argument
    "]": r"{]}",
    "*": r"{*}",  # and so would a star
    "±": r"$\pm$",
    "\N{EN DASH}": "--",
    "†": r"\dag{}",
}
_PATTERN = re.compile("|".join(map(re.escape, _SPECIAL)))


def to_latex(table: Layout, label: str) -> str:
    r"""Write a table as a ``table`` environment with rules of ``booktabs``.

    Parameters
    ----------
    table : Layout
    label : str
        To refer to it.

    Returns
    -------
    str
        Its notes stand beneath the lines. A table longer than a page is one environment for
        each section, numbered in its label.

    Examples
    --------
    >>> from proxysample_nas.study.reports.layout import Section
    >>> table = Layout("T", (Column("a_b"), Column("c", "number")), (Section("", [["1 %", "2"]]),))
    >>> print(to_latex(table, "tab:t"))
    % needs \usepackage{booktabs,graphicx}
    \begin{table}
    \centering
    \caption{T.}
    \label{tab:t}
    \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%
    \begin{tabular}{lr}
    \toprule
    a\_b & c \\
    \midrule
    1 \% & 2 \\
    \bottomrule
    \end{tabular}}
    \end{table}
    """
    parts = _split(table)
    if len(parts) == 1:
        return _environment(table, label)
    return "\n\n".join(
        _environment(part, f"{label}-{number}") for number, part in enumerate(parts, start=1)
    )


def _split(table: Layout) -> list[Layout]:
    """Take a table apart by its sections where it would be longer than a page."""
    if sum(len(section.lines) for section in table.sections) <= MOST_LINES:
        return [table]
    *first, last = (
        replace(
            table,
            title=f"{table.title}: {section.heading}",
            sections=(Section("", section.lines),),
            notes=(),
        )
        for section in table.sections
    )
    return [*first, replace(last, notes=table.notes)]


def _environment(table: Layout, label: str) -> str:
    places = "".join("r" if column.kind == "number" else "l" for column in table.columns)
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(table.title)}.}}",
            rf"\label{{{label}}}",
            # Shrunk only where it is wider than the page.
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{places}}}",
            r"\toprule",
            _line([column.heading for column in table.columns], table.columns),
            *_body(table),
            r"\bottomrule",
            r"\end{tabular}}",
            *_notes(table.notes),
            r"\end{table}",
        ]
    )


def escape_latex(text: str) -> str:
    r"""Let characters stand for themselves.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> print(escape_latex("50 % of a_b ± 1"))
    50 \% of a\_b $\pm$ 1
    """
    return _PATTERN.sub(lambda found: _SPECIAL[found[0]], text)


def _notes(notes: tuple[str, ...]) -> list[str]:
    if not notes:
        return []
    return [r"\par\medskip\footnotesize\raggedright", *(escape_latex(n) + r"\par" for n in notes)]


def _body(table: Layout) -> list[str]:
    lines = []
    for section in table.sections:
        lines.append(r"\midrule")
        if section.heading:
            heading = rf"\textit{{{escape_latex(section.heading)}}}"
            lines.append(rf"\multicolumn{{{len(table.columns)}}}{{l}}{{{heading}}} \\")
        lines += [_line(line, table.columns) for line in section.lines]
    return lines


def _line(texts: Sequence[str], columns: Sequence[Column]) -> str:
    cells = [
        rf"\texttt{{{escape_latex(text)}}}" if column.is_code(text) else escape_latex(text)
        for text, column in zip(texts, columns, strict=True)
    ]
    return " & ".join(cells) + r" \\"
