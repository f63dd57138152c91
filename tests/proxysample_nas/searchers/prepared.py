"""Small searches, and a search's data prepared as a search does it."""

from __future__ import annotations

from typing import Any

import torch

from proxysample_nas.searchers import Searcher, create_searcher
from proxysample_nas.searchers.base import stream
from proxysample_nas.searchers.data import SearchData, prepare_data

SMALL_SEARCH: dict[str, Any] = {
    "n_nodes": 3,
    "channels": 2,
    "cells_per_stage": 1,
    "epochs": 2,
    "batch_size": 32,
    "random_state": 0,
    "device": "cpu",
    "progress": False,
}


def small_search(name: str, **changes: Any) -> Searcher:
    """Create a searcher of seconds; keyword arguments win."""
    return create_searcher(name, **(SMALL_SEARCH | changes))


def generator_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def prepared(train: Any, device: str = "cpu") -> SearchData:
    """Hold half of the training data out for the architecture, from seed 0."""
    return prepare_data(
        train,
        None,
        None,
        classes=None,
        architecture_fraction=0.5,
        normalization=None,
        generator=stream(0, "holdout"),
        device=torch.device(device),
    )
