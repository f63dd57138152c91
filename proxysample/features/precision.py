"""Which features single precision can cluster, and how the others are brought into double."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from proxysample.features.rows import Mapped, Rows, Workers
from proxysample.keeping import FloatArray

# Between these, squares and their sums over many features stay well within single precision.
SMALLEST = 2.0**-40
LARGEST = 2.0**40

# The squared distances that single precision finds are off by about 1e-7 of the rows' squared
# norms, so that those of a clustering are off by a part in a thousand where they make up less
# than this share.
LEAST_SHARE = 5e-4

# Squares of what lies between these are well within double precision.
SMALLEST_IN_FLOAT64 = 2.0**-100
LARGEST_IN_FLOAT64 = 2.0**100

ROWS_FOR_MEDIANS = 1 << 10
VALUES_FOR_MEDIANS = 1 << 22


@dataclass(frozen=True)
class Extent:
    """How large the features are.

    Attributes
    ----------
    largest : float
        Greatest absolute value; infinite where single precision does not hold it.
    total : float
        Sum of the squares of all.
    """

    largest: float
    total: float

    @property
    def fits_float32(self) -> bool:
        """Whether squares of single precision neither overflow nor vanish."""
        return SMALLEST < self.largest < LARGEST

    def told_in_float32(self, inertia: float) -> bool:
        """Tell whether single precision was enough to find a clustering of this exact inertia."""
        return inertia >= LEAST_SHARE * self.total


def measure(rows: Rows, workers: Workers) -> Extent:
    """Find how large the features are, in their own precision, by one pass."""

    def measure_block(block: slice) -> tuple[float, float]:
        features = rows.read(block)
        if not features.size:
            return 0.0, 0.0
        largest = max(float(features.max()), -float(features.min()))
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("ij,ij->i", features, features)
            return largest, float(squares.sum(dtype=np.float64))

    largest, total = 0.0, 0.0
    for block_largest, block_total in workers.map(measure_block, rows.blocks()):
        largest = max(largest, block_largest)
        total += block_total
    return Extent(largest, total)


@dataclass(frozen=True)
class Widened:
    """Rows in double precision, about a middle that no huge value moves, in a fitting unit.

    Attributes
    ----------
    rows : Rows
        What they were, less `origin`, divided by `unit`.
    origin : ndarray of shape (d,), float64
        About the median. A mean would move with the very values that single precision cannot
        hold, and take the digits of all others with it.
    unit : float
        A power of two, which changes no digit.
    """

    rows: Rows
    origin: FloatArray
    unit: float

    @classmethod
    def of(cls, rows: Rows, workers: Workers, *, movable: bool) -> Widened:
        """Bring rows into double precision; those that are not `movable` stay about zero."""
        wide, shift = replace(rows, precision=np.float64), np.zeros(rows.n_features)
        if movable and rows.shift is not None and rows.scale is None and rows.components is None:
            # Taken off, a mean that a huge value has moved would take the others' digits with it.
            wide, shift = replace(wide, shift=None), rows.shift
        origin = _medians(wide) if movable else np.zeros(rows.n_features)
        centred = Rows(Mapped(wide, lambda block: block - origin), precision=np.float64)
        largest = measure(centred, workers).largest
        unit = 1.0
        if largest and not SMALLEST_IN_FLOAT64 < largest < LARGEST_IN_FLOAT64:
            unit = 2.0 ** int(np.log2(largest))
        scaled = Rows(Mapped(wide, lambda block: (block - origin) / unit), precision=np.float64)
        return cls(scaled.cached(workers), origin - shift, unit)

    def inside(self, centers: FloatArray) -> FloatArray:
        """Give centers of the rows that were as centers of these."""
        return (centers - self.origin) / self.unit

    def outside(self, centers: FloatArray) -> FloatArray:
        """Give centers of these rows as centers of those that were."""
        return centers * self.unit + self.origin


def _medians(rows: Rows) -> FloatArray:
    """Find the median of each feature over some rows, spread evenly."""
    size = min(len(rows), ROWS_FOR_MEDIANS, max(1, VALUES_FOR_MEDIANS // max(rows.n_features, 1)))
    some = np.unique(np.linspace(0, len(rows) - 1, size).astype(np.int64))
    medians: FloatArray = np.median(rows.at(some).read(slice(0, len(some)), np.float64), axis=0)
    return medians
