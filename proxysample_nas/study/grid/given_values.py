"""Values as a user of Python or the command line gives them: checked before any work."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from proxysample.errors import InputError, unknown_name
from proxysample.plain_values import Kind


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
