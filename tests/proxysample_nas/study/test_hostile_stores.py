"""Stores of studies that a user is handed: read, or refused by our own error; nothing is run."""

from __future__ import annotations

import json
import sqlite3
import warnings
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from proxysample.errors import InputError
from proxysample.experiments.claims import Claims
from proxysample.experiments.experiment import experiment_key
from proxysample_nas.space.cell import Cell
from proxysample_nas.study import Study
from proxysample_nas.study.experiments.base import read_configuration
from proxysample_nas.study.reports.report import all_documents
from proxysample_nas.study.run import StudyStore

from ...mutations import LEFT_OUT, changed_values, mutations
from .written_store import write_results

CELL = Cell.filled("nor_conv_1x1", n_nodes=2)
TINY: dict[str, Any] = {
    "searchers": ["random:n_nodes=2,n_samples=1"],
    "channels": [4],
    "seeds": [777],
    "dataset": "digits",
}
OTHERS = ("x", 1 << 70, {"a": 1}, -1, LEFT_OUT)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole store in small pages, so that most bytes of it matter."""
    folder = tmp_path_factory.mktemp("study")
    write_results(folder, lambda *_: (CELL, 3.0), lambda *_: [70.0], **TINY)
    path = folder / "study.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO runners VALUES ('b0', 'host', 77, 'machine', '9', 1, 1.0, 2.0)"
        )
        connection.execute("INSERT INTO claims VALUES ('1f', 'b0', 2.0)")
        connection.commit()
        connection.execute("PRAGMA page_size = 512")
        connection.execute("VACUUM")
    return path.read_bytes()


def put(folder: Path, content: bytes) -> Path:
    for file in folder.glob("study.sqlite*"):
        file.unlink()
    path = folder / "study.sqlite"
    path.write_bytes(content)
    return path


def read_all(folder: Path) -> None:
    """Do all that is done with a store but drawing, and running."""
    study = Study.open(folder)
    assert study.status().stages
    assert all_documents(study.results())
    study.store.failures()


def is_refused(folder: Path) -> bool:
    try:
        read_all(folder)
    except InputError:
        return True
    return False


def read_rows(folder: Path) -> None:
    """Read every row, as reports do, but make no report of them."""
    store = StudyStore(folder / "study.sqlite", must_exist=True)
    records = [
        *store.failures(),
        *store.results("search").values(),
        *store.results("training").values(),
    ]
    claims = Claims(store.database)
    assert len(records) <= len(store.states())
    claims.runners()
    claims.held()
    read_configuration(store)


def test_a_mutated_store_is_read_or_refused(content: bytes, tmp_path: Path) -> None:
    put(tmp_path, content)
    read_all(tmp_path)
    refused = n_reported = 0
    for mutated in mutations(content, 2_000, head=1_024):
        put(tmp_path, mutated)
        try:
            read_rows(tmp_path)
        except InputError:
            refused += 1
            # What Study.open does is the same, and takes longer.
            if refused % 60 == 0:
                is_refused(tmp_path)
        else:
            n_reported += 1
            if n_reported % 60 == 0:
                is_refused(tmp_path)
    assert refused > 600
    assert n_reported > 100


def rows_of(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def write(path: Path, statement: str, values: tuple[Any, ...] = ()) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(statement, values)
        connection.commit()


@pytest.mark.parametrize(
    ("table", "key", "column", "names"),
    [
        ("experiments", "kind", "result", ["selection", "search", "training"]),
        ("facts", "name", "value", ["configuration", "facts"]),
    ],
)
def test_every_value_of_another_type_is_read_or_refused(
    content: bytes, tmp_path: Path, table: str, key: str, column: str, names: list[str]
) -> None:
    path = put(tmp_path, content)
    for name in names:
        ((text,), *_) = rows_of(path, f"SELECT {column} FROM {table} WHERE {key} = '{name}'")
        statement = f"UPDATE {table} SET {column} = ? WHERE {key} = ?"
        refused = 0
        # One in seven, so that each of the five others comes in every seventh place.
        for values in islice(changed_values(json.loads(text), OTHERS), None, None, 7):
            write(path, statement, (json.dumps(values), name))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                refused += is_refused(tmp_path)
        assert refused
        write(path, statement, (text, name))
    assert not is_refused(tmp_path)


@pytest.mark.parametrize("value", ["x", b"\xff", -1, '{"a": NaN}'])
def test_columns_of_other_types_are_read_or_refused(
    content: bytes, tmp_path: Path, value: Any
) -> None:
    for table in ("experiments", "facts", "runners", "claims"):
        path = put(tmp_path, content)
        for _, column, *_ in rows_of(path, f"PRAGMA table_info({table})"):
            put(tmp_path, content)
            try:
                write(path, f"UPDATE OR REPLACE {table} SET {column} = ?", (value,))
            except sqlite3.IntegrityError:
                continue  # SQLite itself keeps it out
            with suppress(InputError):
                read_rows(tmp_path)


def test_text_that_is_no_text_is_refused(content: bytes, tmp_path: Path) -> None:
    path = put(tmp_path, content)
    write(path, "UPDATE facts SET value = CAST(x'ff' AS TEXT) WHERE name = 'configuration'")
    with pytest.raises(InputError, match="cannot read"):
        Study.open(tmp_path)


def test_a_result_under_the_key_of_another_is_refused(content: bytes, tmp_path: Path) -> None:
    """Otherwise a result of a short training could stand for one of a long training."""
    path = put(tmp_path, content)
    ((text,),) = rows_of(path, "SELECT specification FROM experiments WHERE kind = 'training'")
    other = json.dumps(json.loads(text) | {"seed": 888})
    write(path, "UPDATE experiments SET specification = ? WHERE kind = 'training'", (other,))
    with pytest.raises(InputError, match="not what its key names"):
        Study.open(tmp_path).status()


@pytest.mark.parametrize(
    "cell", ["", "|", "|nor_conv_9x9~0|", "|none~0|+|none~0|", "|none~0|" * 9999, "<script>"]
)
def test_a_cell_of_nonsense_is_refused(content: bytes, tmp_path: Path, cell: str) -> None:
    path = put(tmp_path, content)
    ((text,), *_) = rows_of(path, "SELECT result FROM experiments WHERE kind = 'search'")
    result = json.dumps(json.loads(text) | {"cell": cell})
    write(path, "UPDATE experiments SET result = ? WHERE kind = 'search'", (result,))
    study = Study.open(tmp_path)
    for read in (study.status, study.results):
        with pytest.raises(InputError, match="cell"):
            read()


HOSTILE = {
    "a trigger": """
        CREATE TRIGGER t AFTER INSERT ON experiments
        BEGIN UPDATE experiments SET result = '{"accuracy": 100}'; END
    """,
    "a view": "CREATE VIEW v AS SELECT load_extension('/tmp/x.so')",
    "another table": "CREATE TABLE log (line TEXT)",
    "an index that calls": "CREATE INDEX i ON experiments (hex(zeroblob(1000)))",
    "a virtual table": "CREATE VIRTUAL TABLE f USING fts3(x)",
    "a generated column": "ALTER TABLE claims ADD COLUMN g AS (hex(zeroblob(1000)))",
    "another column": "ALTER TABLE experiments ADD COLUMN note TEXT DEFAULT 'x'",
}


@pytest.mark.parametrize("statement", HOSTILE.values(), ids=HOSTILE)
def test_what_could_be_run_is_refused(content: bytes, tmp_path: Path, statement: str) -> None:
    path = put(tmp_path, content)
    write(path, statement)
    with pytest.raises(InputError, match="that no study makes"):
        Study.open(tmp_path)


@pytest.mark.parametrize("table", ["experiments", "facts", "runners", "claims"])
def test_a_view_in_a_tables_place_is_refused_unread(
    content: bytes, tmp_path: Path, table: str
) -> None:
    """An endless view: were it read, the test would never end."""
    path = put(tmp_path, content)
    write(path, f"ALTER TABLE {table} RENAME TO hidden")
    write(
        path,
        f"CREATE VIEW {table} AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) "
        "SELECT x AS name, x AS value FROM n",
    )
    with pytest.raises(InputError, match="that no study makes"):
        Study.open(tmp_path)


def test_a_missing_table_is_refused(content: bytes, tmp_path: Path) -> None:
    path = put(tmp_path, content)
    write(path, "DROP TABLE claims")
    with pytest.raises(InputError, match="lacks a table"):
        Study.open(tmp_path)


def test_a_truncated_store_is_refused_or_read_as_it_is(content: bytes, tmp_path: Path) -> None:
    for length in range(1, len(content), 512):
        path = put(tmp_path, content[:length])
        assert is_refused(tmp_path)
        assert path.read_bytes() == content[:length]
    path = put(tmp_path, b"")
    assert is_refused(tmp_path)
    assert path.read_bytes() == b""


def test_a_stub_of_a_store_is_not_written_over(content: bytes, tmp_path: Path) -> None:
    """SQLite takes so short a file for an empty one."""
    path = put(tmp_path, content[:99])
    for must_exist in (True, False):
        with pytest.raises(InputError, match="no database, or cut"):
            StudyStore(path, must_exist=must_exist)
    assert path.read_bytes() == content[:99]


def test_numbers_that_could_be_are_shown_as_they_are(content: bytes, tmp_path: Path) -> None:
    path = put(tmp_path, content)
    for kind, values in (
        ("search", {"seconds": 0, "n_kept": 1}),
        ("training", {"accuracy": 12.5, "seconds": 1e18}),
    ):
        query = f"SELECT key, result FROM experiments WHERE kind = '{kind}'"
        for key, text in rows_of(path, query):
            result = json.dumps(json.loads(text) | values)
            write(path, "UPDATE experiments SET result = ? WHERE key = ?", (result, key))
    read_all(tmp_path)
    assert "12.5" in Study.open(tmp_path).table()
    assert Study.open(tmp_path).figure("time-and-accuracy")


def test_a_ranking_of_another_number_of_samples_is_refused(content: bytes, tmp_path: Path) -> None:
    from proxysample import RandomSampling

    path = put(tmp_path, content)
    ranking = RandomSampling(random_state=0).rank([[0.0]] * 1 + [[1.0]] * 4)
    ranking.save(tmp_path / "a.npz")
    payload = (tmp_path / "a.npz").read_bytes()
    write(path, "UPDATE experiments SET payload = ? WHERE kind = 'selection'", (payload,))
    from proxysample_nas.study.experiments.plan import Plan

    store = Study.open(tmp_path).store
    plan = Plan(*read_configuration(store), store)
    with pytest.raises(InputError, match="a ranking of 5 samples stands for one of 1,437"):
        plan.stage("search")


def test_keys_are_of_what_is_stored(content: bytes, tmp_path: Path) -> None:
    path = put(tmp_path, content)
    for key, kind, text in rows_of(path, "SELECT key, kind, specification FROM experiments"):
        assert experiment_key(kind, json.loads(text)) == key
