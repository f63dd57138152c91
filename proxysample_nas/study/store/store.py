"""The store: finished experiments in one SQLite file, each written in one step."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxysample.errors import InputError
from proxysample.records import check_values, read_json
from proxysample_nas.study.store.contents import (
    RECORD,
    SPECIFICATION,
    STATE,
    check_outcome,
    check_result,
    check_row,
)
from proxysample_nas.study.store.database import Database

COLUMNS = "key, kind, specification, status, result, payload, error, traceback, finished"


def experiment_key(kind: str, specification: Mapping[str, Any]) -> str:
    """Name an experiment by what decides its result.

    Parameters
    ----------
    kind : str
        ``"selection"``, ``"search"``, ``"training"`` or ``"lookup"``.
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


def store_path(folder: Path) -> Path:
    """Say where a study's folder keeps its store."""
    return folder / "study.sqlite"


@dataclass(frozen=True)
class Record:
    """One finished experiment.

    Attributes
    ----------
    key : str
        See `experiment_key`.
    kind : str
    specification : dict
        What decided the result.
    status : {"done", "failed"}
    result : dict or None
        Plain JSON values; None where it failed.
    payload : bytes or None
        What is too large for JSON.
    error, traceback : str or None
        Why it failed, in one line, and where in the code.
    finished : float
        When, in seconds since 1970.
    """

    key: str
    kind: str
    specification: dict[str, Any]
    status: str
    result: dict[str, Any] | None
    payload: bytes | None
    error: str | None
    traceback: str | None
    finished: float


class Store:
    """Finished experiments of a study, in one SQLite file.

    Each experiment is written in one transaction when it has finished, so a process killed at
    any moment loses at most the experiments that it was in. A result is never replaced: were an
    experiment run twice, the first result stays.

    Parameters
    ----------
    path : str or Path
        Made where it does not exist, unless `must_exist`.
    must_exist : bool
        For reading: a missing file is an error.

    Attributes
    ----------
    database : Database
        The file, with the claims of those that run the study; see
        `proxysample_nas.study.store.claims`.

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
        self.database = Database(self.path, must_exist=must_exist)

    def put(
        self,
        kind: str,
        specification: Mapping[str, Any],
        result: Mapping[str, Any],
        payload: bytes | None = None,
    ) -> None:
        """Keep a result, and end the claim on its experiment.

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
        self._put(kind, specification, ["done", json.dumps(dict(result)), payload, None, None])

    def put_failure(
        self,
        kind: str,
        specification: Mapping[str, Any],
        error: str,
        traceback: str | None = None,
    ) -> None:
        """Keep the error of an experiment that failed, and end the claim on it.

        Parameters
        ----------
        kind, specification
            See `put`.
        error, traceback : str
            Why it failed, in one line, and where in the code.
        """
        self._put(kind, specification, ["failed", None, None, error, traceback])

    def _put(self, kind: str, specification: Mapping[str, Any], outcome: list[Any]) -> None:
        key = experiment_key(kind, specification)
        text = json.dumps(dict(specification), sort_keys=True)
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM experiments WHERE key = ? AND status = 'failed'", [key])
            connection.execute(
                "INSERT OR IGNORE INTO experiments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [key, kind, text, *outcome, time.time()],
            )
            connection.execute("DELETE FROM claims WHERE key = ?", [key])

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
        rows = self.database.read(
            f"SELECT {COLUMNS} FROM experiments WHERE key = ?",
            [experiment_key(kind, specification)],
        )
        return self._record(rows[0]) if rows else None

    def failures(self) -> list[Record]:
        """List the experiments that failed, oldest first."""
        rows = self.database.read(
            f"SELECT {COLUMNS} FROM experiments WHERE status = 'failed' ORDER BY finished"
        )
        return [self._record(row) for row in rows]

    def results(self, kind: str) -> list[Record]:
        """List the experiments of a kind that are done, oldest first, without their payloads."""
        columns = COLUMNS.replace("payload", "NULL")
        rows = self.database.read(
            f"SELECT {columns} FROM experiments WHERE kind = ? AND status = 'done' "
            "ORDER BY finished",
            [kind],
        )
        return [self._record(row) for row in rows]

    def states(self) -> dict[str, tuple[str, float]]:
        """Give every finished experiment's status and the second it finished in, by its key."""
        rows = self.database.read("SELECT key, status, finished FROM experiments")
        for row in rows:
            check_row(row, STATE, f"an experiment in {self.path}")
        return {key: (status, finished) for key, status, finished in rows}

    def set_fact(self, name: str, value: str) -> None:
        """Keep a fact about the study as a whole, such as its configuration."""
        self.database.write("INSERT OR REPLACE INTO facts VALUES (?, ?)", [name, value])

    def fact(self, name: str) -> str | None:
        """Look a fact up; None where it is not there."""
        rows = self.database.read("SELECT value FROM facts WHERE name = ?", [name])
        return str(rows[0][0]) if rows else None

    def _record(self, row: tuple[Any, ...]) -> Record:
        key, kind, specification, status, result, payload, error, traceback, finished = row
        where = f"an experiment in {self.path}"
        check_row((key, status, finished, kind, payload, error, traceback), RECORD, where)
        named = read_json(specification, where, explain_missing=True)
        check_values(named, SPECIFICATION, where)
        if not _is_named_by(key, kind, named):
            raise InputError(f"{where} is damaged: its specification is not what its key names")
        found = None if result is None else read_json(result, where, explain_missing=True)
        check_outcome(status, found, where)
        if found is not None:
            check_result(kind, found, where)
        return Record(key, kind, named, status, found, payload, error, traceback, finished)


def _is_named_by(key: str, kind: str, specification: Mapping[str, Any]) -> bool:
    try:
        return experiment_key(kind, specification) == key
    except ValueError:  # it holds NaN, as no specification does
        return False
