"""Image folders: one folder a class, decoded with Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from proxysample.data.image_files import ImageFiles, on_threads, progress_bar
from proxysample.data.images import read_image
from proxysample.errors import InputError, unknown_name

OnError = Literal["stop", "skip"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})


class BrokenImageWarning(UserWarning):
    """Images that do not decode were left out; the message names each by index and file."""


def read_image_folder(root: Path, on_error: OnError = "stop") -> ImageFiles:
    """List the images of a folder of class folders; each is decoded when it is asked for.

    Parameters
    ----------
    root : Path
        Holds one folder a class.
    on_error : {"stop", "skip"}
        What to do where a file does not decode: stop who asks for it, or leave it out. To know
        which do not, each is decoded once, with a progress bar at a terminal; the images that
        follow move up, and so indices count the images that do decode; `ImageFiles.files` tells
        the file of each.

    Returns
    -------
    ImageFiles
        By class, then by file name.

    Raises
    ------
    InputError
        If there are no classes, or a class is empty.

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
    classes = [folder.name for folder in folders]
    if on_error == "stop":
        return ImageFiles(files, labels, classes)
    broken = _find_broken(files)
    kept = [index for index in range(len(files)) if index not in broken]
    if broken:
        _tell_of_broken(root, broken, len(files))
        left = {labels[index] for index in kept}
        empty = [folder for label, folder in enumerate(folders) if label not in left]
        if empty:
            raise InputError(f"class folder {empty[0]} holds no image that decodes")
    return ImageFiles([files[index] for index in kept], [labels[index] for index in kept], classes)


def _find_broken(files: Sequence[Path]) -> dict[int, str]:
    """Decode each file once, and tell by index what is wrong with those that do not decode."""
    broken = {}
    with progress_bar(len(files), "checking") as bar:
        for index, words in enumerate(on_threads(_fault, files)):
            if words is not None:
                broken[index] = words
            bar.update()
    return broken


def _fault(file: Path) -> str | None:
    try:
        read_image(file)
    except InputError as error:
        return str(error)
    return None


def _tell_of_broken(root: Path, broken: Mapping[int, str], n_files: int) -> None:
    listed = "; ".join(f"image {index}: {words}" for index, words in sorted(broken.items()))
    warnings.warn(
        f"{len(broken)} of {n_files} images in {root} left out, and indices count the others: "
        f"{listed}",
        BrokenImageWarning,
        stacklevel=2,
    )
