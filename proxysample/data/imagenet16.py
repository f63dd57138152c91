"""ImageNet16-120 out of the official batches of ImageNet16 (Chrabaszcz et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from proxysample.data.official_files import FileSet, read_official_files
from proxysample.data.parts import Part, Parts, check_label_range
from proxysample.data.pickled_batch import read_batch
from proxysample.errors import InputError

N_VALUES = 3 * 16 * 16


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
        validation images are the test part.

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
    parts = {
        file: _read_part(content, f"{path}: {file}", layout.n_classes)
        for file, content in read_official_files(path, [layout.files])
    }
    test = parts.pop(TEST_FILE)
    train = Part.joined([parts[file] for file in layout.files.files if file != TEST_FILE])
    _check_sizes(path, [("training", train, layout.n_train), ("validation", test, layout.n_test)])
    return Parts(train, test)


def _read_part(content: bytes, name: str, n_classes: int) -> Part:
    pixels, labels = read_batch(content, name, "labels", N_VALUES)
    check_label_range(labels, range(1, 1001), name)
    kept = labels <= n_classes
    return Part.of_planes(pixels[kept], labels[kept] - 1)


def _check_sizes(path: Path, parts: Iterable[tuple[str, Part, int]]) -> None:
    for what, part, expected in parts:
        if len(part.images) != expected:
            raise InputError(
                f"{path} holds {len(part.images):,} {what} images of these classes, and the "
                f"official files {expected:,}: a file is another one"
            )
