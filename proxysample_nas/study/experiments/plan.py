"""The one list of a study's kinds of experiment, and what follows from it.

A new kind is a subclass of `StudyExperiment` that `KINDS` names: studies run it, their status
counts it, an estimate times it, a store checks its results, and rows take up what it adds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

from proxysample.components import Component
from proxysample.experiments.experiment import Stage
from proxysample.experiments.store import Store
from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.experiments.base import (
    KnownStudy,
    Progress,
    StudyExperiment,
    read_configuration,
)
from proxysample_nas.study.experiments.data import StudyInfo
from proxysample_nas.study.experiments.evaluation import (
    Lookup,
    Training,
    TransferTraining,
)
from proxysample_nas.study.experiments.scoring import Scoring
from proxysample_nas.study.experiments.search import Search
from proxysample_nas.study.results import Row

KINDS: tuple[type[StudyExperiment], ...] = (Scoring, Search, Training, Lookup, TransferTraining)
"""All kinds, stage by stage: a stage runs once those before it have ended."""


class Plan:
    """Lists a study's experiments, each time as far as its store can tell by then.

    Parameters
    ----------
    configuration : StudyConfiguration
    info : StudyInfo
        Of the data.
    store : Store
        What has ended decides what comes next.
    """

    def __init__(self, configuration: StudyConfiguration, info: StudyInfo, store: Store) -> None:
        self.study = KnownStudy(configuration, info)
        self.store = store

    def progress(self) -> Progress:
        """Read how far the study is by now."""
        return Progress(self.study, self.store, KINDS)

    @property
    def steps(self) -> list[Callable[[], Stage[StudyExperiment]]]:
        """The stages in their order, each listed as of when it is called."""
        return [partial(self.stage, name) for name in self.progress().stages]

    def stage(self, name: str) -> Stage[StudyExperiment]:
        """List one stage, such as ``"search"``."""
        progress = self.progress()
        n_at_most = sum(one.count for one in progress.of_stage(name))
        ready = [one for kind in KINDS if kind.stage == name for one in kind.ready(progress)]
        return Stage(name, ready, n_at_most)


def kind_named(name: str) -> type[StudyExperiment]:
    """Give the kind whose results a store keeps under a name."""
    return next(kind for kind in KINDS if kind.kind == name)


def progress_of(
    configuration: StudyConfiguration,
    info: StudyInfo,
    store: Store,
    searcher: Component | None = None,
) -> Progress:
    """Read how far a study is, or the part of it that is one searcher's."""
    if searcher is not None:
        chosen = tuple(one for one in configuration.searchers if one == searcher)
        configuration = dataclasses.replace(configuration, searchers=chosen)
    return Plan(configuration, info, store).progress()


def read_rows(store: Store, searcher: Component | None = None) -> list[Row]:
    """Read a study's results, in the order of the paper's tables.

    Parameters
    ----------
    store : Store
    searcher : Component, optional
        One of the study's; all by default, one after another.

    Returns
    -------
    list of Row
        A setting that has not been searched has no cells.

    Raises
    ------
    InputError
        If no study was run in the store, or it is damaged.
    """
    return progress_of(*read_configuration(store), store, searcher).rows
