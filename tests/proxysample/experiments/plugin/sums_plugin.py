"""Experiments as somebody else would write them: numbers are doubled and counted, and added up."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from proxysample import InputError
from proxysample.experiments.experiment import Context, Experiment, Outcome, Stage
from proxysample.experiments.runner import run_experiments
from proxysample.experiments.store import Contents, Store
from proxysample.records import INTEGER, MAPPING

KINDS = {
    "doubling": Contents({"number": INTEGER, "machine": MAPPING}, {"index": INTEGER}),
    "count": Contents({"steps": INTEGER}),
    "mishap": Contents({"attempts": INTEGER}),
    "sum": Contents({"number": INTEGER}),
}


# What a step of a count takes, so that it can be met in the middle.
SECONDS_A_STEP = 0.03


class SumsContext(Context):
    """Its data are a file of numbers."""

    noun: ClassVar[str] = "sum"
    numbers: list[int] | None = None

    def __init__(self, path: Path, checkpoints=None, **options: Any) -> None:
        super().__init__(checkpoints, **options)
        self.path = path

    def info(self) -> list[int]:
        if self.numbers is None:
            try:
                self.numbers = json.loads(self.path.read_text())
            except OSError as error:
                raise InputError(f"no numbers at {self.path}") from error
        return self.numbers

    def for_worker(self, n_side_by_side: int) -> SumsContext:
        return type(self)(self.path, self.checkpoints, n_side_by_side=n_side_by_side)

    def ship(self) -> list[int]:
        return self.info()

    def unship(self, packed: list[int]) -> None:
        self.numbers = packed


@dataclass(frozen=True, eq=False)
class Doubling(Experiment[SumsContext]):
    kind: ClassVar[str] = "doubling"

    @property
    def label(self) -> str:
        return f"doubled number {self.specification['index']}"

    def run(self, context: SumsContext) -> Outcome:
        number = 2 * context.info()[self.specification["index"]]
        # To the bit, whatever the number of threads elsewhere.
        rows = np.random.default_rng(number).normal(size=(64, 500))
        return Outcome({"number": number, "machine": context.machine()}, (rows @ rows.T).tobytes())


@dataclass(frozen=True, eq=False)
class Count(Experiment[SumsContext]):
    """Counts to a number, goes on from what it has kept, and writes each step into a log."""

    kind: ClassVar[str] = "count"
    keeps_checkpoint: ClassVar[bool] = True
    label = "counted"

    def run(self, context: SumsContext) -> Outcome:
        kept = context.checkpoint(self.key)
        done = int(kept.read_text()) if kept is not None and kept.exists() else 0
        while done < self.specification["steps"]:
            done += 1
            time.sleep(SECONDS_A_STEP)
            with context.path.with_name("log").open("a") as log:
                log.write(f"{self.key} {done} {os.getpid()}\n")
            if kept is not None:
                kept.parent.mkdir(exist_ok=True)
                kept.with_suffix(".new").write_text(str(done))
                kept.with_suffix(".new").replace(kept)
        return Outcome({"steps": done})


@dataclass(frozen=True, eq=False)
class Mishap(Experiment[SumsContext]):
    """Goes wrong in the way that its specification says, until it was tried often enough."""

    kind: ClassVar[str] = "mishap"
    label = "went wrong"

    def run(self, context: SumsContext) -> Outcome:
        attempts = context.path.with_name(f"attempts-{self.key}")
        with attempts.open("a") as log:
            log.write("x")
        n_attempts = len(attempts.read_text())
        if n_attempts < self.specification["until"]:
            if self.specification["way"] == "dies":
                os._exit(7)
            if self.specification["way"] == "keeps nothing":
                return Outcome({"attempts": np.int64(n_attempts)})
            raise ArithmeticError("nothing can be said")
        return Outcome({"attempts": n_attempts})


@dataclass(frozen=True, eq=False)
class Sum(Experiment[SumsContext]):
    summands: list[int]
    kind: ClassVar[str] = "sum"
    label = "added up"

    def run(self, context: SumsContext) -> Outcome:
        return Outcome({"number": sum(self.summands)})


class SumsPlan:
    """Doubles each number and does whatever else there is, then adds up."""

    def __init__(self, store: Store, n_numbers: int, others: Sequence[Experiment[Any]]) -> None:
        self.store = store
        self.first = [*(Doubling({"index": index}) for index in range(n_numbers)), *others]

    @property
    def steps(self) -> list[Callable[[], Stage[Any]]]:
        return [lambda: Stage("first", self.first, len(self.first)), self.add_up]

    def add_up(self) -> Stage[Any]:
        doubled = self.store.results("doubling")
        known = [one for one in self.first if one.kind == "doubling" and one.key in doubled]
        if len(known) < sum(one.kind == "doubling" for one in self.first):
            return Stage("sum", [], 1)
        summands = [doubled[one.key].result["number"] for one in known]
        return Stage("sum", [Sum({"of": [one.key for one in known]}, summands)], 1)


def open_store(folder: Path, *, must_exist: bool = False) -> Store:
    return Store(folder / "sums.sqlite", KINDS, noun="sum", must_exist=must_exist)


def run(folder: Path, others: Sequence[Experiment[Any]] = (), **options: Any) -> int:
    """Run what the folder lacks; its numbers lie in it."""
    context = SumsContext(folder / "numbers.json")
    return run_experiments(
        context,
        folder,
        lambda: open_store(folder),
        lambda store: SumsPlan(store, len(context.info()), others),
        **{"progress": False} | options,
    )
