"""A study killed by the system at random moments, again and again, until it ends.

A few kills by default; ``PROXYSAMPLE_SLOW=1`` adds fifty.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from proxysample_nas.study import Study
from proxysample_nas.study.run import run_study

from ...forked import forkserver

SEARCHER = "darts-v1:n_nodes=3,channels=4,cells_per_stage=1,epochs=12"

# Claims of those killed before stay until another runner has begun.
CLAIMED = "SELECT key FROM claims JOIN runners ON runner = id WHERE pid = {}"


def create_study(
    tiny_settings: Any, n_search_seeds: int, n_autoencoders: int, folder: Path
) -> Study:
    settings = tiny_settings(
        samplers=["rs", *(f"ae:epochs={40 + number}" for number in range(n_autoencoders))],
        searchers=[SEARCHER],
        search_seeds=list(range(n_search_seeds)),
        seeds=[777, 888],
        training={"epochs": 6, "cells_per_stage": 1, "batch_size": 64},
    )
    return Study(**settings, folder=folder)


def start(study: Study) -> ForkServerProcess:
    process = forkserver().Process(
        target=run_study, args=(study.configuration, study.folder), kwargs={"progress": False}
    )
    process.start()
    return process


def read(study: Study, query: str) -> list[tuple[Any, ...]]:
    """Read the store past the library."""
    path = study.folder / "study.sqlite"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        # A process may have been killed before it had made the tables.
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchall():
            return []
        return connection.execute(query).fetchall()


def finished(study: Study) -> dict[str, tuple[Any, ...]]:
    rows = read(study, "SELECT key, status, result, payload, finished FROM experiments")
    return {row[0]: row for row in rows}


def table(study: Study) -> list[tuple[Any, ...]]:
    """A table without its seconds."""
    return [
        (row.method, row.setting.r, one.seed, one.n_kept, one.cell, one.evaluations[4].accuracies)
        for row in study.rows("darts-v1")
        for one in row.found
    ]


def seconds_of(study: Study) -> float:
    """Run a study in a process, uninterrupted."""
    before = time.monotonic()
    process = start(study)
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - before


def kill_at_random(study: Study, n_kills: int, most_seconds: float) -> list[set[str]]:
    """Start the study and kill it, so many times; give what it was at each time."""
    draw = random.Random(n_kills)
    at_kills = []
    for _ in range(n_kills):
        before = finished(study)
        process = start(study)
        process.join(draw.uniform(0, most_seconds))
        process.kill()
        process.join()
        after = finished(study)
        assert before.items() <= after.items(), "a finished experiment was lost or changed"
        assert all(status == "done" for _, status, *_ in after.values())
        if process.exitcode == -signal.SIGKILL:
            at_kills.append({key for (key,) in read(study, CLAIMED.format(process.pid))})
    return at_kills


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(
    ("n_kills", "n_search_seeds", "n_autoencoders"),
    [
        (4, 1, 1),
        pytest.param(
            50,
            8,
            3,
            marks=pytest.mark.skipif(
                os.environ.get("PROXYSAMPLE_SLOW") != "1", reason="minutes: PROXYSAMPLE_SLOW=1"
            ),
        ),
    ],
)
def test_no_finished_experiment_is_lost_and_the_table_is_the_same(
    n_kills: int,
    n_search_seeds: int,
    n_autoencoders: int,
    tiny_settings: Any,
    tmp_path: Path,
) -> None:
    whole = create_study(tiny_settings, n_search_seeds, n_autoencoders, tmp_path / "whole")
    seconds = seconds_of(whole)
    # What every start takes before it goes on: nothing is left to do here.
    seconds_to_begin = seconds_of(whole)
    killed = create_study(tiny_settings, n_search_seeds, n_autoencoders, tmp_path / "killed")
    # All starts together come through three quarters of the study, on average.
    most_seconds = 2 * (0.75 * seconds / n_kills + seconds_to_begin)
    at_kills = kill_at_random(killed, n_kills, most_seconds)
    n_before = len(finished(killed))
    seconds_of(killed)
    assert table(killed) == table(whole)
    ended = dict(read(killed, "SELECT key, kind FROM experiments"))
    assert ended == dict(read(whole, "SELECT key, kind FROM experiments"))
    assert not list(killed.folder.glob("unfinished/*"))
    assert n_before
    # A runner of one worker is at one experiment at most, or between two.
    at = Counter(ended[min(keys)] if keys else "between" for keys in at_kills)
    # How many depends on whether the machine is as busy as when the whole was timed.
    assert at_kills
    assert n_kills < 50 or {"selection", "search", "training", "between"} == set(at)
    print(  # noqa: T201  # what a run of fifty is for
        f"killed {len(at_kills)} of {n_kills} times at work ({dict(at)}); {n_before} of "
        f"{len(ended)} experiments finished by then; uninterrupted, all take {seconds:.1f} s"
    )
