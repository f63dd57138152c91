"""What a comparison runs: scorings, then trainings, and the context that they work with."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from proxysample.comparison.configuration import Configuration, Method
from proxysample.comparison.data import CLEAN, ComparisonData, ComparisonInfo, load_comparison_data
from proxysample.comparison.parts import (
    Budget,
    BudgetKind,
    IntArray,
    KeptSet,
    Schedule,
    size_of,
)
from proxysample.comparison.statistics import accuracies_by_class
from proxysample.components import warn_of_fewer
from proxysample.errors import InputError
from proxysample.experiments.experiment import (
    MACHINE,
    Checkpoints,
    Context,
    Experiment,
    Outcome,
    Stage,
)
from proxysample.experiments.store import Contents, Store
from proxysample.keeping import check_ratio, name_size
from proxysample.ranking import Ranking
from proxysample.records import (
    AMOUNT,
    COUNT,
    MAPPING,
    PERCENT,
    POSITIVE,
    TEXT,
    list_of,
    optional,
)
from proxysample.schedule import RandomSchedule
from proxysample.selection import Cut

RS2 = "rs2"
"""Another random part each epoch: a schedule, not a set, and so no sampler."""
RS2_VERSION = 2
"""Part of the keys: another one draws other parts."""


class ComparisonContext(Context):
    """What every experiment of a comparison works with, made once a process.

    Parameters
    ----------
    configuration : Configuration
    checkpoints, n_side_by_side, progress
        See `proxysample.experiments.experiment.Context`.
    """

    noun: ClassVar[str] = "comparison"

    def __init__(
        self,
        configuration: Configuration,
        checkpoints: Checkpoints | None = None,
        *,
        n_side_by_side: int = 1,
        progress: bool = False,
    ) -> None:
        super().__init__(checkpoints, n_side_by_side=n_side_by_side, progress=progress)
        self.configuration = configuration
        self._prepared: dict[str, Any] = {}

    @cached_property
    def data(self) -> ComparisonData:
        """The data of all arms, read when first needed."""
        if self.configuration.source is None:
            raise InputError(
                "only the results of this comparison are known: set it up as when it was run first"
            )
        return load_comparison_data(self.configuration.source, self.configuration.check_given)

    def info(self) -> ComparisonInfo:
        """Read everything, and say what it is; see `Context.info`."""
        return self.data.info

    def for_worker(self, n_side_by_side: int) -> Self:
        """Create the context of another process, which has read nothing yet."""
        return type(self)(self.configuration, self.checkpoints, n_side_by_side=n_side_by_side)

    def ship(self) -> ComparisonData:
        """Pack what was read: arrays travel, files are read where they lie."""
        return self.data

    def unship(self, packed: ComparisonData) -> None:
        """Take over what was read elsewhere."""
        self.data = packed

    def prepared(self, arm: str) -> Any:
        """Give what all trainings of an arm share, made by the first of them."""
        if arm not in self._prepared:
            assert self.configuration.evaluator is not None
            one = self.data.arms[arm]
            # Of one arm after the other: features of two at a time may not fit.
            self._prepared = {arm: self.configuration.evaluator.prepare(one.train, one.held_out)}
        return self._prepared[arm]


@dataclass(frozen=True, eq=False)
class Scoring(Experiment[ComparisonContext]):
    """One pass of a sampler over the training part of an arm; its payload is the ranking."""

    kind: ClassVar[str] = "scoring"
    contents: ClassVar[Contents] = Contents(
        {"seconds": AMOUNT, "cpu_seconds": AMOUNT, "machine": MAPPING},
        {"data": TEXT, "sampler": TEXT, "parameters": MAPPING},
        {"machine": MACHINE},
    )

    method: Method = field(kw_only=True)
    arm: str = field(kw_only=True)
    seed: int | None = field(kw_only=True)

    @property
    def label(self) -> str:
        """Words for a progress bar, once it has ended."""
        return f"scored by {self.method.component.label}"

    def run(self, context: ComparisonContext) -> Outcome:
        """Score."""
        arm = context.data.arms[self.arm]
        sampler = self.method.make(self.seed, arm.train.features)
        started = time.process_time()
        ranking = sampler.rank(arm.dataset, y=arm.train.y)
        spent = time.process_time() - started
        stream = io.BytesIO()
        ranking.write(stream)
        result = {
            "seconds": ranking.provenance["seconds"],
            "cpu_seconds": round(spent, 3),
            "machine": context.machine(),
        }
        return Outcome(result, stream.getvalue())


@dataclass(frozen=True, eq=False)
class Training(Experiment[ComparisonContext]):
    """One training of the model on a kept set, and how well it does on what is held out.

    Attributes
    ----------
    schedule : KeptSet, RandomSchedule or None
        What it trains on; None where that is not to be run.
    """

    kind: ClassVar[str] = "training"
    contents: ClassVar[Contents] = Contents(
        {
            "accuracy": PERCENT,
            "by_class": optional(list_of(optional(PERCENT))),
            "n_kept": POSITIVE,
            "seconds": AMOUNT,
            "cpu_seconds": AMOUNT,
            "machine": MAPPING,
        },
        {"data": TEXT, "evaluator": TEXT, "parameters": MAPPING, "budget": TEXT, "seed": COUNT},
        {"machine": MACHINE},
    )

    arm: str = field(kw_only=True)
    budget: BudgetKind = field(kw_only=True)
    seed: int = field(kw_only=True)
    words: str = field(kw_only=True)
    schedule: Schedule | None = field(default=None, kw_only=True)

    @property
    def label(self) -> str:
        """Words for a progress bar, once it has ended."""
        return f"trained on {self.words}"

    def run(self, context: ComparisonContext) -> Outcome:
        """Train, and hold the model to what no sampler saw."""
        evaluator, schedule = context.configuration.evaluator, self.schedule
        assert evaluator is not None
        assert schedule is not None
        arm = context.data.arms[self.arm]
        prepared = context.prepared(self.arm)
        size = size_of(schedule)
        budget = Budget(self.budget, size, len(arm.train))
        started, spent = time.perf_counter(), time.process_time()
        found = evaluator.evaluate(prepared, schedule, self.seed, budget)
        seconds, spent = time.perf_counter() - started, time.process_time() - spent
        held_out = arm.held_out
        return Outcome(
            {
                "accuracy": 100 * found.accuracy,
                "by_class": None
                if found.predicted is None
                else accuracies_by_class(found.predicted, held_out.y, held_out.n_classes),
                "n_kept": size,
                "seconds": round(seconds, 3),
                "cpu_seconds": round(spent, 3),
                "machine": context.machine(),
            }
        )


class ComparisonStore(Store):
    """Finished experiments of a comparison; see `proxysample.experiments.store.Store`."""

    def __init__(self, path: str | Path, *, must_exist: bool = False) -> None:
        kinds = {kind.kind: kind.contents for kind in (Scoring, Training)}
        super().__init__(path, kinds, noun="comparison", must_exist=must_exist)


def store_path(folder: Path) -> Path:
    """Say where a comparison's folder keeps its store."""
    return folder / "comparison.sqlite"


