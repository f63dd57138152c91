"""Data on their way to a device and back, without a wait for each batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from proxysample.data.reading import ROWS_PER_CHUNK
from proxysample.device import copy_to_device, fits_on_gpu
from proxysample.keeping import IntArray

# Share of a GPU's free memory that data may take; what takes more is sent anew for each use. The
# rest is for the network, and what its forward and backward passes hold.
MEMORY_SHARE = 0.25

# A read makes the host wait for the GPU, so results stay there until they take this much.
BYTES_PER_READ = 1 << 24


class DeviceRows:
    """Rows of an array, any of them at a time, on a device.

    Parameters
    ----------
    source : ndarray or Tensor of shape (n, ...)
        On the host, such as a memory map; it is never read whole but for a GPU that it fits on.
    device : torch.device
        Where rows go.
    read_often : bool
        Whether the rows are used many times. They are then sent to a GPU once and stay there, if
        they take less than `MEMORY_SHARE` of its free memory; otherwise each batch is copied from
        page-locked memory.

    Attributes
    ----------
    shape : tuple of int
        (n, ...).
    device : torch.device
        As given.

    Examples
    --------
    >>> rows = DeviceRows(np.array([[1, 2], [3, 4]]), torch.device("cpu"))
    >>> rows[np.array([1])].tolist(), len(rows)
    ([[3, 4]], 2)
    """

    def __init__(
        self,
        source: npt.NDArray[np.generic] | Tensor,
        device: torch.device,
        *,
        read_often: bool = False,
    ) -> None:
        self._source = source
        self.shape: tuple[int, ...] = tuple(source.shape)
        self.device = device
        stays = read_often and fits_on_gpu(source.nbytes, device, MEMORY_SHARE)
        self._on_device = self._sent_once() if stays else None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: IntArray | slice) -> Tensor:
        """Take rows.

        Parameters
        ----------
        rows : ndarray of int64 or slice

        Returns
        -------
        Tensor of shape (rows, ...)
            Of the type of the source; a copy.
        """
        if self._on_device is None:
            return copy_to_device(self._on_host(rows), self.device)
        if isinstance(rows, slice):
            return self._on_device[rows].clone()
        return self._on_device[copy_to_device(torch.from_numpy(rows), self.device)]

    def _on_host(self, rows: IntArray | slice) -> Tensor:
        # Copies: networks may write to what they get, and a memory map may be read-only.
        if isinstance(self._source, Tensor):
            return self._source[rows].clone() if isinstance(rows, slice) else self._source[rows]
        return torch.from_numpy(np.array(self._source[rows]))

    def _sent_once(self) -> Tensor:
        dtype = self._on_host(slice(0, 1)).dtype
        sent = torch.empty(self.shape, dtype=dtype, device=self.device)
        for start in range(0, len(self), ROWS_PER_CHUNK):
            rows = slice(start, start + ROWS_PER_CHUNK)
            # The host waits, so that never more than these rows take memory of it.
            sent[rows] = self._on_host(rows)
        return sent


def gather_on_host(parts: Iterable[Tensor], n_rows: int) -> Tensor:
    """Bring the results of many batches to the host by few reads.

    Parameters
    ----------
    parts : iterable of Tensor of shape (rows, ...)
        In order, all on one device.
    n_rows : int
        In all of them together, at least 1.

    Returns
    -------
    Tensor of shape (n_rows, ...)
        On the CPU.

    Examples
    --------
    >>> gather_on_host([torch.zeros(2), torch.ones(1)], 3)
    tensor([0., 0., 1.])
    """
    gathered: Tensor | None = None
    n_read = 0
    for part in _joined(parts):
        if gathered is None:
            gathered = torch.empty((n_rows, *part.shape[1:]), dtype=part.dtype)
        gathered[n_read : n_read + len(part)] = part
        n_read += len(part)
    assert gathered is not None
    return gathered


def _joined(parts: Iterable[Tensor]) -> Iterator[Tensor]:
    waiting, n_bytes = [], 0
    for part in parts:
        waiting.append(part)
        n_bytes += part.nbytes
        if n_bytes >= BYTES_PER_READ:
            yield torch.cat(waiting)
            waiting, n_bytes = [], 0
    if waiting:
        yield torch.cat(waiting)
