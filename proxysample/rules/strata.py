"""Samples from every stratum of the scores, without the hardest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from proxysample.checks import DECAY_RATE, POSITIVE_INTEGER, SEED, Constraint
from proxysample.errors import InputError
from proxysample.keeping import (
    Columns,
    FloatArray,
    IntArray,
    KeepingRule,
    check_parameters,
    check_ratio,
    group_rows,
)

_NAME = Constraint(
    ("the name of a column", "None"), lambda value: value is None or isinstance(value, str)
)


@dataclass(frozen=True)
class CCS(KeepingRule):
    """Cut the hardest samples, and keep as many of each stratum of the others.

    Coverage-centric coreset selection (H. Zheng, R. Liu, F. Lai and A. Prakash, ICLR 2023). The
    ``int(beta * n)`` highest scores are never kept. What is left is divided into strata of equal
    width; each gives as many samples, drawn at random, and what small strata lack the larger ones
    give. Where class shares are kept, each class is cut and divided by itself; rounding may then
    keep one of a class that would have been cut, where ``1 - beta`` and r are as good as equal.

    Parameters
    ----------
    beta : float or mapping of float to float
        Share of the samples to cut, from 0 to below 1; at most ``1 - r`` can be cut. One number
        serves every ratio, and kept sets nest. A mapping of ratio to share, as the authors tuned
        it, serves these ratios, and kept sets do not nest.
    n_bins : int
        Number of strata.
    cut_by : str, optional
        A column of the ranking by which the hardest are cut, high values being hard, in place of
        the scores.
    seed : int
        Of the draws.

    Notes
    -----
    The authors give small strata their samples first and divide what is left by the number of
    strata left. With more to keep no stratum's number falls, so that one order has all their
    kept sets as prefixes: the strata in turn, the largest first.

    Examples
    --------
    >>> scores = np.array([0.0, 0.1, 0.2, 0.3, 5.0, 9.9, 10.0, 70.0, 80.0, 90.0])
    >>> CCS(beta=0.3, n_bins=2).order(scores)[:4].tolist()
    [3, 6, 2, 4]
    >>> CCS(beta={0.1: 0.5, 0.5: 0.2}).nested
    False
    """

    id = "ccs"
    beta: Any = 0.3
    n_bins: int = 50
    cut_by: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_parameters(self, {"n_bins": POSITIVE_INTEGER, "cut_by": _NAME, "seed": SEED})
        if not isinstance(self.beta, Mapping):
            check_parameters(self, {"beta": DECAY_RATE})
            return
        if not self.beta:
            raise InputError("beta of the keeping rule 'ccs' has no ratio; give one, or a number")
        betas = {_ratio(r): beta for r, beta in self.beta.items()}
        for r, beta in sorted(betas.items()):
            DECAY_RATE.check(f"beta of the keeping rule 'ccs' at r={r:g}", beta)
            if beta > 1 - r + 1e-9:
                raise InputError(
                    f"beta of the keeping rule 'ccs' cuts {beta:g} at r={r:g}, which leaves less "
                    f"than is to be kept; cut at most {1 - r:g} there"
                )
        # In the form that JSON has, so that a rule that was saved is the same rule.
        object.__setattr__(self, "beta", {repr(r): float(b) for r, b in sorted(betas.items())})

    @property
    def nested(self) -> bool:  # type: ignore[override]  # follows a parameter
        """Whether `beta` is one for all ratios."""
        return not isinstance(self.beta, Mapping)

    @property
    def needs(self) -> Sequence[str]:  # type: ignore[override]  # follows a parameter
        """The column of `cut_by`."""
        return () if self.cut_by is None else (self.cut_by,)

    def n_cut(self, sizes: Sequence[int], n_kept: int | None = None) -> int:
        """Count the samples that are cut: ``int(beta * n)`` of each class, or of all."""
        beta = self._beta(sum(sizes), n_kept)
        return sum(int(beta * size) for size in sizes)

    def _beta(self, n_samples: int, n_kept: int | None) -> float:
        if not isinstance(self.beta, Mapping):
            return float(self.beta)
        for word, beta in self.beta.items():
            if n_kept in (round(float(word) * n_samples), int(float(word) * n_samples)):
                return float(beta)
        raise InputError(
            f"the keeping rule ccs has a beta for r = {', '.join(self.beta)}, and {n_kept} of "
            f"{n_samples:,} samples are to be kept; give one for that ratio, or one number for all"
        )

    def order(
        self,
        scores: FloatArray,
        codes: IntArray | None = None,
        n_kept: int | None = None,
        columns: Columns | None = None,
    ) -> IntArray:
        """Order samples by turns of the strata, and those that are cut last."""
        beta = self._beta(len(scores), n_kept)
        difficulty = scores if self.cut_by is None else (columns or {})[self.cut_by]
        drawn = np.random.default_rng(self.seed).random(len(scores))
        is_cut = np.zeros(len(scores), dtype=bool)
        place = np.empty(len(scores))
        for rows in group_rows(codes, len(scores)):
            hardest_first = np.argsort(-difficulty[rows], kind="stable")
            n_cut = int(beta * len(rows))
            is_cut[rows[hardest_first[:n_cut]]] = True
            place[rows[hardest_first[:n_cut][::-1]]] = np.arange(n_cut) / len(rows)
            left = rows[~is_cut[rows]]
            order = strata_order(scores[left], self.n_bins, drawn[left])
            place[left[order]] = np.arange(len(left)) / len(rows)
        return np.lexsort([place, is_cut])


def _ratio(given: object) -> float:
    """Read a ratio, which JSON has as a text."""
    if isinstance(given, str):
        try:
            given = float(given)
        except ValueError:
            raise InputError(
                f"beta of the keeping rule 'ccs' is given by ratio, not by {given!r}"
            ) from None
    return check_ratio(given)


def strata_order(scores: FloatArray, n_bins: int, drawn: FloatArray) -> IntArray:
    """Order samples so that every prefix has as many of each stratum as there are.

    Parameters
    ----------
    scores : ndarray of shape (n,), float64
        Divided into intervals of equal width, half open but for the last.
    n_bins : int
    drawn : ndarray of shape (n,), float64
        What decides within a stratum, low first.

    Examples
    --------
    >>> strata_order(np.array([0.0, 0.1, 0.2, 1.0]), 2, np.array([0.3, 0.2, 0.1, 0.0])).tolist()
    [2, 3, 1, 0]
    """
    if not len(scores):
        return np.empty(0, dtype=np.int64)
    bins = stratum_of(scores, n_bins)
    sizes = np.bincount(bins, minlength=n_bins)
    turn = np.empty(n_bins, dtype=np.int64)
    turn[np.argsort(sizes, kind="stable")] = np.arange(n_bins)[::-1]
    by_bin = np.lexsort([drawn, bins])
    level = np.empty(len(scores), dtype=np.int64)
    level[by_bin] = np.arange(len(scores)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.lexsort([turn[bins], level])


def stratum_of(scores: FloatArray, n_bins: int) -> IntArray:
    """Give each score its interval among so many of equal width, from 0."""
    # Halves, so that the width of the largest numbers there are is a number.
    halves = scores / 2
    low, width = halves.min(), halves.max() - halves.min()
    if width == 0:
        return np.zeros(len(scores), dtype=np.int64)
    bins: IntArray = ((halves - low) / width * n_bins).astype(np.int64)
    return np.minimum(bins, n_bins - 1)
