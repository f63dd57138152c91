"""Searching and judging do not wait for a GPU at every step, and run on one at all."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils.data import Subset
from tqdm import tqdm

from proxysample.data.datasets import load_dataset
from proxysample_nas.searchers import SearchResult, create_searcher
from proxysample_nas.searchers.data import prepare_data
from proxysample_nas.searchers.seeds import stream
from proxysample_nas.space.cell import Cell
from proxysample_nas.training.trainer import CellTrainer

from .simulated_gpu import Crossing, Kind, simulated_gpu

# So small a search may well end with a useless cell; that is not the subject here.
pytestmark = pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")

BATCH_SIZE = 32
N_STEPS = 2
"""Steps of a short epoch; a long one has twice as many."""

COMMON: dict[str, Any] = {
    "n_nodes": 3,
    "channels": 2,
    "cells_per_stage": 1,
    "epochs": 1,
    "batch_size": BATCH_SIZE,
    "random_state": 0,
    "progress": False,
}
ENAS = {"controller_updates": 2, "controller_samples": 2, "n_candidates": 3}
SEARCHES: dict[str, tuple[str, dict[str, Any]]] = {
    f"{name}, {protocol}{', perturbation' if 'selection' in own else ''}": (
        name,
        own | {"protocol": protocol},
    )
    for name, own in (
        ("darts-v1", {}),
        ("darts-v1", {"selection": "perturbation", "perturbation_epochs": 1}),
        ("darts-v2", {}),
        ("gdas", {}),
        ("enas", ENAS),
    )
    for protocol in ("default", "paper")
} | {"random": ("random", {"n_samples": 2})}
READS_PER_STEP = {"gdas": 1}
"""GDAS must know the drawn operations to run these alone; no other search reads in a step."""


@pytest.fixture(scope="module")
def digits() -> Any:
    return load_dataset("digits")


def run_search(digits: Any, name: str, n_steps: int, **parameters: Any) -> SearchResult:
    n_samples = n_steps * BATCH_SIZE
    train, validation = (Subset(part, range(n_samples)) for part in (digits.train, digits.test))
    return create_searcher(name, **(COMMON | parameters)).search(train, validation)


def run_training(digits: Any, n_steps: int, device: str) -> Any:
    train, test = (
        Subset(part, range(n_steps * BATCH_SIZE)) for part in (digits.train, digits.test)
    )
    trainer = CellTrainer(
        channels=2,
        cells_per_stage=1,
        epochs=1,
        batch_size=BATCH_SIZE,
        device=device,
        progress=False,
    )
    cell = Cell.from_string("|nor_conv_3x3~0|+|avg_pool_3x3~0|skip_connect~1|")
    return trainer.train_once(cell, train, test, seed=0)


def growth(
    kind: Kind,
    run: Callable[[int], object],
    *,
    short: int,
    long: int,
    excused: Callable[[Crossing], bool] = lambda crossing: False,
) -> Counter[str]:
    """Count, by place, what crosses in a long run beyond what crosses in a short one."""
    counts: list[Counter[str]] = []
    for length in (short, long):
        with simulated_gpu() as record:
            run(length)
        crossings = record.of(kind)
        # A run without any has not been watched.
        assert crossings
        counts.append(Counter(one.place for one in crossings if not excused(one)))
    few, many = counts
    many.subtract(few)
    return Counter({place: n for place, n in many.items() if n})


@pytest.mark.parametrize("search", SEARCHES)
def test_reads_of_a_search_do_not_grow_with_its_steps(search: str, digits: Any) -> None:
    name, own = SEARCHES[search]
    grown = growth(
        "read",
        lambda n_steps: run_search(digits, name, n_steps, device="cuda:0", **own),
        short=N_STEPS,
        long=2 * N_STEPS,
    )
    assert grown.total() == READS_PER_STEP.get(name, 0) * N_STEPS, grown


def is_the_supernets(crossing: Crossing) -> bool:
    """Tell of copies that the supernet makes in every pass: indices of edges and operations.

    A backward pass sends the indices of edges once more, as `index_put`.
    """
    return (
        crossing.place.startswith("proxysample_nas.space.")
        or crossing.operation == "aten.index_put.default"
    )


@pytest.mark.parametrize("search", SEARCHES)
def test_no_step_of_a_search_waits_for_a_copy_to_the_gpu(search: str, digits: Any) -> None:
    name, own = SEARCHES[search]
    grown = growth(
        "blocking copy",
        lambda n_steps: run_search(digits, name, n_steps, device="cuda:0", **own),
        short=N_STEPS,
        long=2 * N_STEPS,
        excused=is_the_supernets,
    )
    assert not grown


SENDS_INDICES = pytest.mark.xfail(strict=True, reason="see is_the_supernets")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    "search",
    [
        pytest.param(search, marks=() if name in ("enas", "random") else SENDS_INDICES)
        for search, (name, _) in SEARCHES.items()
    ],
)
def test_a_real_gpu_is_not_waited_for_either(search: str, digits: Any) -> None:
    name, own = SEARCHES[search]

    def count(n_steps: int) -> int:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                run_search(digits, name, n_steps, device="cuda", **own)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("synchronizing CUDA operation" in str(one.message) for one in caught)

    few, many = count(N_STEPS), count(2 * N_STEPS)
    assert few > 0
    assert many - few == READS_PER_STEP.get(name, 0) * N_STEPS


@pytest.mark.parametrize("kind", ["read", "blocking copy"])
def test_a_training_does_not_wait_at_its_steps(kind: Kind, digits: Any) -> None:
    grown = growth(
        kind,
        lambda n_steps: run_training(digits, n_steps, "cuda:0"),
        short=N_STEPS,
        long=2 * N_STEPS,
    )
    assert not grown


@pytest.mark.parametrize("protocol", ["default", "paper"])
@pytest.mark.parametrize(
    ("parameter", "reads"), [("controller_updates", 1), ("controller_samples", 0)]
)
def test_enas_reads_once_per_update_of_the_controller(
    parameter: str, reads: int, protocol: str, digits: Any
) -> None:
    def run(size: int) -> object:
        own = ENAS | {parameter: size, "protocol": protocol}
        return run_search(digits, "enas", N_STEPS, device="cuda:0", **own)

    assert growth("read", run, short=2, long=4).total() == 2 * reads
    assert not growth("blocking copy", run, short=2, long=4)


@pytest.mark.parametrize("protocol", ["default", "paper"])
def test_the_final_choice_of_enas_reads_once(protocol: str, digits: Any) -> None:
    def run(n_candidates: int) -> object:
        own = ENAS | {"n_candidates": n_candidates, "protocol": protocol}
        return run_search(digits, "enas", N_STEPS, device="cuda:0", **own)

    assert not growth("read", run, short=2, long=6)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_on_the_gpu_finds_what_one_on_the_cpu_finds(search: str, digits: Any) -> None:
    name, own = SEARCHES[search]
    with simulated_gpu():
        on_gpu = run_search(digits, name, N_STEPS, device="cuda:0", **own)
    on_cpu = run_search(digits, name, N_STEPS, device="cpu", **own)
    assert on_gpu.facts.device == "cuda:0"
    assert on_gpu.cell == on_cpu.cell
    for told, expected in zip(on_gpu.history, on_cpu.history, strict=True):
        # Pooling takes another kernel there.
        assert told.train_loss == pytest.approx(expected.train_loss, rel=1e-5)
        assert told.architecture_accuracy == expected.architecture_accuracy


def test_a_training_on_the_gpu_is_that_on_the_cpu(digits: Any) -> None:
    with simulated_gpu():
        on_gpu = run_training(digits, N_STEPS, "cuda:0")
    on_cpu = run_training(digits, N_STEPS, "cpu")
    assert on_gpu.train_losses == pytest.approx(on_cpu.train_losses, rel=1e-5)
    assert on_gpu.accuracy == on_cpu.accuracy


def test_a_state_kept_on_the_gpu_is_restored_there(digits: Any) -> None:
    """What a checkpoint has of each search, on the host, goes back into another state."""
    data_of = {"train": Subset(digits.train, range(64)), "validation": None, "y": None}
    for name, own in SEARCHES.values():
        searcher: Any = create_searcher(name, **(COMMON | own))
        with simulated_gpu():
            data = prepare_data(
                **data_of,
                classes=None,
                architecture_fraction=0.5,
                normalization=None,
                generator=stream(0, "holdout"),
                device=torch.device("cuda:0"),
            )
            batches = searcher._create_batches(data)
            bar = tqdm(disable=True)
            first, second = (searcher._create_state(data, seed) for seed in (0, 1))
            searcher._run_epoch(first, batches, 0, bar)
            kept = {key: value.cpu().clone() for key, value in first.to_tensors().items()}
            second.load_tensors(kept)
            told = [
                replace(searcher._run_epoch(state, batches, 0, bar), seconds=0.0)
                for state in (first, second)
            ]
        assert told[0] == told[1]
