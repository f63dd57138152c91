from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
import torch
from proxysample_nas.study.executors.ray_worker import RayWorker, versions
from proxysample_nas.study.experiments.shipping import Shipment
from proxysample_nas.study.grid.plan import Plan

from proxysample import InputError, MissingDependencyError
from proxysample.experiments.executors import create_executor, ray_cluster, ray_session
from proxysample.experiments.experiment import Checkpoints
from proxysample_nas.study import Study
from proxysample_nas.study.experiments.context import StudyContext


def contents(study: Study) -> list[tuple[object, ...]]:
    """What was found, to the bit, without its seconds."""
    return [
        (row.method, [(str(one.cell), one.evaluations[4].accuracies) for one in row.found])
        for row in study.rows("darts-v1")
    ]


def processes_of_ray() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended
        if "raylet" in words.split(" ")[0] or words.startswith("ray::"):
            found.append(words)
    return found


def traces_of_ray() -> tuple[object, ...]:
    variables = {name for name in os.environ if name.startswith("RAY_")}
    debugger = os.environ.get("PYTHONBREAKPOINT")
    return processes_of_ray(), signal.getsignal(signal.SIGTERM), variables, debugger


def kill_one_at_work(folder: Path, killed: list[int]) -> None:
    """Wait until a search has been kept once, and kill the process of a worker at its work."""
    while not list(folder.glob("unfinished/*.safetensors")):
        time.sleep(0.01)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            # Ray names a process by what it is at.
            if path.read_bytes().startswith(b"ray::RayWorker.run"):
                killed.append(int(path.parent.name))
                os.kill(killed[0], signal.SIGKILL)
                return


def test_a_local_ray_gives_the_bits_of_this_process_though_a_worker_is_killed(
    tiny_settings, tmp_path
):
    import ray  # noqa: F401  # its import alone sets variables

    before = traces_of_ray()
    # TransferLoss imports torchvision and timm, which a worker has to manage by itself.
    settings = tiny_settings(
        samplers=["cc-or", "tl:epochs=1"],
        searchers=["darts-v1:n_nodes=3,channels=4,cells_per_stage=1,epochs=30"],
    )
    here = Study(**settings, folder=tmp_path / "here")
    there = Study(**settings, folder=tmp_path / "there")
    assert here.run(progress=False) == 0
    killed: list[int] = []
    killer = threading.Thread(target=kill_one_at_work, args=(there.folder, killed), daemon=True)
    killer.start()
    assert there.run(executor="ray", n_workers=2, progress=False) == 0, there.store.failures()
    killer.join(timeout=30)
    assert len(killed) == 1
    assert contents(there) == contents(here)
    for study in (here, there):
        with closing(sqlite3.connect(study.store.path)) as connection:
            assert connection.execute("SELECT count(*) FROM claims").fetchone() == (0,)
        assert not list(study.folder.glob("unfinished/*"))
    # Nothing is left of Ray, either.
    assert traces_of_ray() == before


def test_an_experiment_whose_ray_worker_dies_is_run_again_and_then_fails(tiny_settings, tmp_path):
    import ray

    long = tiny_settings(searchers=["darts-v1:n_nodes=3,channels=4,cells_per_stage=1,epochs=9999"])
    study = Study(**long, folder=tmp_path)
    context = StudyContext(study.configuration)
    plan = Plan(study.configuration, context.info(), study.store)
    (task,) = plan.search().experiments
    with create_executor(context, "ray", n_workers=1) as executor:
        executor.submit(task)
        for _ in range(2):
            (worker,) = executor._busy
            ray.get(executor._begun[worker])
            assert executor.collect(0.5) == []
            ray.kill(worker)
            ended = executor.collect(30)
        assert executor.has_room
    ((one, outcome),) = ended
    assert one is task
    assert outcome.result is None
    assert "2 workers have died" in outcome.error


def test_a_missing_ray_names_the_command_that_brings_it(tiny_settings, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_session, "find_spec", lambda _: None)
    study = Study(**tiny_settings(), folder=tmp_path)
    with pytest.raises(MissingDependencyError, match=r"pip install 'proxysample\[ray\]'"):
        study.run(executor="ray", progress=False)


def test_a_cluster_that_is_not_there_is_named(tiny_settings, tmp_path):
    study = Study(**tiny_settings(), folder=tmp_path)
    with pytest.raises(InputError, match="Ray cannot be reached at auto"):
        study.run(executor="ray", address="auto", progress=False)


@pytest.mark.parametrize(
    ("n_workers", "n_most", "n_gpus", "message"),
    [
        (None, 0, 1.0, "no room for a worker of 2 CPUs and 1 GPUs"),
        (3, 2, 0.0, "room for 2 workers of 2 CPUs each, not for 3"),
    ],
)
def test_a_cluster_without_room_is_named(n_workers, n_most, n_gpus, message):
    with pytest.raises(InputError, match=message):
        ray_cluster.n_actors(n_workers, n_most, 2, n_gpus)


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
    assert ray_cluster.room(resources, 2, n_gpus) == expected


def test_a_worker_with_other_versions_is_refused(tiny_settings, tmp_path):
    study = Study(**tiny_settings(), folder=tmp_path)
    context = StudyContext(study.configuration)
    shipment = Shipment.of(context)
    fitting = RayWorker(context.for_worker(1), shipment, 1, versions())
    assert fitting.begin() is None
    assert torch.equal(fitting.context.data.train_images.images, context.data.train_images.images)
    other = RayWorker(context.for_worker(1), shipment, 1, versions() | {"torch": "1.0"})
    assert "torch" in other.begin().reason


def test_a_worker_elsewhere_keeps_no_unfinished_searches(tiny_settings, tmp_path):
    context = StudyContext(
        Study(**tiny_settings(), folder=tmp_path).configuration,
        Checkpoints(tmp_path / "not here", "a"),
    )
    worker = RayWorker(context, Shipment.of(context), 1, versions())
    worker.begin()
    assert worker.context.checkpoint("1f") is None
