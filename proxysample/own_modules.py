"""Modules of a user's own on the command line, and what is in them known by its id."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from proxysample.errors import InputError, ProxysampleError
from proxysample.printing import shown
from proxysample.registry import Registry, id_of, imported, loaded_registries


def find_modules_here(words: Iterable[str] | None) -> None:
    """Let Python import the modules in this folder that words such as ``module:Class`` name."""
    here = Path.cwd()
    for word in words or ():
        module, colon, _ = word.partition(":")
        top = module.partition(".")[0]
        is_here = top.isidentifier() and ((here / f"{top}.py").is_file() or (here / top).is_dir())
        # Last, so that nothing here stands in for what is installed.
        if colon and is_here and str(here) not in sys.path:
            sys.path.append(str(here))


def import_modules(names: Iterable[str] | None) -> None:
    """Import modules, and have what they define known by its id in this process.

    Raises
    ------
    InputError
        If a module cannot be imported, or has nothing that goes by an id.
    """
    for name in names or ():
        find_modules_here([f"{name}:"])
        before, is_new = _all_registered(), name not in sys.modules
        try:
            module = import_module(name)
        except (ImportError, ValueError, ProxysampleError) as error:
            raise InputError(f"--import {shown(name)}: {error}") from error
        except Exception as error:  # whatever the module does on import
            raise InputError(f"--import {shown(name)}: {type(error).__name__}: {error}") from error
        found = [
            (registry, entry)
            for registry in loaded_registries()
            for entry in vars(module).values()
            if _is_entry(registry, entry, name)
        ]
        for registry, entry in found:
            registry.register(entry)
        if not found and is_new and _all_registered() == before:
            raise InputError(
                f"--import {shown(name)}: it defines no sampler, searcher, operation or the like "
                "that has an id, and registers none"
            )


def named_class(word: str, registry: Registry[Any]) -> str:
    """Have the class that ``module:Class`` names known by its id, and give that; an id stays.

    Raises
    ------
    InputError
        If it cannot be imported, is of another kind, has no id, or parameters follow.
    """
    find_modules_here([word])
    found = imported(word, registry)
    if found is None:
        return word
    if not isinstance(found, type):
        name, _, parameters = word.partition(",")
        raise InputError(
            f"one class is named here: {name}, and what is in {parameters!r} is given by --param "
            "name=value, one for each"
        )
    registry.register(found)
    return str(id_of(found))


def named_function(word: str, registry: Registry[Any]) -> Any:
    """Import the function that ``module:function`` names; words of an id stay as they are.

    Raises
    ------
    InputError
        If it cannot be imported.
    """
    found = re.fullmatch(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)", word)
    if found is None or found[1] in registry:
        return word
    find_modules_here([word])
    try:
        return getattr(import_module(found[1]), found[2])
    except Exception as error:  # whatever the module does on import
        raise InputError(f"{word} cannot be imported: {type(error).__name__}: {error}") from error


def _is_entry(registry: Registry[Any], entry: object, module: str) -> bool:
    """Tell whether what a module holds is one of a kind: a class of its own, or an operation."""
    if registry.base is None or not registry.accepts(entry) or id_of(entry) is None:
        return False
    if isinstance(entry, type):
        return entry.__module__ == module
    return registry.kind == "operation" and entry not in _held(registry)


def _held(registry: Registry[Any]) -> list[Any]:
    return [registry.get(name) for name in registry if registry.package(name) is None]


def _all_registered() -> dict[str, list[str]]:
    return {one.kind: list(one.registered) for one in loaded_registries()}
