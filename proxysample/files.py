"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from proxysample.errors import InputError

# What a disk answers that takes no more; any other error of the system is the caller's.
REFUSALS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM}
)


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
        If the folder is missing or cannot be written to, or the disk is full.

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
    with refusals_explained(path), _replaced(path) as stream:
        yield stream


@contextmanager
def _replaced(path: Path) -> Iterator[BinaryIO]:
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


@contextmanager
def refusals_explained(path: str | Path) -> Iterator[None]:
    """Turn what a full or read-only disk answers into an error that names the file.

    Parameters
    ----------
    path : str or Path
        What is being written.

    Raises
    ------
    InputError
        If the disk is full or read-only, a limit is reached or the user may not write.

    Examples
    --------
    >>> with refusals_explained("a.npz"):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a.npz cannot be written: no space left on device
    """
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        raise InputError(
            f"{path} cannot be written: {(error.strerror or str(error)).lower()}"
        ) from error


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are missing.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        If it cannot be made, or a file stands in its place.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{path} cannot be a folder: a file stands in its place") from None
    except OSError as error:
        raise InputError(
            f"the folder {path} cannot be made: {(error.strerror or str(error)).lower()}"
        ) from error


def remove_whole(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; nothing where neither is there.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError
        If it cannot be removed.

    Examples
    --------
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "notes").write_text("hello")
    >>> remove_whole(folder)
    >>> folder.exists()
    False
    """
    # Others may be removing the same.
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def check_output(path: str | Path, suffix: str, what: str) -> None:
    """Check, before hours of work, that a file can be written and has the name of its kind.

    Parameters
    ----------
    path : str or Path
        Where the file will be.
    suffix : str
        What its name has to end in.
    what : str
        What is written, and "is written" or the like, for the message.

    Raises
    ------
    InputError
        If the name ends otherwise, or see `check_writable`.

    Examples
    --------
    >>> check_output("cat.pdf", ".html", "a report is saved")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a report is saved as .html, not 'cat.pdf'
    """
    if Path(path).suffix != suffix:
        raise InputError(f"{what} as {suffix}, not {Path(path).name!r}")
    check_writable(path)


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
