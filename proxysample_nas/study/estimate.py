"""How long a study takes on this machine, from a short calibration; nothing is written."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from proxysample.checks import BOOLEAN, NOT_NEGATIVE, WORKERS
from proxysample.errors import InputError, ProxysampleError
from proxysample.experiments.executors import default_workers, fixed_threads
from proxysample.isolation import isolated
from proxysample.printing import cleaned, cleaned_lines, hides_progress
from proxysample.wording import aligned, format_duration, plural, pluralize
from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.durations import NO_TIME, Calibration, Seconds, share
from proxysample_nas.study.experiments.base import StudyExperiment
from proxysample_nas.study.experiments.data import StudyContext
from proxysample_nas.study.experiments.evaluation import trial_cells
from proxysample_nas.study.experiments.plan import Plan
from proxysample_nas.study.run import StudyStore, store_path

SECONDS_EACH = 4.0
"""How long each sampler, searcher and width is timed, where its shortest run leaves a choice."""


@dataclass(frozen=True)
class EstimatedGroup:
    """Experiments of one kind that are left, and how long each takes.

    Attributes
    ----------
    stage, label : str
        Of the experiments; see `Stage` and `StudyExperiment.group`.
    count : int
    is_upper_bound : bool
        Whether there may be fewer, since cells that are not found yet may turn out equal.
    each : Seconds
        No time where it cannot be told.
    failure : str or None
        Why it cannot be told: the experiment would fail, as where weights cannot be downloaded,
        or a searcher has no parameter that makes its search short enough to be timed.
    """

    stage: str
    label: str
    count: int
    is_upper_bound: bool
    each: Seconds
    failure: str | None = None

    @property
    def seconds(self) -> Seconds:
        """Of all of them, one after another."""
        return self.each.times(self.count)


@dataclass(frozen=True)
class StudyEstimate:
    """How long the rest of a study takes on this machine.

    Attributes
    ----------
    groups : tuple of EstimatedGroup
        Stage by stage.
    n_ended : int
        Experiments that have ended already.
    n_workers, n_threads : int
        See `Study.run`.
    device : str
    n_cells : int
        Random cells that the trainers were timed on; the range of a training spans theirs.
    calibration_seconds : float
    unread : tuple of str
        What cannot be counted, since its data cannot be read: the transfers to other datasets.
    """

    groups: tuple[EstimatedGroup, ...]
    n_ended: int
    n_workers: int
    n_threads: int
    device: str
    n_cells: int
    calibration_seconds: float
    unread: tuple[str, ...] = ()

    def __str__(self) -> str:
        return cleaned_lines(_describe(self))

    @property
    def n_experiments(self) -> int:
        """How many are left, at most."""
        return sum(group.count for group in self.groups)

    def stage_seconds(self, stage: str) -> Seconds:
        """Time of a stage, shared among the workers."""
        members = [(one.each, one.count) for one in self.groups if one.stage == stage]
        return share(members, self.n_workers)

    @property
    def seconds(self) -> Seconds:
        """Time of all stages, one after another, each shared among the workers."""
        total = NO_TIME
        for stage in dict.fromkeys(group.stage for group in self.groups):
            total += self.stage_seconds(stage)
        return total


@isolated()
def estimate_study(
    configuration: StudyConfiguration,
    folder: Path,
    *,
    n_workers: int | None = None,
    n_threads: int = 1,
    seconds_each: float = SECONDS_EACH,
    progress: bool = True,
) -> StudyEstimate:
    """Time a little of each kind of experiment that a study still needs.

    Parameters
    ----------
    configuration : StudyConfiguration
    folder : Path
        Of the study; it need not exist.
    n_workers : int, optional
        Experiments side by side; by default as `Study.run` has it for None.
    n_threads : int
        Of each.
    seconds_each : float
        See `SECONDS_EACH`.
    progress : bool
        Whether a terminal shows what is being timed; nothing else does.

    Returns
    -------
    StudyEstimate

    Raises
    ------
    InputError
        If the data cannot be read.
    """
    if n_workers is not None:
        WORKERS.check("n_workers", n_workers)
    WORKERS.check("n_threads", n_threads)
    NOT_NEGATIVE.check("seconds_each", seconds_each)
    BOOLEAN.check("progress", progress)
    start = time.perf_counter()
    context = StudyContext(configuration)
    with tqdm(desc="timing", unit="kind", disable=hides_progress(progress)) as bar:
        bar.set_postfix_str("reading the data")
        unread = _drop_unread_transfers(context)
        info = context.info()
        path = store_path(folder)
        with tempfile.TemporaryDirectory() as empty:
            store = StudyStore(path if path.is_file() else Path(empty) / path.name)
            found = Plan(context.configuration, info, store).progress()
            experiments = found.all_experiments()
            ended = {one for one in experiments if one.is_named and one.key in found.states}
        left = [one for one in experiments if one not in ended and not one.is_blocked]
        calibration = Calibration(context, seconds_each)
        with fixed_threads(n_threads):
            failures = _time_kinds(left, calibration, bar)
    return StudyEstimate(
        tuple(_grouped(left, calibration, failures)),
        n_ended=len(ended),
        n_workers=default_workers(n_threads) if n_workers is None else n_workers,
        n_threads=n_threads,
        device=str(context.data.train_images.images.device),
        n_cells=len(trial_cells(configuration)),
        calibration_seconds=time.perf_counter() - start,
        unread=tuple(unread),
    )


def _drop_unread_transfers(context: StudyContext) -> list[str]:
    """Leave out the datasets that are missing here, and say why each is."""
    unread, read = [], []
    for transfer in context.configuration.transfers:
        try:
            context.transfer_data(transfer)
        except InputError as error:
            unread.append(str(error))
        else:
            read.append(transfer)
    context.configuration = replace(context.configuration, transfers=tuple(read))
    return unread


def _time_kinds(
    left: Sequence[StudyExperiment], calibration: Calibration, bar: tqdm[Any]
) -> dict[tuple[str, str], str]:
    """Time one experiment of each kind; tell by kind why it could not be."""
    kinds: dict[tuple[str, str], StudyExperiment] = {}
    for one in left:
        if one.takes_time:
            kinds.setdefault(one.cost.compared, one)
    bar.total = len(kinds)
    failures = {}
    for kind, first in kinds.items():
        bar.set_postfix_str(cleaned(first.group))
        try:
            calibration.seconds_of(first)
        except ProxysampleError as error:
            failures[kind] = str(error)
        # Whatever a searcher of anyone's raises: the study would note it, and go on.
        except Exception as error:
            failures[kind] = f"{type(error).__name__}: {error}"
        bar.update()
    return failures


def _grouped(
    left: Sequence[StudyExperiment],
    calibration: Calibration,
    failures: Mapping[tuple[str, str], str],
) -> list[EstimatedGroup]:
    members: dict[tuple[str, str], list[StudyExperiment]] = {}
    for one in left:
        members.setdefault((one.stage, one.group), []).append(one)
    return [
        _group(group, calibration, failures.get(group[0].cost.compared))
        for group in members.values()
    ]


def _group(
    members: list[StudyExperiment], calibration: Calibration, failure: str | None
) -> EstimatedGroup:
    first = members[0]
    return EstimatedGroup(
        first.stage,
        first.group,
        count=sum(one.count for one in members),
        is_upper_bound=any(not one.is_named for one in members),
        each=NO_TIME if failure is not None else calibration.seconds_of(first),
        failure=failure,
    )


def _describe(estimate: StudyEstimate) -> str:
    """Write an estimate for a terminal: what is left, how long each and all of it takes."""
    lines = [["experiments left", "count", "each", "all"]]
    for stage in dict.fromkeys(group.stage for group in estimate.groups):
        for group in (one for one in estimate.groups if one.stage == stage):
            at_most = "at most " if group.is_upper_bound else ""
            times = [str(group.each), str(group.seconds)]
            if group.failure is not None:
                times = ["cannot be told", ""]
            lines.append([group.label, f"{at_most}{group.count:,}", *times])
        shared = str(estimate.stage_seconds(stage))
        lines.append([f"  {plural(stage)}, shared among the workers", "", "", shared])
    return "\n\n".join([aligned(lines), *_total_in_words(estimate)])


def _total_in_words(estimate: StudyEstimate) -> list[str]:
    at_most = "at most " if any(group.is_upper_bound for group in estimate.groups) else ""
    workers = pluralize(estimate.n_workers, "worker")
    threads = pluralize(estimate.n_threads, "thread")
    total = (
        f"In total {at_most}{pluralize(estimate.n_experiments, 'experiment')}, "
        f"{at_most}{estimate.seconds} on {workers} of {threads} each, device "
        f"{estimate.device}."
    )
    if estimate.n_ended:
        total += f" {pluralize(estimate.n_ended, 'experiment')} of the study have ended already."
    timed = (
        f"Timed in {format_duration(estimate.calibration_seconds)}, reading the data included: a "
        "few batches of each searcher, each sampler on a part of the images, and trainings of "
        f"{pluralize(estimate.n_cells, 'random cell')}, whose spread is the range. One experiment "
        "at a time was timed: side by side they slow one another down, which is not counted. "
        "Cells that are not found yet may turn out equal, and searches may stop early, which "
        "makes it less. Nothing was written."
    )
    untold = [
        f"Cannot be told, and is not counted: {group.label}: {group.failure}"
        for group in estimate.groups
        if group.failure is not None
    ]
    untold += [f"Cannot be told, and is not counted: {one}" for one in estimate.unread]
    return [total, *untold, timed]
