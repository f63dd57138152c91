"""Kept sets as files: written by their suffix, listed to be read, and as a folder of links."""

from __future__ import annotations

import errno
import importlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

import numpy as np

from proxysample.checks import first_repeated
from proxysample.data.keys import Keys, absolute, check_text
from proxysample.errors import InputError, MissingDependencyError, unknown_name
from proxysample.files import (
    as_path,
    check_writable,
    read_bounded,
    read_npy,
    replace_file,
    replace_folder,
)
from proxysample.keeping import IntArray
from proxysample.printing import storable
from proxysample.selection import Cut
from proxysample.shares import ClassWeights

if TYPE_CHECKING:
    from proxysample.ranking import Ranking


STANDARD_OUTPUT = "-"


def table_of(ranking: Ranking, cut: Cut | None, keys: Keys | None) -> dict[str, Any]:
    """Give a ranking as columns, one value a sample; see `Ranking.to_frame`."""
    table: dict[str, Any] = {"index": np.arange(len(ranking))}
    if keys is not None:
        table[keys.kind] = list(keys.values)
    if ranking.classes is not None:
        labels = ranking.classes.labels.astype(object)
        if ranking.skipped is not None:
            # Where only the items tell, nobody knows.
            labels[ranking.skipped] = ""
        table["label"] = labels.tolist()
    table["score"] = ranking.scores
    if cut is None:
        if ranking.nested:
            table["rank"] = _ranks(ranking.order, len(ranking))
        return table
    fitted = ranking.fitted(cut)
    kept = np.zeros(len(ranking), dtype=bool)
    kept[ranking.kept_by(cut, fitted)] = True
    table["rank"] = _ranks(ranking.order_by(fitted), len(ranking))
    table["kept"] = kept
    return table


