"""Arrays in HDF5 files and zarr stores, read by blocks; nothing outside of them is opened."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.data.array_names import (
    IMAGE_KEYS,
    LABEL_KEYS,
    TEST_IMAGE_KEYS,
    TEST_LABEL_KEYS,
    Names,
    part_names,
    split_place,
)
from proxysample.data.blocks import BlockArray
from proxysample.data.labels import Unsure
from proxysample.errors import InputError, MissingDependencyError
from proxysample.files import check_regular, expanded, leads_out, read_bounded
from proxysample.printing import shown

Array = npt.NDArray[Any]
Pair = tuple[BlockArray, Array | Unsure | None]

USUAL_NAMES = (*IMAGE_KEYS, *LABEL_KEYS, *TEST_IMAGE_KEYS, *TEST_LABEL_KEYS)

# Labels are read whole: this many are those of no dataset.
MOST_LABEL_BYTES = 1 << 33

# Codecs that turn bytes to bytes; others may unpickle, or call what a package of anyone registers.
PLAIN_CODECS = frozenset(
    {
        "blosc", "gzip", "zlib", "zstd", "lz4", "bz2", "lzma", "shuffle", "delta", "crc32",
        "crc32c", "adler32", "fletcher32", "bytes", "transpose", "sharding_indexed",
    }
)  # fmt: skip
PLAIN_TYPE = re.compile(
    r"[<>|]?(b1|[iuf][1248])|bool|u?int(8|16|32|64)|float(16|32|64)|[<>|][US][0-9]{1,6}"
)
MOST_METADATA_BYTES = 1 << 24
# Of groups within groups.
MOST_DEPTH = 32


class _LinkError(InputError):
    """An array is a link, which is not followed."""


def read_hdf5(
    path: str, *, image: str | None = None, label: str | None = None
) -> tuple[Pair, Pair | None]:
    """Open the images, or features, and labels of an HDF5 file.

    Parameters
    ----------
    path : str
        Holds datasets ``images`` and ``labels``, or of such names, or a single one; or in groups,
        of which ``train`` and ``test`` are the parts. ``FILE::GROUP`` and ``FILE::GROUP/NAME``
        name a group, or the images in it.
    image, label : str, optional
        The names of others that are meant, such as ``train/photos``; then there is no test part.

    Returns
    -------
    train : pair
        A `BlockArray`, and labels or None.
    test : pair or None

    Raises
    ------
    InputError
        If the file is missing, damaged or none of HDF5, holds no such dataset, or one that leads
        to other files.
    MissingDependencyError
        If h5py is not installed.
    """
    h5py = _imported("h5py", "hdf5")
    name, place = _parted(path)
    file = expanded(name)
    check_regular(file)
    try:
        opened = h5py.File(file, "r")
        names = sorted(_hdf5_names(opened, h5py))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"{file} is no HDF5 file, or is damaged: {error}") from None

    def find(name: str) -> Any:
        parts = name.split("/")
        for depth in range(len(parts)):
            link = opened.get("/".join(parts[: depth + 1]), getlink=True)
            # A link within the file may go on to another file.
            if not isinstance(link, h5py.HardLink):
                raise _LinkError(f"{name} is a link; put the array itself there")
        found = opened[name]
        if not isinstance(found, h5py.Dataset):
            return None
        if found.is_virtual or found.external:
            raise InputError(f"{name} leads to other files; copy it into one")
        return found

    return _opened_parts(str(file), names, find, place, image, label)


def read_zarr(
    path: str, *, image: str | None = None, label: str | None = None
) -> tuple[Pair, Pair | None]:
    """Open the images, or features, and labels of a zarr store.

    Parameters
    ----------
    path : str
        A folder: a group with arrays ``images`` and ``labels``, or of such names, or one array;
        or groups of them, which are named as those of HDF5 are.
    image, label : str, optional
        See `read_hdf5`.

    Returns
    -------
    train : pair
        A `BlockArray`, and labels or None.
    test : pair or None

    Raises
    ------
    InputError
        If the store is missing, damaged or none of zarr, holds no such array, or a codec that
        does more than pack numbers.
    MissingDependencyError
        If zarr is not installed.
    """
    path, place = _parted(path)
    folder = expanded(path)
    zarr = _imported("zarr", "zarr")
    if not folder.is_dir():
        what = "is a file; unpack it into a folder" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {what}")
    names = [""] if _is_zarr_array(folder) else sorted(_zarr_names(folder))
    root = Path(os.path.realpath(folder))
    # Links of other names are none of the arrays that are looked for.
    known = {*USUAL_NAMES, image, label}
    names += [
        one for one in _zarr_links(folder) if one in known or one.split("/")[-1].lower() in known
    ]

    def find(name: str) -> Any:
        if (folder / name).is_symlink():
            where = " that leads out of the store" if leads_out(folder / name, root) else ""
            raise _LinkError(f"{name} is a link{where}; put the array itself there")
        _check_codecs(folder / name)
        _check_files(folder / name, root)
        return zarr.open_array(str(folder / name), mode="r")

    try:
        return _opened_parts(str(folder), names, find, place, image, label)
    except InputError:
        # What is missing may be a link, which is no array of the store.
        _check_files(folder, root)
        raise


def _parted(path: str) -> tuple[str, str | None]:
    """Part a path from a place in it; a file may have such a name."""
    return (path, None) if os.path.lexists(expanded(path)) else split_place(path)


def _hdf5_names(opened: Any, h5py: Any) -> Iterator[str]:
    """Name what lies in groups within groups; links are named, and not followed."""
    waiting, seen = [("", opened)], set()
    while waiting:
        before, group = waiting.pop()
        # A group may hold itself, or stand in several.
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        for name in group:
            link = group.get(name, getlink=True)
            is_hard = isinstance(link, h5py.HardLink)
            if is_hard and group.get(name, getclass=True) is h5py.Group:
                waiting.append((f"{before}{name}/", group[name]))
            else:
                yield f"{before}{name}"


def _zarr_links(folder: Path, before: str = "") -> Iterator[str]:
    """Name the links to folders in groups within groups, which are not followed."""
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if entry.is_dir()]
    for entry in found:
        if entry.is_symlink():
            yield f"{before}{entry.name}"
        elif before.count("/") < MOST_DEPTH and not _is_zarr_array(Path(entry.path)):
            yield from _zarr_links(Path(entry.path), f"{before}{entry.name}/")


def _zarr_names(folder: Path, before: str = "") -> Iterator[str]:
    """Name the arrays in groups within groups."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    for name in names:
        if _is_zarr_array(folder / name):
            yield f"{before}{name}"
        elif before.count("/") < MOST_DEPTH:
            yield from _zarr_names(folder / name, f"{before}{name}/")


