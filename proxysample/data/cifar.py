"""CIFAR-10 and CIFAR-100 in their official files (Krizhevsky 2009), binary and for Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from proxysample.data.official_files import FileSet, read_official_files
from proxysample.data.parts import Part, Parts, check_label_range
from proxysample.data.pickled_batch import read_batch
from proxysample.data.plain_pickle import read_plain_pickle
from proxysample.errors import InputError

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

N_VALUES = 3 * 32 * 32
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

    @property
    def versions(self) -> tuple[FileSet, FileSet]:
        """The files for Python and the binary ones."""
        files = (*self.train, *self.test)
        return (
            FileSet(self.python_folder, files, (self.python_names,)),
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
        uint8 images of 32 x 32 in the order of the files; class names where there are any.

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
    official .tar.gz, with cifar-100-python (train, test) or cifar-100-binary (train.bin, test.bin)
    """
    parts: dict[str, Part] = {}
    classes: list[str] | None = None
    for file, content in read_official_files(path, layout.versions):
        if file in (layout.python_names, layout.binary_names):
            classes = _read_names(content, file, f"{path}: {file}", layout)
        else:
            parts[file.removesuffix(".bin")] = _read_part(content, file, f"{path}: {file}", layout)
    return Parts(
        train=Part.joined([parts[file] for file in layout.train]),
        test=Part.joined([parts[file] for file in layout.test]),
        classes=classes,
    )


def _read_part(content: bytes, file: str, name: str, layout: CifarFormat) -> Part:
    if file.endswith(".bin"):
        pixels, labels = _read_binary(content, name, layout.n_label_bytes)
    else:
        pixels, labels = read_batch(content, name, layout.labels_key, N_VALUES)
    expected = layout.n_images(file)
    if len(pixels) != expected:
        raise InputError(
            f"{name} holds {len(pixels):,} images, and the official file {expected:,}: it is cut "
            "or another one; read images of your own from an .npz"
        )
    check_label_range(labels, range(layout.n_classes), name)
    return Part.of_planes(pixels, labels)


def _read_binary(content: bytes, name: str, n_label_bytes: int) -> tuple[Bytes, Integers]:
    record = n_label_bytes + N_VALUES
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
