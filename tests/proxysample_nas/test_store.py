from __future__ import annotations

import sqlite3

import pytest

from proxysample import InputError
from proxysample.experiments.experiment import experiment_key
from proxysample_nas.study import StudyStore


@pytest.fixture
def store(tmp_path):
    return StudyStore(tmp_path / "study.sqlite")


def test_a_result_comes_back_whole(store):
    store.put("search", {"r": 0.5, "seed": 1}, {"accuracy": 71.25}, b"\x00payload")
    record = StudyStore(store.path, must_exist=True).get("search", {"seed": 1, "r": 0.5})
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


def test_facts_are_replaced(store):
    store.set_info("configuration", "old")
    store.set_info("configuration", "new")
    assert store.info("configuration") == "new"
    assert store.info("missing") is None


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.sqlite").write_text("hello, this is not a database at all, but text" * 50)
    with pytest.raises(InputError, match="cannot be used as a study's store"):
        StudyStore(tmp_path / "text.sqlite")
    with pytest.raises(InputError, match="run one first"):
        StudyStore(tmp_path / "missing.sqlite", must_exist=True)
    with pytest.raises(InputError, match="does not exist"):
        StudyStore(tmp_path / "missing" / "study.sqlite")


def test_a_store_of_another_format_is_refused(store):
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE facts SET value = 'proxysample-study-9'")
    connection.close()
    with pytest.raises(InputError, match="proxysample-study-9"):
        StudyStore(store.path)


def test_a_damaged_store_is_refused(store):
    store.put("search", {"r": 0.5}, {"x": "y" * 20_000})
    content = store.path.read_bytes()
    store.path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(InputError, match=r"study\.sqlite"):
        StudyStore(store.path).get("search", {"r": 0.5})