def _imported(package: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(
            f"a dataset {extra}:PATH needs the package {package}: "
            f"pip install 'proxysample[{extra}]'"
        ) from error


def _is_zarr_array(folder: Path) -> bool:
    if (folder / ".zarray").is_file():
        return True
    file = folder / "zarr.json"
    return file.is_file() and _metadata(file).get("node_type") == "array"


def _metadata(file: Path) -> Mapping[str, Any]:
    text = read_bounded(file, MOST_METADATA_BYTES)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged: {error}") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{file} does not describe an array")
    return content


def _check_codecs(folder: Path) -> None:
    """Look into the description of an array before zarr makes anything of it."""
    old = folder / ".zarray"
    content = _metadata(old if old.is_file() else folder / "zarr.json")
    if content.get("storage_transformers"):
        raise InputError(f"{folder}: its storage is transformed; save it as numbers")
    kind = content.get("dtype", content.get("data_type"))
    if not isinstance(kind, str) or PLAIN_TYPE.fullmatch(kind) is None:
        raise InputError(f"{folder}: its type {str(kind)[:80]!r} is none of numbers")
    for codec in _codecs(content):
        if codec not in PLAIN_CODECS:
            raise InputError(
                f"{folder}: it is packed by {shown(codec)}, which may do more than that; known: "
                f"{', '.join(sorted(PLAIN_CODECS))}"
            )


def _check_files(place: Path, root: Path) -> None:
    """Refuse chunks that are no files in the store: zarr would follow links anywhere, and wait."""
    if leads_out(place, root):
        raise InputError(f"{place} is a link that leads out of the store")
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _check_files(Path(entry.path), root)
            elif entry.is_symlink():
                if leads_out(entry.path, root):
                    raise InputError(f"{entry.path} is a link that leads out of the store")
                check_regular(entry.path)
            elif not entry.is_file():
                raise InputError(f"{entry.path} is no regular file")


def _codecs(content: Any) -> Iterator[str]:
    """Name every codec in a description, of any depth."""
    given: list[Any] = [content.get("compressor"), *(content.get("filters") or [])]
    waiting = [*given, *(content.get("codecs") or [])]
    while waiting:
        codec = waiting.pop()
        if codec is None:
            continue
        if not isinstance(codec, Mapping):
            yield str(codec)
            continue
        yield str(codec.get("id", codec.get("name")))
        inner = codec.get("configuration")
        if isinstance(inner, Mapping):
            waiting += [*(inner.get("codecs") or []), *(inner.get("index_codecs") or [])]


def _opened_parts(
    path: str,
    names: list[str],
    find: Callable[[str], Any],
    place: str | None,
    image: str | None,
    label: str | None,
) -> tuple[Pair, Pair | None]:
    try:
        train, test = part_names(names, image, label, place=place, takes_any=True)
        opened = _opened_pair(path, train, find)
        return opened, None if test is None else _opened_pair(path, test, find)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    # Whatever a library raises on a file that is damaged.
    except Exception as error:
        raise InputError(f"{path} cannot be read: {type(error).__name__}: {error}"[:500]) from error


def _opened_pair(path: str, names: Names, find: Callable[[str], Any]) -> Pair:
    images, labels = names
    block = _block(path, images, find)
    if labels is None:
        return block, None
    try:
        return block, _labels(labels, find)
    except _LinkError as error:
        # Who needs no labels is not stopped by where they are.
        return block, Unsure(f"{path}: {error}")


def _block(path: str, name: str, find: Callable[[str], Any]) -> BlockArray:
    found = find(name)
    if found is None:
        raise InputError(f"{name} is no array")
    return BlockArray(found, f"{path}/{name}" if name else path)


def _labels(name: str, find: Callable[[str], Any]) -> Array:
    found = find(name)
    if found is None or np.prod(found.shape, dtype=float) * found.dtype.itemsize > MOST_LABEL_BYTES:
        raise InputError(f"{name} holds no labels")
    # HDF5 keeps strings as bytes.
    labels = np.asarray(found.asstr()[:] if found.dtype.kind == "O" else found[:])
    return np.char.decode(labels, "utf-8") if labels.dtype.kind == "S" else labels
