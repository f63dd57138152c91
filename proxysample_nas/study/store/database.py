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

# A text that is none is told of by Python where it stands among SQLite's own tables.
DAMAGE = (sqlite3.Error, UnicodeDecodeError)

# SQLite takes a shorter file for an empty one, and writes over it.
BYTES_OF_A_HEADER = 100

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
        if path.is_file() and 0 < path.stat().st_size < BYTES_OF_A_HEADER:
            raise InputError(f"{path} cannot be used as a study's store: it is no database, or cut")
        try:
            found = self._format()
            if found is None and must_exist:
                raise InputError(f"no study at {path}, but an empty file; run one first")
            found = found or self._create()
        except DAMAGE as error:
            raise InputError(f"{path} cannot be used as a study's store: {error}") from error
        if found != FORMAT:
            raise InputError(f"{path} has format {found!r}, not {FORMAT!r}")

    def _format(self) -> str | None:
        """Read the format of a study that is there; None where the file has no tables."""
        if not self.path.is_file():
            return None
        with closing(self._connect()) as connection:
            parts = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
            if not parts:
                return None
            # Before anything is read: a view would be run, and a trigger with the next result.
            _check_parts(parts, self.path)
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
        connection = sqlite3.connect(self.path, timeout=SECONDS_TO_WAIT, isolation_level=None)
        # A store may come from anyone: no function is called by what it says, and a damaged page
        # is told from a sound one.
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        return connection

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
                    # On a full disk SQLite has undone everything by itself.
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
        except DAMAGE as error:
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
        except DAMAGE as error:
            raise InputError(f"cannot read {self.path}: {error}") from error


def _check_parts(parts: Sequence[tuple[Any, ...]], path: Path) -> None:
    """Refuse whatever is not a table that a study makes, word for word."""
    own = {_words(table) for table in TABLES}
    for kind, name, sql in parts:
        if kind == "index" and sql is None:
            continue  # SQLite's own, of a primary key
        if _words(str(sql)) not in own:
            raise InputError(
                f"{path} holds a {kind} {name!r:.80} that no study makes: it is not a study's "
                "store, or was changed"
            )
    missing = own - {_words(str(sql)) for _, _, sql in parts}
    if missing:
        raise InputError(f"{path} lacks a table: {min(missing):.40}...; it is not a study's store")


def _words(sql: str) -> str:
    return " ".join(sql.split())
