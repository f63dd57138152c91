"""Search a cell: our searchers, and what one of your own is made of.

Names are imported when they are used, so that `list_searchers` needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports
from proxysample_nas.searchers.registry import create_searcher, list_searchers

if TYPE_CHECKING:
    from proxysample_nas.searchers.base import Lengthening, Searcher, stream
    from proxysample_nas.searchers.candidates import CandidateSearcher, draw_cells
    from proxysample_nas.searchers.darts import DARTS
    from proxysample_nas.searchers.data import SearchData
    from proxysample_nas.searchers.enas import ENAS
    from proxysample_nas.searchers.gdas import GDAS
    from proxysample_nas.searchers.loop import EpochSearcher, TrainingSearcher
    from proxysample_nas.searchers.random_search import RandomSearch, ZeroCostSearch
    from proxysample_nas.searchers.remedies import SearchCollapseWarning
    from proxysample_nas.searchers.result import (
        Candidate,
        EdgeDecision,
        EpochRecord,
        FinalChoice,
        SearchInfo,
        SearchResult,
        best_of,
    )
    from proxysample_nas.searchers.weight_sharing import GradientSearcher, WeightSharingSearcher

__all__ = [
    "DARTS",
    "ENAS",
    "GDAS",
    "Candidate",
    "CandidateSearcher",
    "EdgeDecision",
    "EpochRecord",
    "EpochSearcher",
    "FinalChoice",
    "GradientSearcher",
    "Lengthening",
    "RandomSearch",
    "SearchCollapseWarning",
    "SearchData",
    "SearchInfo",
    "SearchResult",
    "Searcher",
    "TrainingSearcher",
    "WeightSharingSearcher",
    "ZeroCostSearch",
    "best_of",
    "create_searcher",
    "draw_cells",
    "list_searchers",
    "stream",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample_nas.searchers.base": ["Lengthening", "Searcher", "stream"],
            "proxysample_nas.searchers.candidates": ["CandidateSearcher", "draw_cells"],
            "proxysample_nas.searchers.darts": ["DARTS"],
            "proxysample_nas.searchers.data": ["SearchData"],
            "proxysample_nas.searchers.enas": ["ENAS"],
            "proxysample_nas.searchers.gdas": ["GDAS"],
            "proxysample_nas.searchers.loop": ["EpochSearcher", "TrainingSearcher"],
            "proxysample_nas.searchers.random_search": ["RandomSearch", "ZeroCostSearch"],
            "proxysample_nas.searchers.remedies": ["SearchCollapseWarning"],
            "proxysample_nas.searchers.result": [
                "Candidate",
                "EdgeDecision",
                "EpochRecord",
                "FinalChoice",
                "SearchInfo",
                "SearchResult",
                "best_of",
            ],
            "proxysample_nas.searchers.weight_sharing": [
                "GradientSearcher",
                "WeightSharingSearcher",
            ],
        },
    )