@dataclass(frozen=True)
class Place:
    """Where the results of a training belong.

    Attributes
    ----------
    arm : str
    method : str
        Label of the sampler, ``"RS2"``, or ``"all data"``.
    r : float
        1 for all data.
    seed : int
    budget : {"epochs", "steps"}
    training : Training
        Without what it trains on.
    scoring : Scoring or None
        None where nothing is scored.
    n : int or None
        How many samples are kept, where that was given in place of `r`.
    """

    arm: str
    method: str
    r: float
    seed: int
    budget: BudgetKind
    training: Training
    scoring: Scoring | None
    n: int | None = None

    @property
    def words(self) -> str:
        """What is trained on, for people; the same for every seed and budget."""
        return self.method if self.r == 1 else f"{self.method} at r = {self.r:.4g}"


ALL_DATA = "all data"


class Listing:
    """Lists a comparison's experiments, from its configuration and what is known of its data.

    Parameters
    ----------
    configuration : Configuration
    info : ComparisonInfo
    """

    def __init__(self, configuration: Configuration, info: ComparisonInfo) -> None:
        self.configuration = configuration
        self.info = info
        self._asked: dict[tuple[str, int | None], dict[str, Any]] = {}

    def scorings(self) -> list[Scoring]:
        """List one scoring for each sampler that does not draw, and one a seed for others."""
        found = [
            self._scoring(arm, method, seed)
            for arm in self.info.arms
            for method in self.configuration.methods
            for seed in (self.configuration.seeds_of(method) if method.draws else (None,))
        ]
        return list({one.key: one for one in found}.values())

    def _scoring(self, arm: str, method: Method, seed: int | None) -> Scoring:
        specification = {
            "data": self.info.arms[arm].fingerprint,
            "sampler": method.component.name,
            "parameters": self._parameters(method, seed),
        }
        return Scoring(specification, method=method, arm=arm, seed=seed)

    def _parameters(self, method: Method, seed: int | None) -> dict[str, Any]:
        name = method.component.identity, seed
        if name not in self._asked:
            self._asked[name] = method.key(seed, self.info.features_key)
        return self._asked[name]

    def places(self) -> Iterator[Place]:
        """List all trainings, arm by arm: on all data, on what each sampler keeps, and RS2."""
        for arm in self.info.arms:
            for seed in self.configuration.seeds:
                training = self._training(arm, "all", seed, "epochs", ALL_DATA)
                yield Place(arm, ALL_DATA, 1.0, seed, "epochs", training, None)
            for method in self.configuration.methods:
                for budget in self.configuration.budgets:
                    yield from self._of_method(arm, method, budget)
            if self.configuration.follows_schedules and "epochs" in self.configuration.budgets:
                yield from self._of_schedule(arm)

    def _of_method(self, arm: str, method: Method, budget: BudgetKind) -> Iterator[Place]:
        label = method.component.label
        for r, n in self.configuration.sizes_of(method, self.info.arms[arm].n_train).items():
            for seed in self.configuration.seeds_of(method):
                scoring = self._scoring(arm, method, seed if method.draws else None)
                kept = {"ranking": scoring.key} | _size(r, n)
                training = self._training(arm, kept, seed, budget, f"{label} {name_size(r, n)}")
                yield Place(arm, label, r, seed, budget, training, scoring, n)

    def _of_schedule(self, arm: str) -> Iterator[Place]:
        # Equal steps on a schedule would be a training on all data.
        for r, n in self.configuration.all_sizes(self.info.arms[arm].n_train).items():
            for seed in self.configuration.seeds:
                # Of one number, and of the ratio that it makes, the same samples are drawn.
                kept = {RS2: r, "version": RS2_VERSION}
                training = self._training(arm, kept, seed, "epochs", f"RS2 {name_size(r, n)}")
                yield Place(arm, RS2.upper(), r, seed, "epochs", training, None, n)

    def _training(
        self, arm: str, kept: object, seed: int, budget: BudgetKind, words: str
    ) -> Training:
        specification = {
            "data": self.info.arms[arm].fingerprint,
            "evaluator": self.configuration.evaluator_name,
            "parameters": dict(self.configuration.evaluator_parameters),
            "features": self.info.features_key,
            "kept": kept,
            "budget": budget,
            "seed": seed,
        }
        return Training(specification, arm=arm, budget=budget, seed=seed, words=words)


