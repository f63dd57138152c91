"""Checks of hyper-parameters, made before any work begins."""

from __future__ import annotations

import math

from proxysample.errors import InputError


def check_sizes(**sizes: object) -> None:
    """Check hyper-parameters that count something.

    Parameters
    ----------
    **sizes : int
        By name.

    Raises
    ------
    InputError
        Naming the first that is not a positive integer.

    Examples
    --------
    >>> check_sizes(epochs=0)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: epochs must be a positive integer, not 0
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InputError(f"{name} must be a positive integer, not {size!r}")


def check_not_negative(**values: object) -> None:
    """Check hyper-parameters that are finite numbers of 0 or more.

    Parameters
    ----------
    **values : float
        By name.

    Raises
    ------
    InputError
        Naming the first that is not.

    Examples
    --------
    >>> check_not_negative(momentum=-0.9)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: momentum must be a finite number of 0 or more, not -0.9
    """
    for name, value in values.items():
        real = float(value) if isinstance(value, int | float) else math.nan
        if isinstance(value, bool) or not 0 <= real < math.inf:
            raise InputError(f"{name} must be a finite number of 0 or more, not {value!r}")
