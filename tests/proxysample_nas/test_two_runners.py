from __future__ import annotations

import signal
import sqlite3
import time
import warnings
from contextlib import closing
from pathlib import Path

import pytest

from proxysample_nas.searchers.collapse import SearchCollapseWarning
from proxysample_nas.study import Study
from proxysample_nas.study.store.claims import Claims

from ..forked import Forked  # noqa: TID252  # tests are no package

# A store holds nothing but a study's tables, so each runner writes down itself what it claimed.
RUNNER = """
import multiprocessing
from pathlib import Path
from proxysample_nas.study import Study
from proxysample_nas.study.running import runner
from proxysample_nas.study.store.claims import Claims

runner.SECONDS_BETWEEN_LOOKS = 0.1

def claim(self, key, runner, failed_at=None, original=Claims.claim):
    has_claimed = original(self, key, runner, failed_at)
    if has_claimed:
        with Path({folder!r}, "log").open("a") as log:
            log.write(f"{{key}} {{runner}}\\n")
    return has_claimed

Claims.claim = claim
# Workers that are forked begin at once.
get_context = multiprocessing.get_context
multiprocessing.get_context = lambda method=None: get_context("fork")
study = Study(**{settings!r}, folder={folder!r})
raise SystemExit(study.run(n_workers={n_workers}, progress=False))
"""


@pytest.fixture
def start(forked, long_settings):
    """Start a runner of a study in a folder."""

    def run(folder: Path, n_workers: int = 1) -> Forked:
        given = {"settings": long_settings, "folder": str(folder), "n_workers": n_workers}
        return forked(RUNNER.format(**given))

    return run


def found(study: Study) -> list[tuple[object, ...]]:
    """What was found, without its seconds."""
    return [
        (row.method, [(str(one.cell), one.evaluations[4].accuracies) for one in row.found])
        for row in study.rows(study.configuration.searchers[0].label)
    ]


def read(study: Study, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(study.folder / "study.sqlite")) as connection:
        return connection.execute(query).fetchall()


def wait_for_runners(study: Study, n_runners: int, process: Forked) -> None:
    while len(Claims(study.store.database).runners()) < n_runners:
        assert process.poll() is None, "the study ended before it could be met"
        time.sleep(0.01)


def wait_for_a_search(study: Study, process: Forked) -> None:
    """Wait until a search has been kept once."""
    while not list(study.folder.glob("unfinished/*.safetensors")):
        assert process.poll() is None, "the study ended before it could be met"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def long_settings(tiny_settings):
    return tiny_settings(
        samplers=["rs", "cc-rs"],
        searchers=["darts-v1:n_nodes=3,channels=4,cells_per_stage=1,epochs=10"],
        seeds=[777, 888],
    )


@pytest.fixture(scope="module")
def alone(long_settings, tmp_path_factory):
    study = Study(**long_settings, folder=tmp_path_factory.mktemp("alone"))
    with warnings.catch_warnings():
        # So short a search may well find a cell without a path through it.
        warnings.simplefilter("ignore", SearchCollapseWarning)
        assert study.run(progress=False) == 0
    return study


def test_two_runners_end_in_the_table_of_one_and_run_nothing_twice(
    alone, long_settings, start, tmp_path
):
    study = Study(**long_settings, folder=tmp_path)
    first = start(tmp_path)
    wait_for_a_search(study, first)
    # The second has to find something left.
    first.send_signal(signal.SIGSTOP)
    second = start(tmp_path)
    wait_for_runners(study, 2, second)
    first.send_signal(signal.SIGCONT)
    runners = [first, second]
    assert [runner.wait(timeout=300) for runner in runners] == [0, 0]
    assert found(study) == found(alone)
    log = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert len({key for key, _ in log}) == len(log)
    assert {key for key, _ in log} == {key for (key,) in read(study, "SELECT key FROM experiments")}
    assert len({runner for _, runner in log}) == 2
    assert read(study, "SELECT * FROM claims") == read(study, "SELECT * FROM runners") == []


def test_what_a_killed_runner_was_at_is_taken_over_by_one_that_waits(
    alone, long_settings, start, tmp_path
):
    study = Study(**long_settings, folder=tmp_path)
    killed = start(tmp_path)
    wait_for_a_search(study, killed)
    # A process that stands still lives, and keeps its claim.
    killed.send_signal(signal.SIGSTOP)
    (first_runner,) = (one.id for one in Claims(study.store.database).runners())
    waiting = start(tmp_path)
    wait_for_runners(study, 2, waiting)
    time.sleep(0.5)
    assert waiting.poll() is None
    assert Claims(study.store.database).held()[0].runner == first_runner
    killed.kill()
    killed.wait()
    assert waiting.wait(timeout=300) == 0
    assert found(study) == found(alone)
    assert not list(study.folder.glob("unfinished/*"))
    assert read(study, "SELECT * FROM runners") == []


def test_what_a_runner_has_left_of_an_ended_search_is_removed(alone):
    """It was killed after it had kept the result, and before it had removed the search's file."""
    ((ended, *_),) = read(alone, "SELECT min(key) FROM experiments WHERE kind = 'search'")
    unfinished = alone.folder / "unfinished"
    (unfinished / f"{ended}-b0.safetensors.part").mkdir(parents=True)
    for name in (f"{ended}-b0.safetensors", "1f-b0.safetensors"):
        (unfinished / name).write_bytes(b"")
    assert alone.run(progress=False) == 0
    # Nothing is known of another study's.
    assert [path.name for path in unfinished.iterdir()] == ["1f-b0.safetensors"]


@pytest.mark.parametrize(("number", "n_workers"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_a_signal_ends_a_study_in_order(long_settings, start, tmp_path, number, n_workers):
    study = Study(**long_settings, folder=tmp_path)
    process = start(tmp_path, n_workers)
    wait_for_a_search(study, process)
    process.send_signal(number)
    assert process.wait(timeout=30) != 0
    assert read(study, "SELECT * FROM claims") == read(study, "SELECT * FROM runners") == []
    assert read(study, "SELECT count(*) FROM experiments WHERE status = 'failed'") == [(0,)]
    assert list(study.folder.glob("unfinished/*.safetensors"))
