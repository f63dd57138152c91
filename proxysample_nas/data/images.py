"""A labelled image dataset as tensors that live on the device, and parts held out of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from proxysample.checks import FRACTION, as_tuple
from proxysample.data.labels import check_labels
from proxysample.data.reading import Samples
from proxysample.data.whole import find_whole
from proxysample.device import resolve_device
from proxysample.errors import InputError
from proxysample.isolation import isolated
from proxysample.printing import shown


def stratified_holdout(
    labels: Tensor, fraction: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Split samples in two so that both parts have the class shares of the whole.

    Exactly ``round(fraction * n)`` samples are held out. Classes share them in proportion to
    their sizes, by largest remainders (ties by class), and every class keeps at least one
    sample in the first part, so that no class is searched for without having been trained on.

    Parameters
    ----------
    labels : Tensor of shape (n,), int64
        Class index of each sample.
    fraction : float
        Share to hold out, strictly between 0 and 1.
    generator : torch.Generator
        A CPU generator that chooses the samples of each class.

    Returns
    -------
    kept, held_out : Tensor of shape (n - k,) and (k,), int64
        Ascending sample indices.

    Raises
    ------
    InputError
        If the fraction is not in (0, 1), nothing would be held out, or more than leaves one
        sample of each class.

    Examples
    --------
    >>> labels = torch.tensor([0, 0, 0, 0, 1, 1])
    >>> kept, held_out = stratified_holdout(labels, 0.5, torch.Generator().manual_seed(0))
    >>> labels[kept].tolist(), labels[held_out].tolist()
    ([0, 0, 1], [0, 0, 1])
    """
    FRACTION.check("the share held out", fraction)
    labels = labels.cpu()
    sizes = torch.bincount(labels)
    counts = _holdout_counts(sizes, round(fraction * len(labels)))
    order = torch.randperm(len(labels), generator=generator)
    # A stable sort by class keeps the random order within each class.
    by_class = order[labels[order].argsort(stable=True)]
    ranks = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    chosen = ranks < counts.repeat_interleave(sizes)
    return by_class[~chosen].sort().values, by_class[chosen].sort().values


