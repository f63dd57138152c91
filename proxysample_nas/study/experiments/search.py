"""Search a cell on a proxy, or on the full data."""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar, Self

import torch

from proxysample.errors import InputError
from proxysample.experiments.experiment import MACHINE, Outcome
from proxysample.experiments.store import Contents
from proxysample.keeping import IntArray, n_kept, name_size
from proxysample.records import AMOUNT, COUNT, MAPPING, POSITIVE, TEXT, list_of, optional
from proxysample_nas.searchers import Searcher
from proxysample_nas.searchers.remedies import SearchCollapseWarning
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.configuration import Setting
from proxysample_nas.study.experiments.base import (
    SMALL_BATCH,
    SPECIFICATION,
    Counts,
    KnownStudy,
    Part,
    Progress,
    StudyExperiment,
    Trial,
)
from proxysample_nas.study.experiments.data import StudyContext, StudyData, draw_rows
from proxysample_nas.study.experiments.scoring import Scoring
from proxysample_nas.study.results import Findings

CONTENTS = Contents(
    {
        "cell": TEXT,
        "seconds": AMOUNT,
        "n_kept": POSITIVE,
        "facts": MAPPING,
        "machine": MAPPING,
        "history": list_of(MAPPING),
    },
    SPECIFICATION,
    # The values that lie deeper, and that reports state.
    {
        "machine": MACHINE,
        "facts": {
            "searcher": TEXT,
            "parameters": MAPPING,
            "n_weight_samples": COUNT,
            "n_architecture_samples": COUNT,
        },
        "facts.parameters": {
            "n_nodes": COUNT,
            "channels": COUNT,
            "cells_per_stage": COUNT,
            "epochs": COUNT,
            "batch_size": COUNT,
            "steps_per_epoch": optional(COUNT),
        },
    },
)


@dataclass(frozen=True, eq=False)
class Search(StudyExperiment):
    """One search of a setting; `indices` are the kept samples, None where all are kept."""

    kind: ClassVar[str] = "search"
    stage: ClassVar[str] = "search"
    contents: ClassVar[Contents] = CONTENTS
    compared: ClassVar[tuple[str, ...]] = ("searcher", "data", "architecture_data")
    fills_rows: ClassVar[bool] = True
    keeps_checkpoint: ClassVar[bool] = True

    setting: Setting
    seed: int
    indices: IntArray | None = None
    proxy_seed: int | None = None

    @classmethod
    def of(
        cls,
        study: KnownStudy,
        setting: Setting,
        seed: int,
        proxy_seed: int | None = None,
        *,
        is_blocked: bool = False,
    ) -> Self:
        """Name a search, on what was picked from one of the study's proxy seeds."""
        sampler = setting.sampler
        selection = None if sampler is None else Scoring.of(study, sampler, proxy_seed)
        specification = {
            "data": study.data.fingerprint,
            "architecture_data": study.configuration.architecture_data,
            "selection": None if selection is None else selection.specification,
            **({"r": setting.r} if setting.n is None else {"r": setting.r, "n": setting.n}),
            "searcher": setting.searcher.name,
            "parameters": study.searcher_parameters(setting.searcher, seed),
        }
        n_samples = setting.n or n_kept(study.data.n_train, setting.r)
        return cls(
            specification,
            setting,
            seed,
            proxy_seed=proxy_seed,
            n_samples=n_samples,
            is_blocked=is_blocked,
        )

    @classmethod
    def list_all(cls, progress: Progress) -> Iterator[Self]:
        """List each setting from each seed; none can be searched whose scoring has failed."""
        study = progress.study
        failed = {
            (repr(one.sampler), one.proxy_seed)
            for one in progress.experiments(Scoring)
            if progress.states.get(one.key) == "failed"
        }
        for setting in study.settings:
            proxy_seeds = study.proxy_seeds_of(setting.sampler)
            for seed, proxy_seed in product(study.configuration.search_seeds, proxy_seeds):
                is_blocked = (repr(setting.sampler), proxy_seed) in failed
                yield cls.of(study, setting, seed, proxy_seed, is_blocked=is_blocked)

    @staticmethod
    def found(progress: Progress) -> tuple[list[Cell], int]:
        """Give the distinct cells, first found first, and how many searches are still to end."""
        searches, results = progress.experiments(Search), progress.results(Search)
        written = [results[one.key]["cell"] for one in searches if one.key in results]
        to_end = [one for one in searches if not one.is_blocked and one.key not in progress.states]
        return list(dict.fromkeys(map(Cell.from_string, written))), len(to_end)

    @property
    def group(self) -> str:
        """Searches on parts of the same size take as long, whoever has chosen them."""
        data = "full data" if self.setting.sampler is None else self.setting.size
        return f"search by {self.setting.searcher.label} on {data}"

    @property
    def label(self) -> str:
        """Words for people, such as in a progress bar once it has ended."""
        proxy = "" if self.proxy_seed is None else f", proxy seed {self.proxy_seed}"
        return f"{self.setting.label}, seed {self.seed}{proxy}"

    @classmethod
    def describe(cls, specification: Mapping[str, Any]) -> str:
        """Name the searcher, what it searched on, and its seed."""
        selection = specification["selection"]
        data = "full data" if selection is None else selection["sampler"]
        seed = specification["parameters"].get("random_state")
        size = name_size(specification["r"], specification.get("n"))
        return f"{specification['searcher']}, {data}, {size}, seed {seed}"

    @classmethod
    def ready(cls, progress: Progress) -> Iterator[Self]:
        """Give those whose samples have been chosen, with their indices."""
        kept: dict[tuple[str, int | None, float], IntArray] = {}
        for scoring in progress.experiments(Scoring):
            ranking = scoring.ranking(progress)
            if ranking is not None:
                name = repr(scoring.sampler)
                own = [one for one in progress.study.settings if repr(one.sampler) == name]
                for r, n in {one.r: one.n for one in own}.items():
                    picked = ranking.select(r) if n is None else ranking.select(n=n)
                    kept[name, scoring.proxy_seed, r] = picked
        for one in progress.experiments(cls):
            chosen = repr(one.setting.sampler), one.proxy_seed, one.setting.r
            if one.setting.sampler is None:
                yield one
            elif chosen in kept:
                yield replace(one, indices=kept[chosen])

    def run(self, context: StudyContext) -> Outcome:
        """Search; the result holds the cell, its history, seconds and the machine."""
        proxy = context.data.train_images
        if self.indices is not None:
            proxy = proxy.take(torch.from_numpy(self.indices))
        searcher = context.configuration.create_searcher(
            self.setting.searcher, self.seed, context.progress
        )
        callback = context.epoch_callback(self.label)
        # A searcher of anyone's need not tell of its epochs.
        told: dict[str, Any] = {}
        if callback is not None and _tells(searcher):
            told["callback"] = callback
        result = searcher.search(
            proxy,
            context.data.architecture_images,
            checkpoint=context.checkpoint(self.key),
            **told,
        ).to_dict()
        return Outcome(result | {"n_kept": len(proxy), "machine": context.machine()})

    def add_to(self, findings: Findings, result: Mapping[str, Any]) -> None:
        """Rows list the cells that were found."""
        findings.add_search(self.setting, self.seed, result, self.proxy_seed)

    def add_failure_to(self, findings: Findings) -> None:
        """Rows count the searches that give no cell."""
        findings.add_failed_search(self.setting)

    @classmethod
    def samples_of(cls, result: Mapping[str, Any]) -> int:
        """Read how many images were searched on."""
        return int(result["n_kept"])

    @classmethod
    def grows_with_samples(cls, parameters: Mapping[str, Any]) -> bool:
        """Say no of a searcher that makes so many steps on any data."""
        return not parameters.get("steps_per_epoch")

    def counts(self, context: StudyContext) -> Counts:
        """Ask the searcher what it does on so many samples."""
        searcher = context.configuration.create_searcher(self.setting.searcher)
        return searcher.work(*search_sizes(searcher, context.data, self.n_samples))

    def trials(self, context: StudyContext) -> Sequence[Trial[Any]]:
        """Make a few steps of the searcher."""
        searcher = context.configuration.create_searcher(self.setting.searcher)
        return [search_trial(searcher, context.data)]


