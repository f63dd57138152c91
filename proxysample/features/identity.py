"""What decides the features of a dataset: its samples, and the network with its weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from proxysample.data.image_files import holds_files
from proxysample.data.keys import keys_of
from proxysample.data.reading import ROWS_PER_CHUNK, Samples
from proxysample.digests import as_plain
from proxysample.errors import InputError, SampleError
from proxysample.machine import version_of

if TYPE_CHECKING:
    from proxysample.features.backbones import Backbone
    from proxysample.features.store import Features

Array = npt.NDArray[Any]

# Samples that are read where a dataset holds no array.
MOST_SAMPLES_READ = 4096
SAMPLES_READ_OF_FILES = 64
SAMPLES_READ_TWICE = 4

# Files that take less are read for their content; of more, names, sizes and times of change count.
BYTES_READ = 1 << 30


def dataset_identity(samples: Samples) -> dict[str, Any]:
    """Name the pixels of a dataset; labels do not count.

    Parameters
    ----------
    samples : Samples
        Of an array all is read. Of other datasets up to `MOST_SAMPLES_READ` samples are, spread
        evenly, and files that they name; of ours with files, each file and
        `SAMPLES_READ_OF_FILES` samples.

    Returns
    -------
    dict
        ``n_samples`` and ``pixels``, 16 hexadecimal digits.

    Raises
    ------
    InputError
        If a sample cannot be read, or has other pixels each time.

    Examples
    --------
    >>> dataset_identity(Samples(np.zeros((2, 4, 4), dtype=np.uint8)))
    {'n_samples': 2, 'pixels': 'e14cbddb0944c718'}
    """
    digest = sha256()
    array = samples.array
    if array is not None:
        for start in range(0, len(array), ROWS_PER_CHUNK):
            add_to_digest(digest, np.asarray(array[start : start + ROWS_PER_CHUNK]))
    else:
        files = files_of(samples.dataset)
        if files is not None:
            _add_files(digest, files)
        # Only of our own datasets it is known that the files are what the samples come from.
        most = SAMPLES_READ_OF_FILES if holds_files(samples.dataset) else MOST_SAMPLES_READ
        for image in _read_spread(samples, most):
            add_to_digest(digest, image)
    return {"n_samples": len(samples), "pixels": digest.hexdigest()[:16]}


def add_to_digest(digest: Any, array: Array) -> None:
    """Have a digest tell an array by its type, shape and content."""
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).view(np.uint8).data)


# What stands for a sample that is skipped.
BROKEN = np.zeros(0)


def _read_spread(samples: Samples, most: int) -> Iterator[Array]:
    n_read = min(most, len(samples))
    for place, index in enumerate(np.linspace(0, len(samples) - 1, n_read).round().astype(int)):
        try:
            image = read_one(samples, int(index))
        except InputError:
            if samples.broken == "stop":
                raise
            yield BROKEN
            continue
        if place < SAMPLES_READ_TWICE:
            again = read_one(samples, int(index))
            if image.shape != again.shape or not np.array_equal(image, again, equal_nan=True):
                raise SampleError(
                    int(index),
                    " has other pixels each time it is read: the dataset's transform is random. "
                    "Embed the dataset without augmentation",
                )
        yield image


def read_one(samples: Samples, index: int) -> Array:
    """Read one sample; whatever stops that is told with its index."""
    try:
        return samples.rows(np.array([index]))[0]
    except InputError:
        raise
    # Whatever a dataset of anyone's raises.
    except Exception as error:
        raise SampleError(
            index,
            f" cannot be read: {type(error).__name__}: {error}; repair it, or leave it out with "
            "broken='skip'",
        ) from error


# Arrays in memory that take less are read to tell whether features are theirs.
BYTES_COMPARED = 1 << 28
NAMES_COMPARED = 4096


def refuse_others(features: Features, samples: Samples) -> None:
    """Refuse features of other samples, as far as names of files or pixels in memory tell.

    Raises
    ------
    InputError
        If a file has another name, or pixels are others, than what was embedded.
    """
    if len(features) != len(samples):
        return
    way_out = "; where they are the same in another form, pass numpy.asarray of the features"
    keys, names = keys_of(samples.dataset), features.keys
    if keys is not None and keys.kind == "file" and names is not None and Path(names[0]).suffix:
        for row in np.linspace(0, len(names) - 1, min(len(names), NAMES_COMPARED)).astype(int):
            file = Path(os.path.abspath(keys.values[row])).as_posix()  # noqa: PTH100
            if not f"/{file}".endswith(f"/{names[row]}"):
                raise InputError(
                    f"features in {features.folder} are of other samples: sample {row} is {file}, "
                    f"and {names[row]} there{way_out}"
                )
        return
    array, known = samples.array, features.made_of.get("dataset")
    # Vectors may stand for anything: features that are given take their place.
    if not isinstance(array, np.ndarray) or array.ndim < 3 or array.nbytes > BYTES_COMPARED:
        return
    if known is not None and known != dataset_identity(samples):
        raise InputError(
            f"features in {features.folder} are of other samples: their pixels are not those of "
            f"this dataset{way_out}"
        )


def files_of(dataset: Any) -> list[Path] | None:
    """Find the file of each sample, in a dataset that says so; None where they are not there."""
    keys = keys_of(dataset)
    if keys is None or keys.kind != "file" or not Path(keys.values[0]).is_file():
        return None
    return [Path(value) for value in keys.values]


def names_of(dataset: Any) -> list[str] | None:
    """Give what a dataset calls its samples, files relative to the folder of all."""
    keys = keys_of(dataset)
    if keys is None:
        return None
    return _relative(list(map(Path, keys.values))) if keys.kind == "file" else list(keys.values)


def _relative(files: list[Path]) -> list[str]:
    paths = [os.path.abspath(file) for file in files]  # noqa: PTH100  # links are not followed
    parent = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120
    return [Path(path).relative_to(parent).as_posix() for path in paths]


def _add_files(digest: Any, files: list[Path]) -> None:
    try:
        states = [file.stat() for file in files]
        is_read = sum(state.st_size for state in states) <= BYTES_READ
        for name, file, state in zip(_relative(files), files, states, strict=True):
            digest.update(f"{name}\n{state.st_size}\n".encode("utf-8", "surrogateescape"))
            if is_read:
                digest.update(file.read_bytes())
            else:
                digest.update(f"{state.st_mtime_ns}\n".encode())
    except OSError as error:
        raise InputError(f"{error.filename}: {(error.strerror or str(error)).lower()}") from None


# Changes when the same images and network would come to other features.
EMBEDDING = 1

# Attributes of a backbone that leave its features alone.
WITHOUT_EFFECT = ("training", "weights")


def backbone_identity(backbone: Backbone, given: object) -> dict[str, Any]:
    """Name a network, its weights, and how images go into it.

    Parameters
    ----------
    backbone : Backbone
    given : str or nn.Module
        What the user named it by.

    Returns
    -------
    dict
        Plain JSON values.
    """
    is_named = isinstance(given, str)
    kind = type(backbone.network)
    inputs = {
        name: as_plain(value, name)
        for name, value in vars(backbone).items()
        if not name.startswith("_") and name not in WITHOUT_EFFECT
    }
    packages = ("torch", "timm") if is_named and kind.__module__.startswith("timm") else ("torch",)
    return {
        "backbone": given if is_named else f"{kind.__module__}.{kind.__qualname__}",
        "weights": as_plain(backbone.network, "the backbone"),
        "inputs": inputs
        | {name: getattr(backbone, name).flatten().tolist() for name in ("mean", "std")},
        "embedding": EMBEDDING,
        "versions": {name: version_of(name).partition("+")[0] for name in packages},
    }
