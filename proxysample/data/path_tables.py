"""Tables and lists of image files: pairs of path and label, as CSV, frames or plain lists."""

from __future__ import annotations

import csv
import math
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.checks import LARGEST_INTEGER, has_attributes, is_integer
from proxysample.data.folders import SUFFIXES
from proxysample.data.image_files import ImageFiles, UndecidedFiles
from proxysample.data.labels import Unsure
from proxysample.data.tables import IMAGE_COLUMNS, LABEL_COLUMNS, is_foreign
from proxysample.errors import InputError, MissingDependencyError, unknown_name
from proxysample.files import check_regular, expanded, leads_out
from proxysample.printing import shown

Array = npt.NDArray[Any]

PATH_COLUMNS = (
    "path", "file", "filename", "file_name", "filepath", "file_path",
    "image_path", "img_path", "image_file", *IMAGE_COLUMNS,
)  # fmt: skip
CLASS_COLUMNS = (*LABEL_COLUMNS, "class", "class_name", "category")

# No line of a list of files is longer; one that is would be read into memory whole.
MOST_CHARACTERS_PER_FIELD = 1 << 17

_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")


def read_paths(
    table: Any, *, root: str | Path | None = None, path: Any = None, label: Any = None
) -> ImageFiles:
    """Make a dataset of a list or table of image files.

    Parameters
    ----------
    table : list of path, list of (path, label), or a frame of pandas, polars or pyarrow
        Nothing is opened before it is asked for.
    root : path, optional
        Paths are relative to it, and one that leaves it is refused. By default paths are taken as
        they are, relative ones from the current folder.
    path, label : str, optional
        The columns; by default those whose names leave no doubt.

    Returns
    -------
    ImageFiles
        With labels where there are any.

    Raises
    ------
    InputError
        If there are no paths, a path is none, or it leaves `root`. Where several columns may hold
        the paths, who asks for an image is refused.

    Examples
    --------
    >>> photos = read_paths([("a.png", "cat"), ("b.png", "dog")], root="photos")
    >>> photos.files, photos.targets.tolist()
    ((PosixPath('photos/a.png'), PosixPath('photos/b.png')), ['cat', 'dog'])
    """
    if not is_table(table):
        return _dataset(*_pairs(table), root)
    columns = frame_columns(table)
    paths, labels = _chosen_columns(columns, path, label)
    return _dataset(paths, labels, root, _others(columns, path))


def read_csv(
    file: str | Path,
    root: str | Path | None = None,
    *,
    path: str | int | None = None,
    label: str | int | None = None,
) -> ImageFiles:
    """Read a CSV file of paths and labels, with a header or of these two columns alone.

    Parameters
    ----------
    file : path
        UTF-8; separated by commas, semicolons or tabs.
    root : path, optional
        What paths are relative to, and must not leave; by default the folder of the file. ``"/"``
        lets them lead anywhere.
    path, label : str or int, optional
        The columns, or their positions; by default those whose names leave no doubt.

    Returns
    -------
    ImageFiles

    Raises
    ------
    InputError
        If the file is missing or no such table, or see `read_paths`.
    """
    file = expanded(file)
    root = file.parent if root is None else expanded(root)
    columns = _csv_columns(file)
    try:
        paths, labels = _chosen_columns(columns, _named(columns, path), _named(columns, label))
        labels = as_numbers(labels) if isinstance(labels, list) else labels
        return _dataset(paths, labels, root, _others(columns, _named(columns, path)))
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def read_csv_features(
    file: str | Path, features: Any = None, label: str | int | None = None
) -> tuple[Array, Any] | UndecidedFiles | None:
    """Read a CSV file of numbers, one row a sample.

    Parameters
    ----------
    file : path
        See `read_csv`.
    features : str, int or list of these, optional
        The columns; by default all but the one of labels, where none of these is of images.
    label : str or int, optional
        The column of labels; by default the one whose name leaves no doubt.

    Returns
    -------
    features : ndarray of shape (n, d), float64
    labels : list, Unsure or None
        Or None alone, where there is a column of images; or samples that stop who reads features,
        where it is not sure which columns these are.

    Raises
    ------
    InputError
        If a column holds no numbers, or see `read_csv`.
    """
    file = expanded(file)
    columns = _csv_columns(file)
    try:
        named = _named(columns, label)
        found = _class_columns(columns) if named is None else [named]
        labels = _labels_of(columns, named, found)
        labels = as_numbers(labels) if isinstance(labels, list) else labels
        several = features if isinstance(features, list | tuple) else [features]
        if features is None:
            others = [name for name in columns if name not in found]
            if path_columns({name: columns[name] for name in others}):
                return None
            if isinstance(labels, Unsure):
                # Nor is it sure which are features.
                return UndecidedFiles(len(columns[found[0]]), labels.reason, labels)
            chosen = others
        else:
            chosen = [str(_named(columns, one)) for one in several]
        if not chosen:
            raise InputError("it has no column of features or of paths")
        rows = np.column_stack([_numbers(columns[name], name, columns) for name in chosen])
        return rows, labels
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _named(columns: Mapping[str, Any], field: str | int | None) -> str | None:
    if field is None:
        return None
    names = list(columns)
    # Python writes no integer of thousands of digits.
    if not isinstance(field, str) and (not is_integer(field) or abs(field) > LARGEST_INTEGER):
        raise unknown_name("column", field, names)
    if str(field) in names:
        return str(field)
    if isinstance(field, int) and -len(names) <= field < len(names):
        return names[field]
    raise unknown_name("column", field, names)


