"""The images of a dataset as batches that a network takes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from proxysample.data.image_arrays import check_channels_last
from proxysample.data.reading import ROWS_PER_CHUNK, Samples
from proxysample.errors import InputError
from proxysample.keeping import IntArray
from proxysample.networks.device_data import DeviceRows

# Images of one forward pass where each sample counts for itself. Part of the arithmetic (kernels
# differ in their last bits between batch sizes), so it is a constant and never follows a user's
# batch size. Small enough for a large network and large images.
ROWS_PER_FORWARD = 64


class ImageTensors:
    """Images of a dataset, any rows of them at a time, as float32 tensors in [0, 1].

    Parameters
    ----------
    samples : Samples
        Images of type uint8 (scaled by 1/255), bool, or floating point in [0, 1].
    device : torch.device
        Where batches go.
    read_often : bool
        Whether the images are read many times, as in a training; see `DeviceRows`.

    Attributes
    ----------
    shape : tuple of int
        (channels, height, width).
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

    def __init__(self, samples: Samples, device: torch.device, *, read_often: bool = False) -> None:
        images = samples.images
        if images.ndim != 4:
            raise InputError(
                f"images (n, height, width) or (n, height, width, channels) are needed here, "
                f"not features of shape {images.shape}"
            )
        check_channels_last(images)
        _check_unit_range(images)
        self._images = DeviceRows(images, device, read_often=read_often)
        self.device = device
        height, width, channels = images.shape[1:]
        self.shape = (channels, height, width)

    def __len__(self) -> int:
        return len(self._images)

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
        pixels = self._images[rows]
        batch = pixels.permute(0, 3, 1, 2).float()
        return batch / 255 if pixels.dtype == torch.uint8 else batch

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
        with tqdm(total=len(self), desc=description, unit="image", disable=not progress) as bar:
            for start in range(0, len(self), ROWS_PER_FORWARD):
                batch = self[slice(start, start + ROWS_PER_FORWARD)]
                yield batch
                bar.update(len(batch))


def _check_unit_range(images: npt.NDArray[np.generic]) -> None:
    if images.dtype in (np.uint8, np.bool_):
        return
    if images.dtype.kind != "f":
        raise InputError(
            f"images have type {images.dtype}; needed: uint8, or floating point in [0, 1]: "
            "divide by the largest value that a pixel can have"
        )
    for start in range(0, len(images), ROWS_PER_CHUNK):
        chunk = np.asarray(images[start : start + ROWS_PER_CHUNK])
        flat = chunk.reshape(len(chunk), -1)
        low, high = flat.min(axis=1), flat.max(axis=1)
        outside = (low < 0) | (high > 1)
        if outside.any():
            row = int(np.argmax(outside))
            raise InputError(
                f"sample {start + row} has pixels from {low[row]:.3g} to {high[row]:.3g}; "
                "floating-point images must lie in [0, 1]: leave Normalize out of the dataset's "
                "transform, or divide by 255"
            )
