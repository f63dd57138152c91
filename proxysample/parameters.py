"""Checks of parameters, before any work."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from proxysample.device import DEVICE_TYPES
from proxysample.errors import InputError


def check_count(name: str, value: object, *, least: int = 1) -> None:
    """Raise `InputError` where a parameter is not an integer, or a smaller one than can work.

    Parameters
    ----------
    name : str
        Of the parameter.
    value : object
        What the user gave.
    least : int
        The smallest that can work.

    Examples
    --------
    >>> check_count("epochs", 0)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: epochs must be a positive integer, not 0
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        needed = "a positive integer" if least == 1 else f"an integer from {least} on"
        raise InputError(f"{name} must be {needed}, not {value!r}")


def check_random_state(value: object) -> None:
    """Raise `InputError` where a parameter cannot seed a generator.

    Parameters
    ----------
    value : object
        What the user gave.

    Examples
    --------
    >>> check_random_state("seven")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: random_state must be an integer from 0 on, ..., not 'seven'
    """
    try:
        np.random.default_rng(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(
            f"random_state must be an integer from 0 on, a numpy Generator or None, not {value!r}"
        ) from None


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


def check_boolean(name: str, value: object, *, optional: bool = False) -> None:
    """Raise `InputError` where a parameter is not True or False.

    Any text would count as true, "no" included.

    Parameters
    ----------
    name : str
        Of the parameter.
    value : object
        What the user gave.
    optional : bool
        Whether None is allowed, too.

    Examples
    --------
    >>> check_boolean("nesterov", "no")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: nesterov must be True or False, not 'no'
    """
    if not isinstance(value, bool) and not (optional and value is None):
        allowed = "True, False or None" if optional else "True or False"
        raise InputError(f"{name} must be {allowed}, not {value!r}")


def check_device(value: object) -> None:
    """Raise `InputError` where a device is none of those that scoring was made for.

    Whether this machine has it is another question: a study may be set up, and its results read,
    on a machine without the GPU that it runs on. `proxysample.device.resolve_device` answers that.

    Parameters
    ----------
    value : object
        What the user gave.

    Examples
    --------
    >>> check_device("cuda:1")
    >>> check_device("gpu")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: device must be 'auto', 'cpu' or 'cuda', or such as 'cuda:1', not
    'gpu'
    """
    if not _is_device(value):
        raise InputError(
            f"device must be 'auto', 'cpu' or 'cuda', or such as 'cuda:1', not {value!r}"
        )


def _is_device(value: object) -> bool:
    import torch

    if isinstance(value, str):
        if value == "auto":
            return True
        try:
            return torch.device(value).type in DEVICE_TYPES
        except RuntimeError:
            return False
    if isinstance(value, torch.device):
        return value.type in DEVICE_TYPES
    # A number counts the accelerators of a machine, of whatever kind they are there.
    return isinstance(value, int) and not isinstance(value, bool)


def check_shared_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise `InputError` where a parameter that many samplers have cannot work.

    Parameters
    ----------
    parameters : mapping
        All of a sampler's, by name; those that it lacks are not looked at.

    Examples
    --------
    >>> check_shared_parameters({"batch_size": 0})
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: batch_size must be a positive integer, not 0
    """
    check_count("batch_size", parameters.get("batch_size", 1))
    check_count("num_workers", parameters.get("num_workers", 0), least=0)
    check_random_state(parameters.get("random_state"))
    check_boolean("progress", parameters.get("progress", False))
