from __future__ import annotations

import csv
import io
import json

import pytest

from proxysample.rendering import NUMBER, Column
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.zero_cost import network_size
from proxysample_nas.study import Study
from proxysample_nas.study.experiments.evaluation import Training
from proxysample_nas.study.experiments.search import Search
from proxysample_nas.study.reports import accuracy_table as tables
from proxysample_nas.study.reports.accuracy_table import (
    accuracy_table,
    search_table,
    setting_table,
)
from proxysample_nas.study.reports.report import accuracy_documents, all_documents, to_html
from proxysample_nas.study.reports.results import StudyResults

from .written_store import CIFAR100, HALF_OF_CIFAR100, write_results

CONVOLUTION = Cell.filled("nor_conv_3x3", n_nodes=5)
SKIPS = Cell.filled("skip_connect", n_nodes=5)
PAPERS = {
    "info": HALF_OF_CIFAR100,
    "architecture_data": "test-half",
    "recipe": "paper",
    "searchers": ["darts-v1:protocol=paper"],
    "samplers": ["cc-or:protocol=paper", "km-or:protocol=paper"],
    "ratios": [0.5, 0.25],
    "channels": [16, 64],
}


def one_search(folder, **settings):
    def found(setting, seed):
        if setting.r == 0.25:
            return None
        return (CONVOLUTION if setting.sampler is None else SKIPS, 10.0 * setting.r)

    def accuracies(cell, channels):
        return [60.0, 61.0, 65.0] if cell == CONVOLUTION else [15.0 + channels]

    return write_results(folder, found, accuracies, **({"searchers": ["darts-v1"]} | settings))


def lines(table, *headings):
    """The given columns of a table, line by line."""
    shown = {column.heading: column for column in table.shown}
    return [tuple(shown[heading].text(row) for heading in headings) for row in table.rows]


def test_one_search_is_the_papers_form(tmp_path):
    results = one_search(tmp_path, channels=[16, 32], samplers=["cc-or", "rs"])
    (searcher,) = results.configuration.searchers
    table = accuracy_table(results, searcher)
    assert [section.heading for section in table.sections] == [
        "Baseline",
        "Unsupervised",
        "Supervised",
    ]
    assert lines(table, "Method", "r", "kept", "A, C=16", "A, C=32", "search s", "scoring s") == [
        # Mean 62, deviations -2, -1 and 3: the sum of squares is 14, over 2 is 7.
        ("Full DS", "1", "1,437", "62.0 ± 2.6", "62.0 ± 2.6", "10.0", ""),
        ("RS*", "0.5", "718", "31.0", "47.0", "5.0", "2.00"),
        ("CC-OR*", "0.5", "718", "31.0", "47.0", "5.0", "2.00"),
    ]
    assert lines(table, "cell")[0] == (str(CONVOLUTION),)
    headings = [column.heading for column in table.shown if column.in_latex]
    assert headings == ["Method", "r", "A, C=16", "A, C=32"]


def test_several_searches_are_a_distribution(tmp_path):
    cells = {0: CONVOLUTION, 1: SKIPS, 2: Cell.filled("nor_conv_1x1", n_nodes=5)}
    means = {CONVOLUTION: [70.0, 74.0], SKIPS: [20.0], cells[2]: [75.0]}
    results = write_results(
        tmp_path,
        lambda setting, seed: (cells[seed], 4.0 + seed),
        lambda cell, channels: means[cell],
        searchers=["gdas"],
        search_seeds=[0, 1, 2],
        seeds=[7, 8],
    )
    (searcher,) = results.configuration.searchers
    table = accuracy_table(results, searcher)
    # Means 72, 20 and 75: their mean is 55.67, their sample standard deviation 30.92.
    headings = ("A, C=16", "searches", "collapsed", "disconnected", "search s")
    assert lines(table, *headings)[0] == (
        "55.7 ± 30.9 [20.0, 75.0]",
        "3 of 3",
        "1 of 3",
        "0 of 3",
        "5.0",
    )
    documents = accuracy_documents(results, searcher)
    per_search = list(csv.DictReader(io.StringIO(documents["table-gdas.csv"])))
    assert [line["search_seed"] for line in per_search] == ["0", "1", "2"] * 2
    assert [float(line["accuracy_mean_c16"]) for line in per_search[:3]] == [72.0, 20.0, 75.0]
    assert per_search[1]["cell"] == str(SKIPS)
    (line, _) = csv.DictReader(io.StringIO(documents["table-gdas-distribution.csv"]))
    assert float(line["std_c16"]) == pytest.approx(30.924, abs=1e-3)
    assert (line["lowest_c16"], line["highest_c16"], line["n_evaluated_c16"]) == (
        "20.0",
        "75.0",
        "3",
    )
    assert (line["n_searches"], line["n_parameter_free"]) == ("3", "1")


