"""From what a user gives as a searcher to a study's component, and back to run it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxysample.components import Component
from proxysample.described import Family, parameter_names
from proxysample.digests import as_plain
from proxysample.errors import InputError
from proxysample_nas.data.loader import Augmentation
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.searchers import Searcher, create_searcher
from proxysample_nas.searchers.registry import SEARCHERS, implied_parameters
from proxysample_nas.space.operations import SearchSpace


def _searcher_key(searcher: Searcher) -> dict[str, Any]:
    return {
        name: as_plain(value, f"{name} of {searcher.id}")
        for name, value in searcher.parameters_as_json().items()
        if name != "random_state"
    }


_SEARCHERS: Family[Searcher] = Family(
    SEARCHERS,
    create_searcher,
    implied_parameters,
    _searcher_key,
    lambda _: False,
    (SearchSpace, Augmentation, Normalization),
)


def describe_searcher(given: object, common: Mapping[str, Any]) -> Component:
    """Describe a searcher that a user gives, as `describe_sampler` does.

    Parameters
    ----------
    given : str, Component, mapping, Searcher or type
    common : mapping
        What the study gives to searchers that do not say otherwise, a seed among it.
    """
    component, made = _SEARCHERS.describe(given, common)
    if made is not None and "random_state" not in parameter_names(made):
        raise InputError(
            f"{type(made).__name__} has no parameter random_state, by which a study seeds searches"
        )
    return component


def make_searcher(component: Component, common: Mapping[str, Any]) -> Searcher:
    """Create a component's searcher, with what the study gives to all."""
    return _SEARCHERS.make(component, common)
