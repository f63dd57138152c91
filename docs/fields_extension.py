"""Shows in the reference what Python knows of parameters, those that a class inherits included.

The reference is made of the source, which says of each class only what its bases do not.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import griffe


class InheritedFields(griffe.Extension):
    """Gives classes and functions the signature and the docstring that they have at run time."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Complete a sampler or a searcher."""
        if not cls.path.startswith(("proxysample.samplers.", "proxysample_nas.searchers.")):
            return
        known = getattr(import_module(cls.module.path), cls.name, None)
        if cls.docstring is None or not hasattr(known, "check_parameters"):
            return
        cls.docstring.value = inspect.cleandoc(known.__doc__)
        parameters = _parameters(known)
        if parameters:
            cls.set_member(
                "__init__", griffe.Function("__init__", parameters=griffe.Parameters(*parameters))
            )

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Complete a function that passes on how experiments are run."""
        if func.docstring is None or not any(
            "RunOptions" in str(parameter.annotation) for parameter in func.parameters
        ):
            return
        known: Any = import_module(func.module.path)
        for name in func.path.removeprefix(f"{func.module.path}.").split("."):
            known = getattr(known, name)
        func.docstring.value = inspect.cleandoc(known.__doc__)
        func.parameters = griffe.Parameters(*_parameters(known))


def _parameters(known: Any) -> list[griffe.Parameter]:
    return [
        griffe.Parameter(
            name,
            annotation=None if parameter.annotation is parameter.empty else parameter.annotation,
            kind=griffe.ParameterKind[parameter.kind.name.lower()],
            default=None if parameter.default is parameter.empty else repr(parameter.default),
        )
        for name, parameter in inspect.signature(known).parameters.items()
    ]
