"""Rows on their way to a device, and results on their way back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from proxysample.data.reading import ROWS_PER_CHUNK
from proxysample.device import fits_on_gpu
from proxysample.features import batches as device_data
from proxysample.features.batches import DeviceRows, gather_on_host

from ...simulated_gpu import Record, simulated_gpu

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
NUMBERS = np.random.default_rng(0).integers(0, 256, (40, 3), dtype=np.uint8)


@pytest.fixture
def gpu() -> Iterator[Record]:
    with simulated_gpu() as record:
        yield record


@pytest.mark.parametrize(("needed", "fits"), [(299, True), (300, False)])
def test_data_may_take_a_share_of_a_gpus_free_memory(needed, fits):
    with simulated_gpu(free_memory=1000):
        assert fits_on_gpu(needed, GPU, share=0.3) is fits
        assert not fits_on_gpu(needed, CPU, share=0.3)


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize("read_often", [True, False])
@pytest.mark.parametrize("kind", ["array", "memory map", "tensor"])
def test_rows_are_copies_of_those_of_the_source(kind, read_often, device, gpu, tmp_path):
    source = NUMBERS.copy()
    if kind == "memory map":
        source.tofile(tmp_path / "numbers")
        source = np.memmap(tmp_path / "numbers", source.dtype, "r", shape=source.shape)
    given = torch.from_numpy(source) if kind == "tensor" else source
    rows = DeviceRows(given, device, read_often=read_often)
    assert (len(rows), rows.shape, rows.device) == (40, (40, 3), device)
    for chosen in (slice(30, 99), np.array([7, 2, 7])):
        batch = rows[chosen]
        assert batch.device == device
        assert batch.dtype == torch.uint8
        batch += 1
        assert np.array_equal(rows[chosen].cpu().numpy(), NUMBERS[chosen])
    assert np.array_equal(source, NUMBERS)


def test_rows_that_stay_on_a_gpu_are_sent_once_and_few_at_a_time(gpu):
    source = np.zeros((2 * ROWS_PER_CHUNK + 5, 3), dtype=np.float32)
    rows = DeviceRows(source, GPU, read_often=True)
    sent = [one.n_bytes for one in gpu.crossings]
    assert sent == [12 * ROWS_PER_CHUNK, 12 * ROWS_PER_CHUNK, 12 * 5]
    _ = rows[slice(0, 50)]
    assert len(gpu.crossings) == 3
    _ = rows[np.arange(50)]
    assert [(one.kind, one.n_bytes) for one in gpu.crossings[3:]] == [("copy", 8 * 50)]


@pytest.mark.parametrize(("read_often", "free_memory"), [(False, 1 << 30), (True, 480)])
def test_rows_that_do_not_stay_are_sent_without_a_wait(read_often, free_memory):
    with simulated_gpu(free_memory) as gpu:
        rows = DeviceRows(NUMBERS, GPU, read_often=read_often)
        assert not gpu.crossings
        for _ in range(2):
            _ = rows[np.arange(5)]
    assert [(one.kind, one.n_bytes) for one in gpu.crossings] == [("copy", 15)] * 2


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize(("bytes_per_read", "n_reads"), [(1, 5), (24 * 8, 3), (1 << 20, 1)])
def test_results_come_back_in_order_by_few_reads(bytes_per_read, n_reads, device, gpu, monkeypatch):
    monkeypatch.setattr(device_data, "BYTES_PER_READ", bytes_per_read)
    parts = [torch.full((rows, 4), float(rows), dtype=torch.float16) for rows in (9, 20, 24, 1, 2)]
    on_device = [part.to(device) for part in parts]
    gpu.crossings.clear()
    gathered = gather_on_host(iter(on_device), 56)
    assert gathered.device == CPU
    assert torch.equal(gathered, torch.cat(parts))
    assert gathered.dtype == torch.float16
    assert len(gpu.of("read")) == len(gpu.crossings) == (n_reads if device == GPU else 0)
