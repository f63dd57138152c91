"""From what a user gives as a sampler to a component that names results, and back to run it."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from sklearn.base import clone

from proxysample.components import FILES, Component
from proxysample.digests import as_plain, digest_of, is_plain
from proxysample.errors import InputError
from proxysample.features.store import PREFIX
from proxysample.keeping import KeepingRule, as_rule, rule_id
from proxysample.printing import shown
from proxysample.ranking import Ranking
from proxysample.registry import (
    READY_MADE,
    RULES,
    SAMPLERS,
    Registry,
    create_sampler,
    id_of,
    imported,
)
from proxysample.sampler import Sampler, may_use_labels
from proxysample.samplers.given import GivenIndices, GivenRanking

# Parameters that decide how a sampler is run, not what comes of it.
SAMPLER_EXECUTION = frozenset({"batch_size", "num_workers", "progress", "cache"})

# Parameters of samplers that were added later, with the value that results without them had.
ADDED_LATER = {
    "features": None,
    "image_size": None,
    "metric": "euclidean",
    "min_cluster_size": None,
}


class Parametrized(Protocol):
    """What samplers and searchers have in common with all of scikit-learn's estimators."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Give the parameters by name."""

    def set_params(self, **parameters: Any) -> Any:
        """Set parameters."""

    def check_parameters(self) -> None:
        """Raise `InputError` for a parameter that cannot work."""


class GivenAgainError(InputError):
    """A store holds only the results of this component, which has to be given again to be run."""


T = TypeVar("T", bound=Parametrized)
_MISSING = object()


@dataclass(frozen=True)
class Family(Generic[T]):
    """How those of one kind, such as samplers, are described.

    Attributes
    ----------
    registry : Registry
    create : callable
        From an id and parameters.
    implied : callable
        Gives the parameters that an id stands for.
    key_parameters : callable
        Gives what results are named by, as plain JSON values.
    needs_others : callable
        Tells whether a component of ours needs something of others, such as their keeping rule.
    written : tuple of type
        Types of parameters that are made again by what names them, and told apart by ``==``.
    """

    registry: Registry[type[T]]
    create: Callable[..., T]
    implied: Callable[[str], Mapping[str, Any]]
    key_parameters: Callable[[T], dict[str, Any]]
    needs_others: Callable[[Component], bool]
    written: tuple[type, ...] = ()

    def describe(self, given: object, common: Mapping[str, Any]) -> tuple[Component, T | None]:
        """Describe what a user gives; of what is not one of ours, create and check it too.

        Parameters
        ----------
        given : str, Component, mapping, instance or class
        common : mapping
            Parameters for all, where `given` does not say otherwise.

        Returns
        -------
        component : Component
        made : object or None
            None where the id says all, or only results are to be read.
        """
        if isinstance(given, str):
            given = imported(given, self.registry) or given
        component = self._component(given)
        if isinstance(given, Mapping) and component.resolved is not None:
            return component, None
        component = replace(component, resolved=None, uses_labels=None)
        is_ours = component.given is None and self.registry.is_built_in(component.name)
        if is_ours and not self.needs_others(component):
            return component, None
        made = self.make(component, common)
        made.check_parameters()
        return replace(component, resolved=self.key_parameters(made)), made

    def make(self, component: Component, common: Mapping[str, Any]) -> T:
        """Create what a component stands for; `InputError` where only its results are known."""
        if component.given is not None:
            made: T = clone(component.given)
            free = parameter_names(made) - component.parameters.keys()
            made.set_params(**{name: common[name] for name in common.keys() & free})
            return made
        if component.resolved is None:
            return self._create(component, common)
        if component.name not in self.registry:
            raise GivenAgainError(
                f"{component.label} cannot be run from the store alone: no {self.registry.noun} "
                f"{shown(component.name)} is known here, and a store is not trusted to name code. "
                "Name the module that has it by --import MODULE, or register its class "
                "(proxysample.register) before, or give it again as it was given at first"
            )
        try:
            made = self._create(component, common)
            key = self.key_parameters(made)
        except InputError as error:
            # What was an object is known by a digest, which no parameter takes.
            why = "" if "digest" in component.parameters else f" ({error})"
            raise GivenAgainError(
                f"{component.label} cannot be run from the store alone{why}; give it again as it "
                "was given at first"
            ) from error
        if key != component.resolved:
            raise InputError(
                f"{component.label} is not what it was when it was run; give it again, as it is now"
            )
        return made

    def _create(self, component: Component, common: Mapping[str, Any]) -> T:
        names = parameter_names(self.registry.get(component.name))
        taken = {name: value for name, value in common.items() if name in names}
        return self.create(component.name, **(taken | dict(component.parameters)))

    def _component(self, given: object) -> Component:
        if not self.registry.accepts(given):
            return Component.parse(given)  # type: ignore[arg-type]  # refuses any other
        if not isinstance(given, type):
            return self._of_instance(given)  # type: ignore[arg-type]  # accepted
        try:
            return self._of_instance(given())
        except TypeError as error:
            raise InputError(f"{given.__name__}: {error}; give an instance of it") from error

    def _of_instance(self, given: T) -> Component:
        _check_made_again(given)
        name, is_registered = self._name(given)
        implied = self.implied(name) if is_registered else {}
        defaults = self._defaults(given, name if is_registered else None)
        changed = {
            one: value
            for one, value in given.get_params(deep=False).items()
            if one not in implied and not self._same(value, defaults.get(one, _MISSING))
        }
        key = self.key_parameters(given)
        shown = {
            one: key[one]
            if one in key and not isinstance(value, os.PathLike) and not _is_file(one, value)
            else as_plain(_in_words(one, value), f"{one} of {name}")
            for one, value in changed.items()
        }
        if is_registered and all(map(self._is_written, changed.values())):
            return Component(name, shown)
        return Component(name, shown, given=given)

    def _name(self, given: T) -> tuple[str, bool]:
        kind = type(given)
        for registered, entry in self.registry.registered.items():
            if entry is kind:
                return registered, True
        name = id_of(given)
        if name is None:
            example = kind.__name__.lower()
            raise InputError(
                f"{kind.__name__} has no id; give the class one, such as {shown(example)}"
            )
        if name not in self.registry:
            return name, False
        if self.registry.get(name) is not kind:
            raise InputError(
                f"{kind.__name__} has the id {shown(name)} of another {self.registry.noun}, "
                "and results "
                "are named by it: give the class an id of its own"
            )
        return name, True

    def _defaults(self, given: T, name: str | None) -> dict[str, Any]:
        if name is not None:
            defaults: dict[str, Any] = self.create(name).get_params(deep=False)
            return defaults
        parameters = inspect.signature(type(given).__init__).parameters.values()
        return {one.name: one.default for one in parameters}

    def _is_written(self, value: object) -> bool:
        """Whether what names a value also makes it."""
        return is_plain(value) or isinstance(value, (KeepingRule, os.PathLike, *self.written))

    def _same(self, value: object, default: object) -> bool:
        if value is default or default is _MISSING or default is inspect.Parameter.empty:
            return value is default
        if isinstance(value, self.written):
            return bool(value == default)
        try:
            return bool(as_plain(value, "") == as_plain(default, ""))
        except InputError:
            return False


