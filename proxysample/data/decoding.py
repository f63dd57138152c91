"""Map-style datasets decoded batch by batch, with workers, each image brought to one form."""

from __future__ import annotations

import math
import multiprocessing
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from os import PathLike
from pickle import PicklingError
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from proxysample.checks import check_unmasked
from proxysample.data.fields import Pairs
from proxysample.data.image_files import holds_files, on_threads, progress_bar, raw_item
from proxysample.data.images import (
    Fitting,
    as_depth,
    common_depth,
    fitted,
    pixels_of_sample,
    repeated_grey,
)
from proxysample.data.pixel_cache import Cache, CachedPixels, MemoryPixels, reserve_pixels
from proxysample.data.tables import IMAGE_COLUMNS, LABEL_COLUMNS
from proxysample.errors import InputError, ProxysampleWarning, SampleError
from proxysample.isolation import isolate_worker

Array = npt.NDArray[Any]

# Images with so few rows or columns, as many as there are colours, are taken for none.
COLOUR_CHANNELS = (1, 3)
MOST_CHANNELS = 4

# Pixels of a batch that waits to be used.
BYTES_PER_BATCH = 1 << 24

# A side of images of several sizes, where nobody says which.
DEFAULT_SIZE = 64

# Samples that are read before the others, evenly spread, to see whether sizes differ.
N_PROBES = 16


class ImageSizeWarning(ProxysampleWarning):
    """Images are of several sizes, and were brought to one that nobody chose."""


def tensor_to_array(tensor: Any) -> Array:
    """Copy a torch tensor to numpy, bfloat16 as float32, which holds each of its values.

    Parameters
    ----------
    tensor : Tensor
        On any device.

    Returns
    -------
    ndarray
        A view where possible.

    Examples
    --------
    >>> import torch
    >>> tensor_to_array(torch.ones(2, dtype=torch.bfloat16))
    array([1., 1.], dtype=float32)
    """
    kind = str(tensor.dtype)
    if tensor.device.type == "meta":
        raise InputError("a tensor on the device 'meta' holds nothing; give it its values")
    if tensor.is_quantized or str(tensor.layout) != "torch.strided":
        raise InputError(
            "a sparse or quantized tensor cannot be read as images or features; pass its "
            "to_dense() or dequantize()"
        )
    if kind.startswith("torch.float8") or tensor.is_complex():
        raise InputError(f"a tensor of type {kind} cannot be read; pass its float() or real part")
    host = tensor.detach().cpu()
    try:
        array: Array = (host.float() if kind == "torch.bfloat16" else host).resolve_neg().numpy()
    except (TypeError, RuntimeError) as error:
        raise InputError(f"a tensor of type {kind} cannot be read: {error}") from error
    return array


def check_channels_last(images: Any) -> None:
    """Refuse square images of which another axis than the last is that of the colours.

    Parameters
    ----------
    images : ndarray of shape (n, h, w, c)
        A numpy array as it was given, or a torch tensor after its second axis went last.

    Raises
    ------
    InputError
        If rows or columns are as few as colours, and the two other axes are equal and longer.

    Examples
    --------
    >>> import numpy as np
    >>> check_channels_last(np.zeros((100, 3, 32, 32)))
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: images of 3 rows, 32 columns and 32 channels: ...
    """
    check_axes(tuple(images.shape[1:]))


def check_axes(shape: tuple[int, ...]) -> None:
    """Refuse the shape of an image whose channels are not last; see `check_channels_last`."""
    rows, columns, channels = shape
    if channels <= MOST_CHANNELS:
        return
    first = rows in COLOUR_CHANNELS and columns == channels
    middle = columns in COLOUR_CHANNELS and rows == channels
    if first or middle:
        raise InputError(
            f"images of {rows} rows, {columns} columns and {channels} channels: the axes are in "
            "another order. Arrays are (n, height, width, channels), such as "
            "np.moveaxis(images, 1, -1); torch tensors are (n, channels, height, width)"
        )


