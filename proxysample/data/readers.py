"""Readers of named datasets whose images stay where they are until they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from proxysample.checks import BOOLEAN
from proxysample.data.array_names import split_place
from proxysample.data.array_stores import read_hdf5, read_zarr
from proxysample.data.datasets import ArrayDataset, Splits
from proxysample.data.folders import home_of, parts_of, read_image_files
from proxysample.data.image_files import ImageFiles
from proxysample.data.labels import is_label_file, read_label_file
from proxysample.data.path_tables import read_csv, read_csv_features
from proxysample.data.shards import read_shards
from proxysample.data.tensor_files import read_npy_pair, read_tensors
from proxysample.errors import InputError
from proxysample.files import expanded


def read_folder(path: str, *, follow_links: Any = False) -> Splits:
    """List a folder of images; one that does not decode stops who asks for it, or is skipped."""
    BOOLEAN.check("follow_links", follow_links)
    name = f"folder:{path}"
    root = expanded(path)
    home = home_of(root, follow_links)
    try:
        train_folder, test_folder = parts_of(root, home)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    train = read_image_files(train_folder, home=home)

    def read_test() -> ImageFiles:
        assert test_folder is not None
        # The training part's classes count first, so that both parts number them alike.
        return read_image_files(test_folder, train.classes or (), home)

    return Splits(name, train, read_test=None if test_folder is None else read_test)


def read_csv_dataset(
    path: str, *, root: Any = None, image: Any = None, label: Any = None, features: Any = None
) -> Splits:
    """Read a CSV file of numbers, or of paths, relative to `root` or to its folder; and labels."""
    numbers = None
    if image is not None and features is not None:
        raise InputError("give image= or features=, not both: features are read in its place")
    if image is None and root is None:
        numbers = read_csv_features(path, features, label)
    if numbers is not None:
        train = ArrayDataset(*numbers) if isinstance(numbers, tuple) else numbers
        return Splits(f"csv:{path}", train)
    folder = None if root is None else Path(str(root))
    return Splits(f"csv:{path}", read_csv(path, folder, path=image, label=label))


def read_npy_dataset(path: str, *, label: Any = None) -> Splits:
    """Map an .npy file; `label` is a file of labels, as in ``IMAGES.npy,LABELS.npy``."""
    images, labels = read_npy_pair(path)
    name = f"npy:{path}"
    if label is None or not isinstance(label, str | Path):
        # A function, or a position, of the items.
        splits = Splits(name, ArrayDataset(images, labels))
        return splits if label is None else splits.viewed(label=label)
    if labels is not None:
        raise InputError(f"{name} names a file of labels, and label= another; give one")
    if not is_label_file(label):
        raise InputError(f"{name}: label={str(label)!r} is no .npy file, as labels of one are in")
    return Splits(name, ArrayDataset(images, read_label_file(label)))


def read_tensor_dataset(path: str, *, image: Any = None, label: Any = None) -> Splits:
    """Read tensors that torch.save wrote: one, a pair, or a mapping with images and labels."""
    return _splits(f"pt:{path}", read_tensors, path, image, label)


def read_safetensors_dataset(path: str, *, image: Any = None, label: Any = None) -> Splits:
    """Read a safetensors file with images and labels."""
    if Path(split_place(path)[0]).suffix != ".safetensors":
        raise InputError(f"safetensors:{path}: the name of such a file ends in .safetensors")
    return _splits(f"safetensors:{path}", read_tensors, path, image, label)


def read_hdf5_dataset(path: str, *, image: Any = None, label: Any = None) -> Splits:
    """Open an HDF5 file with images and labels; images are read in blocks."""
    return _splits(f"hdf5:{path}", read_hdf5, path, image, label)


def read_zarr_dataset(path: str, *, image: Any = None, label: Any = None) -> Splits:
    """Open a zarr store with images and labels; images are read in blocks."""
    return _splits(f"zarr:{path}", read_zarr, path, image, label)


def read_webdataset(path: str, *, image: Any = None, label: Any = None) -> Splits:
    """Find the images in shards of WebDataset, such as train-{000..099}.tar."""
    try:
        return Splits(f"webdataset:{path}", read_shards(path, image=image, label=label))
    except InputError as error:
        raise InputError(f"webdataset:{path}: {error}") from None


def _splits(
    name: str,
    read: Callable[..., tuple[Any, Any]],
    path: str,
    image: str | int | None,
    label: str | int | None,
) -> Splits:
    if is_label_file(label):
        images = read(path, image=image, label=None)[0][0]
        return Splits(name, ArrayDataset(images, read_label_file(label)))
    train, test = read(path, image=image, label=label)
    return Splits(
        name,
        ArrayDataset(*train),
        read_test=None if test is None else partial(ArrayDataset, *test),
    )
