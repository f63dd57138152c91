"""What a comparison compares: samplers, ratios, a model, seeds, and the data they are of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy.typing as npt
from sklearn.base import clone

from proxysample.checks import SEED, as_seeds, as_tuple, integer_from
from proxysample.comparison.data import IMBALANCE, NOISE, DataSource
from proxysample.comparison.evaluators import Evaluator, as_evaluator
from proxysample.comparison.parts import BudgetKind
from proxysample.components import Component, check_distinct, check_labels, compared_words
from proxysample.data.datasets import as_splits
from proxysample.described import describe_sampler, make_sampler, parameter_names, sampler_key
from proxysample.errors import InputError, unknown_name
from proxysample.features.sources import PIXELS
from proxysample.keeping import check_counts, check_kept_sizes, check_ratio, kept_sizes
from proxysample.printing import shown
from proxysample.ranking import Ranking
from proxysample.records import (
    MAPPING,
    NUMBER,
    TEXT,
    Kind,
    check_finite,
    list_of,
    read_json,
    require_values,
)
from proxysample.registry import READY_MADE, Shipped
from proxysample.sampler import Sampler
from proxysample.samplers.given import (
    GivenIndices,
    check_same_samples,
    goes_by_labels,
    n_made_for,
)

SamplerLike = (
    str | Component | Mapping[str, Any] | Sampler | type[Sampler] | Ranking | npt.ArrayLike
)
BudgetChoice = Literal["epochs", "steps", "both"]

RIVALS = ("cc-rs", "rs")
"""Random samplers: always compared with, by more draws than the others have seeds."""
RANDOM_DRAWS = 10
"""Draws of what is random, where a training takes seconds."""

WHERE = "the store's configuration"
SEED_OF_DESCRIPTION = 0


@dataclass(frozen=True)
class Method:
    """A sampler as it is compared.

    Attributes
    ----------
    component : Component
    draws : bool
        Whether it draws, so that each seed scores anew.
    shares_features : bool
        Whether it is given the comparison's features, where it has any.
    takes_pixels : bool
        Whether its features are the pixels because the comparison's are: by itself it would make
        some by a backbone.
    """

    component: Component
    draws: bool
    shares_features: bool
    takes_pixels: bool = False

    @property
    def is_rival(self) -> bool:
        """Whether it is one of the random samplers that are always compared with."""
        return self.component.name in RIVALS and not self.component.parameters

    def to_json(self) -> dict[str, Any]:
        """Write as plain JSON values."""
        return {
            "component": self.component.to_json(),
            "draws": self.draws,
            "shares_features": self.shares_features,
        } | ({"takes_pixels": True} if self.takes_pixels else {})

    @classmethod
    def describe(cls, given: object, has_features: bool, of_pixels: bool = False) -> Method:
        """Describe a sampler that a user gives, or what `to_json` wrote."""
        if isinstance(given, Mapping) and "component" in given:
            component = Component.parse(given["component"])
            told = (bool(given["draws"]), bool(given["shares_features"]))
            return cls(component, *told, bool(given.get("takes_pixels", False)))
        component = describe_sampler(given, {"random_state": SEED_OF_DESCRIPTION})
        made = make_sampler(component, {"random_state": SEED_OF_DESCRIPTION})
        made.check_parameters()
        free = parameter_names(made) - component.parameters.keys()
        # A record of another training, or a network on the pixels, takes no features.
        parameters = made.get_params(deep=False)
        is_served = made.reads == "dynamics" or parameters.get("network", "head") != "head"
        shares = has_features and "features" in free and not is_served
        takes_pixels = of_pixels and "features" in free and _can_take_pixels(made)
        return cls(component, "random_state" in free, shares, takes_pixels)

    def make(self, seed: int | None, features: Any) -> Sampler:
        """Create the sampler, with a seed where it draws."""
        made = make_sampler(self.component, {"random_state": SEED_OF_DESCRIPTION})
        if self.draws and seed is not None:
            made.set_params(random_state=seed)
        if self.shares_features and features is not None:
            made.set_params(features=features)
        if self.takes_pixels:
            made.set_params(features=PIXELS)
        return made

    def key(self, seed: int | None, features_key: str) -> dict[str, Any]:
        """Give what its scores are named by, beside the data."""
        resolved = self.component.resolved
        if resolved is None:
            made = make_sampler(self.component, {"random_state": SEED_OF_DESCRIPTION})
            named = sampler_key(made)
        else:
            named = dict(resolved)
        if self.draws:
            named["random_state"] = seed
        if self.shares_features and features_key:
            named["features"] = f"the comparison's {features_key}"
        if self.takes_pixels:
            named["features"] = PIXELS
        return named


_METHOD = Kind(
    "a sampler with parameters",
    lambda value: (
        MAPPING.accepts(value)
        and MAPPING.accepts(value.get("component"))
        and TEXT.accepts(value["component"].get("name"))
        and MAPPING.accepts(value["component"].get("parameters"))
        and all(isinstance(value.get(name), bool) for name in ("draws", "shares_features"))
    ),
)
_SEEDS = list_of(Kind("a seed", SEED.accepts))
_EVALUATOR = Kind(
    "an evaluator with parameters",
    lambda value: MAPPING.accepts(value) and {"name", "parameters", "words"} <= value.keys(),
)
_WRITTEN = {
    "dataset": TEXT,
    "methods": list_of(_METHOD),
    "ratios": list_of(NUMBER),
    "evaluator": _EVALUATOR,
    "seeds": _SEEDS,
    "draws": _SEEDS,
    "budgets": list_of(TEXT),
    "follows_schedules": Kind("a truth value", lambda value: isinstance(value, bool)),
}


@dataclass(frozen=True, kw_only=True)
class Configuration(Shipped):
    """Everything that decides a comparison's results.

    Attributes
    ----------
    dataset : str
        Its name, for reports.
    methods : tuple of Method
        The rivals first.
    ratios : tuple of float
        Ascending.
    n : tuple of int
        Numbers of samples that are kept in turn beside the ratios, ascending.
    evaluator_name : str
    evaluator_parameters : mapping
        What trainings are named by.
    evaluator_words : str
        For reports.
    seeds : tuple of int
    draws : tuple of int
        Of the rivals: the seeds, and more.
    budgets : tuple of {"epochs", "steps"}
    follows_schedules : bool
        Whether RS2 is compared with, too.
    source : DataSource or None
        What is read; None where only results are known.
    evaluator : Evaluator or None
        What trains; None where only results are known.
    """

    dataset: str
    methods: tuple[Method, ...]
    ratios: tuple[float, ...]
    evaluator_name: str
    evaluator_parameters: Mapping[str, Any]
    evaluator_words: str
    seeds: tuple[int, ...]
    draws: tuple[int, ...]
    budgets: tuple[BudgetKind, ...]
    follows_schedules: bool
    n: tuple[int, ...] = ()
    source: DataSource | None = field(default=None, compare=False)
    evaluator: Evaluator | None = field(default=None, compare=False)

    @property
    def compared(self) -> list[str]:
        """Words for the samplers and the sizes."""
        return compared_words((one.component for one in self.methods), self.ratios, self.n)

    @classmethod
    def build(
        cls,
        dataset: Any,
        samplers: Iterable[SamplerLike],
        ratios: Iterable[float] = (),
        *,
        n: Iterable[int] = (),
        evaluator: Any = "head",
        seeds: int | Iterable[int] = 3,
        draws: int | None = None,
        budget: BudgetChoice = "epochs",
        features: Any = None,
        held_out: Any = None,
        noise: float = 0.0,
        imbalance: float = 1.0,
        random_state: int = 0,
        folder: Path | None = None,
    ) -> Self:
        """Create a configuration from what a user gives, and check all of it.

        Parameters
        ----------
        dataset, samplers, ratios, n, evaluator, seeds, draws, budget, features, held_out, noise,
        imbalance, random_state
            See `proxysample.comparison.compare`.
        folder : Path, optional
            Where features are kept that are made.

        Raises
        ------
        InputError
            If a name, a parameter or a value cannot be used.
        """
        if not isinstance(budget, str) or budget not in get_args(BudgetChoice):
            raise unknown_name("budget", budget, get_args(BudgetChoice))
        SEED.check("random_state", random_state)
        model = as_evaluator(evaluator)
        splits = as_splits(dataset)
        dataset = dataset if splits is None else splits
        source = DataSource(
            dataset,
            held_out,
            features,
            model.uses_features,
            noise,
            imbalance,
            random_state,
            folder,
        )
        source.check()
        has_features = _has_features(features, model)
        of_pixels = _are_pixels(features)
        given = [
            Method.describe(one, has_features, of_pixels) for one in as_tuple("samplers", samplers)
        ]
        rivals = [Method.describe(name, has_features) for name in RIVALS]
        others = [one for one in given if not one.is_rival]
        chosen = _seeds(seeds)
        configuration = cls(
            dataset=dataset if isinstance(dataset, str) else shown(dataset, 200),
            methods=(*rivals, *others),
            ratios=tuple(sorted(_ratios(ratios, others))),
            evaluator_name=model.name,
            evaluator_parameters=model.parameters(),
            evaluator_words=model.describe(),
            seeds=chosen,
            draws=_draws(chosen, draws, model),
            budgets=("epochs", "steps") if budget == "both" else (budget,),
            follows_schedules=model.follows_schedules,
            n=tuple(sorted(check_counts(n))),
            source=source,
            evaluator=model,
        )
        configuration._check(others)
        return configuration

    def _check(self, others: list[Method]) -> None:
        if not others:
            raise InputError(
                "a comparison needs a sampler besides cc-rs and rs, which are always in it"
            )
        check_distinct((one.component for one in self.methods), "a comparison")
        check_labels(one.component for one in self.methods)
        needs_ratio = any(one.component.size is None for one in others)
        if needs_ratio and not self.ratios and not self.n:
            raise InputError(
                "a comparison needs at least one ratio, such as ratios=[0.1], or a number of "
                "samples, such as n=[500]"
            )
        if len(set(self.ratios)) != len(self.ratios):
            raise InputError("a comparison names a ratio twice")

    @property
    def others(self) -> list[Method]:
        """The methods that are compared with a random draw."""
        return [one for one in self.methods if not one.is_rival]

    def seeds_of(self, method: Method) -> tuple[int, ...]:
        """Give the seeds that a method is trained by."""
        return self.draws if method.is_rival else self.seeds

    def sizes_of(self, method: Method, n_train: int) -> dict[float, int | None]:
        """Give the ratios that a method is cut at, with the numbers of those given as numbers.

        A ready set of indices has the one ratio that it is.
        """
        if method.component.size is not None:
            return {method.component.size / n_train: None}
        return self.all_sizes(n_train) if method.is_rival else self.own_sizes(n_train)

    def own_sizes(self, n_train: int) -> dict[float, int | None]:
        """Give the ratios that were asked for, with their numbers, ascending."""
        return dict(sorted(kept_sizes(n_train, self.ratios, self.n).items()))

    def all_sizes(self, n_train: int) -> dict[float, int | None]:
        """Give all ratios at which something is kept, with their numbers, ascending."""
        sizes = [one.component.size for one in self.others]
        own = {size / n_train: None for size in sizes if size is not None}
        return dict(sorted((own | self.own_sizes(n_train)).items()))

    def check_sizes(self, n_train: int) -> None:
        """Refuse numbers of samples that a training part does not have; `InputError`."""
        check_kept_sizes(n_train, self.ratios, self.n)

    def check_given(self, n_train: int) -> None:
        """Refuse what was picked, ranked or recorded of other samples than are compared on."""
        assert self.source is not None
        for method in self.others:
            sampler, label = method.make(None, None), method.component.label
            advice = (
                "; where a part of the training data is held out, it has to be made of the others, "
                "or give a dataset of your own as held_out="
            )
            check_same_samples(sampler, label, n_train, advice)
            self._check_arms(sampler, label, self.source)

    def _check_arms(self, sampler: Sampler, label: str, source: DataSource) -> None:
        is_ready = isinstance(sampler, GivenIndices) or n_made_for(sampler) is not None
        if is_ready and IMBALANCE in source.arms:
            raise InputError(
                f"{label} is of all training samples, and imbalance={source.imbalance:g} leaves "
                "some of them out: compare it without imbalance"
            )
        if goes_by_labels(sampler) and NOISE in source.arms:
            raise InputError(
                f"{label} was made by the labels as they are, and noise={source.noise:g} flips "
                "some of them: compare it without noise"
            )

    def to_json(self) -> str:
        """Write as JSON what reading the results needs."""
        counts = {"n": list(self.n)} if self.n else {}
        return json.dumps(
            counts
            | {
                "dataset": self.dataset,
                "methods": [one.to_json() for one in self.methods],
                "ratios": list(self.ratios),
                "evaluator": {
                    "name": self.evaluator_name,
                    "parameters": dict(self.evaluator_parameters),
                    "words": self.evaluator_words,
                },
                "seeds": list(self.seeds),
                "draws": list(self.draws),
                "budgets": list(self.budgets),
                "follows_schedules": self.follows_schedules,
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; `InputError` where it is damaged."""
        values = read_json(text, WHERE)
        require_values(values, _WRITTEN, WHERE)
        check_finite(values, WHERE)
        budgets = set(values["budgets"])
        if not budgets or not budgets <= {"epochs", "steps"} or not values["seeds"]:
            raise InputError(f"{WHERE} is damaged: it has no budgets or no seeds")
        evaluator = values["evaluator"]
        if not TEXT.accepts(evaluator["name"]) or not MAPPING.accepts(evaluator["parameters"]):
            raise InputError(f"{WHERE} is damaged: its evaluator is {shown(evaluator)}")
        for r in values["ratios"]:
            check_ratio(r)
        return cls(
            dataset=values["dataset"],
            methods=tuple(Method.describe(one, False) for one in values["methods"]),
            ratios=tuple(values["ratios"]),
            evaluator_name=evaluator["name"],
            evaluator_parameters=evaluator["parameters"],
            evaluator_words=str(evaluator["words"]),
            seeds=tuple(values["seeds"]),
            draws=tuple(values["draws"]),
            budgets=tuple(values["budgets"]),
            follows_schedules=values["follows_schedules"],
            n=check_counts(values.get("n", ())),
        )

    def with_folder(self, folder: Path) -> Self:
        """Have features that are made kept in a folder."""
        assert self.source is not None
        return replace(self, source=replace(self.source, folder=folder))


