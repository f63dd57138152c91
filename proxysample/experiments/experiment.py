"""What an experiment is, what it works with, and what it comes to."""

from __future__ import annotations

import abc
import hashlib
import json
import os
import platform
import traceback
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from proxysample.files import remove_whole
from proxysample.isolation import isolated
from proxysample.machine import processor_model, versions
from proxysample.records import COUNT, MAPPING, TEXT, Kind, optional


def experiment_key(kind: str, specification: Mapping[str, Any]) -> str:
    """Name an experiment by what decides its result.

    Parameters
    ----------
    kind : str
        Such as ``"search"``; see `Experiment`.
    specification : mapping
        Plain JSON values; their order does not matter.

    Returns
    -------
    str
        32 hexadecimal digits, the same in every run on every machine.

    Examples
    --------
    >>> experiment_key("search", {"a": 1, "b": 2}) == experiment_key("search", {"b": 2, "a": 1})
    True
    """
    text = json.dumps([kind, specification], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Outcome:
    """What an experiment came to.

    Attributes
    ----------
    result : dict or None
        Plain JSON values; None where it failed.
    payload : bytes or None
        What is too large for JSON.
    error, traceback : str or None
        Why it failed, in one line, and where in the code.
    """

    result: dict[str, Any] | None
    payload: bytes | None = None
    error: str | None = None
    traceback: str | None = None

    @classmethod
    def failed(cls, error: Exception) -> Self:
        """Give the outcome of an experiment that has raised; called where it is caught."""
        words = f"{type(error).__name__}: {error}"
        return cls(None, error=words, traceback=traceback.format_exc())


class Checkpoints:
    """What experiments keep between their steps: one file each, named by who runs it too.

    Two runners never write the same file, even if one that was thought to be gone goes on.

    Parameters
    ----------
    folder : Path
        Of the store.
    runner : str
        Id of the runner.

    Examples
    --------
    >>> Checkpoints(Path("results"), "b0").path("1f").as_posix()
    'results/unfinished/1f-b0.safetensors'
    """

    def __init__(self, folder: Path, runner: str) -> None:
        self.folder = folder / "unfinished"
        self.runner = runner

    @property
    def is_reachable(self) -> bool:
        """Whether this machine has the store's folder, or one of that name."""
        return self.folder.parent.is_dir()

    def path(self, key: str) -> Path:
        """Name the file of an experiment; the experiment makes its folder."""
        return self.folder / f"{key}-{self.runner}.safetensors"

    def take_over(self, key: str) -> None:
        """Go on from what a runner that is gone has left of an experiment, if anything."""
        files = self.folder.glob(f"{key}-*.safetensors")
        left = [path for path in files if path != self.path(key)]
        if left:
            newest = max(left, key=lambda path: path.stat().st_mtime)
            newest.replace(self.path(key))

    def remove(self, key: str) -> None:
        """Remove whatever was kept of an experiment that has ended."""
        # A runner that was killed while it wrote leaves the part that it had written, too.
        for path in self.folder.glob(f"{key}-*.safetensors*"):
            remove_whole(path)

    def remove_done(self, done: Set[str]) -> None:
        """Remove what a runner has left that was killed after it had kept a result.

        `done` holds the keys of all experiments that have one.
        """
        for key in done & {path.name.partition("-")[0] for path in self.folder.glob("*")}:
            self.remove(key)


MACHINE: dict[str, Kind] = {
    "processor": TEXT,
    "n_cores": optional(COUNT),
    "n_threads": COUNT,
    "n_side_by_side": COUNT,
    "device": TEXT,
    "torch": TEXT,
    "numpy": TEXT,
    "model": optional(TEXT),
    "proxysample": TEXT,
    "python": TEXT,
    "packages": MAPPING,
}
"""What `Context.machine` gives; results of before lack what stands from "model" on."""


class Context(abc.ABC):
    """What experiments work with, such as their data: made once a process, and read once.

    A context is sent to worker processes before it has read anything: see `for_worker`.

    Parameters
    ----------
    checkpoints : Checkpoints, optional
        Where experiments are kept between their steps; by default they are not.
    n_side_by_side : int
        How many experiments run on this machine at a time; they slow one another down, so a
        report of seconds has to state it.
    progress : bool
        Whether an experiment shows a progress bar of its own.

    Attributes
    ----------
    noun : str
        What the experiments belong to, such as ``"study"``, for messages and progress bars.
    """

    noun: ClassVar[str]

    def __init__(
        self,
        checkpoints: Checkpoints | None = None,
        *,
        n_side_by_side: int = 1,
        progress: bool = False,
    ) -> None:
        self.checkpoints = checkpoints
        self.n_side_by_side = n_side_by_side
        self.progress = progress

    @abc.abstractmethod
    def info(self) -> Any:
        """Read everything that the experiments need, and say what it is.

        Returns
        -------
        object
            Told by ``==`` from what other data give. A worker whose own differs is refused.

        Raises
        ------
        InputError
            If anything cannot be read, so before any work.
        """

    @abc.abstractmethod
    def for_worker(self, n_side_by_side: int) -> Self:
        """Create the context of another process, which has read nothing yet.

        Parameters
        ----------
        n_side_by_side : int
            See the class.

        Returns
        -------
        Context
            With the same `checkpoints`, and without progress bars.
        """

    def ship(self) -> Any:
        """Pack what was read, for machines that have no such files.

        Returns
        -------
        object
            Anything that pickles; by default nothing, and each worker reads for itself.
        """
        return None

    def unship(self, packed: Any) -> None:  # noqa: B027  # there is nothing to unpack by default
        """Take over what `ship` gave elsewhere, so that nothing is read here."""

    def checkpoint(self, key: str) -> Path | None:
        """Name the file that keeps an experiment between its steps; None where none is kept."""
        return None if self.checkpoints is None else self.checkpoints.path(key)

    def machine(self) -> dict[str, Any]:
        """Describe what an experiment runs on, as plain JSON values."""
        import numpy as np
        import torch

        return {
            "processor": platform.processor() or platform.machine(),
            "n_cores": os.cpu_count(),
            "n_threads": torch.get_num_threads(),
            "n_side_by_side": self.n_side_by_side,
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "torch": torch.__version__,
            "numpy": np.__version__,
            "model": processor_model(),
            **versions(),
        }


ContextT = TypeVar("ContextT", bound=Context)


@dataclass(frozen=True, eq=False)
class Experiment(abc.ABC, Generic[ContextT]):
    """One piece of work whose result is kept; each kind is a frozen dataclass of its own.

    Attributes
    ----------
    kind : str
        Of the class: what is done, such as ``"search"``.
    keeps_checkpoint : bool
        Of the class: whether it writes ``context.checkpoint(self.key)`` between its steps.
    specification : dict
        What decides the result, as plain JSON values. It names the experiment together with
        `kind`; other fields say how the same result is come by.

    Examples
    --------
    >>> class Doubling(Experiment[Any]):
    ...     kind = "doubling"
    ...     label = "doubled a number"
    ...
    ...     def run(self, context):
    ...         return Outcome({"number": 2 * self.specification["number"]})
    >>> attempt(Doubling({"number": 21}), context=None).result
    {'number': 42}
    """

    kind: ClassVar[str]
    keeps_checkpoint: ClassVar[bool] = False

    specification: dict[str, Any]

    @cached_property
    def key(self) -> str:
        """See `experiment_key`."""
        return experiment_key(self.kind, self.specification)

    @property
    @abc.abstractmethod
    def label(self) -> str:
        """Words for a progress bar, once it has ended."""

    @abc.abstractmethod
    def run(self, context: ContextT) -> Outcome:
        """Do the work; whatever it raises becomes its outcome, see `attempt`."""


ExperimentT = TypeVar("ExperimentT", bound=Experiment[Any], covariant=True)


@isolated()
def attempt(experiment: Experiment[Any], context: Any) -> Outcome:
    """Run an experiment; an error becomes its outcome.

    One experiment that diverges or runs out of memory does not end the others: its error is
    kept, counted and reported.

    Parameters
    ----------
    experiment : Experiment
    context : Context

    Returns
    -------
    Outcome
    """
    try:
        outcome = experiment.run(context)
        if outcome.error is None:
            # What cannot be kept is an error of this experiment, and not of those that are left.
            _check_result(outcome.result)
        return outcome
    except Exception as error:
        return Outcome.failed(error)


def _check_result(result: dict[str, Any] | None) -> None:
    if not result:
        raise ValueError("an experiment has to give a result, of at least one value")
    json.dumps(result)


@dataclass(frozen=True)
class Stage(Generic[ExperimentT]):
    """Experiments that can run in any order, once the stages before have ended.

    Attributes
    ----------
    name : str
        Such as ``"search"``.
    experiments : sequence of Experiment
        Those that can be named by now.
    n_at_most : int
        How many there can be. Those that need something that failed cannot be named, and of
        those that need what is not known yet some may turn out equal.
    """

    name: str
    experiments: Sequence[ExperimentT]
    n_at_most: int


class Plan(Protocol):
    """What experiments there are, as far as their store can tell by now."""

    @property
    def steps(self) -> Sequence[Callable[[], Stage[Any]]]:
        """The stages in their order, each listed as of when it is called."""
