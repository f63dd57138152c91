"""Tensors and arrays saved as .npy, .pt and .safetensors: mapped where they can be, never run."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.data.decoding import tensor_to_array
from proxysample.errors import InputError, unknown_name
from proxysample.files import check_regular, map_npy, read_npy

Array = npt.NDArray[Any]

# Names under which files in the wild keep images or features, and then labels.
IMAGE_KEYS = (
    "images", "x", "X", "data", "features", "embeddings",
    "train_images", "x_train", "train_data",
)  # fmt: skip
LABEL_KEYS = (
    "labels", "y", "targets", "target", "label",
    "train_labels", "y_train", "train_targets",
)  # fmt: skip
TEST_IMAGE_KEYS = ("test_images", "x_test", "test_data")
TEST_LABEL_KEYS = ("test_labels", "y_test", "test_targets")

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
        return map_npy(Path(path).expanduser()), None
    return map_npy(Path(f"{images}.npy").expanduser()), read_npy(Path(labels).expanduser())


def only_name(names: Sequence[str], known: Sequence[str], role: str) -> str | None:
    """Find the array that a usual name is of; None where there is none.

    Raises
    ------
    InputError
        If several may be meant.

    Examples
    --------
    >>> only_name(["x", "weights"], IMAGE_KEYS, "image")
    'x'
    """
    found = [name for name in known if name in names]
    if len(found) > 1:
        choices = " or ".join(f"{role}={name!r}" for name in found)
        raise InputError(f"it holds {' and '.join(found)}, which may each be meant: pass {choices}")
    return found[0] if found else None


def train_names(
    names: Sequence[str], image: Any, label: Any, *, takes_any: bool = False
) -> tuple[str, str | None]:
    """Tell which arrays are images, or features, and labels: those named, or of usual names.

    Parameters
    ----------
    names : sequence of str
        Of all arrays.
    image, label : str, int or None
        As they were named.
    takes_any : bool
        Whether an array without others is taken whatever its name is.

    Raises
    ------
    InputError
        If there is no such array, or several may be meant.

    Examples
    --------
    >>> train_names(["photos", "species", "weights"], "photos", "species")
    ('photos', 'species')
    >>> train_names(["anything"], None, None, takes_any=True)
    ('anything', None)
    """
    for role, name in {"image": image, "label": label}.items():
        if name is not None and str(name) not in names:
            raise unknown_name(f"array for {role}=", name, names)
    labels = only_name(names, LABEL_KEYS, "label") if label is None else str(label)
    if image is not None:
        return str(image), labels
    others = [name for name in names if name != labels]
    images = only_name(others, IMAGE_KEYS, "image")
    if images is None and len(others) == 1 and takes_any:
        images = others[0]
    if images is None:
        listed = ", ".join(names[:9]) or "nothing"
        raise InputError(f"it holds {listed}; needed: images and labels, or pass image= and label=")
    return images, labels


def read_tensors(
    path: str, *, image: str | int | None = None, label: str | int | None = None
) -> tuple[Pair, Pair | None]:
    """Read the tensors of a file that ``torch.save`` or safetensors wrote.

    Nothing in the file is run: what ``torch.load(weights_only=True)`` does not read is refused.

    Parameters
    ----------
    path : str
        ``.pt`` or ``.pth``: a tensor, a pair of tensors (images, labels), or a mapping with such
        names as ``images`` and ``labels``. ``.safetensors``: such a mapping.
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
    file = Path(path).expanduser()
    check_regular(file)
    is_safetensors = file.suffix == ".safetensors"
    try:
        named = {str(name) for name in (image, label) if name is not None}
        content = _load_safetensors(file, named) if is_safetensors else _load_torch(file)
        return _parts(content, file.stat().st_size, image, label)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    except DAMAGE as error:
        raise InputError(f"{file} cannot be read, or is damaged: {str(error)[:300]}") from error


def _load_safetensors(file: Path, named: set[str]) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            names = set(opened.keys())
            known = {*IMAGE_KEYS, *LABEL_KEYS, *TEST_IMAGE_KEYS, *TEST_LABEL_KEYS, *named}
            # A network's weights may be large, and are no dataset.
            wanted = names & known or names
            if len(wanted) > len(known):
                raise InputError(f"it holds {len(names)} tensors; needed: images and labels")
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


def _parts(content: Any, n_bytes: int, image: Any, label: Any) -> tuple[Pair, Pair | None]:
    if isinstance(content, Mapping):
        return _named_parts(
            {str(name): one for name, one in content.items()}, n_bytes, image, label
        )
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


def _named_parts(
    content: Mapping[str, Any], n_bytes: int, image: Any, label: Any
) -> tuple[Pair, Pair | None]:
    def pair(images: str, labels: str | None) -> Pair:
        given = None if labels is None else _labels(content[labels], n_bytes)
        return _images(content[images], n_bytes), given

    train = pair(*train_names(list(content), image, label))
    of_test = only_name(list(content), TEST_IMAGE_KEYS, "image")
    if of_test is None or image is not None or label is not None:
        return train, None
    return train, pair(of_test, only_name(list(content), TEST_LABEL_KEYS, "label"))


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
