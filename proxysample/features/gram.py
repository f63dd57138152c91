"""Few rows of many features, by their scalar products: n rows span n dimensions, not d."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from proxysample.features.rows import Rows, Workers
from proxysample.keeping import FloatArray

# Values of a panel of rows; each thread holds two panels. Part of the arithmetic.
VALUES_PER_PANEL = 1 << 22

# The way through all features multiplies them by some 80 columns, forwards and back, to find
# principal components, and by the centers to measure distances, each about so many times.
PASSES = 10
COLUMNS = 80
# A Cholesky or eigenvalue decomposition takes about so many times n^3 operations.
DECOMPOSITION = 20


def gram_pays(n_rows: int, n_features: int, n_clusters: int = 0) -> bool:
    """Tell whether the n x n matrix of scalar products costs less than passes over the features.

    Examples
    --------
    >>> gram_pays(100, 150_528, 50), gram_pays(50_000, 3_072, 100)
    (True, False)
    """
    by_products = n_features * n_rows**2 + DECOMPOSITION * n_rows**3
    by_features = PASSES * (4 * COLUMNS + 2 * n_clusters) * n_rows * n_features
    return n_features > n_rows and by_products < by_features


def gram_matrix(rows: Rows, workers: Workers) -> FloatArray:
    """Multiply each row with each, in double precision; shape (n, n)."""
    n_rows = len(rows)
    size = max(1, VALUES_PER_PANEL // max(rows.n_features, 1))
    panels = [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]
    products = np.empty((n_rows, n_rows))

    def fill(number: int) -> None:
        upper = rows.read(panels[number], np.float64)
        for panel in panels[number:]:
            lower = upper if panel == panels[number] else rows.read(panel, np.float64)
            block = upper @ lower.T
            products[panels[number], panel] = block
            products[panel, panels[number]] = block.T

    for _ in workers.map(fill, range(len(panels))):
        pass
    return products


def coordinates(products: FloatArray) -> FloatArray:
    """Give rows the scalar products that they should have, in as few dimensions as hold them.

    Parameters
    ----------
    products : ndarray of shape (n, n), float64
        Of each row with each; see `gram_matrix`.

    Returns
    -------
    ndarray of shape (n, rank), float64

    Notes
    -----
    The rows of a Cholesky factor: coordinates in an orthonormal basis that the rows span. It is
    taken of the rows at unit length, so that one huge row does not take the digits of the others.

    Examples
    --------
    >>> rows = np.array([[3.0, 0.0, 4.0], [6.0, 0.0, 8.0], [0.0, 0.0, 0.0]])
    >>> np.abs(coordinates(rows @ rows.T)).round(12).tolist()
    [[5.0], [10.0], [0.0]]
    """
    norms = np.sqrt(np.diagonal(products))
    divisors = np.where(norms > 0, norms, 1)
    factor, pivots, rank, _ = lapack.dpstrf(
        products / divisors[:, np.newaxis] / divisors, lower=1, overwrite_a=1
    )
    found = np.empty((len(products), int(rank)))
    found[pivots - 1] = np.tril(factor)[:, : int(rank)]
    found *= norms[:, np.newaxis]
    return found
