"""What a worker process on this machine does: read the data, then run tasks until told to end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection, wait

from proxysample.errors import ProxysampleError
from proxysample_nas.study.executors.base import Unfit
from proxysample_nas.study.executors.threads import fixed_threads
from proxysample_nas.study.experiments.facts import StudyFacts
from proxysample_nas.study.experiments.tasks import attempt
from proxysample_nas.study.experiments.workbench import Workbench

READY = "ready"
"""What a worker says once it has read the study's data."""


def work(
    connection: Connection, workbench: Workbench, expected: StudyFacts, n_threads: int
) -> None:
    """Run tasks until the connection is closed.

    Parameters
    ----------
    connection : Connection
        Tasks come in, outcomes go out.
    workbench : Workbench
        Of this process.
    expected : StudyFacts
        Of the data that the results are to be named by.
    n_threads : int
        See `InProcess`.
    """
    # Ctrl-C reaches every process of a terminal; the parent decides what becomes of this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Leaving by an exception, Python gives back what it has of the system's semaphores.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    reason = _unfit(workbench, expected)
    if reason is not None:
        connection.send(Unfit(reason))
        return
    connection.send(READY)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        with fixed_threads(n_threads):
            outcome = attempt(task, workbench)
        connection.send(outcome)


def _unfit(workbench: Workbench, expected: StudyFacts) -> str | None:
    try:
        facts = workbench.facts()
    except ProxysampleError as error:
        return f"a worker process cannot read the study's data: {error}"
    if facts != expected:
        return "the study's data have changed since the study began to run; run it again"
    return None


def _end_with_parent() -> None:
    """End a worker whose parent was killed, in the middle of a task if need be."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
