"""Where experiments run: in this process, or in several on this machine."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cached_property
from multiprocessing.connection import wait
from pathlib import Path
from typing import Self

import torch
from threadpoolctl import threadpool_limits

from proxysample.errors import InputError, ProxysampleError
from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.tasks import Outcome, Task, Workbench, attempt


class WorkerDiedError(ProxysampleError, RuntimeError):
    """A worker process ended without an answer."""


class InProcess:
    """Runs tasks one after another, here.

    Parameters
    ----------
    workbench : Workbench
        Of this process; it says whether tasks show progress bars.
    n_threads : int
        Threads of each task on a CPU. Sums of floats depend on it in their last bits, so it is
        the same wherever a task runs.
    """

    def __init__(self, workbench: Workbench, *, n_threads: int = 1) -> None:
        self.n_threads = n_threads
        self.workbench = workbench

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Outcome]]:
        """Run tasks.

        Parameters
        ----------
        tasks : sequence of Task

        Yields
        ------
        task : Task
        outcome : Outcome
        """
        for task in tasks:
            with _threads(self.n_threads):
                outcome = attempt(task, self.workbench)
            yield task, outcome


class LocalProcesses:
    """Runs tasks side by side, in processes that live until the ``with`` block ends.

    Parameters
    ----------
    configuration : StudyConfiguration
    folder : Path
        Of the study.
    n_workers : int
        Processes; each reads the dataset once.
    n_threads : int
        See `InProcess`.
    """

    def __init__(
        self,
        configuration: StudyConfiguration,
        folder: Path,
        *,
        n_workers: int,
        n_threads: int = 1,
    ) -> None:
        self.configuration = configuration
        self.folder = folder
        self.n_workers = n_workers
        self.n_threads = n_threads

    @cached_property
    def _pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.n_workers,
            # A forked child would inherit torch's thread pool and the parent's locks.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(self.configuration, self.folder, self.n_workers),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if "_pool" in vars(self):
            self._pool.shutdown(wait=True, cancel_futures=True)
            del self._pool

    def execute(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Outcome]]:
        """Run tasks.

        Parameters
        ----------
        tasks : sequence of Task

        Yields
        ------
        task : Task
        outcome : Outcome
            In the order in which they finish.

        Raises
        ------
        WorkerDiedError
            If a process ended without an answer, as one does that runs out of memory.
        """
        try:
            futures = {self._pool.submit(_work, task, self.n_threads): task for task in tasks}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise WorkerDiedError(
                "a worker process ended without an answer, perhaps for want of memory; what had "
                "finished is kept: run the study again with fewer workers"
            ) from error


Executor = InProcess | LocalProcesses

_workbench: Workbench | None = None


def _start_worker(configuration: StudyConfiguration, folder: Path, n_workers: int) -> None:
    global _workbench
    _workbench = Workbench(configuration, folder, n_side_by_side=n_workers)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End a worker whose parent was killed: it would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _work(task: Task, n_threads: int) -> Outcome:
    assert _workbench is not None  # _start_worker has run
    with _threads(n_threads):
        return attempt(task, _workbench)


@contextmanager
def _threads(n_threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        # torch has a thread count of its own; scikit-learn and numpy follow their pools'.
        with threadpool_limits(n_threads):
            yield
    finally:
        torch.set_num_threads(before)


def create_executor(
    workbench: Workbench, *, n_workers: int | None = None, n_threads: int = 1
) -> Executor:
    """Choose where experiments run.

    Parameters
    ----------
    workbench : Workbench
        Of this process; its tasks' progress bars show where tasks run one after another.
    n_workers : int, optional
        Processes; 1 stays in this one. By default one for each `n_threads` cores, and one
        where there is a GPU.
    n_threads : int
        See `InProcess`.

    Returns
    -------
    InProcess or LocalProcesses

    Raises
    ------
    InputError
        If a number is below 1.
    """
    for name, value in (("n_workers", n_workers), ("n_threads", n_threads)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")
    if n_workers is None:
        cores = os.cpu_count() or 1
        n_workers = 1 if torch.cuda.is_available() else max(1, cores // n_threads)
    if n_workers == 1:
        return InProcess(workbench, n_threads=n_threads)
    return LocalProcesses(
        workbench.configuration, workbench.folder, n_workers=n_workers, n_threads=n_threads
    )
