"""Copy tensors from the host to a device without waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor


def copy_to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device, behind the work that the device has still to do.

    A GPU copies from page-locked memory on its own, in its turn. Any other copy has the host wait
    until the GPU has done all that it was given before.

    Parameters
    ----------
    tensor : Tensor
    device : torch.device

    Returns
    -------
    Tensor
        The same values and dtype, on `device`; the tensor itself where it is there already.

    Examples
    --------
    >>> copy_to_device(torch.arange(3), torch.device("cpu"))
    tensor([0, 1, 2])
    """
    if tensor.device.type != "cpu" or device.type != "cuda":
        return tensor.to(device)
    # PyTorch keeps the page-locked memory from other use until the copy is done.
    return tensor.pin_memory().to(device, non_blocking=True)
