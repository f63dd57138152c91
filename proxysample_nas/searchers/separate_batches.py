"""Batches of the weight data and of the architecture data, each at its own pace."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch

from proxysample_nas.data.augmentation import Augmentation
from proxysample_nas.data.loader import Batch, Loader, shuffled
from proxysample_nas.searchers.data import SearchData


class SeparateBatches:
    """Goes through either part of a search's data in shuffled passes.

    Parameters
    ----------
    data : SearchData
    batch_size : int
        The last batch of a pass, or of an epoch, holds what is left.
    augmentation : Augmentation or None
        Of both parts.
    steps_per_epoch : int, optional
        Number of weight batches in an epoch, all of `batch_size` samples, which run through as
        many shuffled passes of the weight data as it takes, begun anew in each epoch. By default
        an epoch is one pass.

    Attributes
    ----------
    samples_per_epoch : int
        Number of samples in all weight batches of an epoch.
    steps_per_epoch : int
        Number of weight batches in an epoch.
    """

    def __init__(
        self,
        data: SearchData,
        *,
        batch_size: int,
        augmentation: Augmentation | None,
        steps_per_epoch: int | None = None,
    ) -> None:
        self.data = data
        self._weights, self._architecture, self._plain_architecture = (
            Loader(
                part,
                batch_size=batch_size,
                normalization=data.normalization,
                augmentation=augmented,
            )
            for part, augmented in (
                (data.weights, augmentation),
                (data.architecture, augmentation),
                (data.architecture, None),
            )
        )
        self.samples_per_epoch = (
            len(data.weights) if steps_per_epoch is None else steps_per_epoch * batch_size
        )
        self.steps_per_epoch = self._weights.n_batches(self.samples_per_epoch)

    def weight_epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        """Yield the weight batches of one epoch.

        Parameters
        ----------
        generator : torch.Generator
            Orders and augments.

        Yields
        ------
        Batch
        """
        order = shuffled(len(self.data.weights), generator, self.samples_per_epoch)
        yield from self._weights.batches(order, generator)

    def architecture_batches(self, n: int, generator: torch.Generator) -> Iterator[Batch]:
        """Yield batches of the architecture data, as many passes as it takes.

        Parameters
        ----------
        n : int
            Number of batches.
        generator : torch.Generator
            Orders and augments.

        Yields
        ------
        Batch
        """
        size = len(self.data.architecture)
        passes = (
            self._architecture.batches(shuffled(size, generator), generator)
            for _ in itertools.count()
        )
        yield from itertools.islice(itertools.chain.from_iterable(passes), n)

    def all_architecture(self) -> Iterator[Batch]:
        """Yield the architecture data once, in order and without augmentation.

        Yields
        ------
        Batch
        """
        yield from self._plain_architecture.batches(torch.arange(len(self.data.architecture)))