NO_PATH = Cell.from_string("|nor_conv_3x3~0|+|none~0|none~1|")


def mixed_searches(tmp_path, cells):
    scores = {CONVOLUTION: 70.0, SKIPS: 20.0, NO_PATH: 1.0, ONE_BY_ONE: 74.0}
    return write_results(
        tmp_path,
        lambda setting, seed: (cells[seed], 4.0),
        lambda cell, channels: [scores[cell]],
        searchers=["gdas"],
        search_seeds=list(range(len(cells))),
        seeds=[7],
    )


ONE_BY_ONE = Cell.filled("nor_conv_1x1", n_nodes=5)


def test_a_disconnected_cell_is_no_collapsed_one_and_not_averaged(tmp_path):
    results = mixed_searches(tmp_path, [CONVOLUTION, ONE_BY_ONE, NO_PATH, SKIPS])
    (searcher,) = results.configuration.searchers
    table = accuracy_table(results, searcher)
    # Of 70, 74 and 20: the cell that scores chance is counted, not averaged.
    assert lines(table, "Method", "A, C=16", "collapsed", "disconnected")[0] == (
        "Full DS",
        "54.7 ± 30.1 [20.0, 74.0], 1 disconnected",
        "1 of 4",
        "1 of 4",
    )
    assert any("Disconnected cells, which score chance" in note for note in table.notes)
    documents = accuracy_documents(results, searcher)
    (line, _) = csv.DictReader(io.StringIO(documents["table-gdas-distribution.csv"]))
    assert float(line["mean_c16"]) == pytest.approx(41.25)
    assert float(line["mean_connected_c16"]) == pytest.approx(164 / 3)
    assert (line["n_collapsed"], line["n_disconnected"], line["n_parameter_free"]) == (
        "1",
        "1",
        "2",
    )
    searches = list(csv.DictReader(io.StringIO(documents["table-gdas.csv"])))[:4]
    assert [one["connected"] for one in searches] == ["True", "True", "False", "True"]
    assert [one["collapsed"] for one in searches] == ["False", "False", "False", "True"]


@pytest.mark.parametrize(
    ("cells", "method"),
    [([SKIPS] * 2, "Full DS*"), ([NO_PATH] * 2, "Full DS‡"), ([SKIPS, NO_PATH], "Full DS")],
)
def test_a_mark_is_of_cells_that_are_all_alike(tmp_path, cells, method):
    results = mixed_searches(tmp_path, cells)
    assert results.rows[0].method == method
    documents = all_documents(results)
    for name in ("table-gdas.csv", "table-gdas-distribution.csv"):
        record = next(csv.DictReader(io.StringIO(documents[name])))
        assert record["method"] == "Full DS"
    if method.endswith("‡"):
        assert r"Full DS\ddag{}" in documents["table-gdas.tex"]


def test_every_cell_has_its_size_in_the_table_and_the_csv(tmp_path):
    results = one_search(tmp_path, channels=[16, 32], info=CIFAR100, searchers=["gdas"])
    (searcher,) = results.configuration.searchers
    table = accuracy_table(results, searcher)
    sizes = [network_size(cell, 100, (3, 32, 32), channels=32) for cell in (CONVOLUTION, SKIPS)]
    assert lines(table, "M params, C=32", "MFLOPs, C=32")[:2] == [
        (f"{size.n_parameters / 1e6:.2f}", f"{size.n_flops / 1e6:,.2f}") for size in sizes
    ]
    documents = accuracy_documents(results, searcher)
    record = next(csv.DictReader(io.StringIO(documents["table-gdas.csv"])))
    assert int(record["n_parameters_c32"]) == sizes[0].n_parameters
    assert int(record["n_flops_c32"]) == sizes[0].n_flops
    assert int(record["n_parameters_c16"]) < sizes[0].n_parameters