def _has_features(features: Any, evaluator: Evaluator) -> bool:
    """Whether there are features that samplers can share: pixels they read themselves."""
    if features is None:
        return evaluator.uses_features
    return not _are_pixels(features)


def _are_pixels(features: Any) -> bool:
    return isinstance(features, str) and features == PIXELS


def _can_take_pixels(sampler: Sampler) -> bool:
    """Tell whether a sampler would make features by a backbone, and takes pixels in their place."""
    if sampler.reads != "features" or sampler.get_params(deep=False)["features"] is not None:
        return False
    try:
        clone(sampler).set_params(features=PIXELS).check_parameters()
    except InputError:
        return False
    return True


# Each is trained with.
MOST_SEEDS = 1 << 20


def _seeds(given: Any) -> tuple[int, ...]:
    if isinstance(given, Iterable) and not isinstance(given, str | Mapping):
        return as_seeds("seeds", given)
    integer_from(1, MOST_SEEDS).check("seeds", given)
    return tuple(range(int(given)))


def _draws(seeds: tuple[int, ...], draws: int | None, evaluator: Evaluator) -> tuple[int, ...]:
    """Give the seeds of the rivals: those of all, and more that differ from them."""
    if draws is None:
        draws = RANDOM_DRAWS if evaluator.is_quick else 0
    integer_from(0, MOST_SEEDS).check("draws", draws)
    more = (seed for seed in range(draws + len(seeds)) if seed not in seeds)
    return (*seeds, *(next(more) for _ in range(draws - len(seeds))))


def _ratios(given: Iterable[float], others: list[Method]) -> list[float]:
    ratios = [float(check_ratio(r)) for r in as_tuple("ratios", given)]
    if 1.0 in ratios:
        raise InputError("r=1 is all of the data, which is always trained on; leave it out")
    if any(one.component.name in READY_MADE and one.component.resolved is None for one in others):
        raise InputError("what was picked elsewhere is not known here; give it again")
    return ratios
