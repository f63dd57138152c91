"""What runs the built-in operations: one pool, and convolutions side by side."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from proxysample.device import is_traced


def average_pool(features: torch.Tensor) -> torch.Tensor:
    """Apply ``avg_pool_3x3``: stride 1, the padding left out of every mean.

    Parameters
    ----------
    features : torch.Tensor, shape (b, channels, h, w), floating point

    Returns
    -------
    torch.Tensor, shape (b, channels, h, w)

    Examples
    --------
    >>> average_pool(torch.ones(1, 1, 2, 2)).unique()
    tensor([1.])
    """
    # Where a network is exported, other programs get the operation by its own name: ONNX knows
    # none with a divisor of one's own, and would compute something else without a word.
    exported = is_traced() or torch.compiler.is_compiling()
    if exported or features.device.type != "cpu" or features.dtype != torch.float32:
        return F.avg_pool2d(features, 3, stride=1, padding=1, count_include_pad=False)
    # On a CPU a depthwise convolution takes a fifth to a half of the time of avg_pool2d.
    channels, height, width = features.shape[1:]
    sums = F.conv2d(features, features.new_ones(channels, 1, 3, 3), padding=1, groups=channels)
    counts = F.avg_pool2d(
        features.new_ones(1, 1, height, width), 3, stride=1, padding=1, divisor_override=1
    )
    return sums / counts


class AveragePool(nn.Module):
    """`average_pool` as a module."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (b, channels, h, w) to the same shape."""
        return average_pool(features)


