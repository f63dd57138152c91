"""What a real GPU makes the host wait for, by CUDA's own record."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


def count_waits(run: Callable[[], T]) -> tuple[T, int]:
    """Give what a run gives, and how many of its calls waited for the GPU."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            result = run()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return result, sum("synchronizing CUDA operation" in str(one.message) for one in caught)
