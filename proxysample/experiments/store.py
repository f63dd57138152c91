"""The store: finished experiments in one SQLite file, each written in one step."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from proxysample.errors import InputError
from proxysample.experiments.experiment import experiment_key
from proxysample.files import as_path, check_stays
from proxysample.printing import shown
from proxysample.records import (
    AMOUNT,
    TEXT,
    Kind,
    check_values,
    one_of,
    optional,
    read_json,
)

TABLES = (
    """
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
    )
    """,
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """
    CREATE TABLE runners (
        id TEXT PRIMARY KEY,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        machine TEXT NOT NULL,
        process TEXT NOT NULL,
        n_workers INTEGER NOT NULL,
        started REAL NOT NULL,
        heartbeat REAL NOT NULL
    )
    """,
    """
    CREATE TABLE claims (
        key TEXT PRIMARY KEY,
        runner TEXT NOT NULL,
        since REAL NOT NULL
    )
    """,
)
COLUMNS = "key, kind, specification, status, result, payload, error, traceback, finished"

# A text that is none is told of by Python where it stands among SQLite's own tables.
DAMAGE = (sqlite3.Error, UnicodeDecodeError)

# SQLite takes a shorter file for an empty one, and writes over it.
BYTES_OF_A_HEADER = 100

SECONDS_TO_WAIT = 60.0
"""How long to wait for another process that writes."""

BYTES = Kind("bytes", lambda value: isinstance(value, bytes))

STATE = {"key": TEXT, "status": one_of("done", "failed"), "finished": AMOUNT}
TEXTS = {"payload": optional(BYTES), "error": optional(TEXT), "traceback": optional(TEXT)}


class Database:
    """One SQLite file, opened anew for each operation, so that threads and processes share it.

    It keeps SQLite's rollback journal. A write-ahead log needs memory that all processes share,
    and so does not work between the machines of a network file system; the writes of experiments
    are far too few for its speed to matter.

    Parameters
    ----------
    path : Path
        Made where it does not exist, unless `must_exist`.
    noun : str
        What the experiments belong to, such as ``"study"``: part of the file's format, and of
        messages.
    must_exist : bool
        A missing file is an error.

    Raises
    ------
    InputError
        If the file is missing, damaged or something else, or its folder is missing.
    """

    def __init__(self, path: Path, noun: str, *, must_exist: bool = False) -> None:
        self.path = path
        self.noun = noun
        self.format = f"proxysample-{noun}-1"
        try:
            self._check_place(must_exist)
        except OSError as error:
            raise self._refusal(error) from error
        try:
            found = self._found_format()
            if found is None and must_exist:
                raise InputError(f"no {noun} at {path}, but an empty file; run one first")
            found = found or self._create()
        except (*DAMAGE, OSError) as error:
            raise self._refusal(error) from error
        if found != self.format:
            raise InputError(f"{path} has format {found!r}, not {self.format!r}")

    def _check_place(self, must_exist: bool) -> None:
        is_there = self.path.is_file()
        if must_exist and not is_there:
            raise InputError(f"no {self.noun} at {self.path}; run one first")
        if not self.path.parent.is_dir():
            raise InputError(f"the folder {self.path.parent} does not exist; make it first")
        # It would be made, or written to, wherever that leads.
        check_stays(self.path, Path(os.path.realpath(self.path.parent)))
        if is_there and 0 < self.path.stat().st_size < BYTES_OF_A_HEADER:
            raise self._refusal("it is no database, or cut")

    def _refusal(self, reason: object) -> InputError:
        if isinstance(reason, OSError):
            reason = (reason.strerror or str(reason)).lower()
        return InputError(
            f"{self.path} cannot be used as a {self.noun}'s store: {reason}{self._left_half()}"
        )

    def _left_half(self) -> str:
        """Say what is to be done where only one who may write to the file can undo a write."""
        journal = self.path.with_name(f"{self.path.name}-journal")
        try:
            if not journal.exists() or os.access(self.path.parent, os.W_OK):
                return ""
        # Who may not look, or of a name that no file can have.
        except OSError:
            return ""
        return (
            "; a process that wrote to it was killed, which is undone when somebody opens it who "
            "may write to it: do so once, or copy the folder and open the copy"
        )

    def _found_format(self) -> str | None:
        """Read the format of a store that is there; None where the file has no tables."""
        if not self.path.is_file():
            return None
        with closing(self._connect()) as connection:
            parts = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
            if not parts:
                return None
            # Before anything is read: a view would be run, and a trigger with the next result.
            self._check_parts(parts)
            rows = connection.execute("SELECT value FROM facts WHERE name = 'format'").fetchall()
        return str(rows[0][0]) if rows else "unknown"

    def _check_parts(self, parts: Sequence[tuple[Any, ...]]) -> None:
        """Refuse whatever is not a table that a store has, word for word."""
        own = {_words(table) for table in TABLES}
        for kind, name, sql in parts:
            if kind == "index" and sql is None:
                continue  # SQLite's own, of a primary key
            if _words(str(sql)) not in own:
                raise InputError(
                    f"{self.path} holds a {kind} {shown(name)} that no {self.noun} makes: it is "
                    f"not a {self.noun}'s store, or was changed"
                )
        missing = own - {_words(str(sql)) for _, _, sql in parts}
        if missing:
            raise InputError(
                f"{self.path} lacks a table: {min(missing):.40}...; it is not a {self.noun}'s store"
            )

    def _create(self) -> str:
        # SQLite would keep the group out, whatever the umask says.
        self.path.touch()
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have made the tables in the meantime.
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for table in TABLES:
                    connection.execute(table)
                connection.execute("INSERT INTO facts VALUES ('format', ?)", [self.format])
            connection.execute("COMMIT")
        return self.format

    def _connect(self) -> sqlite3.Connection:
        # Never made here: one that was moved away would be begun anew in its old place.
        where = (
            f"file:{'//' if self.path.is_absolute() else ''}{quote(os.fsencode(self.path))}?mode=rw"
        )
        # Transactions begin where the code says so.
        connection = sqlite3.connect(where, timeout=SECONDS_TO_WAIT, isolation_level=None, uri=True)
        # A store may come from anyone: no function is called by what it says, and a damaged page
        # is told from a sound one.
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        return connection

    @property
    def file(self) -> str:
        """Names the file on this machine, wherever it is moved; a copy is another."""
        try:
            found = self.path.stat()
        except OSError:
            return ""
        return f"{found.st_dev}:{found.st_ino}"

    def check_whole(self) -> None:
        """Read all of the file; `InputError` where its parts are of different moments."""
        told = self.read("PRAGMA integrity_check(1)")
        if told != [("ok",)]:
            raise InputError(
                f"{self.path} was copied while it was written to, and is not whole ({told[0][0]}); "
                "copy it again while nothing runs"
            )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Read and write as the only writer; nothing is written if the block raises.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        try:
            with closing(self._connect()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    # On a full disk SQLite has undone everything by itself.
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
        except DAMAGE as error:
            raise InputError(
                self._unreachable() or f"cannot write to {self.path}: {error}"
            ) from error

    def write(self, statement: str, values: Sequence[Any]) -> None:
        """Run one statement that writes, as a transaction of its own."""
        with self.transaction() as connection:
            connection.execute(statement, values)

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Give all rows of a query; `InputError` where the file cannot be read."""
        try:
            with closing(self._connect()) as connection:
                return connection.execute(statement, values).fetchall()
        except DAMAGE as error:
            raise InputError(
                self._unreachable() or f"cannot read {self.path}: {error}{self._left_half()}"
            ) from error

    def _unreachable(self) -> str | None:
        """Say that the file is gone, if it is."""
        if self.path.is_file():
            return None
        return (
            f"{self.path} is gone: it was removed or moved while it was in use; go on in the "
            "folder where it is now, or begin anew"
        )


