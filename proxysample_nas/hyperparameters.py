"""Checks of hyper-parameters, made before any work begins."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from proxysample.errors import InputError
from proxysample.records import LARGEST_INTEGER


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
        if not _is_size(size):
            raise InputError(f"{name} must be a positive integer, not {size!r}")


def check_optional_sizes(**sizes: object) -> None:
    """Check hyper-parameters that count something, or are None for off.

    Parameters
    ----------
    **sizes : int or None
        By name.

    Raises
    ------
    InputError
        Naming the first that is neither None nor a positive integer.

    Examples
    --------
    >>> check_optional_sizes(stop_at_skips=None, stop_when_stable=0)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: stop_when_stable must be None or a positive integer, not 0
    """
    for name, size in sizes.items():
        if size is not None and not _is_size(size):
            raise InputError(f"{name} must be None or a positive integer, not {size!r}")


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


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


def check_decay_rates(**pairs: object) -> None:
    """Check hyper-parameters that are the two decay rates of Adam.

    Parameters
    ----------
    **pairs : tuple of float
        By name.

    Raises
    ------
    InputError
        Naming the first that is not two numbers in [0, 1).

    Examples
    --------
    >>> check_decay_rates(architecture_betas=(0.5, 1.0))
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: architecture_betas must be two numbers from 0 to below 1, such
    as (0.5, 0.999), not (0.5, 1.0)
    """
    for name, pair in pairs.items():
        rates = pair if isinstance(pair, tuple | list) else ()
        if len(rates) != 2 or not all(isinstance(r, int | float) and 0 <= r < 1 for r in rates):
            raise InputError(
                f"{name} must be two numbers from 0 to below 1, such as (0.5, 0.999), not {pair!r}"
            )


def check_kind(kind: type, **values: object) -> None:
    """Check hyper-parameters that are objects of one of our classes, or None.

    Parameters
    ----------
    kind : type
    **values : object
        By name.

    Raises
    ------
    InputError
        Naming the first that is something else.

    Examples
    --------
    >>> from proxysample_nas.data.augmentation import Augmentation
    >>> check_kind(Augmentation, augmentation="flip")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: augmentation must be an Augmentation or None, not 'flip'
    """
    for name, value in values.items():
        if value is not None and not isinstance(value, kind):
            article = "an" if kind.__name__[0] in "AEIOU" else "a"
            raise InputError(f"{name} must be {article} {kind.__name__} or None, not {value!r}")


def as_tuple(name: str, given: Any) -> tuple[Any, ...]:
    """Read a hyper-parameter or setting that is a list.

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
    >>> as_tuple("channels", range(16, 18))
    (16, 17)
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


def as_seeds(name: str, given: Any) -> tuple[int, ...]:
    """Read a list of seeds.

    Parameters
    ----------
    name : str
        For messages.
    given : iterable of int
        NumPy's integers included.

    Returns
    -------
    tuple of int
        In the given order.

    Raises
    ------
    InputError
        If it is no list or an empty one, or a value cannot be a seed or comes twice: a repeated
        seed repeats its result, and a spread over the two would be 0.

    Examples
    --------
    >>> as_seeds("seeds", [777, 888])
    (777, 888)
    >>> as_seeds("seeds", [1, 1])
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: seeds has 1 twice, which would only repeat the same result; give
    each seed once
    """
    seeds = as_tuple(name, given)
    if not seeds:
        raise InputError(f"{name} needs at least one integer, such as {name}=[777]")
    for place, seed in enumerate(seeds):
        check_seed(f"each of {name}", seed)
        if seed in seeds[:place]:
            raise InputError(
                f"{name} has {seed} twice, which would only repeat the same result; give each "
                "seed once"
            )
    return tuple(int(seed) for seed in seeds)


def check_seed(name: str, value: object) -> None:
    """Raise `InputError` where a value cannot be the seed of a training or a search.

    Examples
    --------
    >>> check_seed("seed", -1)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: seed must be an integer from 0 to below 2**63, not -1
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | np.integer)
        or not 0 <= int(value) < LARGEST_INTEGER
    ):
        raise InputError(f"{name} must be an integer from 0 to below 2**63, not {value!r:.80}")
