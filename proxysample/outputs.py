"""What a cut keeps, written by the suffix of a file: indices, tables, file names."""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from proxysample.data.keys import Keys, check_text
from proxysample.errors import InputError, MissingDependencyError
from proxysample.files import check_writable, replace_file
from proxysample.keeping import IntArray
from proxysample.printing import storable
from proxysample.quotas import ClassWeights
from proxysample.selection import Cut

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
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise InputError(
            f"{len(cuts)} kept sets need a name each, and {pattern!r} names {twice!r} more than "
            "once; put {r} in it, which stands for the ratio or number, and ask for each once"
        )
    return paths
