"""Run experiments side by side, in processes on this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from proxysample.errors import InputError
from proxysample.experiments.executors import (
    HOW_TO_BE_FOUND,
    Unfit,
    WorkerDiedError,
    WorkerPool,
    fixed_threads,
    reason_not_to_work,
    sendable,
)
from proxysample.experiments.experiment import Context, Experiment, Outcome, attempt
from proxysample.printing import teller_of_warnings

READY = "ready"
"""What a worker says once its context has read everything."""

SECONDS_TO_END = 5.0
"""How long a process may take to end before it is killed."""


@dataclass(eq=False)
class LocalWorker:
    """A process that runs experiments; `connection` takes them in, and gives outcomes."""

    process: SpawnProcess
    connection: Connection
    is_ready: bool = False


class LocalProcesses(WorkerPool[LocalWorker]):
    """Runs experiments side by side, in processes that live until the ``with`` block ends.

    Parameters
    ----------
    context : Context
        Of this process; each worker reads the same data again, and checks that they are the
        same.
    n_workers : int
        Processes.
    n_threads : int
        See `proxysample.experiments.executors.InProcess`.
    """

    def __init__(self, context: Context, *, n_workers: int, n_threads: int = 1) -> None:
        super().__init__(n_workers)
        self.context = context
        self.n_threads = n_threads

    def _start_worker(self) -> LocalWorker:
        # A forked child would inherit torch's thread pool and this process's locks.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self.n_threads))
        process.start()
        # Only the child holds its end now: when it dies, reading from ours ends.
        theirs.close()
        worker = LocalWorker(process, ours)
        # Not as an argument: what a worker cannot find there would end it before it could say so.
        try:
            _send(worker, (self.context.for_worker(self.n_workers), self.context.info()))
        except BaseException:
            # Nobody else knows of it yet, and Python waits for it at its own end.
            self._stop_workers([worker])
            raise
        return worker

    def _give(self, worker: LocalWorker, experiment: Experiment[Any]) -> None:
        _send(worker, experiment)

    def _answers(
        self, workers: list[LocalWorker], timeout: float
    ) -> list[tuple[LocalWorker, Outcome | WorkerDiedError]]:
        by_connection = {worker.connection: worker for worker in workers}
        answers = []
        for connection in wait(list(by_connection), timeout):
            worker = by_connection[connection]  # type: ignore[index]
            answer = _receive(worker, self.context.noun)
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


def _send(worker: LocalWorker, message: object) -> None:
    # If the worker has died, receiving from it will tell.
    with sendable(), contextlib.suppress(OSError):
        worker.connection.send(message)


def _receive(worker: LocalWorker, noun: str) -> Outcome | WorkerDiedError | None:
    """Give a worker's answer, or how it died; None where it says that it is ready."""
    try:
        message = worker.connection.recv()
    except (EOFError, OSError):
        return _died(worker, noun)
    if isinstance(message, Unfit):
        raise InputError(message.reason)
    if message == READY:
        worker.is_ready = True
        return None
    assert isinstance(message, Outcome)
    return message


def _died(worker: LocalWorker, noun: str) -> WorkerDiedError:
    worker.process.join()
    code = worker.process.exitcode
    death = WorkerDiedError(f"a worker process ended without an answer (exit code {code})")
    if not worker.is_ready:
        raise WorkerDiedError(
            f"a worker process ended before it could begin (exit code {code}). A script that runs "
            f'a {noun} in several processes needs `if __name__ == "__main__":`; or there is too '
            "little memory for another copy of the data: use fewer workers"
        ) from death
    return death


def work(connection: Connection, n_threads: int) -> None:
    """Take a context, read its data, then run experiments until the connection is closed.

    It is what a worker process does.
    """
    # Ctrl-C reaches every process of a terminal; the parent decides what becomes of this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Leaving by an exception, Python gives back what it has of the system's semaphores.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Once in a process, not once in each experiment.
    warnings.showwarning = teller_of_warnings(_write_line)
    try:
        context, expected = connection.recv()
    except EOFError:
        return
    except Exception as error:
        reason = f"a worker process cannot read what it is to work with: {error}"
        connection.send(Unfit(f"{reason}; {HOW_TO_BE_FOUND}"))
        return
    unfit = reason_not_to_work(context, expected)
    if unfit is not None:
        connection.send(Unfit(unfit))
        return
    connection.send(READY)
    while True:
        try:
            experiment = connection.recv()
        except EOFError:
            return
        except Exception as error:
            # Its class or a part of it is not found here; the others may well be.
            connection.send(Outcome.failed(error))
            continue
        with fixed_threads(n_threads):
            outcome = attempt(experiment, context)
        connection.send(outcome)


def _write_line(line: str) -> None:
    # Where nobody reads it any more, it is lost.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{line}\n")


def _end_with_parent() -> None:
    """End a worker whose parent was killed, in the middle of an experiment if need be."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
