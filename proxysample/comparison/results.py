"""What a comparison found: every run, a row for each method and ratio, and its last sentence."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from proxysample.comparison.configuration import RIVALS, Configuration
from proxysample.comparison.data import CLEAN, ComparisonInfo
from proxysample.comparison.experiments import (
    ALL_DATA,
    RS2,
    Listing,
    Scoring,
    Training,
    read_comparison,
)
from proxysample.comparison.parts import BudgetKind
from proxysample.comparison.statistics import Interval, holm_among, paired_interval
from proxysample.errors import MissingDependencyError
from proxysample.experiments.store import Record, Store
from proxysample.keeping import list_sizes
from proxysample.machine import describe_versions
from proxysample.printing import cleaned
from proxysample.wording import pluralize

if TYPE_CHECKING:
    from pandas import DataFrame

CLASS_RANDOM, RANDOM = (name.upper() for name in RIVALS)
LEVEL = 0.05
"""Corrected p-values below it pass for differences."""


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes
    ----------
    arm : str
    method : str
        Label of the sampler, ``"RS2"``, or ``"all data"``.
    r : float
        1 for all data.
    budget : {"epochs", "steps"}
    seed : int
        Of the training, and of the draw where the method draws.
    n_kept : int
    accuracy : float
        In percent.
    worst_class : float or None
        Lowest accuracy of a class, in percent.
    seconds, cpu_seconds : float
        Of the training.
    scoring_seconds : float or None
        Of the one pass of the sampler that serves every ratio.
    """

    arm: str
    method: str
    r: float
    budget: BudgetKind
    seed: int
    n_kept: int
    accuracy: float
    worst_class: float | None
    seconds: float
    cpu_seconds: float
    scoring_seconds: float | None = None


@dataclass(frozen=True)
class Cell:
    """All trainings of one method at one ratio by one budget."""

    runs: tuple[Run, ...]
    difference: Interval | None = None
    corrected: float | None = None

    @property
    def by_seed(self) -> dict[int, float]:
        """Accuracy by seed, in percent."""
        return {run.seed: run.accuracy for run in self.runs}

    @property
    def mean(self) -> float:
        """Mean accuracy, in percent."""
        return statistics.fmean(run.accuracy for run in self.runs)

    @property
    def std(self) -> float | None:
        """Sample standard deviation; None for a single run."""
        return statistics.stdev(self.by_seed.values()) if len(self.runs) > 1 else None

    @property
    def worst_class(self) -> float | None:
        """Mean over the runs of the lowest accuracy of a class."""
        found = [run.worst_class for run in self.runs if run.worst_class is not None]
        return statistics.fmean(found) if found else None

    @property
    def seconds(self) -> float:
        """Mean length of a training."""
        return statistics.fmean(run.seconds for run in self.runs)

    @property
    def is_better(self) -> bool:
        """Whether it is above class-random beyond chance, all methods at its ratio counted."""
        return self._differs and self.difference is not None and self.difference.mean > 0

    @property
    def is_worse(self) -> bool:
        """Whether it is below class-random beyond chance, all methods at its ratio counted."""
        return self._differs and self.difference is not None and self.difference.mean < 0

    @property
    def _differs(self) -> bool:
        return self.corrected is not None and self.corrected < LEVEL


@dataclass(frozen=True)
class Row:
    """One method at one ratio.

    Attributes
    ----------
    arm : str
    method : str
    r : float
    cells : dict
        By budget.
    scoring_seconds : float or None
        Mean over its passes.
    all_seconds : float or None
        Mean length of a training on all data.
    """

    arm: str
    method: str
    r: float
    cells: dict[BudgetKind, Cell]
    scoring_seconds: float | None
    all_seconds: float | None

    @property
    def n_kept(self) -> int:
        """Samples kept; the largest number where the passes differ."""
        return max(run.n_kept for cell in self.cells.values() for run in cell.runs)

    @property
    def saved_seconds(self) -> float | None:
        """What one training by equal epochs takes less than one on all data."""
        cell = self.cells.get("epochs")
        if cell is None or self.all_seconds is None or self.method == ALL_DATA:
            return None
        return self.all_seconds - cell.seconds

    @property
    def is_rival(self) -> bool:
        """Whether it is random, or all data."""
        return self.method in (CLASS_RANDOM, RANDOM, RS2.upper(), ALL_DATA)


