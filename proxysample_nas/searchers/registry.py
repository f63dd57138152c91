"""Searchers by their string ids; nothing is imported before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxysample.errors import InputError, check_names
from proxysample.registry import Registry

if TYPE_CHECKING:
    from proxysample_nas.searchers.base import Searcher

SEARCHERS: Registry[type[Searcher]] = Registry(
    "searcher",
    "proxysample.searchers",
    {
        "darts-v1": "proxysample_nas.searchers.darts:DARTS",
        "darts-v2": "proxysample_nas.searchers.darts:DARTS",
        "gdas": "proxysample_nas.searchers.gdas:GDAS",
        "enas": "proxysample_nas.searchers.enas:ENAS",
        "random": "proxysample_nas.searchers.random_search:RandomSearch",
        "zero-cost": "proxysample_nas.searchers.random_search:ZeroCostSearch",
    },
    base="proxysample_nas.searchers.base:Searcher",
)

_IMPLIED: dict[str, dict[str, Any]] = {"darts-v1": {"order": 1}, "darts-v2": {"order": 2}}


def implied_parameters(name: str) -> dict[str, Any]:
    """Give the parameters that an id stands for, beside its class."""
    return dict(_IMPLIED.get(name, {})) if SEARCHERS.is_built_in(name) else {}


def list_searchers() -> list[str]:
    """List the string ids of all searchers.

    Returns
    -------
    list of str
        Ours first, then those that were registered, then those of plug-ins.

    Examples
    --------
    >>> list_searchers()
    ['darts-v1', 'darts-v2', 'gdas', 'enas', 'random', 'zero-cost']
    """
    return list(SEARCHERS)


def create_searcher(name: str, **parameters: Any) -> Searcher:
    """Create a searcher by its id.

    Parameters
    ----------
    name : str
        One of `list_searchers`.
    **parameters
        Those of its class, but for what the id stands for. A normalisation and an augmentation
        may be mappings, as JSON has them.

    Returns
    -------
    Searcher

    Raises
    ------
    InputError
        If the name or a parameter is unknown; the message suggests the nearest.

    Examples
    --------
    >>> create_searcher("darts-v2", epochs=10)
    DARTS(epochs=10, order=2)
    >>> create_searcher("darts2")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: unknown searcher 'darts2'; did you mean 'darts-v2'? Known:
    darts-v1, darts-v2, gdas, enas, random, zero-cost
    """
    searcher, implied = SEARCHERS.get(name), implied_parameters(name)
    known = [known for known in searcher._get_param_names() if known not in implied]
    check_names(f"parameter of {name}", parameters, known)
    from proxysample_nas.data.loader import from_written

    try:
        return searcher(**(implied | from_written(parameters)))
    except TypeError as error:
        raise InputError(f"{name}: {error}") from error
