"""What the two command lines share: errors as messages, values from words."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import typer

from proxysample.array_files import read_npy
from proxysample.errors import InputError, ProxysampleError
from proxysample.keeping import IntArray, check_ratio

# Users of Python write these where JSON has true, false and null.
_PYTHON_WORDS = {"True": True, "False": False, "None": None}


def run_app(app: typer.Typer) -> NoReturn:
    """Run a command line; errors that the project raises on purpose, and warnings, become messages.

    Parameters
    ----------
    app : typer.Typer
        The commands.
    """
    # What shows warnings is restored on leaving, and which are shown stays as it is.
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            app()
        except ProxysampleError as error:
            typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
            sys.exit(2)
    sys.exit(0)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    typer.secho(f"warning: {message}", fg=typer.colors.YELLOW, err=True)


def parse_ratio(text: str) -> float:
    """Read a ratio from a word.

    Parameters
    ----------
    text : str
        Such as ``"0.25"``.

    Returns
    -------
    float
        In (0, 1].

    Raises
    ------
    InputError
        If it is not a number in (0, 1].

    Examples
    --------
    >>> parse_ratio("0.25")
    0.25
    """
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"r must be a number in (0, 1], such as 0.25, not {text!r}") from None
    return check_ratio(value)


def parse_parameters(words: Iterable[str]) -> dict[str, Any]:
    """Read ``name=value`` words, whose values are JSON or Python's True, False and None.

    Any other value is a string.

    Parameters
    ----------
    words : iterable of str
        Such as ``"n_clusters=50"``.

    Returns
    -------
    dict
        Values by name.

    Raises
    ------
    InputError
        If a word has no equals sign.

    Examples
    --------
    >>> parse_parameters(["n_clusters=50", "protocol=paper"])
    {'n_clusters': 50, 'protocol': 'paper'}
    >>> parse_parameters(["nesterov=False", "progress=true", "gradient_clip=None"])
    {'nesterov': False, 'progress': True, 'gradient_clip': None}
    """
    parameters = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise InputError(f"a parameter is given as name=value, not {word!r}")
        parameters[name.strip().replace("-", "_")] = _parse_value(text)
    return parameters


def _parse_value(text: str) -> Any:
    if text.strip() in _PYTHON_WORDS:
        return _PYTHON_WORDS[text.strip()]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def load_indices(path: Path, n_samples: int) -> IntArray:
    """Read indices that ``proxysample select`` wrote.

    Parameters
    ----------
    path : Path
        An ``.npy`` file.
    n_samples : int
        Size of the dataset that they point into.

    Returns
    -------
    ndarray of int64

    Raises
    ------
    InputError
        If the file is missing or damaged, or an index repeats or points outside.
    """
    if not path.exists():
        raise InputError(f"no indices at {path}")
    indices = read_npy(path)
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise InputError(f"{path} does not hold a one-dimensional array of integers")
    if not len(indices) or indices.min() < 0 or indices.max() >= n_samples:
        raise InputError(
            f"{path} does not fit the dataset's {n_samples:,} training samples; "
            "select again from this dataset"
        )
    if len(np.unique(indices)) != len(indices):
        raise InputError(f"{path} names a sample twice")
    return indices.astype(np.int64)
