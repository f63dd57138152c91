r"""Tables as Markdown, LaTeX, comma-separated values and HTML, and pages from templates.

A column is one object: its heading, the kind of its values, and the function that takes a value
from a row. Every form of a table is written from the same columns, so that a new one is one entry
in a list.
"""

from __future__ import annotations

import csv
import io
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from proxysample.printing import cleaned, cleaned_lines, storable

if TYPE_CHECKING:
    from jinja2 import Environment

Row = TypeVar("Row")

LINES_PER_PAGE = 50
"""So many lines of a table fit a page in LaTeX, with notes."""


def _itself(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Kind:
    """How the values of a column are written.

    Attributes
    ----------
    text : callable
        Writes a value as a reader sees it.
    is_number : bool
        Whether it stands to the right.
    is_code : bool
        Whether it is set in a fixed width.
    parts : mapping of str to callable
        What a value fills in comma-separated values, unrounded: one column each, by the first
        part of its name.
    short : callable, optional
        Writes a value where room is scarce, as in a column of a paper; as `text` by default.

    Examples
    --------
    >>> percent = Kind(lambda value: f"{value:.1f} %", is_number=True)
    >>> percent.text(12.345)
    '12.3 %'
    """

    text: Callable[[Any], str]
    is_number: bool = False
    is_code: bool = False
    parts: Mapping[str, Callable[[Any], Any]] = field(default_factory=lambda: {"": _itself})
    short: Callable[[Any], str] | None = None


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def seconds(places: int) -> Kind:
    """Make the kind of lengths of time, in seconds to so many places."""
    return Kind(lambda value: f"{value:z,.{places}f}", is_number=True)


TEXT = Kind(str)
NUMBER = Kind(_number, is_number=True)
VERBATIM = Kind(str, is_number=True)
"""Of numbers that are written already, or as they are: a seed has no commas."""
PERCENT = Kind(lambda value: f"{value:z.0%}", is_number=True)
CODE = Kind(str, is_code=True)


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column.

    Attributes
    ----------
    heading : str or None
        None for a column of comma-separated values alone.
    kind : Kind
    value : callable
        Takes the unrounded value from a row; None where there is none.
    csv_name : str or None
        In comma-separated values, behind the names of the kind's parts; None where the column
        is not in them.
    missing : str or callable
        What a reader sees in the place of None; or takes it from a row.
    is_borrowed : bool
        Whether its numbers are of others.
    in_latex : bool
        Whether it is in the table that a paper prints.

    Examples
    --------
    >>> column = Column("cells", NUMBER, len, csv_name="n_cells")
    >>> column.text(range(1234))
    '1,234'
    """

    heading: str | None
    kind: Kind
    value: Callable[[Row], Any]
    csv_name: str | None = None
    missing: str | Callable[[Row], str] = ""
    is_borrowed: bool = False
    in_latex: bool = True

    def text(self, row: Row) -> str:
        """Write a row's value as a reader sees it."""
        value = self.value(row)
        return self._absence(row) if value is None else self.kind.text(value)

    def short(self, row: Row) -> str:
        """Write a row's value where room is scarce."""
        value = self.value(row)
        write = self.kind.short or self.kind.text
        return self._absence(row) if value is None else write(value)

    def _absence(self, row: Row) -> str:
        return self.missing if isinstance(self.missing, str) else self.missing(row)

    def is_code(self, row: Row) -> bool:
        """Whether a row has code here, and not a word in its place."""
        return self.kind.is_code and self.value(row) is not None

    @property
    def csv_names(self) -> list[str]:
        """The names in comma-separated values."""
        return [] if self.csv_name is None else [part + self.csv_name for part in self.kind.parts]

    def csv_values(self, row: Row) -> list[Any]:
        """Take what a row fills in comma-separated values."""
        if self.csv_name is None:
            return []
        value = self.value(row)
        return [None if value is None else part(value) for part in self.kind.parts.values()]


@dataclass(frozen=True)
class Section(Generic[Row]):
    """Rows under one heading, such as "Unsupervised"; the heading is empty for none."""

    heading: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Table(Generic[Row]):
    """One table.

    Attributes
    ----------
    title : str
    columns : tuple of Column
    sections : tuple of Section
    notes : tuple of str
        What has to be said beneath it.

    Examples
    --------
    >>> columns = (Column("n", NUMBER, int), Column("square", NUMBER, lambda n: n * n))
    >>> print(to_markdown(Table("Squares", columns, (Section("", [2, 40]),))))
    | n  | square |
    |----|--------|
    | 2  | 4      |
    | 40 | 1,600  |
    """

    title: str
    columns: tuple[Column[Row], ...]
    sections: tuple[Section[Row], ...]
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[Column[Row], ...]:
        """The columns that a reader sees."""
        return tuple(column for column in self.columns if column.heading is not None)

    @property
    def rows(self) -> list[Row]:
        """The rows of all sections."""
        return [row for section in self.sections for row in section.rows]


def to_csv(columns: Iterable[Column[Row]], rows: Iterable[Row]) -> str:
    r"""Write rows as comma-separated values, numbers unrounded.

    Parameters
    ----------
    columns : iterable of Column
        Those without a `csv_name` are left out.
    rows : iterable

    Examples
    --------
    >>> half = Column("half", NUMBER, lambda n: n / 2, csv_name="half_of_n")
    >>> to_csv([half], [1, 3])
    'half_of_n\n0.5\n1.5\n'
    """
    columns = list(columns)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([name for column in columns for name in column.csv_names])
    writer.writerows([v for column in columns for v in column.csv_values(row)] for row in rows)
    return storable(stream.getvalue())


# What would end a line of a table, or of a list.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
# Characters that would be markup: links, entities and underlines only where they would be read so.
_MARKUP = re.compile(
    r"([\\*|`<~$]|\](?=[(\[:])|^\[(?=[ xX]\])|&(?=#?\w+;)|(?<!\w)_|_(?!\w)"
    r"|^[#>](?=[#> ])|^[+=-](?=[-= ])|(?<=^\d)[.)](?= )|(?<=^\d\d)[.)](?= )"
    r"|:(?=//)|(?<=\bwww)\.|(?<=\w)@(?=\w))"
)


def _on_one_line(text: str) -> str:
    return cleaned(_CONTROL.sub(" ", text))


def to_markdown(table: Table[Any]) -> str:
    r"""Write a table in Markdown, its columns aligned for a reader of the source.

    Returns
    -------
    str
        Without title and notes.

    Examples
    --------
    >>> table = Table("", (Column("cell", CODE, str),), (Section("", ["|none~0|"]),))
    >>> print(to_markdown(table))
    | cell         |
    |--------------|
    | `\|none~0\|` |
    """
    lines = [[escape_markdown(column.heading or "") for column in table.shown]]
    for section in table.sections:
        if section.heading:
            blank = [""] * (len(table.shown) - 1)
            lines.append([f"**{escape_markdown(section.heading)}**", *blank])
        lines += [[_markdown_cell(column, row) for column in table.shown] for row in section.rows]
    return _align(lines)


def markdown_document(table: Table[Any]) -> str:
    """Write a table in Markdown with its title and notes."""
    notes = "\n".join(f"- {escape_markdown(note)}" for note in table.notes)
    parts = [f"## {escape_markdown(table.title)}", to_markdown(table), notes]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape_markdown(text: str) -> str:
    r"""Let characters stand for themselves, on one line.

    Examples
    --------
    >>> print(escape_markdown("RS* | a"))
    RS\* \| a
    """
    return _MARKUP.sub(r"\\\1", _on_one_line(text))


def _markdown_cell(column: Column[Row], row: Row) -> str:
    text = column.text(row)
    shown = _on_one_line(text)
    # A backslash before a bar would end the cell within backticks.
    if not column.is_code(row) or "`" in shown or "\\" in shown:
        return escape_markdown(text)
    # Within backticks only the bar is special: it would end the cell.
    return "`" + shown.replace("|", r"\|") + "`"


def _align(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    written = [
        "| "
        + " | ".join(word.ljust(width) for word, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([written[0], rule, *written[1:]])


_LATEX = {
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
    "`": r"\textasciigrave{}",
    "‡": r"\ddag{}",
}
# Two hyphens would be a dash, and one before a number is its sign.
_MINUS = r"(?<![\w-])-(?=\d)"
_LATEX_SPECIAL = re.compile("|".join([*map(re.escape, _LATEX), "-(?=-)", _MINUS]))
_NOT_IN_A_LABEL = re.compile(r"[^\w:.-]")

LONGEST_HEADING = 12
"""A longer heading is broken where it can be: so many letters are as wide as an accuracy."""
LONGEST_LINE_OF_A_HEADING = 16
"""Of the lines of a broken heading."""
WIDEST_TEXT = 24
"""Longer words than so many letters run over several lines, in a part of a paper's column."""
_BREAK_OF_A_HEADING = re.compile(r", | (?=\()")


def to_latex(table: Table[Any], label: str) -> str:
    r"""Write a table as a ``table`` environment with rules of ``booktabs``.

    Parameters
    ----------
    table : Table
        Its columns that have ``in_latex=False`` are left out.
    label : str
        To refer to it.

    Returns
    -------
    str
        For documents that load ``array``, ``booktabs`` and ``graphicx``. It fits a column of the
        text; its notes stand apart, see `latex_notes`. A table longer than a page is one
        environment for each section, numbered in its label.

    Examples
    --------
    >>> columns = (Column("a_b", TEXT, str), Column("c", NUMBER, len))
    >>> print(to_latex(Table("T", columns, (Section("", ["1 %"]),)), "tab:t"))
    % needs \usepackage{array,booktabs,graphicx}
    \begin{table}
    \centering
    \footnotesize
    \setlength{\tabcolsep}{4pt}
    \caption{T.}
    \label{tab:t}
    \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%
    \begin{tabular}{lr}
    \toprule
    a\_b & c \\
    \midrule
    1 \% & 3 \\
    \bottomrule
    \end{tabular}}
    \end{table}
    """
    parts = _split(replace(table, columns=tuple(one for one in table.shown if one.in_latex)))
    if len(parts) == 1:
        return _environment_of(parts[0], label)
    return "\n\n".join(
        _environment_of(part, f"{label}-{number}") for number, part in enumerate(parts, start=1)
    )


def escape_latex(text: str) -> str:
    r"""Let characters stand for themselves, on one line.

    Examples
    --------
    >>> print(escape_latex("50 % of a_b ± 1"))
    50 \% of a\_b $\pm$ 1
    """
    return _LATEX_SPECIAL.sub(_in_latex, _on_one_line(text))


def _in_latex(found: re.Match[str]) -> str:
    if found[0] != "-":
        return _LATEX[found[0]]
    return "-{}" if found.string[found.end()] == "-" else "$-$"


def _split(table: Table[Row]) -> list[Table[Row]]:
    """Take a table apart by its sections where it would be longer than a page."""
    if len(table.rows) <= LINES_PER_PAGE:
        return [table]
    return [
        replace(
            table,
            title=f"{table.title}: {section.heading}",
            sections=(Section("", section.rows),),
        )
        for section in table.sections
    ]


def _environment_of(table: Table[Any], label: str) -> str:
    places = "".join(_latex_place(column, table) for column in table.columns)
    return "\n".join(
        [
            r"% needs \usepackage{array,booktabs,graphicx}",
            r"\begin{table}",
            r"\centering",
            r"\footnotesize",
            r"\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{escape_latex(table.title)}.}}",
            rf"\label{{{_NOT_IN_A_LABEL.sub('-', label)}}}",
            # Shrunk only where it is wider than its column all the same.
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{places}}}",
            r"\toprule",
            _latex_line(_latex_heading(column) for column in table.columns),
            *_latex_body(table),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
        ]
    )


def _latex_place(column: Column[Row], table: Table[Row]) -> str:
    if column.kind.is_number:
        return "r"
    widest = max((len(column.short(row)) for row in table.rows), default=0)
    if widest <= WIDEST_TEXT or column.kind.is_code:
        return "l"
    return r">{\raggedright\arraybackslash}p{0.38\linewidth}"


def _latex_heading(column: Column[Any]) -> str:
    heading = column.heading or ""
    if len(heading) <= LONGEST_HEADING:
        return escape_latex(heading)
    parts = _BREAK_OF_A_HEADING.split(heading)
    lines = [
        escape_latex(line)
        for part in parts
        for line in textwrap.wrap(part, LONGEST_LINE_OF_A_HEADING, break_long_words=False)
    ]
    place = "r" if column.kind.is_number else "l"
    return rf"\shortstack[{place}]{{" + r"\\".join(lines) + "}"


def _latex_body(table: Table[Any]) -> list[str]:
    lines = []
    for section in table.sections:
        lines.append(r"\midrule")
        if section.heading:
            heading = rf"\textit{{{escape_latex(section.heading)}}}"
            lines.append(rf"\multicolumn{{{len(table.columns)}}}{{l}}{{{heading}}} \\")
        lines += [
            _latex_line(_latex_cell(column, row) for column in table.columns)
            for row in section.rows
        ]
    return lines


def _latex_line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_cell(column: Column[Row], row: Row) -> str:
    shown = column.short(row)
    text = escape_latex(shown)
    if column.is_code(row):
        return rf"\texttt{{{text}}}"
    # Names of many words without a space may go on in the next line.
    return re.sub(r"(\\_|=)", r"\1\\allowbreak{}", text) if len(shown) > WIDEST_TEXT else text


def latex_notes(table: Table[Any]) -> str:
    r"""Write what has to be said beneath a table as paragraphs of a text, one a line.

    Examples
    --------
    >>> print(latex_notes(Table("T", (), (), ("50 % of a_b.", "Of one seed."))))
    50 \% of a\_b.\par
    Of one seed.\par
    """
    return "\n".join(escape_latex(note) + r"\par" for note in table.notes)


def to_html_table(table: Table[Any]) -> str:
    """Write a table with its notes as a piece of HTML, such as a notebook shows.

    Returns
    -------
    str
        One ``div`` with its own style: the table is that of a page.

    Examples
    --------
    >>> columns = (Column("name", TEXT, str),)
    >>> text = to_html_table(Table("Names", columns, (Section("", ["<b>"]),)))
    >>> "&lt;b&gt;" in text, "<b>" in text
    (True, False)
    """
    return render_template("fragment.html.j2", table=table)


def render_template(name: str, package: str = "proxysample", **values: Any) -> str:
    """Fill a template, every value escaped.

    Parameters
    ----------
    name : str
        Of a file in the folder ``templates`` of the package, or else of this one.
    package : str
        Such as ``"proxysample_nas.study.reports"``.
    **values
        What the template names; one that is not given is an error.

    Returns
    -------
    str
        HTML.
    """
    return _templates(package).get_template(name).render(**values)


def _finalized(value: Any) -> Any:
    # What a template itself has written, as markup, is left alone.
    return cleaned_lines(value.replace("\r\n", "\n")) if type(value) is str else value


@cache
def _templates(package: str) -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("proxysample")]),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
