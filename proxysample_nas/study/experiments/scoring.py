"""Score the training part by a sampler, once for all ratios."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import clone

from proxysample.components import Component
from proxysample.data.datasets import ArrayDataset
from proxysample.errors import InputError
from proxysample.experiments.experiment import MACHINE, Outcome
from proxysample.experiments.store import Contents
from proxysample.ranking import Ranking
from proxysample.records import AMOUNT, MAPPING
from proxysample.registry import READY_MADE
from proxysample.sampler import Sampler
from proxysample_nas.study.experiments.base import (
    SPECIFICATION,
    Counts,
    KnownStudy,
    Part,
    Progress,
    StudyExperiment,
    Trial,
)
from proxysample_nas.study.experiments.data import StudyContext, draw_rows
from proxysample_nas.study.results import Findings

SMALLEST_PART = 128
"""Samples that a sampler is timed on at least."""


@dataclass(frozen=True, eq=False)
class Scoring(StudyExperiment):
    """One pass of a sampler over the training part; its payload is the ranking."""

    kind: ClassVar[str] = "selection"
    stage: ClassVar[str] = "selection"
    contents: ClassVar[Contents] = Contents(
        {"seconds": AMOUNT, "machine": MAPPING}, SPECIFICATION, {"machine": MACHINE}
    )
    compared: ClassVar[tuple[str, ...]] = ("sampler", "data")
    fills_rows: ClassVar[bool] = True

    sampler: Component
    proxy_seed: int | None = None

    @classmethod
    def of(cls, study: KnownStudy, sampler: Component, proxy_seed: int | None = None) -> Self:
        """Name the pass of a sampler, from one of the study's proxy seeds."""
        specification = {
            "data": study.data.fingerprint,
            "sampler": sampler.name,
            "parameters": study.sampler_parameters(sampler, proxy_seed),
        }
        return cls(specification, sampler, proxy_seed, n_samples=study.data.n_train)

    @classmethod
    def list_all(cls, progress: Progress) -> Iterator[Self]:
        """List one for each sampler, and for each proxy seed where it draws."""
        for sampler in progress.study.configuration.samplers:
            for proxy_seed in progress.study.proxy_seeds_of(sampler):
                yield cls.of(progress.study, sampler, proxy_seed)

    @property
    def group(self) -> str:
        """Passes of a sampler from several seeds take as long."""
        return f"score by {self.sampler.label}"

    @property
    def label(self) -> str:
        """Words for a progress bar, once it has ended."""
        seed = "" if self.proxy_seed is None else f", proxy seed {self.proxy_seed}"
        return f"scored by {self.sampler.label}{seed}"

    @classmethod
    def describe(cls, specification: Mapping[str, Any]) -> str:
        """Name the sampler."""
        return str(specification["sampler"])

    def run(self, context: StudyContext) -> Outcome:
        """Score."""
        ranking = self._sampler(context).rank(context.data.train)
        stream = io.BytesIO()
        ranking.write(stream)
        seconds = ranking.provenance["seconds"]
        return Outcome({"seconds": seconds, "machine": context.machine()}, stream.getvalue())

    def add_to(self, findings: Findings, result: Mapping[str, Any]) -> None:
        """Rows tell how long the scoring took."""
        findings.add_scoring(self.sampler, float(result["seconds"]), self.proxy_seed)

    def ranking(self, progress: Progress) -> Ranking | None:
        """Read the ranking that it has left; None where there is none."""
        record = progress.store.get(self.kind, self.specification)
        if record is None or record.payload is None:
            return None
        ranking = Ranking.read(io.BytesIO(record.payload), "the store's ranking")
        if len(ranking) != self.n_samples:
            raise InputError(
                f"{progress.store.path} is damaged: a ranking of {len(ranking):,} samples stands "
                f"for one of {self.n_samples:,}"
            )
        return ranking

    def counts(self, context: StudyContext) -> Counts:
        """Count the images that are scored, and those that train the scorer."""
        return _counts(self._sampler(context), self.n_samples)

    def trials(self, context: StudyContext) -> Sequence[Trial[Any]]:
        """Score parts of the training data, with fewer epochs where the scorer is trained."""
        return [scoring_trial(self._sampler(context), context.data.train)]

    def _sampler(self, context: StudyContext) -> Sampler:
        return context.configuration.create_sampler(self.sampler, self.proxy_seed)


@dataclass(frozen=True)
class _Run:
    sampler: Sampler
    n_samples: int


def scoring_trial(sampler: Sampler, train: ArrayDataset) -> Trial[_Run]:
    """Score few samples, or more of them, or with more epochs."""
    parameters = sampler.get_params(deep=False)
    # K-Means needs more samples than clusters, and others two of each class.
    n_classes = len(np.unique(np.asarray(train.targets)))
    smallest = max(SMALLEST_PART, 2 * parameters.get("n_clusters", 0), 4 * n_classes)
    # What was picked or ranked elsewhere is of the whole training part.
    smallest = len(train) if sampler.id in READY_MADE else min(len(train), smallest)
    small = clone(sampler).set_params(epochs=1) if "epochs" in parameters else clone(sampler)
    parts = [
        Part[_Run](
            lambda run, factor: replace(run, n_samples=factor * run.n_samples),
            most=len(train) // smallest,
        )
    ]
    if "epochs" in parameters:
        parts.append(
            Part[_Run](
                lambda run, factor: replace(
                    run, sampler=clone(run.sampler).set_params(epochs=factor)
                ),
                most=parameters["epochs"],
            )
        )

    def run(one: _Run) -> tuple[Counts, float]:
        rows = draw_rows(train, one.n_samples, 0)
        part = ArrayDataset(train.images[rows], np.asarray(train.targets)[rows], train.classes)
        start = time.perf_counter()
        one.sampler.rank(part)
        return _counts(one.sampler, one.n_samples), time.perf_counter() - start

    # A backbone sees an image once, and a head trains on what it saw in a small part of that time.
    return Trial(_Run(small, smallest), parts, run, parts_differ=True)


def _counts(sampler: Sampler, n_samples: int) -> Counts:
    epochs = sampler.get_params(deep=False).get("epochs", 0)
    counts = {"score": float(n_samples)}
    return counts | ({"train": float(epochs * n_samples)} if epochs else {})
