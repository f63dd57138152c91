"""Features group by group, in double precision, and what two rows of a group have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from proxysample.features.rows import Rows, Workers
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
