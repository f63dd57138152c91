"""Rows are read with one query a kind, and of one searcher alone where one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from proxysample import Herding, InputError
from proxysample.components import Component
from proxysample.described import describe_sampler
from proxysample.experiments.store import Database
from proxysample_nas.space.cell import Cell
from proxysample_nas.study import Study
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.results import _group

from .written_store import write_results

CELL = Cell.filled("nor_conv_1x1", n_nodes=4)


def written(folder: Path, **changed: Any) -> StudyResults:
    folder.mkdir(exist_ok=True)
    settings = {"searchers": ["gdas:n_nodes=4", "random:n_nodes=4"]} | changed
    return write_results(folder, lambda *_: (CELL, 3.0), lambda *_: [70.0, 72.0], **settings)


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every query that is made from now on."""
    made: list[str] = []
    read = Database.read

    def noted(self: Database, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        made.append(statement)
        return read(self, statement, values)

    monkeypatch.setattr(Database, "read", noted)
    return made


def test_the_number_of_queries_does_not_grow_with_the_experiments(
    tmp_path: Path, queries: list[str]
) -> None:
    numbers = []
    for name, changed in (
        ("few", {}),
        ("many", {"samplers": ["rs", "cc-or", "cc-rs"], "search_seeds": range(5)}),
    ):
        written(tmp_path / name, **changed)
        queries.clear()
        Study.open(tmp_path / name).table("gdas")
        numbers.append(len(queries))
    assert numbers[0] == numbers[1] <= 10


def test_a_searchers_rows_are_read_without_the_others_results(tmp_path: Path) -> None:
    store = written(tmp_path).store
    (key, *_) = [
        key
        for key, record in store.results("search").items()
        if record.specification["searcher"] == "random"
    ]
    store.database.write("UPDATE experiments SET result = '{}' WHERE key = ?", [key])
    study = Study.open(tmp_path)
    assert [row.accuracies(16) for row in study.rows("gdas")] == [[71.0], [71.0]]
    assert "71.0" in study.table("gdas")
    with pytest.raises(InputError, match="has no result"):
        study.rows("random")
    with pytest.raises(InputError, match="has no result"):
        study.results()


def test_what_a_search_has_left_stands_beside_its_cell(tmp_path: Path) -> None:
    (row, *_) = written(tmp_path).rows
    assert row.found[0].search["facts"]["searcher"] == "gdas"
    assert row.found[0].search["machine"]["processor"] == "a processor"


def test_missing_searches_are_named(tmp_path: Path) -> None:
    results = write_results(
        tmp_path,
        lambda setting, seed: None if setting.sampler else (CELL, 3.0),
        lambda *_: [],
        searchers=["gdas:n_nodes=4"],
        search_seeds=[0, 3],
    )
    assert results.missing_searches() == ["gdas on RS r=0.5, seed 0", "gdas on RS r=0.5, seed 3"]


@pytest.mark.parametrize(
    ("given", "group"),
    [
        ("cc-or", "Supervised"),
        ("rs", "Unsupervised"),
        # A study's data have labels, by which these pick where they are not told otherwise.
        ("herding", "Supervised"),
        ("herding:per_class=false", "Unsupervised"),
        ("zcore", "Unsupervised"),
    ],
)
def test_samplers_that_may_do_without_labels_stand_where_they_use_them(given, group):
    assert _group(Component.parse(given)) == group


def test_an_instance_stands_where_its_id_does():
    assert _group(describe_sampler(Herding(), {})) == "Supervised"
    assert _group(describe_sampler(Herding(per_class=False), {})) == "Unsupervised"
