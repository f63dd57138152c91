"""An estimate in words."""

from __future__ import annotations

from proxysample_nas.study.forecast.estimate import StudyEstimate
from proxysample_nas.study.forecast.wording import (
    STAGES,
    aligned,
    counted,
    in_words,
    range_in_words,
)


def describe_estimate(estimate: StudyEstimate) -> str:
    """Write an estimate for a terminal: what is left, how long each and all of it takes.

    Parameters
    ----------
    estimate : StudyEstimate

    Returns
    -------
    str
        Several lines.
    """
    lines = [["experiments left", "count", "each", "all"]]
    for stage in dict.fromkeys(group.stage for group in estimate.groups):
        for group in (one for one in estimate.groups if one.stage == stage):
            at_most = "at most " if group.is_upper_bound else ""
            times = [range_in_words(group.each), range_in_words(group.seconds)]
            if group.failure is not None:
                times = ["cannot be told", ""]
            lines.append([group.label, f"{at_most}{group.count:,}", *times])
        shared = range_in_words(estimate.stage_seconds(stage))
        lines.append([f"  {STAGES[stage]}, shared among the workers", "", "", shared])
    return "\n\n".join([aligned(lines), *_words(estimate)])


def _words(estimate: StudyEstimate) -> list[str]:
    at_most = "at most " if any(group.is_upper_bound for group in estimate.groups) else ""
    workers = counted(estimate.n_workers, "worker")
    threads = counted(estimate.n_threads, "thread")
    total = (
        f"In total {at_most}{counted(estimate.n_experiments, 'experiment')}, "
        f"{at_most}{range_in_words(estimate.seconds)} on {workers} of {threads} each, device "
        f"{estimate.device}."
    )
    if estimate.n_ended:
        total += f" {counted(estimate.n_ended, 'experiment')} of the study have ended already."
    timed = (
        f"Timed in {in_words(estimate.calibration_seconds)}, reading the data included: a few "
        "batches of each searcher, each sampler on a part of the images, and trainings of "
        f"{counted(estimate.n_cells, 'random cell')}, whose spread is the range. One experiment "
        "at a time was timed: side by side they slow one another down, which is not counted. "
        "Cells that are not found yet may turn out equal, and searches may stop early, which "
        "makes it less. Nothing was written."
    )
    untold = [
        f"Cannot be told, and is not counted: {group.label}: {group.failure}"
        for group in estimate.groups
        if group.failure is not None
    ]
    return [total, *untold, timed]
