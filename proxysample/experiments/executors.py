"""Where experiments run: one after another here, or side by side in workers that may die."""

from __future__ import annotations

import abc
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self, TypeVar, get_args

from proxysample.checks import MOST_AT_ONCE, WORKERS, is_integer, is_number
from proxysample.errors import InputError, ProxysampleError, check_name
from proxysample.experiments.experiment import Context, Experiment, Outcome, attempt
from proxysample.isolation import thread_pools
from proxysample.printing import shown

ExecutorName = Literal["in-process", "processes", "ray"]

MOST_ATTEMPTS = 2
"""How often an experiment is given to a worker, where workers die of it."""

WorkerT = TypeVar("WorkerT")


def create_executor(
    context: Context,
    name: ExecutorName | None = None,
    *,
    n_workers: int | None = None,
    n_threads: int = 1,
    n_gpus: float | None = None,
    address: str | None = None,
) -> Executor:
    """Choose where experiments run.

    Parameters
    ----------
    context : Context
        Of this process; its experiments' progress bars show where they run one after another.
    name : {"in-process", "processes", "ray"}, optional
        By default, this process where `n_workers` comes to 1, and processes elsewhere.
    n_workers : int, optional
        Experiments side by side. By default one for each `n_threads` cores, and one where there
        is a GPU; on Ray, as many as the cluster has room for.
    n_threads : int
        Threads of each experiment on a CPU.
    n_gpus : float, optional
        GPUs of each experiment on Ray; see `proxysample.experiments.ray.RayCluster`.
    address : str, optional
        Of a running Ray cluster; see `proxysample.experiments.ray.RayCluster`.

    Returns
    -------
    Executor

    Raises
    ------
    InputError
        If the name is unknown, or a number or an option does not fit it.
    MissingDependencyError
        If Ray is asked for and not installed.
    """
    _check(name, n_workers, n_threads, n_gpus, address)
    if name == "ray":
        from proxysample.experiments.ray import RayCluster

        return RayCluster(
            context, n_workers=n_workers, n_threads=n_threads, n_gpus=n_gpus, address=address
        )
    if n_workers is None:
        n_workers = 1 if name == "in-process" else default_workers(n_threads)
    if name == "in-process" or (name is None and n_workers == 1):
        return InProcess(context, n_threads=n_threads)
    from proxysample.experiments.processes import LocalProcesses

    return LocalProcesses(context, n_workers=n_workers, n_threads=n_threads)


def default_workers(n_threads: int = 1) -> int:
    """Count the experiments of so many threads that fit this machine; one where it has a GPU."""
    import torch

    return 1 if torch.cuda.is_available() else max(1, (os.cpu_count() or 1) // n_threads)


def _check(
    name: str | None,
    n_workers: int | None,
    n_threads: int,
    n_gpus: float | None,
    address: str | None,
) -> None:
    names = get_args(ExecutorName)
    if name is not None:
        check_name("executor", name, names)
    for what, value in (("n_workers", n_workers), ("n_threads", n_threads)):
        if value is not None and (not is_integer(value) or value < 1):
            raise InputError(f"{what} must be at least 1, and whole, not {shown(value)}")
        if value is not None and value > MOST_AT_ONCE:
            raise InputError(f"{what} must be at most {MOST_AT_ONCE:,}, not {shown(value)}")
    if name == "in-process" and n_workers not in (None, 1):
        raise InputError(
            f"the executor 'in-process' runs one experiment at a time, not {n_workers}; choose "
            "'processes'"
        )
    _check_for_ray(name, n_gpus, address)


def _check_for_ray(name: str | None, n_gpus: float | None, address: str | None) -> None:
    if name != "ray" and (n_gpus is not None or address is not None):
        raise InputError("n_gpus and address are for the executor 'ray'; choose it, or leave both")
    if address is not None and not isinstance(address, str):
        raise InputError(f"address must be that of a cluster, as text, not {shown(address)}")
    if n_gpus is not None and (
        not is_number(n_gpus) or n_gpus < 0 or (n_gpus > 1 and n_gpus != int(n_gpus))
    ):
        raise InputError(
            f"n_gpus must be a fraction of a GPU or a whole number, not {shown(n_gpus)}"
        )


@contextmanager
def fixed_threads(n_threads: int) -> Iterator[None]:
    """Have torch, numpy and scikit-learn use so many threads; restored on leaving.

    Sums of floats depend on the number of threads in their last bits.

    Examples
    --------
    >>> import torch
    >>> with fixed_threads(2):
    ...     torch.get_num_threads()
    2
    """
    import torch

    WORKERS.check("n_threads", n_threads)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        # torch has a thread count of its own; scikit-learn and numpy follow their pools'.
        with thread_pools().limit(limits=n_threads):
            yield
    finally:
        torch.set_num_threads(before)


class WorkerDiedError(ProxysampleError, RuntimeError):
    """A worker process ended without an answer."""


@dataclass(frozen=True)
class Unfit:
    """What a worker answers that cannot work, and why."""

    reason: str


HOW_TO_BE_FOUND = (
    "workers import what they are sent: define it in a module, or in the script itself outside of "
    '`if __name__ == "__main__":`'
)


@contextmanager
def sendable() -> Iterator[None]:
    """Explain what cannot be pickled, and so not be sent to a worker."""
    try:
        yield
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"what is to be run cannot be sent to a worker: {error}; {HOW_TO_BE_FOUND}"
        ) from error


