"""A pool of workers that may die: what processes here and on a cluster have in common."""

from __future__ import annotations

import abc
from typing import Generic, TypeVar

from proxysample_nas.study.executors.base import MOST_ATTEMPTS, Executor, WorkerDiedError
from proxysample_nas.study.experiments.tasks import Outcome, Task

WorkerT = TypeVar("WorkerT")


class WorkerPool(Executor, Generic[WorkerT]):
    """Runs tasks in workers that are started when they are needed, and replaced when they die.

    A task whose worker dies is given to a new worker once more: what killed the first may have
    had nothing to do with it. If that dies too, the task has failed.

    Parameters
    ----------
    n_workers : int
        Workers at a time.
    """

    def __init__(self, n_workers: int) -> None:
        super().__init__(n_workers)
        self._idle: list[WorkerT] = []
        self._busy: dict[WorkerT, Task] = {}
        self._attempts: dict[Task, int] = {}

    @property
    def n_running(self) -> int:
        """How many tasks were submitted and have not been collected."""
        return len(self._busy)

    def submit(self, task: Task) -> None:
        """Give a task to an idle worker, or to a new one."""
        worker = self._idle.pop() if self._idle else self._start_worker()
        self._busy[worker] = task
        self._attempts[task] = self._attempts.get(task, 0) + 1
        self._give(worker, task)

    def collect(self, timeout: float) -> list[tuple[Task, Outcome]]:
        """Wait for answers; see `Executor.collect`."""
        ended = []
        for worker, answer in self._answers(list(self._busy), timeout):
            task = self._busy.pop(worker)
            if isinstance(answer, Outcome):
                self._idle.append(worker)
            elif self._attempts[task] < MOST_ATTEMPTS:
                self.submit(task)
                continue
            else:
                answer = Outcome(None, error=_describe(answer))
            del self._attempts[task]
            ended.append((task, answer))
        return ended

    def stop(self) -> None:
        """End all workers now, and drop what they are at."""
        workers = [*self._idle, *self._busy]
        self._idle.clear()
        self._busy.clear()
        self._attempts.clear()
        self._stop_workers(workers)

    @abc.abstractmethod
    def _start_worker(self) -> WorkerT:
        """Start a worker, without waiting until it is ready."""

    @abc.abstractmethod
    def _give(self, worker: WorkerT, task: Task) -> None:
        """Give a task to an idle worker; if that has died, `_answers` will tell."""

    @abc.abstractmethod
    def _answers(
        self, workers: list[WorkerT], timeout: float
    ) -> list[tuple[WorkerT, Outcome | WorkerDiedError]]:
        """Wait until some workers have an answer, or have died."""

    @abc.abstractmethod
    def _stop_workers(self, workers: list[WorkerT]) -> None:
        """End workers, whatever they are at."""


def _describe(death: WorkerDiedError) -> str:
    return (
        f"WorkerDiedError: {death}; {MOST_ATTEMPTS} workers have died of this experiment, perhaps "
        "for want of memory: retry it with fewer workers at a time"
    )
