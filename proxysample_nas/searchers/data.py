"""The two datasets of a search: one for the weights, one for the architecture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from proxysample.errors import InputError
from proxysample_nas.data.holdout import stratified_holdout
from proxysample_nas.data.images import LabelledImages, classes_of, load_images
from proxysample_nas.data.normalization import Normalization


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
    generator : torch.Generator
        Chooses what is held out.
    device : torch.device

    Returns
    -------
    SearchData

    Raises
    ------
    InputError
        If data cannot be used or too little of it is left.
    """
    given = load_images(train, y, classes=classes, device=device)
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
