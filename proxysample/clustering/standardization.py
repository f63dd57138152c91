"""Mean and scale of each feature, in one streaming pass."""

from __future__ import annotations

import numpy as np

from proxysample.data.parallel import Workers
from proxysample.data.rows import Rows
from proxysample.keeping import FloatArray


def mean_and_scale(rows: Rows, workers: Workers) -> tuple[FloatArray, FloatArray]:
    """Find what gives each feature zero mean and unit variance.

    Parameters
    ----------
    rows : Rows
        n rows with d features each.
    workers : Workers

    Returns
    -------
    mean : ndarray of shape (d,), float64
    scale : ndarray of shape (d,), float64
        Standard deviation over all rows (divided by n); 1 for a constant feature.

    Notes
    -----
    Means and squared deviations of blocks are merged as T. F. Chan, G. H. Golub and R. J.
    LeVeque do (Updating formulae and a pairwise algorithm for computing sample variances, 1979).

    Examples
    --------
    >>> with Workers() as workers:
    ...     mean_and_scale(Rows(np.array([[1.0, 5.0], [3.0, 5.0]])), workers)
    (array([2., 5.]), array([1., 1.]))
    """
    count = 0
    mean = np.zeros(rows.n_features)
    squares = np.zeros(rows.n_features)

    def moments(block: slice) -> tuple[int, FloatArray, FloatArray]:
        features = rows.read(block, np.float64)
        block_mean = features.mean(axis=0)
        return len(features), block_mean, np.square(features - block_mean).sum(axis=0)

    for block_count, block_mean, block_squares in workers.map(moments, rows.blocks()):
        total = count + block_count
        difference = block_mean - mean
        squares += block_squares + np.square(difference) * (count * block_count / total)
        mean += difference * (block_count / total)
        count = total
    variance = squares / count
    # What rounding alone can make of the variance of a constant.
    noise = count * np.finfo(np.float64).eps
    constant = variance <= noise * variance + np.square(noise * mean)
    return mean, np.where(constant, 1.0, np.sqrt(variance))
