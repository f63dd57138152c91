"""Random flips and crops of whole batches, on the device where the images are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from proxysample.checks import (
    BOOLEAN,
    COUNT,
    Constraints,
    check_values,
    constraints_of,
    plain_number,
)
from proxysample.device import copy_to_device


@dataclass(frozen=True)
class Augmentation:
    """Random horizontal flip and random crop after padding with black pixels.

    Parameters
    ----------
    flip : bool
        Mirror every image left to right with probability one half.
    crop_padding : int or None
        Black pixels added on each side before a window of the image's own size is cut at a
        random place. None is an eighth of the shorter side: 4 at 32x32 and 2 at 16x16, as in
        NAS-Bench-201 and the paper, and 1 at 8x8.

    Raises
    ------
    InputError
        If `flip` is no truth value, or `crop_padding` is negative or no integer.

    Examples
    --------
    >>> Augmentation().padding(32, 32), Augmentation(crop_padding=0).padding(32, 32)
    (4, 0)
    """

    flip: bool = True
    crop_padding: int | None = None

    _constraints: ClassVar[Constraints] = {"flip": BOOLEAN, "crop_padding": COUNT.or_none()}

    def __post_init__(self) -> None:
        check_values(vars(self), constraints_of(type(self)))
        object.__setattr__(self, "crop_padding", plain_number(self.crop_padding))

    def padding(self, height: int, width: int) -> int:
        """Tell the black border, in pixels, for images of this size.

        Parameters
        ----------
        height, width : int
            Size of the images, in pixels.

        Returns
        -------
        int
        """
        return min(height, width) // 8 if self.crop_padding is None else self.crop_padding

    def draw(self, n_images: int, height: int, width: int, generator: torch.Generator) -> Draws:
        """Draw the random flips and crop positions of `n_images` images.

        Parameters
        ----------
        n_images : int
            How many images will be augmented.
        height, width : int
            Their size, in pixels.
        generator : torch.Generator
            A CPU generator, so that a seed means the same on every device.

        Returns
        -------
        Draws
        """
        last = 2 * self.padding(height, width)
        flips = torch.rand(n_images, generator=generator) < 0.5
        return Draws(
            flips=flips if self.flip else torch.zeros_like(flips),
            tops=torch.randint(last + 1, (n_images,), generator=generator),
            lefts=torch.randint(last + 1, (n_images,), generator=generator),
        )

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """Flip and crop a batch as drawn.

        Parameters
        ----------
        images : Tensor of shape (b, c, h, w)
            Any data type, not yet normalised, so that the zeros of the border are black.
        draws : Draws
            One flip and one crop position per image, on the same device.

        Returns
        -------
        Tensor of shape (b, c, h, w)
            Same data type, contiguous.

        Examples
        --------
        >>> image = torch.tensor([[[[1, 2], [3, 4]]]])
        >>> corner = Draws(torch.tensor([True]), torch.tensor([0]), torch.tensor([1]))
        >>> Augmentation(crop_padding=1).apply(image, corner)
        tensor([[[[0, 0],
                  [2, 1]]]])
        """
        n_images, n_channels, height, width = images.shape
        padded = F.pad(images, (self.padding(height, width),) * 4)
        across = torch.arange(width, device=images.device).expand(n_images, width)
        # The window is mirrored after it is cut: mirroring and cutting a random window commute
        # in distribution, and one gather does both.
        across = torch.where(draws.flips[:, None], width - 1 - across, across)
        columns = draws.lefts[:, None] + across
        rows = draws.tops[:, None] + torch.arange(height, device=images.device)
        return padded[
            torch.arange(n_images, device=images.device)[:, None, None, None],
            torch.arange(n_channels, device=images.device)[:, None, None],
            rows[:, None, :, None],
            columns[:, None, None, :],
        ]


@dataclass(frozen=True, eq=False)
class Draws:
    """The random choices of an augmentation, one of each per image.

    Attributes
    ----------
    flips : Tensor of shape (n,), bool
    tops, lefts : Tensor of shape (n,), int64
        Upper left corner of the window in the padded image, in pixels.

    Examples
    --------
    >>> draws = Augmentation().draw(10, 8, 8, torch.Generator().manual_seed(0))
    >>> len(draws[torch.arange(3)].flips)
    3
    """

    flips: Tensor
    tops: Tensor
    lefts: Tensor

    def __getitem__(self, index: Tensor | slice) -> Draws:
        return Draws(self.flips[index], self.tops[index], self.lefts[index])

    def to(self, device: torch.device) -> Draws:
        """Copy the draws to `device`, without waiting for it.

        Parameters
        ----------
        device : torch.device

        Returns
        -------
        Draws
        """
        return Draws(
            *(copy_to_device(drawn, device) for drawn in (self.flips, self.tops, self.lefts))
        )


STANDARD_AUGMENTATION = Augmentation()
"""Flip and crop as NAS-Bench-201 and the paper do, at any image size."""
