"""Image files that do not decode, found and left out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from proxysample.data.image_files import ImageFiles, on_threads, progress_bar
from proxysample.data.images import read_image
from proxysample.errors import InputError, ProxysampleWarning

OnError = Literal["stop", "skip"]


class BrokenImageWarning(ProxysampleWarning):
    """Images that do not decode were left out; the message names each by index and file."""


def without_broken(root: Path, dataset: ImageFiles) -> ImageFiles:
    """Decode each file once, with a progress bar at a terminal, and leave out those that do not.

    Parameters
    ----------
    root : Path
        For the warning.
    dataset : ImageFiles

    Returns
    -------
    ImageFiles
        The images that follow one that is left out move up, and so indices count the images that
        do decode; `ImageFiles.files` tells the file of each. Classes stay as they are.

    Raises
    ------
    InputError
        If none decodes.

    Warns
    -----
    BrokenImageWarning
        Once, if files were left out.
    """
    broken = _find_broken(dataset.files)
    if not broken:
        return dataset
    _tell_of_broken(root, broken, len(dataset))
    kept = [index for index in range(len(dataset)) if index not in broken]
    if not kept:
        raise InputError(f"no image in {root} decodes")
    targets = None if dataset.targets is None else dataset.targets[kept]
    return ImageFiles([dataset.files[index] for index in kept], targets, dataset.classes)


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
        stacklevel=3,
    )
