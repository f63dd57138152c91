"""What a study's report shows of the ranking of cells that is kept beside its results."""

from __future__ import annotations

import base64
from pathlib import Path

from proxysample.agreement import RankAgreement
from proxysample.agreement.agreement import store_path
from proxysample.agreement.reports import figure_bytes
from proxysample.errors import InputError

RANKING_FOLDER = "rank-agreement"
"""Where a study's folder keeps it; `proxysample_nas.agreement.rank_study` makes it."""


def ranking_of(folder: Path) -> RankAgreement | None:
    """Open the ranking in a study's folder; None where there is none."""
    kept = folder / RANKING_FOLDER
    return RankAgreement.open(kept) if store_path(kept).is_file() else None


def ranking_figure(found: RankAgreement) -> dict[str, str | None]:
    """Draw how far the ranks agree, as the page's template takes a figure."""
    drawn: dict[str, str | None] = {
        "name": "rank-agreement-tau",
        "title": "Agreement of ranks over r",
        "caption": found.verdict,
        "reason": "",
        "picture": None,
    }
    try:
        picture = base64.b64encode(figure_bytes(found.figure("tau"))).decode()
    except InputError as error:
        return drawn | {"reason": str(error)}
    return drawn | {"picture": f"data:image/svg+xml;base64,{picture}"}