class Plan(Listing):
    """Lists experiments stage by stage, as far as a store can tell by then.

    Parameters
    ----------
    configuration : Configuration
    info : ComparisonInfo
    store : Store
        Rankings are read from it, once they are there.
    """

    def __init__(self, configuration: Configuration, info: ComparisonInfo, store: Store) -> None:
        super().__init__(configuration, info)
        self.store = store
        self._rankings: dict[str, Ranking] = {}

    @property
    def steps(self) -> list[Callable[[], Stage[Any]]]:
        """The stages in their order, each listed as of when it is called."""
        return [self.scoring_stage, self.training_stage]

    def scoring_stage(self) -> Stage[Scoring]:
        """List the scorings."""
        scorings = self.scorings()
        return Stage("scoring", scorings, len(scorings))

    def training_stage(self) -> Stage[Training]:
        """List the trainings; of those that are to be run, with what they train on."""
        ended = self.store.states().keys()
        places = {place.training.key: place for place in self.places()}
        ready = []
        for key, place in places.items():
            if key in ended:
                ready.append(place.training)
            elif (schedule := self._schedule(place)) is not None:
                ready.append(_with_schedule(place.training, schedule))
        return Stage("training", ready, len(places))

    def _schedule(self, place: Place) -> Schedule | None:
        """Give what a training trains on; None where its ranking is missing."""
        n_train = self.info.arms[place.arm].n_train
        if place.method == ALL_DATA:
            return KeptSet(np.arange(n_train))
        if place.scoring is None:
            return RandomSchedule(n_train, place.r, seed=place.seed)
        ranking = self.ranking(place.scoring, n_train)
        return None if ranking is None else KeptSet(kept_by(ranking, place.r, place.n))

    def ranking(self, scoring: Scoring, n_train: int) -> Ranking | None:
        """Read the ranking that a scoring has left; None where there is none."""
        if scoring.key not in self._rankings:
            found = self._read_ranking(scoring, n_train)
            if found is None:
                return None
            self._rankings[scoring.key] = found
        return self._rankings[scoring.key]

    def _read_ranking(self, scoring: Scoring, n_train: int) -> Ranking | None:
        record = self.store.get(scoring.kind, scoring.specification)
        if record is None or record.payload is None:
            return None
        ranking = Ranking.read(io.BytesIO(record.payload), "the store's ranking")
        if len(ranking) != n_train:
            raise InputError(
                f"{self.store.path} is damaged: a ranking of {len(ranking):,} samples stands for "
                f"one of {n_train:,}"
            )
        return ranking


