"""Packages whose names are imported when they are used, so that importing them costs nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def lazy_exports(
    package: str, homes: Mapping[str, Iterable[str]], subpackages: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Give a package's ``__getattr__`` and ``__dir__``: its names, each imported when asked for.

    The package names them a second time in ``__all__`` and under ``TYPE_CHECKING``, where type
    checkers and editors look; a test holds the three against each other.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : mapping of str to iterable of str
        The names that each module defines.
    subpackages : iterable of str
        Names that are modules of the package.
    """
    home_of = {name: module for module, names in homes.items() for name in names}
    modules = frozenset(subpackages)

    def get(name: str) -> Any:
        if name in home_of:
            return getattr(importlib.import_module(home_of[name]), name)
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        if name == "__version__":
            from proxysample.machine import own_version

            return own_version()
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted(vars(importlib.import_module(package))["__all__"])

    return get, names
