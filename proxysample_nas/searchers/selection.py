"""The choice of the final cell, where a search ends with one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from proxysample.plain_values import (
    AMOUNT,
    COUNT,
    MAPPING,
    MEASURE,
    TEXT,
    check_values,
    list_of,
    require_values,
)
from proxysample_nas.searchers.edge_decision import EdgeDecision
from proxysample_nas.space.cell import Cell

CHOICE = {"cell": TEXT, "candidates": list_of(MAPPING), "seconds": AMOUNT}
LATER = {"decisions": list_of(MAPPING), "n_steps": COUNT}
CANDIDATE = {"cell": TEXT, "accuracy": MEASURE, "n_samples": COUNT}


@dataclass(frozen=True)
class Candidate:
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
    accuracy: float
    n_samples: int


@dataclass(frozen=True)
class Selection:
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
    seconds: float
    decisions: tuple[EdgeDecision, ...] = ()
    n_steps: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Turn the choice into plain JSON values.

        Returns
        -------
        dict
        """
        return {
            "cell": str(self.cell),
            "candidates": [
                {"cell": str(one.cell), "accuracy": one.accuracy, "n_samples": one.n_samples}
                for one in self.candidates
            ],
            "seconds": self.seconds,
            "decisions": [asdict(one) for one in self.decisions],
            "n_steps": self.n_steps,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        values : dict

        Returns
        -------
        Selection

        Raises
        ------
        InputError
            If a value is missing or of another type.
        """
        require_values(values, CHOICE, "the choice of a cell")
        check_values(values, LATER, "the choice of a cell")
        for one in values["candidates"]:
            require_values(one, CANDIDATE, "a candidate")
        candidates = tuple(
            Candidate(Cell.from_string(one["cell"]), one["accuracy"], one["n_samples"])
            for one in values["candidates"]
        )
        decisions = tuple(EdgeDecision.from_dict(one) for one in values.get("decisions", ()))
        return cls(
            Cell.from_string(values["cell"]),
            candidates,
            values["seconds"],
            decisions,
            values.get("n_steps", 0),
        )


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
