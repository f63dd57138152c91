"""Epochs of a given number of updates, so that a proxy can be searched as long as all data."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils.data import Subset

from proxysample.errors import InputError
from proxysample_nas.data.images import load_images
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.searchers import EpochRecord, Searcher
from proxysample_nas.searchers.data import PairedBatches, SearchData, SeparateBatches

from .prepared import small_search

# So small a search may well end with a useless cell; that is not the subject here.
pytestmark = pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")

every_gradient_searcher = pytest.mark.parametrize("name", ["darts-v1", "darts-v2", "gdas"])
every_weight_sharing_searcher = pytest.mark.parametrize(
    "name", ["darts-v1", "darts-v2", "gdas", "enas"]
)


def numbered(n_samples: int) -> Any:
    """Give images that all differ, each of one value that tells its number."""
    images = torch.arange(n_samples, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    return load_images(images, [0, 1] * (n_samples // 2), device="cpu")


def numbers_of(steps: int | None, seed: int = 0) -> tuple[list[list[int]], list[list[int]]]:
    """Give the samples of each step of an epoch: of 10 for the weights, 4 for the architecture."""
    plain = Normalization((0.0,), (1 / 255,))
    data = SearchData(numbered(10), numbered(4), "validation", plain)
    batches = PairedBatches(
        data, batch_size=4, augmentation=None, with_replacement=False, steps_per_epoch=steps
    )
    generators = [torch.Generator().manual_seed(seed + offset) for offset in (0, 1)]
    pairs = list(batches.epoch(*generators))
    assert len(pairs) == batches.steps_per_epoch
    assert sum(len(labels) for (_, labels), _ in pairs) == batches.samples_per_epoch
    halves = [
        [pair[half][0][:, 0, 0, 0].round().int().tolist() for pair in pairs] for half in range(2)
    ]
    return halves[0], halves[1]


def weights_alone(steps: int | None, seed: int = 0) -> list[list[int]]:
    """Give the samples of each step of an epoch that only trains the weights, on 10."""
    plain = Normalization((0.0,), (1 / 255,))
    data = SearchData(numbered(10), numbered(4), "validation", plain)
    batches = SeparateBatches(data, batch_size=4, augmentation=None, steps_per_epoch=steps)
    epoch = list(batches.weight_epoch(torch.Generator().manual_seed(seed)))
    assert len(epoch) == batches.steps_per_epoch
    assert sum(len(labels) for _, labels in epoch) == batches.samples_per_epoch
    return [images[:, 0, 0, 0].round().int().tolist() for images, _ in epoch]


def joined(steps: list[list[int]]) -> list[int]:
    return list(itertools.chain.from_iterable(steps))


def test_without_a_number_an_epoch_is_one_pass() -> None:
    weights, architecture = numbers_of(None)
    assert [len(step) for step in weights] == [len(step) for step in architecture] == [4, 4, 2]
    assert sorted(joined(weights)) == list(range(10))


def test_more_steps_go_through_whole_passes_in_full_batches() -> None:
    weights, architecture = numbers_of(6)
    assert [len(step) for step in weights] == [len(step) for step in architecture] == [4] * 6
    order = joined(weights)
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert order[:10] != order[10:20]
    assert len(set(order[20:])) == 4
    assert sorted(joined(architecture)) == sorted([*range(4)] * 6)


def test_fewer_steps_see_another_part_in_every_epoch() -> None:
    parts = [joined(numbers_of(1, seed)[0]) for seed in (0, 10)]
    assert [len(set(part)) for part in parts] == [4, 4]
    assert parts[0] != parts[1]


@pytest.mark.parametrize("steps", [None, 1, 6])
def test_weights_alone_see_the_samples_of_pairs(steps: int | None) -> None:
    assert weights_alone(steps) == numbers_of(steps)[0]


def small(name: str, **changes: Any) -> Searcher:
    own: dict[str, Any] = (
        {"controller_updates": 3, "controller_samples": 2, "n_candidates": 4}
        if name == "enas"
        else {"architecture_learning_rate": 0.05}
    )
    return small_search(name, **({"batch_size": 20} | own | changes))


def without_times(history: tuple[EpochRecord, ...]) -> list[EpochRecord]:
    return [replace(one, seconds=0.0) for one in history]


@every_weight_sharing_searcher
def test_the_steps_of_one_pass_give_the_bits_of_the_default(name: str, proxy: Any) -> None:
    few = Subset(proxy, range(120))
    plain = small(name, n_nodes=2).search(few)
    assert plain.info.steps_per_epoch == 3
    told = small(name, n_nodes=2, steps_per_epoch=3).search(few)
    assert without_times(told.history) == without_times(plain.history)


@every_weight_sharing_searcher
def test_a_search_makes_and_tells_that_many_updates(name: str, proxy: Any) -> None:
    result = small(name, n_nodes=2, steps_per_epoch=7).search(proxy)
    assert result.info.steps_per_epoch == 7
    assert result.info.n_weight_samples == 100
    assert result.n_steps == 14


@every_gradient_searcher
def test_the_means_of_an_epoch_are_over_all_its_steps(name: str, proxy: Any) -> None:
    """Nothing learns here, so that three passes measure what one does."""
    still = {
        "architecture_learning_rate": 0.0,
        "learning_rate": 0.0,
        "minimum_learning_rate": 0.0,
        "augmentation": None,
        "architecture_initial_deviation": 0.0,
        "epochs": 1,
        "n_nodes": 2,
    }
    once, thrice = (
        small(name, steps_per_epoch=steps, **still).search(proxy).history[0] for steps in (5, 15)
    )
    assert thrice.train_loss == pytest.approx(once.train_loss, rel=0.1)
    assert thrice.architecture_loss == pytest.approx(once.architecture_loss, rel=0.1)


def test_the_means_of_an_enas_epoch_are_over_all_its_steps(proxy: Any) -> None:
    """The controller's updates are as many, however many the weights make."""
    still = {"learning_rate": 0.0, "minimum_learning_rate": 0.0, "augmentation": None, "epochs": 1}
    once, thrice = (small("enas", steps_per_epoch=n, **still).search(proxy) for n in (5, 15))
    loss, again = (result.history[0].train_loss for result in (once, thrice))
    # Each batch has a cell of its own, and untrained ones differ; a sum would be thrice as large.
    assert again == pytest.approx(loss, rel=0.3)
    assert 0 < thrice.history[0].train_accuracy < 30


@pytest.mark.parametrize("name", ["gdas", "enas"])
@pytest.mark.parametrize("value", [0, -5, 2.5])
def test_a_bad_number_is_refused_before_the_data_is_read(name: str, value: Any) -> None:
    with pytest.raises(InputError, match="steps_per_epoch must be a positive integer or None"):
        small(name, steps_per_epoch=value).search("no dataset")
