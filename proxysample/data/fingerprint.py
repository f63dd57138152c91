"""Fingerprints: tell whether a ranking is of the dataset at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.data.reading import Samples
from proxysample.errors import InputError

N_PROBES = 64


def fingerprint(samples: Samples, *, pixels: bool) -> dict[str, Any]:
    """Describe a dataset by its size, its labels and some of its pixels.

    Parameters
    ----------
    samples : Samples
        The dataset.
    pixels : bool
        Whether to read `N_PROBES` samples, spread evenly. It is a probe, not a proof: a dataset
        that differs in a single image will usually pass.

    Returns
    -------
    dict
        ``n_samples``; ``labels`` and ``pixels``, hexadecimal or None where there are none.

    Examples
    --------
    >>> pixels = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    >>> fingerprint(Samples(pixels), pixels=True)
    {'n_samples': 2, 'labels': None, 'pixels': 'a2e4c8c5e3e8fb7f'}
    """
    labels = samples.cheap_labels
    rows = np.unique(np.linspace(0, len(samples) - 1, N_PROBES).round().astype(np.int64))
    return {
        "n_samples": len(samples),
        "labels": None if labels is None else _digest(labels),
        "pixels": _digest(*samples.rows(rows)) if pixels else None,
    }


def _digest(*arrays: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def check_fingerprint(known: Mapping[str, Any], samples: Samples) -> None:
    """Refuse a dataset that a ranking is not of.

    Parameters
    ----------
    known : mapping
        What `fingerprint` gave when the dataset was ranked.
    samples : Samples
        The dataset at hand.

    Raises
    ------
    InputError
        If size, labels or probed pixels differ.
    """
    if known["n_samples"] != len(samples):
        raise InputError(
            f"the ranking is of {known['n_samples']:,} samples, the dataset has "
            f"{len(samples):,}; rank this dataset anew"
        )
    now = fingerprint(samples, pixels=known["pixels"] is not None)
    for what in ("labels", "pixels"):
        if known[what] is not None and now[what] is not None and known[what] != now[what]:
            raise InputError(
                f"the dataset's {what} are not those that were ranked; rank this dataset anew, "
                "or check that its order and transform are the same"
            )
