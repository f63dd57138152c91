"""Where tensors live, and kernels that give the same bits twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from proxysample.errors import InputError


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Turn a device name into a device that this machine has.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` takes the first CUDA device where there is one and the CPU elsewhere; any
        other value is a PyTorch device name, such as ``"cuda:1"``.

    Returns
    -------
    torch.device

    Raises
    ------
    InputError
        If the name is none of PyTorch's or the device is not on this machine.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {device!r} is not available here; pass 'auto' or 'cpu' ({error})"
        ) from error
    return resolved


@contextmanager
def deterministic_kernels() -> Iterator[None]:
    """Have cuDNN choose only kernels that give the same bits in every run; restored on leaving.

    Examples
    --------
    >>> with deterministic_kernels():
    ...     torch.backends.cudnn.deterministic
    True
    """
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
