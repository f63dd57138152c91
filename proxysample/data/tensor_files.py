"""Tensors and arrays saved as .npy, .pt and .safetensors: mapped where they can be, never run."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.data.array_names import (
    Names,
    part_names,
    split_place,
)
from proxysample.data.decoding import tensor_to_array
from proxysample.errors import InputError
from proxysample.files import check_regular, expanded, map_npy, read_npy

Array = npt.NDArray[Any]

MOST_CHANNELS = 4

# What torch and safetensors raise on files that are damaged or something else.
DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    OverflowError,
    RuntimeError,
    MemoryError,
    ImportError,
    AssertionError,
    NotImplementedError,
    zipfile.BadZipFile,
)

Pair = tuple[Array, Array | None]


def read_npy_pair(path: str) -> Pair:
    """Map an .npy file of images or features, and read one of labels where it is named.

    Parameters
    ----------
    path : str
        ``IMAGES.npy`` or ``IMAGES.npy,LABELS.npy``.

    Returns
    -------
    images : ndarray
        A memory map.
    labels : ndarray or None

    Raises
    ------
    InputError
        If a file is missing, damaged, no .npy file, or holds Python objects.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> np.save(f"{folder}/x.npy", np.zeros((2, 8, 8), np.uint8))
    >>> np.save(f"{folder}/y.npy", np.array([3, 5]))
    >>> images, labels = read_npy_pair(f"{folder}/x.npy,{folder}/y.npy")
    >>> images.shape, labels.tolist()
    ((2, 8, 8), [3, 5])
    """
    images, comma, labels = path.partition(".npy,")
    if not comma:
        return map_npy(expanded(path)), None
    return map_npy(expanded(f"{images}.npy")), read_npy(expanded(labels))


def read_tensors(
    path: str, *, image: str | int | None = None, label: str | int | None = None
) -> tuple[Pair, Pair | None]:
    """Read the tensors of a file that ``torch.save`` or safetensors wrote.

    Nothing in the file is run: what ``torch.load(weights_only=True)`` does not read is refused.

    Parameters
    ----------
    path : str
        ``.pt`` or ``.pth``: a tensor, a pair of tensors (images, labels), or a mapping with such
        names as ``images`` and ``labels``, or of groups of them. ``.safetensors``: such a mapping.
        ``FILE::GROUP`` and ``FILE::GROUP/NAME`` name a group, or the images in it.
    image, label : str or int, optional
        The names, or positions, of others that are meant; then there is no test part.

    Returns
    -------
    train : pair of ndarray
        Images or features, and labels or None. Images come out with their channels last.
    test : pair of ndarray or None

    Raises
    ------
    InputError
        If the file is missing, damaged, of another kind, or claims more than it holds.

    Examples
    --------
    >>> import tempfile, torch
    >>> file = f"{tempfile.mkdtemp()}/digits.pt"
    >>> torch.save({"images": torch.zeros(2, 1, 8, 8), "labels": torch.tensor([3, 5])}, file)
    >>> (images, labels), test = read_tensors(file)
    >>> images.shape, labels.tolist(), test
    ((2, 8, 8, 1), [3, 5], None)
    """
    name, place = (path, None) if expanded(path).exists() else split_place(path)
    file = expanded(name)
    check_regular(file)
    is_safetensors = file.suffix == ".safetensors"
    try:
        content = (
            _load_safetensors(file, place, image, label) if is_safetensors else _load_torch(file)
        )
        return _parts(content, file.stat().st_size, place, image, label)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    except DAMAGE as error:
        raise InputError(f"{file} cannot be read, or is damaged: {str(error)[:300]}") from error


def _load_safetensors(
    file: Path, place: str | None, image: str | int | None, label: str | int | None
) -> dict[str, Any]:
    """Read the tensors that are meant: a network's weights may be large, and are no dataset."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            train, test = part_names(sorted(opened.keys()), image, label, place=place)
            wanted = {name for part in (train, test) for name in part or () if name is not None}
            return {name: opened.get_tensor(name) for name in sorted(wanted)}
    except SafetensorError as error:
        raise InputError(f"it is no safetensors file, or is damaged: {error}") from None


