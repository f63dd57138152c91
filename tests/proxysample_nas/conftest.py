from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def tiny_settings() -> Callable[..., dict[str, Any]]:
    """Settings of a study of seconds; keyword arguments win."""

    def create(**changed: Any) -> dict[str, Any]:
        return {
            "dataset": "digits",
            "n_train": 120,
            "samplers": ["rs"],
            "ratios": [0.5],
            "searchers": ["darts-v1:n_nodes=3,channels=4,cells_per_stage=1,epochs=1"],
            "channels": [4],
            "seeds": [777],
            "training": {"epochs": 1, "cells_per_stage": 1, "batch_size": 64},
            "augmentation": {"flip": False},
        } | changed

    return create
