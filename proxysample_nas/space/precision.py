"""In which floating point format a network multiplies."""

from __future__ import annotations

from typing import Literal

import torch

from proxysample.checks import one_of

Precision = Literal["float32", "bfloat16"]

AUTOCAST_DTYPES: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16}

PRECISION = one_of("precision", AUTOCAST_DTYPES)


def autocast_dtype(precision: str) -> torch.dtype | None:
    """Say to which dtype a network's features and products are cast.

    float16 is no choice: a cell of five nodes that only skips multiplies its input by 8, 15 cells
    in a row by 3.5e13, which float16 cannot hold and bfloat16 can.

    Parameters
    ----------
    precision : {"float32", "bfloat16"}

    Returns
    -------
    torch.dtype or None
        None for no cast.

    Raises
    ------
    InputError
        If the name is unknown.

    Examples
    --------
    >>> autocast_dtype("bfloat16")
    torch.bfloat16
    """
    PRECISION.check("precision", precision)
    return AUTOCAST_DTYPES[precision]