def _load_torch(file: Path) -> Any:
    import pickle

    import torch

    _check_archive(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise InputError(
            "it holds Python objects, which are not loaded from files; save tensors alone, such "
            "as torch.save({'images': x, 'labels': y}, FILE)"
        ) from None


def _check_archive(file: Path) -> None:
    if not zipfile.is_zipfile(file):
        raise InputError(
            "it is no file of torch.save, or one of before torch 1.6: load it where it was made, "
            "and save it again"
        )
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            # torch never compresses; what does may unpack to any size.
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                raise InputError("its members are compressed, as torch never writes them")


def _parts(
    content: Any, n_bytes: int, place: str | None, image: Any, label: Any
) -> tuple[Pair, Pair | None]:
    if isinstance(content, Mapping):
        named = dict(_flattened(content))
        parts = part_names(list(named), image, label, place=place)
        train, test = (None if part is None else _pair(named, part, n_bytes) for part in parts)
        assert train is not None
        return train, test
    if place is not None:
        raise InputError(f"it holds no names, and ::{place} is one; leave it out")
    if _is_tensor(content):
        content = (content,)
    if not isinstance(content, tuple | list) or not content:
        raise InputError(
            f"it holds a {type(content).__name__}; needed: a tensor, a pair of images and labels, "
            "or a mapping with images and labels"
        )
    if label is None and len(content) == 2 and image in (None, 0):
        label = 1
    if label is None and len(content) > 2:
        raise InputError(f"it holds {len(content)} things: pass label=, such as label=1")
    for role, place in {"image": image, "label": label}.items():
        if place is not None and not (isinstance(place, int) and 0 <= place < len(content)):
            raise InputError(f"{role}={place!r}: it holds {len(content)}, counted from 0")
    labels = None if label is None else _labels(content[label], n_bytes)
    return (_images(content[image or 0], n_bytes), labels), None


def _flattened(content: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Give what mappings within mappings hold, with the names of those before its own."""
    waiting, seen = [("", content)], set()
    while waiting:
        before, group = waiting.pop(0)
        # One may hold itself, or stand in several.
        if id(group) in seen:
            continue
        seen.add(id(group))
        for name, one in group.items():
            if isinstance(one, Mapping):
                waiting.append((f"{before}{name}/", one))
            else:
                yield f"{before}{name}", one


def _pair(content: Mapping[str, Any], names: Names, n_bytes: int) -> Pair:
    images, labels = names
    given = None if labels is None else _labels(content[labels], n_bytes)
    return _images(content[images], n_bytes), given


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "numel")


def _images(tensor: Any, n_bytes: int) -> Array:
    return channels_last(_array(tensor, n_bytes))


def _array(tensor: Any, n_bytes: int) -> Array:
    if not _is_tensor(tensor):
        raise InputError(f"it holds a {type(tensor).__name__} where a tensor is needed")
    if str(tensor.layout) != "torch.strided" or tensor.is_quantized:
        raise InputError("it holds a sparse or quantized tensor; save a plain one")
    # Strides of zero let a small file claim any size.
    if tensor.numel() * tensor.element_size() > n_bytes:
        raise InputError(f"it claims a tensor of shape {tuple(tensor.shape)}, more than it holds")
    return tensor_to_array(tensor)


def _labels(value: Any, n_bytes: int) -> Array:
    return _array(value, n_bytes) if _is_tensor(value) else np.asarray(value)


def channels_last(images: Array) -> Array:
    """Move the channels of tensors last, where these come first.

    Parameters
    ----------
    images : ndarray of shape (n, c, h, w) or (n, h, w, c), or of others
        Of 4 axes, channels are first unless only the last can be theirs.

    Returns
    -------
    ndarray
        A view.

    Examples
    --------
    >>> channels_last(np.zeros((2, 3, 8, 9))).shape, channels_last(np.zeros((2, 8, 9, 3))).shape
    ((2, 8, 9, 3), (2, 8, 9, 3))
    """
    if images.ndim != 4:
        return images
    last_alone = images.shape[-1] <= MOST_CHANNELS < images.shape[1]
    return images if last_alone else np.moveaxis(images, 1, -1)
