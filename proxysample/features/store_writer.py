"""Feature stores in the making: blocks in any order, each kept once it is written, one writer."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError, SampleError
from proxysample.features.store import (
    CHECKSUMS,
    FEATURES,
    FORMAT,
    KEYS,
    LABELS,
    RECORD,
    Features,
    StoreRecord,
    checksum,
    digest_of_checksums,
    write_beside,
    write_record,
)
from proxysample.files import refusals_explained, replace_file
from proxysample.records import Positive, Record, one_of

Array = npt.NDArray[Any]

PLAN = "making.json"
JOURNAL = "finished.bin"
LOCK = "lock"

# One for each finished block, written after its features.
ENTRY = np.dtype([("block", "<u8"), ("checksum", "<u4")])

SECONDS_BETWEEN_LOOKS = 0.2

# Of a disk, what is left free beside the features.
BYTES_LEFT_FREE = 1 << 26


@contextmanager
def claimed(folder: Path, is_told: bool = False) -> Iterator[None]:
    """Be the only process that writes a store; wait while another is.

    The claim is the system's lock on a file, which ends with the process, however it ends.

    Parameters
    ----------
    folder : Path
        Of the store.
    is_told : bool
        Whether to say that another process is waited for.

    Raises
    ------
    InputError
        If the folder's file system has no locks.
    """
    with refusals_explained(folder):
        stream = (folder / LOCK).open("a+b")
    with stream:
        try:
            _lock(stream, folder, is_told)
        except OSError as error:
            raise InputError(
                f"{folder} cannot be claimed ({(error.strerror or str(error)).lower()}): choose a "
                "folder on a file system that has locks"
            ) from error
        _held.add(stream.fileno())
        try:
            yield
        finally:
            _held.discard(stream.fileno())
            fcntl.flock(stream, fcntl.LOCK_UN)


# A process that decodes would hold the lock along with the one that it is forked from, and
# beyond that one's end.
_held: set[int] = set()


def _let_go_in_child() -> None:
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go_in_child)


def _lock(stream: io.BufferedRandom, folder: Path, is_told: bool) -> None:
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if is_told:
                print(f"waiting for the process that writes {folder}", file=sys.stderr)  # noqa: T201
                is_told = False
            time.sleep(SECONDS_BETWEEN_LOOKS)
        else:
            return


@dataclass(frozen=True)
class StorePlan(Record, title="the plan of a feature store"):
    """What a store that is being written will hold, and what made the blocks that are in it."""

    format: Annotated[str, one_of(FORMAT)]
    key: str
    n_samples: Positive
    n_features: Positive
    dtype: Annotated[str, one_of("float16", "float32")]
    rows_per_block: Positive
    made_by: Mapping[str, Any]

    @property
    def n_blocks(self) -> int:
        """The last may have fewer rows."""
        return -(-self.n_samples // self.rows_per_block)

    def rows_of(self, block: int) -> slice:
        """Give the samples of a block."""
        start = block * self.rows_per_block
        return slice(start, min(start + self.rows_per_block, self.n_samples))


class StoreWriter:
    """Writes blocks of features in any order; `claimed` has to hold.

    What a process that was killed has written is taken over, each block after a look at whether
    it is as it was written.

    Parameters
    ----------
    folder : Path
        Of the store; it is there.
    plan : StorePlan
        Blocks of another plan are forgotten.
    skipped : collection of int
        Samples without features, whose rows are NaN.

    Raises
    ------
    InputError
        If the disk has no room for the features.
    """

    def __init__(self, folder: Path, plan: StorePlan, skipped: Collection[int] = ()) -> None:
        self._skipped = frozenset(skipped)
        self.folder = folder
        self.plan = plan
        self._row_bytes = plan.n_features * np.dtype(plan.dtype).itemsize
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header,
            {
                "descr": np.dtype(plan.dtype).str,
                "fortran_order": False,
                "shape": (plan.n_samples, plan.n_features),
            },
        )
        self._header = header.getvalue()
        self._checksums: dict[int, int] = {}
        with refusals_explained(folder):
            if not self._is_taken_over():
                self._begin()
            self._file = os.open(folder / FEATURES, os.O_RDWR)
            self._journal = os.open(folder / JOURNAL, os.O_RDWR | os.O_APPEND)
            try:
                self._read_journal()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop writing; what is finished stays."""
        os.close(self._file)
        os.close(self._journal)

    @property
    def missing(self) -> list[int]:
        """The blocks that are still to be written, ascending."""
        return [block for block in range(self.plan.n_blocks) if block not in self._checksums]

    @property
    def _n_bytes(self) -> int:
        return len(self._header) + self.plan.n_samples * self._row_bytes

    def _is_taken_over(self) -> bool:
        paths = (self.folder / name for name in (PLAN, FEATURES, JOURNAL))
        if not all(path.is_file() for path in paths):
            return False
        try:
            same = StorePlan.from_json((self.folder / PLAN).read_bytes()) == self.plan
        except InputError:
            return False
        return same and (self.folder / FEATURES).stat().st_size == self._n_bytes

    def _begin(self) -> None:
        free = shutil.disk_usage(self.folder).free
        if self._n_bytes + BYTES_LEFT_FREE > free:
            raise InputError(
                f"features of {self.plan.n_samples:,} samples take {self._n_bytes / 1e9:,.1f} GB "
                f"and {self.folder} has {free / 1e9:,.1f} GB free: name another folder"
                + (", or take dtype='float16'" if self.plan.dtype == "float32" else "")
            )
        # The plan goes first and comes last, so that it never speaks of files of another.
        for name in (PLAN, RECORD, JOURNAL, FEATURES, CHECKSUMS, LABELS, KEYS):
            with suppress(FileNotFoundError):
                (self.folder / name).unlink()
        (self.folder / JOURNAL).touch()
        with (self.folder / FEATURES).open("wb") as stream:
            stream.write(self._header)
            stream.truncate(self._n_bytes)
        with replace_file(self.folder / PLAN) as stream:
            stream.write(self.plan.to_json().encode())

    def _read_journal(self) -> None:
        content = os.pread(self._journal, os.fstat(self._journal).st_size, 0)
        n_whole = len(content) // ENTRY.itemsize
        # A last entry that was cut would shift those after it.
        os.ftruncate(self._journal, n_whole * ENTRY.itemsize)
        for block, written in np.frombuffer(content, ENTRY, n_whole).tolist():
            if block < self.plan.n_blocks and checksum(self._read(block)) == written:
                self._checksums[block] = written

    def _read(self, block: int) -> Array:
        rows = self.plan.rows_of(block)
        n_bytes = (rows.stop - rows.start) * self._row_bytes
        return np.frombuffer(os.pread(self._file, n_bytes, self._place(block)), np.uint8)

    def _place(self, block: int) -> int:
        return len(self._header) + block * self.plan.rows_per_block * self._row_bytes

    def write(self, block: int, features: Array) -> None:
        """Keep the features of a block.

        Raises
        ------
        InputError
            If a value is not finite, the disk is full, or the store was removed or moved.
        """
        self._check_in_place()
        rows = self.plan.rows_of(block)
        kept = as_type(features, self.plan.dtype, rows.start, self._skipped)
        if kept.shape != (rows.stop - rows.start, self.plan.n_features):
            raise InputError(
                f"the backbone gives features of shape {kept.shape} for samples {rows.start} to "
                f"{rows.stop - 1}, and {self.plan.n_features} for the first"
            )
        entry = np.array([(block, checksum(kept))], ENTRY)
        with refusals_explained(self.folder / FEATURES):
            _write_all(self._file, kept.tobytes(), self._place(block))
            os.write(self._journal, entry.tobytes())
        self._checksums[block] = int(entry["checksum"][0])

    def _check_in_place(self) -> None:
        """Refuse to go on with files that nobody would find: they were moved, or removed."""
        is_there = False
        with suppress(OSError):
            is_there = os.path.samestat((self.folder / FEATURES).stat(), os.fstat(self._file))
        if not is_there:
            raise InputError(
                f"{self.folder} is gone: it was removed or moved while features were written to "
                "it; embed again into the folder where it is now, which goes on, or into another"
            )

    def finish(
        self,
        made_of: dict[str, Any],
        provenance: dict[str, Any],
        labels: Array | None,
        keys: list[str] | None,
    ) -> Features:
        """Make a whole store of the blocks, all of which are written.

        Returns
        -------
        Features
        """
        assert not self.missing
        self._check_in_place()
        checksums = np.array([self._checksums[block] for block in range(self.plan.n_blocks)], "u4")
        record = StoreRecord(
            format=FORMAT,
            key=self.plan.key,
            made_of=made_of,
            n_samples=self.plan.n_samples,
            n_features=self.plan.n_features,
            dtype=self.plan.dtype,
            rows_per_block=self.plan.rows_per_block,
            checksums=digest_of_checksums(checksums),
            provenance=provenance,
        )
        with refusals_explained(self.folder):
            os.fsync(self._file)
            write_beside(self.folder, labels, keys)
            write_record(self.folder, record, checksums)
            for name in (PLAN, JOURNAL):
                (self.folder / name).unlink()
        return Features.open(self.folder)


def as_type(features: Array, dtype: str, start: int, skipped: Collection[int] = ()) -> Array:
    """Give features the type in which they are kept, if it can hold them.

    Parameters
    ----------
    features : ndarray of shape (rows, d)
    dtype : str
    start : int
        Index of the first row's sample.
    skipped : collection of int
        Samples whose rows may be NaN.

    Raises
    ------
    InputError
        If another value is not finite.
    """
    with np.errstate(over="ignore"):
        kept = np.ascontiguousarray(features, dtype=dtype)
    finite = np.isfinite(kept).all(axis=1)
    if skipped:
        finite |= [start + row in skipped for row in range(len(kept))]
    if finite.all():
        return kept
    row = int(np.argmin(finite))
    if np.isfinite(features[row]).all():
        largest = float(np.abs(features[row]).max())
        raise SampleError(
            start + row,
            f" has a feature of {largest:.3g}, which float16 cannot hold; take dtype='float32'",
        )
    raise SampleError(start + row, " hold NaN or infinite values", before="the features of ")


def _write_all(file: int, content: bytes, place: int) -> None:
    view = memoryview(content)
    while view:
        n_written = os.pwrite(file, view, place)
        view, place = view[n_written:], place + n_written
