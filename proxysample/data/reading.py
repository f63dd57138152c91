"""Any dataset to arrays: images decoded once, labels without decoding where possible."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.data.decoding import (
    Decoder,
    Form,
    check_channels_last,
    read_sample,
    tensor_to_array,
)
from proxysample.data.images import Fitting
from proxysample.data.labels import check_labels, find_labels
from proxysample.data.pixel_cache import Cache
from proxysample.data.tables import by_position, column_labels
from proxysample.errors import InputError


def n_samples(dataset: Any) -> int:
    """Count the samples of a dataset.

    Parameters
    ----------
    dataset : object
        Anything with a length and indices.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    InputError
        If the dataset has no length, cannot be indexed or is empty; where it holds a dataset, the
        message says how to get at it.
    """
    if isinstance(dataset, str | PathLike):
        raise InputError(
            f"a dataset is an array or a map-style dataset, not the name {str(dataset)!r}; read "
            "files with proxysample.load_dataset, such as load_dataset('folder:PATH').train"
        )
    if isinstance(dataset, Mapping) and 0 not in dataset:
        raise InputError(
            f"a {type(dataset).__name__} with {', '.join(map(str, islice(dataset, 9)))} is no "
            "dataset: pass one of its values"
        )
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise InputError(
            f"{type(dataset).__name__} is not a map-style dataset: it needs a length and indices; "
            f"{_way_to_items(dataset)}"
        )
    if not getattr(dataset, "shape", True):
        raise InputError(f"{type(dataset).__name__} has no axes; needed: one along the samples")
    if _is_pair_of_images_and_labels(dataset):
        raise InputError("a pair of images and labels is no dataset: pass the labels as y=")
    size = len(dataset)
    if size == 0:
        raise InputError("the dataset is empty")
    return int(size)


def _way_to_items(dataset: Any) -> str:
    if hasattr(dataset, "dataset"):
        return "pass the dataset that it reads, its attribute dataset"
    if hasattr(dataset, "require_test"):
        return "pass one of its parts, such as its attribute train"
    return "an iterable dataset has to be read into one first"


def _is_pair_of_images_and_labels(dataset: Any) -> bool:
    if not isinstance(dataset, tuple | list) or len(dataset) != 2:
        return False
    images, labels = (tuple(getattr(part, "shape", ())) for part in dataset)
    return len(images) > len(labels) > 0 and images[:1] == labels[:1]


Array = npt.NDArray[Any]

# Rows per step of a streaming pass. Part of the arithmetic (it fixes the order of float sums),
# so it is a constant and never follows a user's batch size.
ROWS_PER_CHUNK = 1024


class Samples:
    """A dataset as scorers see it; nothing is decoded before it is asked for, and only once.

    Parameters
    ----------
    dataset : array, tensor or map-style dataset
        numpy arrays are channels last, ``(n, h, w)``, ``(n, h, w, c)`` or features ``(n, d)``;
        torch tensors are channels first. A map-style torch dataset (Subset and ConcatDataset
        nested at will) gives PIL images, arrays or tensors, with or without a label; its
        transform has to be deterministic. HuggingFace datasets and pandas frames hold images
        in a column ``image`` (or ``img``, ``pixel_values``), or features in numeric columns.
    y : array-like of shape (n,) or str, optional
        Labels, or the name of a table's column of them. By default those of the dataset.
    batch_size, num_workers : int
        How a map-style dataset is decoded. They do not change the result.
    progress : bool
        Show a progress bar while decoding.
    image_size : int, optional
        Resize the shorter side of each image to so many pixels and crop the centre, so many
        a side. By default images stay as they are where all are of one size; where they are of
        several, that is told, and they come out at `proxysample.data.decoding.DEFAULT_SIZE`.
    cache : bool or path
        Where decoded images are kept for several passes; see
        `proxysample.data.pixel_cache.reserve_pixels`.

    Raises
    ------
    InputError
        If the dataset is empty or not map-style; on reading, if samples do not go together, a
        value is not finite, a transform is random or there is no room.

    Examples
    --------
    >>> samples = Samples(np.zeros((3, 8, 8), dtype=np.uint8), y=["cat", "dog", "cat"])
    >>> samples.images.shape, samples.labels.tolist()
    ((3, 8, 8, 1), ['cat', 'dog', 'cat'])
    """

    def __init__(
        self,
        dataset: Any,
        y: Any = None,
        *,
        batch_size: int = 256,
        num_workers: int = 0,
        progress: bool = False,
        image_size: int | None = None,
        cache: Cache = True,
    ) -> None:
        self._size = n_samples(dataset)
        self._labels = read_labels(dataset, y)
        self._given = dataset
        self._label_column = y if isinstance(y, str) else None
        self._options: dict[str, Any] = {
            "batch_size": batch_size,
            "num_workers": num_workers,
            "progress": progress,
        }
        self.image_size = image_size
        self._cache = cache
        self._streamed_labels: list[Any] | None = None

    def __len__(self) -> int:
        return self._size

    @cached_property
    def dataset(self) -> Any:
        """Something whose ``[i]`` is sample i; the dataset itself where it is no table."""
        return by_position(self._given, self._label_column)

    @cached_property
    def _pixels_and_labels(self) -> tuple[Array, list[Any] | None]:
        array = find_array(self.dataset)
        if array is not None:
            return self._of_image_size(check_images(array)), None
        images, labels, _ = self._decoder.kept(self.form(), self._cache)
        return images, labels

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder(self.dataset, **self._options)

    @property
    def _fitting(self) -> Fitting | None:
        return None if self.image_size is None else Fitting(self.image_size)

    def _of_image_size(self, images: Array) -> Array:
        fitting = self._fitting
        if images.ndim != 4 or fitting is None or fitting.leaves(*images.shape[1:3]):
            return images
        check_channels_last(images)
        decoder = Decoder(images, **self._options)
        kept: Array = decoder.kept(decoder.form(fitting), self._cache)[0]
        return kept

    @property
    def is_held(self) -> bool:
        """Whether images or features can be read in any order without decoding."""
        return "_pixels_and_labels" in vars(self) or find_array(self.dataset) is not None

    def form(self, otherwise: Fitting | None = None) -> Form:
        """Find what samples that have to be decoded can come out as.

        Parameters
        ----------
        otherwise : Fitting, optional
            How images of several sizes come to one, where no `image_size` was given.

        Returns
        -------
        Form
        """
        return self._decoder.form(self._fitting, otherwise)

    def decoded(
        self,
        form: Form,
        description: str | None = "decoding",
        indices: Sequence[int] | None = None,
    ) -> Iterator[Array]:
        """Decode samples once, in order, and keep none.

        Parameters
        ----------
        form : Form
            What they come out as.
        description : str or None
            What the progress bar says; None shows none.
        indices : sequence of int, optional
            Ascending; by default all samples are decoded.

        Yields
        ------
        ndarray of shape (rows, ...)
            A few at a time.

        Raises
        ------
        FormChangedError
            If they have to come out as something else: decode them anew in its form.
        """
        labels: list[Any] = []
        decoder = replace(self._decoder, indices=indices)
        for samples, some in decoder.batches(form, description):
            labels += some
            yield samples
        if len(labels) == len(self):
            self._streamed_labels = labels

    @property
    def cheap_labels(self) -> Array | None:
        """The labels where no image has to be decoded for them, (n,); else None."""
        return self._labels

    @property
    def is_decoded(self) -> bool:
        """Whether the images have been asked for."""
        return "_pixels_and_labels" in vars(self) or self._streamed_labels is not None

    def rows(self, indices: npt.NDArray[np.int64]) -> list[Array]:
        """Read a few samples without reading the others.

        Parameters
        ----------
        indices : ndarray of int64

        Returns
        -------
        list of ndarray
            One a sample, channels last, of the size that it has in the dataset.
        """
        array = find_array(self.dataset)
        if array is not None:
            images = array[..., np.newaxis] if array.ndim == 3 else array
            return [np.asarray(images[index]) for index in indices]
        return [read_sample(self.dataset, int(index)) for index in indices]

    @property
    def images(self) -> Array:
        """Pixels or features: (n, height, width, channels) or (n, n_features).

        As given where the dataset holds an array. Decoded samples that take much memory are a
        `CachedPixels`, which is read by rows.
        """
        return self._pixels_and_labels[0]

    @cached_property
    def labels(self) -> Array | None:
        """Integers (int64) or strings, (n,); None where the dataset has none.

        Images are decoded only where the labels cannot be had otherwise.
        """
        if self._labels is not None:
            return self._labels
        if find_array(self.dataset) is not None:
            return None
        decoded = self._streamed_labels or self._pixels_and_labels[1]
        if decoded is not None and decoded[0] is None:
            decoded = None
        return None if decoded is None else check_labels(decoded, len(self))

    @property
    def required_labels(self) -> Array:
        """The labels, or an `InputError` that says how to give them."""
        if self.labels is None:
            raise InputError(
                f"{type(self._given).__name__} has no labels, and they are needed here: pass "
                "them as y= (one label a sample; in an .npz file, an array 'labels'), or use a "
                "sampler without classes, such as 'rs' or 'km-or'"
            )
        return self.labels

    def feature_chunks(self) -> Iterator[tuple[slice, npt.NDArray[np.float64]]]:
        """Stream the samples as flat float64 features, uint8 pixels scaled to [0, 1].

        Yields
        ------
        rows : slice
            Which samples.
        features : ndarray of shape (rows, n_features), float64
        """
        for start in range(0, len(self), ROWS_PER_CHUNK):
            rows = slice(start, min(start + ROWS_PER_CHUNK, len(self)))
            chunk = np.asarray(self.images[rows])
            flat = chunk.reshape(len(chunk), -1).astype(np.float64)
            if chunk.dtype == np.uint8:
                flat /= 255
            yield rows, flat


def read_labels(dataset: Any, y: Any = None) -> Array | None:
    """Read labels without decoding an image.

    Parameters
    ----------
    dataset : object
        See `Samples`.
    y : array-like of shape (n,) or str, optional
        Labels, or a table's column, given by the user; they win.

    Returns
    -------
    ndarray of shape (n,), or None
        None where only ``dataset[i]`` can tell, or where there are none.

    Examples
    --------
    >>> read_labels(np.zeros((2, 4)), y=[1, 0]).tolist()
    [1, 0]
    """
    size = n_samples(dataset)
    if y is None:
        given = column_labels(dataset, None)
        given = find_labels(dataset) if given is None else given
    else:
        given = column_labels(dataset, y) if isinstance(y, str) else y
    return None if given is None else check_labels(given, size)


def is_tensor(value: Any) -> bool:
    """Tell whether `value` is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def find_array(dataset: Any) -> Array | None:
    """Find the images of a dataset that holds them in one array, channels last.

    Only data that ``dataset[i]`` would return unchanged counts, so a dataset with a transform
    is not one of them.

    Parameters
    ----------
    dataset : object
        See `Samples`.

    Returns
    -------
    ndarray or None
        A view where possible.
    """
    if isinstance(dataset, np.ndarray):
        return dataset
    if hasattr(dataset, "name_in_keys"):  # features that are kept on disk
        return np.asarray(dataset)
    if is_tensor(dataset):
        pixels = tensor_to_array(dataset)
        return np.moveaxis(pixels, 1, -1) if pixels.ndim == 4 else pixels
    return _find_array_in_torch_dataset(dataset)


