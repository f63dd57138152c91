"""Nearest neighbours and nearest predecessors within a group, exact, a block of rows at a time."""

from __future__ import annotations

import numpy as np

from proxysample.coverage.groups import (
    Group,
    Metric,
    squared_distances,
    squared_lengths,
    to_unit_length,
)
from proxysample.features.rows import Array
from proxysample.keeping import FloatArray, IntArray

# Decimals of a cosine that rounding leaves alone.
DECIMALS = 12


def nearest_neighbours(
    group: Group, n_neighbours: int, *, metric: Metric = "cosine"
) -> tuple[IntArray, FloatArray]:
    """Find the nearest other rows of each row.

    Parameters
    ----------
    group : Group
        Its features are changed.
    n_neighbours : int
        At most one less than there are rows.
    metric : {"cosine", "euclidean"}
        "cosine" is the Euclidean distance of rows at unit length, from 0 to 2.

    Returns
    -------
    neighbours : ndarray of shape (n, n_neighbours), int64
        The nearest first, ties to the lowest index.
    distances : ndarray of shape (n, n_neighbours), float64

    Examples
    --------
    >>> group = Group(np.array([[0.0], [1.0], [3.0]]))
    >>> neighbours, distances = nearest_neighbours(group, 1, metric="euclidean")
    >>> neighbours.tolist(), distances.tolist()
    ([[1], [0], [1]], [[1.0], [1.0], [2.0]])
    """
    features = group.features
    if metric == "cosine":
        to_unit_length(features)
    else:
        features -= features.mean(axis=0)
    lengths = squared_lengths(features)
    shape = len(features), n_neighbours
    neighbours, distances = np.empty(shape, dtype=np.int64), np.empty(shape)

    def find(block: slice) -> None:
        products = features[block] @ features.T
        squared = squared_distances(products, lengths[block][:, np.newaxis], lengths)
        own = np.arange(block.start, block.stop)
        squared[own - block.start, own] = np.inf
        found = np.sqrt(squared)
        neighbours[block] = _smallest(found, n_neighbours)
        distances[block] = np.take_along_axis(found, neighbours[block], axis=1)

    for _ in group.map(find, group.blocks()):
        pass
    return neighbours, distances


def _smallest(values: FloatArray, count: int) -> IntArray:
    """Give the indices of the smallest values of each row, in order, ties to the lowest index."""
    if not count:
        return np.empty((len(values), 0), dtype=np.int64)
    # What differs by rounding alone is equal.
    largest = float(values[np.isfinite(values)].max(initial=0.0))
    rounded = (values / (largest or 1)).astype(np.float32)
    found = np.sort(np.argpartition(rounded, count - 1, axis=1)[:, :count], axis=1)
    chosen = np.take_along_axis(rounded, found, axis=1)
    # A partition takes any of those that tie for the last place.
    last = chosen.max(axis=1, keepdims=True)
    for row in np.flatnonzero((rounded <= last).sum(axis=1) > count):
        found[row] = np.sort(np.argsort(rounded[row], kind="stable")[:count])
        chosen[row] = rounded[row, found[row]]
    return np.take_along_axis(found, np.argsort(chosen, axis=1, kind="stable"), axis=1)


def cosines(features: FloatArray, center: FloatArray) -> FloatArray:
    """Measure the cosine of rows at unit length to a center, which may be of any length."""
    length = float(np.linalg.norm(center))
    products: FloatArray = features @ (center / length if length else center)
    return np.clip(np.round(products, DECIMALS), -1, 1)


def nearest_before(group: Group, order: IntArray) -> FloatArray:
    """Find how similar each row is to the most similar row before it in an order.

    Parameters
    ----------
    group : Group
        Its features are of unit length, or zero.
    order : ndarray of shape (n,), int64

    Returns
    -------
    ndarray of shape (n,), float64
        Largest cosine; -1 for the first of the order.

    Examples
    --------
    >>> rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    >>> nearest_before(Group(rows), np.array([0, 1, 2])).tolist()
    [-1.0, 0.0, 0.8]
    """
    features = group.features[order]
    found = np.empty(len(order))

    def find(block: slice) -> None:
        products = features[block] @ features[: block.stop].T
        not_before: Array = np.arange(block.stop) >= np.arange(block.start, block.stop)[:, None]
        products[not_before] = -1
        found[order[block]] = products.max(axis=1)

    for _ in group.map(find, group.blocks()):
        pass
    return np.clip(np.round(found, DECIMALS), -1, 1)
