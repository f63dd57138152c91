"""Counts, lengths of time and small tables in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

PLURALS = {"search": "searches"}
"""Nouns that take more than an s."""

UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def plural(noun: str) -> str:
    """Write a noun of more than one.

    Examples
    --------
    >>> plural("search"), plural("epoch")
    ('searches', 'epochs')
    """
    return PLURALS.get(noun, f"{noun}s")


def pluralize(number: int, noun: str) -> str:
    """Write a number with its noun.

    Examples
    --------
    >>> pluralize(1, "worker"), pluralize(1400, "training"), pluralize(0, "search")
    ('1 worker', '1,400 trainings', '0 searches')
    """
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def format_duration(seconds: float) -> str:
    """Write a length of time to two figures or so.

    Examples
    --------
    >>> [format_duration(seconds) for seconds in (0.04, 8.25, 75, 5400, 500_000)]
    ['0.04 s', '8.2 s', '75 s', '90 min', '5.8 d']
    """
    if seconds < 1:
        return f"{seconds:.2f} s"
    for size, unit in UNITS:
        # Below two of a unit, the next smaller one is easier to read.
        if seconds >= 2 * size or size == 1:
            count = seconds / size
            return f"{count:.1f} {unit}" if count < 10 else f"{count:.0f} {unit}"
    raise AssertionError("unreachable")


def aligned(lines: Iterable[Sequence[str]]) -> str:
    """Set lines in columns, the first to the left and the others to the right.

    Parameters
    ----------
    lines : iterable of sequence of str
        All of the same length.

    Returns
    -------
    str

    Examples
    --------
    >>> print(aligned([["stage", "done"], ["search", "12"]]))
    stage   done
    search    12
    """
    rows = [list(line) for line in lines]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    written = []
    for first, *others in rows:
        words = [first.ljust(widths[0])]
        words += [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        written.append("  ".join(words).rstrip())
    return "\n".join(written)
