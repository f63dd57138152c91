"""The samplers: one family of scorers a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample.samplers.auto import Automatic
    from proxysample.samplers.autoencoder import AutoencoderLoss
    from proxysample.samplers.coverage import Moderate, Prototypes, SemDeDup, ZCore
    from proxysample.samplers.given import GivenIndices, GivenRanking, read_indices
    from proxysample.samplers.greedy import D2, FacilityLocation, Herding, KCenter
    from proxysample.samplers.outliers import CCOutlierRemoval, KMeansOutlierRemoval
    from proxysample.samplers.random import CCRandomSampling, RandomSampling
    from proxysample.samplers.recorded import (
        AUM,
        CLD,
        CSL,
        DUAL,
        EL2N,
        TDDS,
        Confidence,
        CoverageCentric,
        DynamicsSampler,
        DynUnc,
        Entropy,
        FirstLearned,
        Forgetting,
        GraNd,
        LearningSpeed,
        LeastConfidence,
        Margin,
        ProbabilityAUM,
        Variability,
    )
    from proxysample.samplers.transfer import TransferLoss

__all__ = [
    "AUM",
    "CLD",
    "CSL",
    "D2",
    "DUAL",
    "EL2N",
    "TDDS",
    "AutoencoderLoss",
    "Automatic",
    "CCOutlierRemoval",
    "CCRandomSampling",
    "Confidence",
    "CoverageCentric",
    "DynUnc",
    "DynamicsSampler",
    "Entropy",
    "FacilityLocation",
    "FirstLearned",
    "Forgetting",
    "GivenIndices",
    "GivenRanking",
    "GraNd",
    "Herding",
    "KCenter",
    "KMeansOutlierRemoval",
    "LearningSpeed",
    "LeastConfidence",
    "Margin",
    "Moderate",
    "ProbabilityAUM",
    "Prototypes",
    "RandomSampling",
    "SemDeDup",
    "TransferLoss",
    "Variability",
    "ZCore",
    "read_indices",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample.samplers.auto": ["Automatic"],
            "proxysample.samplers.autoencoder": ["AutoencoderLoss"],
            "proxysample.samplers.coverage": ["Moderate", "Prototypes", "SemDeDup", "ZCore"],
            "proxysample.samplers.given": ["GivenIndices", "GivenRanking", "read_indices"],
            "proxysample.samplers.greedy": ["D2", "FacilityLocation", "Herding", "KCenter"],
            "proxysample.samplers.outliers": ["CCOutlierRemoval", "KMeansOutlierRemoval"],
            "proxysample.samplers.random": ["CCRandomSampling", "RandomSampling"],
            "proxysample.samplers.recorded": [
                "AUM",
                "CLD",
                "CSL",
                "Confidence",
                "CoverageCentric",
                "DUAL",
                "DynUnc",
                "DynamicsSampler",
                "EL2N",
                "Entropy",
                "FirstLearned",
                "Forgetting",
                "GraNd",
                "LearningSpeed",
                "LeastConfidence",
                "Margin",
                "ProbabilityAUM",
                "TDDS",
                "Variability",
            ],
            "proxysample.samplers.transfer": ["TransferLoss"],
        },
    )
