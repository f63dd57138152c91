"""The two datasets of a search, one for the weights and one for the architecture, in batches."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from proxysample.errors import InputError
from proxysample_nas.data.images import LabelledImages, classes_of, load_images, stratified_holdout
from proxysample_nas.data.loader import Augmentation, Batch, Loader, shuffled, with_replacement
from proxysample_nas.data.normalization import AUTHORS_CIFAR100, Normalization


@dataclass(frozen=True)
class SearchData:
    """What a search reads.

    Attributes
    ----------
    weights : LabelledImages
        Train the supernet's weights.
    architecture : LabelledImages
        Train the architecture.
    source : {"held out", "validation"}
        Whether the architecture's samples were held out of the training data or given.
    normalization : Normalization
        Of both.
    """

    weights: LabelledImages
    architecture: LabelledImages
    source: str
    normalization: Normalization

    def digest(self) -> str:
        """Fingerprint the samples, their roles and the classes.

        Returns
        -------
        str
            Hexadecimal; equal for equal data on any device.
        """
        state = hashlib.blake2b(digest_size=16)
        state.update(repr((self.weights.classes, self.normalization, self.source)).encode())
        for part in (self.weights, self.architecture):
            state.update(repr((tuple(part.images.shape), part.images.dtype)).encode())
            state.update(part.images.cpu().numpy().data)
            state.update(part.labels.cpu().numpy().data)
        return state.hexdigest()


def prepare_data(
    train: Any,
    validation: Any,
    y: Any,
    *,
    classes: Iterable[int | str] | None,
    architecture_fraction: float,
    normalization: Normalization | None,
    as_the_authors: bool = False,
    generator: torch.Generator,
    device: torch.device,
) -> SearchData:
    """Read the training data and decide what trains the architecture.

    Parameters
    ----------
    train : object
        See `proxysample_nas.data.images.load_images`.
    validation : object or None
        None holds a stratified part of `train` out; a labelled dataset is taken as it is.
    y : array-like or None
        Labels of `train`, where it has none of its own.
    classes : iterable of int or str, optional
        Every class there is, by default those of `train` and `validation`.
    architecture_fraction : float
        Share of `train` to hold out.
    normalization : Normalization or None
        None measures `train`.
    as_the_authors : bool
        Whether None takes the authors' constants, where `train` looks like CIFAR-100.
    generator : torch.Generator
        Chooses what is held out.
    device : torch.device

    Raises
    ------
    InputError
        If data cannot be used or too little of it is left.
    """
    given = load_images(train, y, classes=classes, device=device)
    if normalization is None and as_the_authors and _is_like_cifar100(given):
        normalization = AUTHORS_CIFAR100
    normalization = normalization or Normalization.of(given.images)
    if validation is None:
        kept, held_out = stratified_holdout(given.labels, architecture_fraction, generator)
        return SearchData(given.take(kept), given.take(held_out), "held out", normalization)
    own = load_images(validation, classes=classes, device=device)
    if given.images.shape[1:] != own.images.shape[1:]:
        raise InputError(
            "training and validation images differ in shape (channels, height, width): "
            f"{tuple(given.images.shape[1:])} and {tuple(own.images.shape[1:])}"
        )
    known = classes_of(given, own) if classes is None else given.classes
    return SearchData(
        load_images(given, classes=known, device=device),
        load_images(own, classes=known, device=device),
        "validation",
        normalization,
    )


def _is_like_cifar100(images: LabelledImages) -> bool:
    return images.n_classes == 100 and tuple(images.images.shape[1:]) == (3, 32, 32)


class SearchBatches:
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
    n_architecture_batches : int
        Number of batches of `all_architecture`.
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
        self.n_architecture_batches = self._architecture.n_batches(len(data.architecture))

    def all_architecture(self) -> Iterator[Batch]:
        """Yield the architecture data once, in order and without augmentation.

        Yields
        ------
        Batch
        """
        yield from self._plain_architecture.batches(torch.arange(len(self.data.architecture)))


class PairedBatches(SearchBatches):
    """Goes through the weight data, beside as many architecture samples.

    Both halves of a pair have the same size and are augmented alike.

    Parameters
    ----------
    data, batch_size, augmentation, steps_per_epoch
        See `SearchBatches`.
    with_replacement : bool
        Whether architecture samples are drawn independently, as in the authors' code, instead
        of each as often as any other (by whole passes, begun anew in each epoch).
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
        super().__init__(
            data,
            batch_size=batch_size,
            augmentation=augmentation,
            steps_per_epoch=steps_per_epoch,
        )
        self.with_replacement = with_replacement

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


class SeparateBatches(SearchBatches):
    """Goes through weight batches and architecture batches, each at its own pace."""

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
