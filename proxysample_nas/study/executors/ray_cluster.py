"""Run experiments on a Ray cluster, or on a Ray that is started on this machine."""

from __future__ import annotations

from typing import Any

from proxysample.errors import InputError
from proxysample_nas.study.executors.base import Unfit, WorkerDiedError
from proxysample_nas.study.executors.pool import WorkerPool
from proxysample_nas.study.executors.ray_session import RaySession
from proxysample_nas.study.executors.ray_worker import RayWorker, versions
from proxysample_nas.study.experiments.shipping import Shipment
from proxysample_nas.study.experiments.tasks import Outcome, Task
from proxysample_nas.study.experiments.workbench import Workbench


class RayCluster(WorkerPool[Any]):
    """Runs tasks in Ray actors that live until the ``with`` block ends.

    Each worker gets the data through Ray's object store: one copy on each machine, the same
    bits everywhere, and no dataset has to lie on the cluster's machines. What does have to be
    there is this package, in the same version. Results come back to this process, which writes
    them. What a search keeps between its epochs lies in the study's folder, on the machine that
    runs the search; a worker that does not see such a folder keeps nothing, and a search whose
    worker dies begins anew.

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
        Of a running cluster, such as ``"auto"`` for this machine's. By default Ray is started
        here, and stopped at the end; see `RaySession`.

    Raises
    ------
    MissingDependencyError
        If Ray is not installed.
    InputError
        If the cluster cannot be reached, or has no room.
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
        self.workbench = workbench
        self.n_threads = n_threads
        n_cpus = None if n_workers is None else n_workers * n_threads
        self._session = RaySession(address, n_cpus)
        try:
            self.n_gpus, n_most = room(self._session.resources(), n_threads, n_gpus)
            super().__init__(n_actors(n_workers, n_most, n_threads, self.n_gpus))
            self._shipment = self._session.ray.put(Shipment.of(workbench))
        except BaseException:
            self._session.close()
            raise
        self._calls: dict[Any, Any] = {}
        self._begun: dict[Any, Any] = {}

    def stop(self) -> None:
        """End all workers now, and Ray with them where it was started for this study."""
        try:
            super().stop()
        finally:
            self._session.close()

    def _start_worker(self) -> Any:
        actor = self._session.ray.remote(RayWorker).options(
            num_cpus=self.n_threads, num_gpus=self.n_gpus, max_restarts=0, max_task_retries=0
        )
        bench = self.workbench.for_worker(self.n_workers)
        worker = actor.remote(bench, self._shipment, self.n_threads, versions())
        self._begun[worker] = worker.begin.remote()
        return worker

    def _give(self, worker: Any, task: Task) -> None:
        self._calls[worker.run.remote(task)] = worker

    def _answers(
        self, workers: list[Any], timeout: float
    ) -> list[tuple[Any, Outcome | WorkerDiedError]]:
        if not workers:
            return []
        ready, _ = self._session.ray.wait(list(self._calls), timeout=timeout)
        answers = []
        for call in ready:
            worker = self._calls.pop(call)
            answers.append((worker, self._answer(call, self._begun[worker])))
        return answers

    def _answer(self, call: Any, begun: Any) -> Outcome | WorkerDiedError:
        """Read what a call came to, and where it has died, whether the worker had begun."""
        ray = self._session.ray
        deaths = (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError)
        try:
            unfit: Unfit | None = ray.get(begun)
        except deaths as error:
            raise WorkerDiedError(f"a Ray worker ended before it could begin: {error}") from error
        if unfit is not None:
            raise InputError(unfit.reason)
        try:
            outcome: Outcome = ray.get(call)
        except deaths as error:
            first_line = str(error).strip().splitlines()[0]
            return WorkerDiedError(f"a Ray worker ended without an answer ({first_line})")
        return outcome

    def _stop_workers(self, workers: list[Any]) -> None:
        self._calls.clear()
        self._begun.clear()
        for worker in workers:
            self._session.ray.kill(worker)


def room(resources: dict[str, float], n_threads: int, n_gpus: float | None) -> tuple[float, int]:
    """Count the actors that a cluster has room for.

    Parameters
    ----------
    resources : dict
        What the cluster has, such as ``"CPU"`` and ``"GPU"``.
    n_threads : int
        CPUs of each actor.
    n_gpus : float or None
        GPUs of each actor; None is one where the cluster has any.

    Returns
    -------
    n_gpus : float
        Of each actor.
    n_most : int
        Actors.

    Examples
    --------
    >>> room({"CPU": 16.0, "GPU": 1.0}, 2, 0.25)
    (0.25, 4)
    """
    if n_gpus is None:
        n_gpus = 1.0 if resources.get("GPU", 0) else 0.0
    n_most = int(resources.get("CPU", 0) // n_threads)
    if n_gpus:
        # Fractions such as 0.1 are not exact.
        n_most = min(n_most, int(resources.get("GPU", 0) / n_gpus + 1e-9))
    return n_gpus, n_most


def n_actors(n_workers: int | None, n_most: int, n_threads: int, n_gpus: float) -> int:
    """Say how many actors to start, at most.

    Parameters
    ----------
    n_workers : int or None
        How many are asked for; None is as many as there is room for.
    n_most, n_threads, n_gpus
        See `room`.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If there is no room for so many.
    """
    each = f"{n_threads} CPUs" + (f" and {n_gpus:g} GPUs" if n_gpus else "")
    if n_most < 1:
        raise InputError(f"the Ray cluster has no room for a worker of {each}; ask for less")
    if n_workers is not None and n_workers > n_most:
        raise InputError(
            f"the Ray cluster has room for {n_most} workers of {each} each, not for {n_workers}; "
            "ask for fewer, or for less each"
        )
    return n_most if n_workers is None else n_workers
