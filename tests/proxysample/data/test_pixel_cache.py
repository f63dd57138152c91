from __future__ import annotations

import logging
import shutil
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest

from proxysample import InputError, create_sampler, machine
from proxysample.data import pixel_cache
from proxysample.data.blocks import BlockArray
from proxysample.data.pixel_cache import (
    CachedPixels,
    MemoryPixels,
    array_in_memory,
    reserve_pixels,
)
from proxysample.data.reading import Samples


class Photos:
    """Images that are made when they are asked for."""

    targets = tuple(number % 3 for number in range(60))

    def __len__(self):
        return 60

    def __getitem__(self, index):
        image = np.random.default_rng(index).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        return image, index % 3


@pytest.fixture
def small_memory(monkeypatch):
    """As if anything took much memory."""
    monkeypatch.setattr(pixel_cache, "BYTES_IN_MEMORY", 1_000)


def test_rows_are_written_and_read_back_by_rows(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 4, 3, 1), dtype=np.uint8)
    kept = CachedPixels(tmp_path, pixels.shape, pixels.dtype)
    for start in range(0, 9, 2):
        kept.write(start, pixels[start : start + 2])
    assert (kept.shape, kept.dtype, kept.ndim, len(kept)) == ((9, 4, 3, 1), np.uint8, 4, 9)
    assert kept.nbytes == pixels.nbytes
    for rows in (slice(2, 5), np.array([7, 0, 7]), np.array([-1, 4]), 3, slice(None, 9, 4)):
        assert np.array_equal(kept[rows], pixels[rows])
    assert np.array_equal(np.asarray(kept), pixels)
    assert np.array_equal(np.stack(list(kept)), pixels)
    kept[0][:] = 1
    assert np.array_equal(kept[0], pixels[0])
    assert kept[np.array([], dtype=np.int64)].shape == (0, 4, 3, 1)
    with pytest.raises(IndexError, match="rows 2 to 9 of 9"):
        kept[np.array([2, 9])]


def test_nothing_lies_in_the_folder_that_could_be_left_there(tmp_path):
    kept = CachedPixels(tmp_path, (4, 100), np.float32)
    kept.write(0, np.ones((4, 100), np.float32))
    assert list(tmp_path.iterdir()) == []
    assert kept[3].sum() == 100


def test_few_pixels_stay_in_memory_and_many_are_told_of(tmp_path, caplog, small_memory):
    assert isinstance(reserve_pixels((5, 10), np.uint8, tmp_path), MemoryPixels)
    assert caplog.messages == []
    assert isinstance(reserve_pixels((500, 10), np.uint8, tmp_path), CachedPixels)
    (told,) = caplog.messages
    assert f"500 samples of 10 are kept in a temporary file of 0.0 GB in {tmp_path}" in told
    assert "cache=False" in told
    for cache in (False, None):
        assert isinstance(reserve_pixels((500, 10), np.uint8, cache), MemoryPixels)


def test_memory_is_bounded_where_no_file_is_wanted(monkeypatch, small_memory):
    monkeypatch.setattr(pixel_cache, "MOST_BYTES_IN_MEMORY", 4_000)
    with pytest.raises(InputError, match=r"cache=False keeps up to .* leave it out"):
        reserve_pixels((500, 10), np.uint8, False)


def test_too_little_disk_is_refused_before_the_work(monkeypatch, tmp_path, small_memory):
    usage = namedtuple("usage", ["total", "used", "free"])
    left = usage(10**9, 0, pixel_cache.BYTES_LEFT_FREE)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: left)
    read = []

    class Counted(Photos):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    with pytest.raises(InputError, match=r"60 samples of 16x16x3 need .* on disk .*cache=PATH"):
        create_sampler("cc-or", cache=tmp_path).select(Counted(), 0.5)
    assert len(set(read)) < 60


def test_a_folder_that_is_not_there_is_refused(tmp_path, small_memory):
    with pytest.raises(InputError, match="no such folder"):
        create_sampler("cc-or", cache=tmp_path / "none").select(Photos(), 0.5)
    with pytest.raises(InputError, match="cache must be True, False or the path of a folder"):
        create_sampler("cc-or", cache=7).select(Photos(), 0.5)


@pytest.mark.parametrize(
    ("sampler", "parameters"),
    [
        ("cc-or", {}),
        ("km-or", {"n_clusters": 4, "random_state": 0}),
        ("ae", {"epochs": 1, "random_state": 0}),
    ],
)
@pytest.mark.usefixtures("small_memory")
def test_what_is_kept_on_disk_gives_the_same_scores(sampler, parameters, tmp_path, caplog):
    caplog.set_level(logging.ERROR, "proxysample")
    images = np.stack([Photos()[index][0] for index in range(60)])
    expected = create_sampler(sampler, **parameters).fit(images, Photos.targets).scores_
    for options in (
        {"cache": tmp_path},
        {"cache": False, "batch_size": 7},
        {"cache": tmp_path, "batch_size": 1, "num_workers": 2},
    ):
        chosen = create_sampler(sampler, **parameters, **options).fit(Photos())
        assert np.array_equal(chosen.scores_, expected)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_memory")
def test_features_that_are_decoded_are_a_memory_map(tmp_path, caplog):
    caplog.set_level(logging.ERROR, "proxysample")
    rows = [np.arange(100, dtype=np.float32) + number for number in range(60)]
    images = Samples(rows, cache=tmp_path).images
    assert isinstance(images, np.memmap)
    assert np.array_equal(images, np.stack(rows))


def test_memory_that_is_not_free_is_not_taken(monkeypatch):
    monkeypatch.setattr("proxysample.data.pixel_cache.free_memory", lambda: 3 << 30)
    assert array_in_memory((2 << 30,), np.uint8).nbytes == 2 << 30
    with pytest.raises(InputError, match=r"4 samples of 1073741824 need .* \(3\.2 GB are free\)"):
        array_in_memory((4, 1 << 30), np.uint8)
    with pytest.raises(InputError, match="more than there is"):
        np.asarray(BlockArray(np.broadcast_to(np.uint8(0), (4, 1 << 15, 1 << 15))))


def test_chunks_that_nobody_can_unpack_are_refused(monkeypatch):
    monkeypatch.setattr("proxysample.data.pixel_cache.free_memory", lambda: 3 << 30)
    source = SimpleNamespace(shape=(1 << 20, 64, 64), dtype=np.dtype(np.uint8), chunks=(8, 64, 64))
    assert len(BlockArray(source)) == 1 << 20
    source.chunks = source.shape
    with pytest.raises(InputError, match="chunks of 1048576x64x64 uint8, each of which takes more"):
        BlockArray(source)


def test_free_memory_is_what_the_system_tells_and_a_container_leaves(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "CONTAINER", tmp_path)
    assert machine.free_memory() is None
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 6 kB\nSwapFree: 1 kB\n")
    assert machine.free_memory() == 7 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert machine.free_memory() == 7 * 1024
    (tmp_path / "memory.max").write_text("3000\n")
    assert machine.free_memory() == 2000
