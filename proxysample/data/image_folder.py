"""Image folders: one folder a class, decoded with Pillow."""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError, unknown_name

OnError = Literal["stop", "skip"]

# What Pillow and its readers of formats raise on files that are damaged or something else.
DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
)

# No deflated byte stands for more than 1,032, each of eight black or white pixels. A large image
# that claims more than that is refused before memory is taken.
LARGE_PIXELS = 1 << 22
MOST_PIXELS_PER_BYTE = 8 * 1_032

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})


@dataclass(frozen=True)
class ImageFolder:
    """A decoded image folder.

    Attributes
    ----------
    images : ndarray of shape (n, h, w, c), uint8
        By class, then by file name.
    labels : ndarray of shape (n,), int64
    classes : list of str
        Folder names, sorted.
    files : list of Path
        The file of each image.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    classes: list[str]
    files: list[Path]


class BrokenImageWarning(UserWarning):
    """Images that do not decode were left out; the message names each by index and file."""


def read_image_folder(root: Path, on_error: OnError = "stop") -> ImageFolder:
    """Decode every image of a folder of class folders.

    Parameters
    ----------
    root : Path
        Holds one folder a class. Grey images stay grey where all are; else all become RGB.
    on_error : {"stop", "skip"}
        What to do where a file does not decode. Where it is skipped, the images that follow
        move up, and so indices count the images that do decode; `ImageFolder.files` tells the
        file of each.

    Returns
    -------
    ImageFolder

    Raises
    ------
    InputError
        If there are no classes, a class is empty, sizes differ, or a file does not decode and
        is not to be skipped; its index among all files is told.

    Warns
    -----
    BrokenImageWarning
        Once, if files were skipped.
    """
    if on_error not in get_args(OnError):
        raise unknown_name("way to treat an error", on_error, get_args(OnError))
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir())
    if not folders:
        raise InputError(f"{root} holds no class folders; needed: {root}/CLASS/IMAGE.png")
    files: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(folders):
        members = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
        if not members:
            raise InputError(
                f"class folder {folder} holds no images ({', '.join(sorted(SUFFIXES))})"
            )
        files += members
        labels += [label] * len(members)
    decoded, broken = _decode_files(files, on_error)
    if broken:
        _tell_of_broken(root, broken, len(files))
        left = {label for index, label in enumerate(labels) if index not in broken}
        empty = [folder for label, folder in enumerate(folders) if label not in left]
        if empty:
            raise InputError(f"class folder {empty[0]} holds no image that decodes")
    kept = [index for index in range(len(files)) if index not in broken]
    whole = [files[index] for index in kept]
    return ImageFolder(
        images=_stack(whole, decoded),
        labels=np.array(labels, dtype=np.int64)[kept],
        classes=[folder.name for folder in folders],
        files=whole,
    )


def _tell_of_broken(root: Path, broken: dict[int, str], n_files: int) -> None:
    listed = "; ".join(f"image {index}: {words}" for index, words in broken.items())
    warnings.warn(
        f"{len(broken)} of {n_files} images in {root} left out, and indices count the others: "
        f"{listed}",
        BrokenImageWarning,
        stacklevel=2,
    )


def _decode_files(
    files: list[Path], on_error: OnError
) -> tuple[list[npt.NDArray[np.uint8]], dict[int, str]]:
    """Decode files; what is broken is told by its index."""
    decoded = []
    broken = {}
    for index, file in enumerate(files):
        try:
            decoded.append(_decode_file(file))
        except InputError as error:
            if on_error == "stop":
                raise InputError(
                    f"image {index} of {len(files)}: {error}; repair or remove it, or leave such "
                    "images out with folder-skip-broken:PATH"
                ) from error
            broken[index] = str(error)
    return decoded, broken


def _stack(files: list[Path], decoded: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    if any(image.shape[2] == 3 for image in decoded):
        decoded = [np.broadcast_to(image, (*image.shape[:2], 3)) for image in decoded]
    size = decoded[0].shape[:2]
    for file, image in zip(files, decoded, strict=True):
        if image.shape[:2] != size:
            raise InputError(
                f"{file} is {_size(image)}, {files[0]} is {_size(decoded[0])}; "
                "resize all images to one size"
            )
    return np.stack(decoded)


def _decode_file(file: Path) -> npt.NDArray[np.uint8]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow warns of damaged notes beside the pixels, of which many a photograph has some.
            warnings.simplefilter("ignore", UserWarning)
            # Its warning of what may be a bomb is an error here, as larger ones are.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                _check_claim(file, image.width * image.height)
                grey = image.mode in ("1", "L", "LA")
                pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except DAMAGE as error:
        raise InputError(f"{file} does not decode as an image: {error}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{file} is far larger than an image for training: {error}") from error
    return pixels[..., np.newaxis] if grey else pixels


def _check_claim(file: Path, n_pixels: int) -> None:
    n_bytes = file.stat().st_size
    if n_pixels > max(LARGE_PIXELS, MOST_PIXELS_PER_BYTE * n_bytes):
        raise ValueError(f"it claims {n_pixels:,} pixels, more than {n_bytes:,} bytes can hold")


def _size(image: npt.NDArray[Any]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