def _ranks(order: IntArray, n_samples: int) -> IntArray:
    """Give each sample its place in the order, 1 first; 0 where it was skipped."""
    ranks = np.zeros(n_samples, dtype=np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks


def import_pandas() -> Any:
    """Import pandas, or say which extra brings it."""
    return _import("pandas", "a frame", "pandas")


def _import(module: str, what: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(
            f"{what} needs the package {package}: pip install 'proxysample[{extra}]'"
        ) from error


class SelectionWriter:
    """Writes kept sets of one ranking; see `check_destination` for what can be written.

    Parameters
    ----------
    ranking : Ranking
    keys : Keys or None
        What the dataset calls its samples.
    dataset : str, optional
        Its name, for ``.json``.
    """

    def __init__(self, ranking: Ranking, keys: Keys | None, dataset: str | None = None) -> None:
        self.ranking = ranking
        self.keys = keys
        self.dataset = dataset

    def write(self, path: str, cut: Cut, indices: IntArray) -> None:
        """Write what a cut keeps, in the way of the path's suffix."""
        if path == STANDARD_OUTPUT:
            sys.stdout.write("".join(f"{index}\n" for index in indices.tolist()))
            return
        write = WRITERS[Path(path).suffix]
        with replace_file(path) as stream:
            write(self, stream, cut, indices)

    def _write_npy(self, stream: BinaryIO, _cut: Cut, indices: IntArray) -> None:
        np.save(stream, indices, allow_pickle=False)

    def _write_txt(self, stream: BinaryIO, _cut: Cut, indices: IntArray) -> None:
        stream.write("".join(f"{name}\n" for name in self._names(indices)).encode())

    def _names(self, indices: IntArray) -> list[str]:
        assert self.keys is not None  # `check_destination` has seen to it
        return [self.keys.values[index] for index in indices.tolist()]

    def _write_csv(self, stream: BinaryIO, cut: Cut, _indices: IntArray) -> None:
        import csv

        table = table_of(self.ranking, cut, self.keys)
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(table)
        columns = [np.asarray(column).tolist() for column in table.values()]
        writer.writerows(zip(*columns, strict=True))
        text.detach()

    def _write_parquet(self, stream: BinaryIO, cut: Cut, _indices: IntArray) -> None:
        pyarrow = _import("pyarrow", "a .parquet file", "parquet")
        parquet = _import("pyarrow.parquet", "a .parquet file", "parquet")
        parquet.write_table(pyarrow.table(table_of(self.ranking, cut, self.keys)), stream)

    def _write_json(self, stream: BinaryIO, cut: Cut, indices: IntArray) -> None:
        provenance = self.ranking.provenance
        written: dict[str, Any] = {
            "dataset": self.dataset,
            "sampler": provenance.get("sampler"),
            "parameters": provenance.get("parameters"),
            "r": cut.r,
            "n": len(indices),
            "n_samples": len(self.ranking),
            "balance": _balance_in_json(cut),
            "min_per_class": int(cut.min_per_class),
            "indices": indices.tolist(),
        }
        if self.keys is not None:
            written[f"{self.keys.kind}s"] = self._names(indices)
        text = json.dumps(written, indent=1, ensure_ascii=False)
        if storable(text) != text:
            # Such as a folder whose name is no UTF-8.
            text = json.dumps(written, indent=1)
        stream.write(f"{text}\n".encode())


def _balance_in_json(cut: Cut) -> Any:
    if cut.balance is None or isinstance(cut.balance, str):
        return cut.balance
    if isinstance(cut.balance, ClassWeights):
        return cut.balance.to_json()
    return {str(name): int(count) for name, count in cut.balance.items()}


WRITERS: dict[str, Callable[[SelectionWriter, BinaryIO, Cut, IntArray], None]] = {
    ".npy": SelectionWriter._write_npy,
    ".csv": SelectionWriter._write_csv,
    ".parquet": SelectionWriter._write_parquet,
    ".txt": SelectionWriter._write_txt,
    ".json": SelectionWriter._write_json,
}


def check_destination(path: str) -> None:
    """Check, before any dataset is read, that a kept set can be written to a path.

    Raises
    ------
    InputError
        If its suffix is none of `WRITERS`, its folder is missing or cannot be written to.
    MissingDependencyError
        If its kind needs a package that is not installed.
    """
    if path == STANDARD_OUTPUT:
        return
    suffix = Path(path).suffix
    if suffix not in WRITERS:
        *others, last = WRITERS
        raise InputError(
            f"a kept set is written as {', '.join(others)} or {last}, or to {STANDARD_OUTPUT}, "
            f"standard output; not {Path(path).name!r}"
        )
    if suffix == ".parquet":
        _import("pyarrow.parquet", "a .parquet file", "parquet")
    check_writable(path)


def check_names(paths: Sequence[str], keys: Keys | None) -> None:
    """Check, before any scoring, that the samples' names can be written where they have to be.

    Raises
    ------
    InputError
        If a list of files is asked of samples that have none, or a name cannot be written.
    """
    suffixes = {Path(path).suffix for path in paths if path != STANDARD_OUTPUT}
    if ".txt" in suffixes and (keys is None or keys.kind != "file"):
        raise InputError(
            "a .txt lists the kept files, and these samples have none; write .npy, .csv, .parquet "
            "or .json, or indices to -"
        )
    if keys is not None and suffixes - {".npy"}:
        check_text(keys, by_line=".txt" in suffixes)


def spread(pattern: str, cuts: Sequence[Cut]) -> list[str]:
    """Name a file or folder for each cut: ``{r}`` or ``{n}`` stands for its ratio or number.

    Raises
    ------
    InputError
        If two cuts would have one name.

    Examples
    --------
    >>> spread("kept-{r}.npy", [Cut(r=0.1), Cut(n=25)])
    ['kept-0.1.npy', 'kept-25.npy']
    """
    paths = []
    for cut in cuts:
        asked = cut.r if cut.r is not None else cut.n
        word = "counts" if asked is None else str(asked)
        paths.append(pattern.replace("{r}", word).replace("{n}", word))
    if pattern == STANDARD_OUTPUT and len(cuts) > 1:
        raise InputError("standard output takes one kept set; write several to files, by {r}")
    twice = first_repeated(paths)
    if twice is not None:
        raise InputError(
            f"{len(cuts)} kept sets need a name each, and {pattern!r} names {twice!r} more than "
            "once; put {r} in it, which stands for the ratio or number, and ask for each once"
        )
    return paths


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


# Of names at most some hundred bytes each, that is more samples than any dataset has.
MOST_BYTES = 1 << 32


def read_sample_list(path: str | Path) -> list[int] | list[str]:
    """Read indices or names of samples.

    Parameters
    ----------
    path : str or Path
        An ``.npy`` of indices, or a text in UTF-8 with one index, file or key a line. Lines are
        indices where all of them are whole numbers; empty ones count for nothing.

    Returns
    -------
    list of int, or list of str

    Raises
    ------
    InputError
        If the file is missing or damaged, or lists nothing.
    """
    path = as_path(path)
    if path.suffix == ".npy":
        array = read_npy(path)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise InputError(f"{path} does not hold a one-dimensional array of integers")
        return [int(index) for index in array]
    try:
        lines = read_bounded(path, MOST_BYTES).decode().split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8; list an index or a file a line") from None
    names = [line.removesuffix("\r") for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path} lists no sample; put an index or a file on each line")
    if all(name.strip().isdecimal() for name in names):
        return [int(name) for name in names]
    return names
