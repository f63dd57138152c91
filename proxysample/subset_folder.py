"""A kept set as a folder of its files, linked or copied."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from proxysample.data.keys import Keys, absolute
from proxysample.errors import InputError, unknown_name
from proxysample.files import check_writable, replace_folder
from proxysample.keeping import IntArray

Kind = Literal["symbolic", "hard", "copy"]


def check_folder(folder: str | Path, keys: Keys | None, kind: Kind) -> None:
    """Check, before any scoring, that a subset can be made as a folder.

    Raises
    ------
    InputError
        If the samples have no files, or the folder holds something or cannot be made.
    """
    if not isinstance(kind, str) or kind not in get_args(Kind):
        raise unknown_name("kind of link", kind, get_args(Kind))
    if keys is None or keys.kind != "file":
        raise InputError(
            f"the samples have no files of their own, so {folder} cannot be filled with them; "
            "write indices with -o instead"
        )
    check_empty(folder)
    if keys.root is not None:
        source = Path(os.path.realpath(keys.root))
        if Path(os.path.realpath(folder)).is_relative_to(source):
            raise InputError(
                f"{folder} lies in {keys.root}, the folder of the dataset, which would then hold "
                "the kept files twice; name a folder outside of it"
            )


def check_empty(folder: str | Path) -> None:
    """Refuse a folder that holds something, or that cannot be made."""
    path = Path(folder)
    if path.is_dir() and not path.is_symlink():
        if any(path.iterdir()):
            raise InputError(f"{path} exists and is not empty; name another folder, or empty it")
    elif os.path.lexists(path):
        raise InputError(f"{path} is there and is no folder; name another")
    check_writable(path.parent / f"{path.name}-")


def make_subset_folder(
    folder: str | Path, keys: Keys, indices: IntArray, kind: Kind = "symbolic"
) -> None:
    """Make a folder of the kept files, under the folders that they lie in.

    It is made beside its place and moved there in one step: killed in the middle, it is not
    there.

    Parameters
    ----------
    folder : str or Path
        New, or empty.
    keys : Keys
        The files of all samples. Their common folder becomes `folder`, so class folders stay.
    indices : ndarray of int64
        Which are kept.
    kind : {"symbolic", "hard", "copy"}
        Symbolic links name the files by absolute paths; hard links need one file system.

    Raises
    ------
    InputError
        If two files would have one name, one is missing, or see `check_folder`.
    """
    check_folder(folder, keys, kind)
    target = Path(folder)
    placed = _places(keys, indices)
    put = PUT[kind]
    with replace_folder(target) as temporary:
        for place, file in placed.items():
            _put_one(put, file, temporary / place)


def _put_one(put: Callable[[str, Path], object], file: str, place: Path) -> None:
    if not Path(file).is_file():
        raise InputError(f"{file} is no file any more; select again from the folder as it is now")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # Some file systems hold Cat.png and cat.png to be one name.
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, "another kept file has its name there")
        put(file, place)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{file} cannot be put into the folder: {reason}") from error


PUT: dict[Kind, Callable[[str, Path], object]] = {
    "symbolic": lambda file, place: place.symlink_to(file),
    # A link to what a link names: a hard link to a symbolic one would not be the file.
    "hard": lambda file, place: place.hardlink_to(Path(file).resolve()),
    "copy": shutil.copyfile,
}


def _places(keys: Keys, indices: IntArray) -> dict[str, str]:
    """Give the kept files by where they go, relative to the folder and never outside of it."""
    files = [absolute(value) for value in keys.values]
    root = _root(keys, files)
    placed: dict[str, str] = {}
    for index in indices.tolist():
        place = str(files[index].relative_to(root))
        if place in placed:
            raise InputError(
                f"{files[index]} is the file of two kept samples; a folder holds it once: write "
                "a list with -o instead"
            )
        placed[place] = str(files[index])
    return placed


def _root(keys: Keys, files: list[Path]) -> Path:
    common = Path(os.path.commonpath([file.parent for file in files]))
    # Another only where all files lie below it: no place may lead out of the folder.
    root = common if keys.root is None else absolute(keys.root)
    return root if common.is_relative_to(root) else common
