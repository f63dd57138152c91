"""A study's status in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from proxysample_nas.study.forecast.status import Running, StageStatus, StudyStatus, TimeToGo
from proxysample_nas.study.forecast.wording import (
    STAGES,
    aligned,
    counted,
    in_words,
    range_in_words,
)

MOST_FAILURES = 10


def describe_status(status: StudyStatus) -> str:
    """Write a status for a terminal.

    Parameters
    ----------
    status : StudyStatus

    Returns
    -------
    str
        Several lines.
    """
    parts = [
        _table(status.stages),
        "\n".join(_running(status)),
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
                STAGES[stage.name],
                f"{stage.n_done:,}",
                f"{len(stage.running):,}",
                f"{len(stage.failed):,}",
                f"at most {left}" if stage.is_upper_bound else left,
            ]
        )
    return aligned(lines)


def _running(status: StudyStatus) -> Iterator[str]:
    for stage in status.stages:
        for one in stage.running:
            yield f"running: {_where(one, status.now)}"
    if not status.runners and any(stage.left for stage in status.stages):
        yield "No runner is at it now."


def _where(one: Running, now: float) -> str:
    identity = one.runner.identity
    return (
        f"{one.experiment.label}, on {identity.host} (process {identity.pid}) for "
        f"{in_words(now - one.since)}, last heartbeat {in_words(now - one.runner.heartbeat)} ago"
    )


def _failures(stages: Iterable[StageStatus]) -> Iterator[str]:
    failures = [failed for stage in stages for failed in stage.failed]
    for failed in failures[:MOST_FAILURES]:
        first_line = (failed.error.splitlines() or [""])[0]
        yield f"failed: {failed.experiment.label}: {first_line}"
    if len(failures) > MOST_FAILURES:
        yield f"and {len(failures) - MOST_FAILURES:,} more"
    n_blocked = sum(stage.n_blocked for stage in stages)
    if n_blocked:
        searches = "1 search" if n_blocked == 1 else f"{n_blocked:,} searches"
        yield f"{searches} cannot begin: the selection that is needed has failed."
    if failures:
        yield "--retry-failed runs what has failed again."


def _to_go(time: TimeToGo, *, has_runners: bool) -> Iterator[str]:
    unknown = Counter[str]()
    for experiment in time.unknown:
        unknown[experiment.label] += experiment.count
    if time.seconds.high:
        what = "To go, for what can be foretold" if unknown else "To go"
        about = "at most" if time.is_upper_bound else "about"
        workers = counted(time.n_workers, "worker")
        shared = f"for {workers}" if has_runners else "were one worker at it"
        yield f"{what}: {about} {range_in_words(time.seconds)} {shared}."
    if time.is_upper_bound:
        yield "It is at most so long: cells that are not found yet may turn out equal."
    if unknown:
        names = "; ".join(f"{count:,} x {label}" for label, count in unknown.items())
        yield f"Not foretold, since nothing like it has finished yet: {names}."
