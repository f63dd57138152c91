"""A small convolutional network, good enough to be trained from scratch on small images."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from proxysample.device import copy_to_device
from proxysample.samplers.networks import initialized

WIDTH = 16
LARGEST_SIDE = 48

Augment = Literal["auto", "none", "shift", "shift-flip"]
AUGMENTS: tuple[Augment, ...] = ("auto", "none", "shift", "shift-flip")


class SmallNetwork(nn.Module):
    """Six 3x3 convolutions with batch normalisation, two of 16, 32 and 64 channels each.

    Pooling halves the sides after the first two pairs; the mean over the image is classified by
    one linear layer. It has about 74,000 parameters. Images with a side above 48 pixels are
    averaged down first.

    Parameters
    ----------
    n_channels, n_classes : int
        Of the images, and of the labels.

    Examples
    --------
    >>> network = SmallNetwork(3, 20)
    >>> network(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 20])
    >>> sum(parameters.numel() for parameters in network.parameters())
    73604
    """

    def __init__(self, n_channels: int, n_classes: int) -> None:
        super().__init__()
        widths = [n_channels, WIDTH, WIDTH, 2 * WIDTH, 2 * WIDTH, 4 * WIDTH, 4 * WIDTH]
        self.convolutions = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
            )
            for before, after in pairwise(widths)
        )
        self.head = nn.Linear(4 * WIDTH, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Classify images.

        Parameters
        ----------
        images : Tensor of shape (n, channels, height, width)
            In [0, 1], or normalised.

        Returns
        -------
        Tensor of shape (n, n_classes)
            Logits.
        """
        shrink = -(-max(images.shape[-2:]) // LARGEST_SIDE)
        hidden = F.avg_pool2d(images, shrink) if shrink > 1 else images
        for index, convolution in enumerate(self.convolutions):
            hidden = convolution(hidden)
            if index in (1, 3) and min(hidden.shape[-2:]) > 1:
                hidden = F.max_pool2d(hidden, 2)
        logits: Tensor = self.head(hidden.mean(dim=(2, 3)))
        return logits


def small_network(n_channels: int, n_classes: int, seed: int) -> SmallNetwork:
    """Make a small network whose initial weights come from one seed; see `initialized`."""
    return initialized(lambda: SmallNetwork(n_channels, n_classes), seed)


def augmented(images: Tensor, augment: Augment, generator: torch.Generator) -> Tensor:
    """Shift images by up to an eighth of their sides, and mirror half of them.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
    augment : {"auto", "none", "shift", "shift-flip"}
        "auto" mirrors images of several channels only: grey ones are often of writing.
    generator : torch.Generator
        On the CPU, so that a seed does the same on every device.

    Returns
    -------
    Tensor of the same shape
        Zero where a shift brings in what was outside.

    Examples
    --------
    >>> images = torch.arange(16.0).reshape(1, 1, 4, 4)
    >>> augmented(images, "none", torch.Generator()) is images
    True
    """
    if augment == "none":
        return images
    n, n_channels, height, width = images.shape
    flips = augment == "shift-flip" or (augment == "auto" and n_channels > 1)
    reach = [max(1, side // 8) for side in (height, width)]
    down, right = (torch.randint(2 * one + 1, (n,), generator=generator) for one in reach)
    mirrored = torch.rand(n, generator=generator) < (0.5 if flips else 0)
    columns = torch.arange(width).repeat(n, 1)
    columns[mirrored] = columns[mirrored].flip(1)
    columns += right[:, None]
    rows = torch.arange(height) + down[:, None]
    samples, rows, columns = (
        copy_to_device(index, images.device)
        for index in (torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :])
    )
    padded = F.pad(images, (reach[1], reach[1], reach[0], reach[0]))
    # Indices of the first and the last two axes, so that channels come last.
    return padded[samples, :, rows, columns].permute(0, 3, 1, 2).contiguous()
