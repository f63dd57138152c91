"""Configurations by name, configurations that are added to, and how two of them differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from proxysample.checks import as_tuple, is_number
from proxysample.components import Component
from proxysample.described import describe_sampler
from proxysample.errors import InputError, check_name, check_names
from proxysample.printing import shown
from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.given import Transfer, describe_searcher

# A search far shorter than the paper's needs larger steps to decide anything.
_SHORT_SEARCH = "n_nodes=4,channels=8,cells_per_stage=1"
_SHORT_DARTS = f"{_SHORT_SEARCH},learning_rate=0.05,architecture_learning_rate=0.01"

_DIGITS: dict[str, Any] = {
    "dataset": "digits",
    "channels": (8,),
    "recipe": "nas-bench-201",
    # A mirrored digit is another sign, or none.
    "augmentation": {"flip": False},
}

PRESETS: dict[str, dict[str, Any]] = {
    "digits-demo": _DIGITS
    | {
        "samplers": ("rs", "km-or:n_clusters=50", "cc-rs", "cc-or"),
        "searchers": (f"darts-v1:{_SHORT_DARTS},epochs=20",),
        "ratios": (0.5, 0.25),
        "training": {"epochs": 10, "batch_size": 64, "cells_per_stage": 1},
    },
    "digits": _DIGITS
    | {
        "samplers": ("rs", "km-or:n_clusters=50", "ae", "cc-rs", "cc-or", "tl"),
        "searchers": (
            f"darts-v1:{_SHORT_DARTS},epochs=8",
            f"darts-v2:{_SHORT_DARTS},epochs=8",
            f"enas:{_SHORT_SEARCH},epochs=8,controller_updates=10,n_candidates=20",
            f"gdas:{_SHORT_DARTS},epochs=12",
        ),
        "ratios": (0.75, 0.5, 0.25),
        "training": {"epochs": 5, "batch_size": 64, "cells_per_stage": 1},
    },
    "cifar100-tiny": {
        "dataset": "npz:.data/cifar100.npz",
        "n_train": 2000,
        "samplers": ("rs", "km-or", "cc-rs", "cc-or"),
        "searchers": ("darts-v1:channels=4,cells_per_stage=1,epochs=1",),
        "ratios": (0.5, 0.25),
        "channels": (4,),
        "recipe": "nas-bench-201",
        "training": {"epochs": 1, "batch_size": 64, "cells_per_stage": 1},
    },
    "cifar100-small": {
        "dataset": "cifar100:.data",
        "samplers": ("rs", "ae", "cc-or", "tl"),
        "searchers": ("darts-v1:cells_per_stage=1,epochs=10", "gdas:cells_per_stage=1,epochs=20"),
        "ratios": (0.5, 0.25),
        "channels": (16,),
        "seeds": (777, 888),
        "recipe": "nas-bench-201",
        "training": {"epochs": 12, "cells_per_stage": 1},
    },
    "paper": {
        "dataset": "cifar100:.data",
        "samplers": (
            "rs",
            *(f"km-or:n_clusters={k},protocol=paper" for k in (50, 100, 150, 200)),
            *(f"ae:protocol=paper,keep={keep}" for keep in ("easy", "hard")),
            "cc-rs",
            "cc-or:protocol=paper",
            *(
                f"tl:backbone=resnet18.tv_in1k,protocol=paper,keep={keep}"
                for keep in ("easy", "hard")
            ),
        ),
        "searchers": tuple(
            f"{searcher}:protocol=paper" for searcher in ("darts-v1", "darts-v2", "enas", "gdas")
        ),
        "ratios": (0.75, 0.5, 0.25),
        "channels": (16, 32, 64),
        "recipe": "paper",
        "architecture_data": "test-half",
        "transfers": (
            {"dataset": "imagenet16-120:.data/ImageNet16", "recipe": "paper-imagenet16-120"},
        ),
    },
}
"""Settings of each preset.

``digits-demo`` and ``digits`` take minutes on two cores: searches are far shorter than the
paper's, so learning rates are higher and networks smaller. ``digits`` has all six samplers and
four searchers. ``cifar100-tiny`` shows that everything runs on the real data, and no more.
``cifar100-small`` is sized for an hour on one GPU. ``paper`` is the whole study in its authors'
protocol; ``study run --dry-run`` tells what it would cost on the device at hand.
"""


def preset(name: str, **overrides: Any) -> StudyConfiguration:
    """Create a study's configuration by name.

    Parameters
    ----------
    name : str
        One of `PRESETS`.
    **overrides
        Settings of `StudyConfiguration.build` that win. `n` without `ratios` takes the preset's
        ratios away: only so many samples are kept.

    Returns
    -------
    StudyConfiguration

    Raises
    ------
    InputError
        If the name or a setting is unknown.

    Examples
    --------
    >>> preset("digits", ratios=(0.1,)).ratios
    (0.1,)
    """
    check_name("preset", name, PRESETS)
    check_names("setting of a study", overrides, StudyConfiguration.__dataclass_fields__)
    if overrides.get("n"):
        overrides = {"ratios": ()} | overrides
    return StudyConfiguration.build(**(PRESETS[name] | overrides))


AXES = (
    "samplers",
    "ratios",
    "n",
    "searchers",
    "channels",
    "seeds",
    "search_seeds",
    "proxy_seeds",
)
"""What a study can be given more of: all that has finished stays in its tables."""

_NOUNS = {
    "ratios": "r",
    "n": "n",
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
        settings["proxy_seeds"] = [configuration.random_state]
    for name, values in given.items():
        _refuse_known(name, values, settings[name], configuration.random_state)
        settings[name] = [*map(_as_given, settings[name]), *values]
    return StudyConfiguration.build(**settings)


def _refuse_known(
    name: str, values: Iterable[Any], known: Iterable[Any], random_state: int
) -> None:
    if name in ("samplers", "searchers"):
        describe = describe_sampler if name == "samplers" else describe_searcher
        there = [one.identity for one in known]
        for one in (describe(value, {"random_state": random_state}) for value in values):
            if one.identity in there:
                raise InputError(
                    f"the study has {one.label} among its {name} already; run it again as it is"
                )
        return
    numbers = [one for one in known if is_number(one)]
    again = [one for one in values if is_number(one) and one in numbers]
    if again:
        raise InputError(
            f"the study has {name} {', '.join(f'{one:g}' for one in numbers)} already; add others "
            f"than {', '.join(f'{one:g}' for one in again)}, or run it again as it is"
        )


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
    labels = [one.label for one in now.samplers]
    for one in earlier.samplers:
        if (one.name, earlier.sampler_parameters(one)) not in kept:
            # A file that was written anew has the same name.
            changed = " as it was before it changed" if one.label in labels else ""
            yield f"the sampler {one.label}{changed}"
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
