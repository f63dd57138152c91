"""What a rank agreement compares: configurations, proxies of the training data, budgets, seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, get_args

import numpy as np

from proxysample.agreement.data import name_of_data
from proxysample.agreement.evaluator import Evaluator, as_evaluator
from proxysample.agreement.statistics import LEAST
from proxysample.checks import FRACTION, as_array, as_seeds, as_tuple, first_repeated
from proxysample.components import Component, check_distinct, check_labels, compared_words
from proxysample.described import describe_sampler, make_sampler, parameter_names, sampler_key
from proxysample.errors import InputError, unknown_name
from proxysample.keeping import (
    check_counts,
    check_kept_sizes,
    check_ratio,
    kept_sizes,
    name_size,
)
from proxysample.printing import shown
from proxysample.records import (
    COUNT,
    MAPPING,
    NUMBER,
    POSITIVE,
    TEXT,
    check_finite,
    check_values,
    list_of,
    optional,
    read_json,
    require_values,
)
from proxysample.registry import Shipped
from proxysample.sampler import Sampler
from proxysample.samplers.given import check_same_samples

Budget = Literal["epochs", "steps"]

WHERE = "what the store knows of the comparison"

WRITTEN = {
    "dataset": TEXT,
    "samplers": list_of(MAPPING),
    "ratios": list_of(NUMBER),
    "proxy_seeds": list_of(COUNT),
    "seeds": list_of(COUNT),
    "budgets": list_of(TEXT),
    "names": list_of(TEXT),
    "together": list_of(list_of(TEXT)),
    "known": list_of(MAPPING),
    "held_out": NUMBER,
    "random_state": COUNT,
    "n_train": optional(POSITIVE),
    "evaluation": MAPPING,
    "noun": TEXT,
    "described": TEXT,
}

RIVAL = "cc-rs"
"""What every sampler is compared with: class-random sampling, which costs nothing."""


@dataclass(frozen=True)
class Proxy:
    """What configurations are trained on: the full data, or one draw of a sampler's cut.

    Attributes
    ----------
    sampler : Component or None
        None for the full data.
    r : float
    proxy_seed : int
        Of a sampler that draws.
    seed : int
        Of the trainings.
    budget : {"epochs", "steps"}
        The full data have both.
    n : int or None
        How many samples are kept, where that was given in place of `r`.
    """

    sampler: Component | None
    r: float
    proxy_seed: int
    seed: int
    budget: Budget
    n: int | None = None

    @property
    def size(self) -> str:
        """How much is kept, as it was asked for."""
        return name_size(self.r, self.n)

    @property
    def label(self) -> str:
        """Words for people."""
        data = "full data" if self.sampler is None else f"{self.sampler.label} {self.size}"
        return f"{data}, seed {self.seed}"


@dataclass(frozen=True)
class Design(Shipped):
    """What is compared; see `rank_agreement` for the settings.

    Attributes
    ----------
    names : tuple of str
        Of the configurations.
    together : tuple of tuple of str
        The names again, those in one tuple that are scored in one experiment.
    known : mapping of str to tuple of float
        What is known of the configurations from elsewhere, higher being better.
    estimates : mapping of str to tuple of float
        What was said of them without training: rows, and never a reference.
    n : tuple of int
        Numbers of samples that are kept in turn beside the ratios, descending.
    evaluation : mapping
        What decides a score besides data, configuration and seed.
    noun, described : str
        What configurations are called, and how they are scored, for reports.
    configurations : tuple
        As the evaluator takes them; empty where only results are read.
    evaluator : Evaluator or None
        None where only results are read.
    """

    dataset: str
    samplers: tuple[Component, ...]
    ratios: tuple[float, ...]
    proxy_seeds: tuple[int, ...]
    seeds: tuple[int, ...]
    budgets: tuple[Budget, ...]
    names: tuple[str, ...]
    together: tuple[tuple[str, ...], ...]
    known: Mapping[str, tuple[float, ...]]
    held_out: float
    random_state: int
    n_train: int | None
    evaluation: Mapping[str, Any]
    noun: str
    described: str
    configurations: tuple[Any, ...] = field(default=(), compare=False)
    evaluator: Evaluator | None = field(default=None, compare=False)
    estimates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    n: tuple[int, ...] = ()

    @property
    def compared(self) -> list[str]:
        """Words for the samplers and the sizes."""
        return compared_words(self.samplers, self.ratios, self.n)

    @classmethod
    def build(
        cls,
        *,
        dataset: Any,
        samplers: Iterable[Any],
        ratios: Iterable[float],
        n: Iterable[int] = (),
        evaluate: Any,
        configurations: Mapping[str, Any] | Iterable[Any],
        proxy_seeds: Iterable[int],
        seeds: Iterable[int],
        budgets: Iterable[Budget],
        known: Mapping[str, Sequence[float]] | None,
        held_out: float,
        random_state: int,
        n_train: int | None,
        estimates: Mapping[str, Sequence[float]] | None = None,
    ) -> Self:
        """Check and describe what a user gives; `InputError` where it cannot be used."""
        evaluator = as_evaluator(evaluate)
        named = _named(configurations, evaluator)
        kept = tuple(sorted({check_ratio(r) for r in as_tuple("ratios", ratios)}, reverse=True))
        counts = tuple(sorted(check_counts(n), reverse=True))
        common = {"random_state": as_seeds("proxy_seeds", proxy_seeds)[0]}
        design = cls(
            dataset=name_of_data(dataset),
            samplers=_with_rival(as_tuple("samplers", samplers), (*kept, *counts), common),
            ratios=kept,
            proxy_seeds=as_seeds("proxy_seeds", proxy_seeds),
            seeds=as_seeds("seeds", seeds),
            budgets=as_tuple("budgets", budgets),
            names=tuple(named),
            together=_together(named, evaluator),
            known=_checked_known({} if known is None else known, len(named)),
            held_out=held_out,
            random_state=random_state,
            n_train=n_train,
            evaluation=evaluator.specification,
            noun=evaluator.noun,
            described=evaluator.describe(),
            configurations=tuple(named.values()),
            evaluator=evaluator,
            estimates=_checked_known(
                {} if estimates is None else estimates, len(named), "estimates"
            ),
            n=counts,
        )
        design.check()
        if "steps" in design.budgets:
            evaluator.check_passes()
        return design

    def check(self) -> None:
        """Raise `InputError` for anything that would fail later."""
        FRACTION.check("held_out", self.held_out)
        if len(self.names) < LEAST:
            raise InputError(
                f"{len(self.names)} {self.noun}s have no order to agree on; give {LEAST} at least"
            )
        if len(self.seeds) < 2:
            raise InputError(
                "seeds needs two at least: the full data are trained once to be the reference, "
                "and at another seed to show how far they agree with themselves"
            )
        for budget in self.budgets:
            if not isinstance(budget, str) or budget not in get_args(Budget):
                raise unknown_name("budget", budget, get_args(Budget))
        if not self.budgets or len(set(self.budgets)) != len(self.budgets):
            raise InputError("budgets must be 'epochs', 'steps' or both, each once")
        if 1.0 in self.ratios:
            raise InputError("r=1 is the full data, which are always trained; leave it out")
        if not (self.ratios or self.n) and any(one.size is None for one in self.samplers):
            raise InputError(
                "give at least one ratio, such as ratios=[0.25], or a number of samples, such as "
                "n=[500]"
            )
        for component in self.samplers:
            if component.resolved is None:
                self.create_sampler(component, self.proxy_seeds[0]).check_parameters()

    def create_sampler(self, component: Component, proxy_seed: int) -> Sampler:
        """Create a sampler, seeded where it draws and has no seed of its own."""
        if component.resolved is not None and component.given is None and self.draws(component):
            # What is only known by name is held against what it was described by.
            resolved = dict(component.resolved) | {"random_state": proxy_seed}
            component = replace(component, resolved=resolved)
        return make_sampler(component, {"random_state": proxy_seed})

    def sampler_specification(self, component: Component, proxy_seed: int) -> dict[str, Any]:
        """Give what decides a sampler's scores, as plain JSON values."""
        if component.resolved is not None:
            drawn = {"random_state": proxy_seed} if self.draws(component) else {}
            parameters = dict(component.resolved) | drawn
        else:
            parameters = sampler_key(self.create_sampler(component, proxy_seed))
        return {"sampler": component.name, "parameters": parameters}

    def draws(self, component: Component) -> bool:
        """Whether a sampler takes the proxy's seed."""
        if "random_state" in component.parameters or component.size is not None:
            return False
        if component.resolved is not None:
            return "random_state" in component.resolved
        return "random_state" in parameter_names(
            self.create_sampler(component, self.proxy_seeds[0])
        )

    def sizes_of(self, component: Component, n_train: int) -> dict[float, int | None]:
        """Give the ratios that a sampler is cut at, with the numbers of those given as numbers.

        Ready indices have the one ratio that they are.
        """
        if component.size is None:
            return kept_sizes(n_train, self.ratios, self.n)
        return {component.size / n_train: None}

    def check_sizes(self, n_train: int) -> None:
        """Refuse numbers of samples that a training part does not have; `InputError`."""
        check_kept_sizes(n_train, self.ratios, self.n)
        for component in self.samplers:
            advice = (
                ", since some are held out to score on: give the sampler itself, which then "
                "picks among these"
            )
            sampler = self.create_sampler(component, self.proxy_seeds[0])
            check_same_samples(sampler, component.label, n_train, advice)

    def seeds_of(self, component: Component) -> tuple[tuple[int, int], ...]:
        """Pair each seed of a proxy with that of its trainings, which is never the reference's.

        What shares the reference's initial weights and batches agrees with it for that alone.
        """
        drawn = self.proxy_seeds if self.draws(component) else self.proxy_seeds[:1]
        others = self.seeds[1:]
        return tuple((one, others[place % len(others)]) for place, one in enumerate(drawn))

    def proxies(self, n_train: int) -> Iterator[Proxy]:
        """List what is trained on: the reference, the full data again, and the proxies."""
        for seed in self.seeds:
            yield Proxy(None, 1.0, self.proxy_seeds[0], seed, "epochs")
        for budget in self.budgets:
            for component in self.samplers:
                for r, n in self.sizes_of(component, n_train).items():
                    for proxy_seed, seed in self.seeds_of(component):
                        yield Proxy(component, r, proxy_seed, seed, budget, n)

    def to_json(self) -> str:
        """Write as JSON what reading results needs."""
        written = {name: getattr(self, name) for name in WRITTEN}
        written["samplers"] = [one.to_json() for one in self.samplers]
        # A list, since their order says which is a reference.
        written["known"] = [
            {"name": name, "scores": list(scores)} for name, scores in self.known.items()
        ]
        if self.n:
            written["n"] = self.n
        if self.estimates:
            written["estimates"] = {name: list(one) for name, one in self.estimates.items()}
        return json.dumps(written, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; `InputError` where it is damaged."""
        values = read_json(text, WHERE)
        require_values(values, WRITTEN, WHERE)
        check_values(values, WRITTEN | {"estimates": MAPPING}, WHERE)
        check_finite(values, WHERE)
        tuples = ("ratios", "proxy_seeds", "seeds", "budgets", "names")
        try:
            design = cls(
                **{name: values[name] for name in WRITTEN}
                | {name: tuple(values[name]) for name in tuples}
                | {
                    "together": tuple(map(tuple, values["together"])),
                    "samplers": tuple(map(Component.parse, values["samplers"])),
                    "known": _checked_known(
                        {one["name"]: one["scores"] for one in values["known"]},
                        len(values["names"]),
                    ),
                    "estimates": _checked_known(
                        values.get("estimates", {}), len(values["names"]), "estimates"
                    ),
                    "n": check_counts(values.get("n", ())),
                }
            )
            design.check()
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise InputError(f"{WHERE} cannot be used: {error}") from error
        return design


def _named(
    configurations: Mapping[str, Any] | Iterable[Any], evaluator: Evaluator
) -> dict[str, Any]:
    if isinstance(configurations, Mapping):
        pairs = [(str(name), one) for name, one in configurations.items()]
    else:
        listed = as_tuple("configurations", configurations)
        pairs = [(evaluator.name_of(one), one) for one in listed]
    twice = first_repeated(name for name, _ in pairs)
    if twice is not None:
        raise InputError(f"the {evaluator.noun} {twice:.80} is given twice; give each once")
    return dict(pairs)


def _together(named: Mapping[str, Any], evaluator: Evaluator) -> tuple[tuple[str, ...], ...]:
    names = iter(named)
    return tuple(
        tuple(next(names) for _ in group) for group in evaluator.together(list(named.values()))
    )


def _with_rival(
    samplers: Sequence[Any], ratios: Sequence[float], common: Mapping[str, Any]
) -> tuple[Component, ...]:
    described = [describe_sampler(one, common) for one in samplers]
    check_distinct(described, "a ranking")
    check_labels(described)
    # Plain class-random sampling is what all others have to beat.
    is_given = any(one.name == RIVAL and not one.parameters for one in described)
    if ratios and not is_given:
        described.insert(0, describe_sampler(RIVAL, common))
    return tuple(described)


def _checked_known(
    known: Mapping[str, Sequence[float]], n: int, what: str = "known"
) -> dict[str, tuple[float, ...]]:
    if not isinstance(known, Mapping):
        raise InputError(f"{what} must be a mapping of names to scores, not {shown(known)}")
    checked = {}
    for name, values in known.items():
        scores = as_array(f"{what}[{shown(name)}]", values, np.float64)
        if scores.shape != (n,) or not np.isfinite(scores).all():
            raise InputError(
                f"{what}[{shown(name)}] has to be {n} finite numbers, one for each configuration"
            )
        checked[str(name)] = tuple(scores.tolist())
    return checked
