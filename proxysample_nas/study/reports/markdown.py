"""Tables as Markdown."""

from __future__ import annotations

import re

from proxysample_nas.study.reports.layout import Column, Layout

# Characters that would be markup, or end a table's cell.
_MARKUP = re.compile(r"([\\*|`<])")


def to_markdown(table: Layout) -> str:
    r"""Write a table in Markdown, its columns aligned for a reader of the source.

    Parameters
    ----------
    table : Layout

    Returns
    -------
    str
        Without title and notes.

    Examples
    --------
    >>> from proxysample_nas.study.reports.layout import Section
    >>> table = Layout("", (Column("cell", "code"),), (Section("", [["|none~0|"]]),))
    >>> print(to_markdown(table))
    | cell         |
    |--------------|
    | `\|none~0\|` |
    """
    lines = [[escape_markdown(column.heading) for column in table.columns]]
    for section in table.sections:
        if section.heading:
            blank = [""] * (len(table.columns) - 1)
            lines.append([f"**{escape_markdown(section.heading)}**", *blank])
        lines += [
            [_cell(text, column) for text, column in zip(line, table.columns, strict=True)]
            for line in section.lines
        ]
    return _aligned(lines)


def notes_to_markdown(notes: tuple[str, ...]) -> str:
    """Write notes as a list.

    Parameters
    ----------
    notes : tuple of str

    Returns
    -------
    str
    """
    return "\n".join(f"- {escape_markdown(note)}" for note in notes)


def escape_markdown(text: str) -> str:
    r"""Let characters stand for themselves.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> print(escape_markdown("RS* | a"))
    RS\* \| a
    """
    return _MARKUP.sub(r"\\\1", text)


def _cell(text: str, column: Column) -> str:
    if not column.is_code(text):
        return escape_markdown(text)
    # Within backticks only the bar is special: it would end the cell.
    return "`" + text.replace("|", r"\|") + "`"


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    written = [
        "| "
        + " | ".join(word.ljust(width) for word, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([written[0], rule, *written[1:]])
