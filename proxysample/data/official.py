"""CIFAR-10, CIFAR-100 and ImageNet16-120 in their official files, from a folder or an archive."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from proxysample.data.parts import Part, Parts, check_label_range
from proxysample.data.pickles import read_batch, read_plain_pickle
from proxysample.errors import InputError
from proxysample.files import check_regular, check_stays, read_bounded

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
    if not path.is_dir():
        check_regular(path)
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
    home = Path(os.path.realpath(path))
    for version in versions:
        for root in (path, path / version.folder):
            files = [file for file in version.all_files if (root / file).is_file()]
            for file in files:
                check_stays(root / file, home)
                yield file, _read_file(root / file)
            if files:
                return


def _read_file(path: Path) -> bytes:
    check_regular(path)
    _check_size(str(path), path.stat().st_size)
    return read_bounded(path, MOST_BYTES)


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


Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

CIFAR_VALUES = 3 * 32 * 32
"""Of an image: red, green and blue, each row by row."""


@dataclass(frozen=True)
class CifarFormat:
    """How the files of CIFAR-10 or CIFAR-100 are named and laid out.

    Attributes
    ----------
    python_folder, binary_folder : str
        Folders in the two official archives.
    train, test : mapping of str to int
        Number of images of each file; the binary ones end in ``.bin``.
    python_names, binary_names : str
        Files with the names of the classes.
    labels_key, names_key : str
        Keys of labels and of class names in the files for Python.
    n_label_bytes : int
        Before the pixels of an image in the binary files; the last one is used.
    n_classes : int
    """

    python_folder: str
    binary_folder: str
    train: Mapping[str, int]
    test: Mapping[str, int]
    python_names: str
    binary_names: str
    labels_key: str
    names_key: str
    n_label_bytes: int
    n_classes: int

    def versions(self, files: Collection[str]) -> tuple[FileSet, FileSet]:
        """Give files of one part, and those of class names: for Python, and the binary ones."""
        return (
            FileSet(self.python_folder, tuple(files), (self.python_names,)),
            FileSet(
                self.binary_folder, tuple(f"{file}.bin" for file in files), (self.binary_names,)
            ),
        )

    def n_images(self, file: str) -> int:
        """Tell how many images a file of either version holds."""
        return {**self.train, **self.test}[file.removesuffix(".bin")]


CIFAR10 = CifarFormat(
    python_folder="cifar-10-batches-py",
    binary_folder="cifar-10-batches-bin",
    train={f"data_batch_{number}": 10_000 for number in range(1, 6)},
    test={"test_batch": 10_000},
    python_names="batches.meta",
    binary_names="batches.meta.txt",
    labels_key="labels",
    names_key="label_names",
    n_label_bytes=1,
    n_classes=10,
)
CIFAR100 = CifarFormat(
    python_folder="cifar-100-python",
    binary_folder="cifar-100-binary",
    train={"train": 50_000},
    test={"test": 10_000},
    python_names="meta",
    binary_names="fine_label_names.txt",
    labels_key="fine_labels",
    names_key="fine_label_names",
    n_label_bytes=2,
    n_classes=100,
)


def read_cifar(path: Path, layout: CifarFormat) -> Parts:
    """Read CIFAR-10 or CIFAR-100, the latter with its fine labels.

    Parameters
    ----------
    path : Path
        The official ``.tar.gz``, the folder in it, or a folder that holds that folder.
    layout : CifarFormat

    Returns
    -------
    Parts
        uint8 images of 32 x 32 in the order of the files; class names where there are any. The
        test part's file is touched only when it is asked for.

    Raises
    ------
    InputError
        If files are missing, damaged, of another size than the official ones, hold labels out
        of range or, in a pickle, anything but plain values and arrays. Nothing is ever run.

    Examples
    --------
    >>> read_cifar(Path("missing"), CIFAR100)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: missing: no such file or folder; needed: a folder, or the
    official .tar.gz, with cifar-100-python (train) or cifar-100-binary (train.bin)
    """
    train, classes = _read_cifar_files(path, layout, layout.train)

    def read_test() -> Part:
        return _read_cifar_files(path, layout, layout.test)[0]

    return Parts(train, read_test, classes)


def _read_cifar_files(
    path: Path, layout: CifarFormat, files: Collection[str]
) -> tuple[Part, list[str] | None]:
    parts: dict[str, Part] = {}
    classes: list[str] | None = None
    for file, content in read_official_files(path, layout.versions(files)):
        if file in (layout.python_names, layout.binary_names):
            classes = _read_names(content, file, f"{path}: {file}", layout)
        else:
            parts[file.removesuffix(".bin")] = _read_cifar_part(
                content, file, f"{path}: {file}", layout
            )
    return Part.joined([parts[file] for file in files]), classes


def _read_cifar_part(content: bytes, file: str, name: str, layout: CifarFormat) -> Part:
    if file.endswith(".bin"):
        pixels, labels = _read_binary(content, name, layout.n_label_bytes)
    else:
        pixels, labels = read_batch(content, name, layout.labels_key, CIFAR_VALUES)
    expected = layout.n_images(file)
    if len(pixels) != expected:
        raise InputError(
            f"{name} holds {len(pixels):,} images, and the official file {expected:,}: it is cut "
            "or another one; read images of your own from an .npz"
        )
    check_label_range(labels, range(layout.n_classes), name)
    return Part.of_planes(pixels, labels)


def _read_binary(content: bytes, name: str, n_label_bytes: int) -> tuple[Bytes, Integers]:
    record = n_label_bytes + CIFAR_VALUES
    if len(content) % record:
        raise InputError(
            f"{name} has {len(content):,} bytes, which is no multiple of {record:,}: it is cut, "
            "or of another dataset"
        )
    rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, record)
    return rows[:, n_label_bytes:], rows[:, n_label_bytes - 1].astype(np.int64)


def _read_names(content: bytes, file: str, name: str, layout: CifarFormat) -> list[str]:
    if file == layout.python_names:
        names = read_plain_pickle(content, name).get(layout.names_key)
    else:
        names = content.decode("latin-1").split()
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise InputError(f"{name} has no list of names under {layout.names_key!r}")
    if len(names) != layout.n_classes or len(set(names)) != len(names):
        raise InputError(
            f"{name} names {len(names)} classes ({len(set(names))} of them different), not "
            f"{layout.n_classes}"
        )
    return names


IMAGENET16_VALUES = 3 * 16 * 16


@dataclass(frozen=True)
class ImageNet16Format:
    """Which files and classes are read, and how many images they hold.

    Attributes
    ----------
    files : FileSet
    n_classes : int
        Classes 1 to `n_classes` of all 1,000 are kept.
    n_train, n_test : int
        Images of these classes.
    """

    files: FileSet
    n_classes: int
    n_train: int
    n_test: int


TEST_FILE = "val_data"
IMAGENET16_120 = ImageNet16Format(
    files=FileSet(
        "ImageNet16", (*(f"train_data_batch_{number}" for number in range(1, 11)), TEST_FILE)
    ),
    n_classes=120,
    n_train=151_700,
    n_test=6_000,
)


def read_imagenet16(path: Path, layout: ImageNet16Format = IMAGENET16_120) -> Parts:
    """Read the first classes of ImageNet16, as NAS-Bench-201 does (Dong & Yang 2020).

    Parameters
    ----------
    path : Path
        The folder with the official batches, or one that holds a folder ``ImageNet16`` of them.
    layout : ImageNet16Format

    Returns
    -------
    Parts
        uint8 images of 16 x 16 in the order of the files, labels from 0, no class names. The
        validation images are the test part, whose file is touched only when it is asked for.

    Raises
    ------
    InputError
        If files are missing, damaged or hold other images than the official ones, or anything
        but plain values and arrays. Nothing in them is ever run.

    Examples
    --------
    >>> read_imagenet16(Path("missing"))
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: missing: no such folder; needed: the folder with
    train_data_batch_1, ..., train_data_batch_10, val_data
    """
    if not path.is_dir():
        raise InputError(
            f"{path}: no such folder; needed: the folder with {', '.join(layout.files.files)}"
        )
    read = partial(_read_imagenet16_files, path, layout)
    files = [file for file in layout.files.files if file != TEST_FILE]
    return Parts(
        read(files, "training", layout.n_train),
        partial(read, [TEST_FILE], "validation", layout.n_test),
    )


def _read_imagenet16_files(
    path: Path, layout: ImageNet16Format, files: Sequence[str], what: str, n_images: int
) -> Part:
    version = FileSet(layout.files.folder, tuple(files))
    parts = {
        file: _read_imagenet16_part(content, f"{path}: {file}", layout.n_classes)
        for file, content in read_official_files(path, [version])
    }
    part = Part.joined([parts[file] for file in files])
    if len(part.images) != n_images:
        raise InputError(
            f"{path} holds {len(part.images):,} {what} images of these classes, and the "
            f"official files {n_images:,}: a file is another one"
        )
    return part


def _read_imagenet16_part(content: bytes, name: str, n_classes: int) -> Part:
    pixels, labels = read_batch(content, name, "labels", IMAGENET16_VALUES)
    check_label_range(labels, range(1, 1001), name)
    kept = labels <= n_classes
    return Part.of_planes(pixels[kept], labels[kept] - 1)
