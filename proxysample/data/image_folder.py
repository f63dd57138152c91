"""Image folders: one folder a class, decoded with Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError

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
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    classes: list[str]


def read_image_folder(root: Path) -> ImageFolder:
    """Decode every image of a folder of class folders.

    Parameters
    ----------
    root : Path
        Holds one folder a class. Grey images stay grey where all are; else all become RGB.

    Returns
    -------
    ImageFolder

    Raises
    ------
    InputError
        If there are no classes, a class is empty, a file does not decode or sizes differ.
    """
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
    return ImageFolder(
        images=_decode_files(files),
        labels=np.array(labels, dtype=np.int64),
        classes=[folder.name for folder in folders],
    )


def _decode_files(files: list[Path]) -> npt.NDArray[np.uint8]:
    decoded = [_decode_file(file) for file in files]
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
        with Image.open(file) as image:
            grey = image.mode in ("1", "L", "LA")
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{file} does not decode as an image: {error}") from error
    return pixels[..., np.newaxis] if grey else pixels


def _size(image: npt.NDArray[Any]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
