"""Bring the pixels of each channel to zero mean and unit deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from proxysample.checks import as_tuple, is_number
from proxysample.device import is_traced
from proxysample.errors import InputError
from proxysample.printing import shown
from proxysample.records import Number, Record

# Images are measured so many at a time, so that float64 copies stay small.
_CHUNK = 4096


@dataclass(frozen=True)
class Normalization(Record, title="a normalisation"):
    """Mean and standard deviation of each channel, for pixels in [0, 1].

    Parameters
    ----------
    mean, std : tuple of float, one per channel

    Raises
    ------
    InputError
        If the lengths differ, a value is not finite, or a deviation is not positive.

    Examples
    --------
    >>> half = Normalization(mean=(0.5,), std=(0.5,))
    >>> pixels = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    >>> scale, shift = half.scale_and_shift(pixels, torch.float64)
    >>> (pixels * scale + shift).round(decimals=9)
    tensor([[[[-1.,  1.]]]], dtype=torch.float64)
    """

    mean: tuple[Number, ...]
    std: tuple[Number, ...]

    def __post_init__(self) -> None:
        mean, std = as_tuple("mean", self.mean), as_tuple("std", self.std)
        fits = len(mean) == len(std) > 0 and all(map(is_number, (*mean, *std)))
        if not fits or min(std) <= 0:
            raise InputError(
                "normalisation needs one finite mean and one positive standard deviation per "
                f"channel, for pixels in [0, 1]; got mean={shown(self.mean)}, std={shown(self.std)}"
            )

    @classmethod
    def of(cls, images: Tensor) -> Self:
        """Measure the mean and the population standard deviation of each channel.

        Parameters
        ----------
        images : Tensor of shape (n, c, h, w), uint8 or floating point in [0, 1]

        Returns
        -------
        Normalization
            A channel that is the same everywhere gets a deviation of 1, so that it becomes 0.

        Examples
        --------
        >>> Normalization.of(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
        Normalization(mean=(0.5,), std=(0.5,))
        """
        if not isinstance(images, Tensor) or images.ndim != 4 or not images.numel():
            raise InputError(f"images must be a tensor (n, c, h, w), not {shown(images)}")
        scale = _pixel_scale(images)
        n_pixels = images.numel() // images.shape[1]
        mean = torch.zeros(images.shape[1], dtype=torch.float64, device=images.device)
        for chunk in torch.split(images, _CHUNK):
            mean += chunk.double().sum(dim=(0, 2, 3)) / n_pixels
        variance = torch.zeros_like(mean)
        for chunk in torch.split(images, _CHUNK):
            offsets = chunk.double() - mean[:, None, None]
            variance += offsets.square().sum(dim=(0, 2, 3)) / n_pixels
        std = variance.sqrt() * scale
        # A constant channel has no deviation beyond the rounding of its mean.
        std[std < 1e-9] = 1.0
        return cls(tuple((mean * scale).tolist()), tuple(std.tolist()))

    def scale_and_shift(
        self, images: Tensor, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """Give the factors by which ``pixel * scale + shift`` is the normalised pixel.

        Parameters
        ----------
        images : Tensor of shape (b, c, h, w), uint8 or floating point in [0, 1]
            What the factors will be applied to.
        dtype : torch.dtype
            Floating point type of the factors.

        Returns
        -------
        scale, shift : Tensor of shape (c, 1, 1)
            On the device of `images`.

        Raises
        ------
        InputError
            If the number of channels differs.
        """
        if images.shape[1] != len(self.mean):
            raise InputError(
                f"the images have {images.shape[1]} channels and the normalisation "
                f"{len(self.mean)}; give one mean and one deviation per channel"
            )
        std = torch.tensor(self.std, dtype=torch.float64)[:, None, None]
        mean = torch.tensor(self.mean, dtype=torch.float64)[:, None, None]
        scale = _pixel_scale(images) / std
        return scale.to(images.device, dtype), (-mean / std).to(images.device, dtype)


AUTHORS_CIFAR100 = Normalization(
    mean=(129.3 / 255, 124.1 / 255, 112.4 / 255), std=(68.2 / 255, 65.4 / 255, 70.4 / 255)
)
"""The constants of the authors' code for CIFAR-100: those of all its training images, rounded."""


def _pixel_scale(images: Tensor) -> float:
    """Factor that brings raw pixels to [0, 1]."""
    return 1.0 if images.is_floating_point() else 1 / 255


class Normalize(nn.Module):
    """A normalisation as a network's first layer, the same bits as batches have in training.

    Examples
    --------
    >>> half = Normalize(Normalization(mean=(0.5,), std=(0.5,)))
    >>> half(torch.tensor([[[[0, 255]]]], dtype=torch.uint8)).round(decimals=5).tolist()
    [[[[-1.0, 1.0]]]]
    >>> half(torch.tensor([[[[0.0, 0.5]]]])).tolist()
    [[[[-1.0, 0.0]]]]
    """

    scale: Tensor
    byte_scale: Tensor
    shift: Tensor

    def __init__(self, normalization: Normalization) -> None:
        super().__init__()
        shape = (0, len(normalization.mean), 1, 1)
        for name, dtype in (("scale", torch.float32), ("byte_scale", torch.uint8)):
            scale, shift = normalization.scale_and_shift(torch.zeros(shape, dtype=dtype))
            self.register_buffer(name, scale)
        self.register_buffer("shift", shift)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images (b, c, h, w) of bytes or of numbers in [0, 1]."""
        if not is_traced() and images.shape[1:2] != self.shift.shape[:1]:
            raise InputError(
                f"images must have the shape (batch, {len(self.shift)}, height, width), not "
                f"{tuple(images.shape)}"
            )
        scale = self.scale if images.is_floating_point() else self.byte_scale
        return torch.addcmul(self.shift, images.to(scale.dtype), scale)


class ScriptedNormalize(nn.Module):
    """`Normalize` as `torch.jit.script` can compile it: without the check, whose words are none."""

    def __init__(self, layer: Normalize) -> None:
        super().__init__()
        for name, buffer in layer.named_buffers():
            self.register_buffer(name, buffer)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images (b, c, h, w) of bytes or of numbers in [0, 1]."""
        # Of attributes with a type of their own PyTorch's compiler wants no text.
        scale = self.scale if images.is_floating_point() else self.byte_scale
        return torch.addcmul(self.shift, images.to(torch.float32), scale)  # type: ignore[arg-type]
