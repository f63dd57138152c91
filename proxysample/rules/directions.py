"""One end of the scores first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from proxysample.keeping import Columns, FloatArray, IntArray, KeepingRule, Natural


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