def _check_made_again(given: Any) -> None:
    """Refuse what its parameters do not make again, as every run of it does."""
    kind = type(given)
    try:
        parameters = inspect.signature(kind.__init__).parameters.values()
        unnamed = next((str(one) for one in parameters if one.kind is one.VAR_KEYWORD), None)
        if unnamed is None:
            clone(given)
    except Exception as error:  # whatever anyone's class raises
        raise InputError(
            f"{kind.__name__} cannot be made again from its parameters ({error}): its __init__ has "
            "to name each, and to keep each as it is, under its name"
        ) from error
    if unnamed is not None:
        raise InputError(
            f"{kind.__name__} takes {unnamed}, of which no result could be named: its __init__ has "
            "to name each parameter"
        )


def _is_file(parameter: str, value: object) -> bool:
    """Whether a parameter is a file's name, which makes the sampler and does not name results."""
    return parameter in FILES and isinstance(value, str | os.PathLike)


def _in_words(parameter: str, value: object) -> object:
    """Spell a folder of features as the word that is taken for it: else it would be a backbone."""
    if parameter == "features" and isinstance(value, os.PathLike):
        return f"{PREFIX}{os.fspath(value)}"
    return value


def parameter_names(made: Any) -> set[str]:
    """List the parameters of an instance or a class."""
    return set(made._get_param_names())


