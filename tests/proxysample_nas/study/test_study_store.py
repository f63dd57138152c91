"""What studies have written stays readable."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from proxysample.errors import InputError
from proxysample.experiments.experiment import experiment_key
from proxysample_nas.study import StudyStore
from proxysample_nas.study.run import store_path

# As the first release wrote them.
TABLES = """
    CREATE TABLE experiments (
        key TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        specification TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
        result TEXT,
        payload BLOB,
        error TEXT,
        traceback TEXT,
        finished REAL NOT NULL
    );
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE runners (
        id TEXT PRIMARY KEY,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        machine TEXT NOT NULL,
        process TEXT NOT NULL,
        n_workers INTEGER NOT NULL,
        started REAL NOT NULL,
        heartbeat REAL NOT NULL
    );
    CREATE TABLE claims (
        key TEXT PRIMARY KEY,
        runner TEXT NOT NULL,
        since REAL NOT NULL
    );
    INSERT INTO facts VALUES ('format', 'proxysample-study-1');
"""
RESULTS = {
    "selection": {"seconds": 1.5},
    "search": {"cell": "|none~0|", "seconds": 2.5, "n_kept": 60, "facts": {"searcher": "gdas"}},
    "training": {"accuracy": 71.25, "seconds": 3.5, "n_train": 120},
    "lookup": {"cell": "|none~0|", "accuracy": 70.0},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = store_path(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLES)
        for kind, result in RESULTS.items():
            values = [experiment_key(kind, {"r": 0.5}), kind, '{"r": 0.5}', json.dumps(result)]
            connection.execute(
                "INSERT INTO experiments VALUES (?, ?, ?, 'done', ?, NULL, NULL, NULL, 1.0)", values
            )
        connection.commit()
    return path


def test_a_store_of_the_first_release_is_read(path: Path) -> None:
    assert path.name == "study.sqlite"
    store = StudyStore(path, must_exist=True)
    assert RESULTS.keys() == store.kinds.keys()
    for kind, result in RESULTS.items():
        ((key, record),) = store.results(kind).items()
        assert (record.key, record.result) == (key, result)
        assert store.get(kind, {"r": 0.5}) == record


@pytest.mark.parametrize("kind", RESULTS)
def test_each_kind_is_checked(path: Path, kind: str) -> None:
    for values in ({"seconds": -1, "accuracy": -1}, {"machine": {"n_threads": "two"}}):
        if kind in ("selection", "lookup") and "machine" in values:
            continue  # they were not timed on one
        with closing(sqlite3.connect(path)) as connection:
            changed = (json.dumps(RESULTS[kind] | values), kind)
            connection.execute("UPDATE experiments SET result = ? WHERE kind = ?", changed)
            connection.commit()
        with pytest.raises(InputError, match="is damaged: its"):
            StudyStore(path).results(kind)
