"""The cells that did best: what the paper draws in Figure 3 and judges again in Table 5."""

from __future__ import annotations

from dataclasses import dataclass

from proxysample_nas.space.cell import Cell
from proxysample_nas.study.results.rows import GROUPS, FoundCell, Row


@dataclass(frozen=True)
class Champion:
    """A cell, and the row that it was found in.

    Attributes
    ----------
    row : Row
    found : FoundCell
    """

    row: Row
    found: FoundCell


def best_cells(rows: list[Row], channels: int, n_best: int) -> list[Champion]:
    """Choose the baselines' cells, and the best of each group of samplers.

    The choice is by the same test accuracy that a table shows, so the accuracy of a chosen cell
    on that dataset is optimistic; on another dataset it is not.

    Parameters
    ----------
    rows : list of Row
        Of all searchers.
    channels : int
        Width at which cells are compared.
    n_best : int
        So many distinct cells of each group; of equal ones the first.

    Returns
    -------
    list of Champion
        Baselines in their order, then each group, best first. A cell that has not been judged
        at that width is left out of the groups.
    """
    baselines = [
        Champion(row, found) for row in rows if row.group == GROUPS[0] for found in row.found
    ]
    chosen = _distinct(baselines)
    for group in GROUPS[1:]:
        members = [
            Champion(row, found)
            for row in rows
            if row.group == group
            for found in row.found
            if channels in found.evaluations
        ]
        members.sort(key=lambda one: -one.found.evaluations[channels].mean)
        chosen += _distinct(members)[:n_best]
    return chosen


def _distinct(champions: list[Champion]) -> list[Champion]:
    first: dict[tuple[str, Cell], Champion] = {}
    for one in champions:
        first.setdefault((one.row.group, one.found.cell), one)
    return list(first.values())