@dataclass(frozen=True)
class ComparisonResults:
    """All that a comparison's tables, figures and pages show, read once.

    Attributes
    ----------
    configuration : Configuration
    info : ComparisonInfo
    runs : tuple of Run
        In the order of the methods, ratios and seeds.
    n_missing : int
        Trainings that have no result.
    failures : tuple of Record
    failed : dict of str to int
        How many trainings have failed, or cannot run because their sampler has, by what was kept.
    versions : tuple of str
        Words for those that results were computed with.
    machines : tuple of str
        What ran them, in words.
    """

    configuration: Configuration
    info: ComparisonInfo
    runs: tuple[Run, ...]
    n_missing: int
    failures: tuple[Record, ...] = field(default=(), compare=False)
    failed: Mapping[str, int] = field(default_factory=dict, compare=False)
    machines: tuple[str, ...] = field(default=(), compare=False)
    versions: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def read(cls, store: Store) -> ComparisonResults:
        """Read a comparison's results from its store alone."""
        configuration, info = read_comparison(store)
        listing = Listing(configuration, info)
        scorings = store.results(Scoring.kind)
        trainings = store.results(Training.kind)
        failures = tuple(store.failures())
        keys_of_failures = {one.key for one in failures}
        runs, n_missing = [], 0
        failed: Counter[str] = Counter()
        for place in listing.places():
            record = trainings.get(place.training.key)
            if record is None or record.result is None:
                n_missing += 1
                needed = {place.training.key, place.scoring.key if place.scoring else ""}
                failed[place.words] += bool(needed & keys_of_failures)
                continue
            scored = None if place.scoring is None else scorings.get(place.scoring.key)
            found = record.result
            classes = [one for one in found["by_class"] or () if one is not None]
            runs.append(
                Run(
                    place.arm,
                    place.method,
                    place.r,
                    place.budget,
                    place.seed,
                    found["n_kept"],
                    found["accuracy"],
                    min(classes) if classes else None,
                    found["seconds"],
                    found["cpu_seconds"],
                    None if scored is None or scored.result is None else scored.result["seconds"],
                )
            )
        ended = [one.result for one in (*scorings.values(), *trainings.values()) if one.result]
        machines = {_machine_in_words(one.result) for one in trainings.values() if one.result}
        return cls(
            configuration,
            info,
            tuple(runs),
            n_missing,
            failures,
            +failed,
            tuple(sorted(machines)),
            tuple(describe_versions([one["machine"] for one in ended])),
        )

    def __repr__(self) -> str:
        words = f"{len(self.runs):,} trainings on {self.configuration.dataset}"
        return cleaned(f"ComparisonResults({words}, {self.n_missing:,} missing)")

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """A row for each arm, ratio and method that has a result: all data, then rivals, then r."""
        cells: dict[tuple[str, float, str], dict[BudgetKind, list[Run]]] = defaultdict(dict)
        for run in self.runs:
            cells[run.arm, run.r, run.method].setdefault(run.budget, []).append(run)
        ratios = sorted({run.r for run in self.runs}, reverse=True)
        methods = list(dict.fromkeys(run.method for run in self.runs))
        rows = []
        for arm in self.info.arms:
            whole = cells.get((arm, 1.0, ALL_DATA), {}).get("epochs", [])
            seconds = statistics.fmean(run.seconds for run in whole) if whole else None
            for r in ratios:
                found = {
                    method: cells[arm, r, method] for method in methods if (arm, r, method) in cells
                }
                rows += [
                    Row(arm, method, r, made, _scoring_seconds(made), seconds)
                    for method, made in self._compared(found, arm).items()
                ]
        return tuple(rows)

    def _compared(
        self, found: dict[str, dict[BudgetKind, list[Run]]], arm: str
    ) -> dict[str, dict[BudgetKind, Cell]]:
        """Compare what there is of one ratio with class-random, by each budget."""
        # Accuracies are multiples of what a single sample makes.
        resolution = 100 / self.info.arms[arm].n_held_out
        cells: dict[str, dict[BudgetKind, Cell]] = {method: {} for method in found}
        for budget in self.configuration.budgets:
            made = {
                method: Cell(tuple(by_budget[budget]))
                for method, by_budget in found.items()
                if budget in by_budget
            }
            if ALL_DATA in found:
                # Its epochs are its steps: one training serves both budgets.
                made[ALL_DATA] = Cell(tuple(found[ALL_DATA]["epochs"]))
            rival = made.get(CLASS_RANDOM)
            intervals = {
                method: None
                if rival is None or method in (CLASS_RANDOM, ALL_DATA)
                else paired_interval(cell.by_seed, rival.by_seed, resolution=resolution)
                for method, cell in made.items()
            }
            # What is random is a yardstick, not a question.
            asked = {
                name: one for name, one in intervals.items() if name not in (RANDOM, RS2.upper())
            }
            corrected = holm_among(asked)
            for method, cell in made.items():
                cells[method][budget] = Cell(cell.runs, intervals[method], corrected.get(method))
        return {method: made for method, made in cells.items() if made}

    def size_in_words(self, row: Row) -> str:
        """Name how much a row keeps, as it was asked for."""
        sizes = self.configuration.own_sizes(self.info.arms[row.arm].n_train)
        n = sizes.get(row.r)
        return f"r = {row.r:g}" if n is None else f"n = {n:,}"

    def find(self, method: str, r: float, arm: str = CLEAN) -> Row | None:
        """Look up one row."""
        return next(
            (row for row in self.rows if (row.method, row.r, row.arm) == (method, r, arm)), None
        )

    @property
    def main_budget(self) -> BudgetKind:
        """What the verdict goes by first: equal epochs, where both are compared."""
        return self.configuration.budgets[0]

    def better(self, arm: str = CLEAN, budget: BudgetKind | None = None) -> list[Row]:
        """List the rows of samplers that are above class-random beyond chance, best first."""
        chosen = budget or self.main_budget
        rows = [
            row
            for row in self.rows
            if row.arm == arm
            and not row.is_rival
            and chosen in row.cells
            and row.cells[chosen].is_better
        ]
        return sorted(rows, key=lambda row: -_gain(row, chosen))

    @cached_property
    def verdict(self) -> str:
        """One sentence: how much to keep and by which method, or to take random."""
        return verdict(self)

    def to_frame(self) -> DataFrame:
        """Give every training as a line of a pandas frame; see `Run` for the columns."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingDependencyError(
                "pandas is not installed, and a frame needs it: pip install 'proxysample[pandas]'"
            ) from error
        columns = [one.name for one in fields(Run)]
        return pd.DataFrame([asdict(run) for run in self.runs], columns=columns)


def _gain(row: Row, budget: BudgetKind) -> float:
    difference = row.cells[budget].difference
    return 0.0 if difference is None else difference.mean


def _scoring_seconds(cells: dict[BudgetKind, Cell]) -> float | None:
    by_seed = {
        run.seed: run.scoring_seconds
        for cell in cells.values()
        for run in cell.runs
        if run.scoring_seconds is not None
    }
    return statistics.fmean(by_seed.values()) if by_seed else None


def _machine_in_words(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return (
        f"{machine.get('model') or machine['processor']}, "
        f"{pluralize(machine['n_cores'], 'core')}, {machine['device']}, torch "
        f"{machine['torch']}, {pluralize(machine['n_threads'], 'thread')} for each of "
        f"{machine['n_side_by_side']} side by side"
    )


def _nothing_to_tell(results: ComparisonResults) -> str:
    if not results.failures:
        return "There is nothing to tell yet: no training on what a sampler keeps has ended."
    n_failed, first = len(results.failures), results.failures[0].error
    if n_failed == 1:
        return f"There is nothing to tell: an experiment has failed with {first}"
    return f"There is nothing to tell: {n_failed:,} experiments have failed, the first with {first}"


def verdict(results: ComparisonResults) -> str:
    """Say in one sentence how much to keep and by which method, or to take random.

    Of the methods that are above class-random beyond chance (95 %, Holm over the methods at a
    ratio), the one that gains most, at the ratio where it does.
    """
    budget = results.main_budget
    seeds = results.configuration.seeds
    sizes = list_sizes(results.configuration.ratios, results.configuration.n)
    rows = [row for row in results.rows if row.arm == CLEAN and budget in row.cells]
    tried = [row for row in rows if not row.is_rival and row.cells[budget].difference]
    if not tried:
        return _nothing_to_tell(results)
    if len(seeds) == 1:
        best = max(tried, key=lambda row: _gain(row, budget))
        return (
            f"One seed cannot tell a difference from chance: {best.method} is highest against a "
            f"class-random part at {results.size_in_words(best)} ({_gain(best, budget):+.1f} "
            "points); run at "
            "least three seeds before keeping by it."
        )
    better = results.better()
    if not better:
        methods = {row.method for row in tried}
        none = (
            f"of {len(methods)} samplers none is" if len(methods) > 1 else f"{methods.pop()} is not"
        )
        return (
            f"Take a class-random part: {none} better at {sizes} beyond chance "
            f"({len(seeds)} seeds, 95 %, Holm's correction)"
            f"{_worse(tried, budget)}{_nearly_better(results, tried, budget)}"
            f"{_better_otherwise(results)}"
            f"{_unfinished(results)}."
        )
    best = better[0]
    cell = best.cells[budget]
    assert cell.difference is not None
    assert cell.difference.half is not None
    also = _also(results, best)
    return (
        f"Keep {_part(results, best)} of the data by {best.method}: {cell.mean:.1f} %, "
        f"{cell.difference.mean:.1f} ± {cell.difference.half:.1f} points more than a class-random "
        f"part of that size{_against_all(results)}{also}{_otherwise(results, best)}"
        f"{_against_schedule(results, best)}{_unfinished(results)}."
    )


def _part(results: ComparisonResults, row: Row) -> str:
    sizes = results.configuration.own_sizes(results.info.arms[row.arm].n_train)
    n = sizes.get(row.r)
    return f"{row.r:.3g}" if n is None else f"{n:,} samples"


def _also(results: ComparisonResults, best: Row) -> str:
    """Name the other sizes at which the best method gains."""
    own = results.configuration.own_sizes(results.info.arms[best.arm].n_train)
    better = results.better()
    others = sorted({row.r for row in better if row.method == best.method} - {best.r})
    if not others:
        return ""
    counts = [n for r in others if (n := own.get(r)) is not None]
    return f"; it also gains at {list_sizes([r for r in others if own.get(r) is None], counts)}"


def _worse(tried: Sequence[Row], budget: BudgetKind) -> str:
    """Name the methods that are below class-random beyond chance at some size."""
    worse = list(dict.fromkeys(row.method for row in tried if row.cells[budget].is_worse))
    return f"; worse beyond chance: {', '.join(worse)}" if worse else ""


def _nearly_better(results: ComparisonResults, tried: Sequence[Row], budget: BudgetKind) -> str:
    """Tell what more seeds may tell, where an interval by itself is above 0 or wide."""
    best = max(tried, key=lambda row: _gain(row, budget))
    difference = best.cells[budget].difference
    assert difference is not None
    if difference.half is None or difference.mean < max(1.0, difference.half / 2):
        return ""
    return (
        f"; more seeds may tell of {best.method} at {results.size_in_words(best)}: "
        f"{difference.mean:+.1f} ± {difference.half:.1f} points"
    )


def _otherwise(results: ComparisonResults, best: Row) -> str:
    """Tell what the best method gains at the same r by the second budget."""
    told = []
    for budget in results.configuration.budgets[1:]:
        cell = best.cells.get(budget)
        if cell is None or cell.difference is None or cell.difference.half is None:
            continue
        gain = f"{cell.difference.mean:+.1f} ± {cell.difference.half:.1f} points"
        chance = "" if cell.is_better or cell.is_worse else ", which may be chance"
        told.append(f"; at equal {budget}, {gain}{chance}")
    return "".join(told)


def _better_otherwise(results: ComparisonResults) -> str:
    """Tell what is better by the second budget alone."""
    told = []
    for budget in results.configuration.budgets[1:]:
        for best in results.better(budget=budget)[:1]:
            gain = _gain(best, budget)
            told.append(
                f"; at equal {budget} {best.method} is, at {results.size_in_words(best)} "
                f"({gain:+.1f})"
            )
    return "".join(told)


def _against_all(results: ComparisonResults) -> str:
    whole = results.find(ALL_DATA, 1.0)
    if whole is None:
        return ""
    return f" (all of the data: {whole.cells[results.main_budget].mean:.1f} %)"


def _against_schedule(results: ComparisonResults, best: Row) -> str:
    schedule = results.find(RS2.upper(), best.r)
    if schedule is None or "epochs" not in schedule.cells or "epochs" not in best.cells:
        return ""
    mean = schedule.cells["epochs"].mean
    if mean <= best.cells["epochs"].mean:
        return ""
    return (
        f"; where all of the data stay at hand, another random part each epoch (RS2) reaches "
        f"{mean:.1f} % at the same cost"
    )


def _unfinished(results: ComparisonResults) -> str:
    return f" ({results.n_missing:,} trainings are missing)" if results.n_missing else ""
