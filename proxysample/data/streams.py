"""Datasets that can only be read from their beginning: one pass, kept in files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib.format import magic

from proxysample.data.adapters import is_stream
from proxysample.data.datasets import ArrayDataset
from proxysample.data.decoding import decode_item
from proxysample.data.images import Fitting, as_depth, fitted, repeated_grey
from proxysample.data.labels import check_labels
from proxysample.errors import InputError
from proxysample.files import make_folder, map_npy, refusals_explained, replace_file

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


def read_stream(
    stream: Iterable[Any],
    folder: str | Path,
    *,
    image_size: int | None = None,
    progress: bool = False,
) -> StreamedDataset:
    """Read an iterable dataset once, and keep its images where samplers can read them again.

    For pipelines of the package webdataset, a torch ``IterableDataset``, a HuggingFace dataset
    that streams, or any generator. Nothing but a batch of it is in memory.

    Parameters
    ----------
    stream : iterable
        Gives images, pairs of image and label, or mappings such as ``{"jpg", "cls", "__key__"}``
        or ``{"image", "label"}``, with decoded images.
    folder : path
        ``images.npy``, ``labels.npy`` and ``keys.json`` are written there. What is there already
        is not overwritten: read it with ``load_dataset("npy:FOLDER/images.npy")``.
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
    if not is_stream(stream) and not isinstance(stream, list | tuple):
        raise InputError(
            f"a {type(stream).__name__} is no stream; pass it to a sampler as it is, or name it to "
            "proxysample.load_dataset"
        )
    place = Path(folder).expanduser()
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
        _write_items(stream, kept, file, progress)
        file.seek(0)
        file.write(kept.header())
    with refusals_explained(place):
        if kept.keys:
            with replace_file(place / "keys.json") as file:
                file.write(json.dumps(kept.keys).encode())
        labels = kept.labels_or_none()
        if labels is not None:
            with replace_file(place / "labels.npy") as file:
                np.save(file, labels, allow_pickle=False)
    return StreamedDataset(map_npy(place / "images.npy"), labels, kept.keys or None, place)


def _write_items(stream: Iterable[Any], kept: _Kept, file: IO[bytes], progress: bool) -> None:
    from tqdm import tqdm

    items = iter(stream)
    with tqdm(desc="reading", unit="image", disable=not progress) as bar:
        while True:
            try:
                item = next(items)
            except StopIteration:
                return
            # Whatever the pipeline of anyone raises.
            except Exception as error:
                raise InputError(
                    f"sample {kept.size} of the stream cannot be read: {type(error).__name__}: "
                    f"{error}; nothing was kept"
                ) from error
            file.write(np.ascontiguousarray(kept.add(item)).data)
            bar.update()


class _Kept:
    """What is known of the items so far."""

    def __init__(self, fitting: Fitting | None) -> None:
        self.size = 0
        self.keys: list[str] = []
        self._fitting = fitting
        self._labels: list[Any] = []
        self._first: Array | None = None

    def add(self, item: Any) -> Array:
        """Give the pixels of an item as they are to be written."""
        index = self.size
        pixels, label = decode_item(_renamed(item), index)
        if pixels.ndim == 2:
            pixels = pixels[..., np.newaxis]
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
        self._labels.append(label)
        key = (
            next((item[name] for name in KEY_NAMES if name in item), None)
            if isinstance(item, Mapping)
            else None
        )
        if key is not None:
            self.keys.append(str(key))
        self.size += 1
        return pixels

    def header(self) -> bytes:
        """Describe the array, in the form of .npy."""
        if self._first is None:
            raise InputError("the stream is empty")
        if self.keys and len(self.keys) < self.size:
            raise InputError(f"{len(self.keys)} of {self.size} samples have a key; give all one")
        shape = (self.size, *self._first.shape)
        words = f"{{'descr': {self._first.dtype.str!r}, 'fortran_order': False, 'shape': {shape}}}"
        room = HEADER_BYTES - 10
        return magic(1, 0) + room.to_bytes(2, "little") + words.ljust(room - 1).encode() + b"\n"

    def labels_or_none(self) -> Array | None:
        """Give the labels, where every item has one."""
        if any(label is None for label in self._labels):
            return None
        return check_labels(self._labels, self.size)


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
