"""Features of a dataset on disk: checked when they are opened, and read as a memory map."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError
from proxysample.files import expanded, map_npy, read_bounded, read_npy, replace_file
from proxysample.printing import cleaned
from proxysample.records import Positive, Record, one_of

if TYPE_CHECKING:
    from proxysample.data.datasets import Splits

Array = npt.NDArray[Any]

DType = Literal["float32", "float16"]

FORMAT = "proxysample-features-1"

# The files of a store. The record is written last: a folder with one holds all of its features.
RECORD = "store.json"
FEATURES = "features.npy"
CHECKSUMS = "checksums.npy"
LABELS = "labels.npy"
KEYS = "keys.npy"

MOST_RECORD_BYTES = 1 << 20

# Up to here all features are checked whenever they are opened; of more, blocks spread evenly.
BYTES_CHECKED = 1 << 30
BLOCKS_CHECKED = 64


@dataclass(frozen=True, eq=False)
class StoreRecord(Record, title="a feature store's record"):
    """What a store holds, and what decided it."""

    format: Annotated[str, one_of(FORMAT)]
    key: str
    made_of: Mapping[str, Any]
    n_samples: Positive
    n_features: Positive
    dtype: Annotated[str, one_of("float16", "float32")]
    rows_per_block: Positive
    checksums: str
    provenance: Mapping[str, Any]


def key_of(made_of: Mapping[str, Any]) -> str:
    """Name features by what decides them.

    Examples
    --------
    >>> key_of({"dtype": "float16"})
    'cfdcd496e577edc5'
    """
    return sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


class Features:
    """Features (n, d) of a dataset, kept on disk by `embed`; an array that is read when it is used.

    It counts as an array wherever one is taken: ``np.asarray`` of it is a memory map, so that
    samplers read it a block at a time, and it is a dataset of feature vectors. Copies and what
    other processes get are the same files, not their content.

    Attributes
    ----------
    folder : Path
        Where its files lie.
    key : str
        Names what decided it: the dataset, the backbone and its weights, how images went in, and
        the type of number.
    provenance : dict
        How it was made: versions, device and seconds.
    made_of : dict
        What `key` names.
    labels : ndarray of shape (n,) or None
        Of the dataset, int64 or strings; None where they were not known.

    Examples
    --------
    >>> import tempfile
    >>> from torch import nn
    >>> from proxysample import KMeansOutlierRemoval, embed
    >>> images = np.arange(32, dtype=np.uint8).reshape(8, 2, 2)
    >>> features = embed(images, backbone=nn.Flatten(), folder=tempfile.mkdtemp())
    >>> features.shape, features.dtype, Features.open(features.folder).key == features.key
    ((8, 4), dtype('float32'), True)
    >>> sampler = KMeansOutlierRemoval(n_clusters=2, features=features, random_state=0)
    >>> sampler.select(images, r=0.5).tolist()
    [1, 2, 5, 6]
    """

    def __init__(self, folder: Path, record: StoreRecord, rows: Array, checksums: Array) -> None:
        self.folder = folder
        self.key = record.key
        self.made_of = dict(record.made_of)
        self.provenance = dict(record.provenance)
        self._rows_per_block = record.rows_per_block
        self._rows = rows
        self._checksums = checksums
        self.labels = _read_labels(folder, record.n_samples)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Open a store, or the only one in a folder.

        Parameters
        ----------
        folder : str or path
            Of a store, such as ``features.folder``, or one in which a single store lies.

        Returns
        -------
        Features

        Raises
        ------
        InputError
            If there is none or several, or the files are damaged, cut, or no store of features.
        """
        folder = expanded(folder)
        if not (folder / RECORD).is_file():
            folder = _only_store(folder)
        record = _read_record(folder)
        rows = map_npy(folder / FEATURES)
        checksums = _read_checksums(folder, record)
        if rows.shape != (record.n_samples, record.n_features) or rows.dtype != record.dtype:
            raise InputError(
                f"{folder / FEATURES} holds {rows.shape} {rows.dtype}, not the features of "
                f"{folder / RECORD}; {_REMEDY}"
            )
        features = cls(folder, record, rows, checksums)
        features._check(_spread(len(checksums), rows.nbytes))
        return features

    def verify(self) -> None:
        """Read all features and compare them with what was written.

        Opening does this for up to a gigabyte of them, and looks at some blocks of more.

        Raises
        ------
        InputError
            If a block is not what was written.
        """
        self._check(range(len(self._checksums)))

    def _check(self, blocks: Iterable[int]) -> None:
        for block in blocks:
            start = block * self._rows_per_block
            stop = min(start + self._rows_per_block, len(self))
            if checksum(self._rows[start:stop]) != self._checksums[block]:
                raise InputError(
                    f"{self.folder / FEATURES} is damaged: samples {start} to {stop - 1} have "
                    f"other features than were written; {_REMEDY}"
                )

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        n_samples, n_features = self._rows.shape
        return n_samples, n_features

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float16."""
        return self._rows.dtype

    @property
    def ndim(self) -> int:
        """Always 2."""
        return 2

    @property
    def nbytes(self) -> int:
        """Of all features."""
        return self._rows.nbytes

    @cached_property
    def keys(self) -> Array | None:
        """What samples are called (n,), files relative to the folder of all; None if nothing."""
        path = self.folder / KEYS
        if not path.is_file():
            return None
        encoded = read_npy(path)
        if encoded.shape != (len(self),) or encoded.dtype.kind != "S":
            raise InputError(f"{path} does not hold the files of {len(self):,} samples; {_REMEDY}")
        return np.array([key.decode("utf-8", "surrogateescape") for key in encoded.tolist()])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Any) -> Any:
        """Read rows, as of an ndarray."""
        return np.asarray(self._rows)[rows]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.array(self._rows, dtype=dtype, copy=copy)

    def __reduce__(self) -> tuple[Any, ...]:
        return Features.open, (self.folder,)

    def __copy__(self) -> Features:
        return self

    def __deepcopy__(self, _: object) -> Features:
        return self

    def __repr__(self) -> str:
        n_samples, n_features = self.shape
        backbone = self.made_of.get("backbone", "unknown")
        return cleaned(
            f"Features({n_samples:,} x {n_features} {self.dtype}, {backbone}, key {self.key})"
        )

    @property
    def name_in_keys(self) -> str:
        """What names it in the key of an experiment."""
        return f"features {self.key}"


_REMEDY = "remove its folder and embed the dataset again"


def write_beside(features_folder: Path, labels: Array | None, keys: list[str] | None) -> None:
    """Write what is known of samples beside their features, each file in one step."""
    if labels is not None:
        _write_array(features_folder / LABELS, labels)
    if keys is not None:
        encoded = [key.encode("utf-8", "surrogateescape") for key in keys]
        _write_array(features_folder / KEYS, np.array(encoded, dtype=np.bytes_))


def write_record(folder: Path, record: StoreRecord, checksums: Array) -> None:
    """Write what makes a folder a whole store, the record last."""
    _write_array(folder / CHECKSUMS, checksums)
    with replace_file(folder / RECORD) as stream:
        stream.write(json.dumps(record.to_dict(), indent=1, sort_keys=True).encode())


def _write_array(path: Path, array: Array) -> None:
    with replace_file(path) as stream:
        np.save(stream, array, allow_pickle=False)


def checksum(rows: Array) -> int:
    """Sum up bytes, so that damage shows."""
    return zlib.crc32(np.ascontiguousarray(rows).data)


def digest_of_checksums(checksums: Array) -> str:
    """Sum up the sums of all blocks."""
    return sha256(checksums.astype("<u4").tobytes()).hexdigest()


def _spread(n_blocks: int, n_bytes: int) -> Iterable[int]:
    if n_bytes <= BYTES_CHECKED:
        return range(n_blocks)
    chosen: list[int] = np.unique(np.linspace(0, n_blocks - 1, BLOCKS_CHECKED).astype(int)).tolist()
    return chosen


def stores_in(folder: Path) -> list[Path]:
    """List the whole stores in a folder; none where it is no folder."""
    return sorted(path.parent for path in folder.glob(f"*/{RECORD}"))


def _only_store(folder: Path) -> Path:
    stores = stores_in(folder)
    if len(stores) == 1:
        return stores[0]
    if not stores:
        raise InputError(
            f"{folder} holds no features that are whole: make them with "
            "proxysample.embed(dataset, folder=...) or `proxysample embed`"
        )
    raise InputError(f"{folder} holds several stores; name one of them: {_listed(stores)}")


def _listed(stores: list[Path]) -> str:
    def described(store: Path) -> str:
        try:
            made_of = _read_record(store).made_of
        except InputError:
            return str(store)
        return f"{store} ({made_of.get('backbone')}, {made_of.get('dtype')})"

    return ", ".join(map(described, stores))


def _read_record(folder: Path) -> StoreRecord:
    path = folder / RECORD
    try:
        text = read_bounded(path, MOST_RECORD_BYTES)
    except InputError as error:
        raise InputError(f"{path} is no record of features: {error}") from None
    try:
        record = StoreRecord.from_json(text)
    except InputError as error:
        raise InputError(f"{path} is no record of features, or is damaged: {error}") from error
    if key_of(record.made_of) != record.key:
        raise InputError(
            f"{path} is damaged, or not written by proxysample: its key {record.key:.40} does not "
            f"name what it says that decided the features; {_REMEDY}"
        )
    return record


def _read_checksums(folder: Path, record: StoreRecord) -> Array:
    path = folder / CHECKSUMS
    checksums = read_npy(path)
    n_blocks = -(-record.n_samples // record.rows_per_block)
    if checksums.dtype != np.uint32 or checksums.shape != (n_blocks,):
        raise InputError(f"{path} does not hold the sums of {n_blocks:,} blocks; {_REMEDY}")
    if digest_of_checksums(checksums) != record.checksums:
        raise InputError(f"{path} is not what {folder / RECORD} names; {_REMEDY}")
    return checksums


def _read_labels(folder: Path, n_samples: int) -> Array | None:
    path = folder / LABELS
    if not path.is_file():
        return None
    labels = _mapped_or_read(path)
    if labels.shape != (n_samples,) or (labels.dtype != np.int64 and labels.dtype.kind != "U"):
        raise InputError(f"{path} does not hold the labels of {n_samples:,} samples; {_REMEDY}")
    return labels


def _mapped_or_read(path: Path) -> Array:
    try:
        return map_npy(path)
    except InputError:
        # Strings are looked at one by one.
        return read_npy(path)


PREFIX = "embed:"


def read_kept(path: str) -> Splits:
    """Open features that embed has kept, with their labels and keys, as a dataset."""
    from proxysample.data.datasets import Splits

    return Splits(f"{PREFIX}{path}", Features.open(path))


def find_features(given: str | os.PathLike[str], dataset: Any) -> Features:
    """Open the features of a dataset in a folder.

    Parameters
    ----------
    given : str or path
        ``"embed:FOLDER"`` or a path: of a store, which is taken as it is, or of a folder with
        several, of which the one of this dataset is.
    dataset : Samples
        Whose features they are to be.

    Returns
    -------
    Features

    Raises
    ------
    InputError
        If there are none of this dataset, or several.
    """
    from proxysample.features.identity import dataset_identity

    folder = expanded(os.fspath(given).removeprefix(PREFIX))
    if (folder / RECORD).is_file():
        return Features.open(folder)
    stores = stores_in(folder)
    if not stores:
        return Features.open(folder)
    identity = dataset_identity(dataset)
    fitting = [store for store in stores if _read_record(store).made_of.get("dataset") == identity]
    if len(fitting) == 1:
        return Features.open(fitting[0])
    if fitting:
        raise InputError(
            f"{folder} holds this dataset's features of several kinds; name one: {_listed(fitting)}"
        )
    raise InputError(
        f"{folder} holds no features of this dataset, only others': {_listed(stores)}; make them "
        "with proxysample.embed(dataset, folder=...), or name a store itself"
    )


def is_kept(features: object) -> bool:
    """Tell whether features are named by where they are kept."""
    if isinstance(features, str):
        return features.startswith(PREFIX)
    return isinstance(features, os.PathLike)


def n_kept(given: str | os.PathLike[str]) -> int | None:
    """Count the samples of a store; None of a folder of stores, of which the dataset chooses."""
    folder = expanded(os.fspath(given).removeprefix(PREFIX))
    return _read_record(folder).n_samples if (folder / RECORD).is_file() else None
