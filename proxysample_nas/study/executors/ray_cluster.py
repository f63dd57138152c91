"""Run experiments on a Ray cluster, or on a Ray that is started on this machine."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from proxysample.errors import InputError, MissingDependencyError
from proxysample_nas.study.executors.base import WorkerDiedError
from proxysample_nas.study.executors.pool import WorkerPool
from proxysample_nas.study.executors.ray_worker import RayWorker
from proxysample_nas.study.shipping import Shipment
from proxysample_nas.study.tasks import Outcome, Task
from proxysample_nas.study.workbench import Workbench


class RayCluster(WorkerPool[Any]):
    """Runs tasks in Ray actors that live until the ``with`` block ends.

    Each worker gets the data through Ray's object store: one copy on each machine, the same
    bits everywhere, and no dataset has to lie on the cluster's machines. What does have to be
    there is this package, in the same version. Results come back to this process, which writes
    them; what a search keeps between its epochs stays in the study's folder, where a worker
    sees that folder, and is not kept elsewhere.

    Parameters
    ----------
    workbench : Workbench
        Of this process.
    n_workers : int, optional
        Actors; by default as many as the cluster has room for.
    n_threads : int
        CPUs of each actor; see `InProcess`.
    n_gpus : float, optional
        GPUs of each actor, such as 0.25 for four side by side on one. By default one where the
        cluster has any.
    address : str, optional
        Of a running cluster, such as ``"auto"`` for this machine's; by default Ray is started
        here, and stopped at the end. A Ray to which this process is connected already is used,
        and left running.

    Raises
    ------
    MissingDependencyError
        If Ray is not installed.
    """

    def __init__(
        self,
        workbench: Workbench,
        *,
        n_workers: int | None = None,
        n_threads: int = 1,
        n_gpus: float | None = None,
        address: str | None = None,
    ) -> None:
        if find_spec("ray") is None:
            raise MissingDependencyError(
                "Ray is not installed: pip install 'proxysample[ray]', or choose the executor "
                "'processes'"
            )
        self.workbench = workbench
        self.n_threads = n_threads
        self._ray, self._was_started = _connect(address, n_workers, n_threads)
        try:
            self.n_gpus, n_most = self._room(n_threads, n_gpus)
            super().__init__(_n_actors(n_workers, n_most, n_threads, self.n_gpus))
            self._shipment = self._ray.put(Shipment.of(workbench))
        except BaseException:
            self._disconnect()
            raise
        self._calls: dict[Any, Any] = {}

    def stop(self) -> None:
        """End all workers now, and Ray with them where it was started for this study."""
        super().stop()
        self._disconnect()

    def _room(self, n_threads: int, n_gpus: float | None) -> tuple[float, int]:
        """Say how many GPUs each actor gets, and how many actors fit."""
        resources = self._ray.cluster_resources()
        if n_gpus is None:
            n_gpus = 1.0 if resources.get("GPU", 0) else 0.0
        n_most = int(resources.get("CPU", 0) // n_threads)
        if n_gpus:
            n_most = min(n_most, int(resources.get("GPU", 0) / n_gpus + 1e-9))
        return n_gpus, n_most

    def _start_worker(self) -> Any:
        bench = self.workbench.for_worker(self.n_workers)
        actor = self._ray.remote(RayWorker).options(
            num_cpus=self.n_threads, num_gpus=self.n_gpus, max_restarts=0, max_task_retries=0
        )
        return actor.remote(bench, self._shipment, self.n_threads)

    def _give(self, worker: Any, task: Task) -> None:
        self._calls[worker.run.remote(task)] = worker

    def _answers(
        self, workers: list[Any], timeout: float
    ) -> list[tuple[Any, Outcome | WorkerDiedError]]:
        if not workers:
            return []
        ready, _ = self._ray.wait(list(self._calls), timeout=timeout)
        return [(self._calls.pop(call), self._answer(call)) for call in ready]

    def _answer(self, call: Any) -> Outcome | WorkerDiedError:
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(call)
        except errors.ActorDiedError as error:
            if "creation task" in str(error) or "__init__" in str(error):
                raise WorkerDiedError(f"a worker ended before it could begin: {error}") from error
            return WorkerDiedError(f"a Ray worker ended without an answer: {_first_line(error)}")
        except (errors.RayActorError, errors.OutOfMemoryError) as error:
            return WorkerDiedError(f"a Ray worker ended without an answer: {_first_line(error)}")
        return outcome

    def _stop_workers(self, workers: list[Any]) -> None:
        self._calls.clear()
        for worker in workers:
            self._ray.kill(worker)

    def _disconnect(self) -> None:
        if self._was_started:
            self._ray.shutdown()
            self._was_started = False


def _connect(address: str | None, n_workers: int | None, n_threads: int) -> tuple[Any, bool]:
    """Import Ray and connect to it; say whether this is to be undone at the end."""
    import ray

    if ray.is_initialized():
        return ray, False
    settings: dict[str, Any] = {"address": address or "local", "log_to_driver": False}
    if address is None:
        settings |= {"include_dashboard": False}
        if n_workers is not None:
            # Rays counts cores, and would have experiments wait that were asked to share them.
            settings |= {"num_cpus": n_workers * n_threads}
    with _quiet_start():
        try:
            ray.init(logging_level=logging.ERROR, **settings)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(f"Ray cannot be reached at {address or 'local'}: {error}") from error
    return ray, True


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Keep Ray from reporting its use to its makers, and from handling this process's signals."""
    name = "RAY_USAGE_STATS_ENABLED"
    before = os.environ.get(name)
    os.environ.setdefault(name, "0")
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if is_main else None
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        if is_main:
            signal.signal(signal.SIGTERM, handler)


def _n_actors(n_workers: int | None, n_most: int, n_threads: int, n_gpus: float) -> int:
    each = f"{n_threads} CPUs" + (f" and {n_gpus:g} GPUs" if n_gpus else "")
    if n_most < 1:
        raise InputError(f"the Ray cluster has no room for a worker of {each}; ask for less")
    if n_workers is not None and n_workers > n_most:
        raise InputError(
            f"the Ray cluster has room for {n_most} workers of {each} each, not for {n_workers}; "
            "ask for fewer, or for less each"
        )
    return n_most if n_workers is None else n_workers


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
