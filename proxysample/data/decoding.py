"""Map-style datasets decoded once, in batches, with workers, into one array."""

from __future__ import annotations

import math
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.data.tables import IMAGE_COLUMNS, LABEL_COLUMNS
from proxysample.errors import InputError

Array = npt.NDArray[Any]

# Images with so few rows or columns, as many as there are colours, are taken for none.
COLOUR_CHANNELS = (1, 3)
MOST_CHANNELS = 4


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
    host = tensor.detach().cpu()
    array: Array = (host.float() if str(host.dtype) == "torch.bfloat16" else host).numpy()
    return array


def check_channels_last(images: Array) -> None:
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
    rows, columns, channels = images.shape[1:]
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


def decode_items(
    dataset: Any, *, batch_size: int = 256, num_workers: int = 0, progress: bool = False
) -> tuple[Array, list[Any] | None]:
    """Call ``dataset[i]`` once for each sample and stack what comes.

    Parameters
    ----------
    dataset : map-style dataset
        Gives an image, a pair of image and label, or a mapping with both.
    batch_size : int
        Samples that a worker decodes at a time.
    num_workers : int
        Processes that decode; 0 decodes here.
    progress : bool
        Show a progress bar.

    Returns
    -------
    images : ndarray of shape (n, ...)
        Channels last.
    labels : list or None
        None where items have no label.

    Raises
    ------
    InputError
        If a sample cannot be read, images differ in shape, or the same index gives different
        pixels.
    """
    import torch
    from torch.utils.data import DataLoader, Dataset
    from tqdm import tqdm

    _check_deterministic(dataset)
    items: Dataset[tuple[Array, Any]] = _DecodedItems(dataset)  # type: ignore[assignment]
    loader: DataLoader[tuple[Array, Any]] = DataLoader(
        items,
        batch_size=batch_size,
        num_workers=num_workers,
        collate_fn=list,
        # Without one of its own, a DataLoader draws its seed from the global generator.
        generator=torch.Generator(),
    )
    size = len(dataset)
    images: Array | None = None
    labels: list[Any] = []
    index = 0
    with tqdm(total=size, desc="decoding", unit="image", disable=not progress) as bar:
        for batch in loader:
            for image, label in batch:
                if images is None:
                    images = np.empty((size, *image.shape), dtype=image.dtype)
                _check_like_first(image, images, index)
                images[index] = image
                labels.append(label)
                index += 1
            bar.update(len(batch))
    if images is None:
        raise InputError("the dataset is empty")
    return images, None if labels[0] is None else labels


class _DecodedItems:
    """A dataset whose items are pairs of array and label, decoded in the worker."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Array, Any]:
        return _read_item(self.dataset, index)


def _read_item(dataset: Any, index: int) -> tuple[Array, Any]:
    try:
        return decode_item(dataset[index], index)
    except InputError:
        raise
    # Whatever a dataset of anyone's raises, for want of a whole file or of anything else.
    except Exception as error:
        raise InputError(
            f"sample {index} cannot be read: {type(error).__name__}: {error}; repair it, or leave "
            "it out with broken='skip'"
        ) from error


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
    image : ndarray
        Channels last.
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
            raise InputError(
                f"sample {index} is a mapping with {', '.join(map(str, item))}; "
                f"its image is looked for under {', '.join(IMAGE_COLUMNS)}: rename it"
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


def _image_array(image: Any, index: int) -> Array:
    if hasattr(image, "detach"):
        pixels = tensor_to_array(image)
        return np.moveaxis(pixels, 0, -1) if pixels.ndim == 3 else pixels
    # As arrays these would be numbers of colours, and booleans.
    mode = {"P": "RGB", "1": "L"}.get(getattr(image, "mode", ""))
    pixels = np.asarray(image if mode is None else image.convert(mode))
    if pixels.dtype.kind not in "fiub" or pixels.ndim == 0:
        raise InputError(
            f"sample {index} is a {type(image).__name__}, not an image: "
            "a PIL image, an array or a tensor is needed"
            + (": open the file in the dataset" if isinstance(image, str | PathLike) else "")
        )
    return pixels


def _check_like_first(image: Array, images: Array, index: int) -> None:
    first = images.shape[1:]
    if image.shape != first:
        same_size = min(image.ndim, len(first)) > 1 and image.shape[:2] == first[:2]
        fix = "convert all images to one mode" if same_size else "resize all images to one size"
        raise InputError(
            f"sample {index} has shape {image.shape}, sample 0 has {first}; {fix} in the "
            "dataset's transform" + (", such as image.convert('RGB')" if same_size else "")
        )
    if image.dtype != images.dtype:
        raise InputError(
            f"sample {index} has type {image.dtype}, sample 0 has {images.dtype}; convert all "
            "images to one type in the dataset's transform"
        )


def _check_deterministic(dataset: Any, n_probed: int = 4, n_repeats: int = 3) -> None:
    for index in range(min(n_probed, len(dataset))):
        first, _ = _read_item(dataset, index)
        for _ in range(n_repeats - 1):
            again, _ = _read_item(dataset, index)
            if first.shape != again.shape or not np.array_equal(first, again, equal_nan=True):
                raise InputError(
                    f"sample {index} has other pixels each time it is read: the dataset's "
                    "transform is random. Select from the dataset without augmentation, and "
                    "use the indices with the augmented one"
                )
