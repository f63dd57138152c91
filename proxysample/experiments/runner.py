"""Run what a store lacks, stage by stage, beside other runners, until told to end."""

from __future__ import annotations

import _thread
import inspect
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, TypedDict, TypeVar, cast

from tqdm import tqdm

from proxysample.checks import BOOLEAN, POSITIVE
from proxysample.errors import InputError, check_names
from proxysample.experiments.claims import Claims, LiveRunner
from proxysample.experiments.executors import Executor, ExecutorName, create_executor
from proxysample.experiments.experiment import Checkpoints, Context, Experiment, Outcome, Plan
from proxysample.experiments.store import Store
from proxysample.files import make_folder
from proxysample.parameters import with_parameters
from proxysample.printing import cleaned, hides_progress

SECONDS_BETWEEN_LOOKS = 1.0
"""How long to wait before looking again at what other runners have done."""


FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class RunOptions(TypedDict, total=False):
    """Where and how experiments run: what comparisons, rankings and studies take alike.

    Parameters
    ----------
    executor : {"in-process", "processes", "ray"}, optional
        Where experiments run; the results do not depend on it. By default in this process
        where `n_workers` is 1, and in several elsewhere. ``"ray"`` needs the extra ``ray``.
    n_workers : int, optional
        How many run side by side. None is one for each `n_threads` cores, or one where
        there is a GPU; on Ray, as many as the cluster has room for. Several processes need
        a script with ``if __name__ == "__main__":``, as all of Python's processes do.
    n_threads : int
        Threads of each experiment on a CPU.
    n_gpus : float, optional
        On Ray, GPUs of each experiment, such as 0.25 for four side by side on one.
    address : str, optional
        Of a running Ray cluster, such as ``"auto"``; by default Ray is started here.
    progress : bool
        Show progress bars, at a terminal or in a notebook.
    retry_failed : bool
        Run experiments again that failed before.
    max_hours : float, optional
        End after so long, as Ctrl-C would, but without an error: what had finished is kept, and
        the same call goes on.
    """

    executor: ExecutorName | None
    n_workers: int | None
    n_threads: int
    n_gpus: float | None
    address: str | None
    progress: bool
    retry_failed: bool
    max_hours: float | None


def takes_run_options(**defaults: Any) -> Callable[[FunctionT], FunctionT]:
    """Spell out the `RunOptions` that a function passes on, in its signature and its docstring.

    Parameters
    ----------
    **defaults
        Of options that are other than those of `run_experiments`; the function sees to them.
    """

    def spell_out(function: FunctionT) -> FunctionT:
        own = inspect.signature(function)
        named = [one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD]
        options = [
            one.replace(default=defaults.get(one.name, one.default))
            for one in inspect.signature(run_experiments).parameters.values()
            if one.name in RunOptions.__annotations__
        ]
        signature = own.replace(parameters=[*named, *options])
        said = inspect.cleandoc(RunOptions.__doc__ or "")
        text = inspect.cleandoc(function.__doc__ or "")
        function.__doc__ = with_parameters(text, [said], signature.parameters)

        known = [name for name in signature.parameters if name != "self"]

        @wraps(function)
        def with_known_names(*given: Any, **named: Any) -> Any:
            check_names(f"keyword of {function.__name__}", named, known)
            return function(*given, **named)

        with_known_names.__signature__ = signature  # type: ignore[attr-defined]  # inspect reads it
        return cast(FunctionT, with_known_names)

    return spell_out


