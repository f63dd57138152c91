"""Lloyd's iterations, and the engines that carry out their passes: numpy here, torch on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from proxysample.clustering.groups import sum_by_group
from proxysample.device import copy_to_device, fits_on_gpu
from proxysample.features.rows import Array, Precision, Rows, Workers
from proxysample.keeping import FloatArray, IntArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor


# A squared distance below this share of the squared norms may be rounding alone.
NOISE = 1e-5
NOISE_IN_FLOAT64 = 1e-13


def noise(precision: Precision) -> float:
    """Give the share of squared norms below which squared distances may be rounding alone."""
    return NOISE if precision is np.float32 else NOISE_IN_FLOAT64


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
            Rows on their center are left out: squared distances below `noise` times the row's
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


def on_sphere(centers: FloatArray, before: FloatArray) -> FloatArray:
    """Scale centers to unit length; one without a direction stays what it was before."""
    norms = np.linalg.norm(centers, axis=1, keepdims=True)
    return np.where(norms > 0, centers / np.where(norms > 0, norms, 1), before)


def iterate(
    engine: Engine, centers: FloatArray, *, max_iter: int, tol: float, spherical: bool = False
) -> Refined:
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
    spherical : bool
        Scale the means to unit length, as the rows are: K-Means by angles (I. S. Dhillon and D. S.
        Modha, Concept decompositions for large sparse text data using clustering, 2001).

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
        centers = on_sphere(moved, centers) if spherical else moved
    return Refined(centers, step.inertia, n_iter)


class NumpyEngine:
    """Passes over rows that are read block by block.

    One matrix product a block finds the nearest centers. Sums of clusters are kept from pass to
    pass, in double precision, and only rows that change their cluster touch them. Rows of double
    precision are added up anew in each pass: a huge one that leaves a cluster would take the
    digits of the others with it.

    Parameters
    ----------
    rows : Rows
        n rows with d features each, best of about zero mean.
    n_clusters : int
    workers : Workers
    prepare : callable
        Gives what finds the nearest of some centers; see `Finder`.

    Attributes
    ----------
    labels : ndarray of shape (n,), int32
        Cluster of each row at the last step; -1 before the first.
    """

    def __init__(
        self,
        rows: Rows,
        n_clusters: int,
        workers: Workers,
        prepare: Callable[[FloatArray, Precision], Finder] | None = None,
    ) -> None:
        self._rows = rows
        self._workers = workers
        self._n_clusters = n_clusters
        self._prepare = prepare or Centers
        self._sums = np.zeros((n_clusters, rows.n_features))
        self._squared_norms = np.full(len(rows), np.nan, dtype=rows.precision)
        self._squared_distances = np.empty(len(rows), dtype=rows.precision)
        self.labels = np.full(len(rows), -1, dtype=np.int32)

    def step(self, centers: FloatArray) -> Step:
        """Assign each row to its nearest center; see `Engine.step`."""
        prepared = self._prepare(centers, self._rows.precision)
        if self._rows.precision is np.float64:
            self.labels[:] = -1
            self._sums[:] = 0

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
        apart = self._squared_distances > noise(self._rows.precision) * self._squared_norms
        farthest_first = np.argsort(-self._squared_distances, kind="stable")
        chosen = farthest_first[apart[farthest_first]][:n_rows]
        return self._rows.at(chosen).read(slice(0, len(chosen)), np.float64)


# Two affinities that differ by less than this share of the squared norms may be in either order.
CLOSE = 4e-6


def nearest_centers(rows: Rows, centers: FloatArray, workers: Workers) -> IntArray:
    """Assign each row to its nearest center, ties to the first.

    Where single precision cannot tell which of two centers is nearer, double precision does.

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
    prepared = Centers(centers, rows.precision)
    exact = Centers(centers, np.float64)
    labels = np.empty(len(rows), dtype=np.int64)

    def assign(block: slice) -> None:
        features = rows.read(block)
        labels[block], margins = prepared.nearest_with_margin(features)
        if rows.precision is np.float64:
            return
        norms = np.einsum("ij,ij->i", features, features)
        close = np.flatnonzero(~(margins > CLOSE * (norms + exact.squared_norms[labels[block]])))
        if len(close):
            doubtful = rows.at(block.start + close)
            labels[block.start + close], _ = exact.nearest(
                doubtful.read(slice(0, len(close)), np.float64)
            )

    for _ in workers.map(assign, rows.blocks(width=len(centers))):
        pass
    return labels


class Finder(Protocol):
    """Finds the nearest of some centers."""

    def nearest(self, features: Array) -> tuple[IntArray, Array]:
        """Give the nearest center c of each row x, and ``x.c - |c|^2 / 2``."""
        ...


class Centers:
    """Centers in the form in which one matrix product finds the nearest.

    ``|x - c|^2 = |x|^2 - 2 (x.c - |c|^2 / 2)``, so the nearest center is that of the greatest
    affinity ``x.c - |c|^2 / 2``.

    Parameters
    ----------
    centers : ndarray of shape (n_clusters, d), float64
    precision : {numpy.float32, numpy.float64}
        Of the matrix product.
    """

    def __init__(self, centers: FloatArray, precision: Precision) -> None:
        self.squared_norms = np.einsum("ij,ij->i", centers, centers)
        self._transposed = np.ascontiguousarray(centers.T, dtype=precision)
        self._half_norms = (self.squared_norms / 2).astype(precision)

    def nearest(self, features: Array) -> tuple[IntArray, Array]:
        """Give the nearest center of each row, and its affinity."""
        affinities = self._affinities(features)
        labels = affinities.argmax(axis=1)
        return labels, affinities[np.arange(len(labels)), labels]

    def nearest_with_margin(self, features: Array) -> tuple[IntArray, Array]:
        """Give the nearest center of each row, and by how much its affinity is the greatest."""
        affinities = self._affinities(features)
        rows = np.arange(len(affinities))
        labels = affinities.argmax(axis=1)
        greatest = affinities[rows, labels]
        affinities[rows, labels] = -np.inf
        return labels, greatest - affinities.max(axis=1)

    def _affinities(self, features: Array) -> Array:
        affinities: Array = features @ self._transposed
        affinities -= self._half_norms
        return affinities


