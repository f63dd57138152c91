"""How far a study has come, read from its store alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from proxysample.experiments.claims import Claim, Claims, RunnerRecord, is_gone
from proxysample.experiments.store import Store
from proxysample_nas.study.forecast.durations import NO_TIME, Durations, Seconds, share
from proxysample_nas.study.forecast.experiments import Experiment, list_experiments
from proxysample_nas.study.grid.plan import Plan
from proxysample_nas.study.results.rows import read_configuration


@dataclass(frozen=True)
class Running:
    """An experiment that a live runner is at.

    Attributes
    ----------
    experiment : Experiment
    runner : RunnerRecord
    since : float
        In seconds since 1970.
    """

    experiment: Experiment
    runner: RunnerRecord
    since: float


@dataclass(frozen=True)
class Failed:
    """An experiment that has failed.

    Attributes
    ----------
    experiment : Experiment
    error : str
    """

    experiment: Experiment
    error: str


@dataclass(frozen=True)
class StageStatus:
    """How far a stage has come.

    Attributes
    ----------
    name : str
        See `proxysample_nas.study.grid.plan.Stage`.
    n_done : int
    running : tuple of Running
    failed : tuple of Failed
    n_blocked : int
        Experiments that cannot run because what they need has failed.
    left : tuple of Experiment
        The others.
    """

    name: str
    n_done: int
    running: tuple[Running, ...]
    failed: tuple[Failed, ...]
    n_blocked: int
    left: tuple[Experiment, ...]

    @property
    def n_left(self) -> int:
        """How many are left; see `is_upper_bound`."""
        return sum(one.count for one in self.left)

    @property
    def is_upper_bound(self) -> bool:
        """Whether fewer may be left, since cells that are not found yet may turn out equal."""
        return any(one.key is None for one in self.left)


@dataclass(frozen=True)
class TimeToGo:
    """How long the rest of a study takes.

    Attributes
    ----------
    seconds : Seconds
        Of what can be foretold, shared among the workers.
    n_workers : int
        Of the live runners; 1 where there is none.
    unknown : tuple of Experiment
        Nothing like these has finished yet, and so nothing is said of them.
    is_upper_bound : bool
        Whether `seconds` counts cells that may turn out equal.
    """

    seconds: Seconds
    n_workers: int
    unknown: tuple[Experiment, ...]
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
        from proxysample_nas.study.forecast.status_text import describe_status

        return describe_status(self)

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
        configuration, facts = read_configuration(store)
        now = time.time()
        claims = Claims(store.database)
        # One look cannot tell of clocks that differ.
        runners = tuple(one for one in claims.runners() if not is_gone(one, now - one.heartbeat))
        held = claims.held()
        experiments = list_experiments(Plan(configuration, facts, store))
        errors = {record.key: record.error or "" for record in store.failures()}
        done = {key for key, (status, _) in store.states().items() if status == "done"}
        stages = tuple(
            _stage(
                name,
                [one for one in experiments if one.stage == name],
                done,
                errors,
                _running(experiments, held, runners),
            )
            for name in dict.fromkeys(one.stage for one in experiments)
        )
        return cls(stages, runners, _time_to_go(stages, runners, Durations(store), now), now)


def _running(
    experiments: Sequence[Experiment], held: Sequence[Claim], runners: Sequence[RunnerRecord]
) -> dict[str, Running]:
    by_key = {one.key: one for one in experiments if one.key is not None}
    by_id = {runner.id: runner for runner in runners}
    return {
        claim.key: Running(by_key[claim.key], by_id[claim.runner], claim.since)
        for claim in held
        if claim.key in by_key and claim.runner in by_id
    }


def _stage(
    name: str,
    experiments: Sequence[Experiment],
    done: set[str],
    errors: dict[str, str],
    running: dict[str, Running],
) -> StageStatus:
    # A failed experiment that is being tried again is running.
    failed = [one for one in experiments if one.key in errors and one.key not in running]
    rest = [one for one in experiments if one.key not in done | errors.keys() | running.keys()]
    return StageStatus(
        name,
        n_done=sum(one.key in done for one in experiments),
        running=tuple(running[one.key] for one in experiments if one.key in running),
        failed=tuple(Failed(one, errors[one.key]) for one in failed if one.key is not None),
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
            each = durations.of(experiment.cost)
            if each is None:
                unknown.append(experiment)
                continue
            is_upper_bound |= experiment.key is None
            work.append((each.less(elapsed), experiment.count))
        total += share(work, n_workers)
    return TimeToGo(total, n_workers, tuple(unknown), is_upper_bound)
