"""A study on Ray: what it needs is shipped, and its results are the same to the bit."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from proxysample.experiments.claims import Claims
from proxysample_nas.study import Study
from proxysample_nas.study.experiments.data import StudyContext

from .test_described import own_classes


def contents(study: Study) -> list[tuple[object, ...]]:
    """What was found, to the bit, without its seconds."""
    return [
        (row.method, [(str(one.cell), one.evaluations[4].accuracies) for one in row.found])
        for searcher in study.configuration.searchers
        for row in study.rows(searcher.label)
    ]


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
    tiny_settings, tmp_path, running_ray
):
    Weighted, Favourite = own_classes()
    settings = tiny_settings(
        n_train=64,
        # All that can be given, of which another process knows nothing.
        samplers=["cc-or", np.arange(8, 64), Weighted(np.linspace(0, 1, 64))],
        searchers=[
            "darts-v1:n_nodes=3,channels=4,cells_per_stage=1,epochs=12",
            Favourite(liked=np.arange(3)),
        ],
    )
    here = Study(**settings, folder=tmp_path / "here")
    there = Study(**settings, folder=tmp_path / "there")
    assert here.run(progress=False) == 0, here.store.failures()
    killed: list[int] = []
    killer = threading.Thread(target=kill_one_at_work, args=(there.folder, killed), daemon=True)
    killer.start()
    assert there.run(executor="ray", n_workers=1, progress=False) == 0, there.store.failures()
    killer.join(timeout=30)
    assert len(killed) == 1
    assert contents(there) == contents(here)
    for study in (here, there):
        assert Claims(study.store.database).held() == []
        assert not list(study.folder.glob("unfinished/*"))


def test_shipped_data_are_those_that_were_read(tiny_settings, tmp_path, monkeypatch):
    images, labels = np.arange(8 * 64, dtype=np.uint8).reshape(8, 8, 8, 1), np.arange(8) % 2
    parts = {"train_images": images, "train_labels": labels}
    np.savez(tmp_path / "a.npz", **parts, test_images=images, test_labels=labels)
    settings = tiny_settings(
        architecture_data="test-half", transfers=[f"npz:{tmp_path / 'a.npz'},channels=4,n_best=1"]
    )
    context = StudyContext(Study(**settings, folder=tmp_path).configuration)
    info, packed = context.info(), context.ship()
    monkeypatch.setattr("proxysample_nas.study.experiments.data.load_study_data", None)
    other = context.for_worker(2)
    other.unship(packed)
    assert other.info() == info
    (transfer,) = context.configuration.transfers
    for ours, theirs in (
        (context.data, other.data),
        (context.transfer_data(transfer), other.transfer_data(transfer)),
    ):
        for name in ("train_images", "test_images", "architecture_images"):
            one, shipped = getattr(ours, name), getattr(theirs, name)
            if one is not None:
                assert torch.equal(shipped.images, one.images)
                assert torch.equal(shipped.labels, one.labels)
                assert shipped.classes == one.classes
    assert other.data.architecture_images is not None
