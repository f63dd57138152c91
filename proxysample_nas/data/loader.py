"""Batches of images that live on the device, augmented there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from proxysample.checks import (
    BOOLEAN,
    COUNT,
    POSITIVE_INTEGER,
    Constraints,
    check_values,
    constraints_of,
    instance_of,
    plain_number,
)
from proxysample.device import copy_to_device
from proxysample.errors import InputError
from proxysample_nas.data.images import LabelledImages
from proxysample_nas.data.normalization import Normalization


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
        for name, value in {"height": height, "width": width}.items():
            POSITIVE_INTEGER.check(name, value)
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
        """Copy the draws to `device`, without waiting for it."""
        return Draws(
            *(copy_to_device(drawn, device) for drawn in (self.flips, self.tops, self.lefts))
        )


STANDARD_AUGMENTATION = Augmentation()
"""Flip and crop as NAS-Bench-201 and the paper do, at any image size."""


Batch = tuple[Tensor, Tensor]
"""Images (b, c, h, w), normalised floats, and labels (b,), int64."""


class Loader:
    """Turns an order of samples into batches.

    A loader holds no random state: the order and the generator are given for each pass, so a
    pass is repeated by repeating them. All random numbers of a pass are drawn on the CPU before
    it begins and moved once, so that a seed means the same batches on every device, and no
    batch waits for it.

    Parameters
    ----------
    data : LabelledImages
        Where the samples are taken from; batches stay on its device.
    batch_size : int
        Samples per batch; the last batch of a pass holds what is left.
    normalization : Normalization
        Applied after augmentation.
    augmentation : Augmentation or None
        None leaves the images as they are, for evaluation.
    dtype : torch.dtype
        Floating point type of the images in a batch.

    Raises
    ------
    InputError
        If the batch size is not a positive integer, or the channels do not fit.

    Examples
    --------
    >>> from proxysample_nas.data.images import load_images
    >>> data = load_images(torch.zeros(5, 1, 8, 8), y=[0, 1, 0, 1, 1], device="cpu")
    >>> loader = Loader(data, batch_size=2, normalization=Normalization.of(data.images))
    >>> [labels.tolist() for images, labels in loader.batches(torch.arange(5))]
    [[0, 1], [0, 1], [1]]
    """

    def __init__(
        self,
        data: LabelledImages,
        *,
        batch_size: int,
        normalization: Normalization,
        augmentation: Augmentation | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        POSITIVE_INTEGER.check("batch_size", batch_size)
        instance_of(LabelledImages).check("data", data)
        instance_of(Normalization).check("normalization", normalization)
        instance_of(Augmentation).or_none().check("augmentation", augmentation)
        self.data = data
        self.batch_size = batch_size
        self.augmentation = augmentation
        self._scale, self._shift = normalization.scale_and_shift(data.images, dtype)

    def batches(self, order: Tensor, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield the samples of `order`, batch by batch.

        Parameters
        ----------
        order : Tensor of shape (k,), int64
            Sample indices; see `shuffled` and `with_replacement`.
        generator : torch.Generator, optional
            A CPU generator for the augmentation; needed where there is one.

        Yields
        ------
        images : Tensor of shape (b, c, h, w)
        labels : Tensor of shape (b,), int64

        Raises
        ------
        InputError
            If the loader augments and no generator is given.
        """
        device = self.data.images.device
        draws = None
        if self.augmentation is not None:
            if generator is None:
                raise InputError("a loader that augments needs a torch.Generator for each pass")
            height, width = self.data.image_size
            draws = self.augmentation.draw(len(order), height, width, generator).to(device)
        order = copy_to_device(order, device)
        for start in range(0, len(order), self.batch_size):
            part = slice(start, start + self.batch_size)
            rows = order[part]
            images = self.data.images[rows]
            if self.augmentation is not None and draws is not None:
                images = self.augmentation.apply(images, draws[part])
            images = torch.addcmul(self._shift, images.to(self._scale.dtype), self._scale)
            yield images, self.data.labels[rows]

    def n_batches(self, n_samples: int) -> int:
        """Count the batches of a pass over `n_samples` samples.

        Parameters
        ----------
        n_samples : int

        Returns
        -------
        int
        """
        COUNT.check("n_samples", n_samples)
        return -(-n_samples // self.batch_size)


def shuffled(n_samples: int, generator: torch.Generator, size: int | None = None) -> Tensor:
    """Order samples at random, each as often as any other.

    Parameters
    ----------
    n_samples : int
        Number of samples in the data.
    generator : torch.Generator
        A CPU generator.
    size : int, optional
        Length of the order, by default `n_samples`. A longer one is made of several
        independent permutations, a shorter one is the start of a permutation.

    Returns
    -------
    Tensor of shape (size,), int64

    Examples
    --------
    >>> order = shuffled(4, torch.Generator().manual_seed(0), size=8)
    >>> sorted(order[:4].tolist()), sorted(order[4:].tolist())
    ([0, 1, 2, 3], [0, 1, 2, 3])
    """
    length = n_samples if size is None else size
    n_passes = -(-length // n_samples)
    passes = [torch.randperm(n_samples, generator=generator) for _ in range(n_passes)]
    return torch.cat(passes)[:length]


def with_replacement(n_samples: int, generator: torch.Generator, size: int) -> Tensor:
    """Draw samples independently and uniformly.

    Parameters
    ----------
    n_samples : int
        Number of samples in the data.
    generator : torch.Generator
        A CPU generator.
    size : int
        Number of draws.

    Returns
    -------
    Tensor of shape (size,), int64

    Examples
    --------
    >>> with_replacement(1, torch.Generator().manual_seed(0), size=3)
    tensor([0, 0, 0])
    """
    return torch.randint(n_samples, (size,), generator=generator)


def to_written(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Write the objects among parameters as plain values.

    Examples
    --------
    >>> to_written({"epochs": 3, "augmentation": Augmentation(flip=False)})
    {'epochs': 3, 'augmentation': {'flip': False, 'crop_padding': None}}
    """
    return {
        name: json.loads(json.dumps(asdict(value)))
        if isinstance(value, Augmentation | Normalization)
        else value
        for name, value in parameters.items()
    }


def from_written(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Make objects of the plain values that stand for them; others stay as they are.

    Raises
    ------
    InputError
        If a mapping is no such object.

    Examples
    --------
    >>> from_written({"epochs": 3, "normalization": {"mean": [0.5], "std": [0.25]}})
    {'epochs': 3, 'normalization': Normalization(mean=(0.5,), std=(0.25,))}
    """
    made = dict(parameters)
    if isinstance(made.get("normalization"), Mapping):
        made["normalization"] = Normalization.from_dict(dict(made["normalization"]))
    if isinstance(made.get("augmentation"), Mapping):
        try:
            made["augmentation"] = Augmentation(**made["augmentation"])
        except TypeError as error:
            raise InputError(f"augmentation: {error}") from error
    return made
