"""The store: finished experiments in one SQLite file, each written in one step."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxysample.errors import InputError

SCHEMA = """
CREATE TABLE IF NOT EXISTS experiments (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    specification TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
    result TEXT,
    payload BLOB,
    error TEXT,
    finished REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

FORMAT = "proxysample-study-1"


def experiment_key(kind: str, specification: Mapping[str, Any]) -> str:
    """Name an experiment by what decides its result.

    Parameters
    ----------
    kind : str
        ``"selection"``, ``"search"`` or ``"training"``.
    specification : mapping
        Plain JSON values; their order does not matter.

    Returns
    -------
    str
        32 hexadecimal digits, the same in every run on every machine.

    Examples
    --------
    >>> experiment_key("search", {"a": 1, "b": 2}) == experiment_key("search", {"b": 2, "a": 1})
    True
    """
    text = json.dumps([kind, specification], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Record:
    """One finished experiment.

    Attributes
    ----------
    kind : str
    specification : dict
        What decided the result.
    status : {"done", "failed"}
    result : dict or None
        Plain JSON values; None where it failed.
    payload : bytes or None
        What is too large for JSON.
    error : str or None
        Why it failed.
    """

    kind: str
    specification: dict[str, Any]
    status: str
    result: dict[str, Any] | None
    payload: bytes | None
    error: str | None


class Store:
    """Finished experiments of a study, in one SQLite file.

    Each experiment is written in one transaction when it has finished, so a process killed at
    any moment loses at most the experiment that it was in.

    Parameters
    ----------
    path : str or Path
        Made where it does not exist, unless `must_exist`.
    must_exist : bool
        For reading: a missing file is an error.

    Raises
    ------
    InputError
        If the file is missing, damaged or something else, or its folder is missing.

    Examples
    --------
    >>> import tempfile
    >>> store = Store(Path(tempfile.mkdtemp()) / "study.sqlite")
    >>> store.put("search", {"r": 0.5}, {"cell": "|none~0|"})
    >>> store.get("search", {"r": 0.5}).result
    {'cell': '|none~0|'}
    """

    def __init__(self, path: str | Path, *, must_exist: bool = False) -> None:
        self.path = Path(path)
        if must_exist and not self.path.is_file():
            raise InputError(f"no study at {self.path}; run one first")
        if not self.path.parent.is_dir():
            raise InputError(f"the folder {self.path.parent} does not exist; make it first")
        try:
            with closing(self._connect()) as connection, connection:
                connection.executescript(SCHEMA)
                connection.execute("INSERT OR IGNORE INTO facts VALUES ('format', ?)", [FORMAT])
        except sqlite3.Error as error:
            raise InputError(f"{self.path} cannot be used as a study's store: {error}") from error
        if self.fact("format") != FORMAT:
            raise InputError(f"{self.path} has format {self.fact('format')!r}, not {FORMAT!r}")

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=60)

    def _write(self, statement: str, values: list[Any]) -> None:
        try:
            with closing(self._connect()) as connection, connection:
                connection.execute(statement, values)
        except sqlite3.Error as error:
            raise InputError(f"cannot write to {self.path}: {error}") from error

    def _read(self, statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
        try:
            with closing(self._connect()) as connection:
                return connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise InputError(f"cannot read {self.path}: {error}") from error

    def put(
        self,
        kind: str,
        specification: Mapping[str, Any],
        result: Mapping[str, Any],
        payload: bytes | None = None,
    ) -> None:
        """Keep a result.

        Parameters
        ----------
        kind : str
            See `experiment_key`.
        specification : mapping
            What decided the result.
        result : mapping
            Plain JSON values.
        payload : bytes, optional
            What is too large for JSON.
        """
        self._put(kind, specification, "done", json.dumps(dict(result)), payload, None)

    def put_failure(self, kind: str, specification: Mapping[str, Any], error: str) -> None:
        """Keep the error of an experiment that failed.

        Parameters
        ----------
        kind, specification
            See `put`.
        error : str
            Why it failed.
        """
        self._put(kind, specification, "failed", None, None, error)

    def _put(
        self,
        kind: str,
        specification: Mapping[str, Any],
        status: str,
        result: str | None,
        payload: bytes | None,
        error: str | None,
    ) -> None:
        key = experiment_key(kind, specification)
        text = json.dumps(dict(specification), sort_keys=True)
        self._write(
            "INSERT OR REPLACE INTO experiments VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [key, kind, text, status, result, payload, error, time.time()],
        )

    def get(self, kind: str, specification: Mapping[str, Any]) -> Record | None:
        """Look an experiment up.

        Parameters
        ----------
        kind, specification
            See `put`.

        Returns
        -------
        Record or None
            None where it has not been run.
        """
        rows = self._read(
            "SELECT kind, specification, status, result, payload, error FROM experiments "
            "WHERE key = ?",
            [experiment_key(kind, specification)],
        )
        return _record(rows[0]) if rows else None

    def failures(self) -> list[Record]:
        """List the experiments that failed, oldest first."""
        rows = self._read(
            "SELECT kind, specification, status, result, payload, error FROM experiments "
            "WHERE status = 'failed' ORDER BY finished",
            [],
        )
        return [_record(row) for row in rows]

    def set_fact(self, name: str, value: str) -> None:
        """Keep a fact about the study as a whole, such as its configuration."""
        self._write("INSERT OR REPLACE INTO facts VALUES (?, ?)", [name, value])

    def fact(self, name: str) -> str | None:
        """Look a fact up; None where it is not there."""
        rows = self._read("SELECT value FROM facts WHERE name = ?", [name])
        return str(rows[0][0]) if rows else None


def _record(row: tuple[Any, ...]) -> Record:
    kind, specification, status, result, payload, error = row
    return Record(
        kind,
        json.loads(specification),
        status,
        json.loads(result) if result else None,
        payload,
        error,
    )
