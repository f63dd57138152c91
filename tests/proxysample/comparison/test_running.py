"""Where and how often a comparison is begun makes no difference: killed, in processes, on Ray."""

from __future__ import annotations

import random
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from proxysample import compare
from proxysample.comparison.comparison import Comparison, set_up
from proxysample.experiments.claims import Claims

from ...forked import forkserver
from .planted import Alike, Planted, planted_data

SETTINGS = {"evaluator": "head:epochs=15,batch_size=8", "seeds": 2, "draws": 3, "noise": 0.2}


def plan(folder: Path) -> Comparison:
    """Set up the same comparison each time, with samplers that no other process can import."""
    splits, is_wrong = planted_data()
    samplers = [Planted(is_wrong), Alike(), "km-or:n_clusters=8", np.arange(0, 400, 4)]
    return set_up(splits, samplers, [0.1], folder, **SETTINGS)


def contents(comparison: Comparison) -> list[tuple[object, ...]]:
    """What was found, to the bit, without its seconds."""
    return [
        (run.arm, run.method, run.r, run.seed, run.n_kept, run.accuracy, run.worst_class)
        for run in comparison.results().runs
    ]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    comparison = plan(tmp_path_factory.mktemp("here"))
    assert comparison.run(progress=False) == 0, comparison.store.failures()
    return contents(comparison)


def finished(folder: Path) -> dict[str, tuple[object, ...]]:
    """Read the store past the library."""
    path = folder / "comparison.sqlite"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchall():
            return {}
        rows = connection.execute("SELECT key, status, result, finished FROM experiments")
        return {row[0]: row for row in rows}


def run_quietly(folder: Path) -> None:
    plan(folder).run(progress=False)


@pytest.mark.usefixtures("forked")
def test_killed_at_any_moment_it_ends_in_the_same(tmp_path, expected):
    draw = random.Random(0)
    n_killed = 0
    for _ in range(4):
        before = finished(tmp_path)
        process = forkserver().Process(target=run_quietly, args=(tmp_path,))
        process.start()
        # At work for certain, however quick or busy the machine is.
        while process.is_alive() and len(finished(tmp_path)) == len(before):
            process.join(0.01)
        process.join(draw.uniform(0, 0.02))
        process.kill()
        process.join()
        n_killed += process.exitcode == -signal.SIGKILL
        assert before.items() <= finished(tmp_path).items(), "what had finished was lost"
    assert n_killed
    comparison = plan(tmp_path)
    assert comparison.run(progress=False) == 0
    assert contents(comparison) == expected
    assert Claims(comparison.store.database).held() == []


def test_two_processes_give_the_bits_of_one(tmp_path, expected, forked_workers):
    comparison = plan(tmp_path)
    assert comparison.run(n_workers=2, progress=False) == 0, comparison.store.failures()
    assert contents(comparison) == expected


@pytest.mark.usefixtures("running_ray")
def test_a_worker_of_ray_gives_the_bits_of_this_process(tmp_path, expected):
    comparison = plan(tmp_path)
    assert comparison.run(executor="ray", n_workers=1, progress=False) == 0, (
        comparison.store.failures()
    )
    assert contents(comparison) == expected


def test_a_file_is_read_again_by_each_worker_and_features_with_it(tmp_path, forked_workers):
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(90, 3)).astype(np.float32), np.arange(90) % 3
    path, features = tmp_path / "data.npz", tmp_path / "features.npy"
    np.savez(path, x_train=images[:60], y_train=labels[:60], x_test=images[60:], y_test=labels[60:])
    np.save(features, np.eye(3, dtype=np.float32)[labels] + images)
    found = []
    for n_workers in (1, 2):
        comparison = compare(
            f"npz:{path}",
            ["herding"],
            [0.5],
            "head:epochs=2",
            seeds=2,
            draws=2,
            features=str(features),
            folder=tmp_path / str(n_workers),
            n_workers=n_workers,
        )
        assert not comparison.store.failures()
        found.append(contents(comparison))
    assert found[0] == found[1]


def test_a_function_that_no_module_holds_is_sent_to_workers(tmp_path, forked_workers):
    splits, is_wrong = planted_data()
    share = 0.75

    def constant(train, held_out, seed, budget):
        return share

    comparison = compare(
        splits, [Planted(is_wrong)], [0.1], constant, seeds=1, folder=tmp_path, n_workers=2
    )
    assert {run.accuracy for run in comparison.results().runs} == {75.0}
