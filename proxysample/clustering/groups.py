"""Centroids of groups, and distances to them, in double precision."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from proxysample.features.rows import Array, Rows, Workers, lengths
from proxysample.keeping import FloatArray, IntArray


def group_means(rows: Rows, groups: Array, n_groups: int, workers: Workers) -> FloatArray:
    """Average the rows of each group in one streaming pass.

    Parameters
    ----------
    rows : Rows
        n rows with d features each.
    groups : ndarray of shape (n,), integers
        Group of each row, 0 to n_groups - 1.
    n_groups : int
    workers : Workers

    Returns
    -------
    ndarray of shape (n_groups, d), float64
        Zeros for a group without rows.

    Examples
    --------
    >>> with Workers() as workers:
    ...     group_means(Rows(np.array([[1.0], [3.0], [5.0]])), np.array([0, 0, 1]), 2, workers)
    array([[2.],
           [5.]])
    """
    sums = np.zeros((n_groups, rows.n_features))

    def add_up(block: slice) -> tuple[IntArray, FloatArray]:
        members = groups[block]
        return sum_by_group(rows.read(block, np.float64), members, np.ones(len(members)))

    for present, partial in workers.map(add_up, rows.blocks()):
        sums[present] += partial
    counts = np.bincount(groups, minlength=n_groups)
    means: FloatArray = sums / np.maximum(counts, 1)[:, np.newaxis]
    return means


def sum_by_group(
    features: Array, groups: Array, weights: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Add up weighted rows by group.

    Parameters
    ----------
    features : ndarray of shape (n, d), float64
    groups : ndarray of shape (m * n,), integers
        Groups of the rows, m times over.
    weights : ndarray of shape (m * n,), float64

    Returns
    -------
    present : ndarray of int64
        The groups that occur, ascending.
    sums : ndarray of shape (n_present, d), float64
    """
    present, rows = np.unique(groups, return_inverse=True)
    columns = np.arange(len(groups)) % max(len(features), 1)
    shape = (len(present), len(features))
    sums: FloatArray = sparse.csr_array((weights, (rows, columns)), shape=shape) @ features
    return present, sums


def distances_to_own(
    rows: Rows, groups: Array, centroids: FloatArray, workers: Workers
) -> FloatArray:
    """Measure each row's Euclidean distance to the centroid of its own group.

    The difference is formed before it is squared, in double precision, so nothing is lost to the
    expansion that fast distance kernels use.

    Parameters
    ----------
    rows : Rows
        n rows with d features each.
    groups : ndarray of shape (n,), integers
        Group of each row.
    centroids : ndarray of shape (n_groups, d), float64
    workers : Workers

    Returns
    -------
    ndarray of shape (n,), float64
    """
    distances = np.empty(len(rows))

    def measure(block: slice) -> None:
        difference = rows.read(block, np.float64) - centroids[groups[block]]
        distances[block] = lengths(difference)

    for _ in workers.map(measure, rows.blocks()):
        pass
    return distances
