"""Shows in the reference what Python knows of parameters, those that a class inherits included.

The reference is made of the source, which says of each class only what its bases do not.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import griffe


class InheritedFields(griffe.Extension):
    """Gives samplers and searchers the signature and the docstring that they have at run time."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Complete a class."""
        if not cls.path.startswith(("proxysample.samplers.", "proxysample_nas.searchers.")):
            return
        known = getattr(import_module(cls.module.path), cls.name, None)
        if cls.docstring is None or not hasattr(known, "check_parameters"):
            return
        cls.docstring.value = inspect.cleandoc(known.__doc__)
        parameters = [
            griffe.Parameter(
                name,
                annotation=parameter.annotation,
                kind=griffe.ParameterKind.keyword_only,
                default=repr(parameter.default),
            )
            for name, parameter in inspect.signature(known).parameters.items()
        ]
        if parameters:
            cls.set_member(
                "__init__", griffe.Function("__init__", parameters=griffe.Parameters(*parameters))
            )
