"""A convolutional autoencoder for images of any size from 8x8 up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from proxysample.errors import InputError

STAGE_CHANNELS = (16, 32, 64, 64)
SMALLEST_SIDE = 8

PixelLoss = Callable[[Tensor, Tensor], Tensor]


def squared_error(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Square the error of each pixel."""
    return F.mse_loss(reconstruction, images, reduction="none")


def binary_cross_entropy(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Read pixels as probabilities; in nats, logarithms limited to -100 as PyTorch does."""
    # PyTorch refuses NaN by an error that no CUDA context survives, so it is shown none; the
    # second term is zero, and carries NaN on to whoever watches the loss.
    shown = reconstruction.nan_to_num(nan=0.5)
    return F.binary_cross_entropy(shown, images, reduction="none") + 0 * reconstruction


def swapped_binary_cross_entropy(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Take the image for the prediction and the reconstruction for the truth.

    A pixel that is exactly 0 or 1 then costs 100 nats times its error, where PyTorch's limit on
    the logarithm stands for infinity.
    """
    return F.binary_cross_entropy(images, reconstruction, reduction="none")


def stage_sides(side: int, shorter_side: int) -> list[int]:
    """Halve a side, rounding down, while the shorter side of the image stays 2 or more.

    Parameters
    ----------
    side : int
        Height or width, in pixels.
    shorter_side : int
        The smaller of the two, which decides the number of stages.

    Returns
    -------
    list of int
        The side before the first stage and after each.

    Examples
    --------
    >>> stage_sides(32, 32), stage_sides(40, 28)
    ([32, 16, 8, 4, 2], [40, 20, 10, 5])
    """
    n_stages = shorter_side.bit_length() - 2
    return [side >> stage for stage in range(n_stages + 1)]


class ConvolutionalAutoencoder(nn.Module):
    """The autoencoder of the paper's code, for any size and number of channels.

    Each stage of the encoder halves the sides with a 4x4 convolution of stride 2 and padding 1;
    batch normalisation and ReLU stand between stages. The decoder mirrors it with transposed
    convolutions and ends in a sigmoid. There are as many stages as bring the shorter side to 2
    or 3: four for 32x32 as in the paper (latents 64 x 2 x 2), two for 8x8 (32 x 2 x 2), six for
    224x224 (64 x 3 x 3). Stages have 16, 32, 64, 64, 64, ... channels.

    Parameters
    ----------
    shape : tuple of int
        (channels, height, width) of an image.
    latent_channels : int, optional
        Channels of the last stage, instead of the above. Small grey images need fewer: an 8x8
        one has 64 values, and two stages would give it 128 latents.

    Attributes
    ----------
    shape : tuple of int
        As given.
    encoder, decoder : nn.Sequential

    Raises
    ------
    InputError
        If a side is shorter than 8 pixels.

    Examples
    --------
    >>> import torch
    >>> network = ConvolutionalAutoencoder((3, 32, 32))
    >>> images = torch.zeros(5, 3, 32, 32)
    >>> network.encoder(images).shape, network(images).shape
    (torch.Size([5, 64, 2, 2]), torch.Size([5, 3, 32, 32]))
    """

    def __init__(self, shape: tuple[int, int, int], latent_channels: int | None = None) -> None:
        super().__init__()
        self.shape = shape
        image_channels, height, width = shape
        if min(height, width) < SMALLEST_SIDE:
            raise InputError(
                f"images are {height}x{width}; the autoencoder needs sides of {SMALLEST_SIDE} "
                "pixels or more: resize or pad them in the dataset's transform"
            )
        heights = stage_sides(height, min(height, width))
        widths = stage_sides(width, min(height, width))
        n_stages = len(heights) - 1
        repeated = [STAGE_CHANNELS[-1]] * max(0, n_stages - len(STAGE_CHANNELS))
        channels = [image_channels, *STAGE_CHANNELS[:n_stages], *repeated]
        channels[-1] = latent_channels or channels[-1]
        self.encoder = nn.Sequential(
            *_joined(
                [nn.Conv2d(before, after, 4, 2, 1) for before, after in pairwise(channels)],
                channels[1:],
            )
        )
        # Halving an odd side drops a row, which output_padding gives back.
        odd = [(h % 2, w % 2) for h, w in zip(heights, widths, strict=True)]
        steps = [
            nn.ConvTranspose2d(channels[i + 1], channels[i], 4, 2, 1, output_padding=odd[i])
            for i in reversed(range(n_stages))
        ]
        self.decoder = nn.Sequential(*_joined(steps, channels[-2::-1]), nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct images.

        Parameters
        ----------
        images : Tensor of shape (n, channels, height, width)
            In [0, 1].

        Returns
        -------
        Tensor of the same shape
            In (0, 1).
        """
        reconstruction: Tensor = self.decoder(self.encoder(images))
        return reconstruction


def _joined(convolutions: Sequence[nn.Module], channels: Sequence[int]) -> Iterator[nn.Module]:
    for index, convolution in enumerate(convolutions):
        if index:
            yield nn.BatchNorm2d(channels[index - 1])
            yield nn.ReLU()
        yield convolution