def sampler_key(sampler: Sampler) -> dict[str, Any]:
    """Give what a sampler's results are named by, as plain JSON values."""
    if isinstance(sampler, GivenIndices):
        indices = sampler.read()
        return {"indices": digest_of([indices]), "n_kept": len(indices)}
    if isinstance(sampler, GivenRanking):
        return {"ranking": _ranking_digest(sampler.read())}
    version = sampler.algorithm_version
    parameters = sampler.named_by()
    if isinstance(parameters.get("keep"), str):
        # A rule's parameters are named alike however they are spelled.
        parameters["keep"] = as_rule(parameters["keep"]).to_json()
    return ({} if version == 1 else {"algorithm_version": version}) | {
        name: as_plain(value, f"{name} of {sampler.id}")
        for name, value in parameters.items()
        if name not in SAMPLER_EXECUTION
        and not (name in ADDED_LATER and is_plain(value) and value == ADDED_LATER[name])
    }


def _ranking_digest(ranking: Ranking) -> str:
    codes = [] if ranking.codes is None else [ranking.codes]
    return digest_of(
        [ranking.scores, *codes], json.dumps([ranking.rule.to_json(), ranking.rounding])
    )


def _needs_others(component: Component) -> bool:
    """Tell whether a sampler takes a keeping rule of others, or a file of a training's record."""
    if component.parameters.get("record") is not None:
        return True
    name = rule_id(component.parameters.get("keep"))
    return isinstance(name, str) and name in RULES and not RULES.is_built_in(name)


_SAMPLERS: Family[Sampler] = Family(
    SAMPLERS, create_sampler, lambda _: {}, sampler_key, _needs_others
)


def describe_sampler(given: object, common: Mapping[str, Any]) -> Component:
    """Describe a sampler that a user gives: an id, a class, an instance, indices or a ranking.

    Parameters
    ----------
    given : str, Component, mapping, Sampler, type, Ranking or array-like of int
    common : mapping
        Parameters for all samplers that have them and do not say otherwise, a seed among them.

    Raises
    ------
    InputError
        If it is none of these, or a parameter cannot be used or named.
    """
    if isinstance(given, str):
        given = imported(given, SAMPLERS) or given
    ready = _ready_made(given)
    if ready is not None:
        return ready
    component, made = _SAMPLERS.describe(_with_rule_in_full(given), common)
    return component if made is None else replace(component, uses_labels=may_use_labels(made))


def _with_rule_in_full(given: object) -> object:
    """Spell a keeping rule that is given in words as its parameters are written."""
    if not isinstance(given, str | Mapping | Component):
        return given
    component = Component.parse(given)
    keep = component.parameters.get("keep")
    if not isinstance(keep, str) or keep in RULES or rule_id(keep) not in RULES:
        return given
    parameters = {**component.parameters, "keep": as_rule(keep).to_json()}
    return replace(component, parameters=parameters)


def make_sampler(component: Component, common: Mapping[str, Any]) -> Sampler:
    """Create a component's sampler, with what is for all, such as a seed."""
    return _SAMPLERS.make(component, common)


def _ready_made(given: object) -> Component | None:
    """Describe indices or a ranking, in memory or in a file, by their content; else give None."""
    if isinstance(given, Component) and given.name in READY_MADE and given.given is not None:
        return given
    shown: Mapping[str, Any] | None = None
    if isinstance(given, str | Mapping | Component):
        component = Component.parse(given)
        if component.name not in READY_MADE or component.resolved is not None:
            return None
        given, shown = create_sampler(component.name, **component.parameters), component.parameters
    sampler = _as_ready_sampler(given)
    if sampler is None:
        return None
    sampler.check_parameters()
    content = sampler.read()
    if isinstance(content, Ranking):
        ready: Sampler = GivenRanking(content)
        maker = content.provenance.get("sampler")
        words: dict[str, Any] = {"sampler": maker} if isinstance(maker, str) else {}
        digest = _ranking_digest(content)
    else:
        ready = GivenIndices(content)
        words = {"n": len(content)}
        digest = digest_of([content])
    if shown is None and sampler.path is not None:
        shown = {"path": str(sampler.path)}
    elif shown is None:
        shown = {"digest": digest[:8]} | words
    return Component(
        ready.id, shown, sampler_key(ready), uses_labels=sampler.uses_labels, given=ready
    )


def _as_ready_sampler(given: object) -> GivenIndices | GivenRanking | None:
    if isinstance(given, GivenIndices | GivenRanking):
        return given
    if isinstance(given, Ranking):
        return GivenRanking(given)
    if isinstance(given, np.ndarray | list | tuple | range) or (
        hasattr(given, "__array__") and not isinstance(given, type)
    ):
        return GivenIndices(given)
    return None