def _moves(features: Array, before: Array, after: IntArray) -> tuple[IntArray, FloatArray]:
    """Sum up what each cluster gains and loses by rows that change from one to another."""
    changed = np.flatnonzero(before != after)
    came = np.ones(len(changed))
    left = np.where(before[changed] < 0, 0.0, -1.0)
    clusters = np.concatenate([after[changed], np.maximum(before[changed], 0)])
    return sum_by_group(
        features[changed].astype(np.float64), clusters, np.concatenate([came, left])
    )


# Share of a GPU's free memory that the features may take; more are sent anew in each pass.
MEMORY_SHARE = 0.5


class TorchEngine:
    """Passes over rows that stay on a GPU where they fit.

    Two matrix products a block find the nearest centers and add up their rows, so that no sum
    depends on the order in which threads of a GPU happen to finish. On a CPU each block takes
    one thread, for the same reason.

    Parameters
    ----------
    rows : Rows
        n rows with d features each, best of about zero mean.
    n_clusters : int
    device : torch.device
        A CPU or a CUDA device.
    workers : Workers
        Used on a CPU.
    """

    def __init__(self, rows: Rows, n_clusters: int, device: torch.device, workers: Workers) -> None:
        self._rows = rows
        self._n_clusters = n_clusters
        self._device = device
        self._workers = workers
        self._blocks = list(rows.blocks(width=n_clusters))
        self._kept = [self._send(block) for block in self._blocks] if self._fits() else None
        self._squared_norms: dict[int, Tensor] = {}
        self._squared_distances: dict[int, Tensor] = {}

    def _fits(self) -> bool:
        return fits_on_gpu(self._rows.n_bytes, self._device, MEMORY_SHARE)

    def _send(self, block: slice) -> Tensor:
        import torch

        features = self._rows.read(block)
        # torch warns of arrays that are not to be written to, such as memory maps.
        writable = features if features.flags.writeable else features.copy()
        return copy_to_device(torch.from_numpy(writable), self._device)

    def step(self, centers: FloatArray) -> Step:
        """Assign each row to its nearest center; see `Engine.step`."""
        import torch

        narrow = centers.astype(self._rows.precision)
        prepared = copy_to_device(torch.from_numpy(narrow), self._device)
        half_norms = prepared.double().square().sum(dim=1).div(2).to(prepared.dtype)

        def assign(number: int) -> tuple[Tensor, Tensor, Tensor]:
            features = self._kept[number] if self._kept else self._send(self._blocks[number])
            if number not in self._squared_norms:
                self._squared_norms[number] = features.square().sum(dim=1)
            affinities = torch.addmm(half_norms, features, prepared.T, beta=-1)
            nearest, labels = affinities.max(dim=1)
            squared = (self._squared_norms[number] - 2 * nearest).clamp(min=0)
            self._squared_distances[number] = squared
            members = torch.nn.functional.one_hot(labels, self._n_clusters).to(features.dtype)
            sums = members.T @ features
            return sums.double(), members.sum(dim=0).double(), squared.double().sum()

        sums = torch.zeros(centers.shape, dtype=torch.float64, device=self._device)
        counts = torch.zeros(len(centers), dtype=torch.float64, device=self._device)
        inertia = torch.zeros((), dtype=torch.float64, device=self._device)
        for block_sums, block_counts, block_inertia in self._map(assign):
            sums += block_sums
            counts += block_counts
            inertia += block_inertia
        # In one read: each makes the host wait for the GPU.
        found = torch.cat([sums.flatten(), counts, inertia.view(1)]).cpu().numpy()
        summed, counted = found[: sums.numel()], found[sums.numel() : -1]
        return Step(summed.reshape(centers.shape), counted.astype(np.int64), float(found[-1]))

    def _map(
        self, assign: Callable[[int], tuple[Tensor, Tensor, Tensor]]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        numbers = range(len(self._blocks))
        if self._device.type == "cuda":
            yield from map(assign, numbers)
            return
        with _one_thread_each():
            yield from self._workers.map(assign, numbers)

    def farthest(self, n_rows: int) -> FloatArray:
        """Give the rows farthest from their center; see `Engine.farthest`."""
        import torch

        parts = (self._squared_distances, self._squared_norms)
        in_order = [part[number] for part in parts for number in range(len(self._blocks))]
        squared, squared_norms = torch.cat(in_order).view(2, -1).cpu().numpy()
        apart = squared > noise(self._rows.precision) * squared_norms
        farthest_first = np.argsort(-squared, kind="stable")
        chosen = farthest_first[apart[farthest_first]][:n_rows]
        return self._rows.at(chosen).read(slice(0, len(chosen)), np.float64)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Hold torch's operations on the CPU at one thread, in this process; restored on leaving."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
