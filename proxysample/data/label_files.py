"""Labels in an .npy file of their own, beside the file of the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from proxysample.files import expanded, read_npy


def is_label_file(label: Any) -> bool:
    """Tell whether ``label=`` names a file, and not an array in the file of the images.

    Examples
    --------
    >>> is_label_file("y.npy"), is_label_file("labels"), is_label_file(1)
    (True, False, False)
    """
    return isinstance(label, str | Path) and Path(label).suffix == ".npy"


def read_label_file(label: Any) -> Any:
    """Read such a file; one that is missing or damaged is an `InputError`."""
    return read_npy(expanded(label))
