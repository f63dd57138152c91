"""Values as a user of Python or the command line gives them: checked before any work."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from proxysample.errors import InputError, unknown_name
from proxysample.plain_values import Kind


def as_tuple(name: str, given: Any) -> tuple[Any, ...]:
    """Read a setting that is a list.

    Parameters
    ----------
    name : str
        For messages.
    given : iterable

    Returns
    -------
    tuple

    Raises
    ------
    InputError
        If it is a single value, or a text, whose letters nobody means.

    Examples
    --------
    >>> as_tuple("seeds", range(2))
    (0, 1)
    >>> as_tuple("samplers", "cc-or")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: samplers must be a list, such as samplers=['cc-or'], not 'cc-or'
    """
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise InputError(
            f"{name} must be a list, such as {name}=[{given!r:.80}], not {given!r:.80}"
        )
    return tuple(given)


def check_kinds(values: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Raise `InputError` for the first value that is not of its kind.

    Examples
    --------
    >>> from proxysample.plain_values import COUNT
    >>> check_kinds({"random_state": -1}, {"random_state": COUNT})
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: random_state must be an integer of at least 0, not -1
    """
    for name, kind in kinds.items():
        if not kind.accepts(values[name]):
            raise InputError(f"{name} must be {kind.words}, not {values[name]!r:.80}")


def check_names(what: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raise `InputError` for the first name that is not known; the message suggests the nearest.

    Examples
    --------
    >>> check_names("parameter of training", {"epoch": 3}, ["epochs", "momentum"])
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: unknown parameter of training 'epoch'; did you mean 'epochs'?
    Known: epochs, momentum
    """
    for name in given:
        if name not in known:
            raise unknown_name(what, name, known)
