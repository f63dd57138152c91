"""The whole report of a study that was really run."""

from __future__ import annotations

import dataclasses
import sys
from html.parser import HTMLParser

import pytest

from proxysample import InputError, MissingDependencyError
from proxysample_nas.cli import main
from proxysample_nas.space.cell import Cell
from proxysample_nas.study import Study
from proxysample_nas.study.reports.report import to_html

from .written_store import write_results

DIVERGING = "darts-v1:n_nodes=3,channels=4,cells_per_stage=1,epochs=4,learning_rate=1e38"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = Study(
        dataset="digits",
        n_train=120,
        samplers=["rs", "cc-or"],
        ratios=[0.5],
        searchers=["random:n_nodes=4,n_samples=1", DIVERGING],
        search_seeds=[0, 1],
        channels=[4],
        seeds=[777],
        training={"epochs": 1, "cells_per_stage": 1, "batch_size": 64},
        augmentation={"flip": False},
        folder=tmp_path_factory.mktemp("study"),
    )
    assert study.run(progress=False) == 6
    return study


@pytest.fixture(scope="module")
def written(study):
    return study.report()


class Page(HTMLParser):
    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.anchors: list[str] = []
        self.rows: list[int] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [values[name] for name in ("src", "href") if name in values]
        self.anchors += [values["id"]] if "id" in values else []
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += int(values.get("colspan", 1))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture(scope="module")
def page(written):
    return Page(written[0].read_text())


def test_all_forms_are_written_into_the_studys_folder(study, written):
    assert {path.parent for path in written} == {study.folder / "report"}
    names = {path.name for path in written}
    tables = {f"table-{name}.{form}" for name in ("random", "darts-v1") for form in FORMS}
    figures = {
        f"{name}.{form}"
        for name in ("time-and-accuracy", "best-cells", "edge-distribution")
        for form in ("svg", "png", "pdf")
    }
    assert names >= tables | figures | {"break-even.csv", "edge-distribution.csv", "report.html"}
    assert all(path.stat().st_size for path in written)


FORMS = ("md", "csv", "tex")


def test_the_page_needs_no_other_file_and_is_well_formed(page):
    assert not page.open
    assert page.tags.count("h1") == 1
    inside = [link for link in page.links if link.startswith("#")]
    assert {link[1:] for link in inside} <= set(page.anchors)
    assert all(
        link.startswith("data:image/svg+xml;base64,") for link in page.links if link not in inside
    )
    assert "script" not in page.tags
    assert len(page.anchors) == len(set(page.anchors))


def test_the_page_says_what_was_run_and_how_to_read_it(study, page):
    for words in (
        "a study on digits",
        "120 training and 360 test images of 8x8x1 in 10 classes",
        "6 of 12 searches have ended",
        "2 searches per row",
        "picked after the fact",
        "1 experiment at a time",
    ):
        assert words in page.text
    for row in study.rows("random"):
        assert f"{row.accuracies(4)[0]:.1f}" in page.text


def test_searches_of_other_settings_in_the_store_are_told(study, page, tmp_path):
    words = "in the store are of other settings than these"
    assert words not in page.text
    (tmp_path / "study.sqlite").write_bytes((study.folder / "study.sqlite").read_bytes())
    smaller = Study.open(tmp_path)
    configuration = dataclasses.replace(smaller.configuration, search_seeds=(0,))
    smaller.store.set_info("configuration", configuration.to_json())
    assert f"3 searches {words}" in to_html(smaller.results(), {}, {})


def test_failed_and_missing_experiments_are_named_with_their_errors(page):
    assert "6 failed experiments in the store" in page.text
    assert "search: darts-v1, rs, r=0.5, seed 1" in page.text
    assert page.text.count("DivergenceError: the training loss became nan") == 6
    assert "6 searches without a result" in page.text
    assert "darts-v1 on CC-OR r=0.5, seed 0" in page.text


def test_every_line_of_a_table_is_as_wide_as_its_head(written):
    text = written[0].read_text()
    tables = [part.partition("</table>")[0] for part in text.split("<table>")[1:]]
    assert len(tables) == 4  # two searchers, verdicts, break-even
    for table in tables:
        assert len(set(Page(f"<table>{table}</table>").rows)) == 1


def test_the_command_reports_the_same_bytes_from_the_store_alone(
    study, written, tmp_path, command_line
):
    folder = tmp_path / "moved"
    reported = folder / "report"
    reported.mkdir(parents=True)
    for path in written:
        (reported / path.name).write_text("of an earlier report")
    (folder / "study.sqlite").write_bytes((study.folder / "study.sqlite").read_bytes())
    page = tmp_path / "page.html"
    code, out, _ = command_line(main, "study", "report", "-o", str(folder), "--page", str(page))
    assert code == 0
    assert out.splitlines()[0] == f"saved {page}"
    assert page.read_text() == (study.folder / "report" / "report.html").read_text()
    assert f"saved {reported / 'best-cells.svg'}" in out
    for path in written[1:]:
        assert (reported / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_missing_study_is_refused(tmp_path, command_line):
    code, _, err = command_line(main, "study", "report", "-o", str(tmp_path))
    assert code == 2
    assert "run one first" in err
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_is_refused_before_any_drawing(study, tmp_path):
    (tmp_path / "study.sqlite").write_bytes((study.folder / "study.sqlite").read_bytes())
    with pytest.raises(InputError, match="does not exist"):
        Study.open(tmp_path).report(tmp_path / "missing" / "page.html")
    with pytest.raises(InputError, match=r"saved as \.html, not 'page\.txt'"):
        Study.open(tmp_path).report(tmp_path / "page.txt")
    assert not list((tmp_path / "report").iterdir())


def test_without_matplotlib_nothing_is_written(tmp_path, monkeypatch):
    results = write_results(
        tmp_path,
        lambda setting, seed: (Cell.filled("skip_connect", n_nodes=4), 1.0),
        lambda *_: [50.0],
        searchers=["gdas:n_nodes=4"],
    )
    assert results.rows
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"proxysample\[plots\]"):
        Study.open(tmp_path).report()
    assert not list((tmp_path / "report").iterdir())


def test_names_are_escaped(tmp_path):
    results = write_results(
        tmp_path,
        lambda setting, seed: None,
        lambda *_: [],
        dataset="npz:<script>alert(1)</script>&.npz",
        searchers=["gdas"],
    )
    results.store.put_failure("selection", {"sampler": "<b>"}, "<img src=x> & more")
    text = to_html(results, {}, {"best-cells": "<i>nothing</i>"})
    for raw in ("<script", "<b>", "<img", "<i>"):
        assert raw not in text
    assert "&lt;img src=x&gt; &amp; more" in text
    assert not Page(text).open


def test_a_figure_by_its_name(study):
    assert study.figure("edge-distribution").axes
    with pytest.raises(InputError, match="unknown figure"):
        study.figure("edges")
