"""Pairs of batches: one for the weights, one for the architecture."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from proxysample_nas.data.augmentation import Augmentation
from proxysample_nas.data.loader import Batch, Loader, shuffled, with_replacement
from proxysample_nas.searchers.data import SearchData


class PairedBatches:
    """Goes through the weight data, beside as many architecture samples.

    Both halves of a pair have the same size and are augmented alike.

    Parameters
    ----------
    data : SearchData
    batch_size : int
        Samples of each half; the last pair of an epoch holds what is left.
    augmentation : Augmentation or None
        Of both halves.
    with_replacement : bool
        Whether architecture samples are drawn independently, as in the authors' code, instead
        of each as often as any other (by whole passes, begun anew in each epoch).
    steps_per_epoch : int, optional
        Number of pairs in an epoch, all of `batch_size` samples, which run through as many
        shuffled passes of the weight data as it takes, begun anew in each epoch. By default an
        epoch is one pass.

    Attributes
    ----------
    samples_per_epoch : int
        Number of samples in either half of all pairs of an epoch.
    steps_per_epoch : int
        Number of pairs in an epoch.
    n_architecture_batches : int
        Number of batches of `all_architecture`.
    """

    def __init__(
        self,
        data: SearchData,
        *,
        batch_size: int,
        augmentation: Augmentation | None,
        with_replacement: bool,
        steps_per_epoch: int | None = None,
    ) -> None:
        self.data = data
        self.with_replacement = with_replacement
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
        self.n_architecture_batches = self._architecture.n_batches(len(data.architecture))

    def epoch(
        self, weight_generator: torch.Generator, architecture_generator: torch.Generator
    ) -> Iterator[tuple[Batch, Batch]]:
        """Yield the pairs of one epoch.

        Parameters
        ----------
        weight_generator, architecture_generator : torch.Generator
            Order and augment either half.

        Yields
        ------
        weight_batch, architecture_batch : Batch
        """
        size = self.samples_per_epoch
        draw = with_replacement if self.with_replacement else shuffled
        yield from zip(
            self._weights.batches(
                shuffled(len(self.data.weights), weight_generator, size), weight_generator
            ),
            self._architecture.batches(
                draw(len(self.data.architecture), architecture_generator, size),
                architecture_generator,
            ),
            strict=True,
        )

    def all_architecture(self) -> Iterator[Batch]:
        """Yield the architecture data once, in order and without augmentation.

        Yields
        ------
        Batch
        """
        yield from self._plain_architecture.batches(torch.arange(len(self.data.architecture)))
