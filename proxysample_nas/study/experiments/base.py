"""What all kinds of a study's experiments share: what they are named by, and how far they are."""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, Self, TypeVar

from proxysample.components import Component
from proxysample.errors import InputError
from proxysample.experiments.experiment import Experiment
from proxysample.experiments.store import Contents, Record, Store
from proxysample.printing import shown
from proxysample.records import MAPPING, NUMBER, POSITIVE, TEXT, Kind
from proxysample_nas.study.configuration import StudyConfiguration, settings_of
from proxysample_nas.study.experiments.data import DatasetInfo, StudyContext, StudyInfo
from proxysample_nas.study.given import Transfer
from proxysample_nas.study.results import Findings, Row
from proxysample_nas.training.trainer import CellTrainer


class KnownStudy:
    """A study whose data have been read, here or by who ran it.

    Samplers, searchers and trainers are created once each to be asked for their parameters.

    Parameters
    ----------
    configuration : StudyConfiguration
    info : StudyInfo
        Of the data that it reads.

    Attributes
    ----------
    settings : list of Setting
        What is searched on.
    """

    def __init__(self, configuration: StudyConfiguration, info: StudyInfo) -> None:
        self.configuration = configuration
        self.info = info
        self.settings = settings_of(configuration, self.data.n_train)
        self._asked: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._proxy_seeds: dict[str, tuple[int | None, ...]] = {}

    @property
    def data(self) -> DatasetInfo:
        """What is known of the study's own dataset."""
        return self.info.datasets[self.configuration.dataset]

    def sampler_parameters(self, sampler: Component, seed: int | None = None) -> dict[str, Any]:
        """Give what decides a sampler's scores, as plain JSON values."""
        return self._once(
            ("sampler", repr(sampler), seed),
            lambda: self.configuration.sampler_parameters(sampler, seed),
        )

    def proxy_seeds_of(self, sampler: Component | None) -> tuple[int | None, ...]:
        """Give the seeds that a sampler picks from; see `StudyConfiguration.proxy_seeds_of`."""
        if repr(sampler) not in self._proxy_seeds:
            self._proxy_seeds[repr(sampler)] = self.configuration.proxy_seeds_of(sampler)
        return self._proxy_seeds[repr(sampler)]

    def searcher_parameters(self, searcher: Component, seed: int) -> dict[str, Any]:
        """Give what decides the cell that a searcher finds, as plain JSON values."""
        return self._once(
            ("searcher", repr(searcher), seed),
            lambda: self.configuration.searcher_parameters(searcher, seed),
        )

    def training_parameters(self, channels: int) -> dict[str, Any]:
        """Give what the trainings of all cells at one width have in common."""

        def ask() -> dict[str, Any]:
            trainer = self.configuration.create_trainer(channels)
            return _of_trainer(self.data, trainer)

        return self._once(("training", channels), ask)

    def transfer_parameters(self, transfer: Transfer) -> dict[str, Any]:
        """Give what the trainings of all cells on another dataset have in common."""

        def ask() -> dict[str, Any]:
            trainer = transfer.create_trainer(self.configuration.seeds)
            return _of_trainer(self.info.datasets[transfer.dataset], trainer)

        return self._once(("transfer", transfer.dataset), ask)

    def _once(self, name: tuple[Any, ...], ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if name not in self._asked:
            self._asked[name] = ask()
        return self._asked[name]


def _of_trainer(data: DatasetInfo, trainer: CellTrainer) -> dict[str, Any]:
    return {"data": data.fingerprint, "split": data.split, "parameters": trainer.parameters()}


def read_configuration(store: Store) -> tuple[StudyConfiguration, StudyInfo]:
    """Read what a store's study compares, and what is known of its data.

    Raises
    ------
    InputError
        If no study was run in the store, or it is damaged.
    """
    described = store.description()
    if described is None:
        raise InputError(f"no study was run in {store.path}")
    written, known = described
    configuration, info = StudyConfiguration.from_json(written), StudyInfo.from_json(known)
    names = [configuration.dataset, *(transfer.dataset for transfer in configuration.transfers)]
    unknown = [name for name in names if name not in info.datasets]
    if unknown:
        raise InputError(
            f"{store.path} is damaged: it knows nothing of the data {shown(unknown[0])}"
        )
    return configuration, info


SPECIFICATION: Mapping[str, Kind] = {
    "parameters": MAPPING,
    "data": TEXT,
    "r": NUMBER,
    "n": POSITIVE,
}
"""What a stored specification holds, of whatever kind the experiment is."""

SMALL_BATCH = 16
"""So many samples tell whether a whole batch takes far too long."""

Counts = dict[str, float]
"""How often each part of an experiment is done, by the part's name."""

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """A part of an experiment that is timed by doing more of it.

    Attributes
    ----------
    enlarge : callable
        Makes the shortest run longer: so many times as much of this part.
    most : int
        No more than the real experiment does.
    """

    enlarge: Callable[[T, int], T]
    most: int


@dataclass(frozen=True)
class Trial(Generic[T]):
    """Short runs of an experiment, from whose seconds those of the whole are estimated.

    Attributes
    ----------
    shortest : object
        What `run` takes.
    parts : sequence of Part
        What can be made longer.
    run : callable
        Does it; returns what it did, and its seconds.
    probe : object or None
        A run shorter still, such as one of smaller batches, which cost more a sample: all there
        is where `shortest` would take far too long.
    probe_share : float
        Which part of `shortest` it is.
    parts_differ : bool
        Whether a unit of one part may cost many times one of another, so that one run tells little.
    """

    shortest: T
    parts: Sequence[Part[T]]
    run: Callable[[T], tuple[Counts, float]]
    probe: T | None = None
    probe_share: float = 1.0
    parts_differ: bool = False


@dataclass(frozen=True)
class Cost:
    """What decides how long an experiment takes.

    Attributes
    ----------
    kind : str
        The experiment's.
    parameters : str
        Its specification but for what hardly matters (seeds, the cell, the kept samples), as
        JSON: experiments with the same are compared.
    n_samples : int
        Images that it goes through.
    grows : bool
        Whether more images take longer.
    """

    kind: str
    parameters: str
    n_samples: int
    grows: bool = False

    @property
    def compared(self) -> tuple[str, str]:
        """What experiments share that differ in their number of images alone."""
        return self.kind, self.parameters


@dataclass(frozen=True, eq=False)
class StudyExperiment(Experiment[StudyContext]):
    """One experiment of a study, or several alike that cannot be named yet.

    A kind is a subclass that `proxysample_nas.study.experiments.plan.KINDS` lists: what a study
    runs, its status, its estimate and its rows follow from what the class says here.

    Attributes
    ----------
    stage : str
        Of the class: kinds of one stage run side by side, once the stages before have ended.
    contents : Contents
        Of the class: what a stored result has to hold.
    compared : tuple of str
        Of the class: what of a specification, besides its parameters, decides the seconds.
    fills_rows : bool
        Of the class: whether `add_to` adds results.
    takes_time : bool
        Of the class: whether anything is computed.
    n_samples : int
        Images that it goes through.
    n_unnamed : int
        How many there can be of those that depend on cells that are not found yet; 0 for one
        that can be named.
    is_blocked : bool
        Whether it cannot run because what it needs has failed.
    """

    stage: ClassVar[str]
    contents: ClassVar[Contents]
    compared: ClassVar[tuple[str, ...]] = ("data",)
    fills_rows: ClassVar[bool] = False
    takes_time: ClassVar[bool] = True

    n_samples: int = field(default=0, kw_only=True)
    n_unnamed: int = field(default=0, kw_only=True)
    is_blocked: bool = field(default=False, kw_only=True)

    @classmethod
    @abc.abstractmethod
    def list_all(cls, progress: Progress) -> Iterator[Self]:
        """List all of the kind that the study has, as far as its store can tell by now."""

    @property
    @abc.abstractmethod
    def group(self) -> str:
        """Words for people; the same for experiments that differ by a seed or a cell alone."""

    @property
    def is_named(self) -> bool:
        """Whether it has a key."""
        return not self.n_unnamed

    @property
    def count(self) -> int:
        """How many it stands for, at most."""
        return self.n_unnamed or 1

    @classmethod
    def ready(cls, progress: Progress) -> Iterator[Self]:
        """Give those that can be run now, with what they need of earlier results."""
        for one in progress.experiments(cls):
            if one.is_named:
                yield one

    def add_to(self, findings: Findings, result: Mapping[str, Any]) -> None:
        """Add what a stored result says to the study's rows; see `fills_rows`."""

    def add_failure_to(self, findings: Findings) -> None:
        """Add to the study's rows that it has failed, or cannot run since what it needs has."""

    @property
    def cost(self) -> Cost:
        """What decides how long it takes."""
        return self.cost_of(self.specification, self.n_samples)

    @classmethod
    def cost_of(cls, specification: Mapping[str, Any], n_samples: int) -> Cost:
        """Say what decides how long an experiment of this kind takes."""
        parameters = dict(specification.get("parameters", {}))
        parameters.pop("random_state", None)
        named = [specification[name] for name in cls.compared]
        text = json.dumps([parameters, *named], sort_keys=True)
        return Cost(cls.kind, text, n_samples, cls.grows_with_samples(parameters))

    @classmethod
    def grows_with_samples(cls, parameters: Mapping[str, Any]) -> bool:  # noqa: ARG003
        """Say whether one on more images takes longer, all else equal."""
        return False

    @classmethod
    def samples_of(cls, result: Mapping[str, Any]) -> int:  # noqa: ARG003
        """Read from a stored result how many images it went through, if that matters."""
        return 1

    @abc.abstractmethod
    def counts(self, context: StudyContext) -> Counts:
        """Count what it does, in the parts of `trials`."""

    @abc.abstractmethod
    def trials(self, context: StudyContext) -> Sequence[Trial[Any]]:
        """Give short runs to be timed; of several, the spread is the estimate's range."""

    @classmethod
    @abc.abstractmethod
    def describe(cls, specification: Mapping[str, Any]) -> str:
        """Name one of the kind by its specification alone, for people."""


KindT = TypeVar("KindT", bound=StudyExperiment)


class Progress:
    """What a study needs and what has ended: read when it is first asked for, and then kept.

    All results of a kind are read with one query.

    Parameters
    ----------
    study : KnownStudy
    store : Store
    kinds : sequence of type
        All kinds of experiment there are, stage by stage.
    """

    def __init__(
        self, study: KnownStudy, store: Store, kinds: Sequence[type[StudyExperiment]]
    ) -> None:
        self.study = study
        self.store = store
        self.kinds = tuple(kinds)
        self._listed: dict[type[StudyExperiment], list[Any]] = {}
        self._results: dict[type[StudyExperiment], dict[str, dict[str, Any]]] = {}
        self._records: dict[str, dict[str, Record]] = {}

    @cached_property
    def states(self) -> dict[str, str]:
        """Status of each experiment that has ended, by its key."""
        return {key: status for key, (status, _) in self.store.states().items()}

    @property
    def stages(self) -> list[str]:
        """Names of the stages, in the order in which they run."""
        return list(dict.fromkeys(kind.stage for kind in self.kinds))

    def experiments(self, kind: type[KindT]) -> list[KindT]:
        """List the study's experiments of one kind."""
        if kind not in self._listed:
            self._listed[kind] = list(kind.list_all(self))
        return self._listed[kind]

    def of_stage(self, stage: str) -> list[StudyExperiment]:
        """List the study's experiments of one stage."""
        kinds = [kind for kind in self.kinds if kind.stage == stage]
        return [one for kind in kinds for one in self.experiments(kind)]

    def all_experiments(self) -> list[StudyExperiment]:
        """List all of the study's experiments, stage by stage."""
        return [one for stage in self.stages for one in self.of_stage(stage)]

    def has_ended(self, stage: str) -> bool:
        """Whether nothing is left of a stage, and nothing can be added to it."""
        return all(one.is_named and one.key in self.states for one in self.of_stage(stage))

    def results(self, kind: type[StudyExperiment]) -> dict[str, dict[str, Any]]:
        """Give the results of those that `experiments` lists, by their keys."""
        if kind not in self._results:
            self._results[kind] = self.results_of(self.experiments(kind))
        return self._results[kind]

    def results_of(self, experiments: Iterable[StudyExperiment]) -> dict[str, dict[str, Any]]:
        """Give the results of experiments, by their keys; one that has none is left out."""
        keys: dict[str, set[str]] = {}
        for one in experiments:
            if one.is_named:
                keys.setdefault(one.kind, set()).add(one.key)
        return {
            key: record.result
            for kind, wanted in keys.items()
            for key, record in (self._records.get(kind) or self.store.results(kind, wanted)).items()
            if key in wanted and record.result is not None
        }

    def records(self, kind: str) -> dict[str, Record]:
        """Give all that the store keeps of a kind, of this study or of other settings."""
        if kind not in self._records:
            self._records[kind] = self.store.results(kind)
        return self._records[kind]

    @cached_property
    def rows(self) -> list[Row]:
        """Results as rows, in the order of the paper's tables."""
        findings = Findings()
        for kind in self.kinds:
            if kind.fills_rows:
                results = self.results(kind)
                for one in self.experiments(kind):
                    if one.is_named and one.key in results:
                        one.add_to(findings, results[one.key])
                    elif one.is_blocked or (one.is_named and one.key in self.states):
                        one.add_failure_to(findings)
        return findings.rows(self.study.settings)
