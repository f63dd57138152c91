from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from unittest import mock

import pytest
from sums_plugin import Mishap, SumsContext

from proxysample import InputError, MissingDependencyError
from proxysample.experiments import ray as ray_executor
from proxysample.experiments.executors import create_executor
from proxysample.experiments.experiment import Checkpoints
from proxysample.experiments.ray import RayWorker, n_actors, room
from proxysample.machine import package_versions

from .executing import EXPERIMENTS, check_same, lost, run_all, run_script


@pytest.fixture
def context(folder):
    return SumsContext(folder / "numbers.json")


def processes_of_ray() -> list[str]:
    """List the Ray of this process, and what some Ray has left; other tests may run theirs now."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue  # it has ended
        is_ours = "raylet" in words.split(" ")[0] and f"_{os.getpid()}/" in words
        if is_ours or (words.startswith("ray::") and parent == "1"):
            found.append(words)
    return found


def traces_of_ray() -> tuple[object, ...]:
    variables = {name for name in os.environ if name.startswith("RAY_")}
    debugger = os.environ.get("PYTHONBREAKPOINT")
    return processes_of_ray(), signal.getsignal(signal.SIGTERM), variables, debugger


def test_a_local_ray_gives_the_bits_of_this_process_though_workers_die(
    context, folder, monkeypatch, no_running_ray
):
    import ray  # noqa: F401  # its import alone sets variables

    before = traces_of_ray()
    with create_executor(context, "in-process") as executor:
        here = run_all(executor, EXPERIMENTS)
    better, worse = (Mishap({"way": "dies", "until": until}) for until in (2, 9))
    unknown = lost(monkeypatch)
    with create_executor(context, "ray", n_workers=2) as executor:
        # No worker could read them: they are sent.
        (folder / "numbers.json").unlink()
        # What comes last dies in one of two idle workers, and comes to its end in the other.
        there = run_all(executor, [better, *EXPERIMENTS, unknown])
        there |= run_all(executor, [worse])
    assert there.pop(better.key).result == {"attempts": 2}
    failed = there.pop(worse.key)
    # What one cannot find does not end the others.
    assert "nowhere_else" in there.pop(unknown.key).error
    check_same(here, there)
    assert failed.result is None
    assert "2 workers have died" in failed.error
    # Nothing is left of Ray, either, once its workers have noticed its end.
    deadline = time.monotonic() + 30
    while traces_of_ray() != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert traces_of_ray() == before


def test_what_a_script_defines_is_sent_to_a_cluster_that_runs(folder, running_ray):
    import ray

    address = ray.get_runtime_context().gcs_address
    found = run_script(folder, "ray", "experiment", address)
    assert found == ["{'number': 150}", "{'number': 150}", address]
    # It runs on.
    assert ray.cluster_resources()["CPU"] == 2


def test_a_missing_ray_names_the_command_that_brings_it(context, monkeypatch):
    monkeypatch.setattr(ray_executor, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'proxysample\[ray\]'"):
        create_executor(context, "ray")


def test_a_cluster_that_is_not_there_is_named(context, monkeypatch, no_running_ray):
    services = pytest.importorskip("ray._private.services")
    # Other tests may run theirs on this machine now.
    monkeypatch.setattr(services, "find_gcs_addresses", mock.Mock(return_value=set()))
    monkeypatch.setattr(services, "find_bootstrap_address", lambda _: None)
    with pytest.raises(InputError, match="Ray cannot be reached at auto"):
        create_executor(context, "ray", address="auto")


@pytest.mark.parametrize(
    ("n_workers", "n_most", "n_gpus", "message"),
    [
        (None, 0, 1.0, "no room for a worker of 2 CPUs and 1 GPUs"),
        (3, 2, 0.0, "room for 2 workers of 2 CPUs each, not for 3"),
    ],
)
def test_a_cluster_without_room_is_named(n_workers, n_most, n_gpus, message):
    with pytest.raises(InputError, match=message):
        n_actors(n_workers, n_most, 2, n_gpus)


@pytest.mark.parametrize(
    ("resources", "n_gpus", "expected"),
    [
        ({"CPU": 5.0}, None, (0.0, 2)),
        ({"CPU": 16.0, "GPU": 1.0}, None, (1.0, 1)),
        ({"CPU": 16.0, "GPU": 1.0}, 0.1, (0.1, 8)),
        ({"CPU": 64.0, "GPU": 3.0}, 0.1, (0.1, 30)),
        ({"CPU": 16.0, "GPU": 1.0}, 0.0, (0.0, 8)),
    ],
)
def test_room_is_counted_in_cores_and_fractions_of_gpus(resources, n_gpus, expected):
    assert room(resources, 2, n_gpus) == expected


def worker(context, info, **changed_versions) -> RayWorker:
    return RayWorker(
        context.for_worker(1), context.ship(), info, 1, package_versions() | changed_versions
    )


def test_a_worker_with_other_versions_is_refused(context):
    assert worker(context, [3, 5, 7]).begin() is None
    assert "torch" in worker(context, [3, 5, 7], torch="1.0").begin().reason


def test_a_worker_with_other_data_is_refused(context):
    assert "have changed" in worker(context, [3, 5, 8]).begin().reason


def test_a_worker_elsewhere_keeps_no_checkpoints(context, folder):
    for where, is_kept in ((folder, True), (folder / "not here", False)):
        context.checkpoints = Checkpoints(where, "a")
        one = worker(context, [3, 5, 7])
        one.begin()
        assert (one.context.checkpoint("1f") is not None) == is_kept