@dataclass(frozen=True)
class Form:
    """What each sample of a dataset comes out as.

    Attributes
    ----------
    shape : tuple of int
        (height, width, channels) or, of features, (d,).
    dtype : dtype
    fitting : Fitting or None
        How images come to that size; None where all have it.
    otherwise : Fitting
        What to do if sizes turn out to differ.
    is_chosen : bool
        Whether the user, or a network, said so.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fitting: Fitting | None
    otherwise: Fitting
    is_chosen: bool

    def at(self, fitting: Fitting) -> Form:
        """Give the form of images that a fitting brings to its size."""
        size = fitting.size
        return replace(self, shape=(size, size, self.shape[-1]), fitting=fitting)

    def of_any_size(self, told: str) -> Form:
        """Give the form where sizes differ, and tell of it unless it was chosen."""
        if not self.is_chosen:
            size = self.otherwise.size
            warnings.warn(
                f"images are of several sizes ({told}): the shorter side of each is resized to "
                f"{size} pixels and the centre of {size}x{size} taken; pass image_size= to choose",
                ImageSizeWarning,
                stacklevel=2,
            )
        return self.at(self.otherwise)


class FormChangedError(Exception):
    """A sample does not fit the form that those before it have; decode anew in another."""

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        self.form = form


@dataclass(frozen=True)
class Decoder:
    """Decodes the samples of a map-style dataset.

    Attributes
    ----------
    dataset : map-style dataset
        Gives an image, a pair of image and label, or a mapping with both.
    batch_size : int
        Samples that a worker decodes at a time; fewer where they are large.
    num_workers : int
        Processes that decode; 0 decodes here, files on threads.
    progress : bool
        Show a progress bar.
    indices : sequence of int, optional
        Which samples are decoded, in this order; by default all. Their form is that of all.
    """

    dataset: Any
    batch_size: int = 256
    num_workers: int = 0
    progress: bool = False
    indices: Sequence[int] | None = None

    @property
    def _indices(self) -> Sequence[int]:
        return range(len(self.dataset)) if self.indices is None else self.indices

    def form(self, fitting: Fitting | None = None, otherwise: Fitting | None = None) -> Form:
        """Find what samples can come out as, by a few of them.

        Parameters
        ----------
        fitting : Fitting, optional
            A size that was asked for; by default images stay as they are where all are alike.
        otherwise : Fitting, optional
            What to do where sizes differ; by default that is told, and `DEFAULT_SIZE` taken.

        Returns
        -------
        Form

        Raises
        ------
        InputError
            If one of them cannot be read, they do not go together, or the same index gives
            different pixels.
        """
        size = len(self.dataset)
        read = _read_twice(self.dataset)
        first = read[0]
        chosen = fitting or otherwise
        form = Form(
            first.shape, first.dtype, None, chosen or Fitting(DEFAULT_SIZE), chosen is not None
        )
        if first.ndim == 3:
            check_axes(first.shape)
            if fitting is not None:
                form = form.of_any_size("")
        for probe in np.linspace(0, size - 1, min(N_PROBES, size)).round():
            index = int(probe)
            image = read[index] if index in read else _read_item(self.dataset, index)[0]
            try:
                _check_form(_formed(image, form), image.shape, form, index)
            except FormChangedError as changed:
                form = changed.form
        return replace(form, dtype=_formed(first, form).dtype)

    def batches(
        self, form: Form, description: str | None = "decoding"
    ) -> Iterator[tuple[Array, list[Any]]]:
        """Decode the samples once, in order.

        Parameters
        ----------
        form : Form
            What they come out as.
        description : str or None
            What the progress bar says; None shows none.

        Yields
        ------
        samples : ndarray of shape (rows, ...)
        labels : list
            None for each where items have no label.

        Raises
        ------
        FormChangedError
            If a sample does not fit the form, and would fit another.
        InputError
            If a sample cannot be read, or does not go with the others.
        """
        row_bytes = math.prod(form.shape) * form.dtype.itemsize
        size = min(self.batch_size, max(1, BYTES_PER_BATCH // max(row_bytes, 1)))
        start = 0
        shown = True if self.progress else (None if reads_files(self.dataset) else False)
        shown = False if description is None else shown
        indices = self._indices
        with progress_bar(len(indices), description or "", shown) as bar:
            for batch in self._decoded(form, size):
                read = indices[start : start + len(batch)]
                for index, (sample, _) in zip(read, batch, strict=True):
                    _check_form(sample, sample.shape, form, index)
                samples = np.stack([sample for sample, _ in batch])
                _check_finite(samples, read)
                yield samples, [label for _, label in batch]
                start += len(batch)
                bar.update(len(batch))

    def _decoded(self, form: Form, batch_size: int) -> Iterator[list[tuple[Any, Any]]]:
        items = _FormedItems(self.dataset, form, self._indices)
        if self.num_workers == 0 and reads_files(self.dataset):
            decoded = on_threads(items.__getitem__, range(len(items)))
            while batch := list(islice(decoded, batch_size)):
                yield batch
            return
        import torch
        from torch.utils.data import DataLoader

        loader: DataLoader[Any] = DataLoader(
            _Told(items),  # type: ignore[arg-type]
            batch_size=batch_size,
            # Of one batch nothing can be decoded ahead, and a process takes its time to begin.
            num_workers=self.num_workers if len(items) > batch_size else 0,
            collate_fn=list,
            # Without one of its own, a DataLoader draws its seed from the global generator.
            generator=torch.Generator(),
            worker_init_fn=isolate_worker,
        )
        for batch in from_workers(loader):
            for item in batch:
                if isinstance(item, InputError):
                    raise item
            yield batch

    def kept(self, form: Form, cache: Cache | None = True) -> tuple[Any, list[Any] | None, Form]:
        """Decode all samples into memory or, where they take much of it, into a file.

        Parameters
        ----------
        form : Form
        cache : bool, path or None
            See `reserve_pixels`.

        Returns
        -------
        samples : ndarray or CachedPixels of shape (n, ...)
        labels : list or None
        form : Form
            That of the samples.
        """
        while True:
            try:
                room = reserve_pixels((len(self.dataset), *form.shape), form.dtype, cache)
                return (*self._fill(room, form), form)
            except FormChangedError as changed:
                form = changed.form

    def _fill(self, room: CachedPixels | MemoryPixels, form: Form) -> tuple[Any, list[Any] | None]:
        labels: list[Any] = []
        for samples, some in self.batches(form):
            room.write(len(labels), samples)
            labels += some
        known = None if labels[0] is None else labels
        if isinstance(room, MemoryPixels):
            return room.array, known
        # Features are read as any memory map of them is.
        return (room.as_map() if len(form.shape) == 1 else room), known


def from_workers(loader: Iterable[Any]) -> Iterator[Any]:
    """Give the batches of a DataLoader whose items raise nothing; what it raises is of its own."""
    try:
        if getattr(loader, "num_workers", 0):
            # A loader that gets none of these leaves a half of itself, which fails once more.
            multiprocessing.Lock()
        with warnings.catch_warnings():
            # Python 3.12 warns of every fork beside a thread; torch forks, and has threads.
            warnings.filterwarnings("ignore", ".* is multi-threaded", DeprecationWarning)
            batches = iter(loader)
        yield from batches
    except (RuntimeError, OSError, AssertionError, PicklingError, AttributeError) as error:
        raise InputError(
            f"the processes that decode (num_workers) have failed: {error}; one may have been "
            "killed for want of memory, /dev/shm may be full, or the dataset cannot be sent to "
            "another process: pass num_workers=0"
        ) from error


def reads_files(dataset: Any) -> bool:
    """Tell whether a dataset, or what it is a part of, is one of ours that opens image files."""
    while isinstance(dataset, Pairs):
        dataset = dataset.dataset
    return holds_files(dataset)


class _Told(Sequence[Any]):
    """Items of which one that is refused is the error itself: a worker adds its traceback to it."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: Any) -> Any:
        try:
            return self.items[place]
        except InputError as error:
            return error


