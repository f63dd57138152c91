"""The SQLite file of a study: how it is opened, read and written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from proxysample.errors import InputError

FORMAT = "proxysample-study-1"

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

SECONDS_TO_WAIT = 60.0
"""How long to wait for another process that writes."""


class Database:
    """One SQLite file, opened anew for each operation, so that threads and processes share it.

    It keeps SQLite's rollback journal. A write-ahead log needs memory that all processes share,
    and so does not work between the machines of a network file system; the writes of a study
    are far too few for its speed to matter.

    Parameters
    ----------
    path : Path
        Made where it does not exist, unless `must_exist`.
    must_exist : bool
        A missing file is an error.

    Raises
    ------
    InputError
        If the file is missing, damaged or something else, or its folder is missing.
    """

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        self.path = path
        if must_exist and not path.is_file():
            raise InputError(f"no study at {path}; run one first")
        if not path.parent.is_dir():
            raise InputError(f"the folder {path.parent} does not exist; make it first")
        try:
            found = self._format() or self._create()
        except sqlite3.Error as error:
            raise InputError(f"{path} cannot be used as a study's store: {error}") from error
        if found != FORMAT:
            raise InputError(f"{path} has format {found!r}, not {FORMAT!r}")

    def _format(self) -> str | None:
        """Read the format of a study that is there; None where the file has no tables."""
        if not self.path.is_file():
            return None
        with closing(self._connect()) as connection:
            (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not n_tables:
                return None
            rows = connection.execute("SELECT value FROM facts WHERE name = 'format'").fetchall()
        return str(rows[0][0]) if rows else "unknown"

    def _create(self) -> str:
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have made the tables in the meantime.
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for table in TABLES:
                    connection.execute(table)
                connection.execute("INSERT INTO facts VALUES ('format', ?)", [FORMAT])
            connection.execute("COMMIT")
        return FORMAT

    def _connect(self) -> sqlite3.Connection:
        # Transactions begin where the code says so.
        return sqlite3.connect(self.path, timeout=SECONDS_TO_WAIT, isolation_level=None)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Read and write as the only writer; nothing is written if the block raises.

        Yields
        ------
        sqlite3.Connection

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
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise InputError(f"cannot write to {self.path}: {error}") from error

    def write(self, statement: str, values: Sequence[Any]) -> None:
        """Run one statement that writes, as a transaction of its own."""
        with self.transaction() as connection:
            connection.execute(statement, values)

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Give all rows of a query.

        Raises
        ------
        InputError
            If the file cannot be read.
        """
        try:
            with closing(self._connect()) as connection:
                return connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise InputError(f"cannot read {self.path}: {error}") from error
