"""What a ranking's file holds, checked before a ranking is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from proxysample.data.classes import Classes
from proxysample.errors import InputError
from proxysample.keeping import NATURALS, FloatArray, IntArray, KeepingRule, Rounding, as_rule
from proxysample.printing import shown
from proxysample.records import (
    AMOUNT,
    COUNT,
    MAPPING,
    TEXT,
    check_values,
    mapping_to,
    one_of,
    optional,
    read_json,
    require_values,
)

FORMAT = "proxysample-ranking-1"

# Columns are arrays of this name and their own.
COLUMN = "column:"

# What the header of a file holds, and what is read of a provenance.
HEADER = {
    "rounding": one_of(*get_args(Rounding)),
    "provenance": MAPPING,
}
PROVENANCE = {
    "sampler": TEXT,
    "parameters": MAPPING,
    "versions": mapping_to(TEXT),
    "seconds": AMOUNT,
    "dataset": MAPPING,
    "details": mapping_to(TEXT),
}
FINGERPRINT = {
    "n_samples": COUNT,
    "labels": optional(TEXT),
    "pixels": optional(TEXT),
    "of": TEXT,
}


def ranking_parts(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> dict[str, Any]:
    """Read the parts of a ranking.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Of an .npz file.
    name : str
        What to call it in messages.

    Returns
    -------
    dict
        The attributes of `proxysample.ranking.Ranking`.

    Raises
    ------
    InputError
        If they are those of no ranking.
    """
    if "header" not in arrays or "scores" not in arrays:
        raise InputError(f"{name} is not a ranking: it holds {', '.join(arrays) or 'nothing'}")
    header = read_json(str(arrays["header"]), name)
    check_values(header, {}, name)
    if header.get("format") != FORMAT:
        raise InputError(f"{name} has format {shown(header.get('format'))}, not {FORMAT!r}")
    require_values(header, HEADER, name)
    check_values(header, {"natural": one_of(*NATURALS)}, name)
    provenance = header["provenance"]
    check_values(provenance, PROVENANCE, f"the provenance in {name}")
    known = provenance.get("dataset", {})
    check_values(known, FINGERPRINT, f"the provenance in {name}")
    scores = _numbers(arrays["scores"], "fiu", name).astype(np.float64)
    if known.get("n_samples", len(scores)) != len(scores):
        raise InputError(
            f"{name} is not a ranking: {len(scores):,} scores are of a dataset of "
            f"{known['n_samples']:,} samples"
        )
    return {
        "scores": scores,
        "codes": _codes(arrays["codes"], name) if "codes" in arrays else None,
        "keep": _keep(header.get("keep"), name),
        "rounding": header["rounding"],
        "provenance": provenance,
        "skipped": _numbers(arrays["skipped"], "i", name).astype(np.int64)
        if "skipped" in arrays
        else None,
        "classes": _classes(arrays, name),
        "columns": _columns(arrays, name),
        "natural": header.get("natural", "low"),
    }


def _columns(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> dict[str, FloatArray]:
    return {
        key.removeprefix(COLUMN): _numbers(array, "f", name).astype(np.float64)
        for key, array in arrays.items()
        if key.startswith(COLUMN)
    }


def _classes(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> Classes | None:
    if "class_names" not in arrays and "class_codes" not in arrays:
        return None
    if "class_names" not in arrays or "class_codes" not in arrays:
        raise InputError(f"{name} is not a ranking: of class_names and class_codes one is missing")
    names = arrays["class_names"]
    if names.ndim != 1 or names.dtype.kind != "U" or len(np.unique(names)) != len(names):
        raise InputError(f"{name} is not a ranking: its class_names are no list of different words")
    codes = _codes(arrays["class_codes"], name)
    if not np.array_equal(np.unique(codes), np.arange(len(names))):
        raise InputError(
            f"{name} is not a ranking: its class_codes do not fit {len(names)} class_names"
        )
    return Classes(tuple(names.tolist()), codes)


def _keep(written: object, name: str) -> str | KeepingRule:
    try:
        rule = as_rule(written)
    except InputError as error:
        raise InputError(f"{name}: its keep is {shown(written)}: {error}") from error
    # A rule without parameters is spelled as it was given.
    return written if isinstance(written, str) else rule


def _numbers(array: npt.NDArray[Any], kinds: str, name: str) -> npt.NDArray[Any]:
    if array.ndim != 1 or array.dtype.kind not in kinds:
        raise InputError(f"{name} is not a ranking: an array is {array.shape} {array.dtype}")
    return array


def _codes(array: npt.NDArray[Any], name: str) -> IntArray:
    codes = _numbers(array, "iu", name)
    # There are no more classes than samples, and each code takes a place in a count.
    if len(codes) and not (codes.min() >= 0 and codes.max() < len(codes)):
        raise InputError(f"{name} is not a ranking: its codes run to {codes.max()}")
    return codes.astype(np.int64)
