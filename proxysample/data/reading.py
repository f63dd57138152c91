"""Any dataset to arrays: images decoded once, labels without decoding where possible."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import islice
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.checks import BOOLEAN, POSITIVE_INTEGER, check_unmasked
from proxysample.data.adapters import adapted
from proxysample.data.blocks import BlockArray
from proxysample.data.decoding import (
    Decoder,
    Form,
    check_channels_last,
    read_sample,
    reads_files,
)
from proxysample.data.fields import (
    Broken,
    Field,
    Fields,
    FieldView,
    Pairs,
    check_broken,
    describe_item,
)
from proxysample.data.images import Fitting
from proxysample.data.labels import (
    Unsure,
    as_label_array,
    check_labels,
    check_not_all_different,
    plain_label,
)
from proxysample.data.pixel_cache import Cache
from proxysample.data.same_labels import number_alike, probes_of, same_label
from proxysample.data.scanning import read_labels_of
from proxysample.data.shortcuts import (
    FoundLabels,
    find_array,
    find_labels,
    is_tensor,
)
from proxysample.data.tables import is_frame, positional
from proxysample.errors import InputError, ProxysampleWarning, SampleError, level_of_caller
from proxysample.printing import shown


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
    if getattr(dataset, "is_nested", False) is True:
        raise InputError("a nested tensor has samples of several shapes: pass a list, its unbind()")
    if not getattr(dataset, "shape", True):
        raise InputError(f"{type(dataset).__name__} has no axes; needed: one along the samples")
    if is_pair_of_images_and_labels(dataset):
        raise InputError(
            "a pair of images and labels is no dataset: pass the labels as y=, or join both, as "
            "proxysample.data.ArrayDataset(images, labels)"
        )
    try:
        size = len(dataset)
    # Whatever a dataset of anyone's raises, also of a number that is none or too large.
    except Exception as error:
        raise InputError(
            f"{type(dataset).__name__} does not tell how many samples it has: {error}"
        ) from error
    if size > MOST_SAMPLES:
        raise InputError(
            f"{type(dataset).__name__} claims {size:,} samples; at most {MOST_SAMPLES:,} can be "
            "ranked: is its length right?"
        )
    if size == 0:
        raise InputError("the dataset is empty")
    return int(size)


def _way_to_items(dataset: Any) -> str:
    if hasattr(dataset, "dataset"):
        return "pass the dataset that it reads, its attribute dataset"
    if hasattr(dataset, "require_test"):
        return "pass one of its parts, such as its attribute train"
    return "read an iterable dataset once with proxysample.data.read_stream(dataset, FOLDER)"


def is_pair_of_images_and_labels(dataset: Any) -> bool:
    """Tell whether it is two arrays, of which the second has a label for each row of the first."""
    if not isinstance(dataset, tuple | list) or len(dataset) != 2:
        return False
    images, labels = (tuple(getattr(part, "shape", ())) for part in dataset)
    return len(images) > len(labels) > 0 and images[:1] == labels[:1]


Array = npt.NDArray[Any]

# A score of eight bytes each takes half a terabyte.
MOST_SAMPLES = 1 << 36

# Rows per step of a streaming pass. Part of the arithmetic (it fixes the order of float sums),
# so it is a constant and never follows a user's batch size.
ROWS_PER_CHUNK = 1024


class UnsureLabelsWarning(ProxysampleWarning):
    """It cannot be told which of several fields are the labels, and classes are not seen."""


class Samples:
    """A dataset as scorers see it; nothing is read before it is asked for, and only once.

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
    image, label : str, int or callable, optional
        Where they are in an item: a key, a position, a column or a function of the item. By
        default the first of a pair is the image and the other the label, a mapping or table has
        them under their usual names, and where that leaves a doubt an error names the candidates.
    features : str, int, callable, list of str or ndarray of shape (n, d), optional
        A field of vectors to read in place of images, several columns of numbers, or the vectors.
    broken : {"stop", "skip"}, optional
        What to do about a sample that cannot be read or holds NaN, where it is read at all; by
        default what a `FieldView` says, and else "stop".
    distinct_labels : bool, optional
        Confirms that labels which are all different are classes; by default as a `FieldView` says.
    batch_size, num_workers : int
        How a map-style dataset is decoded. They do not change the result.
    progress : bool
        Show a progress bar while decoding.
    image_size : int, optional
        Resize the shorter side of each image to so many pixels and crop the centre, so many
        a side. By default images stay as they are where all are of one size; where they are of
        several, that is told, and they come out at `proxysample.data.decoding.DEFAULT_SIZE`.
    cache : bool, path or None
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
        image: Field | None = None,
        label: Field | None = None,
        features: Any = None,
        broken: Broken | None = None,
        distinct_labels: bool | None = None,
        batch_size: int = 256,
        num_workers: int = 0,
        progress: bool = False,
        image_size: int | None = None,
        cache: Cache | None = True,
    ) -> None:
        self._view = isinstance(dataset, FieldView)
        if isinstance(y, str):
            y, label = None, _only_one("y", y, "label", label)
        elif y is not None:
            label = _only_one("y", None, "label", label)
        given = Fields(image, label, features)
        fields = _merged(dataset.fields, given) if self._view else given
        self._source = dataset.dataset if self._view else dataset, fields
        # A frame is looked into by who reads it.
        self._size = n_samples(self._source[0] if is_frame(self._source[0]) else self.dataset)
        self._y = y
        self.broken = check_broken(_first(broken, dataset.broken if self._view else None, "stop"))
        BOOLEAN.or_none().check("distinct_labels", distinct_labels)
        self.distinct_labels = bool(
            _first(distinct_labels, dataset.distinct_labels if self._view else None, False)
        )
        self.options: dict[str, Any] = {
            "batch_size": batch_size,
            "num_workers": num_workers,
            "progress": progress,
        }
        POSITIVE_INTEGER.or_none().check("image_size", image_size)
        BOOLEAN.check("progress", progress)
        self.image_size = image_size
        self.cache = cache
        self._streamed_labels: list[Any] | None = None

    def __len__(self) -> int:
        return self._size

    @property
    def every(self) -> Samples:
        """The samples of the whole dataset, of which these may be some."""
        return self

    @property
    def taken(self) -> npt.NDArray[np.int64] | None:
        """Which of `every` these are; None where they are all."""
        return None

    @cached_property
    def _adapted(self) -> tuple[Any, Fields]:
        return adapted(*self._source)

    @property
    def dataset(self) -> Any:
        """The dataset, or what it was turned into to be read; see `adapted`."""
        return self._adapted[0]

    @property
    def fields(self) -> Fields:
        """Where images and labels are in it."""
        return self._adapted[1]

    @cached_property
    def array(self) -> Array | None:
        """Images or features where the dataset holds them in one array, unchecked; else None."""
        return find_array(self.dataset, self.fields)

    @cached_property
    def pairs(self) -> Pairs:
        """Something whose ``[i]`` is the pair of image and label of sample i."""
        return Pairs(positional(self.dataset), self.fields)

    @cached_property
    def _pixels_and_labels(self) -> tuple[Array, list[Any] | None]:
        if self.array is not None:
            check_rows(self.array, len(self))
            images, labels = self._of_image_size(check_images(self.array)), None
        else:
            images, labels, _ = self._decoder.kept(self.form(), self.cache)
        check_rows(images, len(self))
        if self.fields.features is not None and images.ndim != 2:
            raise InputError(
                f"features= gives arrays of shape {images.shape[1:]}; needed: vectors (pass "
                "images by image=)"
            )
        return images, labels

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder(self.pairs, **self.options)

    @property
    def _fitting(self) -> Fitting | None:
        return None if self.image_size is None else Fitting(self.image_size)

    def _of_image_size(self, images: Array) -> Array:
        fitting = self._fitting
        if images.ndim != 4 or fitting is None or fitting.leaves(*images.shape[1:3]):
            return images
        check_channels_last(images)
        decoder = Decoder(images, **self.options)
        kept: Array = decoder.kept(decoder.form(fitting), self.cache)[0]
        return kept

    @property
    def is_held(self) -> bool:
        """Whether images or features can be read in any order without decoding."""
        return "_pixels_and_labels" in vars(self) or self.array is not None

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
        if self.array is not None:
            check_rows(self.array, len(self))
            images = self.array[..., np.newaxis] if self.array.ndim == 3 else self.array
            return [np.asarray(images[index]) for index in indices]
        return [read_sample(self.pairs, int(index)) for index in indices]

    @property
    def images(self) -> Array:
        """Pixels or features: (n, height, width, channels) or (n, n_features).

        As given where the dataset holds an array. Decoded samples that take much memory are a
        `CachedPixels`, which is read by rows.
        """
        return self._pixels_and_labels[0]

    @cached_property
    def _found_labels(self) -> FoundLabels | None:
        if self._y is not None:
            return FoundLabels(self._y, "y")
        return find_labels(self.dataset, self.fields)

    @property
    def cheap_labels(self) -> Array | None:
        """The labels where no image has to be decoded for them, (n,); None where they cannot serve.

        Of a class that is not known, a few items are read to confirm them.
        """
        try:
            return self.labels if self._found_labels is not None else None
        except InputError:
            return None

    @property
    def sure_labels(self) -> Array | None:
        """The labels where not a single item has to be read for them; else None."""
        try:
            found = self._found_labels
        except InputError:
            return None
        return self.cheap_labels if found is not None and found.is_sure else None

    @cached_property
    def labels(self) -> Array | None:
        """Integers (int64) or strings, (n,); None where the dataset has none.

        Items are read only where the labels cannot be had otherwise, and no more of them is kept.
        """
        found = self._found_labels
        if found is None:
            return self._numbered_alike(self._labels_of_items())
        if found.unsure is not None:
            raise InputError(found.unsure.reason)
        if found.values is None:
            return None
        if not found.is_sure:
            self._confirm_labels(found)
        return self._numbered_alike(check_labels(found.values, len(self)))

    def _labels_of_items(self) -> Array | None:
        if self.array is not None and self.fields.label is None and _is_array(self.dataset):
            return None
        given = self._streamed_labels
        if "_pixels_and_labels" in vars(self):
            given = self._pixels_and_labels[1]
        if given is None and self._has_no_label():
            return None
        labels = read_labels_of(self.pairs, **self.options) if given is None else given
        if all(label is None for label in labels):
            return None
        unsure = next((label for label in labels if isinstance(label, Unsure)), None)
        if unsure is not None:
            raise InputError(unsure.reason)
        return check_labels(labels, len(self))

    def _has_no_label(self) -> bool:
        """Tell by the first item that there are no labels, or refuse what cannot serve."""
        try:
            label = self.pairs.label(0)
        # That an item cannot be read is for the pass over all of them to say, or to skip.
        except Exception:
            return False
        if isinstance(label, Unsure):
            raise InputError(label.reason)
        if label is not None:
            check_labels([label], 1)
        return label is None

    @property
    def has_given_labels(self) -> bool:
        """Whether labels are none of the dataset's own."""
        return self._y is not None

    @property
    def tells_labels_without_items(self) -> bool:
        """Whether labels, or that there are none, are known without a single item."""
        return self._found_labels is not None

    @property
    def tells_labels_early(self) -> bool:
        """Whether labels, or that they cannot serve, are known without a pass over the items."""
        return self._found_labels is not None or self._has_no_label()

    def _numbered_alike(self, labels: Array | None) -> Array | None:
        """Tell classes of joined parts apart by name where the parts number them differently."""
        if labels is None or self._y is not None or callable(self.fields.label):
            return labels
        return number_alike(labels, self.dataset)

    def _confirm_labels(self, found: FoundLabels) -> None:
        """Refuse labels that are not those of the items, as far as some items tell."""
        values = as_label_array(found.values)
        for index in probes_of(values):
            try:
                label = self.pairs.label(index)
            # An item that cannot be read contradicts nobody.
            except Exception:
                continue
            if label is None or isinstance(label, Unsure) or same_label(label, values[index]):
                continue
            raise InputError(
                f"the labels of {type(self.dataset).__name__} are not sure: {found.source} has "
                f"{shown(plain_label(values[index]))} for sample {index}, and the item itself "
                f"{shown(plain_label(label))}; "
                "pass the right ones by y= or label="
            )

    def confirm_labels(self) -> None:
        """Compare labels that were found without items with those of a few items.

        Raises
        ------
        InputError
            If one differs; the message names both.
        """
        found = self._found_labels
        is_ours = self._y is not None or self.array is not None or reads_files(self.dataset)
        if found is not None and found.values is not None and not is_ours:
            self._confirm_labels(found)

    @property
    def required_labels(self) -> Array:
        """The labels, or an `InputError` that says how to give them."""
        if self.labels is None:
            raise InputError(
                f"{type(self.dataset).__name__} has no labels{self._candidates()}, and they are "
                "needed here: pass them as y= (one label a sample; in an .npz file, an array "
                "'labels'), join both as proxysample.data.ArrayDataset(images, labels), name their "
                "field by label=, or use a sampler without classes, such as 'rs' or 'km-or'"
            )
        if not self.distinct_labels:
            check_not_all_different(self.labels)
        return self.labels

    @property
    def training_labels(self) -> Array:
        """The labels, or an `InputError` for whoever trains by them: nothing does without."""
        if self.labels is None:
            raise InputError(
                f"{type(self.dataset).__name__} has no labels{self._candidates()}, and models are "
                "trained by them: give a pair of images and labels, or name their field, as "
                "FieldView(dataset, label=...) does"
            )
        return self.required_labels

    @property
    def has_classes(self) -> bool:
        """Whether there are cheap labels that can serve, and are not all different unasked."""
        labels = self.cheap_labels
        return labels is not None and (self.distinct_labels or _reason(labels) is None)

    def tell_unsure_labels(self, *, items: bool = True) -> None:
        """Warn where it cannot be told which of several are the labels: classes are not seen.

        Where items tell, one of them is read, but for `items` False.
        """
        found = self._found_labels
        unsure = None if found is None else found.unsure
        if found is None and items:
            with suppress(Exception):
                _, label = self.pairs[0]
                unsure = label if isinstance(label, Unsure) else None
        if unsure is None and not self.has_classes:
            unsure = _reason(self.cheap_labels)
        if unsure is not None:
            warnings.warn(
                f"no classes are seen, and what is kept holds no shares of them: {unsure.reason}",
                UnsureLabelsWarning,
                stacklevel=level_of_caller(),
            )

    def _candidates(self) -> str:
        """Name what labels may be under, where items tell it without being decoded."""
        others = getattr(self.dataset, "other_columns", ())
        if others:
            return f" (its columns are {', '.join(others)}, one of which label= may name)"
        if reads_files(self.dataset) or self.array is not None:
            return ""
        try:
            item = self.pairs.item(0)
        # That an item cannot be read is no news here.
        except Exception:
            return ""
        named = isinstance(item, Mapping) and not isinstance(item, str)
        return f" (sample 0 is {describe_item(item)})" if named else ""

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


