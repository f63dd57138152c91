"""Names of anyone's reach terminals and pages as harmless text; bars go where somebody watches."""

from __future__ import annotations

import io
import pickle
import re
import sys
import warnings

import numpy as np
import pytest

from proxysample import ArrayDataset, InputError, Ranking, create_sampler
from proxysample.cli_support import echo
from proxysample.errors import ProxysampleWarning, SampleError, unknown_name
from proxysample.printing import cleaned, cleaned_lines, hides_progress, shown, storable
from proxysample.rendering import (
    CODE,
    TEXT,
    Column,
    Section,
    Table,
    escape_latex,
    escape_markdown,
    markdown_document,
    to_csv,
    to_html_table,
    to_latex,
)
from proxysample.selection import LostClassesWarning

NASTY = (
    "\x1b[31mred", "a\x07b", "a\rb", "\x9b2J", "left\u202eright", "\u2066a\u2069", "\ufeffa",
    "a\u200bb", "\udcff", "a\x00b", "a\u2028b", "\U000e0041", "a\x08\x08b",
)  # fmt: skip
UNSHOWABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u2028\u202a-\u202e\u2066-\u2069\ufeff]")
UNSHOWABLE_ALONE = re.compile("[\ud800-\udfff\U000e0000-\U000e0fff]")


def is_harmless(text):
    return not UNSHOWABLE.search(text) and not UNSHOWABLE_ALONE.search(text) and text.encode()


@pytest.mark.parametrize("name", NASTY)
def test_every_way_to_show_a_name_shows_it_harmless(name, capsys):
    columns = (Column("name", TEXT, str, csv_name="name"), Column("cell", CODE, str))
    table = Table(name, columns, (Section(name, [name]),), notes=(name,))
    written = [
        cleaned(name), cleaned_lines(name), str(InputError(name)), str(ProxysampleWarning(name)),
        str(unknown_name("sampler", name, ["rs"])), shown(name), shown([name]),
        escape_markdown(name), escape_latex(name), markdown_document(table),
        to_latex(table, "tab"), to_html_table(table),
    ]  # fmt: skip
    echo(name)
    written += capsys.readouterr()
    assert [one for one in written if one and not is_harmless(one)] == []
    # Data stay as they are, as far as a file can hold them.
    assert to_csv(columns[:1], [name]).encode()


@pytest.mark.parametrize("name", NASTY)
def test_reports_and_warnings_show_classes_harmless(name, tmp_path):
    images = np.arange(20 * 4, dtype=np.uint8).reshape(20, 2, 2, 1)
    dataset = ArrayDataset(images, [0, 1] * 10, ["plain", name])
    report = create_sampler("cc-or").report(dataset, 0.5)
    assert is_harmless(str(report))
    assert is_harmless(report._repr_html_())
    report.save(tmp_path / "report.html")
    assert is_harmless((tmp_path / "report.html").read_text("utf-8"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        create_sampler("rs", random_state=0).select(dataset, n=1)
    assert told
    assert told[0].category is LostClassesWarning
    assert is_harmless(str(told[0].message))
    assert create_sampler("cc-or").rank(dataset).classes.names[1] == storable(name)


def test_a_name_cannot_pretend_to_be_a_line_of_a_report():
    images = np.arange(20 * 4, dtype=np.uint8).reshape(20, 2, 2, 1)
    dataset = ArrayDataset(images, [0, 1] * 10, ["plain", "cat\nfake 999"])
    assert "\nfake" not in str(create_sampler("cc-or").report(dataset, 0.5))
    assert str(InputError("class a\nb is lost")) == "class a\\nb is lost"


def test_words_of_all_languages_stay():
    for text in ("naïve 猫", "क्‍ष", "👩\u200d👩\u200d👧", "עברית", "a\\b"):
        assert cleaned(text) == text
    assert str(InputError("猫")) == "猫"
    assert str(pickle.loads(pickle.dumps(InputError("a\x1b")))) == "a\\x1b"


def test_what_a_file_calls_itself_reaches_no_prompt_raw():
    ranking = Ranking(np.arange(3.0), np.array([0, 2, 2]), provenance={"sampler": "a\x1b[31m\n"})
    assert repr(ranking) == "Ranking(a\\x1b[31m\\n, 3 samples, keeps easy per class (2))"


@pytest.mark.parametrize(
    "text",
    ["~~a~~", "[a](b)", "[a][b]", "[a]: http://b", "![a](b)", "http://a.b", "www.a.b", "a@b.c",
     "# a", "> a", "- a", "1. a", "+ a", "[ ] a", "<b>", "&lt;", "`a`", "$a$", "a|b", "a\\|b"],
)  # fmt: skip
def test_markup_of_markdown_stands_for_itself(text):
    escaped = escape_markdown(text)
    assert escaped != text
    assert re.sub(r"\\(?=[!-/:-@\[-`{-~])", "", escaped) == re.sub(r"\\(?=\|)", "", text)


def test_a_backslash_before_a_bar_ends_no_cell():
    table = Table("", (Column("cell", CODE, str),), (Section("", ["a\\|b"]),))
    *_, line = markdown_document(table).strip().splitlines()
    assert "a\\\\\\|b" in line


def test_hyphens_and_quotes_of_latex_stand_for_themselves():
    assert escape_latex("a--b---c") == "a-{}-b-{}-{}-c"
    assert escape_latex("``a") == r"\textasciigrave{}\textasciigrave{}a"


def test_values_whose_repr_fails_are_shown_by_their_type():
    class Odd:
        def __repr__(self):
            raise RuntimeError

    nested = []
    for _ in range(100_000):
        nested = [nested]
    for value in (Odd(), 10**5000, nested):
        assert shown(value) == f"a value of type {type(value).__name__}"


class Watched(io.StringIO):
    def isatty(self):
        return True


class NotebookStream(io.StringIO):
    pass


NotebookStream.__module__ = "ipykernel.iostream"


@pytest.mark.parametrize(
    ("stream", "hidden"),
    [(Watched(), False), (NotebookStream(), False), (io.StringIO(), True), (None, True)],
)
def test_a_bar_shows_where_somebody_watches(monkeypatch, stream, hidden):
    monkeypatch.setattr(sys, "stderr", stream)
    assert hides_progress(True) == hidden
    assert hides_progress(False)


@pytest.mark.parametrize("name", NASTY)
def test_errors_of_samples_name_files_and_reasons_without_what_a_terminal_obeys(name):
    error = SampleError(3, f" cannot be read: {name}\n")
    for told in (error, error.at(4, f"{name}.png"), pickle.loads(pickle.dumps(error))):
        assert not UNSHOWABLE.search(str(told))
        assert not UNSHOWABLE_ALONE.search(str(told))
        assert "\n" not in str(told)
