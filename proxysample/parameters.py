"""Checks of parameters, before any work."""

from __future__ import annotations

import math
import numbers

from proxysample.errors import InputError


def check_count(name: str, value: object) -> None:
    """Raise `InputError` where a parameter is not a positive integer.

    Parameters
    ----------
    name : str
        Of the parameter.
    value : object
        What the user gave.

    Examples
    --------
    >>> check_count("epochs", 0)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: epochs must be a positive integer, not 0
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise InputError(f"{name} must be a positive integer, not {value!r}")


def check_positive(name: str, value: object) -> None:
    """Raise `InputError` where a parameter is not a positive, finite number.

    Parameters
    ----------
    name : str
        Of the parameter.
    value : object
        What the user gave.

    Examples
    --------
    >>> check_positive("learning_rate", float("nan"))
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: learning_rate must be a positive number, not nan
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, numbers.Real)
        or not 0 < float(value) < math.inf
    ):
        raise InputError(f"{name} must be a positive number, not {value!r}")
