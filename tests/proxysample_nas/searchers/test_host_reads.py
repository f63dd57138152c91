"""Searching and evaluation do not wait for a GPU at every step, and run on one at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch.utils.data import Subset
from tqdm import tqdm

from proxysample_nas.searchers import SearchResult, create_searcher
from proxysample_nas.space.cell import Cell
from proxysample_nas.training.trainer import CellTrainer

from ...real_gpu import count_waits
from ...simulated_gpu import Kind, Record, simulated_gpu
from .prepared import prepared

# So small a search may well end with a useless cell; that is not the subject here.
pytestmark = pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")

BATCH_SIZE = 32
N_STEPS = 1
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
# A read for each edge would be one for the only edge, where none is to be.
ONE_EDGE = {"n_nodes": 2}
ENAS = ONE_EDGE | {"controller_updates": 2, "controller_samples": 2, "n_candidates": 3}
SEARCHES: dict[str, tuple[str, dict[str, Any]]] = {
    f"{name}, {protocol}{', perturbation' if 'selection' in own else ''}": (
        name,
        own | {"protocol": protocol},
    )
    for name, own in (
        ("darts-v1", ONE_EDGE),
        ("darts-v1", {"selection": "perturbation", "perturbation_epochs": 1}),
        ("darts-v2", ONE_EDGE),
        ("gdas", {}),
        ("enas", ENAS),
    )
    for protocol in ("default", "paper")
    # What the paper's protocol changes is in the steps, which the choice takes from the search.
    if not ("selection" in own and protocol == "paper")
} | {"random": ("random", ONE_EDGE | {"n_samples": 2})}
READS_PER_STEP = {"gdas": 1}
"""GDAS must know the drawn operations to run these alone; no other search reads in a step."""


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


@pytest.fixture(scope="module")
def simulated(digits: Any) -> Callable[[str, int], tuple[SearchResult, Record]]:
    """Run a search of so many steps on the simulated GPU, once for all tests."""

    @cache
    def run(search: str, n_steps: int) -> tuple[SearchResult, Record]:
        name, own = SEARCHES[search]
        with simulated_gpu() as record:
            return run_search(digits, name, n_steps, device="cuda:0", **own), record

    return run


def record_of(run: Callable[[], object]) -> Record:
    with simulated_gpu() as record:
        run()
    return record


def growth(kind: Kind, short: Record, long: Record) -> Counter[str]:
    """Count, by place, what crosses in a long run beyond what crosses in a short one."""
    # A run without any has not been watched.
    assert short.of(kind)
    few, many = (Counter(one.place for one in record.of(kind)) for record in (short, long))
    many.subtract(few)
    return Counter({place: n for place, n in many.items() if n})


@pytest.mark.parametrize("search", SEARCHES)
def test_reads_of_a_search_do_not_grow_with_its_steps(search: str, simulated: Any) -> None:
    (_, short), (_, long) = simulated(search, N_STEPS), simulated(search, 2 * N_STEPS)
    grown = growth("read", short, long)
    assert grown.total() == READS_PER_STEP.get(SEARCHES[search][0], 0) * N_STEPS, grown


@pytest.mark.parametrize("search", SEARCHES)
def test_no_step_of_a_search_waits_for_a_copy_to_the_gpu(search: str, simulated: Any) -> None:
    (_, short), (_, long) = simulated(search, N_STEPS), simulated(search, 2 * N_STEPS)
    assert not growth("blocking copy", short, long)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("search", SEARCHES)
def test_a_real_gpu_is_not_waited_for_either(search: str, digits: Any) -> None:
    name, own = SEARCHES[search]

    def count(n_steps: int) -> int:
        return count_waits(partial(run_search, digits, name, n_steps, device="cuda", **own))[1]

    few, many = count(N_STEPS), count(2 * N_STEPS)
    assert few > 0
    assert many - few == READS_PER_STEP.get(name, 0) * N_STEPS


def test_a_training_does_not_wait_at_its_steps(digits: Any) -> None:
    short, long = (
        record_of(partial(run_training, digits, n_steps, "cuda:0"))
        # Fewer images lack a class.
        for n_steps in (2 * N_STEPS, 4 * N_STEPS)
    )
    assert not growth("read", short, long)
    assert not growth("blocking copy", short, long)


@pytest.mark.parametrize("protocol", ["default", "paper"])
@pytest.mark.parametrize(
    ("parameter", "reads"),
    [("controller_updates", 1), ("controller_samples", 0), ("n_candidates", 0)],
)
def test_enas_reads_once_per_update_of_the_controller(
    parameter: str, reads: int, protocol: str, digits: Any
) -> None:
    own = ENAS | {"protocol": protocol, "device": "cuda:0"}
    short, long = (
        record_of(partial(run_search, digits, "enas", N_STEPS, **(own | {parameter: size})))
        for size in (2, 4)
    )
    assert growth("read", short, long).total() == 2 * reads
    assert not growth("blocking copy", short, long)


def test_removing_an_operation_waits_for_nothing(simulated: Any) -> None:
    _, record = simulated("darts-v1, default, perturbation", 2 * N_STEPS)
    waits = [one.place for one in record.crossings if one.kind != "copy"]
    assert Counter(place for place in waits if ".perturbation." in place) == {
        # Each of the three edges is decided by one read of all that was measured,
        "proxysample_nas.searchers.perturbation.decide": 3,
        # and the epoch after each but the last is checked for divergence.
        "proxysample_nas.searchers.perturbation._train": 2,
    }


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_on_the_gpu_finds_what_one_on_the_cpu_finds(
    search: str, simulated: Any, digits: Any
) -> None:
    name, own = SEARCHES[search]
    on_gpu, _ = simulated(search, 2 * N_STEPS)
    on_cpu = run_search(digits, name, 2 * N_STEPS, device="cpu", **own)
    assert on_gpu.info.device == "cuda:0"
    assert on_gpu.cell == on_cpu.cell
    for told, expected in zip(on_gpu.history, on_cpu.history, strict=True):
        # Pooling takes another kernel there.
        assert told.train_loss == pytest.approx(expected.train_loss, rel=1e-5)
        assert told.architecture_accuracy == expected.architecture_accuracy


def test_a_training_on_the_gpu_is_that_on_the_cpu(digits: Any) -> None:
    with simulated_gpu():
        on_gpu = run_training(digits, 2 * N_STEPS, "cuda:0")
    on_cpu = run_training(digits, 2 * N_STEPS, "cpu")
    assert on_gpu.train_losses == pytest.approx(on_cpu.train_losses, rel=1e-5)
    assert on_gpu.accuracy == on_cpu.accuracy


@pytest.mark.parametrize("search", SEARCHES)
def test_a_state_kept_on_the_gpu_is_restored_there(search: str, digits: Any) -> None:
    """What a checkpoint has of a search, on the host, goes back into another state."""
    name, own = SEARCHES[search]
    searcher: Any = create_searcher(name, **(COMMON | own))
    with simulated_gpu():
        data = prepared(Subset(digits.train, range(64)), "cuda:0")
        first, second = (searcher._create_state(data, seed) for seed in (0, 1))
        run_epoch = partial(
            searcher._run_epoch,
            batches=searcher._create_batches(data),
            history=[],
            bar=tqdm(disable=True),
        )
        run_epoch(first)
        kept = {key: value.cpu().clone() for key, value in first.to_tensors().items()}
        second.load_tensors(kept)
        told, again = (replace(run_epoch(state), seconds=0.0) for state in (first, second))
    assert told == again