class ScaledBatchNorm(nn.Module):
    """BatchNorm whose groups of channels are then multiplied by one factor each.

    The factors are folded into BatchNorm's scale and shift, so that they cost no pass over the
    feature map. Statistics are per channel as in `nn.BatchNorm2d` (Ioffe & Szegedy 2015), with
    eps 1e-5 and momentum 0.1; there is no count of batches, which a fixed momentum does not need.

    Parameters
    ----------
    channels : int
        Channels of one group.
    n_groups : int
        Number of groups side by side.
    affine : bool
        Whether there is a learnable scale and shift per channel.
    track_running_stats : bool
        Whether to keep running statistics and to use them in evaluation mode.
    """

    eps = 1e-5
    momentum = 0.1
    running_mean: torch.Tensor | None
    running_var: torch.Tensor | None

    def __init__(
        self, channels: int, n_groups: int, affine: bool, track_running_stats: bool
    ) -> None:
        super().__init__()
        self.channels = channels
        width = n_groups * channels
        self.weight = nn.Parameter(torch.empty(width)) if affine else None
        self.bias = nn.Parameter(torch.empty(width)) if affine else None
        self.register_buffer("running_mean", torch.empty(width) if track_running_stats else None)
        self.register_buffer("running_var", torch.empty(width) if track_running_stats else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the scale to 1, the shift to 0, the running mean to 0 and variance to 1."""
        for tensor, value in (
            (self.weight, 1.0),
            (self.bias, 0.0),
            (self.running_mean, 0.0),
            (self.running_var, 1.0),
        ):
            if tensor is not None:
                nn.init.constant_(tensor, value)

    def forward(self, features: torch.Tensor, factors: torch.Tensor | None = None) -> torch.Tensor:
        """Normalise all groups.

        Parameters
        ----------
        features : torch.Tensor, shape (b, n_groups * channels, h, w)
        factors : torch.Tensor, shape (n_groups,), optional
            What each group is multiplied by; 1 without it.

        Returns
        -------
        torch.Tensor, shape (b, n_groups * channels, h, w)
        """
        return self._normalize(
            features, self.running_mean, self.running_var, self.weight, self.bias, factors
        )

    def forward_group(
        self, features: torch.Tensor, group: int, factor: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Normalise one group alone, which updates the running statistics of no other.

        Parameters
        ----------
        features : torch.Tensor, shape (b, channels, h, w)
        group : int
            Which group's parameters and statistics to use.
        factor : torch.Tensor, shape (), optional
            What the group is multiplied by; 1 without it.

        Returns
        -------
        torch.Tensor, shape (b, channels, h, w)
        """
        mean, var, weight, bias = (
            None if tensor is None else group_of(tensor, group, self.channels)
            for tensor in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        factors = None if factor is None else factor.reshape(1)
        return self._normalize(features, mean, var, weight, bias, factors)

    def _normalize(
        self,
        features: torch.Tensor,
        mean: torch.Tensor | None,
        var: torch.Tensor | None,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        factors: torch.Tensor | None,
    ) -> torch.Tensor:
        if factors is not None:
            per_channel = factors.repeat_interleave(self.channels)
            weight = per_channel if weight is None else weight * per_channel
            bias = None if bias is None else bias * per_channel
        by_batch = self.training or mean is None
        return F.batch_norm(features, mean, var, weight, bias, by_batch, self.momentum, self.eps)


class WideConvolution(nn.Module):
    """The convolutions of one kernel size on several edges out of the same node, as one.

    Convolution and BatchNorm work per output channel, so that the edges side by side give what
    each gives alone. The ReLU before them is the caller's: all kernel sizes share it.

    Parameters
    ----------
    channels : int
        Channels of every feature map.
    n_groups : int
        Number of edges side by side.
    kernel_size : int
        Odd; the size of the image is kept.
    affine, track_running_stats : bool
        See `ScaledBatchNorm`.
    conv_bias : bool
        Whether the convolution has a bias, which BatchNorm cancels in training mode.
    """

    def __init__(
        self,
        channels: int,
        n_groups: int,
        kernel_size: int,
        affine: bool,
        track_running_stats: bool,
        conv_bias: bool,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.convolution = nn.Conv2d(
            channels, n_groups * channels, kernel_size, padding=kernel_size // 2, bias=conv_bias
        )
        self.norm = ScaledBatchNorm(channels, n_groups, affine, track_running_stats)

    def forward(self, rectified: torch.Tensor, factors: torch.Tensor | None = None) -> torch.Tensor:
        """Convolve and normalise for all edges.

        Parameters
        ----------
        rectified : torch.Tensor, shape (b, channels, h, w)
            The source node after its ReLU.
        factors : torch.Tensor, shape (n_groups,), optional
            What each edge's output is multiplied by; 1 without it.

        Returns
        -------
        torch.Tensor, shape (b, n_groups * channels, h, w)
        """
        normalized: torch.Tensor = self.norm(self.convolution(rectified), factors)
        return normalized

    def forward_group(
        self, rectified: torch.Tensor, group: int, factor: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Convolve and normalise for one edge alone.

        Parameters
        ----------
        rectified : torch.Tensor, shape (b, channels, h, w)
            The source node after its ReLU.
        group : int
            Position of the edge among those of this module.
        factor : torch.Tensor, shape (), optional
            What the output is multiplied by; 1 without it.

        Returns
        -------
        torch.Tensor, shape (b, channels, h, w)
        """
        weight = group_of(self.convolution.weight, group, self.channels)
        bias = self.convolution.bias
        convolved = F.conv2d(
            rectified,
            weight,
            None if bias is None else group_of(bias, group, self.channels),
            padding=self.convolution.kernel_size[0] // 2,
        )
        return self.norm.forward_group(convolved, group, factor)

    def group_tensors(self, group: int) -> dict[str, torch.Tensor]:
        """Give views of one edge's parameters and statistics, to read and to write.

        Parameters
        ----------
        group : int
            Position of the edge among those of this module.

        Returns
        -------
        dict of str to torch.Tensor
            Keyed as in ``state_dict``, each with its first dimension cut down to `channels`.

        Examples
        --------
        >>> wide = WideConvolution(4, 3, 1, affine=False, track_running_stats=True, conv_bias=False)
        >>> {name: tuple(tensor.shape) for name, tensor in wide.group_tensors(2).items()}
        {'convolution.weight': (4, 4, 1, 1), 'norm.running_mean': (4,), 'norm.running_var': (4,)}
        """
        return {
            name: group_of(tensor, group, self.channels)
            for name, tensor in self.state_dict().items()
        }


def group_of(tensor: torch.Tensor, group: int, channels: int) -> torch.Tensor:
    """Cut the rows of one group of channels out of a tensor, as a view.

    Parameters
    ----------
    tensor : torch.Tensor, shape (n_groups * channels, ...)
    group : int
        Which group.
    channels : int
        Channels of one group.

    Returns
    -------
    torch.Tensor, shape (channels, ...)

    Examples
    --------
    >>> group_of(torch.arange(6), 1, 2)
    tensor([2, 3])
    """
    return tensor.narrow(0, group * channels, channels)
