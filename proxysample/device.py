"""Where tensors live, and random numbers that leave the global state alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from proxysample.errors import InputError

if TYPE_CHECKING:
    import torch


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
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(
            f"device {device!r} is not available here; pass 'auto' or 'cpu' ({error})"
        ) from error
    return resolved


@contextmanager
def deterministic_kernels() -> Iterator[None]:
    """Have cuDNN choose only kernels that give the same bits in every run; restored on leaving.

    Examples
    --------
    >>> import torch
    >>> with deterministic_kernels():
    ...     torch.backends.cudnn.deterministic
    True
    """
    from torch.backends import cudnn

    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


def draw_seeds(random_state: int | np.random.Generator | None, n_seeds: int) -> list[int]:
    """Draw seeds, one for each thing that is random.

    Parameters
    ----------
    random_state : int, Generator or None
        What the user gave; None draws other seeds each time.
    n_seeds : int

    Returns
    -------
    list of int
        In [0, 2**63).

    Examples
    --------
    >>> draw_seeds(0, 2) == draw_seeds(0, 2)
    True
    """
    seeds: list[int] = np.random.default_rng(random_state).integers(2**63, size=n_seeds).tolist()
    return seeds
