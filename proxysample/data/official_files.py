"""A dataset's official files, from a folder or out of the official archive."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from proxysample.errors import InputError

# The largest official file has 155 MB, the largest archive 187 MB when unpacked.
MOST_BYTES = 1 << 28
MOST_BYTES_UNPACKED = 1 << 29

# What the standard library raises on archives that are damaged or something else.
DAMAGE = (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, zlib.error)


@dataclass(frozen=True)
class FileSet:
    """The files of one version of a dataset.

    Attributes
    ----------
    folder : str
        In which the archive holds them.
    files : tuple of str
        All of them are needed.
    extras : tuple of str
        Read where they are there.
    """

    folder: str
    files: tuple[str, ...]
    extras: tuple[str, ...] = ()

    @property
    def all_files(self) -> tuple[str, ...]:
        """Needed files, then extras."""
        return self.files + self.extras


def read_official_files(path: Path, versions: Sequence[FileSet]) -> Iterator[tuple[str, bytes]]:
    """Read a dataset's files one by one.

    Parameters
    ----------
    path : Path
        The folder that holds the files, a folder that holds this folder, or a ``.tar.gz``.
    versions : sequence of FileSet
        The first version that is found is read.

    Yields
    ------
    file : str
        Its name.
    content : bytes

    Raises
    ------
    InputError
        If no version is found, a file is missing or larger than any official one, or the
        archive is damaged.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> _ = (root / "test.bin").write_bytes(b"pixels")
    >>> list(read_official_files(root, [FileSet("cifar-100-binary", ("test.bin",))]))
    [('test.bin', b'pixels')]
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; {_accepted(versions)}")
    found: set[str] = set()
    read = _read_folder if path.is_dir() else _read_archive
    for file, content in read(path, versions):
        found.add(file)
        yield file, content
    version = next((version for version in versions if found & set(version.all_files)), None)
    if version is None:
        raise InputError(f"{path} holds none of the official files; {_accepted(versions)}")
    missing = [file for file in version.files if file not in found]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)} of {version.folder}")


def _accepted(versions: Sequence[FileSet]) -> str:
    choices = " or ".join(f"{version.folder} ({', '.join(version.files)})" for version in versions)
    return f"needed: a folder, or the official .tar.gz, with {choices}"


def _read_folder(path: Path, versions: Sequence[FileSet]) -> Iterator[tuple[str, bytes]]:
    for version in versions:
        for root in (path, path / version.folder):
            files = [file for file in version.all_files if (root / file).is_file()]
            for file in files:
                yield file, _read_file(root / file)
            if files:
                return


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    _check_size(str(path), len(content))
    return content


def _check_size(name: str, size: int) -> None:
    if size > MOST_BYTES:
        raise InputError(f"{name} is larger than {MOST_BYTES >> 20} MB, and no official file is")


def _read_archive(path: Path, versions: Sequence[FileSet]) -> Iterator[tuple[str, bytes]]:
    try:
        with (
            gzip.open(path) as unpacked,
            # As a stream: nothing is sought, so no header can send the reader in circles.
            tarfile.open(fileobj=_LimitedStream(unpacked, str(path)), mode="r|") as archive,
        ):
            yield from _read_members(archive, versions, str(path))
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(
            f"{path} is no .tar.gz, is damaged or is cut: {error}; {_accepted(versions)}"
        ) from None


def _read_members(
    archive: tarfile.TarFile, versions: Sequence[FileSet], name: str
) -> Iterator[tuple[str, bytes]]:
    for member in archive:
        place = PurePosixPath(member.name)
        version = next((v for v in versions if place.parent == PurePosixPath(v.folder)), None)
        if version is None or place.name not in version.all_files:
            continue
        _check_size(f"{name}: {place}", member.size)
        stream = archive.extractfile(member) if member.isreg() and not member.issparse() else None
        if stream is None:
            raise InputError(f"{name}: {place} is no regular file")
        yield place.name, stream.read()
        versions = [version]


class _LimitedStream(io.BufferedIOBase):
    """An unpacked archive that ends in an error where it is far larger than any official one."""

    def __init__(self, stream: io.BufferedIOBase, name: str) -> None:
        self.stream = stream
        self.name = name
        self.left = MOST_BYTES_UNPACKED

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most `size` bytes, or what is left."""
        most = self.left + 1
        content = self.stream.read(most if size is None or size < 0 else min(size, most))
        self.left -= len(content)
        if self.left < 0:
            raise InputError(
                f"{self.name} unpacks to more than {MOST_BYTES_UNPACKED >> 20} MB, and no "
                "official archive does"
            )
        return content