def _holdout_counts(sizes: Tensor, total: int) -> Tensor:
    """Share `total` among classes of the given sizes, leaving one sample in each."""
    most = (sizes - 1).clamp_min(0)
    n_samples = int(sizes.sum())
    if not 0 < total <= int(most.sum()):
        raise InputError(
            f"{total} of {n_samples} samples cannot be held out: at least one is needed, and one "
            f"of each of the {int((sizes > 0).sum())} classes has to stay; change the fraction, "
            "give more data, or give the architecture data yourself as validation="
        )
    counts = torch.minimum(sizes * total // n_samples, most)
    remainders = (sizes * total % n_samples).tolist()
    # Where a class cannot give its share, the next in line gives one more, round after round.
    ranking = sorted(range(len(sizes)), key=lambda label: (-remainders[label], label))
    missing = total - int(counts.sum())
    while missing:
        for label in ranking:
            if missing and counts[label] < most[label]:
                counts[label] += 1
                missing -= 1
    return counts


Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """A dataset as two tensors on one device.

    Attributes
    ----------
    images : Tensor of shape (n, c, h, w), uint8 or float32 in [0, 1]
        Raw pixels, neither augmented nor normalised.
    labels : Tensor of shape (n,), int64
        Index of each image's class in `classes`.
    classes : tuple of int or str
        The labels as the dataset has them, in the order of a network's outputs.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[int | str, ...]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def n_classes(self) -> int:
        """Number of classes a network has to tell apart."""
        return len(self.classes)

    @property
    def n_channels(self) -> int:
        """Number of colour channels."""
        return self.images.shape[1]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.images.shape[2], self.images.shape[3]

    def take(self, indices: Tensor) -> LabelledImages:
        """Select samples, with the classes unchanged.

        Parameters
        ----------
        indices : Tensor of shape (k,), int64

        Returns
        -------
        LabelledImages
            A copy of the chosen samples, on the same device.
        """
        if not isinstance(indices, Tensor) or indices.ndim != 1:
            raise InputError(f"indices must be a tensor of one axis, not {shown(indices)}")
        if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
            raise InputError(f"indices must be integers, not {indices.dtype}")
        n_samples = len(self.images)
        if len(indices) and not -n_samples <= int(indices.min()) <= int(indices.max()) < n_samples:
            raise InputError(f"indices must lie from 0 to {n_samples - 1}")
        rows = indices.to(self.images.device)
        return replace(self, images=self.images[rows], labels=self.labels[rows])


@isolated()
def load_images(
    dataset: Any,
    y: Any = None,
    *,
    classes: Iterable[int | str] | None = None,
    device: str | torch.device = "auto",
) -> LabelledImages:
    """Read a labelled image dataset onto the device.

    Parameters
    ----------
    dataset : object
        Anything that `proxysample.data.reading.Samples` reads, or `LabelledImages`. What a
        `proxysample.data.FieldView` skips is not among the images.
    y : array-like of shape (n,), optional
        Labels, where the dataset has none of its own.
    classes : iterable of int or str, optional
        Every class there is, in the order of the network's outputs; by default those of the
        dataset, sorted. A proxy dataset may lack a class, and a test set has to agree with the
        training set, so both are given the classes of the full training data.
    device : str or torch.device
        See `resolve_device`.

    Returns
    -------
    LabelledImages

    Raises
    ------
    InputError
        If images or labels are missing, a pixel is NaN, infinite or outside [0, 1] (0 to 255
        for integers), or a label is not among `classes`.

    Examples
    --------
    >>> pixels = np.zeros((3, 8, 8, 1), dtype=np.uint8)
    >>> data = load_images(pixels, y=["dog", "cat", "dog"], device="cpu")
    >>> data.images.shape, data.labels.tolist(), data.classes
    (torch.Size([3, 1, 8, 8]), [1, 0, 1], ('cat', 'dog'))
    """
    target = resolve_device(device)
    if isinstance(dataset, LabelledImages):
        images = dataset.images
        labels = np.asarray(dataset.classes)[dataset.labels.cpu().numpy()]
        known = dataset.classes if classes is None else _class_names(classes)
    else:
        samples = Samples(dataset, y, distinct_labels=True, cache=None)
        whole = find_whole(samples, pixels=True)
        with whole.named():
            images = _pixels(whole.samples)
            labels = whole.samples.training_labels
        known = _class_names(np.unique(labels) if classes is None else classes)
    codes = torch.from_numpy(_encode(labels, known))
    return LabelledImages(images.to(target), codes.to(target), known)


@isolated()
def load_pixels(dataset: Any, *, device: str | torch.device = "auto") -> Tensor:
    """Read the images of a dataset, whose labels are not looked at, onto the device.

    Parameters
    ----------
    dataset : object
        See `load_images`; it need not have labels.
    device : str or torch.device
        See `resolve_device`.

    Returns
    -------
    Tensor of shape (n, c, h, w), uint8 or float32 in [0, 1]

    Raises
    ------
    InputError
        See `load_images`.

    Examples
    --------
    >>> load_pixels(np.zeros((3, 8, 8), dtype=np.uint8), device="cpu").shape
    torch.Size([3, 1, 8, 8])
    """
    images = (
        dataset.images
        if isinstance(dataset, LabelledImages)
        else _pixels(Samples(dataset, cache=None))
    )
    return images.to(resolve_device(device))


def _pixels(samples: Samples) -> Tensor:
    return torch.from_numpy(_channels_first(samples.images))


def classes_of(*datasets: LabelledImages) -> tuple[int | str, ...]:
    """List the classes that any of the datasets knows, sorted.

    Parameters
    ----------
    *datasets : LabelledImages
        One or more datasets whose labels are all integers or all strings.

    Examples
    --------
    >>> pixels = np.zeros((2, 8, 8), dtype=np.uint8)
    >>> left, right = (load_images(pixels, y=y, device="cpu") for y in ([3, 1], [2, 1]))
    >>> classes_of(left, right)
    (1, 2, 3)
    """
    every = _class_names(list({name: None for dataset in datasets for name in dataset.classes}))
    return _class_names(np.unique(every))


def _class_names(classes: Iterable[int | str]) -> tuple[int | str, ...]:
    """Python values, in the given order."""
    given = as_tuple("classes", classes)
    names = tuple(name.item() if isinstance(name, np.generic) else name for name in given)
    if any(isinstance(name, np.ndarray | list) for name in names):
        raise InputError(f"classes must be numbers or words, one each; got {_shorten(names)}")
    try:
        is_distinct = len(set(names)) == len(names)
    # Of a class that has no hash, or whatever anyone's raises.
    except Exception as error:
        raise InputError(f"classes must be numbers or words: {error}") from error
    if not names or not is_distinct:
        raise InputError(f"classes must be distinct and at least one; got {_shorten(names)}")
    try:
        check_labels(list(names), len(names))
    except InputError as error:
        raise InputError(f"classes cannot be kept apart: {error}") from None
    return names


def _encode(labels: Array, classes: tuple[int | str, ...]) -> npt.NDArray[np.int64]:
    """Replace every label by the index of its class."""
    index_of = {name: index for index, name in enumerate(classes)}
    values, positions = np.unique(labels, return_inverse=True)
    unknown = [value.item() for value in values if value.item() not in index_of]
    if unknown:
        first = int(np.flatnonzero(np.isin(labels, unknown))[0])
        raise InputError(
            f"label {labels[first].item()!r} of sample {first} is not among the {len(classes)} "
            f"classes ({_shorten(classes)}); pass classes= with every label of the full data "
            f"(not among them: {_shorten(unknown)})"
        )
    codes = np.array([index_of[value.item()] for value in values], dtype=np.int64)
    return codes[positions]


def _shorten(names: Iterable[int | str], longest: int = 10) -> str:
    shown = [repr(name) for name in names]
    return ", ".join(shown[:longest]) + (", ..." if len(shown) > longest else "")


def _channels_first(images: Array) -> Array:
    """Contiguous (n, c, h, w) pixels, uint8 or float32 in [0, 1]."""
    if images.ndim != 4:
        raise InputError(
            f"a network needs images of shape (n, height, width, channels), not {images.shape}"
        )
    integer = images.dtype.kind in "iu"
    if images.dtype != np.uint8:
        _check_range(images, 255 if integer else 1)
    return np.ascontiguousarray(
        np.moveaxis(images, -1, 1), dtype=np.uint8 if integer else np.float32
    )


def _check_range(images: Array, highest: int) -> None:
    flat = images.reshape(len(images), -1)
    # Written so that NaN fails as well.
    fits = (flat.min(axis=1) >= 0) & (flat.max(axis=1) <= highest)
    if not fits.all():
        index = int(np.argmin(fits))
        raise InputError(
            f"sample {index} holds pixels from {flat[index].min():g} to {flat[index].max():g}; "
            f"{images.dtype} pixels must be finite and from 0 to {highest}. Leave a normalising "
            "transform out: pixels are normalised here, after augmentation"
        )