def _words(sql: str) -> str:
    return " ".join(sql.split())


@dataclass(frozen=True)
class Contents:
    """What the rows of one kind of experiment have to hold, whoever has written them.

    What is missing is not looked for: it is told of where it is needed.

    Attributes
    ----------
    result : mapping of str to Kind
        Values by name.
    specification : mapping of str to Kind
        Values of what decides the result.
    parts : mapping of str to mapping
        Values that lie deeper in a result, by the names of the mappings that hold them, such as
        ``"machine"``, or ``"info.parameters"`` within ``"info"``. Their mappings stand first.
    """

    result: Mapping[str, Kind] = field(default_factory=dict)
    specification: Mapping[str, Kind] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, Kind]] = field(default_factory=dict)

    def check(self, result: Any, where: str) -> None:
        """Check the values of a result.

        Parameters
        ----------
        result : object
            What JSON gave.
        where : str
            What holds it, for messages.

        Raises
        ------
        InputError
            If a value is of another type or cannot be.

        Examples
        --------
        >>> contents = Contents({"seconds": AMOUNT}, parts={"machine": {"device": TEXT}})
        >>> contents.check({"seconds": 1.5, "machine": {"device": 3}}, "a result")
        Traceback (most recent call last):
        ...
        proxysample.errors.InputError: a result is damaged: its device is 3, not a text
        """
        check_values(result, self.result, where)
        for names, kinds in self.parts.items():
            part = result
            for name in names.split("."):
                part = part.get(name, {})
            check_values(part, kinds, where)