def run_experiments(
    context: Context,
    folder: Path,
    open_store: Callable[[], Store],
    begin: Callable[[Store], Plan],
    *,
    executor: ExecutorName | None = None,
    n_workers: int | None = 1,
    n_threads: int = 1,
    n_gpus: float | None = None,
    address: str | None = None,
    progress: bool = True,
    retry_failed: bool = False,
    max_hours: float | None = None,
) -> int:
    """Run what a folder's store lacks: everything is opened in order, and closed come what may.

    Parameters
    ----------
    context : Context
        Of this process, without checkpoints: they will be kept in the folder.
    folder : Path
        Made where it does not exist.
    open_store : callable
        Called once the context has read its data, so that data that cannot be read leave no
        store behind; it may refuse the data.
    begin : callable
        Called with the store once experiments can run; gives the plan, and keeps in the store
        what holds of all experiments.
    executor, n_workers, n_threads, n_gpus, address, progress, retry_failed, max_hours
        See `RunOptions`.

    Returns
    -------
    int
        How many experiments have failed.

    Raises
    ------
    InputError
        If the data cannot be read, the folder cannot be written to, or an option cannot be used.
    RunInterrupted
        On Ctrl-C or SIGTERM, once everything has ended in order.
    WorkerDiedError
        If worker processes cannot begin.
    """
    for name, value in {"progress": progress, "retry_failed": retry_failed}.items():
        BOOLEAN.check(name, value)
    if max_hours is not None:
        POSITIVE.check("max_hours", max_hours)
    make_folder(folder)
    # Workers may have another working directory.
    checkpoints = Checkpoints(folder.absolute(), secrets.token_hex(8))
    context.checkpoints = checkpoints
    store: Store | None = None
    try:
        with interruptible(max_hours):
            context.info()
            store = open_store()
            with (
                create_executor(
                    context,
                    executor,
                    n_workers=n_workers,
                    n_threads=n_threads,
                    n_gpus=n_gpus,
                    address=address,
                ) as chosen,
                LiveRunner(Claims(store.database), checkpoints.runner, chosen.n_workers) as live,
            ):
                return Runner(
                    begin(store),
                    store,
                    chosen,
                    live,
                    checkpoints,
                    noun=context.noun,
                    progress=progress,
                    retry_failed=retry_failed,
                ).run()
    except TimeIsUp:
        return 0 if store is None else len(store.failures())


