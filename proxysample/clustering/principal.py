"""Principal components of a matrix that is read block by block."""

from __future__ import annotations

import numpy as np

from proxysample.data.parallel import Workers
from proxysample.data.rows import Rows
from proxysample.keeping import FloatArray

OVERSAMPLING = 16
MOST_PASSES = 30
LEAST_GAIN = 1e-5


def principal_components(rows: Rows, n_components: int, workers: Workers) -> FloatArray:
    """Find the directions in which centred rows vary most.

    Parameters
    ----------
    rows : Rows
        n rows with d features each, of zero mean.
    n_components : int
        At most d.
    workers : Workers

    Returns
    -------
    ndarray of shape (d, n_components), float64
        Orthonormal columns, the direction of the largest variance first.

    Notes
    -----
    Block power iteration from a random start with some columns to spare (N. Halko, P. G.
    Martinsson and J. A. Tropp, Finding structure with randomness, SIAM Review 53, 2011), which
    needs a few passes and no more memory than d times the number of columns. It stops where a
    pass adds less than 0.001 % to the variance that the components hold.

    Examples
    --------
    >>> with Workers() as workers:
    ...     components = principal_components(Rows(np.array([[3.0, 4.0], [-3.0, -4.0]])), 1, workers)
    >>> np.abs(components[:, 0]).round(6).tolist()
    [0.6, 0.8]
    """  # noqa: E501
    n_features = rows.n_features
    n_columns = min(n_components + OVERSAMPLING, n_features)
    product: FloatArray = np.random.default_rng(0).standard_normal((n_features, n_columns))
    held = 0.0
    for _ in range(MOST_PASSES):
        basis, _ = np.linalg.qr(product)
        product = _times_scatter(rows, basis, workers)
        variances, rotation = np.linalg.eigh(basis.T @ product)
        before, held = held, float(variances[-n_components:].sum())
        if held - before <= LEAST_GAIN * held:
            break
    components: FloatArray = basis @ rotation[:, ::-1][:, :n_components]
    return components


def _times_scatter(rows: Rows, basis: FloatArray, workers: Workers) -> FloatArray:
    """Compute ``X.T @ X @ basis``."""
    narrow = basis.astype(np.float32)

    def multiply(block: slice) -> FloatArray:
        features = rows.read(block)
        product: FloatArray = (features.T @ (features @ narrow)).astype(np.float64)
        return product

    total = np.zeros(basis.shape)
    for product in workers.map(multiply, rows.blocks()):
        total += product
    return total
