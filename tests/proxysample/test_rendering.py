from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from operator import itemgetter

import pytest

from proxysample.rendering import (
    CODE,
    NUMBER,
    PERCENT,
    TEXT,
    VERBATIM,
    Column,
    Kind,
    Section,
    Table,
    escape_latex,
    latex_notes,
    markdown_document,
    render_template,
    seconds,
    to_csv,
    to_html_table,
    to_latex,
    to_markdown,
)

NASTY = Table(
    "100 % of a_b",
    (
        Column("x|y", TEXT, itemgetter(0)),
        Column("n", VERBATIM, itemgetter(1)),
        Column("cell", CODE, itemgetter(2), missing="not searched yet"),
    ),
    (Section("A & B", [["RS* \\ {~^}", "1 ± 2", "|none~0|"], ["[0]", "", None]]),),
    ("5 % * <b> $x$",),
)


class Page(HTMLParser):
    """Its tags, its text, and whether it is well formed."""

    VOID = frozenset({"meta", "img", "br", "rect"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (NUMBER, 1437, "1,437"),
        (NUMBER, 0.5, "0.5"),
        (NUMBER, 1.0, "1"),
        (NUMBER, "never", "never"),
        (VERBATIM, 1437, "1437"),
        (seconds(1), 1234.56, "1,234.6"),
        (seconds(2), -0.001, "0.00"),
        (PERCENT, 0.4, "40%"),
    ],
)
def test_values_are_written_by_their_kind(kind, value, text):
    assert Column("x", kind, itemgetter(0)).text([value]) == text


def test_what_is_missing_has_a_word_in_its_place_and_none_in_the_csv():
    column = Column("cell", CODE, itemgetter(0), csv_name="cell", missing="none yet")
    assert (column.text([None]), column.is_code([None])) == ("none yet", False)
    assert (column.text(["|a|"]), column.is_code(["|a|"])) == ("|a|", True)
    assert to_csv([column], [[None]]) == 'cell\n""\n'
    assert to_markdown(Table("", (column,), (Section("", [[None]]),))).endswith("| none yet |")


def test_a_kind_fills_several_columns_of_a_csv_unrounded():
    spread = Kind(
        lambda values: f"{min(values):.1f} to {max(values):.1f}",
        parts={"lowest": min, "highest": max},
    )
    columns = [
        Column("range", spread, itemgetter(0), csv_name="_seconds"),
        Column("not in it", TEXT, str),
        Column(None, NUMBER, lambda row: len(row[0]), csv_name="n"),
    ]
    rows = [[[1 / 3, 2.0]], [None, None][:1]]
    (first, *_) = csv.DictReader(io.StringIO(to_csv(columns, rows[:1])))
    assert first == {"lowest_seconds": repr(1 / 3), "highest_seconds": "2.0", "n": "2"}
    table = Table("", tuple(columns), (Section("", rows[:1]),))
    assert "0.3 to 2.0" in to_markdown(table)
    assert "| n " not in to_markdown(table)


def test_markdown_keeps_its_columns_whatever_is_in_them():
    text = to_markdown(NASTY)
    for line in text.splitlines():
        assert len(re.findall(r"(?<!\\)\|", line)) == 4
    assert r"RS\* \\ {\~^}" in text
    assert r"`\|none~0\|`" in text
    assert "| not searched yet" in text


def test_latex_keeps_its_columns_whatever_is_in_them():
    text = to_latex(NASTY, "tab:nasty")
    body = text.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [2, 0, 2, 2]
    assert r"\begin{tabular}{lrl}" in text
    assert r"\multicolumn{3}{l}{\textit{A \& B}}" in text
    assert r"\texttt{\textbar{}none\textasciitilde{}0\textbar{}}" in text
    unescaped = re.sub(r"\\[{}]", "", text)
    assert unescaped.count("{") == unescaped.count("}")
    assert all(
        text.count(rf"\begin{{{e}}}") == text.count(rf"\end{{{e}}}") for e in ("table", "tabular")
    )
    given = text.replace("{!}{%", "").replace(r"$\pm$", "").partition("\n")[2]
    for special in "%$#_^~":
        assert not re.search(rf"(?<!\\){re.escape(special)}", given)


def test_a_table_longer_than_a_page_is_taken_apart_by_its_sections():
    sections = tuple(Section(name, [f"{name}{i}" for i in range(30)]) for name in "ABC")
    columns = (Column("x", TEXT, str),)
    text = to_latex(Table("Long", columns, sections), "tab:long")
    assert re.findall(r"caption\{(.*)\}", text) == ["Long: A.", "Long: B.", "Long: C."]
    assert re.findall(r"label\{(.*)\}", text) == ["tab:long-1", "tab:long-2", "tab:long-3"]
    assert [f"{name}{i}" for name in "ABC" for i in range(30)] == re.findall(r"[ABC]\d+", text)


def test_latex_notes_stand_apart_from_the_table():
    table = Table("T", (Column("x", TEXT, str),), (Section("", ["a"]),), ("a note",))
    assert "a note" not in to_latex(table, "tab:t")
    assert latex_notes(table) == r"a note\par"


