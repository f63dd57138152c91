from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Subset

from proxysample.data.datasets import load_dataset
from proxysample_nas.searchers.weight_sharing import GradientSearcher
from proxysample_nas.space.operations import NAS_BENCH_201


@pytest.fixture(scope="session")
def digits() -> Any:
    return load_dataset("digits")


@pytest.fixture(scope="session")
def proxy(digits: Any) -> Any:
    """So few digits that a small search is over in seconds."""
    return Subset(digits.train, range(200))


@pytest.fixture
def begun_collapsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradient searches begin with skip connections by far the likeliest."""
    original = GradientSearcher._create_state

    def with_skips(self: GradientSearcher, *args: Any) -> Any:
        state = original(self, *args)
        with torch.no_grad():
            state.alphas[:, NAS_BENCH_201.index("skip_connect")] += 5
        return state

    monkeypatch.setattr(GradientSearcher, "_create_state", with_skips)


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


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow, which keeps what it is told in a folder of the test's, and tells nobody of it."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    # A database takes seconds to set up.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlflow")
    return pytest.importorskip("mlflow", reason="mlflow is not installed")