def _find_array_in_torch_dataset(dataset: Any) -> Array | None:
    from proxysample.data.datasets import ArrayDataset

    if isinstance(dataset, ArrayDataset):
        return dataset.images
    data = sys.modules.get("torch.utils.data")
    if data is None:
        return None
    if isinstance(dataset, data.TensorDataset):
        return find_array(dataset.tensors[0])
    if isinstance(dataset, data.Subset):
        whole = find_array(dataset.dataset)
        return None if whole is None else whole[np.asarray(dataset.indices, dtype=np.int64)]
    if isinstance(dataset, data.ConcatDataset):
        parts = [find_array(part) for part in dataset.datasets]
        known = [part for part in parts if part is not None]
        # Parts of other sizes or units than the first's are left to be read item by item.
        alike = len({(part.shape[1:], part.dtype) for part in known}) == 1
        return np.concatenate(known) if alike and len(known) == len(parts) else None
    return None


def check_images(images: Array) -> Array:
    """Check shape, type and finiteness, and add the channel axis of grey images.

    Parameters
    ----------
    images : ndarray
        ``(n, d)``, ``(n, h, w)`` or ``(n, h, w, c)``.

    Returns
    -------
    ndarray of shape (n, d) or (n, h, w, c)
        A view.

    Raises
    ------
    InputError
        If the shape or type is another, or a value is not finite.
    """
    if images.ndim not in (2, 3, 4):
        raise InputError(
            f"images have shape {images.shape}; needed: (n, height, width), "
            "(n, height, width, channels) or features (n, d)"
        )
    if 0 in images.shape:
        raise InputError(f"images have shape {images.shape}: there is nothing in them")
    if images.dtype.kind not in "fiub":
        raise InputError(f"images have type {images.dtype}; needed: uint8 or floating point")
    if images.dtype.kind == "f":
        _check_finite(images)
    return images[..., np.newaxis] if images.ndim == 3 else images


