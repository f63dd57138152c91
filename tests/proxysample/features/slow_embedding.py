"""An embedding that takes its time, so that it can be killed."""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from torch import nn

from proxysample import Features, embed


class Photos:
    """Map-style, with labels in its items alone."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        pixels = np.random.default_rng(index).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        return pixels, index % 3


class Slow(nn.Module):
    """A small convolution that waits before each batch."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(7, 3, 3, 3, generator=generator))
        self._seconds = [seconds]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(self._seconds[0])
        return torch.conv2d(images, self.weight).mean((2, 3))


def run(folder: str, n: int, seconds: float) -> Features:
    torch.set_num_threads(1)
    made = embed(Photos(n), folder=folder, backbone=Slow(seconds), dtype="float16")
    sys.stdout.write(f"{made.provenance['samples_taken_over']}\n")
    return made
