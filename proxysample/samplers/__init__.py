"""The samplers: one family of scorers a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample.samplers.autoencoder import AutoencoderLoss
    from proxysample.samplers.coverage import Moderate, Prototypes, SemDeDup, ZCore
    from proxysample.samplers.given import GivenIndices, GivenRanking, read_indices
    from proxysample.samplers.greedy import D2, FacilityLocation, Herding, KCenter
    from proxysample.samplers.outliers import CCOutlierRemoval, KMeansOutlierRemoval
    from proxysample.samplers.random import CCRandomSampling, RandomSampling
    from proxysample.samplers.transfer import TransferLoss

__all__ = [
    "D2",
    "AutoencoderLoss",
    "CCOutlierRemoval",
    "CCRandomSampling",
    "FacilityLocation",
    "GivenIndices",
    "GivenRanking",
    "Herding",
    "KCenter",
    "KMeansOutlierRemoval",
    "Moderate",
    "Prototypes",
    "RandomSampling",
    "SemDeDup",
    "TransferLoss",
    "ZCore",
    "read_indices",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample.samplers.autoencoder": ["AutoencoderLoss"],
            "proxysample.samplers.coverage": ["Moderate", "Prototypes", "SemDeDup", "ZCore"],
            "proxysample.samplers.given": ["GivenIndices", "GivenRanking", "read_indices"],
            "proxysample.samplers.greedy": ["D2", "FacilityLocation", "Herding", "KCenter"],
            "proxysample.samplers.outliers": ["CCOutlierRemoval", "KMeansOutlierRemoval"],
            "proxysample.samplers.random": ["CCRandomSampling", "RandomSampling"],
            "proxysample.samplers.transfer": ["TransferLoss"],
        },
    )
