"""The choice of the final cell, where a search ends with one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxysample.records import Amount, Count, Measure, Record
from proxysample_nas.searchers.edge_decision import EdgeDecision
from proxysample_nas.space.cell import Cell


@dataclass(frozen=True)
class Candidate(Record, title="a candidate"):
    """A cell that was measured before the final choice.

    Attributes
    ----------
    cell : Cell
    accuracy : float
        Percent of the architecture samples it was measured on.
    n_samples : int
        Number of those samples.
    """

    cell: Cell
    accuracy: Measure
    n_samples: Count


@dataclass(frozen=True)
class Selection(Record, title="the choice of a cell"):
    """How the final cell was chosen.

    Attributes
    ----------
    cell : Cell
        What was chosen.
    candidates : tuple of Candidate
        In the order of their measurement; empty where there was nothing to compare.
    seconds : float
        Wall-clock time of the choice, where the epochs have not counted it.
    decisions : tuple of EdgeDecision
        In the order in which the edges were decided, where each was decided by itself.
    n_steps : int
        Weight updates that were made for the choice.

    Examples
    --------
    >>> cells = [Cell.filled(name, n_nodes=2) for name in ("none", "nor_conv_3x3")]
    >>> best_of([Candidate(cells[0], 10.0, 64), Candidate(cells[1], 80.0, 64)], 1.5).cell
    Cell.from_string('|nor_conv_3x3~0|')
    """

    cell: Cell
    candidates: tuple[Candidate, ...]
    seconds: Amount
    decisions: tuple[EdgeDecision, ...] = ()
    n_steps: Count = 0


def best_of(candidates: Sequence[Candidate], seconds: float) -> Selection:
    """Choose the candidate of the highest accuracy, the first of equals.

    Parameters
    ----------
    candidates : sequence of Candidate
        One or more.
    seconds : float
        Wall-clock time of measuring them.

    Returns
    -------
    Selection
    """
    best = max(candidates, key=lambda candidate: candidate.accuracy)
    return Selection(best.cell, tuple(candidates), seconds)
