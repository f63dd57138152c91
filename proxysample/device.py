"""Where tensors live, copies to there, and random numbers that leave the global state alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from proxysample.errors import InputError
from proxysample.printing import shown

if TYPE_CHECKING:
    import torch

# Others lack what scoring needs, such as sums in float64.
DEVICE_TYPES = ("cpu", "cuda")


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
        If the name is none of PyTorch's, or the device is not on this machine or neither a CPU
        nor a CUDA device.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    import torch

    if not isinstance(device, str | torch.device):
        raise InputError(f"device {shown(device)} is no name; pass 'auto' or 'cpu'")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, TypeError, ValueError, OverflowError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"device {shown(device)} is not available here; pass 'auto' or 'cpu' ({reason})"
        ) from error
    if resolved.type not in DEVICE_TYPES:
        raise InputError(
            f"device {shown(device)} is of a kind that nothing here was made for; pass "
            "'auto', 'cpu' "
            "or 'cuda'"
        )
    return resolved


def is_traced() -> bool:
    """Tell whether `torch.jit.trace` or its like records what runs, and warns of Python values."""
    import torch

    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def copy_to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a tensor from the host to a device, without waiting for what the device is still at.

    A GPU copies from page-locked memory on its own, in its turn. Any other copy has the host wait
    until the GPU has done all that it was given before.

    Parameters
    ----------
    tensor : torch.Tensor
    device : torch.device

    Returns
    -------
    torch.Tensor
        The same values and dtype, on `device`; the tensor itself where it is there already.

    Examples
    --------
    >>> import torch
    >>> copy_to_device(torch.arange(3), torch.device("cpu"))
    tensor([0, 1, 2])
    """
    if tensor.device.type != "cpu" or device.type != "cuda":
        return tensor.to(device)
    # PyTorch keeps the page-locked memory from other use until the copy is done.
    return tensor.pin_memory().to(device, non_blocking=True)


def fits_on_gpu(n_bytes: int, device: torch.device, share: float) -> bool:
    """Tell whether data may stay in a GPU's memory.

    Parameters
    ----------
    n_bytes : int
    device : torch.device
    share : float
        Part of the memory that is free now that they may take, in [0, 1].

    Returns
    -------
    bool
        False on a CPU: what is in its memory needs no copy there.

    Examples
    --------
    >>> import torch
    >>> fits_on_gpu(1, torch.device("cpu"), share=0.5)
    False
    """
    import torch

    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return n_bytes < share * free


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