def _reason(labels: Array | None) -> Unsure | None:
    """Say why labels are rather numbers or names of samples, if they are."""
    try:
        check_not_all_different(np.zeros(0) if labels is None else labels)
    except InputError as error:
        return Unsure(str(error))
    return None


def _only_one(first: str, one: Any, second: str, other: Any) -> Any:
    if other is not None:
        raise InputError(f"give {first}= or {second}=, not both: each says where labels are")
    return one


def _first(*given: Any) -> Any:
    return next(value for value in given if value is not None)


def _merged(of_view: Fields, given: Fields) -> Fields:
    """Take what is given beside a view in place of what the view says."""
    has_pixels = given.image is not None or given.features is not None
    pixels = given if has_pixels else of_view
    return Fields(
        pixels.image, of_view.label if given.label is None else given.label, pixels.features
    )


def _is_array(dataset: Any) -> bool:
    return isinstance(dataset, np.ndarray | BlockArray) or is_tensor(dataset)


def read_labels(dataset: Any, y: Any = None) -> Array | None:
    """Read labels without decoding an image, but for a few that confirm them.

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
    samples = Samples(dataset, y)
    return None if samples._found_labels is None else samples.labels


def check_images(images: Array) -> Array:
    """Check shape, type and finiteness, and add the channel axis of grey images.

    Parameters
    ----------
    images : ndarray
        See `check_layout`.

    Returns
    -------
    ndarray of shape (n, d) or (n, h, w, c)
        A view.

    Raises
    ------
    InputError
        If the shape or type is another, or a value is not finite.
    """
    checked = check_layout(images)
    if checked.dtype.kind == "f":
        _check_finite(checked)
    return checked


def check_rows(images: Array, n_samples: int) -> None:
    """Refuse features that are not one row a sample."""
    n_rows = len(images) if images.ndim else 0
    if n_rows != n_samples:
        raise InputError(f"features= has {n_rows} rows for {n_samples} samples")


def check_layout(images: Array) -> Array:
    """Check shape and type, whatever the values are, and add the channel axis of grey images.

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
        If the shape or type is another.
    """
    check_unmasked("images", images)
    if images.ndim not in (2, 3, 4):
        raise InputError(
            f"images have shape {images.shape}; needed: (n, height, width), "
            "(n, height, width, channels) or features (n, d)"
        )
    if 0 in images.shape:
        raise InputError(f"images have shape {images.shape}: there is nothing in them")
    if images.dtype.kind not in "fiub":
        raise InputError(f"images have type {images.dtype}; needed: uint8 or floating point")
    return images[..., np.newaxis] if images.ndim == 3 else images


def _check_finite(images: Array) -> None:
    for start in range(0, len(images), ROWS_PER_CHUNK):
        chunk = np.asarray(images[start : start + ROWS_PER_CHUNK])
        finite = np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1)
        if not finite.all():
            index = start + int(np.argmin(finite))
            raise SampleError(
                index,
                " holds NaN or infinite pixels; repair it, or leave it out with broken='skip'",
            )
