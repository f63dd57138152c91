"""What a collapse is told by, and which remedies are offered against it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils.data import Subset

from proxysample.data.datasets import load_dataset
from proxysample_nas.searchers import EpochRecord, SearchCollapseWarning, create_searcher
from proxysample_nas.searchers.gradient import GradientSearcher
from proxysample_nas.space.operations import NAS_BENCH_201

SMALL: dict[str, Any] = {
    "n_nodes": 3,
    "channels": 2,
    "cells_per_stage": 1,
    "epochs": 2,
    "batch_size": 32,
    "random_state": 0,
    "device": "cpu",
    "progress": False,
}


@pytest.fixture(scope="module")
def proxy() -> Any:
    return Subset(load_dataset("digits").train, range(100))


@pytest.mark.parametrize(
    ("name", "changes", "remedies"),
    [
        (
            "darts-v1",
            {},
            "beta_regularization=50, stop_at_skips or stop_when_stable, "
            'selection="perturbation", fewer epochs. The',
        ),
        (
            "darts-v2",
            {"beta_regularization": 1.0, "selection": "perturbation", "perturbation_epochs": 1},
            ": stop_at_skips or stop_when_stable, fewer epochs. The",
        ),
        ("gdas", {"stop_at_skips": 3}, ": beta_regularization=50, fewer epochs. The"),
    ],
)
def test_the_warning_names_the_remedies_that_are_left(
    name: str,
    changes: dict[str, Any],
    remedies: str,
    proxy: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = GradientSearcher._create_state

    def with_skips(self: Any, *args: Any) -> Any:
        state = original(self, *args)
        with torch.no_grad():
            state.alphas[:, NAS_BENCH_201.index("skip_connect")] += 5
        return state

    monkeypatch.setattr(GradientSearcher, "_create_state", with_skips)
    with pytest.warns(SearchCollapseWarning) as caught:
        create_searcher(name, **(SMALL | changes)).search(proxy)
    message = str(caught[0].message)
    assert "after epoch 1, 3 of 3 edges are skip connections" in message
    assert remedies in message


def without_times(history: tuple[EpochRecord, ...]) -> list[EpochRecord]:
    return [replace(one, seconds=0.0) for one in history]


@pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")
@pytest.mark.parametrize("name", ["darts-v1", "darts-v2", "gdas"])
def test_gradient_searches_never_read_running_statistics(name: str, proxy: Any) -> None:
    """So that doing without them is no remedy for these, as their documentation says."""
    kept, done_without = (
        create_searcher(name, **SMALL, track_running_stats=track).search(proxy).history
        for track in (True, False)
    )
    assert without_times(kept) == without_times(done_without)
