"""Search a cell: one file per algorithm, one small base.

Names are imported when they are used, so that `list_searchers` needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_HOMES = {
    "Candidate": "proxysample_nas.searchers.selection",
    "DARTS": "proxysample_nas.searchers.darts",
    "ENAS": "proxysample_nas.searchers.enas",
    "EdgeDecision": "proxysample_nas.searchers.edge_decision",
    "EpochRecord": "proxysample_nas.searchers.result",
    "GDAS": "proxysample_nas.searchers.gdas",
    "RandomSearch": "proxysample_nas.searchers.random_search",
    "SearchCollapseWarning": "proxysample_nas.searchers.collapse",
    "SearchFacts": "proxysample_nas.searchers.result",
    "SearchResult": "proxysample_nas.searchers.result",
    "Searcher": "proxysample_nas.searchers.base",
    "Selection": "proxysample_nas.searchers.selection",
}

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


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