def test_a_latex_table_fits_a_column_of_a_paper():
    brief = Kind(lambda value: f"{value} with more", is_number=True, short=str)
    columns = (
        Column("Method", TEXT, lambda row: row[0]),
        Column("paper's A (other protocol), C=16", brief, lambda row: row[1]),
    )
    rows = [("KM-OR (n_clusters=50, protocol=paper)", 66.4), ("RS", 15.9)]
    text = to_latex(Table("T", columns, (Section("", rows),)), "tab:t")
    # Long words run over several lines, headings too, and values are short.
    assert r"\begin{tabular}{>{\raggedright\arraybackslash}p{0.38\linewidth}r}" in text
    assert r"\shortstack[r]{paper's A\\(other protocol)\\C=16}" in text
    assert "RS & 15.9" in text
    assert "with more" not in text
    assert "with more" in to_markdown(Table("T", columns, (Section("", rows),)))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs a TeX with booktabs")
def test_tex_takes_the_tables(tmp_path):
    wide = Table("Wide", tuple(Column("w" * 30, TEXT, str) for _ in range(9)), ())
    rows = [Section("", ["HERDING (features=tf_efficientnet_lite0, metric=cosine)", "-0.5"])]
    long = Table("Long", tuple(Column(name, TEXT, str) for name in "abc"), tuple(rows))
    tables = "\n".join(to_latex(table, "tab:x") for table in (NASTY, wide, long))
    document = (
        r"\documentclass[twocolumn]{article}\usepackage{array,booktabs,graphicx}\begin{document}"
        f"\n{tables}\n" + r"\end{document}"
    )
    (tmp_path / "tables.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("-4.9", "$-$4.9"),
        ("{[}-0.1", r"\{{[}\}$-$0.1"),
        ("cc-2", "cc-2"),
        ("2-3", "2-3"),
        ("--1", "-{}-1"),
    ],
)
def test_the_sign_of_a_number_is_no_hyphen(text, written):
    assert escape_latex(text) == written


def test_a_bracket_or_star_after_a_line_break_is_no_argument():
    # \\[0] and \\* would be taken as the space after a line.
    assert escape_latex("[0]").startswith("{[}")
    assert escape_latex("*") == "{*}"


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% for x in y %}",
    r"\input{/etc/passwd}\end{table}",
    "[click](javascript:alert(1))",
    "&lt;b&gt; _all_ `code`",
    "two\nlines\r\n\n- three | four & five",
)


def hostile_table(text):
    """A table with a text everywhere that a text can be."""
    columns = (
        Column(text, TEXT, str),
        Column("code", CODE, str),
        Column("n", VERBATIM, str, is_borrowed=True),
    )
    return Table(text, columns, (Section(text, [text]),), (text,))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_shown_as_it_is_in_html(text):
    page = Page(to_html_table(hostile_table(text)))
    assert {"script", "img", "b"}.isdisjoint(page.tags)
    lines = re.sub(r"\s+", " ", page.text)
    # Title, heading, section, three cells, and the note.
    assert lines.count(re.sub(r"\s+", " ", text)) == 7


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_shown_as_it_is_in_markdown(text):
    document = markdown_document(hostile_table(text))
    title, _, *table, _, note = document.splitlines()
    assert title.startswith("## ")
    assert note.startswith("- ")
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in table] == [4] * 4
    # In a line of code nothing but a backtick is markup.
    words = re.sub(r"(?<!\\)`[^`]*`", "", document)
    for markup in (r"<\w", r"\]\(", r"&\w+;", r"(?<!\w)_\w", "`"):
        assert not re.search(rf"(?<!\\){markup}", words), markup


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_shown_as_it_is_in_latex(text):
    document = to_latex(hostile_table(text), f"tab:{text}")
    commands = set(re.findall(r"\\([a-zA-Z]+)", document))
    assert "input" not in commands
    assert document.count(r"\end{table}") == 1
    assert "\n\n" not in document
    assert re.search(r"\\label\{[\w:.-]+\}", document)


def test_a_template_is_told_what_it_lacks_and_knows_its_own_package():
    from jinja2 import TemplateNotFound, UndefinedError

    with pytest.raises(UndefinedError, match="'table' is undefined"):
        render_template("fragment.html.j2")
    with pytest.raises(TemplateNotFound):
        render_template("missing.html.j2")


def test_a_piece_for_a_notebook_has_its_own_style_and_no_other_file():
    text = to_html_table(NASTY)
    page = Page(text)
    assert page.tags[:2] == ["div", "style"]
    assert page.tags.count("table") == 1
    assert not re.search(r"\b(src|href)=|@import|url\(", text)
    # A rule that is not of the table's own class would change the notebook around it.
    style = re.sub(r"/\*.*?\*/", "", text.partition("<style>")[2].partition("</style>")[0])
    rules = re.findall(r"([^{}]+)\{[^{}]*\}", style.replace("@media (max-width: 45rem) {", ""))
    assert rules
    assert all(one.strip().startswith(".table-box") for rule in rules for one in rule.split(","))
