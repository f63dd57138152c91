"""What a dataset calls its samples: the file of each, or a key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from proxysample.data.fields import FieldView
from proxysample.data.shards import TarImages
from proxysample.data.tables import is_frame, is_huggingface
from proxysample.errors import InputError

# Columns by which tables in the wild name their samples, the first that there is.
FILE_COLUMNS = ("file", "path", "file_path", "filepath", "file_name", "filename")
KEY_COLUMNS = ("key", "__key__", "id", "image_id", "sample_id")


@dataclass(frozen=True)
class Keys:
    """One name a sample.

    Attributes
    ----------
    values : tuple of str
        By index.
    kind : {"file", "key"}
        Whether they are paths of files, each of which holds one sample.
    root : str, optional
        The folder that the files lie in, at any depth.
    """

    values: tuple[str, ...]
    kind: Literal["file", "key"]
    root: str | None = None


def keys_of(dataset: Any) -> Keys | None:
    """Give what a dataset calls its samples, without reading one.

    Files are those of an attribute ``files``, torchvision's ``samples`` or ``imgs``, or a table's
    column ``file``, ``path``, ``file_path`` or ``file_name``; keys those of an attribute ``keys``,
    a table's column ``key``, ``__key__``, ``id``, ``image_id`` or ``sample_id``, or the index of
    a pandas frame that is more than a count. Subset and ConcatDataset are looked through.

    Parameters
    ----------
    dataset : object
        Any dataset.

    Returns
    -------
    Keys or None
        None where it calls them nothing.

    Examples
    --------
    >>> class Photos:
    ...     files = ("a.png", "b.png")
    ...     def __len__(self): return 2
    >>> keys_of(Photos()).values
    ('a.png', 'b.png')
    """
    if dataset is None or isinstance(dataset, np.ndarray | list | tuple):
        return None
    if isinstance(dataset, FieldView):
        return keys_of(dataset.dataset)
    if hasattr(dataset, "dataset") and hasattr(dataset, "indices"):
        whole = keys_of(dataset.dataset)
        if whole is None:
            return None
        rows = np.asarray(dataset.indices, dtype=np.int64)
        return Keys(tuple(whole.values[row] for row in rows), whole.kind, whole.root)
    if hasattr(dataset, "datasets") and hasattr(dataset, "cumulative_sizes"):
        return _keys_of_parts(dataset.datasets)
    if is_huggingface(dataset):
        return _keys_in_columns(dataset, dataset.column_names)
    if is_frame(dataset):
        return _keys_of_frame(dataset)
    return _own_keys(dataset)


def _keys_of_parts(parts: Sequence[Any]) -> Keys | None:
    found = [keys_of(part) for part in parts]
    known = [keys for keys in found if keys is not None]
    if len(known) < len(found) or len({keys.kind for keys in known}) != 1:
        return None
    values = tuple(value for keys in known for value in keys.values)
    # Parts number their samples each by itself: keys that repeat tell nothing.
    return Keys(values, known[0].kind) if len(set(values)) == len(values) else None


def _own_keys(dataset: Any) -> Keys | None:
    try:
        size = len(dataset)
    # Whatever is wrong with it is told by who reads it.
    except Exception:
        return None
    if isinstance(dataset, TarImages):
        return Keys(_keys_in_shards(dataset), "key")
    files = _list_of(getattr(dataset, "files", None), size)
    if files is None:
        for name in ("samples", "imgs"):
            pairs = _list_of(getattr(dataset, name, None), size)
            if pairs and all(isinstance(pair, tuple) and _is_path(pair[0]) for pair in pairs):
                files = [pair[0] for pair in pairs]
                break
    if files is not None and all(_is_path(file) for file in files):
        paths = tuple(os.fspath(file) for file in files)
        return Keys(paths, "file", _root_of(dataset, paths))
    keys = _list_of(getattr(dataset, "keys", None), size)
    return None if keys is None else Keys(tuple(str(key) for key in keys), "key")


def _keys_in_shards(dataset: TarImages) -> tuple[str, ...]:
    keys = dataset.keys
    if len(set(keys)) == len(keys):
        return keys
    # Many a writer counts anew in each shard.
    shards = [place.shard.name for place in dataset.places]
    return tuple(f"{shard}/{key}" for shard, key in zip(shards, keys, strict=True))


def _root_of(dataset: Any, files: Sequence[str]) -> str | None:
    root: Any = getattr(dataset, "root", None)
    if _is_path(root):
        return str(Path(root))
    # The folder that a single class has in common is the class's own.
    classes = _list_of(getattr(dataset, "classes", None), 1)
    if classes is None or not files:
        return None
    folders = {absolute(file).parent for file in files}
    is_class = len(folders) == 1 and {folder.name for folder in folders} == {classes[0]}
    return str(folders.pop().parent) if is_class else None


def absolute(file: str) -> Path:
    """Give a path from the root on, without dots; links on the way stay links."""
    return Path(os.path.normpath(Path(file).absolute()))


def _list_of(found: Any, size: int) -> list[Any] | None:
    if isinstance(found, str | bytes) or callable(found) or not isinstance(found, Iterable):
        return None
    return list(found) if isinstance(found, Sized) and len(found) == size else None


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str)


def _keys_of_frame(frame: Any) -> Keys | None:
    names = [str(name) for name in getattr(frame, "columns", ())]
    found = _keys_in_columns(frame, names)
    if found is not None:
        return found
    index = frame.index
    if list(index) == list(range(len(frame))):
        return None
    return Keys(tuple(str(key) for key in index), "key") if index.is_unique else None


def _keys_in_columns(table: Any, names: Sequence[str]) -> Keys | None:
    for column in FILE_COLUMNS:
        if column in names:
            values = list(table[column])
            if all(_is_path(value) for value in values):
                return Keys(tuple(os.fspath(value) for value in values), "file")
    for column in KEY_COLUMNS:
        if column in names:
            values = list(table[column])
            if all(isinstance(value, str | int | np.integer) for value in values):
                return Keys(tuple(str(value) for value in values), "key")
    return None


def check_text(keys: Keys, *, by_line: bool) -> None:
    """Refuse names that no text file can hold, or none that holds one a line.

    Raises
    ------
    InputError
        Naming the first, and what to do.
    """
    for index, value in enumerate(keys.values):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"the {keys.kind} of sample {index}, {value!a}, is no UTF-8 and cannot be "
                "written as text; rename it, or write indices as .npy or make a folder by "
                "--link-to"
            ) from None
        if by_line and ("\n" in value or "\r" in value):
            raise InputError(
                f"the {keys.kind} of sample {index}, {value!r}, has a line break in it; rename it"
            )


def indices_of(names: Sequence[str], keys: Keys | None, what: str) -> list[int]:
    """Find samples by their names; a file may be named by the end of its path, from a folder on.

    Parameters
    ----------
    names : sequence of str
    keys : Keys or None
        Of the dataset.
    what : str
        Who names them, for messages.

    Raises
    ------
    InputError
        If a name fits no sample or several, or the dataset has no names.
    """
    if keys is None:
        raise InputError(
            f"{what} names samples such as {names[0]!r}, and the dataset has no files or keys; "
            "give indices"
        )
    by_name: dict[str, list[int]] = {}
    for index, value in enumerate(keys.values):
        by_name.setdefault(value, []).append(index)
    by_end: dict[str, list[int]] | None = None
    found = []
    for name in names:
        fitting = by_name.get(name)
        if fitting is None and keys.kind == "file":
            by_end = _by_ends(keys.values) if by_end is None else by_end
            fitting = by_end.get(os.path.normpath(name))
        if not fitting:
            hint = (
                f"; a list names samples by their {keys.kind}s alone, or by indices alone"
                if name.isdecimal() and len(names) > 1
                else ""
            )
            raise InputError(f"{what} names {name!r}, which is no {keys.kind} of the dataset{hint}")
        if len(fitting) > 1:
            raise InputError(
                f"{what} names {name!r}, which fits samples {fitting[0]} and {fitting[1]}; give "
                "more of the path, or indices"
            )
        found.append(fitting[0])
    return found


def _by_ends(files: Sequence[str]) -> dict[str, list[int]]:
    ends: dict[str, list[int]] = {}
    for index, file in enumerate(files):
        # Of an absolute path, so that whatever part of it was named fits.
        parts = absolute(file).parts
        for start in range(len(parts)):
            ends.setdefault(str(Path(*parts[start:])), []).append(index)
    return ends