def _with_schedule(training: Training, schedule: Schedule) -> Training:
    return Training(
        training.specification,
        arm=training.arm,
        budget=training.budget,
        seed=training.seed,
        words=training.words,
        schedule=schedule,
    )


def _size(r: float, n: int | None) -> dict[str, Any]:
    """Say what names a kept set's size: the number, where that was given."""
    return {"r": r} if n is None else {"n": n}


def kept_by(ranking: Ranking, r: float, n: int | None = None) -> IntArray:
    """Cut a ranking; that classes are lost shows in the accuracy of the worst."""
    cut = Cut(r=check_ratio(r)) if n is None else Cut(n=n)
    return ranking.kept_by(cut, ranking.fitted(cut))


def read_comparison(store: Store) -> tuple[Configuration, ComparisonInfo]:
    """Read what a store's comparison compares, and what is known of its data.

    Raises
    ------
    InputError
        If no comparison was run in the store, or it is damaged.
    """
    described = store.description()
    if described is None:
        raise InputError(f"no comparison was run in {store.path}")
    written, known = described
    configuration, info = Configuration.from_json(written), ComparisonInfo.from_json(known)
    if CLEAN not in info.arms:
        raise InputError(f"{store.path} is damaged: it knows nothing of the data as they are")
    return configuration, info


def begin(context: ComparisonContext, store: Store) -> Plan:
    """Keep in a store what holds of all experiments, and list them."""
    info = context.info()
    for arm in info.arms.values():
        context.configuration.check_sizes(arm.n_train)
    store.describe(context.configuration.to_json(), info.to_json())
    return Plan(context.configuration, info, store)


def open_store(folder: Path, context: ComparisonContext) -> Store:
    """Open a folder's store; `InputError` where the data under the same name have changed."""
    store = ComparisonStore(store_path(folder))
    if store.description() is None:
        return store
    earlier, known = read_comparison(store)
    now = context.info()
    changed = [
        arm
        for arm, before in known.arms.items()
        if arm in now.arms and before.fingerprint != now.arms[arm].fingerprint
    ]
    if changed and earlier.dataset == context.configuration.dataset:
        raise InputError(
            f"the data of {earlier.dataset!r} ({changed[0]}) are not those of this comparison's "
            "last run, and results on the two cannot stand in one table: bring back the old data, "
            "or compare in another folder"
        )
    if earlier.dataset == context.configuration.dataset:
        warn_of_fewer(earlier.compared, context.configuration.compared, folder)
    return store
