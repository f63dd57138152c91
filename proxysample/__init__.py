"""Pick the part of a training set worth keeping.

Names are imported when they are used, so ``import proxysample`` and `list_samplers` load
neither torch nor scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.errors import InputError, MissingDependencyError, ProxysampleError
from proxysample.lazy import lazy_exports
from proxysample.registry import create_sampler, list_samplers, register

if TYPE_CHECKING:
    from proxysample import data, samplers, testing
    from proxysample.agreement.agreement import RankAgreement, rank_agreement
    from proxysample.data.datasets import ArrayDataset, Splits, load_dataset
    from proxysample.features.embedding import embed
    from proxysample.features.store import Features
    from proxysample.keeping import KeepingRule
    from proxysample.ranking import Ranking
    from proxysample.resampler import Resampler
    from proxysample.sampler import Sampler
    from proxysample.samplers.autoencoder import AutoencoderLoss
    from proxysample.samplers.coverage import Moderate, Prototypes, SemDeDup, ZCore
    from proxysample.samplers.given import GivenIndices, GivenRanking
    from proxysample.samplers.greedy import D2, FacilityLocation, Herding, KCenter
    from proxysample.samplers.outliers import CCOutlierRemoval, KMeansOutlierRemoval
    from proxysample.samplers.random import CCRandomSampling, RandomSampling
    from proxysample.samplers.transfer import TransferLoss
    from proxysample.selection import LostClassesWarning

    __version__: str

__all__ = [
    "D2",
    "ArrayDataset",
    "AutoencoderLoss",
    "CCOutlierRemoval",
    "CCRandomSampling",
    "FacilityLocation",
    "Features",
    "GivenIndices",
    "GivenRanking",
    "Herding",
    "InputError",
    "KCenter",
    "KMeansOutlierRemoval",
    "KeepingRule",
    "LostClassesWarning",
    "MissingDependencyError",
    "Moderate",
    "Prototypes",
    "ProxysampleError",
    "RandomSampling",
    "RankAgreement",
    "Ranking",
    "Resampler",
    "Sampler",
    "SemDeDup",
    "Splits",
    "TransferLoss",
    "ZCore",
    "__version__",
    "create_sampler",
    "data",
    "embed",
    "list_samplers",
    "load_dataset",
    "rank_agreement",
    "register",
    "samplers",
    "testing",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample.agreement.agreement": ["RankAgreement", "rank_agreement"],
            "proxysample.data.datasets": ["ArrayDataset", "Splits", "load_dataset"],
            "proxysample.features.embedding": ["embed"],
            "proxysample.features.store": ["Features"],
            "proxysample.keeping": ["KeepingRule"],
            "proxysample.ranking": ["Ranking"],
            "proxysample.resampler": ["Resampler"],
            "proxysample.sampler": ["Sampler"],
            "proxysample.samplers.autoencoder": ["AutoencoderLoss"],
            "proxysample.samplers.coverage": ["Moderate", "Prototypes", "SemDeDup", "ZCore"],
            "proxysample.samplers.given": ["GivenIndices", "GivenRanking"],
            "proxysample.samplers.greedy": ["D2", "FacilityLocation", "Herding", "KCenter"],
            "proxysample.samplers.outliers": ["CCOutlierRemoval", "KMeansOutlierRemoval"],
            "proxysample.samplers.random": ["CCRandomSampling", "RandomSampling"],
            "proxysample.samplers.transfer": ["TransferLoss"],
            "proxysample.selection": ["LostClassesWarning"],
        },
        ["data", "samplers", "testing"],
    )
