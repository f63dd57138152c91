"""Run experiments on a Ray cluster, or on a Ray that is started on this machine."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from proxysample.errors import InputError, MissingDependencyError
from proxysample.experiments.executors import (
    Unfit,
    WorkerDiedError,
    WorkerPool,
    fixed_threads,
    reason_not_to_work,
    sendable,
)
from proxysample.experiments.experiment import Context, Experiment, Outcome, attempt
from proxysample.machine import other_versions, package_versions


class RayCluster(WorkerPool[Any]):
    """Runs experiments in Ray actors that live until the ``with`` block ends.

    Each worker gets the data through Ray's object store: one copy on each machine, the same
    bits everywhere, and no dataset has to lie on the cluster's machines. What does have to be
    there is this package, in the same version, and whatever module the experiments come from;
    what a script defines itself is sent along. Results come back to this process, which writes
    them. What an experiment keeps between its steps lies in the store's folder, on the machine
    that runs it; a worker that does not see such a folder keeps nothing, and an experiment whose
    worker dies begins anew.

    Parameters
    ----------
    context : Context
        Of this process.
    n_workers : int, optional
        Actors; by default as many as the cluster has room for.
    n_threads : int
        CPUs of each actor; see `proxysample.experiments.executors.InProcess`.
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
        context: Context,
        *,
        n_workers: int | None = None,
        n_threads: int = 1,
        n_gpus: float | None = None,
        address: str | None = None,
    ) -> None:
        self.context = context
        self.n_threads = n_threads
        n_cpus = None if n_workers is None else n_workers * n_threads
        self._session = RaySession(address, n_cpus)
        try:
            self.n_gpus, n_most = room(self._session.resources(), n_threads, n_gpus)
            super().__init__(n_actors(n_workers, n_most, n_threads, self.n_gpus))
            self._shipped = self._session.ray.put(context.ship())
        except BaseException:
            self._session.close()
            raise
        self._calls: dict[Any, Any] = {}
        self._begun: dict[Any, Any] = {}

    def stop(self) -> None:
        """End all workers now, and Ray with them where it was started for this run."""
        try:
            super().stop()
        finally:
            self._session.close()

    def _start_worker(self) -> Any:
        actor = self._session.ray.remote(RayWorker).options(
            num_cpus=self.n_threads, num_gpus=self.n_gpus, max_restarts=0, max_task_retries=0
        )
        context = self.context.for_worker(self.n_workers)
        expected = self.context.info()
        with sendable():
            worker = actor.remote(
                context, self._shipped, expected, self.n_threads, package_versions()
            )
        self._begun[worker] = worker.begin.remote()
        return worker

    def _give(self, worker: Any, experiment: Experiment[Any]) -> None:
        with sendable():
            self._calls[worker.run.remote(experiment)] = worker

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
        except ray.exceptions.RayError as error:
            # It is not found there; the others may well be.
            return Outcome.failed(error)
        return outcome

    def _stop_workers(self, workers: list[Any]) -> None:
        self._calls.clear()
        self._begun.clear()
        for worker in workers:
            self._session.ray.kill(worker)


def room(resources: dict[str, float], n_threads: int, n_gpus: float | None) -> tuple[float, int]:
    """Give the GPUs of each actor, one by default where there are any, and how many fit.

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

    None asks for as many as there is room for: `n_most` of so many CPUs and GPUs each.

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


class RayWorker:
    """Runs experiments in a process of its own; `RayCluster` makes it an actor.

    It gets a context without data, the data, and what `Context.info` and `package_versions` gave
    in the process that asks.
    """

    def __init__(
        self,
        context: Context,
        shipped: Any,
        info: Any,
        n_threads: int,
        versions_there: Mapping[str, str],
    ) -> None:
        self.context = context
        self.shipped = shipped
        self.info = info
        self.n_threads = n_threads
        self.versions_there = versions_there

    def begin(self) -> Unfit | None:
        """Unpack the data, before any experiment; None where all is well."""
        different = other_versions(self.versions_there)
        if different:
            return Unfit(
                "results would not be the same on every machine of the Ray cluster: "
                f"{', '.join(different)}; install the same versions"
            )
        if self.context.checkpoints is not None and not self.context.checkpoints.is_reachable:
            self.context.checkpoints = None
        self.context.unship(self.shipped)
        unfit = reason_not_to_work(self.context, self.info)
        return None if unfit is None else Unfit(unfit)

    def run(self, experiment: Experiment[Any]) -> Outcome:
        """Run an experiment; an error becomes its outcome."""
        with fixed_threads(self.n_threads):
            return attempt(experiment, self.context)


class RaySession:
    """Connects to a Ray cluster, or starts one on this machine.

    A Ray to which this process is connected already is used, and left running.

    Parameters
    ----------
    address : str or None
        Of a running cluster; None starts one here.
    n_cpus : int or None
        CPUs that one started here is to have; by default those of the machine.

    Attributes
    ----------
    ray : module

    Raises
    ------
    MissingDependencyError
        If Ray is not installed.
    InputError
        If the cluster cannot be reached.
    """

    def __init__(self, address: str | None, n_cpus: int | None) -> None:
        if find_spec("ray") is None:
            raise MissingDependencyError(
                "Ray is not installed: pip install 'proxysample[ray]', or choose the executor "
                "'processes'"
            )
        import ray

        self.ray: Any = ray
        self._is_ours = not ray.is_initialized()
        self._variables = _variables_of_ray()
        if self._is_ours:
            self._start(address, n_cpus)

    def _start(self, address: str | None, n_cpus: int | None) -> None:
        settings: dict[str, Any] = {"address": address or "local"}
        if address is None:
            settings |= {"include_dashboard": False}
            # Ray counts cores, and would have experiments wait that were asked to share them.
            settings |= {"num_cpus": n_cpus}
        # Its use is not reported to its makers, unless the user has said otherwise.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            with _unchanged_signals():
                self.ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
        except (ConnectionError, ValueError, RuntimeError) as error:
            self.close()
            raise InputError(
                f"Ray cannot be reached at {address or 'this machine'}: {error}"
            ) from error

    def resources(self) -> dict[str, float]:
        """Count what the cluster has, such as ``"CPU"`` and ``"GPU"``."""
        found: dict[str, float] = self.ray.cluster_resources()
        return found

    def close(self) -> None:
        """Disconnect, and stop what was started here."""
        if self._is_ours:
            self.ray.shutdown()
            for name in _variables_of_ray():
                del os.environ[name]
            os.environ.update(self._variables)
            self._is_ours = False


def _variables_of_ray() -> dict[str, str]:
    """Give the environment variables that Ray sets on starting, one of ``breakpoint()`` too."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("RAY_") or name == "PYTHONBREAKPOINT"
    }


@contextmanager
def _unchanged_signals() -> Iterator[None]:
    """Keep Ray from handling this process's SIGTERM, which ends a run in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
