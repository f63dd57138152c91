"""Processes that decode may be killed, or be left in the middle of their work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings

import numpy as np
import pytest
import torch
from torch.utils.data import get_worker_info

from proxysample import InputError, create_sampler, embed
from proxysample.data.decoding import Decoder, from_workers
from proxysample.data.streams import read_stream
from proxysample.isolation import isolated

from ...mounts import MOUNT, needs_mount
from ...user_modes import state


class Images:
    """Images of which one, where it is asked for by another process, ends that process."""

    def __init__(self, n_samples: int, deadly: int | None = None) -> None:
        self.n_samples, self.deadly = n_samples, deadly

    def __len__(self) -> int:
        return self.n_samples

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        if index == self.deadly and get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full((4, 4, 1), index % 256, dtype=np.uint8), index % 2


@pytest.mark.parametrize("broken", ["stop", "skip"])
def test_a_killed_process_is_told(broken):
    sampler = create_sampler("cc-or", num_workers=1, batch_size=4)
    with pytest.raises(InputError, match=r"\(num_workers\) have failed: .*killed"):
        sampler.select(Images(24, deadly=10), 0.5, broken=broken)
    assert not multiprocessing.active_children()


def test_a_killed_process_is_told_of_features_and_what_was_done_is_taken_over(tmp_path):
    options = {"backbone": torch.nn.Flatten(), "folder": tmp_path, "num_workers": 1}
    with pytest.raises(InputError, match=r"\(num_workers\) have failed"):
        embed(Images(2_000, deadly=1_500), **options)
    assert np.asarray(embed(Images(2_000), **options)).shape == (2_000, 16)


def test_batches_left_in_the_middle_leave_nothing():
    decoder = Decoder(Images(24), batch_size=4, num_workers=1)
    before = state()
    with isolated():
        batches = decoder.batches(decoder.form())
        next(batches)
        assert multiprocessing.active_children()
        batches.close()
        assert not multiprocessing.active_children()
    assert state() == before


def of_two_sizes():
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        yield np.zeros((4, 4, 1), dtype=np.uint8), 0
        yield np.zeros((5, 4, 1), dtype=np.uint8), 1


def test_a_generator_of_the_users_that_is_left_in_the_middle_leaves_their_modes(tmp_path):
    with torch.no_grad():
        before = state()
        for read in (
            lambda items: read_stream(items, tmp_path / "a"),
            lambda items: embed(items, backbone=torch.nn.Flatten(), folder=tmp_path / "b"),
        ):
            items = of_two_sizes()
            with pytest.raises(InputError, match=r"sample 1 |several sizes"):
                read(items)
            assert state() == before
            items.close()
            assert state() == before


IN_LITTLE_SHARED_MEMORY = """
import sys, warnings
import numpy as np
from proxysample import InputError, create_sampler

warnings.simplefilter("ignore")
if {is_full}:
    with open("/dev/shm/rest", "wb", buffering=0) as rest:
        try:
            while rest.write(bytes(512)):
                pass
        except OSError:
            pass
else:
    subprocess.run(["mount", "-o", "remount,ro", "/dev/shm"], check=True)

class Images:
    def __len__(self):
        return 24

    def __getitem__(self, index):
        return np.full((4, 4, 1), index, dtype=np.uint8), index % 2

expected = create_sampler("cc-or", batch_size=4).select(Images(), 0.5)
try:
    kept = create_sampler("cc-or", batch_size=4, num_workers=1).select(Images(), 0.5)
except InputError as error:
    print("told:", error)
else:
    print("kept:", kept.tolist() == expected.tolist())
"""


@needs_mount
@pytest.mark.parametrize("is_full", [True, False], ids=["full", "read-only"])
def test_shared_memory_that_takes_nothing_is_told(is_full, forked):
    code = MOUNT.format(size="64k") + IN_LITTLE_SHARED_MEMORY.format(is_full=is_full)
    process = forked(code, "/dev/shm")
    assert process.wait() == 0, process.stderr
    assert "told: the processes that decode (num_workers) have failed" in process.stdout
    assert "pass num_workers=0" in process.stdout
    assert process.stderr == ""


def test_what_python_says_of_forks_beside_threads_stops_nobody():
    class Forking:
        def __iter__(self):
            warnings.warn("This process (pid=7) is multi-threaded", DeprecationWarning, 1)
            return iter([1, 2])

    before = list(warnings.filters)
    assert list(from_workers(Forking())) == [1, 2]
    assert warnings.filters == before
