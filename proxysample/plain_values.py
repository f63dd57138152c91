"""Check what JSON of a file holds before anything relies on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from proxysample.errors import InputError

# Larger integers are none that a count, a seed or a second can be, and overflow in numpy.
LARGEST_INTEGER = 1 << 63


@dataclass(frozen=True)
class Kind:
    """What a value has to be.

    Attributes
    ----------
    words : str
        For messages, such as ``"a number"``.
    accepts : callable
        Tells of any JSON value whether it is that.
    """

    words: str
    accepts: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LARGEST_INTEGER


def _is_integer(value: Any) -> bool:
    return type(value) is int and abs(value) < LARGEST_INTEGER


TEXT = Kind("a text", lambda value: isinstance(value, str))
NUMBER = Kind("a finite number", _is_number)
MEASURE = Kind("a number", lambda value: type(value) is float or _is_number(value))
AMOUNT = Kind("a number of at least 0", lambda value: _is_number(value) and value >= 0)
PERCENT = Kind("a percentage", lambda value: _is_number(value) and 0 <= value <= 100)
INTEGER = Kind("an integer", _is_integer)
COUNT = Kind("an integer of at least 0", lambda value: _is_integer(value) and value >= 0)
POSITIVE = Kind("an integer of at least 1", lambda value: _is_integer(value) and value >= 1)
MAPPING = Kind("a mapping", lambda value: isinstance(value, Mapping))


def one_of(*values: str) -> Kind:
    """Give the kind of a value that is one of a few texts."""
    return Kind(" or ".join(map(repr, values)), lambda value: value in values)


def optional(kind: Kind) -> Kind:
    """Give the kind of a value that may be null."""
    return Kind(f"{kind.words} or null", lambda value: value is None or kind.accepts(value))


def list_of(kind: Kind, length: int | None = None) -> Kind:
    """Give the kind of a list whose values are of one kind, so many of them if that is given."""
    words = f"a list{'' if length is None else f' of {length}'}, each {kind.words}"

    def accepts(value: Any) -> bool:
        return (
            isinstance(value, list | tuple)
            and length in (None, len(value))
            and all(map(kind.accepts, value))
        )

    return Kind(words, accepts)


def mapping_to(kind: Kind) -> Kind:
    """Give the kind of a mapping of texts to values of one kind."""
    return Kind(
        f"a mapping to {kind.words}",
        lambda value: MAPPING.accepts(value) and all(map(kind.accepts, value.values())),
    )


def check_values(values: Any, kinds: Mapping[str, Kind], where: str) -> None:
    """Check that what is in a mapping is of its kind; what is missing is not looked for.

    Parameters
    ----------
    values : object
        What JSON gave.
    kinds : mapping of str to Kind
        By name; other names are not looked at.
    where : str
        What holds the values, for messages.

    Raises
    ------
    InputError
        If there is no mapping, or a value is of another kind.

    Examples
    --------
    >>> check_values({"seconds": "soon"}, {"seconds": AMOUNT}, "a.json")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a.json is damaged: its seconds is 'soon', not a number of at least 0
    """  # noqa: E501
    if not isinstance(values, Mapping):
        raise InputError(f"{where} is damaged: it is {values!r:.80}, not a mapping")
    for name, kind in kinds.items():
        if name in values and not kind.accepts(values[name]):
            raise InputError(
                f"{where} is damaged: its {name} is {values[name]!r:.80}, not {kind.words}"
            )


def require_values(values: Any, kinds: Mapping[str, Kind], where: str) -> None:
    """Check as `check_values` does, and that no value is missing.

    Parameters
    ----------
    values, kinds, where
        See `check_values`.

    Raises
    ------
    InputError
        If a value is missing or of another kind.

    Examples
    --------
    >>> require_values({}, {"seconds": AMOUNT}, "a.json")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a.json is damaged: it holds no seconds
    """
    check_values(values, kinds, where)
    missing = [name for name in kinds if name not in values]
    if missing:
        raise InputError(f"{where} is damaged: it holds no {missing[0]}")


def check_kinds(values: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Raise `InputError` for the first value of a user's settings that is not of its kind.

    Examples
    --------
    >>> check_kinds({"random_state": -1}, {"random_state": COUNT})
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: random_state must be an integer of at least 0, not -1
    """
    for name, kind in kinds.items():
        if not kind.accepts(values[name]):
            raise InputError(f"{name} must be {kind.words}, not {values[name]!r:.80}")


class PlainMapping(dict[str, Any]):
    """A mapping out of a file; what it lacks is the file's fault, and said so.

    Examples
    --------
    >>> PlainMapping(seconds=1.5)["cell"]
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a file is damaged: a mapping of seconds lacks 'cell'
    """

    def __missing__(self, name: str) -> Any:
        known = ", ".join(map(str, self))
        raise InputError(f"a file is damaged: a mapping of {known:.200} lacks {name!r:.80}")


def read_json(text: str | bytes, where: str, *, explain_missing: bool = False) -> Any:
    """Read JSON of a file.

    Parameters
    ----------
    text : str or bytes
    where : str
        What holds it, for messages.
    explain_missing : bool
        Whether mappings become `PlainMapping`.

    Returns
    -------
    object

    Raises
    ------
    InputError
        If it is no JSON, or nests too deeply to be read.
    """
    try:
        return json.loads(text, object_hook=PlainMapping if explain_missing else None)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{where} is damaged: {error}") from error
