"""Single values of a store that a user is handed, each refused by its name."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from proxysample.errors import InputError
from proxysample.experiments.claims import Claims
from proxysample.experiments.experiment import experiment_key
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.run import StudyStore

from .written_store import write_results

CELL = Cell.filled("nor_conv_1x1", n_nodes=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with results of every kind, a failure, a runner and its claim."""
    settings = {"searchers": ["random:n_nodes=2,n_samples=1"], "channels": [4], "seeds": [777]}
    write_results(tmp_path, lambda *_: (CELL, 3.0), lambda *_: [70.0], dataset="digits", **settings)
    path = tmp_path / "study.sqlite"
    StudyStore(path).put_failure(
        "search", {"data": "d", "parameters": {}, "r": 0.5}, "out of memory"
    )
    execute(path, "INSERT INTO runners VALUES ('b0', 'host', 77, 'machine', '9', 1, 1.0, 2.0)")
    execute(path, "INSERT INTO claims VALUES ('1f', 'b0', 2.0)")
    read_all(path)
    return path


def execute(path: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        rows = connection.execute(statement, values).fetchall()
        connection.commit()
    return rows


def read_all(path: Path) -> None:
    store = StudyStore(path, must_exist=True)
    store.states()
    store.failures()
    for kind in ("selection", "search", "training"):
        for record in store.results(kind).values():
            store.get(kind, record.specification)
    claims = Claims(store.database)
    claims.runners()
    claims.held()


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("experiments", "status", "running", "its status is 'running', not 'done' or 'failed'"),
        ("experiments", "finished", "noon", "its finished is 'noon'"),
        ("experiments", "finished", -1.0, "its finished is -1.0"),
        ("experiments", "payload", "text", "its payload is 'text', not bytes or null"),
        ("experiments", "error", b"x", "its error is b'x', not a text or null"),
        ("experiments", "traceback", b"x", "its traceback is b'x'"),
        ("experiments", "specification", "[]", "it is .*, not a mapping"),
        ("experiments", "specification", '{"data": "d"}', "not what its key names"),
        ("experiments", "result", None, "it is done, and has no result"),
        ("experiments", "result", "{}", "it is done, and has no result"),
        ("runners", "host", b"x", "a runner in .* its host is"),
        ("runners", "pid", 0, "its pid is 0, not a process's number"),
        ("runners", "pid", 1 << 40, "its pid is"),
        ("runners", "n_workers", 0, "its n_workers is 0"),
        ("runners", "heartbeat", "now", "its heartbeat is 'now'"),
        ("claims", "since", "now", "a claim in .* its since is 'now'"),
        ("claims", "runner", b"x", "its runner is b'x'"),
    ],
)
def test_a_value_that_cannot_be_is_named(
    path: Path, table: str, column: str, value: Any, message: str
) -> None:
    execute(path, f"UPDATE {table} SET {column} = ?", value)
    with pytest.raises(InputError, match=message):
        read_all(path)


def test_a_failure_that_has_a_result_is_refused(path: Path) -> None:
    execute(path, "UPDATE experiments SET status = 'failed'")
    with pytest.raises(InputError, match="it is failed, and has a result"):
        read_all(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"parameters": 3}, "its parameters is 3, not a mapping"),
        ({"data": 3}, "its data is 3, not a text"),
        ({"r": "half"}, "its r is 'half', not a finite number"),
    ],
)
def test_a_specification_that_names_nothing_is_refused(
    path: Path, changed: dict[str, Any], message: str
) -> None:
    ((key, text),) = execute(
        path, "SELECT key, specification FROM experiments WHERE kind = 'search' LIMIT 1"
    )
    values = json.loads(text) | changed
    execute(
        path,
        "UPDATE experiments SET key = ?, specification = ? WHERE key = ?",
        experiment_key("search", values),
        json.dumps(values),
        key,
    )
    with pytest.raises(InputError, match=message):
        read_all(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"machine": {"n_threads": "two"}}, "its n_threads is 'two'"),
        ({"facts": {"searcher": 3}}, "its searcher is 3, not a text"),
        ({"facts": {"parameters": {"epochs": "many"}}}, "its epochs is 'many'"),
        ({"seconds": -1}, "its seconds is -1, not a number of at least 0"),
        ({"n_kept": 0}, "its n_kept is 0"),
        ({"cell": None}, "its cell is None, not a text"),
    ],
)
def test_a_search_that_cannot_be_is_refused(
    path: Path, changed: dict[str, Any], message: str
) -> None:
    ((text,),) = execute(
        path, "SELECT result FROM experiments WHERE kind = 'search' AND status = 'done' LIMIT 1"
    )
    result = json.dumps(json.loads(text) | changed)
    execute(path, "UPDATE experiments SET result = ? WHERE kind = 'search'", result)
    with pytest.raises(InputError, match=message):
        StudyStore(path).results("search")


def test_what_a_result_lacks_is_named(path: Path) -> None:
    (record, *_) = StudyStore(path).results("search").values()
    with pytest.raises(InputError, match="lacks 'accuracy'"):
        record.result["accuracy"]  # type: ignore[index]
    with pytest.raises(InputError, match="lacks 'seed'"):
        record.specification["seed"]


def test_no_function_is_called_by_what_a_store_says(path: Path) -> None:
    """Nothing of the kind passes the check of the tables; SQLite is told all the same."""
    database = StudyStore(path).database
    assert database.read("PRAGMA trusted_schema") == [(0,)]
    assert database.read("PRAGMA cell_size_check") == [(1,)]
