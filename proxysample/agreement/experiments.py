"""The experiments of a rank agreement: scorings by samplers, and scores of configurations."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from proxysample.agreement.data import RankedData, split_data
from proxysample.agreement.design import Design, Proxy
from proxysample.components import Component
from proxysample.digests import digest_of
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
from proxysample.keeping import IntArray
from proxysample.printing import shown
from proxysample.ranking import Ranking
from proxysample.records import (
    AMOUNT,
    COUNT,
    MAPPING,
    NUMBER,
    POSITIVE,
    TEXT,
    Positive,
    Record,
    list_of,
    optional,
)

NOUN = "rank agreement"


@dataclass(frozen=True)
class DataInfo(Record, title="what the store knows of the data"):
    """What is known of the data that configurations are trained and judged on.

    Attributes
    ----------
    digest : str
        Changes with the data and with the split.
    n_train, n_held_out : int
    """

    digest: str
    n_train: Positive
    n_held_out: Positive


class RankContext(Context):
    """What the experiments work with, made once a process.

    Parameters
    ----------
    design : Design
        With its evaluator.
    dataset : str or object
        What the user gave.
    checkpoints, n_side_by_side, progress
        See `proxysample.experiments.experiment.Context`.
    """

    noun: ClassVar[str] = NOUN

    def __init__(
        self,
        design: Design,
        dataset: Any,
        checkpoints: Checkpoints | None = None,
        *,
        n_side_by_side: int = 1,
        progress: bool = False,
    ) -> None:
        super().__init__(checkpoints, n_side_by_side=n_side_by_side, progress=progress)
        if design.evaluator is None:
            raise InputError("a rank agreement that was opened to be read cannot be run")
        self.design = design
        self.evaluator = design.evaluator
        self.dataset = dataset

    @cached_property
    def data(self) -> RankedData:
        """The training data in two parts, read when first needed."""
        design = self.design
        return split_data(self.dataset, design.held_out, design.random_state, design.n_train)

    @cached_property
    def prepared(self) -> Any:
        """The data as the evaluator takes them."""
        return self.evaluator.prepare(self.data.train, self.data.held_out)

    def info(self) -> DataInfo:
        """Read the data, and say what they are; see `Context.info`."""
        self.design.check_sizes(self.data.n_train)
        return DataInfo(self.data.digest, self.data.n_train, self.data.n_held_out)

    def for_worker(self, n_side_by_side: int) -> Self:
        """Create the context of another process, which has read nothing yet."""
        return type(self)(
            self.design, self.dataset, self.checkpoints, n_side_by_side=n_side_by_side
        )

    def ship(self) -> RankedData:
        """Pack what was read."""
        return self.data

    def unship(self, packed: RankedData) -> None:
        """Take over what was read elsewhere."""
        self.data = packed


@dataclass(frozen=True, eq=False)
class Selection(Experiment[RankContext]):
    """One pass of a sampler over what may train; its payload is the ranking."""

    kind: ClassVar[str] = "selection"
    contents: ClassVar[Contents] = Contents(
        {"seconds": AMOUNT}, {"data": TEXT, "sampler": TEXT, "parameters": MAPPING}
    )

    sampler: Component
    proxy_seed: int

    @classmethod
    def of(cls, design: Design, info: DataInfo, sampler: Component, proxy_seed: int) -> Self:
        """Name the pass of a sampler."""
        named = design.sampler_specification(sampler, proxy_seed)
        return cls({"data": info.digest} | named, sampler, proxy_seed)

    @property
    def label(self) -> str:
        """Words for a progress bar, once it has ended."""
        return f"scored by {self.sampler.label}"

    def run(self, context: RankContext) -> Outcome:
        """Score the samples."""
        sampler = context.design.create_sampler(self.sampler, self.proxy_seed)
        start = time.perf_counter()
        ranking = sampler.rank(context.data.train)
        seconds = time.perf_counter() - start
        stream = io.BytesIO()
        ranking.write(stream)
        return Outcome({"seconds": seconds}, stream.getvalue())


@dataclass(frozen=True, eq=False)
class Scores(Experiment[RankContext]):
    """Some configurations trained on one proxy; `kept` are its samples, None where all are kept."""

    kind: ClassVar[str] = "scores"
    contents: ClassVar[Contents] = Contents(
        {"scores": list_of(NUMBER), "seconds": AMOUNT, "n_kept": POSITIVE, "machine": MAPPING},
        {
            "data": TEXT,
            "kept": optional(TEXT),
            "passes": NUMBER,
            "seed": COUNT,
            "evaluation": MAPPING,
            "configurations": list_of(TEXT),
        },
        {"machine": MACHINE},
    )
    # Where the evaluator does; of others there is no file.
    keeps_checkpoint: ClassVar[bool] = True

    proxy: Proxy
    kept: IntArray | None

    @classmethod
    def of(
        cls,
        design: Design,
        info: DataInfo,
        proxy: Proxy,
        kept: IntArray | None,
        names: Sequence[str],
    ) -> Self:
        """Name the trainings of some configurations by what is trained on, whoever picked it."""
        n_kept = info.n_train if kept is None else len(kept)
        specification = {
            "data": info.digest,
            "kept": None if kept is None else digest_of([kept]),
            "passes": info.n_train / n_kept if proxy.budget == "steps" else 1.0,
            "seed": proxy.seed,
            "evaluation": dict(design.evaluation),
            "configurations": list(names),
        }
        return cls(specification, proxy, kept)

    @property
    def label(self) -> str:
        """Words for a progress bar, once it has ended."""
        return self.proxy.label

    def run(self, context: RankContext) -> Outcome:
        """Train and score."""
        design = context.design
        found = dict(zip(design.names, design.configurations, strict=True))
        names = self.specification["configurations"]
        kept = np.arange(context.data.n_train) if self.kept is None else self.kept
        kept_in: dict[str, Any] = {}
        if context.evaluator.keeps_checkpoint:
            kept_in["checkpoint"] = context.checkpoint(self.key)
        start = time.perf_counter()
        scores = context.evaluator.score(
            [found[name] for name in names],
            context.prepared,
            kept,
            seed=self.specification["seed"],
            passes=self.specification["passes"],
            **kept_in,
        )
        seconds = time.perf_counter() - start
        if len(scores) != len(names) or not np.isfinite(scores).all():
            raise InputError(
                f"the evaluator must give {len(names)} finite numbers, not {shown(scores)}"
            )
        return Outcome(
            {
                "scores": [float(one) for one in scores],
                "seconds": seconds,
                "n_kept": len(kept),
                "machine": context.machine(),
            }
        )


KINDS: dict[str, Contents] = {Selection.kind: Selection.contents, Scores.kind: Scores.contents}


class AgreementStore(Store):
    """Finished experiments of a rank agreement; see `proxysample.experiments.store.Store`."""

    def __init__(self, path: str | Path, *, must_exist: bool = False) -> None:
        super().__init__(path, KINDS, noun=NOUN, must_exist=must_exist)


class Plan:
    """Lists the experiments, as far as their store can tell by now.

    Parameters
    ----------
    design : Design
    info : DataInfo
    store : Store
    """

    def __init__(self, design: Design, info: DataInfo, store: Store) -> None:
        self.design = design
        self.info = info
        self.store = store
        self._rankings: dict[str, Ranking] = {}

    @property
    def steps(self) -> list[Callable[[], Stage[Any]]]:
        """The stages in their order."""
        return [self.selections, self.scores]

    def selections(self) -> Stage[Selection]:
        """List each sampler's passes."""
        found = [
            Selection.of(self.design, self.info, sampler, proxy_seed)
            for sampler in self.design.samplers
            for proxy_seed, _ in self.design.seeds_of(sampler)
        ]
        return Stage("selection", found, len(found))

    def scores(self) -> Stage[Scores]:
        """List the trainings; those of equal kept sets at equal seeds are the same."""
        proxies = list(self.design.proxies(self.info.n_train))
        found = {one.key: one for proxy in proxies for one in self.scores_on(proxy)}
        n_unknown = sum(proxy.sampler is not None and self.kept(proxy) is None for proxy in proxies)
        n_at_most = len(found) + n_unknown * len(self.design.together)
        return Stage("scores", list(found.values()), n_at_most)

    def scores_on(self, proxy: Proxy) -> Iterator[Scores]:
        """List the trainings on one proxy; none where its samples are not picked yet."""
        kept = self.kept(proxy)
        if kept is not None or proxy.sampler is None:
            for names in self.design.together:
                yield Scores.of(self.design, self.info, proxy, kept, names)

    def kept(self, proxy: Proxy) -> IntArray | None:
        """Give a proxy's samples; None for the full data, and where they are not picked yet."""
        if proxy.sampler is None:
            return None
        selection = Selection.of(self.design, self.info, proxy.sampler, proxy.proxy_seed)
        ranking = self._ranking(selection)
        if ranking is None:
            return None
        return ranking.select(proxy.r) if proxy.n is None else ranking.select(n=proxy.n)

    def _ranking(self, selection: Selection) -> Ranking | None:
        if selection.key not in self._rankings:
            record = self.store.get(selection.kind, selection.specification)
            if record is None or record.payload is None:
                return None
            ranking = Ranking.read(io.BytesIO(record.payload), "the store's ranking")
            if len(ranking) != self.info.n_train:
                raise InputError(f"{self.store.path} is damaged: a ranking is of other samples")
            self._rankings[selection.key] = ranking
        return self._rankings[selection.key]
