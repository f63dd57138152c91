"""Rank agreement of cells: whether a proxy dataset orders architectures as the full data would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports

if TYPE_CHECKING:
    from proxysample_nas.agreement.rank import draw_distinct_cells, plan_ranking, rank_cells
    from proxysample_nas.agreement.scorers import OneSupernet, TrainedAlone

__all__ = ["OneSupernet", "TrainedAlone", "draw_distinct_cells", "plan_ranking", "rank_cells"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample_nas.agreement.rank": [
                "draw_distinct_cells",
                "plan_ranking",
                "rank_cells",
            ],
            "proxysample_nas.agreement.scorers": ["OneSupernet", "TrainedAlone"],
        },
    )
