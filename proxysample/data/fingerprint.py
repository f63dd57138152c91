"""What a ranking knows of the dataset that it is of, to tell another one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.data.reading import Samples
from proxysample.errors import InputError

IntArray = npt.NDArray[np.int64]

N_PROBES = 64


def fingerprint(
    samples: Samples, *, labels: bool, pixels: bool, whole: IntArray | None = None
) -> dict[str, Any]:
    """Describe a dataset by its size, and by its labels and some of its pixels where asked to.

    Parameters
    ----------
    samples : Samples
        The dataset.
    labels : bool
        Whether to read its labels, as far as no image has to be decoded for them.
    pixels : bool
        Whether to read `N_PROBES` samples, spread evenly. It is a probe, not a proof: a dataset
        that differs in a single image will usually pass.
    whole : ndarray of int64, optional
        Indices of the samples that can be read; by default all.

    Returns
    -------
    dict
        ``n_samples``; ``labels`` and ``pixels``, hexadecimal or None where they were not read or
        there are none; ``of`` says it in words.

    Examples
    --------
    >>> pixels = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    >>> fingerprint(Samples(pixels), labels=True, pixels=True)
    {'n_samples': 2, 'labels': None, 'pixels': '8d33b3367f175133', 'of': 'size, 2 samples'}
    """
    found = samples.cheap_labels if labels else None
    whole = np.arange(len(samples)) if whole is None else whole
    places = np.linspace(0, len(whole) - 1, N_PROBES).round().astype(np.int64)
    rows = whole[np.unique(places)] if pixels else whole[:0]
    of = ["size", *(["labels"] if found is not None else [])]
    of += [f"{len(rows)} samples"] if pixels else []
    return {
        "n_samples": len(samples),
        "labels": None if found is None else _digest([found]),
        # One at a time, however large they are.
        "pixels": _digest(samples.rows(rows[[n]])[0] for n in range(len(rows))) if pixels else None,
        "of": ", ".join(of),
    }


def _digest(arrays: Iterable[npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def check_fingerprint(
    known: Mapping[str, Any], samples: Samples, whole: IntArray | None = None
) -> None:
    """Refuse a dataset that a ranking is not of.

    Parameters
    ----------
    known : mapping
        What `fingerprint` gave when the dataset was ranked.
    samples : Samples
        The dataset at hand.
    whole : ndarray of int64, optional
        See `fingerprint`.

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
    now = fingerprint(
        samples,
        labels=known["labels"] is not None,
        pixels=known["pixels"] is not None,
        whole=whole,
    )
    for what in ("labels", "pixels"):
        if known[what] is not None and now[what] is not None and known[what] != now[what]:
            raise InputError(
                f"the dataset's {what} are not those that were ranked; rank this dataset anew, "
                "or check that its order and transform are the same"
            )
