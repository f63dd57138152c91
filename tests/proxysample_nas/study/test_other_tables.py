"""Break-even, and cells evaluated on other datasets (Table 5)."""

from __future__ import annotations

import csv
import io

import pytest

from proxysample_nas.space.cell import Cell
from proxysample_nas.study import Transfer
from proxysample_nas.study.reports.other_tables import (
    break_even_table,
    break_evens,
    papers_transfer_table,
    transfer_table,
    transfers_to_csv,
)
from proxysample_nas.study.reports.report import all_documents

from .written_store import CIFAR100, IMAGENET16, write_results

CELLS = {
    1.0: Cell.filled("nor_conv_3x3", n_nodes=4),
    0.5: Cell.filled("nor_conv_1x1", n_nodes=4),
    0.25: Cell.filled("skip_connect", n_nodes=4),
}
ACCURACIES = {CELLS[1.0]: 70.0, CELLS[0.5]: 72.0, CELLS[0.25]: 20.0}
GDAS = "gdas:n_nodes=4"


def lines(section, table):
    """What a reader sees of a section, line by line."""
    return [[column.text(row) for column in table.shown] for row in section.rows]


def timed(folder, seconds, scoring_seconds, **settings):
    return write_results(
        folder,
        lambda setting, seed: (CELLS[setting.r], seconds[setting.r]),
        lambda cell, channels: [ACCURACIES[cell]],
        scoring_seconds=scoring_seconds,
        **({"searchers": [GDAS], "seeds": [7], "ratios": [0.5, 0.25]} | settings),
    )


def test_scoring_pays_back_after_so_many_searches(tmp_path):
    results = timed(tmp_path, {1.0: 100.0, 0.5: 60.0, 0.25: 30.0}, 130.0)
    half, quarter = break_evens(results)
    # 100 - 60 = 40 s saved a search: 130 s are back after four of them.
    assert (half.r, half.saved_seconds, half.net_seconds, half.n_searches) == (0.5, 40, -90, 4)
    assert (quarter.r, quarter.saved_seconds, quarter.net_seconds) == (0.25, 70, -60)
    assert quarter.n_searches == 2
    (line, _) = csv.DictReader(io.StringIO(all_documents(results)["break-even.csv"]))
    assert (line["saved_seconds"], line["searches_to_pay_back"]) == ("40.0", "4")


def test_what_saves_nothing_never_pays_back(tmp_path):
    results = timed(tmp_path, {1.0: 100.0, 0.5: 100.0, 0.25: 101.0}, 0.0)
    assert [one.n_searches for one in break_evens(results)] == [None, None]
    table = break_even_table(results)
    (section,) = table.sections
    assert [line[-1] for line in lines(section, table)] == ["never", "never"]


def test_less_than_is_shown_has_no_sign(tmp_path):
    results = timed(tmp_path, {1.0: 100.0, 0.5: 100.01, 0.25: 100.01}, 0.01)
    table = break_even_table(results)
    (section,) = table.sections
    # Saved in seconds and percent, and the net of one search.
    assert [line[-4:-1] for line in lines(section, table)] == [["0.0", "0%", "0.0"]] * 2


def test_scoring_that_costs_nothing_pays_back_at_once(tmp_path):
    results = timed(tmp_path, {1.0: 100.0, 0.5: 50.0, 0.25: 50.0}, 0.0)
    assert [one.n_searches for one in break_evens(results)] == [1, 1]


def test_a_full_search_that_takes_no_time_is_no_error(tmp_path):
    results = timed(tmp_path, {1.0: 0.0, 0.5: 0.0, 0.25: 0.0}, 1.0)
    table = break_even_table(results)
    (section,) = table.sections
    assert {line[-1] for line in lines(section, table)} == {"never"}


def test_without_a_baseline_nothing_is_weighed(tmp_path):
    results = write_results(
        tmp_path,
        lambda setting, seed: None if setting.sampler is None else (CELLS[0.5], 1.0),
        lambda cell, channels: [50.0],
        searchers=[GDAS],
    )
    assert break_even_table(results) is None
    assert not any(name.startswith("break-even") for name in all_documents(results))


def test_the_load_is_stated(tmp_path):
    notes = " ".join(break_even_table(timed(tmp_path, dict.fromkeys(CELLS, 1.0), 1.0)).notes)
    assert "1 experiment at a time, 1 thread each" in notes
    assert "same load" in notes
    assert "caution" not in notes


@pytest.fixture
def transferred(tmp_path):
    transfer = Transfer(dataset="other", n_best=1, channels=16)
    return write_results(
        tmp_path,
        lambda setting, seed: (CELLS[setting.r], 1.0),
        lambda cell, channels: [ACCURACIES[cell], ACCURACIES[cell] + 2],
        info=CIFAR100,
        transfer_info={"other": IMAGENET16},
        transferred=lambda cell: [ACCURACIES[cell] / 2],
        searchers=[GDAS],
        samplers=["rs", "cc-or"],
        ratios=[0.5, 0.25],
        channels=[16, 32],
        transfers=[transfer],
    )


def test_table_5_has_the_baseline_and_the_best_of_each_group(transferred):
    table = transfer_table(transferred)
    assert [column.heading for column in table.shown] == [
        "r",
        "Method",
        "Model",
        "search seed",
        "data, C=32",
        "other, C=16",
        "cell",
    ]
    assert [
        (s.heading, *(tuple(line[:6]) for line in lines(s, table))) for s in table.sections
    ] == [
        ("Baseline", ("1", "Full DS", "GDAS", "0", "71.0 ± 1.4", "35.0")),
        ("Unsupervised", ("0.5", "RS", "GDAS", "0", "73.0 ± 1.4", "36.0")),
        ("Supervised", ("0.5", "CC-OR", "GDAS", "0", "73.0 ± 1.4", "36.0")),
    ]
    assert "optimistic" in table.notes[0]
    # Two distinct cells: that of the full data, and one that both samplers led to. Of the three
    # seeds of each one is done.
    assert "200 epochs" in table.notes[1]
    assert "2 of 6 trainings ended" in table.notes[1]


def test_table_5_as_csv_has_a_line_per_cell_and_dataset(transferred):
    records = list(csv.DictReader(io.StringIO(transfers_to_csv(transferred))))
    assert [(line["method"], line["dataset"], line["accuracy_mean"]) for line in records] == [
        (method, dataset, mean)
        for method, own, other in (
            ("Full DS", "71.0", "35.0"),
            ("RS", "73.0", "36.0"),
            ("CC-OR", "73.0", "36.0"),
        )
        for dataset, mean in (("data", own), ("other", other))
    ]


def test_the_papers_table_5_is_a_table_of_its_own(transferred):
    table = papers_transfer_table(transferred)
    assert [len(section.rows) for section in table.sections] == [4, 3, 3, 3]
    assert lines(table.sections[-1], table)[0] == ["0.5", "DARTS-V2", "75.7 ± 0.2", "54.2 ± 0.8"]
    names = all_documents(transferred)
    assert {"table-transfers.md", "table-transfers-paper.tex"} <= names.keys()


def test_the_papers_table_5_needs_its_datasets(tmp_path):
    results = timed(tmp_path, dict.fromkeys(CELLS, 1.0), 1.0, info=CIFAR100)
    assert transfer_table(results) is None
    assert papers_transfer_table(results) is None
