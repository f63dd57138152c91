"""Whole DARTS searches on real digits."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from proxysample.errors import InputError
from proxysample_nas.data.loader import Augmentation
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.searchers import (
    DARTS,
    SearchCollapseWarning,
    SearchResult,
)
from proxysample_nas.searchers import weight_sharing as weight_sharing_module
from proxysample_nas.space.operations import NAS_BENCH_201
from proxysample_nas.training.optimization import DivergenceError

from .prepared import SMALL_SEARCH

# A search of one epoch ends near its random beginning, where a cell may well have no path.
pytestmark = pytest.mark.filterwarnings("ignore:the searched cell has no path")


def small_search(**changes: Any) -> DARTS:
    return DARTS(**(SMALL_SEARCH | changes))


def test_a_search_learns_and_tells_its_story(digits: Any) -> None:
    """One of the second order differs in its steps alone, which are compared with plain ones."""
    searcher = small_search(
        epochs=4, channels=4, learning_rate=0.1, architecture_learning_rate=0.01
    )
    result = searcher.search(Subset(digits.train, range(601)))
    info = result.info
    assert info.searcher == "darts-v1"
    assert (info.n_weight_samples, info.n_architecture_samples) == (301, 300)
    assert info.architecture_source == "held out"
    assert (info.n_classes, info.image_shape, info.seed) == (10, (1, 8, 8), 0)
    assert info.steps_per_epoch == math.ceil(301 / 32)
    assert result.n_steps == 4 * 10
    assert len(result.history) == 4
    for record in result.history:
        weights = np.array(record.architecture_weights)
        assert weights.shape == (3, 5)
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
        likeliest = tuple(NAS_BENCH_201.operations[index] for index in weights.argmax(axis=1))
        assert record.cell.operations == likeliest
        assert record.seconds > 0
    assert result.history[-1].train_loss < 0.85 * result.history[0].train_loss
    assert result.history[-1].architecture_accuracy > 30
    # Both kinds of parameters move.
    assert result.history[0].architecture_weights != result.history[-1].architecture_weights
    assert SearchResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_the_learning_rate_falls_along_a_cosine(proxy: Any) -> None:
    result = small_search(epochs=3, learning_rate=0.05, minimum_learning_rate=0.01).search(proxy)
    expected = [0.05, 0.01 + 0.04 * 0.75, 0.01 + 0.04 * 0.25]
    assert [record.learning_rate for record in result.history] == pytest.approx(expected)


def test_the_weights_are_trained_at_that_rate(proxy: Any) -> None:
    low, high = (
        small_search(epochs=2, minimum_learning_rate=rate).search(proxy).history
        for rate in (0.0, 0.025)
    )
    assert low[0].train_loss == high[0].train_loss
    assert low[1].train_loss != high[1].train_loss


def test_the_protocols_differ_in_what_they_draw(
    digits: Any, proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs: list[Any] = []
    original = weight_sharing_module.PairedBatches

    def record(*args: Any, **options: Any) -> Any:
        pairs.append(original(*args, **options))
        return pairs[-1]

    monkeypatch.setattr(weight_sharing_module, "PairedBatches", record)
    for protocol in ("default", "paper"):
        searcher = small_search(protocol=protocol, epochs=1, augmentation=None)
        searcher.search(proxy, Subset(digits.test, range(100)))

    def seen(pair: Any) -> list[int]:
        """How often each of the 100 architecture images comes in an epoch of 200."""
        generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
        images = torch.cat([batch[1][0] for batch in pair.epoch(*generators)])
        _, counts = images.flatten(1).unique(dim=0, return_counts=True)
        return counts.tolist()

    assert set(seen(pairs[0])) == {2}
    assert len(set(seen(pairs[1]))) > 2


@pytest.mark.usefixtures("begun_collapsed")
def test_a_collapse_is_warned_of_once(proxy: Any) -> None:
    with pytest.warns(SearchCollapseWarning, match="after epoch 1, 3 of 3 edges") as caught:
        small_search(epochs=3).search(proxy)
    assert len(caught) == 1


def test_divergence_names_epoch_and_learning_rate(proxy: Any) -> None:
    with pytest.raises(DivergenceError, match=r"epoch 1 at learning rate 1e\+30"):
        small_search(learning_rate=1e30, gradient_clip=None).search(proxy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": 3}, "order must be 1 or 2"),
        ({"n_nodes": 1}, "n_nodes must be"),
        ({"epochs": 0}, "epochs must be a positive integer"),
        ({"batch_size": 1.5}, "batch_size must be a positive integer"),
        ({"learning_rate": -1}, "learning_rate must be a finite number"),
        ({"minimum_learning_rate": 0.1}, "exceeds learning_rate=0.025"),
        ({"momentum": 0}, "nesterov=True needs a momentum"),
        (
            {"gradient_clip": 0},
            "gradient_clip must be a positive number or None, not 0; None is for no",
        ),
        ({"architecture_betas": (0.5, 1.0)}, "architecture_betas"),
        ({"architecture_betas": 0.5}, "architecture_betas"),
        ({"architecture_fraction": 1.0}, "strictly between 0 and 1"),
        (
            {"finite_difference": 0},
            "finite_difference must be a positive number, not 0; the authors used",
        ),
        ({"protocol": "papper"}, "did you mean 'paper'"),
        ({"random_state": -1}, "random_state must be"),
        ({"normalization": Normalization((0.5,) * 3, (0.5,) * 3)}, "1 channels"),
        ({"augmentation": "flip"}, "augmentation must be"),
    ],
)
def test_bad_parameters_say_what_to_do(proxy: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small_search(**changes).search(proxy)


def test_augmentation_reaches_the_batches(proxy: Any) -> None:
    plain = small_search(epochs=1, augmentation=None).search(proxy)
    moved = small_search(epochs=1, augmentation=Augmentation(crop_padding=2)).search(proxy)
    assert plain.history[0].train_loss != moved.history[0].train_loss


def test_the_second_order_finds_another_gradient(proxy: Any) -> None:
    first, second = (small_search(order=order, epochs=1).search(proxy) for order in (1, 2))
    assert first.history[0].architecture_weights != second.history[0].architecture_weights
