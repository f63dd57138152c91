"""Lloyd's passes in numpy: streaming, on several threads, the same bits for any number."""

from __future__ import annotations

import numpy as np

from proxysample.clustering.groups import sum_by_group
from proxysample.clustering.lloyd import NOISE, Step
from proxysample.data.parallel import Workers
from proxysample.data.rows import Array, Rows
from proxysample.keeping import FloatArray, IntArray


class NumpyEngine:
    """Passes over rows that are read block by block.

    One matrix product a block finds the nearest centers. Sums of clusters are kept from pass to
    pass, in double precision, and only rows that change their cluster touch them.

    Parameters
    ----------
    rows : Rows
        n rows with d features each, best of about zero mean.
    n_clusters : int
    workers : Workers

    Attributes
    ----------
    labels : ndarray of shape (n,), int32
        Cluster of each row at the last step; -1 before the first.
    """

    def __init__(self, rows: Rows, n_clusters: int, workers: Workers) -> None:
        self._rows = rows
        self._workers = workers
        self._n_clusters = n_clusters
        self._sums = np.zeros((n_clusters, rows.n_features))
        self._squared_norms = np.full(len(rows), np.nan, dtype=np.float32)
        self._squared_distances = np.empty(len(rows), dtype=np.float32)
        self.labels = np.full(len(rows), -1, dtype=np.int32)

    def step(self, centers: FloatArray) -> Step:
        """Assign each row to its nearest center; see `Engine.step`."""
        prepared = _Centers(centers)

        def assign(block: slice) -> tuple[float, IntArray, FloatArray]:
            features = self._rows.read(block)
            if np.isnan(self._squared_norms[block.start]):
                self._squared_norms[block] = np.einsum("ij,ij->i", features, features)
            labels, affinities = prepared.nearest(features)
            squared = np.maximum(self._squared_norms[block] - 2 * affinities, 0)
            self._squared_distances[block] = squared
            before = self.labels[block].copy()
            self.labels[block] = labels
            return float(squared.sum(dtype=np.float64)), *_moves(features, before, labels)

        inertia = 0.0
        blocks = self._rows.blocks(width=self._n_clusters)
        for block_inertia, present, change in self._workers.map(assign, blocks):
            inertia += block_inertia
            self._sums[present] += change
        counts = np.bincount(self.labels, minlength=self._n_clusters)
        return Step(self._sums, counts, inertia)

    def farthest(self, n_rows: int) -> FloatArray:
        """Give the rows farthest from their center; see `Engine.farthest`."""
        apart = self._squared_distances > NOISE * self._squared_norms
        farthest_first = np.argsort(-self._squared_distances, kind="stable")
        chosen = farthest_first[apart[farthest_first]][:n_rows]
        return self._rows.at(chosen).read(slice(0, len(chosen)), np.float64)


def nearest_centers(rows: Rows, centers: FloatArray, workers: Workers) -> IntArray:
    """Assign each row to its nearest center, ties to the first.

    Parameters
    ----------
    rows : Rows
        n rows with d features each, best of about zero mean.
    centers : ndarray of shape (n_clusters, d), float64
    workers : Workers

    Returns
    -------
    ndarray of shape (n,), int64
    """
    prepared = _Centers(centers)
    labels = np.empty(len(rows), dtype=np.int64)

    def assign(block: slice) -> None:
        labels[block], _ = prepared.nearest(rows.read(block))

    for _ in workers.map(assign, rows.blocks(width=len(centers))):
        pass
    return labels


class _Centers:
    """Centers in the form in which one matrix product finds the nearest.

    ``|x - c|^2 = |x|^2 - 2 (x.c - |c|^2 / 2)``, so the nearest center is that of the greatest
    affinity ``x.c - |c|^2 / 2``.
    """

    def __init__(self, centers: FloatArray) -> None:
        self._transposed = np.ascontiguousarray(centers.T, dtype=np.float32)
        self._half_norms = (np.einsum("ij,ij->i", centers, centers) / 2).astype(np.float32)

    def nearest(self, features: Array) -> tuple[IntArray, Array]:
        """Give the nearest center of each row, and its affinity."""
        affinities = features @ self._transposed
        affinities -= self._half_norms
        labels = affinities.argmax(axis=1)
        return labels, affinities[np.arange(len(labels)), labels]


def _moves(features: Array, before: Array, after: IntArray) -> tuple[IntArray, FloatArray]:
    """Sum up what each cluster gains and loses by rows that change from one to another."""
    changed = np.flatnonzero(before != after)
    came = np.ones(len(changed))
    left = np.where(before[changed] < 0, 0.0, -1.0)
    clusters = np.concatenate([after[changed], np.maximum(before[changed], 0)])
    return sum_by_group(
        features[changed].astype(np.float64), clusters, np.concatenate([came, left])
    )