def _tells(searcher: Searcher) -> bool:
    parameters = inspect.signature(searcher.search).parameters.values()
    return any(one.name == "callback" or one.kind == one.VAR_KEYWORD for one in parameters)


def search_sizes(searcher: Searcher, data: StudyData, n_samples: int) -> tuple[int, int]:
    """Say how many images of a proxy train the weights, and how many the architecture.

    Raises
    ------
    InputError
        If the searcher has to hold images out, and does not say what share of them.
    """
    if data.architecture_images is not None:
        return n_samples, len(data.architecture_images)
    fraction = _parameter(
        searcher, "architecture_fraction", "it is not known how many images it trains on"
    )
    n_architecture = round(fraction * n_samples)
    return n_samples - n_architecture, n_architecture


def search_trial(searcher: Searcher, data: StudyData) -> Trial[Searcher]:
    """Search on a few batches of a study's data; `InputError` if no search can be that short."""
    shortest = searcher.shortened()
    batch_size = _parameter(searcher, "batch_size", "it is not known how many images make it short")
    # Both parts get a whole batch, and of each class what holding out asks for.
    n_images = min(len(data.train), max(2 * batch_size, 4 * data.train_images.n_classes))
    rows = torch.from_numpy(draw_rows(data.train, n_images, random_state=0))
    train = data.train_images.take(rows)
    validation = data.architecture_images
    if validation is not None:
        validation = validation.take(torch.arange(min(len(validation), batch_size)))

    def run(small: Searcher) -> tuple[Counts, float]:
        start = time.perf_counter()
        with warnings.catch_warnings():
            # Whatever a few steps find says nothing.
            warnings.simplefilter("ignore", SearchCollapseWarning)
            info = small.search(train, validation).info
        seconds = time.perf_counter() - start
        return small.work(info.n_weight_samples, info.n_architecture_samples), seconds

    parts = [Part[Searcher](one.apply, one.most) for one in searcher.lengthenings()]
    probe = None
    one_step = shortest.get_params(deep=False).get("steps_per_epoch") == 1
    if batch_size > SMALL_BATCH and one_step:
        probe = shortest._with(batch_size=SMALL_BATCH)
    return Trial(shortest, parts, run, probe, SMALL_BATCH / batch_size)


def _parameter(searcher: Searcher, name: str, else_: str) -> Any:
    parameters = searcher.get_params(deep=False)
    if name not in parameters:
        raise InputError(f"{searcher.id} has no parameter {name}, and so {else_}")
    return parameters[name]
