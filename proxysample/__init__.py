"""Pick the part of a training set worth keeping.

Names are imported when they are used, so ``import proxysample`` and `list_samplers` load
neither torch nor scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample import samplers
from proxysample.errors import InputError, MissingDependencyError, ProxysampleError
from proxysample.lazy import lazy_exports
from proxysample.registry import create_sampler, list_samplers, register

if TYPE_CHECKING:
    from proxysample import comparison, data, dynamics, testing
    from proxysample.agreement.agreement import RankAgreement, rank_agreement
    from proxysample.comparison.comparison import Comparison, compare
    from proxysample.data.datasets import ArrayDataset, Splits, load_dataset
    from proxysample.dynamics.indexed import with_indices
    from proxysample.dynamics.recorder import DynamicsRecorder
    from proxysample.dynamics.suspects import mislabelled
    from proxysample.features.embedding import embed
    from proxysample.features.store import Features
    from proxysample.keeping import KeepingRule
    from proxysample.ranking import NotNestedWarning, Ranking
    from proxysample.resampler import Resampler
    from proxysample.rules.directions import KeepBottom, KeepEasy, KeepHard, KeepMiddle, KeepTop
    from proxysample.rules.draws import BetaDraw, HistogramDraw, WeightedDraw
    from proxysample.rules.strata import CCS
    from proxysample.sampler import Sampler
    from proxysample.samplers import (
        AUM,
        CLD,
        CSL,
        D2,
        DUAL,
        EL2N,
        TDDS,
        AutoencoderLoss,
        Automatic,
        CCOutlierRemoval,
        CCRandomSampling,
        Confidence,
        CoverageCentric,
        DynamicsSampler,
        DynUnc,
        Entropy,
        FacilityLocation,
        FirstLearned,
        Forgetting,
        GivenIndices,
        GivenRanking,
        GraNd,
        Herding,
        KCenter,
        KMeansOutlierRemoval,
        LearningSpeed,
        LeastConfidence,
        Margin,
        Moderate,
        ProbabilityAUM,
        Prototypes,
        RandomSampling,
        SemDeDup,
        TransferLoss,
        Variability,
        ZCore,
    )
    from proxysample.schedule import RandomSchedule
    from proxysample.selection import LostClassesWarning
    from proxysample.shares import ClassWeights

    __version__: str

__all__ = [
    "AUM",
    "CCS",
    "CLD",
    "CSL",
    "D2",
    "DUAL",
    "EL2N",
    "TDDS",
    "ArrayDataset",
    "AutoencoderLoss",
    "Automatic",
    "BetaDraw",
    "CCOutlierRemoval",
    "CCRandomSampling",
    "ClassWeights",
    "Comparison",
    "Confidence",
    "CoverageCentric",
    "DynUnc",
    "DynamicsRecorder",
    "DynamicsSampler",
    "Entropy",
    "FacilityLocation",
    "Features",
    "FirstLearned",
    "Forgetting",
    "GivenIndices",
    "GivenRanking",
    "GraNd",
    "Herding",
    "HistogramDraw",
    "InputError",
    "KCenter",
    "KMeansOutlierRemoval",
    "KeepBottom",
    "KeepEasy",
    "KeepHard",
    "KeepMiddle",
    "KeepTop",
    "KeepingRule",
    "LearningSpeed",
    "LeastConfidence",
    "LostClassesWarning",
    "Margin",
    "MissingDependencyError",
    "Moderate",
    "NotNestedWarning",
    "ProbabilityAUM",
    "Prototypes",
    "ProxysampleError",
    "RandomSampling",
    "RandomSchedule",
    "RankAgreement",
    "Ranking",
    "Resampler",
    "Sampler",
    "SemDeDup",
    "Splits",
    "TransferLoss",
    "Variability",
    "WeightedDraw",
    "ZCore",
    "__version__",
    "compare",
    "comparison",
    "create_sampler",
    "data",
    "dynamics",
    "embed",
    "list_samplers",
    "load_dataset",
    "mislabelled",
    "rank_agreement",
    "register",
    "samplers",
    "testing",
    "with_indices",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample.comparison.comparison": ["Comparison", "compare"],
            "proxysample.agreement.agreement": ["RankAgreement", "rank_agreement"],
            "proxysample.data.datasets": ["ArrayDataset", "Splits", "load_dataset"],
            "proxysample.dynamics.indexed": ["with_indices"],
            "proxysample.dynamics.suspects": ["mislabelled"],
            "proxysample.dynamics.recorder": ["DynamicsRecorder"],
            "proxysample.features.embedding": ["embed"],
            "proxysample.features.store": ["Features"],
            "proxysample.keeping": ["KeepingRule"],
            "proxysample.shares": ["ClassWeights"],
            "proxysample.ranking": ["NotNestedWarning", "Ranking"],
            "proxysample.resampler": ["Resampler"],
            "proxysample.rules.directions": [
                "KeepBottom",
                "KeepEasy",
                "KeepHard",
                "KeepMiddle",
                "KeepTop",
            ],
            "proxysample.rules.draws": ["BetaDraw", "HistogramDraw", "WeightedDraw"],
            "proxysample.rules.strata": ["CCS"],
            "proxysample.sampler": ["Sampler"],
            "proxysample.samplers": [name for name in samplers.__all__ if name in __all__],
            "proxysample.schedule": ["RandomSchedule"],
            "proxysample.selection": ["LostClassesWarning"],
        },
        ["comparison", "data", "dynamics", "testing"],
    )
