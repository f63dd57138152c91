"""Batches drawn by index from images on the device, augmented and normalised there."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from proxysample.checks import POSITIVE_INTEGER
from proxysample.device import copy_to_device
from proxysample.errors import InputError
from proxysample_nas.data.augmentation import Augmentation
from proxysample_nas.data.images import LabelledImages
from proxysample_nas.data.normalization import Normalization

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
