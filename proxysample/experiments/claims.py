"""Claims: which runner is at which experiment, and whether the runner still lives."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from proxysample.errors import InputError
from proxysample.experiments.store import Database, check_row
from proxysample.records import AMOUNT, POSITIVE, TEXT, Kind

SECONDS_BETWEEN_HEARTBEATS = 10.0
SECONDS_UNTIL_GONE = 120.0
"""How long another machine's runner may be silent before its experiments are taken over."""

# Process numbers are given from 1 on; no system's are larger.
PROCESS = Kind("a process's number", lambda value: POSITIVE.accepts(value) and value < 1 << 31)
RUNNER = {
    "id": TEXT,
    "host": TEXT,
    "pid": PROCESS,
    "machine": TEXT,
    "process": TEXT,
    "n_workers": POSITIVE,
    "started": AMOUNT,
    "heartbeat": AMOUNT,
}
CLAIM = {"key": TEXT, "runner": TEXT, "since": AMOUNT}

# Ids of this process's runners: one that could not remove itself from a full disk is told by them.
_LIVE_HERE: set[str] = set()


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, named so that no other is taken for it.

    Attributes
    ----------
    host : str
        Name of its machine, for people.
    pid : int
        Its number on that machine.
    machine : str
        The machine since its last start, and the container: where `pid` has a meaning.
    process : str
        When the process was started, since numbers are given again; empty where unknown.

    Examples
    --------
    >>> ProcessIdentity.here().is_alive()
    True
    """

    host: str
    pid: int
    machine: str
    process: str

    @classmethod
    def here(cls) -> ProcessIdentity:
        """Name this process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _machine(), _state_and_start(pid)[1])

    def is_alive(self) -> bool | None:
        """Tell whether the process lives; None where this machine cannot, as of another's."""
        if self.machine != _machine() or os.name != "posix":
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # it lives, and is another user's
        state, start = _state_and_start(self.pid)
        if not start or not self.process:
            return None
        # A process that was killed stays a zombie until its parent asks what became of it.
        return start == self.process and state not in ("Z", "X")


def _machine() -> str:
    """Name the machine, this start of it, and the space in which process numbers are given."""
    words = [socket.gethostname()]
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.exists():
        words += [boot.read_text().strip(), str(Path("/proc/self/ns/pid").readlink())]
    return " ".join(words)