def _numbers(values: list[str], name: str, columns: Mapping[str, Any]) -> Array:
    try:
        # What is empty is missing.
        return np.array([float(value) if value.strip() else math.nan for value in values])
    except ValueError:
        raise InputError(
            f"none of the columns {', '.join(columns)} holds paths of images, and {name!r} no "
            "numbers: pass image= (the column of paths), or features= and label="
        ) from None


def _csv_columns(file: Path) -> dict[str, list[str]]:
    """Read a table, each column by its name in the header."""
    rows = _csv_rows(file)
    if not rows:
        raise InputError(f"{file} is empty")
    header, first = rows[0], 1
    if any(_is_image_name(cell) for cell in header):
        if len(header) > 2:
            raise InputError(
                f"{file} has no header and {len(header)} columns; name them in a first line, such "
                "as path,label"
            )
        header, first = ["path", "label"][: len(header)], 0
    for number, row in enumerate(rows[first:], start=first + 1):
        if len(row) != len(header):
            raise InputError(
                f"{file}: row {number} has {len(row)} fields, and the first {len(header)}"
            )
    columns = {name.strip(): [row[n] for row in rows[first:]] for n, name in enumerate(header)}
    if len(rows) == first:
        raise InputError(f"{file} is empty but for its header")
    if len(columns) < len(header):
        raise InputError(f"{file} names a column twice: {', '.join(header)}")
    return columns


def as_numbers(labels: list[str]) -> list[Any]:
    """Turn texts into integers, where all are such as these are written; empty ones are missing.

    Examples
    --------
    >>> as_numbers(["0", "10"]), as_numbers(["0", "007"]), as_numbers(["cat", ""])
    ([0, 10], ['0', '007'], ['cat', None])
    """
    known = [label for label in labels if label.strip()]
    is_numbers = all(_INTEGER.fullmatch(label) for label in known)
    return [(int(label) if is_numbers else label) if label.strip() else None for label in labels]


