"""Datasets that can only be read from their beginning: one pass, kept in files."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from inspect import isgenerator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.format import magic

from proxysample.checks import BOOLEAN, POSITIVE_INTEGER
from proxysample.data.adapters import is_stream
from proxysample.data.datasets import ArrayDataset
from proxysample.data.decoding import decode_item
from proxysample.data.fields import Field, Fields
from proxysample.data.images import Fitting, as_depth, fitted, repeated_grey
from proxysample.data.labels import Unsure, check_labels
from proxysample.errors import InputError
from proxysample.files import expanded, make_folder, map_npy, refusals_explained, replace_file
from proxysample.isolation import isolated
from proxysample.printing import hides_progress

Array = npt.NDArray[Any]

# What WebDataset calls images, once decoded, and labels.
IMAGE_NAMES = ("jpg", "jpeg", "png", "webp", "ppm", "pgm", "bmp", "tif", "tiff")
LABEL_NAMES = ("cls",)
KEY_NAMES = ("__key__", "key", "id")

# Of a header of .npy, which is written last: only then the number of samples is known.
HEADER_BYTES = 256


class StreamedDataset(ArrayDataset):
    """What `read_stream` kept: images in a memory map, labels, and keys.

    Attributes
    ----------
    keys : list of str or None
        The stream's own names of its samples, in order.
    folder : Path
    """

    def __init__(self, images: Array, targets: Any, keys: list[str] | None, folder: Path) -> None:
        super().__init__(images, targets)
        self.keys = keys
        self.folder = folder


@dataclass(frozen=True)
class StreamItem:
    """A sample of a stream.

    Attributes
    ----------
    pixels : ndarray of shape (h, w, c) or (d,)
    label, key : object or None
    """

    pixels: Array
    label: Any
    key: str | None


@dataclass(frozen=True)
class Stream:
    """An iterable dataset, and where images and labels are in its items.

    Attributes
    ----------
    source : iterable
    fields : Fields
        By default images and labels are where WebDataset, HuggingFace and pairs have them.
    """

    source: Iterable[Any]
    fields: Fields = field(default_factory=Fields)

    def items(
        self, progress: bool = False, description: str = "reading"
    ) -> Generator[_Read, None, None]:
        """Read the stream once; what is wrong with a sample comes when it is asked for."""
        from tqdm import tqdm

        try:
            items = iter(self.source)
        # Whatever the pipeline of anyone raises.
        except Exception as error:
            raise InputError(f"the stream cannot be read: {error}") from error
        try:
            with tqdm(desc=description, unit="image", disable=hides_progress(progress)) as bar:
                for index in count():
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                    # Whatever the pipeline of anyone raises.
                    except Exception as error:
                        raise InputError(
                            f"sample {index} of the stream cannot be read: "
                            f"{type(error).__name__}: {error}; nothing was kept"
                        ) from error
                    yield _Read(item, index, self.fields)
                    bar.update()
        finally:
            _end(items)


@dataclass(frozen=True)
class _Read:
    """What a stream gave, not decoded yet."""

    item: Any
    index: int
    fields: Fields

    @property
    def key(self) -> str | None:
        """What the stream calls it."""
        if not isinstance(self.item, Mapping):
            return None
        key = next((self.item[name] for name in KEY_NAMES if name in self.item), None)
        return None if key is None else str(key)

    @property
    def label(self) -> Any:
        """Its label, which may be there where its image is not; else None."""
        label = self.fields.label_of(_renamed(self.item), self.index)
        return None if isinstance(label, Unsure) else label

    def decoded(self) -> StreamItem:
        """Give its pixels and label; `InputError` where it cannot be read."""
        image, label = self.fields.pair(_renamed(self.item), self.index)
        pixels, label = decode_item((image, label), self.index)
        if isinstance(label, Unsure):
            label = None if self.fields.label is None else label
        if isinstance(label, Unsure):
            raise InputError(label.reason)
        pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
        return StreamItem(pixels, label, self.key)


def _end(items: Iterator[Any]) -> None:
    """Have a generator leave its contexts now, and not in those of whoever lets go of it."""
    if isgenerator(items):
        # What stopped the reading is told.
        with suppress(Exception):
            items.close()


def check_stream(stream: object) -> None:
    """Refuse what can be read in any order, and so without a folder."""
    if not is_stream(stream) and not isinstance(stream, list | tuple):
        raise InputError(
            f"a {type(stream).__name__} is no stream; pass it to a sampler as it is, or name it to "
            "proxysample.load_dataset"
        )


@isolated()
def read_stream(
    stream: Iterable[Any],
    folder: str | Path,
    *,
    image: Field | None = None,
    label: Field | None = None,
    image_size: int | None = None,
    progress: bool = False,
) -> StreamedDataset:
    """Read an iterable dataset once, and keep its images where samplers can read them again.

    For pipelines of the package webdataset, a torch ``IterableDataset``, a HuggingFace dataset
    that streams, or any generator. Nothing but a batch of it is in memory. `proxysample.embed`
    takes such a stream, too, and keeps its features in place of its images.

    Parameters
    ----------
    stream : iterable
        Gives images, pairs of image and label, or mappings such as ``{"jpg", "cls", "__key__"}``
        or ``{"image", "label"}``, with decoded images.
    folder : path
        ``images.npy``, ``labels.npy`` and ``keys.json`` are written there. What is there already
        is not overwritten: read it with ``load_dataset("npy:FOLDER/images.npy")``.
    image, label : str, int or callable, optional
        Where they are in an item; see `proxysample.data.reading.Samples`.
    image_size : int, optional
        Resize the shorter side to so many pixels, and crop the centre. Needed where sizes differ.
    progress : bool
        Show a progress bar.

    Returns
    -------
    StreamedDataset

    Raises
    ------
    InputError
        If the stream is empty or raises, its items do not fit one another, or the folder cannot be
        written to.

    Examples
    --------
    >>> import tempfile
    >>> items = ((np.full((4, 4), value, np.uint8), value % 2) for value in range(3))
    >>> dataset = read_stream(items, tempfile.mkdtemp())
    >>> dataset.images.shape, dataset.targets.tolist()
    ((3, 4, 4, 1), [0, 1, 0])
    """
    check_stream(stream)
    POSITIVE_INTEGER.or_none().check("image_size", image_size)
    BOOLEAN.check("progress", progress)
    place = expanded(folder)
    make_folder(place)
    for name in ("images.npy", "labels.npy", "keys.json"):
        if (place / name).exists():
            raise InputError(
                f"{place / name} is there already; remove it, or read it with "
                f"proxysample.load_dataset('npy:{place}/images.npy')"
            )
    kept = _Kept(None if image_size is None else Fitting(image_size))
    with replace_file(place / "images.npy") as file:
        file.write(bytes(HEADER_BYTES))
        with closing(Stream(stream, Fields(image, label)).items(progress)) as items:
            for read in items:
                file.write(np.ascontiguousarray(kept.add(read.decoded())).data)
        file.seek(0)
        file.write(kept.header())
    with refusals_explained(place):
        keys = kept.names.keys_or_none()
        if keys:
            with replace_file(place / "keys.json") as file:
                file.write(json.dumps(keys).encode())
        labels = kept.names.labels_or_none()
        if labels is not None:
            with replace_file(place / "labels.npy") as file:
                np.save(file, labels, allow_pickle=False)
    return StreamedDataset(map_npy(place / "images.npy"), labels, keys, place)


@dataclass
class StreamNames:
    """Labels and keys of the samples of a stream so far."""

    labels: list[Any] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    def add(self, label: Any, key: str | None) -> None:
        """Take those of the next sample."""
        self.labels.append(label)
        self.keys.append(key)

    def keys_or_none(self) -> list[str] | None:
        """Give the keys; None where no sample has one, an error where only some have."""
        known = [key for key in self.keys if key is not None]
        if known and len(known) < len(self.keys):
            raise InputError(f"{len(known)} of {len(self.keys)} samples have a key; give all one")
        return known or None

    def labels_or_none(self) -> Array | None:
        """Give the labels, where every sample has one."""
        if any(label is None for label in self.labels):
            return None
        return check_labels(self.labels, len(self.labels))


class _Kept:
    """What is known of the items so far."""

    def __init__(self, fitting: Fitting | None) -> None:
        self.names = StreamNames()
        self._fitting = fitting
        self._first: Array | None = None

    def add(self, item: StreamItem) -> Array:
        """Give the pixels of an item as they are to be written."""
        index, pixels = len(self.names.labels), item.pixels
        if self._fitting is not None and pixels.ndim == 3:
            pixels = fitted(pixels, self._fitting)
        first = pixels if self._first is None else self._first
        pixels = as_depth(pixels, first.dtype)
        if pixels.ndim == first.ndim == 3 and pixels.shape[-1] == 1:
            pixels = repeated_grey(pixels, first.shape[-1])
        if pixels.shape != first.shape or pixels.dtype != first.dtype:
            raise InputError(
                f"sample {index} has shape {pixels.shape} and type {pixels.dtype}, sample 0 has "
                f"{first.shape} and {first.dtype}; pass image_size=, or convert all images to one "
                "mode in the stream, such as image.convert('RGB')"
            )
        self._first = first
        self.names.add(item.label, item.key)
        return pixels

    def header(self) -> bytes:
        """Describe the array, in the form of .npy."""
        if self._first is None:
            raise InputError("the stream is empty")
        self.names.keys_or_none()
        shape = (len(self.names.labels), *self._first.shape)
        words = f"{{'descr': {self._first.dtype.str!r}, 'fortran_order': False, 'shape': {shape}}}"
        room = HEADER_BYTES - 10
        return magic(1, 0) + room.to_bytes(2, "little") + words.ljust(room - 1).encode() + b"\n"


def _renamed(item: Any) -> Any:
    """Call WebDataset's fields as others do."""
    if not isinstance(item, Mapping):
        return item
    found: dict[str, Any] = dict(item)
    for names, usual in ((IMAGE_NAMES, "image"), (LABEL_NAMES, "label")):
        name = next((name for name in names if name in found), None)
        if name is not None and usual not in found:
            found[usual] = found.pop(name)
    return found
