"""Files that list samples, by index or by name."""

from __future__ import annotations

from pathlib import Path

from proxysample.errors import InputError
from proxysample.files import as_path, read_bounded, read_npy

# Of names at most some hundred bytes each, that is more samples than any dataset has.
MOST_BYTES = 1 << 32


def read_sample_list(path: str | Path) -> list[int] | list[str]:
    """Read indices or names of samples.

    Parameters
    ----------
    path : str or Path
        An ``.npy`` of indices, or a text in UTF-8 with one index, file or key a line. Lines are
        indices where all of them are whole numbers; empty ones count for nothing.

    Returns
    -------
    list of int, or list of str

    Raises
    ------
    InputError
        If the file is missing or damaged, or lists nothing.
    """
    path = as_path(path)
    if path.suffix == ".npy":
        array = read_npy(path)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise InputError(f"{path} does not hold a one-dimensional array of integers")
        return [int(index) for index in array]
    try:
        lines = read_bounded(path, MOST_BYTES).decode().split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8; list an index or a file a line") from None
    names = [line.removesuffix("\r") for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path} lists no sample; put an index or a file on each line")
    if all(name.strip().isdecimal() for name in names):
        return [int(name) for name in names]
    return names
