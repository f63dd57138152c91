"""Lloyd's iterations, whatever carries them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from proxysample.keeping import FloatArray, IntArray

# A squared distance below this share of the squared norms may be rounding alone.
NOISE = 1e-5


@dataclass(frozen=True)
class Step:
    """What one pass over the rows finds.

    Attributes
    ----------
    sums : ndarray of shape (n_clusters, d), float64
        Of the rows of each cluster.
    counts : ndarray of shape (n_clusters,), int64
        How many rows that are.
    inertia : float
        Sum of squared distances to the nearest center, in the rows' units squared.
    """

    sums: FloatArray
    counts: IntArray
    inertia: float


class Engine(Protocol):
    """Carries out passes over the rows."""

    def step(self, centers: FloatArray) -> Step:
        """Assign each row to its nearest center, ties to the first.

        Parameters
        ----------
        centers : ndarray of shape (n_clusters, d), float64
        """
        ...

    def farthest(self, n_rows: int) -> FloatArray:
        """Give the rows that the last step found farthest from their center.

        Parameters
        ----------
        n_rows : int

        Returns
        -------
        ndarray of shape (at most n_rows, d), float64
            Rows on their center are left out: squared distances below `NOISE` times the row's
            squared norm.
        """
        ...


@dataclass(frozen=True)
class Refined:
    """Centers that Lloyd's iterations came to.

    Attributes
    ----------
    centers : ndarray of shape (n_clusters, d), float64
    inertia : float
        Sum of squared distances, to the precision of the engine.
    n_iter : int
        Passes over the rows.
    """

    centers: FloatArray
    inertia: float
    n_iter: int


def iterate(engine: Engine, centers: FloatArray, *, max_iter: int, tol: float) -> Refined:
    """Move centers to the means of their clusters until that gains little.

    A cluster that has lost all its rows starts anew from a row that is far from its own center.

    Parameters
    ----------
    engine : Engine
    centers : ndarray of shape (n_clusters, d), float64
        Start.
    max_iter : int
        Limit of passes.
    tol : float
        Stop where a pass lowers the inertia by no more than this share of it.

    Returns
    -------
    Refined
        With the centers that the last pass assigned rows to.
    """
    previous = np.inf
    for n_iter in range(1, max_iter + 1):
        step = engine.step(centers)
        empty = np.flatnonzero(step.counts == 0)
        seeds = engine.farthest(len(empty)) if len(empty) else centers[:0]
        gain = previous - step.inertia
        if n_iter == max_iter or (not len(seeds) and gain <= tol * step.inertia):
            break
        previous = step.inertia
        moved = step.sums / np.maximum(step.counts, 1)[:, np.newaxis]
        moved[empty] = centers[empty]
        moved[empty[: len(seeds)]] = seeds
        centers = moved
    return Refined(centers, step.inertia, n_iter)
