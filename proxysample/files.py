"""Files that are written whole or not at all, and read without running what is in them."""

from __future__ import annotations

import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError

# What numpy and zipfile raise on files that are damaged or something else.
DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    """Read every array of an .npz file; Python objects in it are refused, not loaded.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    dict
        Arrays by name.

    Raises
    ------
    InputError
        If the file is missing, damaged, no .npz file, or holds Python objects.
    """
    try:
        with Path(path).open("rb") as stream:
            return read_npz_stream(stream, str(path))
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def read_npz_stream(stream: BinaryIO, name: str) -> dict[str, npt.NDArray[Any]]:
    """Read every array of an open .npz file; see `read_npz`.

    Parameters
    ----------
    stream : binary file
        At its start.
    name : str
        What to call it in messages.

    Returns
    -------
    dict
        Arrays by name.

    Raises
    ------
    InputError
        If it is damaged, no .npz file, or holds Python objects.
    """
    try:
        with np.load(stream, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (*DAMAGE, AttributeError) as error:
        raise InputError(
            f"{name} is no .npz file, is damaged, or holds Python objects: {error}"
        ) from error


@contextmanager
def replace_file(path: str | Path) -> Iterator[BinaryIO]:
    """Write a file beside its place, then move it there in one step.

    A crash in the middle leaves the old file, or none, never half of one.

    Parameters
    ----------
    path : str or Path
        Where the file will be.

    Yields
    ------
    stream : binary file
        To be written to.

    Raises
    ------
    InputError
        If the folder is missing or cannot be written to.

    Examples
    --------
    >>> folder = tempfile.mkdtemp()
    >>> with replace_file(Path(folder) / "greeting") as stream:
    ...     _ = stream.write(b"hello")
    >>> (Path(folder) / "greeting").read_text()
    'hello'
    """
    path = Path(path)
    check_writable(path)
    # A new file's permissions follow the umask, not mkstemp's owner-only default.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def check_writable(path: str | Path) -> None:
    """Check, before hours of work, that a file can be written.

    Parameters
    ----------
    path : str or Path
        Where the file will be.

    Raises
    ------
    InputError
        If its folder is missing or read-only, or a folder stands in its place.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"the folder {path.parent} cannot be written to")