def test_the_papers_column_can_be_left_out(tmp_path):
    one_search(tmp_path, **PAPERS)
    study = Study.open(tmp_path)
    assert "paper's A" in study.table()
    assert "paper" not in study.table(paper_column=False).replace("protocol=paper", "").replace(
        "recipe 'paper'", ""
    ).replace("'protocol': 'paper'", "")
    texts = all_documents(study.results(paper_column=False))
    assert not any("paper's A" in text or "Less is More" in text for text in texts.values())
    page = to_html(study.results(paper_column=False), {}, {})
    assert "none of its tables fits" not in page


def test_no_folder_of_this_machine_is_in_a_table(tmp_path):
    results = one_search(
        tmp_path,
        dataset="npz:/home/ada/cifar100.npz",
        transfers=[{"dataset": "npz:/home/ada/other.npz", "n_best": 1}],
        transfer_info={"npz:/home/ada/other.npz": CIFAR100},
    )
    documents = all_documents(results)
    assert "npz:cifar100.npz" in documents["table-darts-v1.md"]
    assert "npz:other.npz" in documents["table-transfers.tex"]
    for name, text in documents.items():
        assert name.endswith(".csv") or "/home/ada" not in text, name
    assert "/home/ada" not in to_html(results, {}, {})


def test_what_a_paper_prints_has_its_notes_apart(tmp_path):
    documents = all_documents(one_search(tmp_path, search_seeds=[0, 1]))
    assert "Machine:" not in documents["table-darts-v1.tex"]
    assert "Machine:" in documents["table-darts-v1-notes.tex"]
    assert "[" not in documents["table-darts-v1.tex"].partition(r"\midrule")[2].partition("}")[0]


def test_versions_that_differ_are_told(tmp_path):
    results = one_search(tmp_path)
    (searcher,) = results.configuration.searchers
    assert not any("mixed" in note for note in accuracy_table(results, searcher).notes)
    record = next(iter(results.store.results("search").values()))
    machine = record.result["machine"] | {"torch": "2.14"}
    results.store.database.write(
        "UPDATE experiments SET result = ? WHERE key = ?",
        [json.dumps(record.result | {"machine": machine}), record.key],
    )
    table = accuracy_table(Study.open(tmp_path).results(), searcher)
    assert any("Versions are mixed" in note and "torch 2.13, 2.14" in note for note in table.notes)


def test_a_search_whose_cell_is_not_evaluated_yet_is_not_counted(tmp_path):
    results = write_results(
        tmp_path,
        lambda setting, seed: ((CONVOLUTION, SKIPS)[seed], 1.0),
        lambda cell, channels: [50.0] if cell == SKIPS else [],
        searchers=["gdas"],
        search_seeds=[0, 1],
        seeds=[7],
    )
    (searcher,) = results.configuration.searchers
    table = accuracy_table(results, searcher)
    assert lines(table, "A, C=16", "searches")[0] == ("50.0 (n=1)", "2 of 2")
    assert any("1 training missing" in note for note in table.notes)


def test_what_is_missing_is_said(tmp_path):
    results = one_search(tmp_path, ratios=[0.5, 0.25])
    (searcher,) = results.configuration.searchers
    table = accuracy_table(results, searcher)
    assert lines(table, "r", "kept", "A, C=16", "cell")[-1] == ("0.25", "", "", "not searched yet")
    assert any("1 search missing" in note for note in table.notes)


