"""Readers of named datasets whose images stay where they are until they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from proxysample.data.array_stores import read_hdf5, read_zarr
from proxysample.data.datasets import ArrayDataset, Splits
from proxysample.data.folders import parts_of, read_image_files
from proxysample.data.image_files import ImageFiles
from proxysample.data.image_folder import OnError, without_broken
from proxysample.data.path_tables import read_csv
from proxysample.data.shards import read_shards
from proxysample.data.tensor_files import read_npy_pair, read_tensors
from proxysample.errors import InputError


def read_folder(path: str) -> Splits:
    """Read a folder of images; one that does not decode stops who asks for it."""
    return _read_folder("folder", path, "stop")


def read_folder_skip_broken(path: str) -> Splits:
    """Read a folder of images; those that do not decode are left out, with a warning."""
    return _read_folder("folder-skip-broken", path, "skip")


def _read_folder(kind: str, path: str, on_error: OnError) -> Splits:
    name = f"{kind}:{path}"
    root = Path(path).expanduser()
    try:
        train_folder, test_folder = parts_of(root)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    train = _folder_part(train_folder, on_error)

    def read_test() -> ImageFiles:
        assert test_folder is not None
        # The training part's classes count first, so that both parts number them alike.
        return _folder_part(test_folder, on_error, train.classes or ())

    return Splits(name, train, read_test=None if test_folder is None else read_test)


def _folder_part(folder: Path, on_error: OnError, known: Any = ()) -> ImageFiles:
    files = read_image_files(folder, known)
    return without_broken(folder, files) if on_error == "skip" else files


def read_csv_dataset(path: str, *, image: Any = None, label: Any = None) -> Splits:
    """Read a CSV file of paths and labels; paths are relative to its folder."""
    return Splits(f"csv:{path}", read_csv(path, path=image, label=label))


def read_npy_dataset(path: str) -> Splits:
    """Map an .npy file; ``IMAGES.npy,LABELS.npy`` names one of labels, too."""
    return Splits(f"npy:{path}", ArrayDataset(*read_npy_pair(path)))


def read_tensor_dataset(path: str) -> Splits:
    """Read tensors that torch.save wrote: one, a pair, or a mapping with images and labels."""
    return _splits(f"pt:{path}", read_tensors, path)


def read_safetensors_dataset(path: str) -> Splits:
    """Read a safetensors file with images and labels."""
    if Path(path).suffix != ".safetensors":
        raise InputError(f"safetensors:{path}: the name of such a file ends in .safetensors")
    return _splits(f"safetensors:{path}", read_tensors, path)


def read_hdf5_dataset(path: str) -> Splits:
    """Open an HDF5 file with images and labels; images are read in blocks."""
    return _splits(f"hdf5:{path}", read_hdf5, path)


def read_zarr_dataset(path: str) -> Splits:
    """Open a zarr store with images and labels; images are read in blocks."""
    return _splits(f"zarr:{path}", read_zarr, path)


def read_webdataset(path: str) -> Splits:
    """Find the images in shards of WebDataset, such as train-{000..099}.tar."""
    try:
        return Splits(f"webdataset:{path}", read_shards(path))
    except InputError as error:
        raise InputError(f"webdataset:{path}: {error}") from None


def _splits(name: str, read: Callable[[str], tuple[Any, Any]], path: str) -> Splits:
    train, test = read(path)
    return Splits(
        name,
        ArrayDataset(*train),
        read_test=None if test is None else partial(ArrayDataset, *test),
    )