def check_row(row: tuple[Any, ...], kinds: Mapping[str, Kind], where: str) -> None:
    """Check a row whose columns stand in the order of their kinds.

    Examples
    --------
    >>> check_row(("1f", "done", "noon"), STATE, "an experiment")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: an experiment is damaged: its finished is 'noon', not a number of at least 0
    """  # noqa: E501
    check_values(dict(zip(kinds, row, strict=True)), kinds, where)


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
    """Finished experiments, in one SQLite file.

    Each experiment is written in one transaction when it has finished, so a process killed at
    any moment loses at most the experiments that it was in. A result is never replaced: were an
    experiment run twice, the first result stays.

    Parameters
    ----------
    path : str or Path
        Made where it does not exist, unless `must_exist`.
    kinds : mapping of str to Contents
        What is kept, and what its rows have to hold; a row of another kind is refused.
    noun : str
        What the experiments belong to, such as ``"study"``; a store of another is refused.
    must_exist : bool
        For reading: a missing file is an error.

    Attributes
    ----------
    database : Database
        The file, with the claims of those that run the experiments; see
        `proxysample.experiments.claims`.

    Raises
    ------
    InputError
        If the file is missing, damaged or something else, or its folder is missing.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "numbers.sqlite"
    >>> store = Store(path, {"doubling": Contents({"number": AMOUNT})}, noun="doubling")
    >>> store.put("doubling", {"number": 21}, {"number": 42})
    >>> store.get("doubling", {"number": 21}).result
    {'number': 42}
    """

    def __init__(
        self,
        path: str | Path,
        kinds: Mapping[str, Contents],
        *,
        noun: str,
        must_exist: bool = False,
    ) -> None:
        self.path = as_path(path)
        self.kinds = kinds
        self.database = Database(self.path, noun, must_exist=must_exist)
        self._columns = STATE | TEXTS | {"kind": one_of(*kinds)}

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
            One of `kinds`.
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
        if kind not in self.kinds:
            raise ValueError(f"{self.path} keeps {', '.join(self.kinds)}, not {kind}")
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
        """Look one experiment up; for many of a kind see `results`.

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

    def results(self, kind: str, keys: Set[str] | None = None) -> dict[str, Record]:
        """Give the experiments of a kind that are done, by their keys, in one query.

        Parameters
        ----------
        kind : str
            See `put`.
        keys : set of str, optional
            Those that are wanted, so that no others are parsed; all by default.

        Returns
        -------
        dict of str to Record
            Oldest first, without their payloads.
        """
        columns = COLUMNS.replace("payload", "NULL")
        rows = self.database.read(
            f"SELECT {columns} FROM experiments WHERE kind = ? AND status = 'done' "
            "ORDER BY finished",
            [kind],
        )
        return {row[0]: self._record(row) for row in rows if keys is None or row[0] in keys}

    def failures(self) -> list[Record]:
        """List the experiments that failed, oldest first."""
        rows = self.database.read(
            f"SELECT {COLUMNS} FROM experiments WHERE status = 'failed' ORDER BY finished"
        )
        return [self._record(row) for row in rows]

    def states(self) -> dict[str, tuple[str, float]]:
        """Give every finished experiment's status and the second it finished in, by its key."""
        rows = self.database.read("SELECT key, status, finished FROM experiments")
        for row in rows:
            check_row(row, STATE, f"an experiment in {self.path}")
        return {key: (status, finished) for key, status, finished in rows}

    def set_info(self, name: str, value: str) -> None:
        """Keep what holds of all experiments, such as their configuration."""
        self.database.write("INSERT OR REPLACE INTO facts VALUES (?, ?)", [name, value])

    def info(self, name: str) -> str | None:
        """Look up what `set_info` kept; None where it is not there."""
        rows = self.database.read("SELECT value FROM facts WHERE name = ?", [name])
        return str(rows[0][0]) if rows else None

    def describe(self, configuration: str, known: str) -> None:
        """Keep what is compared, and what is known of its data."""
        self.set_info("configuration", configuration)
        self.set_info("facts", known)

    def description(self) -> tuple[str, str] | None:
        """Look up what `describe` kept; None where nothing was run."""
        written, known = self.info("configuration"), self.info("facts")
        return None if written is None or known is None else (written, known)

    def _record(self, row: tuple[Any, ...]) -> Record:
        key, kind, specification, status, result, payload, error, traceback, finished = row
        where = f"an experiment in {self.path}"
        checked = (key, status, finished, payload, error, traceback, kind)
        check_row(checked, self._columns, where)
        contents = self.kinds[kind]
        named = read_json(specification, where, explain_missing=True)
        check_values(named, contents.specification, where)
        if not _is_named_by(key, kind, named):
            raise InputError(f"{where} is damaged: its specification is not what its key names")
        found = None if result is None else read_json(result, where, explain_missing=True)
        if (status == "done") != bool(found):
            has = "a" if found else "no"
            raise InputError(f"{where} is damaged: it is {status}, and has {has} result")
        if found is not None:
            contents.check(found, where)
        return Record(key, kind, named, status, found, payload, error, traceback, finished)


def _is_named_by(key: str, kind: str, specification: Mapping[str, Any]) -> bool:
    try:
        return experiment_key(kind, specification) == key
    except ValueError:  # it holds NaN, as no specification does
        return False