def _csv_rows(file: Path) -> list[list[str]]:
    check_regular(file)
    before = csv.field_size_limit(MOST_CHARACTERS_PER_FIELD)
    try:
        # utf-8-sig: spreadsheets put a mark in front.
        with file.open(encoding="utf-8-sig", newline="") as stream:
            line = stream.readline(MOST_CHARACTERS_PER_FIELD)
            delimiter = max(",;\t", key=line.count)
            stream.seek(0)
            return [row for row in csv.reader(stream, delimiter=delimiter, strict=True) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{file} is no table of text, or is damaged: {error}") from None
    finally:
        csv.field_size_limit(before)


def is_table(value: Any) -> bool:
    """Tell whether a value is a frame of pandas, polars or pyarrow, without importing these.

    Examples
    --------
    >>> is_table([1, 2])
    False
    """
    name = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    return name in ("pandas.DataFrame", "polars.DataFrame", "pyarrow.Table") or (
        has_attributes(value, "iloc", "columns", "to_numpy")
    )


def as_pandas(table: Any) -> Any:
    """Turn a frame of polars or pyarrow into one of pandas, column by column.

    Raises
    ------
    InputError
        If it is one that has not been computed.
    MissingDependencyError
        If pandas is not installed.
    """
    if type(table).__name__ == "LazyFrame":
        raise InputError("a LazyFrame has no rows yet: pass its collect()")
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError(
            "frames of polars and pyarrow are read by way of pandas: "
            "pip install 'proxysample[pandas]'"
        ) from error
    if type(table).__name__ in ("Series", "ChunkedArray"):
        return pd.Series(_plain_column(table))
    is_polars = type(table).__module__.partition(".")[0] == "polars"
    names = list(table.columns if is_polars else table.column_names)
    if len(set(names)) < len(names):
        raise InputError(f"the table names a column twice: {', '.join(names)}")
    return pd.DataFrame({name: _plain_column(table[name]) for name in names})


def _plain_column(column: Any) -> Any:
    if hasattr(column, "to_pylist"):  # pyarrow's
        kind = str(column.type)
        plain = column.null_count == 0 and kind.startswith(("int", "uint", "float", "double"))
        return column.to_numpy() if plain else column.to_pylist()
    plain = column.null_count() == 0 and column.dtype.is_numeric()
    return column.to_numpy() if plain else column.to_list()


def frame_columns(table: Any) -> Mapping[str, Any]:
    """Give the columns of a frame by name."""
    frame = as_pandas(table) if is_foreign(table) else table
    return {str(name): frame.iloc[:, place] for place, name in enumerate(frame.columns)}


@dataclass(frozen=True)
class _Undecided:
    """Why it is not sure which column holds the paths."""

    reason: str
    n_samples: int


def _dataset(
    paths: list[Any] | _Undecided,
    labels: Any,
    root: str | Path | None,
    others: Sequence[str] = (),
) -> ImageFiles:
    if isinstance(paths, _Undecided):
        return UndecidedFiles(paths.n_samples, paths.reason, labels)
    made = ImageFiles(_files(paths, root), labels)
    made.other_columns = others
    return made


def _others(columns: Mapping[str, Any], path: Any) -> list[str]:
    found = path_columns(columns) if path is None else [path]
    return [name for name in columns if name not in found]


def path_columns(columns: Mapping[str, Any]) -> list[str]:
    """List the columns that may hold the paths of images.

    Parameters
    ----------
    columns : mapping
        Values by name.
    """
    known = _known(columns)
    found = [known[name] for name in PATH_COLUMNS if name in known]
    found = [name for name in found if _holds_paths(columns[name])]
    if not found:
        found = [name for name in columns if _holds_image_names(columns[name])]
    return found


def _holds_paths(values: Iterable[Any]) -> bool:
    first = next(iter(values), None)
    return isinstance(first, str | os.PathLike)


def _holds_image_names(values: Iterable[Any]) -> bool:
    head = list(islice(values, 8))
    return bool(head) and all(_is_image_name(value) for value in head)


# What Pillow reads beside: torchvision's folders pass it over, and who lists it means it.
MORE_SUFFIXES = (".gif", ".jfif", ".jpe", ".jp2", ".avif", ".tga", ".dib", ".ico", ".pnm", ".pbm")


def _is_image_name(value: Any) -> bool:
    is_path = isinstance(value, str | os.PathLike)
    return is_path and os.fspath(value).lower().endswith((*SUFFIXES, *MORE_SUFFIXES))


def _is_among(name: Any, columns: Mapping[str, Any]) -> bool:
    try:
        return name in columns
    # What has no hash, or will not be compared, is no name.
    except Exception:
        return False


def _chosen_columns(
    columns: Mapping[str, Any], path: Any, label: Any
) -> tuple[list[Any] | _Undecided, Any]:
    for name in (path, label):
        if name is not None and not _is_among(name, columns):
            raise unknown_name("column", name, columns)
    found = path_columns(columns) if path is None else [path]
    if not found:
        raise InputError(
            f"none of the columns {', '.join(columns)} holds paths of images; name it path"
        )
    labels = _labels_of(columns, label, _class_columns(columns, found))
    paths = list(columns[found[0]])
    if len(found) > 1:
        reason = (
            f"the columns {' and '.join(found)} may each be the paths: pass "
            f"image={found[0]!r} (or path= to read_paths and read_csv), or leave one out"
        )
        return _Undecided(reason, len(paths)), labels
    return paths, labels


def _known(columns: Iterable[str]) -> dict[str, str]:
    """Give columns by their names in small letters and without spaces."""
    return {re.sub(r"[\s-]+", "_", name.strip().lower()): name for name in columns}


def _class_columns(columns: Iterable[str], others: Iterable[str] = ()) -> list[str]:
    known = _known(columns)
    return [known[name] for name in CLASS_COLUMNS if name in known and known[name] not in others]


def _labels_of(columns: Mapping[str, Any], named: str | None, found: list[str]) -> Any:
    """Give the labels of a table: None where there are none, `Unsure` where several may be it."""
    if named is None and len(found) > 1:
        return Unsure(
            f"the columns {' and '.join(found)} may each be the labels: pass "
            f"label={found[0]!r}, or leave one out"
        )
    column = named or next(iter(found), None)
    return None if column is None else list(columns[column])


def is_list_of_paths(value: Any) -> bool:
    """Tell whether a value is a list of image files, or of pairs of these and labels.

    Examples
    --------
    >>> is_list_of_paths(["a.png", "b.png"]), is_list_of_paths([("a.png", 1)])
    (True, True)
    >>> is_list_of_paths(["cat", "dog"])
    False
    """
    if not isinstance(value, list | tuple) or not value:
        return False
    first = value[0]
    if isinstance(first, tuple | list) and len(first) == 2:
        first = first[0]
    return isinstance(first, os.PathLike) or _is_image_name(first)


def _pairs(table: Any) -> tuple[list[Any], list[Any] | None]:
    if not isinstance(table, list | tuple):
        raise InputError(
            f"a {type(table).__name__} is no list of paths; needed: a list of paths, a list of "
            "(path, label), or a frame with a column of paths"
        )
    paired = [isinstance(item, tuple | list) for item in table]
    if not any(paired):
        return list(table), None
    for index, item in enumerate(table):
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise InputError(f"sample {index} is {shown(item)}, and others are (path, label)")
    return [item[0] for item in table], [item[1] for item in table]


def _files(paths: Sequence[Any], root: str | Path | None) -> list[Path]:
    base = None if root is None else expanded(root)
    # Once, not for each file.
    home = None if base is None else Path(os.path.realpath(base))
    return [_file(path, index, base, home) for index, path in enumerate(paths)]


def _file(path: Any, index: int, base: Path | None, home: Path | None) -> Path:
    try:
        text = os.fspath(path)
    # Of no path, or whatever anyone's path raises.
    except Exception:
        text = ""
    if not isinstance(text, str) or not text or "\0" in text:
        raise InputError(f"sample {index}: {shown(path)} is no path of a file")
    file = expanded(text) if base is None else base / text
    if _is_special(file):
        raise InputError(f"sample {index}: {text!r:.200} is no regular file")
    # Links count by where they lead.
    if home is not None and leads_out(file, home):
        raise InputError(
            f"sample {index}: {text!r:.200} leads out of {base}; move the file there, "
            "or name a folder that holds all files by root=, as in csv,root=FOLDER:FILE or "
            "proxysample.data.read_csv(FILE, root=FOLDER)"
        )
    return file


def _is_special(file: Path) -> bool:
    """Tell whether a path leads to a folder, or to a pipe, which would be waited for forever."""
    try:
        return not stat.S_ISREG(file.stat().st_mode)
    except (OSError, ValueError):
        # What is missing is told when it is read.
        return False