def _check_finite(images: Array) -> None:
    for start in range(0, len(images), ROWS_PER_CHUNK):
        chunk = np.asarray(images[start : start + ROWS_PER_CHUNK])
        finite = np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1)
        if not finite.all():
            index = start + int(np.argmin(finite))
            raise InputError(
                f"sample {index} holds NaN or infinite pixels; repair it or leave it out "
                f"(Subset without index {index})"
            )


N_PROBES = 64


def fingerprint(samples: Samples, *, pixels: bool) -> dict[str, Any]:
    """Describe a dataset by its size, its labels and some of its pixels.

    Parameters
    ----------
    samples : Samples
        The dataset.
    pixels : bool
        Whether to read `N_PROBES` samples, spread evenly. It is a probe, not a proof: a dataset
        that differs in a single image will usually pass.

    Returns
    -------
    dict
        ``n_samples``; ``labels`` and ``pixels``, hexadecimal or None where there are none.

    Examples
    --------
    >>> pixels = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    >>> fingerprint(Samples(pixels), pixels=True)
    {'n_samples': 2, 'labels': None, 'pixels': 'a2e4c8c5e3e8fb7f'}
    """
    labels = samples.cheap_labels
    rows = np.unique(np.linspace(0, len(samples) - 1, N_PROBES).round().astype(np.int64))
    return {
        "n_samples": len(samples),
        "labels": None if labels is None else _digest(labels),
        "pixels": _digest(*samples.rows(rows)) if pixels else None,
    }


def _digest(*arrays: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def check_fingerprint(known: Mapping[str, Any], samples: Samples) -> None:
    """Refuse a dataset that a ranking is not of.

    Parameters
    ----------
    known : mapping
        What `fingerprint` gave when the dataset was ranked.
    samples : Samples
        The dataset at hand.

    Raises
    ------
    InputError
        If size, labels or probed pixels differ.
    """
    if known["n_samples"] != len(samples):
        raise InputError(
            f"the ranking is of {known['n_samples']:,} samples, the dataset has "
            f"{len(samples):,}; rank this dataset anew"
        )
    now = fingerprint(samples, pixels=known["pixels"] is not None)
    for what in ("labels", "pixels"):
        if known[what] is not None and now[what] is not None and known[what] != now[what]:
            raise InputError(
                f"the dataset's {what} are not those that were ranked; rank this dataset anew, "
                "or check that its order and transform are the same"
            )
