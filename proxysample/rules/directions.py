"""One end of the scores first, or their middle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from proxysample.checks import BOOLEAN
from proxysample.keeping import (
    Columns,
    FloatArray,
    IntArray,
    KeepingRule,
    Natural,
    check_parameters,
    group_rows,
    ranks_of,
)


@dataclass(frozen=True)
class KeepEasy(KeepingRule):
    """Keep low scores first, ties by index."""

    id = "easy"

    def order(
        self,
        scores: FloatArray,
        codes: IntArray | None = None,  # noqa: ARG002
        n_kept: int | None = None,  # noqa: ARG002
        columns: Columns | None = None,  # noqa: ARG002
    ) -> IntArray:
        """Order samples by ascending score.

        Examples
        --------
        >>> KeepEasy().order(np.array([2.0, 1.0, 2.0, 0.5])).tolist()
        [3, 1, 0, 2]
        """
        return np.argsort(scores, kind="stable")


@dataclass(frozen=True)
class KeepHard(KeepingRule):
    """Keep high scores first, ties by index."""

    id = "hard"

    def order(
        self,
        scores: FloatArray,
        codes: IntArray | None = None,  # noqa: ARG002
        n_kept: int | None = None,  # noqa: ARG002
        columns: Columns | None = None,  # noqa: ARG002
    ) -> IntArray:
        """Order samples by descending score.

        Examples
        --------
        >>> KeepHard().order(np.array([2.0, 1.0, 2.0, 0.5])).tolist()
        [0, 2, 1, 3]
        """
        return np.argsort(-scores, kind="stable")


@dataclass(frozen=True)
class KeepTop(KeepEasy):
    """Keep first what the score was made for: its natural end, low or high.

    `Sampler.natural` says which that is, and a ranking remembers it. It is "easy" or "hard" then.

    Examples
    --------
    >>> KeepTop().towards("low"), KeepTop().towards("high")
    (KeepEasy(), KeepHard())
    """

    id = "top"

    def towards(self, natural: Natural) -> KeepingRule:
        """Give "easy" for scores that are kept from their low end, "hard" for others."""
        return KeepEasy() if natural == "low" else KeepHard()


@dataclass(frozen=True)
class KeepBottom(KeepHard):
    """Keep first what "top" keeps last.

    Examples
    --------
    >>> KeepBottom().towards("low"), KeepBottom().towards("high")
    (KeepHard(), KeepEasy())
    """

    id = "bottom"

    def towards(self, natural: Natural) -> KeepingRule:
        """Give "hard" for scores that are kept from their low end, "easy" for others."""
        return KeepHard() if natural == "low" else KeepEasy()


@dataclass(frozen=True)
class KeepMiddle(KeepingRule):
    """Keep first what stands in the middle of the scores' order, then go outwards.

    It goes by ranks, the lower one first, so that each ratio keeps exactly its number and kept
    sets nest (X. Xia, J. Liu, J. Yu, X. Shen, B. Han and T. Liu, Moderate coreset, ICLR 2023, on
    distances to the median of the class).

    Parameters
    ----------
    per_class : bool
        Whether samples are ranked within their class where class shares are kept. The authors rank
        all classes together, so that classes of large scores lose.

    Examples
    --------
    >>> KeepMiddle().order(np.array([9.0, 1.0, 4.0, 3.0])).tolist()
    [3, 2, 1, 0]
    """

    id = "middle"
    per_class: bool = True

    def __post_init__(self) -> None:
        check_parameters(self, {"per_class": BOOLEAN})

    def order(
        self,
        scores: FloatArray,
        codes: IntArray | None = None,
        n_kept: int | None = None,  # noqa: ARG002
        columns: Columns | None = None,  # noqa: ARG002
    ) -> IntArray:
        """Order samples by how far their rank is from the middle one."""
        ranks = np.empty(len(scores), dtype=np.int64)
        apart = np.empty(len(scores))
        for rows in group_rows(codes if self.per_class else None, len(scores)):
            ranks[rows] = ranks_of(scores[rows])
            apart[rows] = np.abs(ranks[rows] - (len(rows) - 1) / 2) / len(rows)
        return np.lexsort([ranks, apart])
