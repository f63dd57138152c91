"""Image files with labels as a map-style dataset that opens a file when its sample is asked for."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from proxysample.checks import as_tuple
from proxysample.data.images import as_depth, common_depth, read_image, repeated_grey
from proxysample.data.labels import kept_targets, kind_of_labels
from proxysample.data.pixel_cache import array_in_memory
from proxysample.errors import InputError
from proxysample.files import as_path
from proxysample.printing import hides_progress

Item = TypeVar("Item")
Result = TypeVar("Result")
Array = npt.NDArray[Any]

# Threads that decode files; Pillow lets others run meanwhile.
MOST_THREADS = 8
WAITING_PER_THREAD = 4
# Decoded images that wait to be taken, by the size of the last one.
BYTES_AHEAD = 1 << 30


def on_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Apply a function to items on threads, and give the results in their order, a few ahead."""
    known = hasattr(os, "sched_getaffinity")
    n_threads = min(MOST_THREADS, len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1)
    left = iter(items)
    with ThreadPoolExecutor(n_threads) as pool:
        waiting: deque[Future[Result]] = deque(
            pool.submit(function, item) for item in islice(left, n_threads)
        )
        try:
            while waiting:
                result = waiting.popleft().result()
                room = BYTES_AHEAD // max(_size(result), 1)
                ahead = max(1, min(room, WAITING_PER_THREAD * n_threads))
                more = islice(left, max(0, ahead - len(waiting)))
                waiting.extend(pool.submit(function, item) for item in more)
                yield result
        finally:
            pool.shutdown(cancel_futures=True)


def _size(result: Any) -> int:
    """Count the bytes of arrays in a result."""
    parts = result if isinstance(result, tuple) else (result,)
    return sum(int(getattr(part, "nbytes", 0)) for part in parts)


def progress_bar(n_images: int, description: str, shown: bool | None = None) -> Any:
    """Make a progress bar over images, which shows at a terminal alone."""
    from tqdm import tqdm

    hidden = hides_progress(shown is not False)
    return tqdm(total=n_images, desc=description, unit="image", disable=hidden)