class Runner:
    """Runs all experiments of a plan's first stage, then of its second, and so on.

    Several runners may share a store, on one machine or on several that share a folder: each
    claims an experiment before it runs it, and waits for what the others are at where its next
    stage needs that.

    Parameters
    ----------
    plan : Plan
    store : Store
        Experiments found in it are not run again.
    executor : Executor
        Runs the others.
    live : LiveRunner
        This process among those that share the store.
    checkpoints : Checkpoints
        Where experiments are kept between their steps.
    noun : str
        What the bar is labelled with.
    progress : bool
        Show a bar that counts experiments.
    retry_failed : bool
        Run experiments again that failed before.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        executor: Executor,
        live: LiveRunner,
        checkpoints: Checkpoints,
        *,
        noun: str,
        progress: bool = True,
        retry_failed: bool = False,
    ) -> None:
        self.plan = plan
        self.store = store
        self.executor = executor
        self.live = live
        self.checkpoints = checkpoints
        self.noun = noun
        self.progress = progress
        states = store.states()
        failed = {key: finished for key, (status, finished) in states.items() if status == "failed"}
        self._retried = failed if retry_failed else {}
        # A failed one may be running again.
        checkpoints.remove_done(states.keys() - failed.keys())

    def run(self) -> int:
        """Run every experiment that the store lacks.

        Returns
        -------
        int
            How many of the plan's experiments have failed, or could not be tried because one
            they need has failed.
        """
        n_failed = 0
        with tqdm(desc=self.noun, unit="experiment", disable=hides_progress(self.progress)) as bar:
            n_before = 0
            steps = self.plan.steps
            for index, list_stage in enumerate(steps):
                stage = list_stage()
                # How many later ones there can be falls as what they are made of turns out equal.
                n_later = sum(later().n_at_most for later in steps[index + 1 :])
                bar.total = n_before + stage.n_at_most + n_later
                self._finish(stage.experiments, bar)
                n_before += len(stage.experiments)
                n_failed += self._n_failed(stage.experiments)
                # What could not be named after its stage's turn needs something that failed.
                n_failed += stage.n_at_most - len(stage.experiments)
            bar.total = n_before
        return n_failed

    def _n_failed(self, experiments: Sequence[Experiment[Any]]) -> int:
        states = self.store.states()
        return sum(states[one.key][0] == "failed" for one in experiments)

    def _finish(self, experiments: Sequence[Experiment[Any]], bar: tqdm[Any]) -> None:
        """Return once every experiment has ended, here or elsewhere."""
        queue = StageQueue(experiments, self.store, self.live, self._retried)
        bar.update(queue.drop_ended())
        while not queue.is_empty or self.executor.n_running:
            self.live.remove_gone()
            self._fill(queue)
            if not self.executor.n_running:
                bar.set_postfix_str("waiting for another runner")
                time.sleep(SECONDS_BETWEEN_LOOKS)
            for experiment, outcome in self.executor.collect(SECONDS_BETWEEN_LOOKS):
                self._keep(experiment, outcome)
                bar.set_postfix_str(cleaned(experiment.label))
            bar.update(queue.drop_ended())

    def _fill(self, queue: StageQueue) -> None:
        """Give the executor as much as it has room for."""
        while self.executor.has_room and (experiment := queue.take()) is not None:
            if experiment.keeps_checkpoint:
                self.checkpoints.take_over(experiment.key)
            self.executor.submit(experiment)

    def _keep(self, experiment: Experiment[Any], outcome: Outcome) -> None:
        named = experiment.kind, experiment.specification
        if outcome.result is None:
            self.store.put_failure(*named, outcome.error or "no result", outcome.traceback)
        else:
            self.store.put(*named, outcome.result, outcome.payload)
        if experiment.keeps_checkpoint:
            # Only now: one that is killed before its result was kept goes on from this file.
            self.checkpoints.remove(experiment.key)


class StageQueue:
    """Hands out the experiments of a stage that no runner is at.

    `retried` holds the keys of experiments that count as not run, and when they failed. What is
    handed out is claimed by `runner`, this process.
    """

    def __init__(
        self,
        experiments: Iterable[Experiment[Any]],
        store: Store,
        runner: LiveRunner,
        retried: Mapping[str, float],
    ) -> None:
        self.store = store
        self.runner = runner
        self.retried = retried
        self._left = {experiment.key: experiment for experiment in experiments}

    @property
    def is_empty(self) -> bool:
        """Whether every experiment has ended, wherever it ran."""
        return not self._left

    def drop_ended(self) -> int:
        """Forget the experiments that have ended, here or elsewhere, and say how many have."""
        ended = [
            key
            for key, (status, finished) in self.store.states().items()
            if key in self._left and not (status == "failed" and self.retried.get(key) == finished)
        ]
        for key in ended:
            del self._left[key]
        return len(ended)

    def take(self) -> Experiment[Any] | None:
        """Claim the first experiment that is free; None where runners are at all that is left."""
        held = {claim.key for claim in self.runner.claims.held()}
        for key, experiment in self._left.items():
            if key not in held and self.runner.claim(key, self.retried.get(key)):
                return experiment
        return None


class RunInterrupted(KeyboardInterrupt):
    """A run was told to end; what had finished is kept.

    Parameters
    ----------
    signal_number : int
        What told it.

    Examples
    --------
    >>> RunInterrupted(signal.SIGTERM).exit_code
    143
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal ended."""
        return 128 + self.signal_number


class TimeIsUp(RunInterrupted):
    """A run has lasted as long as it may; what had finished is kept.

    Examples
    --------
    >>> TimeIsUp(signal.SIGTERM).exit_code
    143
    """


@contextmanager
def interruptible(max_hours: float | None = None) -> Iterator[None]:
    """Raise `RunInterrupted` on the first Ctrl-C or SIGTERM, and ignore those that follow.

    After `max_hours` it is `TimeIsUp`. Ending in order takes seconds, and a second signal in the
    middle would spoil it. SIGKILL ends a run at once, and does its store no harm either. Outside
    the main thread, where Python knows no signals, nothing changes.

    Raises
    ------
    RunInterrupted
    InputError
        If the time is limited outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        if max_hours is not None:
            raise InputError("max_hours needs Python's main thread: leave it out, or run there")
        yield
        return

    received: list[RunInterrupted] = []
    is_over = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        received.append((TimeIsUp if is_over.is_set() else RunInterrupted)(number))
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise received[0]

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, end)
        with _ended_after(max_hours, is_over):
            yield
    except KeyboardInterrupt as interruption:
        # Ray raises one of its own in place of what it was interrupted by.
        if received and not isinstance(interruption, RunInterrupted):
            raise received[0] from interruption
        raise
    finally:
        for number, handler in before.items():
            # None stands for a handler that was not set by Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def _ended_after(max_hours: float | None, is_over: threading.Event) -> Iterator[None]:
    """Set an event and have the main thread's handler of SIGTERM called after so long."""
    if max_hours is None:
        yield
        return

    def end() -> None:
        is_over.set()
        _thread.interrupt_main(signal.SIGTERM)

    timer = threading.Timer(min(3600 * float(max_hours), threading.TIMEOUT_MAX), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
