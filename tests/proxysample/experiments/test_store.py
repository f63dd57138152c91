from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from proxysample import InputError
from proxysample.experiments.experiment import experiment_key
from proxysample.experiments.store import TABLES, Contents, Database, Store
from proxysample.records import AMOUNT, MAPPING, TEXT

KINDS = {
    "search": Contents(
        {"cell": TEXT, "info": MAPPING},
        {"r": AMOUNT},
        {"info": {"parameters": MAPPING}, "info.parameters": {"epochs": AMOUNT}},
    ),
    "training": Contents(),
}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "study.sqlite", KINDS, noun="study")


def test_a_result_comes_back_whole(store):
    store.put("search", {"r": 0.5, "seed": 1}, {"accuracy": 71.25}, b"\x00payload")
    again = Store(store.path, KINDS, noun="study", must_exist=True)
    record = again.get("search", {"seed": 1, "r": 0.5})
    assert record.status == "done"
    assert record.result == {"accuracy": 71.25}
    assert record.payload == b"\x00payload"
    assert record.specification == {"r": 0.5, "seed": 1}


def test_keys_tell_kinds_and_values_apart():
    keys = {
        experiment_key(kind, {"r": r}) for kind in ("search", "training") for r in (0.5, 0.25, 1)
    }
    assert len(keys) == 6


def test_keys_are_the_same_for_ever():
    """A changed key would run every finished experiment of every user again."""
    key = experiment_key("search", {"r": 0.5, "parameters": {"epochs": 50}})
    assert key == "902f61cbae0d33e60ac647493a363916"


def test_what_was_not_run_is_none(store):
    assert store.get("search", {"r": 0.5}) is None


def test_failures_keep_their_error_until_a_result_replaces_them(store):
    store.put_failure("search", {"r": 0.5}, "DivergenceError: loss is NaN")
    assert [failure.error for failure in store.failures()] == ["DivergenceError: loss is NaN"]
    store.put("search", {"r": 0.5}, {"cell": "|none~0|"})
    assert store.failures() == []


def test_results_of_a_kind_are_found_by_their_keys_in_one_query(store, monkeypatch):
    for r in (0.5, 0.25, 1):
        store.put("search", {"r": r}, {"cell": f"{r}"}, b"large")
    store.put("training", {"r": 0.5}, {"accuracy": 70.0})
    store.put_failure("search", {"r": 0.125}, "DivergenceError: loss is NaN")
    n_reads = 0

    def read(self, *words, original=Database.read):
        nonlocal n_reads
        n_reads += 1
        return original(self, *words)

    monkeypatch.setattr(Database, "read", read)
    found = store.results("search")
    assert n_reads == 1
    assert list(found) == [experiment_key("search", {"r": r}) for r in (0.5, 0.25, 1)]
    assert [one.result["cell"] for one in found.values()] == ["0.5", "0.25", "1"]
    assert {one.payload for one in found.values()} == {None}


def test_a_kind_that_the_store_does_not_keep_is_refused(store, tmp_path):
    with pytest.raises(ValueError, match="keeps search, training, not evaluation"):
        store.put("evaluation", {"r": 0.5}, {"accuracy": 70.0})
    other = Store(tmp_path / "study.sqlite", {"search": Contents()}, noun="study")
    store.put("training", {"r": 0.5}, {"accuracy": 70.0})
    with pytest.raises(InputError, match="its kind is 'training', not 'search'"):
        other.get("training", {"r": 0.5})


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"cell": 3}, "its cell is 3, not a text"),
        ({"info": []}, r"its info is \[\], not a mapping"),
        ({"info": {"parameters": 3}}, "its parameters is 3, not a mapping"),
        ({"info": {"parameters": {"epochs": "many"}}}, "its epochs is 'many', not a number"),
    ],
)
def test_values_that_a_kind_does_not_hold_are_named_however_deep(store, result, message):
    store.put("search", {"r": 0.5}, {"cell": "|none~0|"})
    store.database.write("UPDATE experiments SET result = ?", [json.dumps(result)])
    with pytest.raises(InputError, match=message):
        store.results("search")


def test_a_specification_that_a_kind_does_not_have_is_refused(store):
    store.put("search", {"r": "half"}, {"cell": "|none~0|"})
    with pytest.raises(InputError, match="its r is 'half', not a number"):
        store.results("search")


def test_info_is_replaced(store):
    store.set_info("configuration", "old")
    store.set_info("configuration", "new")
    assert store.info("configuration") == "new"
    assert store.info("missing") is None


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.sqlite").write_text("hello, this is not a database at all, but text" * 50)
    with pytest.raises(InputError, match="cannot be used as a study's store"):
        Store(tmp_path / "text.sqlite", KINDS, noun="study")
    with pytest.raises(InputError, match=r"no comparison at .*; run one first"):
        Store(tmp_path / "missing.sqlite", KINDS, noun="comparison", must_exist=True)
    with pytest.raises(InputError, match="does not exist"):
        Store(tmp_path / "missing" / "study.sqlite", KINDS, noun="study")


def test_a_store_of_another_format_is_refused(store):
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("UPDATE facts SET value = 'proxysample-study-9'")
        connection.commit()
    with pytest.raises(InputError, match="proxysample-study-9"):
        Store(store.path, KINDS, noun="study")


def test_a_store_of_other_experiments_is_refused(store):
    message = "has format 'proxysample-study-1', not 'proxysample-comparison-1'"
    with pytest.raises(InputError, match=message):
        Store(store.path, KINDS, noun="comparison")


def test_a_damaged_store_is_refused(store):
    store.put("search", {"r": 0.5}, {"x": "y" * 20_000})
    content = store.path.read_bytes()
    store.path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(InputError, match=r"study\.sqlite"):
        Store(store.path, KINDS, noun="study").get("search", {"r": 0.5})


def test_tables_are_the_same_for_ever(store):
    """A store of another form would not open what users have."""
    words = " ".join(" ".join(table.split()) for table in TABLES)
    assert words == (
        "CREATE TABLE experiments ( key TEXT PRIMARY KEY, kind TEXT NOT NULL, specification TEXT "
        "NOT NULL, status TEXT NOT NULL CHECK (status IN ('done', 'failed')), result TEXT, "
        "payload BLOB, error TEXT, traceback TEXT, finished REAL NOT NULL ) CREATE TABLE facts "
        "(name TEXT PRIMARY KEY, value TEXT NOT NULL) CREATE TABLE runners ( id TEXT PRIMARY KEY, "
        "host TEXT NOT NULL, pid INTEGER NOT NULL, machine TEXT NOT NULL, process TEXT NOT NULL, "
        "n_workers INTEGER NOT NULL, started REAL NOT NULL, heartbeat REAL NOT NULL ) CREATE "
        "TABLE claims ( key TEXT PRIMARY KEY, runner TEXT NOT NULL, since REAL NOT NULL )"
    )
    assert store.database.read("SELECT * FROM facts") == [("format", "proxysample-study-1")]
