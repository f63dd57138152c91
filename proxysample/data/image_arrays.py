"""Arrays of images: out of tensors, and with the channels where they belong."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from proxysample.errors import InputError

Array = npt.NDArray[Any]

# Images with so few rows or columns, as many as there are colours, are taken for none.
COLOUR_CHANNELS = (1, 3)
MOST_CHANNELS = 4


def tensor_to_array(tensor: Any) -> Array:
    """Copy a torch tensor to numpy, bfloat16 as float32, which holds each of its values.

    Parameters
    ----------
    tensor : Tensor
        On any device.

    Returns
    -------
    ndarray
        A view where possible.

    Examples
    --------
    >>> import torch
    >>> tensor_to_array(torch.ones(2, dtype=torch.bfloat16))
    array([1., 1.], dtype=float32)
    """
    host = tensor.detach().cpu()
    array: Array = (host.float() if str(host.dtype) == "torch.bfloat16" else host).numpy()
    return array


def check_channels_last(images: Array) -> None:
    """Refuse square images of which another axis than the last is that of the colours.

    Parameters
    ----------
    images : ndarray of shape (n, h, w, c)
        A numpy array as it was given, or a torch tensor after its second axis went last.

    Raises
    ------
    InputError
        If rows or columns are as few as colours, and the two other axes are equal and longer.

    Examples
    --------
    >>> import numpy as np
    >>> check_channels_last(np.zeros((100, 3, 32, 32)))
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: images of 3 rows, 32 columns and 32 channels: ...
    """
    rows, columns, channels = images.shape[1:]
    if channels <= MOST_CHANNELS:
        return
    first = rows in COLOUR_CHANNELS and columns == channels
    middle = columns in COLOUR_CHANNELS and rows == channels
    if first or middle:
        raise InputError(
            f"images of {rows} rows, {columns} columns and {channels} channels: the axes are in "
            "another order. Arrays are (n, height, width, channels), such as "
            "np.moveaxis(images, 1, -1); torch tensors are (n, channels, height, width)"
        )
