"""A search's data, prepared as a search does it."""

from __future__ import annotations

from typing import Any

import torch

from proxysample_nas.searchers.data import SearchData, prepare_data
from proxysample_nas.searchers.seeds import stream


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
