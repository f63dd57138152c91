"""Features group by group, in double precision: what rows have in common, and who is nearest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from proxysample.features.rows import Array, Rows, Workers
from proxysample.keeping import FloatArray, IntArray

Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
Metric = Literal["cosine", "euclidean"]
METRICS: tuple[Metric, ...] = ("cosine", "euclidean")

# Values of a matrix that compares rows with rows. A group with no more pairs is held whole, as is
# one whose pairs take no more than a few times its features; of others no more is computed at a
# time. Part of the arithmetic: it fixes the order of sums.
VALUES_PER_BLOCK = 1 << 21
PAIRS_PER_VALUE = 4

# Values that are compared at a time, which stay in a core's cache.
VALUES_PER_TILE = 1 << 17

# What is closer than this share of its size differs by rounding alone, and is a tie.
TIE = 1e-10
# Of the squared lengths: a squared distance that small is zero but for rounding.
NOISE = 1e-13
SMALLEST_SQUARE, LARGEST_SQUARE = 1e-200, 1e200


@dataclass(frozen=True, eq=False)
class Group:
    """The rows of one group.

    Attributes
    ----------
    features : ndarray of shape (n, d), float64
        A copy that may be changed.
    number : int
        Code of the group.
    map : callable
        Like `map`, for the blocks of a group too large to share the threads with others.
    """

    features: FloatArray
    number: int = 0
    map: Mapper = map

    def __len__(self) -> int:
        return len(self.features)

    @property
    def is_held(self) -> bool:
        """Whether a matrix of all pairs takes little memory beside the features."""
        n_rows, n_features = self.features.shape
        return is_small(n_rows) or n_rows <= PAIRS_PER_VALUE * n_features

    def blocks(self) -> Iterator[slice]:
        """Divide the rows so that a block of them, compared with all, fits."""
        return slices(len(self), VALUES_PER_BLOCK // len(self))

    def tiles(self, width: int) -> Iterator[slice]:
        """Divide the rows so that a block of them, with so many values for each, is a tile."""
        return slices(len(self), VALUES_PER_TILE // max(width, 1))


def is_small(n_rows: int) -> bool:
    """Tell whether all pairs of so many rows fit in a block."""
    return n_rows**2 <= VALUES_PER_BLOCK


def slices(total: int, size: int) -> Iterator[slice]:
    """Divide a range into slices of a size, which is raised to 1.

    Examples
    --------
    >>> list(slices(5, 3))
    [slice(0, 3, None), slice(3, 5, None)]
    """
    for start in range(0, total, max(size, 1)):
        yield slice(start, min(start + max(size, 1), total))


def for_each_group(
    function: Callable[[Group], FloatArray],
    rows: Rows,
    codes: IntArray | None,
    workers: Workers,
) -> FloatArray:
    """Compute a value for each row from the rows of its group.

    Small groups share out the threads, and large ones, one after the other, share out their
    blocks. Neither changes a bit of the result.

    Parameters
    ----------
    function : callable
        Takes a `Group` of n rows and gives n values.
    rows : Rows
    codes : ndarray of shape (n,), int64, or None
        Group of each row, 0 and up; None for one group of all.
    workers : Workers

    Returns
    -------
    ndarray of shape (n,), float64

    Examples
    --------
    >>> rows = Rows(np.array([[1.0], [2.0], [5.0]]))
    >>> with Workers() as workers:
    ...     for_each_group(lambda group: group.features.sum(axis=1) - group.features.mean(), rows,
    ...                    np.array([0, 1, 0]), workers).tolist()
    [-2.0, 0.0, 2.0]
    """
    values = np.empty(len(rows))
    members = members_of(codes, len(rows))
    small = [(number, group) for number, group in enumerate(members) if is_small(len(group))]

    def run(item: tuple[int, IntArray]) -> None:
        number, group = item
        features = rows.at(group).read(slice(0, len(group)), np.float64)
        values[group] = function(Group(np.array(features, order="C"), number))

    for _ in workers.map(run, small):
        pass
    for number, group in enumerate(members):
        if not is_small(len(group)):
            features = read_rows(rows.at(group), workers)
            values[group] = function(Group(features, number, workers.map))
    return values


def members_of(codes: IntArray | None, n_rows: int) -> list[IntArray]:
    """List the rows of each group, ascending."""
    if codes is None:
        return [np.arange(n_rows)]
    ends = np.cumsum(np.bincount(codes))
    return np.split(np.argsort(codes, kind="stable"), ends[:-1])


def read_rows(rows: Rows, workers: Workers) -> FloatArray:
    """Read rows in double precision into an array of their own."""
    features = np.empty((len(rows), rows.n_features))

    def fill(block: slice) -> None:
        features[block] = rows.read(block, np.float64)

    for _ in workers.map(fill, rows.blocks()):
        pass
    return features


def to_unit_length(features: FloatArray) -> FloatArray:
    """Scale rows to unit length, in place; rows of zeros stay, so that their cosines are zero.

    Examples
    --------
    >>> to_unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    lengths = squared_lengths(features)
    if not ((lengths > SMALLEST_SQUARE) & (lengths < LARGEST_SQUARE)).all():
        # Squares of very large or small values are not in double precision.
        _divide(features, np.abs(features).max(axis=1, initial=0.0))
        lengths = squared_lengths(features)
    return _divide(features, np.sqrt(lengths))


def _divide(features: FloatArray, divisors: FloatArray) -> FloatArray:
    features /= np.where(divisors > 0, divisors, 1)[:, np.newaxis]
    return features


def squared_lengths(features: FloatArray) -> FloatArray:
    """Add up the squares of each row."""
    lengths: FloatArray = np.einsum("ij,ij->i", features, features)
    return lengths


def squared_distances(
    products: FloatArray, lengths: FloatArray, other_lengths: FloatArray | float
) -> FloatArray:
    """Turn scalar products into squared Euclidean distances, zero where rounding is all there is.

    Parameters
    ----------
    products : ndarray of shape (m, n) or (n,)
    lengths, other_lengths : ndarray or float
        Squared lengths that broadcast against the products.

    Returns
    -------
    ndarray
        Of the shape of the products.
    """
    total = lengths + other_lengths
    distances = total - 2 * products
    distances[distances <= NOISE * total] = 0
    return distances


def first_largest(values: FloatArray, tolerance: float) -> int:
    """Find the largest value, ties within a tolerance to the lowest index.

    Examples
    --------
    >>> first_largest(np.array([1.0, 3.0 - 1e-15, 3.0]), 1e-12)
    1
    """
    return int(np.argmax(values >= values.max() - tolerance))


def places(order: IntArray) -> FloatArray:
    """Give each row its place in an order, as a score.

    Examples
    --------
    >>> places(np.array([2, 0, 1])).tolist()
    [1.0, 2.0, 0.0]
    """
    found = np.empty(len(order))
    found[order] = np.arange(len(order))
    return found


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
