"""A study killed by the system at random moments, again and again, until it ends.

Three kills by default; ``PROXYSAMPLE_SLOW=1`` adds fifty.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from proxysample_nas.study import Study

SEARCHER = "random:n_nodes=2,n_samples=3,channels=2,cells_per_stage=1,epochs=1"

# Says when it begins to work: until then a kill would only hit imports.
PROGRAM = """
import sys, warnings
warnings.simplefilter("ignore")
from proxysample_nas.study import Study
study = Study(**{settings!r}, folder={folder!r})
print("begun", flush=True)
raise SystemExit(study.run(progress=False))
"""


def settings_of(tiny_settings: Any) -> dict[str, Any]:
    seeds = list(range(8))
    return tiny_settings(searchers=[SEARCHER], search_seeds=seeds, seeds=[777, 888, 999])


def finished(folder: Path) -> dict[str, tuple[Any, ...]]:
    """What is in the store, read past the library."""
    path = folder / "study.sqlite"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        if ("experiments",) not in tables:
            return {}
        rows = connection.execute("SELECT key, status, result, finished FROM experiments")
        return {row[0]: row for row in rows.fetchall()}


def table(study: Study) -> list[tuple[Any, ...]]:
    """A table without its seconds."""
    return [
        (row.method, row.setting.r, one.seed, one.n_kept, one.cell, one.evaluations[4].accuracies)
        for row in study.rows("random")
        for one in row.found
    ]


def kill_at_random(settings: dict[str, Any], folder: Path, n_kills: int, seed: int) -> int:
    """Start the study and kill it, so many times; give how often it was killed at work."""
    draw = random.Random(seed)
    program = PROGRAM.format(settings=settings, folder=str(folder))
    n_at_work = 0
    for _ in range(n_kills):
        before = finished(folder)
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0, 1))
            process.kill()
        after = finished(folder)
        assert before.items() <= after.items(), "a finished experiment was lost or changed"
        assert all(status == "done" for _, status, *_ in after.values())
        n_at_work += process.returncode == -signal.SIGKILL
    return n_at_work


@pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")
@pytest.mark.parametrize(
    "n_kills",
    [
        3,
        pytest.param(
            50,
            marks=pytest.mark.skipif(
                os.environ.get("PROXYSAMPLE_SLOW") != "1", reason="minutes: PROXYSAMPLE_SLOW=1"
            ),
        ),
    ],
)
def test_no_finished_experiment_is_lost_and_the_table_is_the_same(
    n_kills: int, tiny_settings: Any, tmp_path: Path
) -> None:
    settings = settings_of(tiny_settings)
    killed = Study(**settings, folder=tmp_path / "killed")
    n_at_work = kill_at_random(settings, killed.folder, n_kills, seed=n_kills)
    n_before = len(finished(killed.folder))
    assert killed.run(progress=False) == 0
    whole = Study(**settings, folder=tmp_path / "whole")
    assert whole.run(progress=False) == 0
    assert table(killed) == table(whole)
    assert len(finished(killed.folder)) == len(finished(whole.folder))
    assert not list(killed.folder.glob("unfinished/*"))
    assert n_at_work
    print(  # noqa: T201  # what a run of fifty is for
        f"killed {n_at_work} of {n_kills} times at work; {n_before} of "
        f"{len(finished(whole.folder))} experiments finished by then"
    )
