"""The images of a dataset as batches that a network takes, on their way to a device and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from proxysample.data.decoding import Form, FormChangedError, check_channels_last
from proxysample.data.images import Fitting
from proxysample.data.reading import ROWS_PER_CHUNK, Samples
from proxysample.device import copy_to_device, fits_on_gpu
from proxysample.errors import InputError, SampleError
from proxysample.keeping import IntArray
from proxysample.printing import hides_progress

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


# Images of one forward pass where each sample counts for itself. Part of the arithmetic (kernels
# differ in their last bits between batch sizes), so it is a constant and never follows a user's
# batch size. Small enough for a large network and large images.
ROWS_PER_FORWARD = 64

# Samples whose features are kept together. A multiple of those that a network gets at a time, so
# that these are the same whichever blocks are computed, and wherever.
ROWS_PER_BLOCK = 4 * ROWS_PER_FORWARD

# Images whose values are looked at together.
ROWS_PER_CHECK = 64


class ImageTensors:
    """Images of a dataset as float32 tensors in [0, 1]: any rows at a time, or all in order.

    Images that have to be decoded are kept nowhere while they are read in order; they are kept
    for several passes (see `Samples`) where any rows are asked for.

    Parameters
    ----------
    samples : Samples
        Images of type uint8 (scaled by 1/255), uint16 (by 1/65,535), bool, or floating point in
        [0, 1].
    device : torch.device
        Where batches go.
    read_often : bool
        Whether the images are read many times, as in a training; see `DeviceRows`.
    any_range : bool
        Whether floating-point images may hold any values, as normalised ones do.

    Attributes
    ----------
    device : torch.device
        As given.

    Raises
    ------
    InputError
        If the samples are features, have their axes in another order or another integer type, or
        hold values outside [0, 1].

    Examples
    --------
    >>> images = np.full((2, 8, 8, 3), 255, dtype=np.uint8)
    >>> tensors = ImageTensors(Samples(images), torch.device("cpu"))
    >>> tensors.shape, tensors[np.array([1])].shape, float(tensors[np.array([1])].min())
    ((3, 8, 8), torch.Size([1, 3, 8, 8]), 1.0)
    """

    def __init__(
        self,
        samples: Samples,
        device: torch.device,
        *,
        read_often: bool = False,
        any_range: bool = False,
    ) -> None:
        self._samples = samples
        self._read_often = read_often
        self._any_range = any_range
        self.device = device
        if read_often or samples.is_held:
            self._rows  # noqa: B018  # whatever is wrong is told now
        else:
            # Their size is for who uses them to say.
            (first,) = samples.rows(np.zeros(1, dtype=np.int64))
            check_kind((len(samples), *first.shape), first.dtype)

    @cached_property
    def _rows(self) -> DeviceRows:
        images = self._samples.images
        check_kind(images.shape, images.dtype)
        check_channels_last(images)
        for start in range(0, len(images) if self._has_range(images.dtype) else 0, ROWS_PER_CHECK):
            check_unit_range(np.asarray(images[start : start + ROWS_PER_CHECK]), start)
        # Few operations on tensors know the type.
        stays = self._read_often and images.dtype != np.uint16
        return DeviceRows(images, self.device, read_often=stays)

    def _has_range(self, dtype: np.dtype[Any]) -> bool:
        return dtype.kind == "f" and not self._any_range

    @cached_property
    def _form(self) -> Form:
        form = self._samples.form()
        check_kind((len(self), *form.shape), form.dtype)
        return form

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        held = "_rows" in vars(self)
        height, width, channels = self._rows.shape[1:] if held else self._form.shape
        return channels, height, width

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, rows: IntArray | slice) -> Tensor:
        """Read a batch.

        Parameters
        ----------
        rows : ndarray of int64 or slice
            Which images.

        Returns
        -------
        Tensor of shape (rows, channels, height, width), float32
        """
        return as_fractions(self._rows[rows])

    def in_order(self, progress: bool = False, description: str = "scoring") -> Iterator[Tensor]:
        """Read all images, a batch of constant size at a time.

        Parameters
        ----------
        progress : bool
            Show a progress bar.
        description : str
            What the bar says.

        Yields
        ------
        Tensor of shape (rows, channels, height, width), float32
        """
        with tqdm(
            total=len(self), desc=description, unit="image", disable=hides_progress(progress)
        ) as bar:
            for start in range(0, len(self), ROWS_PER_FORWARD):
                batch = self[slice(start, start + ROWS_PER_FORWARD)]
                yield batch
                bar.update(len(batch))

    def apply(
        self,
        function: Callable[[Tensor, bool], Tensor],
        progress: bool = False,
        description: str = "scoring",
        *,
        fitting_for: Callable[[tuple[int, int] | None], Fitting | None] | None = None,
    ) -> Tensor:
        """Apply a function to all images, a batch of constant size at a time, and gather results.

        Images that are not held in an array or kept already are decoded, used and let go.

        Parameters
        ----------
        function : callable
            Gets a batch (rows, channels, height, width), float32, and whether its images were
            brought to a size; gives a row for each.
        progress : bool
            Show a progress bar.
        description : str
            What the bar says.
        fitting_for : callable, optional
            Tells how images of a height and width come to the size that the function takes, and
            images of several sizes (None). Those that are larger come to it as they are decoded.

        Returns
        -------
        Tensor of shape (n, ...)
            On the CPU.
        """
        if "_rows" in vars(self) or self._samples.is_held:
            fitted = self._samples.image_size is not None
            batches = self.in_order(progress, description)
            return gather_on_host((function(batch, fitted) for batch in batches), len(self))
        form = self.form_for(fitting_for)
        while True:
            try:
                is_fitted = form.fitting is not None
                batches = self.decoded(form, description)
                return gather_on_host((function(batch, is_fitted) for batch in batches), len(self))
            except FormChangedError as changed:
                form = changed.form

    def form_for(
        self, fitting_for: Callable[[tuple[int, int] | None], Fitting | None] | None
    ) -> Form:
        """Tell what images that have to be decoded come out as; see `apply`."""
        otherwise = None if fitting_for is None else fitting_for(None)
        form = self._form if otherwise is None else self._samples.form(otherwise)
        if form.fitting is not None or fitting_for is None:
            return form
        height, width, _ = form.shape
        target = fitting_for((height, width))
        if target is None or min(target.resized(height, width)) >= min(height, width):
            return form
        return form.at(target)

    def decoded(
        self, form: Form, description: str | None = None, indices: Sequence[int] | None = None
    ) -> Iterator[Tensor]:
        """Decode images in order, a batch of constant size at a time.

        Parameters
        ----------
        form : Form
            What they come out as.
        description : str or None
            What a progress bar says; None shows none.
        indices : sequence of int, optional
            Ascending; by default all images are decoded.

        Yields
        ------
        Tensor of shape (rows, channels, height, width), float32
        """
        start = 0
        decoded = self._samples.decoded(form, description, indices)
        for images in _of_length(decoded, ROWS_PER_FORWARD):
            if self._has_range(images.dtype):
                first = start if indices is None else indices[start]
                check_unit_range(images, first)
            start += len(images)
            yield as_fractions(copy_to_device(torch.from_numpy(images), self.device))


def _of_length(parts: Iterable[npt.NDArray[Any]], n_rows: int) -> Iterator[npt.NDArray[Any]]:
    """Cut and join arrays so that each but the last has so many rows."""
    waiting: list[npt.NDArray[Any]] = []
    n_waiting = 0
    for part in parts:
        start = 0
        while len(part) - start >= n_rows - n_waiting:
            stop = start + n_rows - n_waiting
            yield np.concatenate([*waiting, part[start:stop]])
            waiting, n_waiting, start = [], 0, stop
        if start < len(part):
            waiting.append(part[start:])
            n_waiting += len(part) - start
    if waiting:
        yield np.concatenate(waiting)


def as_fractions(pixels: Tensor) -> Tensor:
    """Turn images (n, h, w, c) into float32 (n, c, h, w), integers scaled to [0, 1]."""
    batch = pixels.permute(0, 3, 1, 2).float()
    largest = {torch.uint8: 255, torch.uint16: 65_535}.get(pixels.dtype)
    return batch if largest is None else batch / largest


def check_kind(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse what is no images (n, h, w, c), or of a type whose white is not known."""
    if len(shape) != 4:
        raise InputError(
            f"images (n, height, width) or (n, height, width, channels) are needed here, "
            f"not features of shape {shape}"
        )
    if dtype not in (np.uint8, np.uint16, np.bool_) and dtype.kind != "f":
        raise InputError(
            f"images have type {dtype}; needed: uint8, uint16, or floating point in [0, 1]: "
            "divide by the largest value that a pixel can have"
        )


def check_unit_range(images: npt.NDArray[Any], start: int) -> None:
    """Refuse values outside [0, 1], by the index of the sample; the first image's is `start`."""
    flat = images.reshape(len(images), -1)
    low, high = flat.min(axis=1), flat.max(axis=1)
    outside = (low < 0) | (high > 1)
    if outside.any():
        row = int(np.argmax(outside))
        raise SampleError(
            start + row,
            f" has pixels from {low[row]:.3g} to {high[row]:.3g}; floating-point images must lie "
            "in [0, 1] here: leave Normalize out of the dataset's transform, or divide by 255",
        )
