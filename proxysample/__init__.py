"""Pick the part of a training set worth keeping.

Names are imported when they are used, so ``import proxysample`` and `list_samplers` load
neither torch nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from proxysample.errors import InputError, MissingDependencyError, ProxysampleError
from proxysample.registry import create_sampler, list_samplers

if TYPE_CHECKING:
    from proxysample.data.datasets import ArrayDataset, load_dataset
    from proxysample.ranking import Ranking
    from proxysample.sampler import Sampler
    from proxysample.samplers.autoencoder import AutoencoderLoss
    from proxysample.samplers.outliers import CCOutlierRemoval, KMeansOutlierRemoval
    from proxysample.samplers.random import CCRandomSampling, RandomSampling
    from proxysample.samplers.transfer import TransferLoss

_HOMES = {
    "ArrayDataset": "proxysample.data.datasets",
    "AutoencoderLoss": "proxysample.samplers.autoencoder",
    "CCOutlierRemoval": "proxysample.samplers.outliers",
    "CCRandomSampling": "proxysample.samplers.random",
    "KMeansOutlierRemoval": "proxysample.samplers.outliers",
    "RandomSampling": "proxysample.samplers.random",
    "Ranking": "proxysample.ranking",
    "Sampler": "proxysample.sampler",
    "TransferLoss": "proxysample.samplers.transfer",
    "load_dataset": "proxysample.data.datasets",
}

__all__ = [
    "ArrayDataset",
    "AutoencoderLoss",
    "CCOutlierRemoval",
    "CCRandomSampling",
    "InputError",
    "KMeansOutlierRemoval",
    "MissingDependencyError",
    "ProxysampleError",
    "RandomSampling",
    "Ranking",
    "Sampler",
    "TransferLoss",
    "create_sampler",
    "list_samplers",
    "load_dataset",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
