"""What one configuration of a study has and another lacks, and a study that is added to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from proxysample.checks import as_tuple
from proxysample.components import Component
from proxysample.errors import InputError
from proxysample.printing import shown
from proxysample_nas.study.grid.configuration import StudyConfiguration
from proxysample_nas.study.grid.evaluation import Transfer

AXES = (
    "samplers",
    "ratios",
    "searchers",
    "channels",
    "seeds",
    "search_seeds",
    "proxy_seeds",
)
"""What a study can be given more of: all that has finished stays in its tables."""

_NOUNS = {
    "ratios": "r",
    "channels": "channels",
    "seeds": "the seed of evaluation",
    "search_seeds": "the search seed",
    "proxy_seeds": "the proxy seed",
}
_SINGLE = ("architecture_data", "n_train", "random_state")


def extended(
    configuration: StudyConfiguration, additions: Mapping[str, Iterable[Any]]
) -> StudyConfiguration:
    """Add to some of a configuration's axes.

    Parameters
    ----------
    configuration : StudyConfiguration
    additions : mapping
        Names of `AXES` with what is added to each.

    Raises
    ------
    InputError
        If nothing is added, an addition is there already, or it cannot be used.
    """
    given = {name: list(as_tuple(name, values)) for name, values in additions.items()}
    if not any(given.values()):
        raise InputError(f"nothing to add: give at least one of {', '.join(AXES)}")
    settings = {
        one.name: getattr(configuration, one.name)
        for one in fields(configuration)
        if one.name != "splits"
    }
    if configuration.splits is not None:
        settings["dataset"] = configuration.splits
    if given.get("proxy_seeds") and not configuration.proxy_seeds:
        # What was picked so far was picked from this one.
        given["proxy_seeds"].insert(0, configuration.random_state)
    for name, values in given.items():
        settings[name] = [*map(_as_given, settings[name]), *values]
    return StudyConfiguration.build(**settings)


def _as_given(one: Any) -> Any:
    # A mapping is a component of which the store knows the results.
    is_stored = isinstance(one, Component) and one.given is None
    return one.to_json() if is_stored else one


def left_out(earlier: StudyConfiguration, now: StudyConfiguration) -> list[str]:
    """Say what an earlier configuration compares and a later one of the same data does not.

    Examples
    --------
    >>> def studied(**changed):
    ...     settings = {"samplers": ["rs"], "ratios": [0.5], "searchers": ["random"]} | changed
    ...     return StudyConfiguration.build(dataset="digits", **settings)
    >>> left_out(studied(samplers=["rs", "ae"], ratios=[0.5, 0.1]), studied(search_seeds=[1]))
    ['the sampler AE', 'r 0.1', 'the search seed 0']
    >>> left_out(studied(), studied(samplers=["rs", "ae"], channels=[16, 32]))
    []
    """
    return [*_other_settings(earlier, now), *_missing(earlier, now)]


def _missing(earlier: StudyConfiguration, now: StudyConfiguration) -> Iterator[str]:
    # Samplers of two names may well have the same parameters.
    kept = [(one.name, now.sampler_parameters(one)) for one in now.samplers]
    for one in earlier.samplers:
        if (one.name, earlier.sampler_parameters(one)) not in kept:
            yield f"the sampler {one.label}"
    kept = [(one.name, now.searcher_parameters(one)) for one in now.searchers]
    for one in earlier.searchers:
        if (one.name, earlier.searcher_parameters(one)) not in kept:
            yield f"the searcher {one.label}"
    for name, noun in _NOUNS.items():
        values = _values(now, name)
        yield from (f"{noun} {one:g}" for one in _values(earlier, name) if one not in values)
    yield from (
        f"the transfer to {one.dataset}"
        for one in earlier.transfers
        if _written(one) not in map(_written, now.transfers)
    )


def _values(configuration: StudyConfiguration, name: str) -> tuple[float, ...]:
    values: tuple[float, ...] = getattr(configuration, name)
    # Where no proxy seeds are named, samplers draw from this.
    return (configuration.random_state,) if name == "proxy_seeds" and not values else values


def _written(transfer: Transfer) -> dict[str, Any]:
    return asdict(transfer)


def _other_settings(earlier: StudyConfiguration, now: StudyConfiguration) -> Iterator[str]:
    for name in _SINGLE:
        before, after = getattr(earlier, name), getattr(now, name)
        if before != after:
            yield f"{name}={shown(before)} (now {shown(after)})"
    if earlier.lookup is None and now.lookup is None:
        channels = earlier.channels[0]
        trainings = [one.create_trainer(channels).parameters() for one in (earlier, now)]
        yield from (
            f"{name}={shown(before)} of evaluation (now {trainings[1].get(name)!r})"
            for name, before in trainings[0].items()
            if before != trainings[1].get(name)
        )
        return
    looked_up = [
        None if one is None else (one.dataset, one.epochs) for one in (earlier.lookup, now.lookup)
    ]
    if looked_up[0] != looked_up[1]:
        words = ["training" if one is None else f"{one[0]} after {one[1]}" for one in looked_up]
        yield f"accuracies by {words[0]} (now {words[1]})"