def reason_not_to_work(context: Context, expected: Any) -> str | None:
    """Say why a worker cannot work on what its context reads; None where all is well."""
    noun = context.noun
    try:
        info = context.info()
    except ProxysampleError as error:
        return f"a worker process cannot read the {noun}'s data: {error}"
    if info != expected:
        return f"the {noun}'s data have changed since the {noun} began to run; run it again"
    return None


class Executor(abc.ABC):
    """Runs experiments, at most `n_workers` at a time, until its ``with`` block ends.

    Only as many are taken as can be run at once, so that another runner of the same store finds
    the others free.

    Parameters
    ----------
    n_workers : int
        How many experiments can run side by side.
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
        """How many experiments were submitted and have not been collected."""

    @property
    def has_room(self) -> bool:
        """Whether an experiment can be submitted."""
        return self.n_running < self.n_workers

    @abc.abstractmethod
    def submit(self, experiment: Experiment[Any]) -> None:
        """Take an experiment, to be run as soon as possible; there has to be room for it."""

    @abc.abstractmethod
    def collect(self, timeout: float) -> list[tuple[Experiment[Any], Outcome]]:
        """Wait until an experiment has ended.

        Parameters
        ----------
        timeout : float
            Return after so many seconds even if none has.

        Returns
        -------
        list of (Experiment, Outcome)
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


class InProcess(Executor):
    """Runs experiments one after another, here, each when it is collected.

    Parameters
    ----------
    context : Context
        Of this process; it says whether experiments show progress bars.
    n_threads : int
        Threads of each experiment on a CPU. Sums of floats depend on it in their last bits, so
        it is the same wherever an experiment runs.
    """

    def __init__(self, context: Context, *, n_threads: int = 1) -> None:
        super().__init__(n_workers=1)
        self.context = context
        self.n_threads = n_threads
        self._waiting: list[Experiment[Any]] = []

    @property
    def n_running(self) -> int:
        """How many experiments were submitted and have not been collected."""
        return len(self._waiting)

    def submit(self, experiment: Experiment[Any]) -> None:
        """Take an experiment; it runs in `collect`."""
        self._waiting.append(experiment)

    def collect(self, timeout: float) -> list[tuple[Experiment[Any], Outcome]]:  # noqa: ARG002
        """Run the experiment; there is nothing to wait for, and so no `timeout`."""
        if not self._waiting:
            return []
        with fixed_threads(self.n_threads):
            outcome = attempt(self._waiting[0], self.context)
        return [(self._waiting.pop(0), outcome)]

    def stop(self) -> None:
        """Drop what was submitted."""
        self._waiting.clear()


class WorkerPool(Executor, Generic[WorkerT]):
    """Runs experiments in workers that are started when needed, and replaced when they die.

    An experiment whose worker dies is given to a new worker once more: what killed the first may
    have had nothing to do with it. If that dies too, the experiment has failed.

    Parameters
    ----------
    n_workers : int
        Workers at a time.
    """

    def __init__(self, n_workers: int) -> None:
        super().__init__(n_workers)
        self._idle: list[WorkerT] = []
        self._busy: dict[WorkerT, Experiment[Any]] = {}
        self._attempts: dict[str, int] = {}

    @property
    def n_running(self) -> int:
        """How many experiments were submitted and have not been collected."""
        return len(self._busy)

    def submit(self, experiment: Experiment[Any]) -> None:
        """Give an experiment to an idle worker, or to a new one."""
        worker = self._idle.pop() if self._idle else self._start_worker()
        self._busy[worker] = experiment
        self._attempts[experiment.key] = self._attempts.get(experiment.key, 0) + 1
        self._give(worker, experiment)

    def collect(self, timeout: float) -> list[tuple[Experiment[Any], Outcome]]:
        """Wait for answers; see `Executor.collect`."""
        ended = []
        for worker, answer in self._answers(list(self._busy), timeout):
            experiment = self._busy.pop(worker)
            if isinstance(answer, Outcome):
                self._idle.append(worker)
            elif self._attempts.get(experiment.key, 0) < MOST_ATTEMPTS:
                self.submit(experiment)
                continue
            else:
                answer = Outcome(None, error=_describe(answer))
            # One whose store was begun anew meanwhile may have been given out twice.
            self._attempts.pop(experiment.key, None)
            ended.append((experiment, answer))
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
    def _give(self, worker: WorkerT, experiment: Experiment[Any]) -> None:
        """Give an experiment to an idle worker; if that has died, `_answers` will tell."""

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