class _FormedItems(Sequence[Any]):
    """A dataset whose items are decoded, and brought to a form, in the worker."""

    def __init__(self, dataset: Any, form: Form, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.form = form
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: Any) -> Any:
        image, label = _read_item(self.dataset, self.indices[place])
        formed = _formed(image, self.form)
        if formed.shape == self.form.shape:
            return formed, label
        # No more of it is needed, and others of its batch may be as large.
        return _Outline(formed.shape, formed.dtype), label


class _Outline(NamedTuple):
    """What is known of an array that is not kept."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def _formed(image: Array, form: Form) -> Array:
    image = as_depth(image, form.dtype)
    if image.ndim != 3 or len(form.shape) != 3:
        return image
    if image.shape[-1] in COLOUR_CHANNELS and form.shape[-1] in COLOUR_CHANNELS:
        image = image if image.shape[-1] > form.shape[-1] else repeated_grey(image, form.shape[-1])
    return image if form.fitting is None else fitted(image, form.fitting)


def _check_form(
    sample: Array | _Outline, original: tuple[int, ...], form: Form, index: int
) -> None:
    if sample.dtype != form.dtype and not (form.fitting and form.dtype == np.bool_):
        if sample.dtype == common_depth(sample.dtype, form.dtype):
            raise FormChangedError(replace(form, dtype=sample.dtype))
        raise SampleError(
            index,
            f" has type {sample.dtype}, and those before it {form.dtype}; convert all images to "
            "one type in the dataset's transform",
        )
    if sample.shape == form.shape:
        return
    if len(sample.shape) == len(form.shape) == 3:
        if sample.shape[-1] != form.shape[-1]:
            if {sample.shape[-1], form.shape[-1]} == set(COLOUR_CHANNELS):
                raise FormChangedError(replace(form, shape=(*form.shape[:-1], sample.shape[-1])))
        elif form.fitting is None:
            height, width, _ = form.shape
            told = (
                f"sample 0 is {width}x{height}, sample {index} {sample.shape[1]}x{sample.shape[0]}"
            )
            raise FormChangedError(form.of_any_size(told))
    raise SampleError(
        index,
        f" has shape {original}, and those before it "
        f"{form.shape}; give all images as many channels, such as by image.convert('RGB'), and "
        "all features one length, in the dataset's transform",
    )


def _check_finite(samples: Array, indices: Sequence[int]) -> None:
    if samples.dtype.kind != "f":
        return
    finite = np.isfinite(samples).reshape(len(samples), -1).all(axis=1)
    if not finite.all():
        index = indices[int(np.argmin(finite))]
        raise SampleError(
            index, " holds NaN or infinite pixels; repair it, or leave it out with broken='skip'"
        )


def _read_item(dataset: Any, index: int) -> tuple[Array, Any]:
    try:
        return decode_item(raw_item(dataset, index), index)
    except InputError:
        raise
    # Whatever a dataset of anyone's raises, for want of a whole file or of anything else.
    except Exception as error:
        raise SampleError(
            index,
            f" cannot be read: {type(error).__name__}: {error}; repair it, or leave it out with "
            "broken='skip'",
        ) from error


def read_sample(dataset: Any, index: int) -> Array:
    """Decode one sample, of its own size; images have a last axis of channels."""
    return _read_item(dataset, index)[0]


def decode_item(item: Any, index: int) -> tuple[Array, Any]:
    """Split one item into a channels-last array and a label.

    Parameters
    ----------
    item : object
        An image, a pair ``(image, label, ...)`` or a mapping such as ``{"image", "label"}``.
        An image is a PIL image, an array (channels last) or a tensor (channels first).
    index : int
        Its place, for messages.

    Returns
    -------
    image : ndarray of shape (h, w, c)
        Or features, (d,).
    label : object or None
        None where the item has none.

    Examples
    --------
    >>> image, label = decode_item({"img": np.zeros((2, 2, 3)), "label": 4}, index=0)
    >>> image.shape, label
    ((2, 2, 3), 4)
    """
    label: Any = None
    if isinstance(item, dict):
        image = _first_of(item, IMAGE_COLUMNS)
        if image is None:
            raise SampleError(
                index,
                f" is a mapping with {', '.join(map(str, item))}; its image is looked for under "
                f"{', '.join(IMAGE_COLUMNS)}: rename it",
            )
        label = _first_of(item, LABEL_COLUMNS)
    elif isinstance(item, tuple | list):
        image, label = item[0], item[1] if len(item) > 1 else None
    else:
        image = item
    # More than one value is for those who need labels to refuse.
    if hasattr(label, "item") and math.prod(label.shape) == 1:
        label = label.item()
    return _image_array(image, index), label


def _first_of(item: dict[Any, Any], keys: tuple[str, ...]) -> Any:
    return next((item[key] for key in keys if key in item), None)


def _way_out(image: Any) -> str:
    if isinstance(image, str | PathLike):
        return ": open the file in the dataset"
    is_number = isinstance(image, int | float)
    return "; rows of numbers are passed as an array, numpy.asarray(rows)" if is_number else ""


def _image_array(image: Any, index: int) -> Array:
    if hasattr(image, "detach"):
        pixels = tensor_to_array(image)
        pixels = np.moveaxis(pixels, 0, -1) if pixels.ndim == 3 else pixels
    elif hasattr(image, "mode") and hasattr(image, "getexif"):
        return pixels_of_sample(image, index)
    else:
        check_unmasked(f"the values of sample {index}", image)
        pixels = np.asarray(image)
    if pixels.dtype.kind not in "fiub" or pixels.ndim == 0:
        raise SampleError(
            index,
            f" is a {type(image).__name__}, not an image: a PIL image, an array or a tensor is "
            "needed" + _way_out(image),
        )
    if pixels.ndim > 3 or 0 in pixels.shape:
        raise SampleError(
            index,
            f" has shape {pixels.shape}; needed: (height, width), (height, width, channels) or "
            "features (d,), with something in them",
        )
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def _read_twice(dataset: Any, n_probed: int = 4, n_repeats: int = 3) -> dict[int, Array]:
    """Read the first samples more than once, and refuse a dataset that is another each time."""
    images = {}
    for index in range(min(n_probed, len(dataset))):
        images[index] = first = _read_item(dataset, index)[0]
        # What is in a file is the same each time.
        for _ in range(0 if reads_files(dataset) else n_repeats - 1):
            again = _read_item(dataset, index)[0]
            if first.shape != again.shape or not np.array_equal(first, again, equal_nan=True):
                raise SampleError(
                    index,
                    " has other pixels each time it is read: the dataset's transform is random. "
                    "Select from the dataset without augmentation, and use the indices with the "
                    "augmented one",
                )
    return images
