"""Real limits: a full disk, a file that may not grow, a disk that is read-only."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from proxysample_nas.searchers.checkpoint import Checkpoint

from ...forked import Forked
from ...mounts import MOUNT, needs_mount

COMMON = """
import io, resource, sys, warnings
from pathlib import Path
import numpy as np
from proxysample import InputError, Ranking
from proxysample.files import replace_file
from proxysample_nas.searchers.checkpoint import Checkpoint
from proxysample_nas.study.run import StudyStore

warnings.simplefilter("ignore")
folder = Path(sys.argv[1])
draw = np.random.default_rng(0)

def ranking(n):
    Ranking(draw.random(n)).save(folder / "a.npz")

def checkpoint(n):
    import torch
    tensors = {"weights": torch.zeros(n * 2)}
    Checkpoint(0, {}, "", (), tensors).save(folder / "a.safetensors")

def store(n):
    opened = StudyStore(folder / "study.sqlite")
    opened.put("selection", {"n": n}, {"seconds": 1.0}, bytes(draw.bytes(n * 8)))

def page(n):
    with replace_file(folder / "report.html") as stream:
        stream.write(bytes(draw.bytes(n * 8)))

def whole():
    files = sorted(folder.iterdir())
    return {file.name: file.read_bytes() for file in files}

def refused(write, n):
    before = whole()
    try:
        write(n)
    except InputError as error:
        print(write.__name__, error)
    else:
        sys.exit(f"{write.__name__} has written more than there is room for")
    assert whole() == before, (write.__name__, list(before), list(whole()))
"""

WRITERS = "(ranking, checkpoint, store, page)"


@pytest.fixture
def run(forked: Callable[..., Forked], tmp_path: Path) -> Callable[..., str]:
    """Run code in a folder, which a disk of some size is mounted at."""

    def act(code: str, *, size: str = "") -> str:
        mount = MOUNT.format(size=size) if size else ""
        process = forked(mount + COMMON + code, str(tmp_path))
        assert process.wait() == 0, process.stderr
        return process.stdout

    return act


def check_all_told(told: str, message: str) -> None:
    lines = told.splitlines()
    assert [line.split()[0] for line in lines] == ["ranking", "checkpoint", "store", "page"]
    assert all(message in line.lower() or "disk" in line for line in lines), told
    names = ("a.npz", "a.safetensors", "study.sqlite", "report.html")
    assert all(name in line for name, line in zip(names, lines, strict=True))


@needs_mount
def test_a_full_disk_is_told_and_what_was_there_stays_whole(run: Callable[..., str]) -> None:
    code = f"""
for write in {WRITERS}:
    write(1_000)
for write in {WRITERS}:
    refused(write, 200_000)
Ranking.load(folder / "a.npz"); Checkpoint.load(folder / "a.safetensors")
assert len(StudyStore(folder / "study.sqlite").states()) == 1
# What is small still fits: nothing was left behind.
for write in {WRITERS}:
    write(900)
"""
    check_all_told(run(code, size="512k"), "no space left on device")


def test_a_file_that_may_not_grow_is_told_and_what_was_there_stays_whole(
    run: Callable[..., str],
) -> None:
    code = f"""
for write in {WRITERS}:
    write(1_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for write in {WRITERS}:
    refused(write, 200_000)
Ranking.load(folder / "a.npz"); Checkpoint.load(folder / "a.safetensors")
assert len(StudyStore(folder / "study.sqlite").states()) == 1
"""
    check_all_told(run(code), "file too large")


@needs_mount
def test_a_read_only_disk_is_told(run: Callable[..., str]) -> None:
    code = f"""
import subprocess
for write in {WRITERS}:
    write(1_000)
subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
for write in {WRITERS}:
    refused(write, 10)
# Reading needs no writing.
assert len(StudyStore(folder / "study.sqlite", must_exist=True).states()) == 1
from proxysample.files import make_folder
try:
    make_folder(folder / "new")
except InputError as error:
    assert "read-only" in str(error)
"""
    told = run(code, size="1m")
    assert len(told.splitlines()) == 4
    assert "a.npz" in told or "cannot be written to" in told


STUDY = """
from proxysample_nas.study import Study
study = Study(
    samplers=["rs"], ratios=[0.5], channels=[4], seeds=[777], dataset="digits", n_train=100,
    searchers=["random:n_nodes=2,n_samples=1,channels=2,cells_per_stage=1,epochs=1"],
    training={"epochs": 1, "cells_per_stage": 1}, augmentation={"flip": False}, folder=folder,
)
"""


@needs_mount
def test_a_study_on_a_full_disk_says_so_and_goes_on_when_there_is_room(
    run: Callable[..., str],
) -> None:
    code = (
        STUDY
        + """
filler = folder / "filler"
import os
study.store  # made
with filler.open("wb", buffering=0) as stream:
    try:
        while True:
            stream.write(bytes(4096))
    except OSError:
        pass
try:
    study.run(progress=False)
except InputError as error:
    print(error)
else:
    sys.exit("it ran without any room")
filler.unlink()
assert study.run(progress=False, retry_failed=True) == 0
assert len(study.store.results("search")) == 2
"""
    )
    told = run(code, size="1m")
    assert "cannot write to" in told
    assert "full" in told


@needs_mount
def test_an_installation_and_a_home_that_are_read_only_are_enough(run: Callable[..., str]) -> None:
    code = (
        """
import os, sysconfig
import proxysample
home = folder / "home"
home.mkdir()
os.environ["HOME"] = str(home)
for path in {home, Path(sysconfig.get_path("purelib")), Path(proxysample.__file__).parents[1]}:
    subprocess.run(["mount", "--bind", str(path), str(path)], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(path)], check=True)
    try:
        (path / "written").touch()
    except OSError:
        print("read-only")
"""
        + STUDY.replace("folder=folder", "folder=folder / 'study'")
        + """
assert study.run(progress=False) == 0, study.store.failures()
study.save_tables()
digits = proxysample.load_dataset("digits").train
assert len(proxysample.KMeansOutlierRemoval(n_clusters=5).select(digits, 0.1)) == 144
"""
    )
    assert run(code, size="64m").splitlines() == ["read-only"] * 3


def test_what_is_killed_while_it_keeps_a_search_leaves_nothing_for_ever(
    forked: Callable[..., Forked], tmp_path: Path
) -> None:
    """The system itself ends the process, in the middle of the library's writing."""
    code = """
import signal
checkpoint(1_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
checkpoint(200_000)
"""
    assert forked(COMMON + code, str(tmp_path)).wait() == -signal.SIGXFSZ
    path = tmp_path / "a.safetensors"
    left = sorted(one.name for one in tmp_path.iterdir())
    assert left == [path.name, f"{path.name}.part"]
    Checkpoint.load(path).save(path)
    assert list(tmp_path.iterdir()) == [path]
