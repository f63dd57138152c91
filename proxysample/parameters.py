"""Parameters of samplers and searchers: declared once, as fields, and documented once."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

_SECTION = re.compile(r"^(\w[\w ]*)\n-+\n", re.MULTILINE)
_PARAMETERS = "Parameters\n----------\n"

Entries = dict[tuple[str, ...], str]
"""What a docstring says of each group of parameters: the type, and the lines below."""


def declare_fields(cls: type, *, own_first: bool = False) -> None:
    """Give a class an ``__init__`` that takes its fields by keyword, and only stores them.

    A class that has an ``__init__`` of its own, or inherits such a one, keeps it. Its docstring
    says of inherited parameters what the bases say.

    Parameters
    ----------
    cls : type
        Its fields are those of a dataclass.
    own_first : bool
        Whether its signature begins with its own parameters, rather than with its bases'.
    """
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
    own = vars(cls).get("__doc__")
    if owner is object or "__dataclass_fields__" in vars(owner):
        dataclasses.dataclass(kw_only=True, eq=False, repr=False)(cls)
        if own_first:
            _put_own_first(cls)
    elif owner is cls:
        return
    if own:
        cls.__doc__ = _with_inherited_entries(cls, inspect.cleandoc(own))


def _put_own_first(cls: type) -> None:
    constructor: Any = vars(cls)["__init__"]
    signature = inspect.signature(constructor)
    declared = [name for base in cls.__mro__ for name in inspect.get_annotations(base)]
    this, *named = signature.parameters.values()
    ordered = sorted(named, key=lambda one: declared.index(one.name))
    constructor.__signature__ = signature.replace(parameters=[this, *ordered])


def _with_inherited_entries(cls: type, text: str) -> str:
    """Add to a docstring what the bases say of the parameters that it does not name itself."""
    before, entries, after = documented_parameters(text)
    named = {name for group in entries for name in group}
    for base in cls.__bases__:
        for group, said in documented_parameters(inspect.cleandoc(base.__doc__ or ""))[1].items():
            left = tuple(name for name in group if name not in named)
            if left:
                entries[left] = said
                named.update(left)
    if not entries:
        return text
    places = {name: place for place, name in enumerate(inspect.signature(cls).parameters)}
    ordered = sorted(entries, key=lambda group: places.get(group[0], len(places)))
    written = "\n".join(f"{', '.join(group)}{entries[group]}" for group in ordered)
    return "\n\n".join(part for part in (before, f"{_PARAMETERS}{written}", after) if part)


def documented_parameters(text: str) -> tuple[str, Entries, str]:
    """Split a docstring in what stands before its parameters, these, and what follows."""
    sections = list(_SECTION.finditer(text))
    starts = [section.start() for section in sections] + [len(text)]
    for section, end in zip(sections, starts[1:], strict=True):
        if section[1] == "Parameters":
            entries: Entries = {}
            for entry in re.split(r"\n(?=\S)", text[section.end() : end].strip()):
                names, colon, said = entry.partition(" :")
                entries[tuple(names.split(", "))] = f"{colon}{said}"
            return text[: section.start()].rstrip(), entries, text[end:].rstrip()
    return text[: starts[0]].rstrip(), {}, text[starts[0] :].rstrip()
