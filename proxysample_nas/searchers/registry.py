"""Searchers by their string ids; nothing is imported before it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from proxysample.errors import check_names, unknown_name

if TYPE_CHECKING:
    from proxysample_nas.searchers.base import Searcher

SEARCHERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "darts-v1": ("proxysample_nas.searchers.darts", "DARTS", {"order": 1}),
    "darts-v2": ("proxysample_nas.searchers.darts", "DARTS", {"order": 2}),
    "gdas": ("proxysample_nas.searchers.gdas", "GDAS", {}),
    "enas": ("proxysample_nas.searchers.enas", "ENAS", {}),
    "random": ("proxysample_nas.searchers.random_search", "RandomSearch", {}),
}
"""Module, class and the parameters that the id stands for."""


def list_searchers() -> list[str]:
    """List the string ids of all searchers.

    Returns
    -------
    list of str

    Examples
    --------
    >>> list_searchers()
    ['darts-v1', 'darts-v2', 'gdas', 'enas', 'random']
    """
    return list(SEARCHERS)


def create_searcher(name: str, **parameters: Any) -> Searcher:
    """Create a searcher by its id.

    Parameters
    ----------
    name : str
        One of `list_searchers`.
    **parameters
        Those of its class, but for what the id stands for.

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
    darts-v1, darts-v2, gdas, enas, random
    """
    if name not in SEARCHERS:
        raise unknown_name("searcher", name, SEARCHERS)
    module, class_name, implied = SEARCHERS[name]
    searcher: type[Searcher] = getattr(import_module(module), class_name)
    known = [known for known in searcher().get_params(deep=False) if known not in implied]
    check_names(f"parameter of {name}", parameters, known)
    return searcher(**(implied | parameters))
