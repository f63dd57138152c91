"""What a forecast calls its stages and ranges."""

from __future__ import annotations

from proxysample.wording import format_duration
from proxysample_nas.study.forecast.durations import Seconds

STAGES = {
    "selection": "selections",
    "search": "searches",
    "judging": "judgings",
    "transfer": "transfers",
}
"""What the experiments of each stage are called."""


def range_in_words(seconds: Seconds) -> str:
    """Write a length of time with its range, where it has one.

    Examples
    --------
    >>> range_in_words(Seconds(60, 90, 300)), range_in_words(Seconds(90, 90, 90))
    ('90 s (60 s to 5.0 min)', '90 s')
    """
    low, likely, high = (
        format_duration(one) for one in (seconds.low, seconds.likely, seconds.high)
    )
    return likely if low == high else f"{likely} ({low} to {high})"
