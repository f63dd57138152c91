"""A sampler or searcher by its id, with the parameters that a study gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from proxysample.cli_support import parse_parameters


@dataclass(frozen=True)
class Component:
    """A sampler or searcher by its id, with the parameters that differ from its defaults.

    Attributes
    ----------
    name : str
        Such as ``"km-or"``.
    parameters : mapping
        Plain JSON values.

    Examples
    --------
    >>> Component.parse("km-or:n_clusters=50")
    Component(name='km-or', parameters={'n_clusters': 50})
    >>> Component.parse("km-or:n_clusters=50").label
    'KM-OR (n_clusters=50)'
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, given: str | Mapping[str, Any] | Component) -> Component:
        """Read ``"name"``, ``"name:parameter=value,parameter=value"`` or what `asdict` wrote.

        Parameters
        ----------
        given : str, mapping or Component

        Returns
        -------
        Component

        Raises
        ------
        InputError
            If a word is not ``parameter=value``.
        """
        if isinstance(given, Component):
            return given
        if not isinstance(given, str):
            return cls(given["name"], dict(given["parameters"]))
        name, _, words = given.partition(":")
        return cls(name, parse_words(words))

    @property
    def label(self) -> str:
        """Name as in the paper's tables, with parameters in brackets."""
        words = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return self.name.upper() + (f" ({words})" if words else "")


def parse_words(words: str) -> dict[str, Any]:
    """Read ``"name=value,name=value"``; `InputError` for any other word.

    Examples
    --------
    >>> parse_words("epochs=2,protocol=paper")
    {'epochs': 2, 'protocol': 'paper'}
    """
    return parse_parameters(words.split(",") if words else ())