class ImageFiles:
    """Images in files, decoded when they are asked for.

    Parameters
    ----------
    files : sequence of Path
        One a sample.
    targets : array-like of shape (n, ...) or Unsure, optional
        Integers or strings for who needs classes; of any kind for others.
    classes : sequence of str, optional
        Names of the integer classes, in order. Not each needs samples.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> file = Path(tempfile.mkdtemp()) / "photo.png"
    >>> Image.new("RGB", (8, 6), "white").save(file)
    >>> dataset = ImageFiles([file], ["cat"])
    >>> image, label = dataset[0]
    >>> image.shape, image.dtype, float(image.max()), label
    (torch.Size([3, 6, 8]), torch.float32, 1.0, 'cat')
    """

    root: Path | None = None
    """The folder that it was listed from."""

    other_columns: Sequence[str] = ()
    """Those of the table that it was made of, but for the paths, where none is known as labels."""

    def __init__(
        self, files: Sequence[Path], targets: Any = None, classes: Sequence[str] | None = None
    ) -> None:
        self.files = tuple(map(as_path, as_tuple("files", files)))
        self.targets, self.unsure = kept_targets(targets, len(self.files))
        self.classes = (
            None if classes is None else [str(name) for name in as_tuple("classes", classes)]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Give one image as a float32 tensor (channels first, uint8 scaled to [0, 1]), label."""
        import torch

        pixels, label = self.raw_item(index)
        tensor = torch.from_numpy(np.moveaxis(pixels, -1, 0).astype(np.float32))
        largest = {"uint8": 255, "uint16": 65_535}.get(pixels.dtype.name)
        return tensor if largest is None else tensor / largest, label

    def raw_item(self, index: int) -> tuple[Array, Any]:
        """Give the pixels of one image as they are in its file, and its label.

        Returns
        -------
        pixels : ndarray of shape (h, w, c)
        label : int, str or None
        """
        try:
            pixels = read_image(self.files[index])
        except InputError as error:
            raise InputError(
                f"image {index % len(self)} of {len(self)}: {error}; repair or remove it, or leave "
                "such images out with broken='skip' (--broken skip)"
            ) from error
        label = None if self.targets is None else self.targets[index]
        return pixels, label.item() if isinstance(label, np.generic) else label

    @cached_property
    def images(self) -> Array:
        """All images in memory, (n, h, w, c), for who needs them so; grey ones among coloured as RGB.

        Raises
        ------
        InputError
            If sizes or depths differ, a file does not decode, or there is no memory for them.
        """  # noqa: E501
        images = np.empty((0, 0, 0, 1), dtype=np.uint8)
        with progress_bar(len(self), "decoding") as bar:
            for index, pixels in enumerate(
                on_threads(lambda i: self.raw_item(i)[0], range(len(self)))
            ):
                if index == 0:
                    images = self._room(pixels, pixels.shape[-1])
                pixels = as_depth(pixels, images.dtype)
                if images.dtype != pixels.dtype == common_depth(images.dtype, pixels.dtype):
                    deeper = self._room(pixels, images.shape[-1])
                    deeper[:index] = as_depth(images[:index], pixels.dtype)
                    images = deeper
                if pixels.shape[:2] != images.shape[1:3] or pixels.dtype != images.dtype:
                    raise self._unlike(index, pixels, images)
                if pixels.shape[-1] > images.shape[-1]:
                    coloured = self._room(pixels, pixels.shape[-1])
                    coloured[:index] = images[:index]
                    images = coloured
                images[index] = repeated_grey(pixels, images.shape[-1])
                bar.update()
        return images

    def _room(self, first: Array, n_channels: int) -> Array:
        return array_in_memory((len(self), *first.shape[:2], n_channels), first.dtype)

    def _unlike(self, index: int, pixels: Array, images: Array) -> InputError:
        if pixels.dtype != images.dtype:
            return InputError(
                f"{self.files[index]} is of type {pixels.dtype}, {self.files[0]} of "
                f"{images.dtype}; save all images with one depth"
            )
        return InputError(
            f"{self.files[index]} is {pixels.shape[1]}x{pixels.shape[0]}, {self.files[0]} is "
            f"{images.shape[2]}x{images.shape[1]}; resize all images to one size"
        )

    def __repr__(self) -> str:
        return f"ImageFiles({len(self):,} files, {kind_of_labels(self.targets)})"


class UndecidedFiles(ImageFiles):
    """Samples of a table of which it is not sure which column holds the images.

    That stops who decodes, and nobody else.

    Parameters
    ----------
    n_samples : int
    reason : str
        Naming the candidates.
    targets : array-like of shape (n, ...) or Unsure, optional
    """

    def __init__(self, n_samples: int, reason: str, targets: Any = None) -> None:
        # No files: none of the columns names the samples.
        self._n_samples = n_samples
        self._reason = reason
        self.targets, self.unsure = kept_targets(targets, n_samples)
        self.classes = None

    def __len__(self) -> int:
        return self._n_samples

    def raw_item(self, index: int) -> tuple[Array, Any]:  # noqa: ARG002
        """Refuse to guess."""
        raise InputError(self._reason)

    @property
    def images(self) -> Array:
        """Refuse to guess."""
        raise InputError(self._reason)

    def __repr__(self) -> str:
        return f"UndecidedFiles({len(self):,} samples, {kind_of_labels(self.targets)})"


def holds_files(dataset: Any) -> bool:
    """Tell whether a dataset, or what it is a part of, is one of ours that opens image files."""
    return isinstance(_unwrapped(dataset, 0)[0], ImageFiles)


def raw_item(dataset: Any, index: int) -> Any:
    """Give the item of a dataset, of files their pixels as they are there, not as a tensor."""
    source, place = _unwrapped(dataset, index)
    return source.raw_item(place) if isinstance(source, ImageFiles) else source[place]


def _unwrapped(dataset: Any, index: int) -> tuple[Any, int]:
    """Look through torch's own Subset and ConcatDataset, which give the items of others."""
    data = sys.modules.get("torch.utils.data")
    while data is not None:
        if type(dataset) is data.Subset:
            dataset, index = dataset.dataset, int(dataset.indices[index])
        elif type(dataset) is data.ConcatDataset:
            part = int(np.searchsorted(dataset.cumulative_sizes, index, side="right"))
            index -= dataset.cumulative_sizes[part - 1] if part else 0
            dataset = dataset.datasets[part]
        else:
            break
    return dataset, index
