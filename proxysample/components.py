"""A sampler or searcher that is compared, as a store and its reports know it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joblib import wrap_non_picklable_objects

from proxysample.checks import first_repeated
from proxysample.errors import InputError, ProxysampleWarning, level_of_caller
from proxysample.printing import shown
from proxysample.wording import parse_words

# Parameters that may name a file; results are named by what is in it.
FILES = ("path", "record")
# Parameters that change no result of any sampler or searcher.
WITHOUT_EFFECT = ("progress", "num_workers", "cache")


@dataclass(frozen=True)
class Component:
    """A sampler or searcher by its id, with the parameters that differ from its defaults.

    Attributes
    ----------
    name : str
        Such as ``"km-or"``.
    parameters : mapping
        Plain JSON values; of arrays and the like, what `proxysample.digests.as_plain` gives.
    resolved : mapping or None
        All parameters that results are named by, where the class is none of ours or a parameter
        is not plain: results are read without the class. None where the id and
        `parameters` say everything.
    uses_labels : bool or None
        Whether a sampler picks by the labels, where `resolved` is given.
    given : Sampler, Searcher or None
        What to run, where the id does not say it. It travels to workers, never to the store.

    Examples
    --------
    >>> Component.parse("km-or:n_clusters=50")
    Component(name='km-or', parameters={'n_clusters': 50})
    >>> Component.parse("km-or:n_clusters=50").label
    'KM-OR (n_clusters=50)'
    >>> Component.parse("aum:record=results/a/record.npz,progress=true").label
    'AUM (record=record.npz)'
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    resolved: Mapping[str, Any] | None = None
    uses_labels: bool | None = None
    given: Any = field(default=None, compare=False)

    @classmethod
    def parse(cls, given: str | Mapping[str, Any] | Component) -> Component:
        """Read ``"name"``, ``"name:parameter=value,parameter=value"`` or what `to_json` wrote.

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
            return cls(
                given["name"],
                dict(given["parameters"]),
                given.get("resolved"),
                given.get("uses_labels"),
            )
        if not isinstance(given, str):
            raise InputError(
                "samplers and searchers are given by their ids, such as 'cc-or' or "
                f"'km-or:n_clusters=50', or as classes and instances of them, not {shown(given)}"
            )
        name, _, words = given.partition(":")
        return cls(name, parse_words(words))

    def to_json(self) -> dict[str, Any]:
        """Write as plain JSON values what reading results needs."""
        written: dict[str, Any] = {"name": self.name, "parameters": dict(self.parameters)}
        if self.resolved is not None:
            written["resolved"] = dict(self.resolved)
        if self.uses_labels is not None:
            written["uses_labels"] = self.uses_labels
        return written

    def __repr__(self) -> str:
        words = [f"name={self.name!r}", f"parameters={dict(self.parameters)!r}"]
        if self.resolved is not None:
            words.append(f"resolved={dict(self.resolved)!r}")
        return f"Component({', '.join(words)})"

    def __getstate__(self) -> dict[str, Any]:
        # Classes that a notebook or a script defines cannot be imported elsewhere: they travel
        # with their code.
        return vars(self) | {"given": wrap_non_picklable_objects(self.given, keep_wrapper=False)}

    @property
    def told(self) -> dict[str, Any]:
        """The parameters that decide results, as far as that goes by their names."""
        known = self.resolved or {}
        return {
            name: value
            for name, value in self.parameters.items()
            if name not in WITHOUT_EFFECT or name in known
        }

    @property
    def label(self) -> str:
        """Name as in the paper's tables, with parameters in brackets, and files by their names."""
        words = ", ".join(f"{name}={_told(name, value)}" for name, value in self.told.items())
        return self.name.upper() + (f" ({words})" if words else "")

    @property
    def identity(self) -> str:
        """What two components share that are the same."""
        return json.dumps([self.name, self.resolved or self.told], sort_keys=True)

    @property
    def size(self) -> int | None:
        """How many samples a ready set of indices holds; None for anything that is cut."""
        if self.name != "indices" or self.resolved is None:
            return None
        return int(self.resolved["n_kept"])


def _told(name: str, value: object) -> object:
    return Path(value).name if name in FILES and isinstance(value, str) else value


def check_distinct(components: Iterable[Component], where: str, noun: str = "sampler") -> None:
    """Raise `InputError` where two components are the same.

    Examples
    --------
    >>> check_distinct(map(Component.parse, ["rs", "ae:epochs=2", "ae:epochs=2"]), "a study")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: a study names a sampler twice: AE (epochs=2)
    """
    label_of: dict[str, str] = {}
    for one in components:
        if one.identity in label_of:
            raise InputError(f"{where} names a {noun} twice: {one.label}")
        label_of[one.identity] = one.label


def check_labels(components: Iterable[Component]) -> None:
    """Raise `InputError` where tables would tell two components by one name."""
    label = first_repeated(one.label for one in components if one.parameters.keys() & set(FILES))
    if label is not None:
        raise InputError(f"two samplers are told as {label}: give their files different names")


class FewerResultsWarning(ProxysampleWarning):
    """A call shows less than its folder has: what the call leaves out is kept, but not shown."""


def warn_of_fewer(earlier: Iterable[str], now: Iterable[str], folder: Path) -> None:
    """Warn where a call leaves out what the one before in its folder compared."""
    shown_now = set(now)
    lost = [one for one in earlier if one not in shown_now]
    if lost:
        warnings.warn(
            f"what was run in {folder} before also has {', '.join(lost)}, which this call leaves "
            "out and no longer shows; the results are kept, and a call that names them shows them",
            FewerResultsWarning,
            stacklevel=level_of_caller(),
        )


def compared_words(
    components: Iterable[Component], ratios: Iterable[float], n: Iterable[int]
) -> list[str]:
    """Name what results are of, for `warn_of_fewer`."""
    sizes = [f"r={r:g}" for r in ratios] + [f"n={one:,}" for one in n]
    return [*(one.label for one in components), *sizes]
