"""How far a study is, and how far the searches are that run now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxysample.errors import InputError
from proxysample.experiments.claims import Claim, Claims, RunnerRecord, is_gone
from proxysample.experiments.experiment import Checkpoints
from proxysample.experiments.store import Store
from proxysample.printing import cleaned, cleaned_lines
from proxysample.wording import aligned, format_duration, plural, pluralize
from proxysample_nas.searchers.checkpoint import read_progress
from proxysample_nas.searchers.result import EpochRecord
from proxysample_nas.study.experiments.base import StudyExperiment, read_configuration
from proxysample_nas.study.experiments.plan import progress_of
from proxysample_nas.study.forecast.durations import NO_TIME, Durations, Seconds, share

MOST_FAILURES = 10
"""So many failures are told one by one."""


@dataclass(frozen=True)
class Running:
    """An experiment that a live runner is at.

    Attributes
    ----------
    experiment : StudyExperiment
    runner : RunnerRecord
    since : float
        In seconds since 1970.
    """

    experiment: StudyExperiment
    runner: RunnerRecord
    since: float


@dataclass(frozen=True)
class Failed:
    """An experiment that has failed.

    Attributes
    ----------
    experiment : StudyExperiment
    error : str
    """

    experiment: StudyExperiment
    error: str


@dataclass(frozen=True)
class StageStatus:
    """How far a stage has come.

    Attributes
    ----------
    name : str
        See `proxysample.experiments.experiment.Stage`.
    n_done : int
    running : tuple of Running
    failed : tuple of Failed
    n_blocked : int
        Experiments that cannot run because what they need has failed.
    left : tuple of StudyExperiment
        The others.
    """

    name: str
    n_done: int
    running: tuple[Running, ...]
    failed: tuple[Failed, ...]
    n_blocked: int
    left: tuple[StudyExperiment, ...]

    @property
    def n_left(self) -> int:
        """How many are left; see `is_upper_bound`."""
        return sum(one.count for one in self.left)

    @property
    def is_upper_bound(self) -> bool:
        """Whether fewer may be left, since cells that are not found yet may turn out equal."""
        return any(not one.is_named for one in self.left)


@dataclass(frozen=True)
class TimeToGo:
    """How long the rest of a study takes.

    Attributes
    ----------
    seconds : Seconds
        Of what can be estimated, shared among the workers.
    n_workers : int
        Of the live runners; 1 where there is none.
    unknown : tuple of StudyExperiment
        Nothing like these has finished yet, and so nothing is said of them.
    is_upper_bound : bool
        Whether `seconds` counts cells that may turn out equal.
    """

    seconds: Seconds
    n_workers: int
    unknown: tuple[StudyExperiment, ...]
    is_upper_bound: bool


@dataclass(frozen=True)
class StudyStatus:
    """How far a study has come.

    Attributes
    ----------
    stages : tuple of StageStatus
    runners : tuple of RunnerRecord
        Those that live, as far as this machine can tell.
    time_to_go : TimeToGo
    now : float
        When it was read, in seconds since 1970.
    """

    stages: tuple[StageStatus, ...]
    runners: tuple[RunnerRecord, ...]
    time_to_go: TimeToGo
    now: float

    def __str__(self) -> str:
        return cleaned_lines(_describe(self))

    @classmethod
    def read(cls, store: Store) -> StudyStatus:
        """Read a store.

        Parameters
        ----------
        store : Store

        Returns
        -------
        StudyStatus

        Raises
        ------
        InputError
            If no study was run in the store.
        """
        progress = progress_of(*read_configuration(store), store)
        # First, since it reads all results there are.
        durations = Durations(progress)
        now = time.time()
        claims = Claims(store.database)
        # One look cannot tell of clocks that differ.
        runners = tuple(one for one in claims.runners() if not is_gone(one, now - one.heartbeat))
        held = claims.held()
        experiments = progress.all_experiments()
        errors = {record.key: record.error or "" for record in store.failures()}
        running = _running(experiments, held, runners)
        stages = tuple(
            _stage(
                name,
                [one for one in experiments if one.stage == name],
                progress.states,
                errors,
                running,
            )
            for name in dict.fromkeys(one.stage for one in experiments)
        )
        time_to_go = _time_to_go(stages, runners, durations, now)
        return cls(stages, runners, time_to_go, now)


def _running(
    experiments: Sequence[StudyExperiment],
    held: Sequence[Claim],
    runners: Sequence[RunnerRecord],
) -> dict[str, Running]:
    by_key = {one.key: one for one in experiments if one.is_named}
    by_id = {runner.id: runner for runner in runners}
    return {
        claim.key: Running(by_key[claim.key], by_id[claim.runner], claim.since)
        for claim in held
        if claim.key in by_key and claim.runner in by_id
    }


def _stage(
    name: str,
    experiments: Sequence[StudyExperiment],
    states: Mapping[str, str],
    errors: Mapping[str, str],
    running: Mapping[str, Running],
) -> StageStatus:
    named = [one for one in experiments if one.is_named]
    # A failed experiment that is being tried again is running.
    failed = [one for one in named if one.key in errors and one.key not in running]
    rest = [
        one
        for one in experiments
        if not (one.is_named and (one.key in states or one.key in running))
    ]
    return StageStatus(
        name,
        n_done=sum(states.get(one.key) == "done" for one in named),
        running=tuple(running[one.key] for one in named if one.key in running),
        failed=tuple(Failed(one, errors[one.key]) for one in failed),
        n_blocked=sum(one.is_blocked for one in rest),
        left=tuple(one for one in rest if not one.is_blocked),
    )


def _time_to_go(
    stages: Sequence[StageStatus],
    runners: Sequence[RunnerRecord],
    durations: Durations,
    now: float,
) -> TimeToGo:
    n_workers = sum(runner.n_workers for runner in runners) or 1
    total = NO_TIME
    unknown = []
    is_upper_bound = False
    # A stage begins when the one before has ended.
    for stage in stages:
        work = []
        todo = [(one, 0.0) for one in stage.left]
        todo += [(one.experiment, now - one.since) for one in stage.running]
        for experiment, elapsed in todo:
            each = durations.of(experiment.cost) if experiment.takes_time else NO_TIME
            if each is None:
                unknown.append(experiment)
                continue
            is_upper_bound |= not experiment.is_named
            work.append((each.less(elapsed), experiment.count))
        total += share(work, n_workers)
    return TimeToGo(total, n_workers, tuple(unknown), is_upper_bound)


def _describe(status: StudyStatus) -> str:
    """Write a status for a terminal, in several lines."""
    parts = [
        _table(status.stages),
        "\n".join(_where_running(status)),
        "\n".join(_failures(status.stages)),
        "\n".join(_to_go(status.time_to_go, has_runners=bool(status.runners))),
    ]
    return "\n\n".join(part for part in parts if part)


def _table(stages: Iterable[StageStatus]) -> str:
    lines = [["", "done", "running", "failed", "left"]]
    for stage in stages:
        left = f"{stage.n_left:,}"
        lines.append(
            [
                plural(stage.name),
                f"{stage.n_done:,}",
                f"{len(stage.running):,}",
                f"{len(stage.failed):,}",
                f"at most {left}" if stage.is_upper_bound else left,
            ]
        )
    return aligned(lines)


def _where_running(status: StudyStatus) -> Iterator[str]:
    for stage in status.stages:
        for one in stage.running:
            yield f"running: {_where(one, status.now)}"
    if not status.runners and any(stage.left for stage in status.stages):
        yield "No runner is at it now."


def _where(one: Running, now: float) -> str:
    identity = one.runner.identity
    return (
        f"{one.experiment.group}, on {identity.host} (process {identity.pid}) for "
        f"{format_duration(now - one.since)}, last heartbeat "
        f"{format_duration(now - one.runner.heartbeat)} ago"
    )


def _failures(stages: Iterable[StageStatus]) -> Iterator[str]:
    failures = [failed for stage in stages for failed in stage.failed]
    for failed in failures[:MOST_FAILURES]:
        first_line = (failed.error.splitlines() or [""])[0]
        yield cleaned(f"failed: {failed.experiment.group}: {first_line}")
    if len(failures) > MOST_FAILURES:
        yield f"and {len(failures) - MOST_FAILURES:,} more"
    n_blocked = sum(stage.n_blocked for stage in stages)
    if n_blocked:
        blocked = pluralize(n_blocked, "search")
        yield f"{blocked} cannot begin: the selection that is needed has failed."
    if failures:
        yield "--retry-failed runs what has failed again."


def _to_go(time: TimeToGo, *, has_runners: bool) -> Iterator[str]:
    unknown = Counter[str]()
    for experiment in time.unknown:
        unknown[experiment.group] += experiment.count
    if time.seconds.high:
        what = "To go, for what can be estimated" if unknown else "To go"
        about = "at most" if time.is_upper_bound else "about"
        workers = pluralize(time.n_workers, "worker")
        shared = f"for {workers}" if has_runners else "were one worker at it"
        yield f"{what}: {about} {time.seconds} {shared}."
    if time.is_upper_bound:
        yield "It is at most so long: cells that are not found yet may turn out equal."
    if unknown:
        names = "; ".join(f"{count:,} x {label}" for label, count in unknown.items())
        yield f"Not estimated, since nothing like it has finished yet: {names}."


@dataclass(frozen=True)
class RunningSearch:
    """A search that is under way.

    Attributes
    ----------
    label : str
        The searcher, what it searches on, and its seeds.
    n_epochs : int or None
        Epochs in all, where the searcher counts them.
    history : tuple of EpochRecord
        Those that are done.
    """

    label: str
    n_epochs: int | None
    history: tuple[EpochRecord, ...]

    def __str__(self) -> str:
        last = self.history[-1]
        in_all = "" if self.n_epochs is None else f" of {self.n_epochs}"
        return cleaned(
            f"{self.label}: {len(self.history)}{in_all} epochs, {last.train_accuracy:.1f} % of "
            f"the weight samples and {last.architecture_accuracy:.1f} % of the architecture's "
            f"right, {last.seconds:.1f} s the last; {last.cell}"
        )


def running_searches(folder: Path, status: StudyStatus) -> Iterator[RunningSearch]:
    """List the searches of a study that run and have finished an epoch.

    Parameters
    ----------
    folder : Path
        Of the study, with the checkpoints of runners on this machine, or on others that share it.
    status : StudyStatus
    """
    for stage in status.stages:
        for one in stage.running:
            if not one.experiment.keeps_checkpoint:
                continue
            path = Checkpoints(folder, one.runner.id).path(one.experiment.key)
            try:
                parameters, history = read_progress(path)
            except InputError:
                # Not there yet, or gone since it has ended.
                continue
            if history:
                # Searches that train cell by cell have a record for each cell.
                named = parameters.get("n_samples", parameters.get("epochs"))
                n_epochs = named if isinstance(named, int) else None
                yield RunningSearch(one.experiment.label, n_epochs, history)
