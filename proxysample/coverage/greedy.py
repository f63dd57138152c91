"""Greedy orders of a group's rows, whose every prefix is what the greedy choice of that size is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from proxysample.coverage.groups import (
    TIE,
    VALUES_PER_BLOCK,
    VALUES_PER_TILE,
    Group,
    Metric,
    first_largest,
    slices,
    squared_distances,
    squared_lengths,
    to_unit_length,
)
from proxysample.keeping import FloatArray, IntArray

# Rows that others are compared with at a time. Part of the arithmetic.
ROWS_PER_TILE = 256


def herding_order(
    group: Group, n_picks: int | None = None, *, last: npt.NDArray[np.bool_] | None = None
) -> IntArray:
    """Order rows so that the mean of each prefix is near the mean of all.

    Parameters
    ----------
    group : Group
        Its features are changed.
    n_picks : int, optional
        Stop after so many; by default all.
    last : ndarray of shape (n,), bool, optional
        Rows that come after all others, though the mean is theirs, too.

    Returns
    -------
    ndarray of shape (n_picks,), int64
        Ties to the lowest index.

    Notes
    -----
    The next row is the one that brings the sum of the chosen nearest to k + 1 times the mean
    (M. Welling, Herding dynamical weights to learn, 2009): of the least
    ``|x|^2 + 2 x . sum(chosen)`` where the mean is zero. One product with the row that was chosen
    last brings that up to date.

    Examples
    --------
    >>> herding_order(Group(np.array([[0.0], [1.0], [4.0], [5.0]]))).tolist()
    [1, 2, 0, 3]
    >>> rows = np.array([[0.0], [1.0], [4.0], [5.0]])
    >>> herding_order(Group(rows), last=np.array([False, True, False, False])).tolist()
    [2, 0, 3, 1]
    """
    features = group.features
    features -= features.mean(axis=0)
    products = _Products(group)
    lengths = squared_lengths(features)
    tolerance = TIE * float(np.median(lengths))
    worth = -lengths
    barred = np.zeros(len(features)) if last is None else np.where(last, -np.inf, 0.0)
    n_first = int((barred == 0).sum())
    order = np.empty(len(features) if n_picks is None else n_picks, dtype=np.int64)
    for place in range(len(order)):
        if place == n_first:
            barred[:] = 0
        chosen = order[place] = first_largest(worth + barred, tolerance)
        worth -= 2 * products.column(chosen)
        worth[chosen] = -np.inf
    return order


def k_center_order(
    group: Group, n_picks: int | None = None, *, start: int | None = None
) -> IntArray:
    """Order rows so that each is the farthest from all before it.

    Parameters
    ----------
    group : Group
        Its features are changed.
    n_picks : int, optional
        Stop after so many; by default all.
    start : int, optional
        The first row; by default the one nearest to the mean.

    Returns
    -------
    ndarray of shape (n_picks,), int64
        Ties to the lowest index, rows that repeat another last.

    Notes
    -----
    No choice of k rows covers all rows within less than half the radius of the first k (T. F.
    Gonzalez, Clustering to minimize the maximum intercluster distance, 1985).

    Examples
    --------
    >>> k_center_order(Group(np.array([[0.0], [1.0], [2.0], [9.0]]))).tolist()
    [2, 3, 0, 1]
    """
    features = group.features
    features -= features.mean(axis=0)
    products = _Products(group)
    lengths = squared_lengths(features)
    if start is None:
        start = first_largest(-lengths, TIE * float(np.median(lengths)))
    nearest = np.full(len(features), np.inf)
    order = np.empty(len(features) if n_picks is None else n_picks, dtype=np.int64)
    chosen = start
    for place in range(len(order)):
        if place:
            chosen = first_largest(nearest, TIE * float(nearest.max()))
        order[place] = chosen
        distances = squared_distances(products.column(chosen), lengths, float(lengths[chosen]))
        np.minimum(nearest, distances, out=nearest)
        nearest[chosen] = -np.inf
    return order


class _Products:
    """Scalar products of one row with all of its group: looked up, or computed block by block."""

    def __init__(self, group: Group) -> None:
        self._group = group
        # One operand twice: numpy then computes half of it, and it is symmetric to the last bit.
        self._held = group.features @ group.features.T if group.is_held else None

    def column(self, number: int) -> FloatArray:
        if self._held is not None:
            column: FloatArray = self._held[number]
            return column
        features = self._group.features
        row = features[number]
        found = np.empty(len(features))

        def multiply(block: slice) -> None:
            np.matmul(features[block], row, out=found[block])

        for _ in self._group.map(multiply, self._group.tiles(features.shape[1])):
            pass
        return found


def facility_location_order(
    group: Group, n_picks: int | None = None, *, metric: Metric = "cosine"
) -> IntArray:
    """Order rows so that each adds most to how well the chosen stand for all.

    Parameters
    ----------
    group : Group
        Its features are changed.
    n_picks : int, optional
        Stop after so many; by default all.
    metric : {"cosine", "euclidean"}
        Similarity of two rows: their cosine, zero where it is negative, or ``1 / (1 + distance)``.

    Returns
    -------
    ndarray of shape (n_picks,), int64
        Ties to the lowest index.

    Notes
    -----
    The objective is the sum over all rows of the similarity to the most similar chosen one. The
    greedy choice reaches at least 1 - 1/e of the best objective of its size (G. L. Nemhauser, L. A.
    Wolsey and M. L. Fisher, An analysis of approximations for maximizing submodular set functions,
    1978). The gains of all rows are kept, and a choice changes them only through the rows that it
    stands for better than those before it, which soon are few: it costs less than to look at the
    best gains again, as a lazy greedy does, and is as exact.

    Examples
    --------
    >>> rows = np.array([[1.0, 0.0], [4.0, 3.0], [3.0, 4.0], [0.0, -1.0]])
    >>> facility_location_order(Group(rows)).tolist()
    [1, 3, 0, 2]
    """
    similarities = _Similarities(group, metric)
    n_rows = len(group)
    covered = np.zeros(n_rows)
    gains = similarities.covered_by_each(np.arange(n_rows), covered, np.ones(n_rows))
    order = np.empty(n_rows if n_picks is None else n_picks, dtype=np.int64)
    for place in range(len(order)):
        chosen = first_largest(gains, TIE)
        order[place] = chosen
        row = similarities.row(chosen)
        better = np.flatnonzero(row > covered)
        if len(better):
            gains -= similarities.covered_by_each(better, covered[better], row[better])
            covered[better] = row[better]
        gains[chosen] = -np.inf
    return order


def facility_location_value(group: Group, chosen: IntArray, *, metric: Metric = "cosine") -> float:
    """Measure how well chosen rows stand for all; see `facility_location_order`.

    Examples
    --------
    >>> facility_location_value(Group(np.array([[1.0, 0.0], [4.0, 3.0]])), np.array([0]))
    1.8
    """
    similarities = _Similarities(group, metric)
    covered = np.zeros(len(group))
    for part in slices(len(chosen), VALUES_PER_BLOCK // len(group)):
        np.maximum(covered, similarities.rows(chosen[part]).max(axis=0), out=covered)
    return float(covered.sum())


class _Similarities:
    """Similarities of some rows to all of their group, from 0 to 1: looked up, or computed."""

    def __init__(self, group: Group, metric: Metric) -> None:
        self._group = group
        self._metric = metric
        features = group.features
        if metric == "cosine":
            to_unit_length(features)
        else:
            features -= features.mean(axis=0)
        self._lengths = squared_lengths(features)
        self._held: FloatArray | None = None
        if group.is_held:
            self._held = self._similar(features @ features.T, slice(None), slice(None))

    def _similar(
        self, products: FloatArray, some: slice | IntArray, others: slice | IntArray
    ) -> FloatArray:
        if self._metric == "cosine":
            np.maximum(products, 0, out=products)
            return np.minimum(products, 1, out=products)
        squared = squared_distances(
            products, self._lengths[some][:, np.newaxis], self._lengths[others]
        )
        similar: FloatArray = 1 / (1 + np.sqrt(squared))
        return similar

    def row(self, chosen: int) -> FloatArray:
        """Give the similarities of one row to all; not to be written to."""
        if self._held is not None:
            held: FloatArray = self._held[chosen]
            return held
        found: FloatArray = self.rows(np.array([chosen]))[0]
        return found

    def rows(self, chosen: IntArray) -> FloatArray:
        """Give the similarities of few rows to all; shape (len(chosen), n)."""
        if self._held is not None:
            held: FloatArray = self._held[chosen]
            return held
        found = np.empty((len(chosen), len(self._group)))
        width = max(len(chosen), self._group.features.shape[1])

        def fill(block: slice) -> None:
            found[:, block] = self._compare(chosen, block)

        for _ in self._group.map(fill, self._group.tiles(width)):
            pass
        return found

    def covered_by_each(self, some: IntArray, least: FloatArray, most: FloatArray) -> FloatArray:
        """Add up, for each row, its similarities to some, of each the part from least to most."""
        found = np.zeros(len(self._group))
        if self._held is not None:
            for part in slices(len(some), VALUES_PER_TILE // len(self._group)):
                found += _parts_within(self._held[some[part]], least[part], most[part])
            return found

        def add(block: slice) -> None:
            for part in slices(len(some), ROWS_PER_TILE):
                similar = self._compare(some[part], block)
                found[block] += _parts_within(similar, least[part], most[part])

        for _ in self._group.map(add, self._group.tiles(min(len(some), ROWS_PER_TILE))):
            pass
        return found

    def _compare(self, some: IntArray, block: slice) -> FloatArray:
        features = self._group.features
        return self._similar(features[some] @ features[block].T, some, block)


def _parts_within(similar: FloatArray, least: FloatArray, most: FloatArray) -> FloatArray:
    """Add up what of each row's similarities lies between two values; changes them."""
    np.maximum(similar, least[:, np.newaxis], out=similar)
    np.minimum(similar, most[:, np.newaxis], out=similar)
    within: FloatArray = np.ones(len(similar)) @ similar
    within -= least.sum()
    return within
