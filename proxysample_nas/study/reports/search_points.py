"""What a figure over r shows: one point for each search, and their spread."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace

from proxysample_nas.study.results import FoundCell, Row

UNITS = {"s": 1, "min": 60, "h": 3600}
"""Seconds of each unit of time."""


@dataclass(frozen=True)
class Point:
    """One search.

    Attributes
    ----------
    sampler : str or None
        Its label; None for the full data.
    seed : int
        Of the search.
    r : float
    value : float
    """

    sampler: str | None
    seed: int
    r: float
    value: float


@dataclass(frozen=True)
class Spread:
    """The searches on all proxies of one size.

    Attributes
    ----------
    r : float
    mean : float
    std : float or None
        Sample standard deviation; None for fewer than two searches.
    n : int
    """

    r: float
    mean: float
    std: float | None
    n: int


def seconds_points(rows: list[Row]) -> list[Point]:
    """Give the wall-clock time of each search, in seconds.

    Parameters
    ----------
    rows : list of Row
        Of one searcher.

    Returns
    -------
    list of Point
    """
    return [_point(row, one, one.seconds) for row in rows for one in row.found]


def time_unit(longest: float) -> str:
    """Choose the unit of an axis of times.

    Parameters
    ----------
    longest : float
        Seconds.

    Returns
    -------
    {"s", "min", "h"}

    Examples
    --------
    >>> time_unit(90), time_unit(900), time_unit(90_000)
    ('s', 'min', 'h')
    """
    return max(
        (unit for unit in UNITS if 2 * UNITS[unit] <= longest), key=UNITS.__getitem__, default="s"
    )


def relative_points(rows: list[Row]) -> list[Point]:
    """Give the time of each search in percent of the mean search on the full data.

    Parameters
    ----------
    rows : list of Row
        Of one searcher.

    Returns
    -------
    list of Point
        Empty where the full data have not been searched, or that took no time: a random search
        of a single cell has nothing to do.
    """
    points = seconds_points(rows)
    full = [point.value for point in points if point.sampler is None]
    whole = statistics.fmean(full) if full else 0.0
    if not whole:
        return []
    return [replace(one, value=100 * one.value / whole) for one in points]


def accuracy_points(rows: list[Row], channels: int) -> list[Point]:
    """Give the accuracy of the cell of each search, in percent.

    Parameters
    ----------
    rows : list of Row
        Of one searcher.
    channels : int
        Width at which cells were judged.

    Returns
    -------
    list of Point
        Means over the trainings of a cell.
    """
    return [
        _point(row, one, one.evaluations[channels].mean)
        for row in rows
        for one in row.found
        if channels in one.evaluations
    ]


def spreads(points: list[Point]) -> list[Spread]:
    """Summarise points over the samplers, for each r.

    Parameters
    ----------
    points : list of Point

    Returns
    -------
    list of Spread
        Ascending in r; the full data stand at r=1.

    Examples
    --------
    >>> spreads([Point("RS", 0, 0.5, 70.0), Point("AE", 0, 0.5, 74.0), Point(None, 0, 1.0, 75.0)])
    [Spread(r=0.5, mean=72.0, std=2.8284271247461903, n=2), Spread(r=1.0, mean=75.0, std=None, n=1)]
    """
    values: dict[float, list[float]] = {}
    for point in sorted(points, key=lambda point: point.r):
        values.setdefault(point.r, []).append(point.value)
    return [
        Spread(r, statistics.fmean(v), statistics.stdev(v) if len(v) > 1 else None, len(v))
        for r, v in values.items()
    ]


def in_unit(points: list[Point], unit: str) -> list[Point]:
    """Give times in another unit than seconds."""
    return [replace(point, value=point.value / UNITS[unit]) for point in points]


def _point(row: Row, found: FoundCell, value: float) -> Point:
    sampler = row.setting.sampler
    return Point(None if sampler is None else sampler.label, found.seed, row.setting.r, value)
