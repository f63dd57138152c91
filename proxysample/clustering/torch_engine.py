"""Lloyd's passes in torch, for a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from proxysample.clustering.lloyd import NOISE, Step
from proxysample.data.parallel import Workers
from proxysample.data.rows import Rows
from proxysample.device import copy_to_device, fits_on_gpu
from proxysample.keeping import FloatArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

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
        n_bytes = 4 * len(self._rows) * self._rows.n_features
        return fits_on_gpu(n_bytes, self._device, MEMORY_SHARE)

    def _send(self, block: slice) -> Tensor:
        import torch

        features = self._rows.read(block)
        # torch warns of arrays that are not to be written to, such as memory maps.
        writable = features if features.flags.writeable else features.copy()
        return copy_to_device(torch.from_numpy(writable), self._device)

    def step(self, centers: FloatArray) -> Step:
        """Assign each row to its nearest center; see `Engine.step`."""
        import torch

        narrow = copy_to_device(torch.from_numpy(centers.astype(np.float32)), self._device)
        half_norms = narrow.double().square().sum(dim=1).div(2).float()

        def assign(number: int) -> tuple[Tensor, Tensor, Tensor]:
            features = self._kept[number] if self._kept else self._send(self._blocks[number])
            if number not in self._squared_norms:
                self._squared_norms[number] = features.square().sum(dim=1)
            affinities = torch.addmm(half_norms, features, narrow.T, beta=-1)
            nearest, labels = affinities.max(dim=1)
            squared = (self._squared_norms[number] - 2 * nearest).clamp(min=0)
            self._squared_distances[number] = squared
            members = torch.nn.functional.one_hot(labels, self._n_clusters).float()
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
        apart = squared > NOISE * squared_norms
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