def test_the_papers_numbers_stand_beside_the_same_setting(tmp_path):
    results = one_search(tmp_path, **PAPERS)
    (searcher,) = results.configuration.searchers
    table = accuracy_table(results, searcher)
    headings = ("Method", "r", "paper's A, C=16", "paper's A, C=64")
    assert lines(table, *headings) == [
        ("Full DS", "1", "32.6 ± 0.7", "47.3 ± 0.3"),
        ("KM-OR (protocol=paper)*†", "0.5", "27.3 ± 0.8", "38.5 ± 0.4"),
        ("KM-OR (protocol=paper)†", "0.25", "40.0 ± 0.1", "55.3 ± 0.5"),
        ("CC-OR (protocol=paper)*", "0.5", "64.1 ± 0.3", "75.4 ± 0.3"),
        ("CC-OR (protocol=paper)", "0.25", "54.6 ± 0.2", "60.8 ± 1.1"),
    ]
    assert "of the same protocol" in table.notes[0]
    assert "does not say which number of clusters" in table.notes[1]


def test_the_papers_own_mark_of_the_local_optimum_is_kept(tmp_path):
    results = one_search(tmp_path, **PAPERS | {"samplers": ["cc-rs:protocol=paper"]})
    (searcher,) = results.configuration.searchers
    assert lines(accuracy_table(results, searcher), "paper's A, C=16")[1] == ("15.9 ± 0.7*",)


def test_numbers_of_another_protocol_are_called_so(tmp_path):
    results = one_search(tmp_path, info=CIFAR100, searchers=["darts-v1:n_nodes=4,epochs=10"])
    (searcher,) = results.configuration.searchers
    table = accuracy_table(results, searcher)
    assert lines(table, "paper's A (other protocol), C=16")[0] == ("32.6 ± 0.7",)
    assert "no yardstick" in table.notes[0]
    for words in ("n_nodes 4 instead of 5", "epochs 10 instead of 50", "held out"):
        assert words in table.notes[0]


@pytest.mark.parametrize("changed", [{}, {"info": CIFAR100, "searchers": ["random"]}])
def test_other_data_and_searchers_have_no_papers_numbers(tmp_path, changed):
    results = one_search(tmp_path, **changed)
    (searcher,) = results.configuration.searchers
    for text in all_documents(results).values():
        assert "paper's A" not in text
    assert not any(column.is_borrowed for column in accuracy_table(results, searcher).columns)


def test_a_sampler_that_keeps_hard_samples_has_no_papers_numbers(tmp_path):
    results = one_search(tmp_path, **PAPERS | {"samplers": ["ae:protocol=paper,keep=hard"]})
    (searcher,) = results.configuration.searchers
    assert lines(accuracy_table(results, searcher), "paper's A, C=16") == [
        ("32.6 ± 0.7",),
        ("",),
        ("",),
    ]


def n_parameters(line):
    accuracy = line.accuracy(16)
    return None if accuracy is None else accuracy.n_parameters


def test_a_new_column_is_one_entry_and_is_in_every_form(tmp_path, monkeypatch):
    column = Column("parameters", NUMBER, n_parameters, csv_name="n_parameters")
    monkeypatch.setattr(tables, "SEARCH_COLUMNS", (*tables.SEARCH_COLUMNS, column))
    results = one_search(tmp_path, ratios=[0.5, 0.25])
    documents = all_documents(results)
    head, _, _, full, _, half, quarter = documents["table-darts-v1.md"].splitlines()[2:9]
    assert [line.split("|")[-2].strip() for line in (head, full, half, quarter)] == [
        "parameters",
        "1,000",
        "1,000",
        "",
    ]
    latex = documents["table-darts-v1.tex"]
    assert r"& parameters \\" in latex
    assert latex.count(r"& 1,000 \\") == 2
    records = list(csv.DictReader(io.StringIO(documents["table-darts-v1.csv"])))
    assert [one["n_parameters"] for one in records] == ["1000", "1000", ""]
    page = to_html(results, {}, {})
    assert '<th scope="col" class="number">parameters</th>' in page
    assert page.count('<td class="number">1,000</td>') == 2


