"""What every executor does: take tasks while it has room, and give back what came of them."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Self

from proxysample.errors import ProxysampleError
from proxysample_nas.study.experiments.tasks import Outcome, Task

MOST_ATTEMPTS = 2
"""How often an experiment is given to a worker, where workers die of it."""


class WorkerDiedError(ProxysampleError, RuntimeError):
    """A worker process ended without an answer."""


@dataclass(frozen=True)
class Unfit:
    """What a worker answers that cannot work.

    Attributes
    ----------
    reason : str
    """

    reason: str


class Executor(abc.ABC):
    """Runs tasks, at most `n_workers` at a time, until its ``with`` block ends.

    Only as many tasks are taken as can be run at once, so that another runner of the same study
    finds the others free.

    Parameters
    ----------
    n_workers : int
        How many tasks can run side by side.
    """

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    @abc.abstractmethod
    def n_running(self) -> int:
        """How many tasks were submitted and have not been collected."""

    @property
    def has_room(self) -> bool:
        """Whether a task can be submitted."""
        return self.n_running < self.n_workers

    @abc.abstractmethod
    def submit(self, task: Task) -> None:
        """Take a task.

        Parameters
        ----------
        task : Task
            To be run as soon as possible; there has to be room for it.
        """

    @abc.abstractmethod
    def collect(self, timeout: float) -> list[tuple[Task, Outcome]]:
        """Wait until a task has ended.

        Parameters
        ----------
        timeout : float
            Return after so many seconds even if none has.

        Returns
        -------
        list of (Task, Outcome)
            Those that have ended; empty at once where none runs.

        Raises
        ------
        InputError
            If a worker cannot work, such as one that reads other data.
        WorkerDiedError
            If a worker ends before it could begin.
        """

    @abc.abstractmethod
    def stop(self) -> None:
        """End all workers now, and drop what they are at."""
