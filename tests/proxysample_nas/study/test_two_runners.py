"""A study that is taken over from a killed runner ends in the table of one that ran alone."""

from __future__ import annotations

import signal
import time
import warnings
from pathlib import Path

import pytest

from proxysample.experiments.claims import Claims
from proxysample_nas.searchers.remedies import SearchCollapseWarning
from proxysample_nas.study import Study

from ...forked import Forked

RUNNER = """
from proxysample.experiments import runner
from proxysample_nas.study import Study

runner.SECONDS_BETWEEN_LOOKS = 0.1
raise SystemExit(Study(**{settings!r}, folder={folder!r}).run(progress=False))
"""


@pytest.fixture
def start(forked, long_settings):
    """Start a runner of a study in a folder."""

    def run(folder: Path) -> Forked:
        return forked(RUNNER.format(settings=long_settings, folder=str(folder)))

    return run


def found(study: Study) -> list[tuple[object, ...]]:
    """What was found, without its seconds."""
    return [
        (row.method, [(str(one.cell), one.evaluations[4].accuracies) for one in row.found])
        for row in study.rows(study.configuration.searchers[0].label)
    ]


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
    assert Claims(study.store.database).runners() == []
