"""Claims: which runner is at which experiment, kept in the study's store."""

from __future__ import annotations

import time
from dataclasses import dataclass

from proxysample_nas.study.store.contents import CLAIM, RUNNER, check_row
from proxysample_nas.study.store.database import Database
from proxysample_nas.study.store.process_identity import ProcessIdentity


@dataclass(frozen=True)
class RunnerRecord:
    """A process that runs a study.

    Attributes
    ----------
    id : str
        Drawn at random when it began.
    identity : ProcessIdentity
    n_workers : int
        Experiments that it runs side by side.
    started, heartbeat : float
        When it began, and when it last said that it lives, in seconds since 1970.
    """

    id: str
    identity: ProcessIdentity
    n_workers: int
    started: float
    heartbeat: float


@dataclass(frozen=True)
class Claim:
    """An experiment that a runner is at.

    Attributes
    ----------
    key : str
        The experiment's.
    runner : str
        The runner's id.
    since : float
        When the runner claimed it, in seconds since 1970.
    """

    key: str
    runner: str
    since: float


class Claims:
    """The runners and claims in a study's store; each method is one transaction.

    An experiment is claimed by one runner at most, and only while it has no result.

    Parameters
    ----------
    database : Database
        Of the store.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def beat(self, runner: RunnerRecord) -> None:
        """Write that a runner lives now; it is added where it is missing.

        Parameters
        ----------
        runner : RunnerRecord
            Its heartbeat is not read.
        """
        one = runner.identity
        self.database.write(
            "INSERT OR REPLACE INTO runners VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                runner.id,
                one.host,
                one.pid,
                one.machine,
                one.process,
                runner.n_workers,
                runner.started,
                time.time(),
            ],
        )

    def claim(self, key: str, runner: str, failed_at: float | None = None) -> bool:
        """Claim an experiment.

        Parameters
        ----------
        key : str
            See `proxysample_nas.study.store.store.experiment_key`.
        runner : str
            The runner's id.
        failed_at : float, optional
            When the experiment failed, where it is to be tried again. A failure since then is
            another runner's, and stands.

        Returns
        -------
        bool
            False where the experiment has ended, or another runner is at it.
        """
        with self.database.transaction() as connection:
            ended = connection.execute(
                "SELECT status, finished FROM experiments WHERE key = ?", [key]
            ).fetchone()
            if ended not in (None, ("failed", failed_at)):
                return False
            added = connection.execute(
                "INSERT OR IGNORE INTO claims VALUES (?, ?, ?)", [key, runner, time.time()]
            )
            return added.rowcount == 1

    def remove(self, runner: RunnerRecord) -> bool:
        """Remove a runner and all its claims, unless it has shown a sign of life meanwhile.

        Parameters
        ----------
        runner : RunnerRecord
            As it was read.

        Returns
        -------
        bool
            False where it lives, or was removed before.
        """
        with self.database.transaction() as connection:
            removed = connection.execute(
                "DELETE FROM runners WHERE id = ? AND heartbeat = ?", [runner.id, runner.heartbeat]
            )
            if removed.rowcount:
                connection.execute("DELETE FROM claims WHERE runner = ?", [runner.id])
            return bool(removed.rowcount)

    def leave(self, runner: str) -> None:
        """Remove a runner that ends, and all its claims.

        Parameters
        ----------
        runner : str
            Its id.
        """
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM claims WHERE runner = ?", [runner])
            connection.execute("DELETE FROM runners WHERE id = ?", [runner])

    def runners(self) -> list[RunnerRecord]:
        """List the runners, oldest first."""
        rows = self.database.read(
            "SELECT id, host, pid, machine, process, n_workers, started, heartbeat FROM runners "
            "ORDER BY started"
        )
        for row in rows:
            check_row(row, RUNNER, f"a runner in {self.database.path}")
        return [
            RunnerRecord(name, ProcessIdentity(*identity), n_workers, started, heartbeat)
            for name, *identity, n_workers, started, heartbeat in rows
        ]

    def held(self) -> list[Claim]:
        """List the claims, oldest first."""
        rows = self.database.read("SELECT key, runner, since FROM claims ORDER BY since")
        for row in rows:
            check_row(row, CLAIM, f"a claim in {self.database.path}")
        return [Claim(*row) for row in rows]
