"""Run experiments side by side, in processes on this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from proxysample.errors import InputError
from proxysample_nas.study.executors.base import Unfit, WorkerDiedError
from proxysample_nas.study.executors.local_worker import READY, work
from proxysample_nas.study.executors.pool import WorkerPool
from proxysample_nas.study.experiments.tasks import Outcome, Task
from proxysample_nas.study.experiments.workbench import Workbench

SECONDS_TO_END = 5.0
"""How long a process may take to end before it is killed."""


@dataclass(eq=False)
class LocalWorker:
    """A process that runs tasks.

    Attributes
    ----------
    process : SpawnProcess
    connection : Connection
        Tasks go in, outcomes come out.
    is_ready : bool
        Whether it has read the study's data.
    """

    process: SpawnProcess
    connection: Connection
    is_ready: bool = False


class LocalProcesses(WorkerPool[LocalWorker]):
    """Runs tasks side by side, in processes that live until the ``with`` block ends.

    Parameters
    ----------
    workbench : Workbench
        Of this process; each worker reads the same data again, and checks that they are the
        same.
    n_workers : int
        Processes.
    n_threads : int
        See `InProcess`.
    """

    def __init__(self, workbench: Workbench, *, n_workers: int, n_threads: int = 1) -> None:
        super().__init__(n_workers)
        self.workbench = workbench
        self.n_threads = n_threads

    def _start_worker(self) -> LocalWorker:
        # A forked child would inherit torch's thread pool and this process's locks.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        bench = self.workbench.for_worker(self.n_workers)
        process = context.Process(
            target=work, args=(theirs, bench, self.workbench.facts(), self.n_threads)
        )
        process.start()
        # Only the child holds its end now: when it dies, reading from ours ends.
        theirs.close()
        return LocalWorker(process, ours)

    def _give(self, worker: LocalWorker, task: Task) -> None:
        with contextlib.suppress(OSError):
            worker.connection.send(task)

    def _answers(
        self, workers: list[LocalWorker], timeout: float
    ) -> list[tuple[LocalWorker, Outcome | WorkerDiedError]]:
        by_connection = {worker.connection: worker for worker in workers}
        answers = []
        for connection in wait(list(by_connection), timeout):
            worker = by_connection[connection]  # type: ignore[index]
            answer = _receive(worker)
            if answer is not None:
                answers.append((worker, answer))
        return answers

    def _stop_workers(self, workers: list[LocalWorker]) -> None:
        for worker in workers:
            worker.process.terminate()
            worker.connection.close()
        for worker in workers:
            worker.process.join(SECONDS_TO_END)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _receive(worker: LocalWorker) -> Outcome | WorkerDiedError | None:
    """Give a worker's answer, or how it died; None where it says that it is ready."""
    try:
        message = worker.connection.recv()
    except (EOFError, OSError):
        return _died(worker)
    if isinstance(message, Unfit):
        raise InputError(message.reason)
    if message == READY:
        worker.is_ready = True
        return None
    assert isinstance(message, Outcome)
    return message


def _died(worker: LocalWorker) -> WorkerDiedError:
    worker.process.join()
    code = worker.process.exitcode
    death = WorkerDiedError(f"a worker process ended without an answer (exit code {code})")
    if not worker.is_ready:
        raise WorkerDiedError(
            f"a worker process ended before it could begin (exit code {code}). A script that runs "
            'a study in several processes needs `if __name__ == "__main__":`; or there is too '
            "little memory for another copy of the data: use fewer workers"
        ) from death
    return death
