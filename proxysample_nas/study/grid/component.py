"""A sampler or searcher by its id, with the parameters that a study gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from proxysample.errors import InputError
from proxysample.words import parse_words


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
            If it is none of these, or a word is not ``parameter=value``.
        """
        if isinstance(given, Component):
            return given
        if isinstance(given, Mapping) and {"name", "parameters"} <= given.keys():
            return cls(given["name"], dict(given["parameters"]))
        if not isinstance(given, str):
            raise InputError(
                "a study names its samplers and searchers by their ids, such as 'cc-or' or "
                f"'km-or:n_clusters=50', not {given!r:.80}"
            )
        name, _, words = given.partition(":")
        return cls(name, parse_words(words))

    @property
    def label(self) -> str:
        """Name as in the paper's tables, with parameters in brackets."""
        words = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return self.name.upper() + (f" ({words})" if words else "")
