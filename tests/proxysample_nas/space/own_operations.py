"""Operations that are not of NAS-Bench-201: a pool, a convolution, one run edge by edge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from proxysample import register
from proxysample_nas.space.operations import OPERATIONS, Operation
from tests.proxysample_nas.space.reference_supernet import separable_convolution


def max_pool(_channels: int, _affine: bool, _track_running_stats: bool) -> nn.Module:
    return nn.MaxPool2d(3, stride=1, padding=1)


MAX_POOL = Operation("max_pool_3x3", "pool", "#56b4e9", "3x3 Max", builder=max_pool)
CONVOLUTION = Operation("nor_conv_5x5", "convolution", "#cc79a7", "5x5 Conv", kernel_size=5)
SEPARABLE = Operation("sep_conv_3x3", "module", "#000000", builder=separable_convolution)


@contextmanager
def registered(*operations: Operation) -> Iterator[None]:
    """Register operations, and take that back on leaving."""
    for operation in operations:
        register(operation)
    try:
        yield
    finally:
        for operation in operations:
            OPERATIONS.unregister(operation.name)
