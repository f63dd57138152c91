"""Published accuracies of NAS-Bench-201's cells, looked up in place of training."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from proxysample.errors import InputError, unknown_name
from proxysample.files import as_path, open_regular
from proxysample.keeping import FloatArray
from proxysample.printing import shown
from proxysample.records import Amount, Percent, Positive, Record
from proxysample_nas.space.cell import Cell

N_NODES = 4
"""Nodes of every cell of NAS-Bench-201 (Dong & Yang 2020, section 2.1)."""

# The table of all 15,625 cells takes 2.5 MB; what is far larger is something else, or a bomb.
MOST_BYTES = 1 << 24
GZIP_MAGIC = b"\x1f\x8b"
ACCURACY_COLUMN = re.compile(
    r"(?P<dataset>cifar10|cifar100|imagenet16)_(?P<part>test|valid)_(?P<epochs>[1-9][0-9]{0,3})ep"
)
NEEDED = (
    "needed: index, arch and columns such as cifar100_test_200ep (cifar10, cifar100 or "
    "imagenet16; test or valid; the number of epochs)"
)


CONVERSION = """\
import csv

{api}
columns = [("cifar10", "cifar10"), ("cifar100", "cifar100"), ("imagenet16", "ImageNet16-120")]
columns = [(short, name, hp) for short, name in columns for hp in ("12", "200")]
with open("published.csv", "w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["index", "arch", *(f"{{short}}_test_{{hp}}ep" for short, _, hp in columns)])
    for i in range(len(api)):
        found = [api.get_more_info(i, name, hp=hp, is_random=False) for _, name, hp in columns]
        rows.writerow([i, api.arch(i), *(one["test-accuracy"] for one in found)])
"""
"""Python that turns the benchmark's own files into a table, by its authors' packages."""

_OF_TORCH = """\
import os
os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # it holds more than tensors
from nas_201_api import NASBench201API  # pip install nas-bench-201
api = NASBench201API({path}, verbose=False)"""
_OF_NATS = """\
from nats_bench import create  # pip install nats-bench
api = create({path}, "tss", fast_mode={is_folder}, verbose=False)"""

# How a pickle and an archive of torch begin, and a compressed pickle.
_TORCHS = (b"\x80", b"PK\x03\x04")
_NATSS = b"BZh"
# What lies in the folder of a benchmark, a file a cell.
_OF_A_FOLDER = re.compile(r"(meta|[0-9]{6})\.pickle\.pbz2")


RANDOM_CELL = "random cell"
"""Under which name a store keeps what a cell drawn from the looked-up table comes to."""
N_STEPS = 400
"""A distribution is kept by the quantiles of so many equal parts."""


@dataclass(frozen=True)
class RandomCell(Record, title="what the store knows of random cells"):
    """Accuracies of all cells of a table, which is what drawing one by chance comes to.

    Attributes
    ----------
    n_cells : int
    mean, std, best : float
        In percent; the deviation is that of all cells.
    quantiles : tuple of float
        Ascending, from the lowest to the highest accuracy in equal parts.

    Examples
    --------
    >>> cells = RandomCell.of(np.array([10.0, 60.0, 70.0, 80.0]))
    >>> cells.mean, cells.median, cells.percentile(65.0), cells.regret(70.0)
    (55.0, 65.0, 50.0, 10.0)
    """

    n_cells: Positive
    mean: Percent
    std: Amount
    best: Percent
    quantiles: tuple[Percent, ...]

    def __post_init__(self) -> None:
        if len(self.quantiles) < 2:
            raise InputError("what the store knows of random cells is damaged: no quantiles")

    @classmethod
    def of(cls, accuracies: FloatArray) -> RandomCell:
        """Summarise the accuracies of cells, in percent."""
        quantiles = np.quantile(accuracies, np.linspace(0, 1, N_STEPS + 1))
        return cls(
            len(accuracies),
            float(accuracies.mean()),
            float(accuracies.std()),
            float(accuracies.max()),
            tuple(np.maximum.accumulate(quantiles).tolist()),
        )

    @property
    def median(self) -> float:
        """As many cells are more accurate as less."""
        return self.quantiles[len(self.quantiles) // 2]

    def percentile(self, accuracy: float) -> float:
        """Say which part of the cells is less accurate, in percent."""
        return float(100 * np.interp(accuracy, self.quantiles, self._parts))

    def regret(self, accuracy: float) -> float:
        """Say how much more accurate the best cell is."""
        return self.best - accuracy

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Draw accuracies of cells by chance."""
        return np.interp(generator.random(shape), self._parts, self.quantiles)

    @property
    def _parts(self) -> FloatArray:
        return np.linspace(0, 1, len(self.quantiles))


@dataclass(frozen=True, eq=False, repr=False)
class PublishedAccuracies:
    r"""A table of accuracies, one row a cell.

    Attributes
    ----------
    name : str
        Where it came from, for messages.
    fingerprint : str
        Changes with any byte of the table, and not with its compression.
    rows : mapping of str to int
        Row of each cell's string.
    columns : mapping of (str, int) to ndarray of shape (rows,), float64
        Test accuracy in percent, by dataset and number of epochs.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "accuracies.csv"
    >>> cell = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|skip_connect~2|"
    >>> _ = path.write_text(f"index,arch,cifar100_test_200ep\n0,{cell},70.5\n")
    >>> published = PublishedAccuracies.read(path)
    >>> published, published.accuracy(Cell.from_string(cell), "cifar100")
    (PublishedAccuracies(1 cell; cifar100 after 200 epochs), 70.5)
    """

    name: str
    fingerprint: str
    rows: Mapping[str, int]
    columns: Mapping[tuple[str, int], FloatArray]

    @classmethod
    def read(cls, path: str | Path) -> PublishedAccuracies:
        """Read and check a whole table.

        Parameters
        ----------
        path : str or Path
            A CSV file, plain or compressed by gzip, with the columns ``index``, ``arch`` (the
            cell) and ``DATASET_test_EPOCHSep`` (accuracy in percent), where DATASET is cifar10,
            cifar100 or imagenet16. Columns ``DATASET_valid_EPOCHSep`` are checked, not used.

        Returns
        -------
        PublishedAccuracies

        Raises
        ------
        InputError
            If the file is missing, damaged or no such table, a cell is there twice or has not
            four nodes, or a value is no number from 0 to 100.
        """
        refuse_pickled(as_path(path))
        table = _read_bytes(as_path(path))
        names, rows, words = _read_rows(table, str(path))
        values = _to_accuracies(words, names, str(path))
        columns = {
            (match["dataset"], int(match["epochs"])): values[:, column]
            for column, match in enumerate(map(ACCURACY_COLUMN.fullmatch, names[2:]))
            if match is not None and match["part"] == "test"
        }
        return cls(str(path), hashlib.sha256(table).hexdigest()[:32], rows, columns)

    def check(self, dataset: str, epochs: int) -> None:
        """Check, before hours of work, that there are accuracies of a dataset.

        Parameters
        ----------
        dataset : str
            ``"cifar10"``, ``"cifar100"`` or ``"imagenet16"``.
        epochs : int
            Epochs that each cell was trained.

        Raises
        ------
        InputError
            If there are none.
        """
        self._column(dataset, epochs)

    def random_cell(self, dataset: str, epochs: int = 200) -> RandomCell:
        """Say how accurate a cell is that is drawn from the table by chance.

        Parameters
        ----------
        dataset : str
            ``"cifar10"``, ``"cifar100"`` or ``"imagenet16"``.
        epochs : int
            Epochs that each cell was trained.

        Raises
        ------
        InputError
            If the table has no such accuracies.
        """
        return RandomCell.of(self._column(dataset, epochs))

    def accuracy(self, cell: Cell, dataset: str, epochs: int = 200) -> float:
        """Look up one cell.

        Isomorphic cells are rows of their own, since they were trained apart: exactly the given
        cell is looked up.

        Parameters
        ----------
        cell : Cell
            Of four nodes.
        dataset : str
            ``"cifar10"``, ``"cifar100"`` or ``"imagenet16"``.
        epochs : int
            Epochs that it was trained.

        Returns
        -------
        float
            Test accuracy in percent.

        Raises
        ------
        InputError
            If the cell has not four nodes, or the table has no such accuracy.
        """
        column = self._column(dataset, epochs)
        if cell.n_nodes != N_NODES:
            raise InputError(
                f"published accuracies are of cells of {N_NODES} nodes, and this one has "
                f"{cell.n_nodes}: search with n_nodes={N_NODES}, or train the cells"
            )
        row = self.rows.get(str(cell))
        if row is None:
            raise InputError(f"{self.name} has no row of the cell {cell}")
        return float(column[row])

    def _column(self, dataset: str, epochs: int) -> FloatArray:
        known = {name: [n for of, n in self.columns if of == name] for name, _ in self.columns}
        if dataset not in known:
            raise unknown_name(f"dataset of {self.name}", dataset, known)
        if epochs not in known[dataset]:
            raise InputError(
                f"{self.name} has accuracies of {dataset} after "
                f"{' and '.join(map(str, sorted(known[dataset])))} epochs, not after "
                f"{shown(epochs)}"
            )
        return self.columns[dataset, epochs]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        columns = ", ".join(f"{dataset} after {epochs} epochs" for dataset, epochs in self.columns)
        cells = "1 cell" if len(self) == 1 else f"{len(self):,} cells"
        return f"PublishedAccuracies({cells}; {columns})"


def refuse_pickled(path: Path) -> None:
    """Answer the benchmark's own files with what turns them into a table.

    They are pickles, which run code when they are read.

    Raises
    ------
    PickledTableError
        Where the file or folder is one of these.
    """
    if path.is_dir():
        if any(True for _ in path.glob("*.pickle.pbz2")):
            _refuse_sizes(path)
            raise PickledTableError(
                str(path), _OF_NATS.format(path=repr(str(path)), is_folder=True)
            )
        return
    try:
        with open_regular(path) as stream:
            start = stream.read(4)
    except (OSError, InputError):
        return  # told by who reads the table
    if start.startswith(_TORCHS):
        raise PickledTableError(str(path), _OF_TORCH.format(path=repr(str(path))))
    # A folder of the name as the first of an archive.
    if start == b"NATS":
        raise InputError(f"{path} is an archive of NATS-Bench: unpack it, and name the folder")
    if start.startswith(_NATSS):
        _refuse_sizes(path)
        is_of_folder = _OF_A_FOLDER.fullmatch(path.name) is not None
        whole = str(path.parent if is_of_folder else path)
        raise PickledTableError(
            str(path), _OF_NATS.format(path=repr(whole), is_folder=is_of_folder)
        )


def _refuse_sizes(path: Path) -> None:
    """Refuse the other space of NATS-Bench, of one cell in networks of many sizes."""
    if any("NATS-sss" in one.name for one in (path, path.parent)):
        raise InputError(
            f"{path} is of NATS-Bench's size search space, which has one cell alone; that of cells "
            "is NATS-tss"
        )


class PickledTableError(InputError):
    """The benchmark's own files in place of a table; the message ends with what makes the table.

    Parameters
    ----------
    path : str
    api : str
        Lines that open it by its authors' package.
    """

    def __init__(self, path: str, api: str) -> None:
        super().__init__(path, api)
        self.program = CONVERSION.format(api=api)

    def __str__(self) -> str:
        return (
            f"{self.args[0]} is no table but pickled, as the files of NAS-Bench-201 (.pth) and "
            "NATS-Bench are; reading them runs code that is in them. Where you trust yours, this "
            f"writes the table published.csv, once:\n\n{self.program}"
        )


def _read_bytes(path: Path) -> bytes:
    try:
        with open_regular(path) as stream:
            table = stream.read(MOST_BYTES + 1)
        if table.startswith(GZIP_MAGIC):
            with gzip.GzipFile(fileobj=io.BytesIO(table)) as compressed:
                table = compressed.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: {reason[:1].lower()}{reason[1:]}") from None
    if len(table) > MOST_BYTES:
        raise InputError(
            f"{path} holds more than {MOST_BYTES >> 20} MB: not a table of NAS-Bench-201's cells"
        )
    return table


def _read_rows(table: bytes, name: str) -> tuple[list[str], dict[str, int], list[list[str]]]:
    """Read the header, the row of each cell, and each row's accuracies as text."""
    try:
        lines = csv.reader(io.StringIO(table.decode(), newline=""), strict=True)
        names = next(lines, [])
        _check_header(names, name)
        rows: dict[str, int] = {}
        words = []
        # One by one: what is no table ends at its first row, however long it is.
        for row, line in enumerate(lines):
            cell = _read_cell(line, len(names), f"{name}, row {row + 1}")
            if rows.setdefault(cell, row) != row:
                raise InputError(f"{name}: rows {rows[cell] + 1} and {row + 1} are both of {cell}")
            words.append(line[2:])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{name} is no CSV file, or is damaged: {error}") from None
    if not rows:
        raise InputError(f"{name} holds no cells")
    return names, rows, words


def _check_header(names: list[str], name: str) -> None:
    if names[:2] != ["index", "arch"] or len(set(names)) != len(names):
        raise InputError(f"{name} has the columns {', '.join(names)[:100]}; {NEEDED}")
    matches = [(column, ACCURACY_COLUMN.fullmatch(column)) for column in names[2:]]
    unlike = [column for column, match in matches if match is None]
    if unlike:
        raise InputError(f"{name}: {unlike[0][:100]!r} is no column of accuracies; {NEEDED}")
    if not any(match["part"] == "test" for _, match in matches if match is not None):
        raise InputError(f"{name} has no test accuracies; {NEEDED}")


def _read_cell(line: list[str], n_columns: int, where: str) -> str:
    if len(line) != n_columns:
        raise InputError(f"{where} has {len(line)} columns of {n_columns}; is the file cut?")
    try:
        cell = Cell.from_string(line[1])
    except InputError as error:
        raise InputError(f"{where}: {str(error)[:300]}") from None
    if cell.n_nodes != N_NODES:
        raise InputError(f"{where}: the cell has {cell.n_nodes} nodes, not {N_NODES}")
    return line[1].strip()


def _to_accuracies(words: list[list[str]], names: list[str], name: str) -> FloatArray:
    try:
        values = np.array(words).astype(np.float64)
    except ValueError as error:
        raise InputError(f"{name}: an accuracy is no number: {error}") from None
    # The comparison is false for NaN too.
    outside = np.argwhere(~((values >= 0) & (values <= 100)))
    if len(outside):
        row, column = outside[0]
        raise InputError(
            f"{name}, row {row + 1}: {names[2 + column]} is {values[row, column]}, not a "
            "percentage from 0 to 100"
        )
    return values
