"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from proxysample.errors import InputError


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
