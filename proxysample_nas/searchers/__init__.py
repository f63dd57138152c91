"""Search a cell: one file per algorithm, one small base.

Names are imported when they are used, so that `list_searchers` needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports
from proxysample_nas.searchers.registry import create_searcher, list_searchers

if TYPE_CHECKING:
    from proxysample_nas.searchers.base import Searcher
    from proxysample_nas.searchers.collapse import SearchCollapseWarning
    from proxysample_nas.searchers.darts import DARTS
    from proxysample_nas.searchers.edge_decision import EdgeDecision
    from proxysample_nas.searchers.enas import ENAS
    from proxysample_nas.searchers.gdas import GDAS
    from proxysample_nas.searchers.random_search import RandomSearch
    from proxysample_nas.searchers.result import EpochRecord, SearchFacts, SearchResult
    from proxysample_nas.searchers.selection import Candidate, Selection

__all__ = [
    "DARTS",
    "ENAS",
    "GDAS",
    "Candidate",
    "EdgeDecision",
    "EpochRecord",
    "RandomSearch",
    "SearchCollapseWarning",
    "SearchFacts",
    "SearchResult",
    "Searcher",
    "Selection",
    "create_searcher",
    "list_searchers",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample_nas.searchers.base": ["Searcher"],
            "proxysample_nas.searchers.collapse": ["SearchCollapseWarning"],
            "proxysample_nas.searchers.darts": ["DARTS"],
            "proxysample_nas.searchers.edge_decision": ["EdgeDecision"],
            "proxysample_nas.searchers.enas": ["ENAS"],
            "proxysample_nas.searchers.gdas": ["GDAS"],
            "proxysample_nas.searchers.random_search": ["RandomSearch"],
            "proxysample_nas.searchers.result": ["EpochRecord", "SearchFacts", "SearchResult"],
            "proxysample_nas.searchers.selection": ["Candidate", "Selection"],
        },
    )
