"""The operations on the edges of a cell, grouped by what they read."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

KERNEL_SIZES = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
"""The convolutions and the side of their kernels, in pixels."""


def average_pool(features: torch.Tensor) -> torch.Tensor:
    """Apply ``avg_pool_3x3``: stride 1, the padding left out of every mean.

    Parameters
    ----------
    features : torch.Tensor, shape (b, channels, h, w)

    Returns
    -------
    torch.Tensor, shape (b, channels, h, w)

    Examples
    --------
    >>> average_pool(torch.ones(1, 1, 2, 2)).unique()
    tensor([1.])
    """
    return F.avg_pool2d(features, 3, stride=1, padding=1, count_include_pad=False)


class WideConvolution(nn.Module):
    """The convolutions of one kernel size on several edges out of the same node, as one.

    Convolution and BatchNorm work per output channel, so that running the edges side by side
    gives what each gives alone. The ReLU before them is the caller's: it is shared by both kernel
    sizes.

    Parameters
    ----------
    channels : int
        Channels of every feature map.
    n_groups : int
        Number of edges side by side.
    kernel_size : int
        1 or 3; the size of the image is kept.
    affine : bool
        Whether BatchNorm has a learnable scale and shift.
    track_running_stats : bool
        Whether BatchNorm keeps running statistics and uses them in evaluation mode.
    bias : bool
        Whether the convolution has a bias, which BatchNorm cancels in training mode.
    """

    def __init__(
        self,
        channels: int,
        n_groups: int,
        kernel_size: int,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        width = n_groups * channels
        self.channels = channels
        self.convolution = nn.Conv2d(
            channels, width, kernel_size, padding=kernel_size // 2, bias=bias
        )
        self.norm = nn.BatchNorm2d(width, affine=affine, track_running_stats=track_running_stats)

    def forward(self, rectified: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
        """Convolve, normalise and multiply each edge's channels by its scale.

        Parameters
        ----------
        rectified : torch.Tensor, shape (b, channels, h, w)
            The source node after its ReLU.
        scale : torch.Tensor, shape (n_groups,), optional
            One factor per edge; 1 without it.

        Returns
        -------
        torch.Tensor, shape (b, n_groups * channels, h, w)
        """
        norm = self.norm
        weight, shift = norm.weight, norm.bias
        if scale is not None:
            per_channel = scale.to(rectified.dtype).repeat_interleave(self.channels)
            weight = per_channel if weight is None else weight * per_channel
            shift = None if shift is None else shift * per_channel
        return F.batch_norm(
            self.convolution(rectified),
            norm.running_mean,
            norm.running_var,
            weight,
            shift,
            training=norm.training or not norm.track_running_stats,
            momentum=0.1,
            eps=norm.eps,
        )

    def forward_group(self, rectified: torch.Tensor, group: int) -> torch.Tensor:
        """Convolve and normalise for one edge alone.

        Parameters
        ----------
        rectified : torch.Tensor, shape (b, channels, h, w)
        group : int

        Returns
        -------
        torch.Tensor, shape (b, channels, h, w)
        """
        convolution, norm = self.convolution, self.norm
        part = slice(group * self.channels, (group + 1) * self.channels)

        def cut(tensor: torch.Tensor | None) -> torch.Tensor | None:
            return None if tensor is None else tensor[part]

        return F.batch_norm(
            F.conv2d(
                rectified,
                convolution.weight[part],
                cut(convolution.bias),
                padding=convolution.padding,
            ),
            cut(norm.running_mean),
            cut(norm.running_var),
            cut(norm.weight),
            cut(norm.bias),
            training=norm.training or not norm.track_running_stats,
            momentum=0.1,
            eps=norm.eps,
        )
