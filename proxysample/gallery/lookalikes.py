"""Which samples look alike: nearest neighbours and near duplicates, found when a page is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.coverage.groups import Group, Metric, nearest_neighbours, read_rows
from proxysample.data.reading import Samples
from proxysample.data.whole import Taken
from proxysample.errors import InputError
from proxysample.features.rows import Rows, Workers
from proxysample.features.sources import check_features, feature_rows, reads_for
from proxysample.keeping import FloatArray, IntArray

N_NEIGHBOURS = 8
DUPLICATE_SHARE = 0.5
"""Of the median distance to the nearest neighbour; what is closer is a near duplicate."""


@dataclass(frozen=True, eq=False)
class LookAlikes:
    """The nearest neighbours of each sample.

    Attributes
    ----------
    indices : ndarray of shape (n, k), int64
        Of samples, the nearest first; -1 throughout for a sample that is not compared.
    likeness : ndarray of shape (n, k), float64
        How near each is, in the unit that `unit` names.
    is_duplicate : ndarray of shape (n, k), bool
    told : str
        What was compared, and how.
    unit : {"cosine", "difference"}
        The cosine of two feature vectors, or the root mean square difference of two pictures'
        pixels, of 255.
    """

    indices: IntArray
    likeness: FloatArray
    is_duplicate: npt.NDArray[np.bool_]
    told: str
    unit: str


def features_at_hand(features: Any, samples: Samples) -> Any:
    """Give features that need no more work: given ones, or vectors that the samples are."""
    if features is not None and reads_for(features) == "nothing":
        return features
    array = samples.array
    return array if array is not None and array.ndim == 2 else None


def of_features(
    samples: Samples, features: Any, compared: IntArray, n_neighbours: int = N_NEIGHBOURS
) -> LookAlikes:
    """Find neighbours by the cosine of features; see `proxysample.features.sources.feature_rows`.

    Raises
    ------
    InputError
        If the features cannot be had.
    """
    check_features(features, None)
    if len(compared) < len(samples) and reads_for(features) != "nothing":
        raise InputError(
            "some samples cannot be read, so features of all of them cannot be made here: give "
            "features= as an array, or as what embed kept"
        )
    taken = samples
    if len(compared) < len(samples):
        taken = Taken(samples, compared, None, has_pixels=False)
    with Workers() as workers:
        rows = feature_rows(taken, features, centred=False, workers=workers)
        found = read_rows(rows, workers)
        told = f"cosine of {rows.n_features:,} features"
        return _found(found, compared, len(samples), "cosine", told, n_neighbours, workers)


def of_pixels(
    pixels: npt.NDArray[np.uint8], compared: IntArray, n_neighbours: int = N_NEIGHBOURS
) -> LookAlikes:
    """Find neighbours by the pixels of small thumbnails, which have so many values a row."""
    side = round((pixels.shape[1] / 3) ** 0.5)
    with Workers() as workers:
        found = read_rows(Rows(pixels).at(compared), workers)
        told = f"pixels of the thumbnails at {side} x {side}, root mean square difference of 255"
        return _found(found, compared, len(pixels), "euclidean", told, n_neighbours, workers)


def _found(
    rows: FloatArray,
    compared: IntArray,
    n_samples: int,
    metric: Metric,
    told: str,
    n_neighbours: int,
    workers: Workers,
) -> LookAlikes:
    count = max(0, min(n_neighbours, len(compared) - 1))
    indices = np.full((n_samples, count), -1, dtype=np.int64)
    likeness = np.zeros((n_samples, count))
    is_duplicate = np.zeros((n_samples, count), dtype=bool)
    unit = "cosine" if metric == "cosine" else "difference"
    if count:
        n_values = rows.shape[1]
        # The search takes the rows for itself, and changes them.
        found, distances = nearest_neighbours(Group(rows, 0, workers.map), count, metric=metric)
        limit = DUPLICATE_SHARE * float(np.median(distances[:, 0]))
        indices[compared] = compared[found]
        is_duplicate[compared] = distances <= limit
        likeness[compared] = (
            1 - distances**2 / 2 if metric == "cosine" else distances / np.sqrt(n_values)
        )
    return LookAlikes(indices, likeness, is_duplicate, told, unit)