def _state_and_start(pid: int) -> tuple[str, str]:
    """Read a process's state and the tick it was started at; empty where the system has none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", ""
    # The second field is the program's name in brackets, and may hold anything.
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[19]


@dataclass(frozen=True)
class RunnerRecord:
    """A process that runs experiments of a store.

    Attributes
    ----------
    id : str
        Drawn at random when it began.
    identity : ProcessIdentity
    n_workers : int
        Experiments that it runs side by side.
    started, heartbeat : float
        When it began, and when it last said that it lives, in seconds since 1970.
    is_of_copied : bool
        Whether it runs the experiments of the file that its store was copied from.
    """

    id: str
    identity: ProcessIdentity
    n_workers: int
    started: float
    heartbeat: float
    is_of_copied: bool = False


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
    """The runners and claims in a store; each method is one transaction.

    An experiment is claimed by one runner at most, and only while it has no result.

    Parameters
    ----------
    database : Database
        Of the store.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def beat(self, runner: RunnerRecord) -> None:
        """Write that a runner lives now; it is added where it is missing."""
        one = runner.identity
        self.database.write(
            "INSERT OR REPLACE INTO runners VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                runner.id,
                one.host,
                one.pid,
                one.machine,
                f"{one.process} {self.database.file}",
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
            The experiment's.
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
        """Remove a runner and all its claims, unless it has shown a sign of life since it was read.

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
        """Remove the runner of an id, which ends, and all its claims."""
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
        return [self._record(*row) for row in rows]

    def _record(
        self,
        name: str,
        host: str,
        pid: int,
        machine: str,
        process: str,
        n_workers: int,
        started: float,
        heartbeat: float,
    ) -> RunnerRecord:
        process, _, file = process.partition(" ")
        identity = ProcessIdentity(host, pid, machine, process)
        # Another machine may know the file under another name.
        is_of_copied = bool(file) and machine == _machine() and file != self.database.file
        return RunnerRecord(name, identity, n_workers, started, heartbeat, is_of_copied)

    def held(self) -> list[Claim]:
        """List the claims, oldest first."""
        rows = self.database.read("SELECT key, runner, since FROM claims ORDER BY since")
        for row in rows:
            check_row(row, CLAIM, f"a claim in {self.database.path}")
        return [Claim(*row) for row in rows]


def is_gone(
    runner: RunnerRecord, seconds_silent: float, seconds_until_gone: float = SECONDS_UNTIL_GONE
) -> bool:
    """Tell whether a runner has ended, in order or not.

    A runner of this process is gone when it has left, one on this machine when its process has
    ended, and one that came with a copied store at once: it lives elsewhere, if at all. Of one on
    another machine nothing is known but how long it has been silent.

    Parameters
    ----------
    runner : RunnerRecord
    seconds_silent : float
        Since its last heartbeat.
    seconds_until_gone : float
        How long another machine's runner may be silent.
    """
    if runner.is_of_copied:
        return True
    if runner.identity == ProcessIdentity.here():
        return runner.id not in _LIVE_HERE
    is_alive = runner.identity.is_alive()
    return seconds_silent > seconds_until_gone if is_alive is None else not is_alive


class LiveRunner:
    """Takes part in running experiments as this process, from entering ``with`` to leaving it.

    A thread renews its heartbeat. On leaving, its claims end. A store that was copied from one
    that is in use has to be whole.

    Parameters
    ----------
    claims : Claims
    runner_id : str
        Of its own.
    n_workers : int
        Experiments that it runs side by side.
    seconds_between_heartbeats, seconds_until_gone : float
    """

    def __init__(
        self,
        claims: Claims,
        runner_id: str,
        n_workers: int,
        *,
        seconds_between_heartbeats: float = SECONDS_BETWEEN_HEARTBEATS,
        seconds_until_gone: float = SECONDS_UNTIL_GONE,
    ) -> None:
        self.claims = claims
        self.id = runner_id
        self.seconds_between_heartbeats = seconds_between_heartbeats
        self.seconds_until_gone = seconds_until_gone
        now = time.time()
        self._record = RunnerRecord(self.id, ProcessIdentity.here(), n_workers, now, now)
        self._last_signs: dict[str, tuple[float, float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat_until_ended, daemon=True)

    def __enter__(self) -> Self:
        if any(one.is_of_copied for one in self.claims.runners()):
            self.claims.database.check_whole()
        self.claims.beat(self._record)
        _LIVE_HERE.add(self.id)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        # First: on a full disk the claims stay, and another runner has to see that this is gone.
        _LIVE_HERE.discard(self.id)
        self.claims.leave(self.id)

    def claim(self, key: str, failed_at: float | None = None) -> bool:
        """Claim an experiment; see `Claims.claim`."""
        return self.claims.claim(key, self.id, failed_at)

    def remove_gone(self) -> list[str]:
        """Free the experiments of runners that are gone.

        See `is_gone`. How long a runner has been silent is told by this machine's clock from
        heartbeats that change, so that clocks that differ do no harm.

        Returns
        -------
        list of str
            Ids of the runners that were gone.
        """
        others = [one for one in self.claims.runners() if one.id != self.id]
        return [
            one.id
            for one in others
            if is_gone(one, self._seconds_silent(one), self.seconds_until_gone)
            and self.claims.remove(one)
        ]

    def _seconds_silent(self, runner: RunnerRecord) -> float:
        now = time.monotonic()
        heartbeat, seen = self._last_signs.get(runner.id, (None, now))
        if heartbeat != runner.heartbeat:
            self._last_signs[runner.id] = (runner.heartbeat, now)
            return 0.0
        return now - seen

    def _beat_until_ended(self) -> None:
        while not self._ended.wait(self.seconds_between_heartbeats):
            try:
                self.claims.beat(self._record)
            except InputError:
                # The file is out of reach for a while. Should it stay so, this runner's results
                # cannot be kept, and writing them says why.
                continue