def test_a_new_column_of_settings_is_one_entry_too(tmp_path, monkeypatch):
    def n_cells(line):
        return len({one.cell for one in line.found})

    column = Column("cells", NUMBER, n_cells, csv_name="n_cells")
    monkeypatch.setattr(tables, "SETTING_COLUMNS", (*tables.SETTING_COLUMNS, column))
    documents = all_documents(one_search(tmp_path, search_seeds=[0, 1]))
    assert documents["table-darts-v1.md"].splitlines()[2].split("|")[-2].strip() == "cells"
    assert r"& cells \\" in documents["table-darts-v1.tex"]
    records = csv.DictReader(io.StringIO(documents["table-darts-v1-distribution.csv"]))
    assert [one["n_cells"] for one in records] == ["1", "1"]


@pytest.mark.parametrize("other", ["avg_pool_3x3", "nor_conv_3x3"])
def test_cells_that_compute_the_same_are_counted_once_beside_the_strings(tmp_path, other):
    # Nothing leads on from the second node, so that the first edge adds nothing.
    cells = [
        Cell.from_string(f"|{first}~0|+|nor_conv_1x1~0|none~1|")
        for first in ("skip_connect", other)
    ]
    results = write_results(
        tmp_path,
        lambda setting, seed: (cells[seed], 1.0),
        lambda *_: [50.0],
        searchers=["gdas:n_nodes=3"],
        search_seeds=[0, 1],
        seeds=[7],
    )
    (searcher,) = results.configuration.searchers
    (note,) = [n for n in accuracy_table(results, searcher).notes if n.startswith("Cells:")]
    assert note.startswith("Cells: 2 distinct, 1 up to isomorphism.")
    assert "in 2 distinct cells, 1 up to isomorphism." in to_html(results, {}, {})


def test_cells_that_all_compute_something_else_are_not_counted_again(tmp_path):
    results = one_search(tmp_path)
    (searcher,) = results.configuration.searchers
    assert not any("isomorph" in note for note in accuracy_table(results, searcher).notes)
    assert "isomorph" not in to_html(results, {}, {})


# What looks like folders stands first: they are left out.
HOSTILE = "<script>alert(1)</script>\\input{y}\n{{ 7 * 7 }} | <i> $x$ [a](b) &lt;"


def test_a_hostile_name_is_shown_in_every_form_of_every_table(tmp_path):
    results = one_search(tmp_path, dataset=f"npz:{HOSTILE}.npz")
    for name, text in all_documents(results).items():
        if name.endswith(".md"):
            assert "<script" not in text.replace(r"\<", "")
            assert (r"{{ 7 \* 7 }}" in text) == name.startswith("table")
            assert "](b)" not in text.replace(r"\](", "")
        if name.endswith(".tex"):
            assert r"\input" not in text
            assert "<" not in text
    page = to_html(results, {}, {"best-cells": HOSTILE})
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7 * 7 }}" in page
    assert "&amp;lt;" in page


def test_what_has_failed_is_told_from_what_was_not_run(tmp_path):
    def found(setting, seed):
        if setting.sampler is not None and seed == 1:
            return None
        return (CONVOLUTION if setting.sampler is None else SKIPS, 4.0)

    results = write_results(
        tmp_path,
        found,
        lambda cell, channels: [] if cell == SKIPS else [70.0],
        searchers=["gdas"],
        search_seeds=[0, 1],
        seeds=[7],
    )
    (searcher,) = results.configuration.searchers
    assert lines(search_table(results, searcher), "A, C=16", "cell")[-1] == ("", str(SKIPS))
    missing = [
        one
        for kind in (Search, Training)
        for one in results.progress.experiments(kind)
        if one.is_named and one.key not in results.progress.results(kind)
    ]
    assert [one.kind for one in missing] == ["search", "training"]
    for one in missing:
        results.store.put_failure(one.kind, one.specification, "DivergenceError: NaN")
    results = StudyResults.read(results.store)
    assert lines(search_table(results, searcher), "A, C=16", "cell")[2:] == [
        ("failed", str(SKIPS)),
        ("failed", "failed"),
    ]
    assert lines(setting_table(results, searcher), "searches") == [
        ("2 of 2",),
        ("1 of 2, 1 failed",),
    ]
