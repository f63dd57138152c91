"""Results of a study as rows: one per setting, one cell per search, its accuracy by width."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from proxysample.components import Component
from proxysample.registry import create_sampler
from proxysample.sampler import may_use_labels
from proxysample.wording import pluralize
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.configuration import Setting
from proxysample_nas.training.evaluation import TrainingRun

GROUPS = ("Baseline", "Unsupervised", "Supervised")
COLLAPSED, DISCONNECTED = "*", "‡"
"""What marks a row whose cells have all collapsed, or are all disconnected."""
PAPERS_ORDER = ("rs", "km-or", "ae", "cc-rs", "cc-or", "tl")


@dataclass(frozen=True)
class CellAccuracy:
    """Accuracy of one cell at one width, in percent.

    Attributes
    ----------
    accuracies : tuple of float
        One per training seed; a single one where it was looked up.
    runs : tuple of TrainingRun
        Those trainings; empty where it was looked up.

    Examples
    --------
    >>> CellAccuracy.looked_up(70.5).mean
    70.5
    """

    accuracies: tuple[float, ...]
    runs: tuple[TrainingRun, ...] = field(default=(), repr=False)

    @classmethod
    def trained(cls, runs: Sequence[TrainingRun]) -> Self:
        """Summarise trainings of one cell from different seeds, at least one."""
        return cls(tuple(run.accuracy for run in runs), tuple(runs))

    @classmethod
    def looked_up(cls, accuracy: float) -> Self:
        """Take a published accuracy."""
        return cls((accuracy,))

    @property
    def is_looked_up(self) -> bool:
        """Whether nothing was trained."""
        return not self.runs

    @property
    def mean(self) -> float:
        """Mean over the training seeds, in percent."""
        return statistics.fmean(self.accuracies)

    @property
    def std(self) -> float | None:
        """Sample standard deviation over the training seeds; None for fewer than two."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def seconds(self) -> float:
        """Wall-clock time of all trainings."""
        return sum(run.seconds for run in self.runs)

    @property
    def n_parameters(self) -> int | None:
        """Of the cell's network; None where it was looked up."""
        return self.runs[0].n_parameters if self.runs else None


@dataclass(frozen=True)
class FoundCell:
    """What one search found.

    Attributes
    ----------
    seed : int
        Of the search.
    cell : Cell
    n_kept : int
        Samples that were searched on.
    seconds : float
        Wall-clock time of the search.
    evaluations : dict
        Accuracy by number of channels; a width that has not been evaluated is left out.
    proxy_seed : int or None
        What the sampler drew from, where the study has several draws.
    search : mapping
        All that the store holds of the search: its info, history and machine.
    failed : frozenset of int
        Widths at which a training of the cell has failed.
    """

    seed: int
    cell: Cell
    n_kept: int
    seconds: float
    evaluations: dict[int, CellAccuracy]
    proxy_seed: int | None = None
    search: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    failed: frozenset[int] = field(default=frozenset(), repr=False)

    def __repr__(self) -> str:
        found = "".join(f", {one.mean:.1f} % at C={c}" for c, one in self.evaluations.items())
        return f"FoundCell(seed {self.seed}: {self.cell}{found})"


@dataclass(frozen=True)
class Row:
    """One line of a table: a setting, and every search of it.

    Attributes
    ----------
    setting : Setting
    group : str
        One of `GROUPS`.
    found : tuple of FoundCell
        In the order of the search seeds; a search that is missing is left out.
    scoring_seconds : float or None
        Wall-clock time of the sampler's one pass for all ratios; the mean of several.
    n_failed : int
        Searches that have failed, or that cannot be run because their sampler has.
    """

    setting: Setting
    group: str
    found: tuple[FoundCell, ...]
    scoring_seconds: float | None
    n_failed: int = 0

    def __repr__(self) -> str:
        searched = pluralize(len(self.found), "search")
        if self.n_failed:
            searched += f", {self.n_failed} failed"
        searcher = self.setting.searcher.name
        return f"Row({self.method}, {self.setting.size}, {searcher}: {searched})"

    @property
    def method(self) -> str:
        """The sampler as in the paper; * where every cell has collapsed, ‡ where none is connected.

        See `Cell.is_collapsed` and `Cell.is_connected`.
        """
        name = "Full DS" if self.setting.sampler is None else self.setting.sampler.label
        if not self.found:
            return name
        if all(one.cell.is_collapsed for one in self.found):
            return name + COLLAPSED
        return name if any(one.cell.is_connected for one in self.found) else name + DISCONNECTED

    @property
    def n_kept(self) -> int | None:
        """Samples searched on; None where no search has ended."""
        return self.found[0].n_kept if self.found else None

    @property
    def search_seconds(self) -> float | None:
        """Mean wall-clock time of a search; None where none has ended."""
        return statistics.fmean(one.seconds for one in self.found) if self.found else None

    def by_seeds(self, channels: int) -> dict[tuple[int, int | None], float]:
        """Give the same by search seed and proxy seed, disconnected cells included."""
        return {
            (one.seed, one.proxy_seed): one.evaluations[channels].mean
            for one in self.found
            if channels in one.evaluations
        }

    def accuracies(self, channels: int, *, connected_only: bool = False) -> list[float]:
        """Give the mean accuracy of each search's cell that was evaluated at a width."""
        return [
            one.evaluations[channels].mean
            for one in self.found
            if channels in one.evaluations and (one.cell.is_connected or not connected_only)
        ]


class Findings:
    """What experiments have found; each kind adds its own, and rows are made of it."""

    def __init__(self) -> None:
        self._scoring_seconds: dict[str, dict[int | None, float]] = defaultdict(dict)
        self._searches: dict[str, list[tuple[int, Mapping[str, Any], int | None]]] = defaultdict(
            list
        )
        self._evaluations: dict[Cell, dict[int, CellAccuracy]] = defaultdict(dict)
        self._failed_searches: Counter[str] = Counter()
        self._failed_trainings: dict[Cell, set[int]] = defaultdict(set)

    def add_scoring(
        self, sampler: Component, seconds: float, proxy_seed: int | None = None
    ) -> None:
        """Add how long a sampler's pass took; of several passes a row has the mean."""
        self._scoring_seconds[repr(sampler)][proxy_seed] = seconds

    def add_search(
        self, setting: Setting, seed: int, result: Mapping[str, Any], proxy_seed: int | None = None
    ) -> None:
        """Add the result of a search as the store holds it."""
        self._searches[repr(setting)].append((seed, result, proxy_seed))

    def add_failed_search(self, setting: Setting) -> None:
        """Add that a search of a setting gives no cell."""
        self._failed_searches[repr(setting)] += 1

    def add_failed_training(self, cell: Cell, channels: int) -> None:
        """Add that a training of a cell at a width has failed."""
        self._failed_trainings[cell].add(channels)

    def add_training(self, cell: Cell, channels: int, run: TrainingRun) -> None:
        """Add one more training of a cell at a width."""
        before = self._evaluations[cell].get(channels)
        runs = (run,) if before is None else (*before.runs, run)
        self._evaluations[cell][channels] = CellAccuracy.trained(runs)

    def add_published(self, cell: Cell, channels: int, accuracy: float) -> None:
        """Add a published accuracy of a cell."""
        self._evaluations[cell][channels] = CellAccuracy.looked_up(accuracy)

    def rows(self, settings: Sequence[Setting]) -> list[Row]:
        """Make a row of each setting, searcher by searcher in the order of the paper's tables."""
        searchers = list({repr(one.searcher): one.searcher for one in settings}.values())
        rows = [self._row(setting) for setting in settings]
        # Sorting is stable: variants of a sampler stay in the order that the study names them in.
        return sorted(rows, key=lambda row: (searchers.index(row.setting.searcher), _place(row)))

    def _row(self, setting: Setting) -> Row:
        sampler = setting.sampler
        found = tuple(self._found(*one) for one in self._searches.get(repr(setting), ()))
        passes = self._scoring_seconds.get(repr(sampler)) if sampler is not None else None
        seconds = statistics.fmean(passes.values()) if passes else None
        n_failed = self._failed_searches[repr(setting)]
        return Row(setting, _group(sampler), found, seconds, n_failed)

    def _found(
        self, seed: int, result: Mapping[str, Any], proxy_seed: int | None = None
    ) -> FoundCell:
        cell = Cell.from_string(result["cell"])
        evaluations = dict(self._evaluations.get(cell, {}))
        return FoundCell(
            seed,
            cell,
            result["n_kept"],
            result["seconds"],
            evaluations,
            proxy_seed,
            result,
            frozenset(self._failed_trainings.get(cell, ())),
        )


def _place(row: Row) -> tuple[int, int]:
    sampler = row.setting.sampler
    name = "" if sampler is None else sampler.name
    known = PAPERS_ORDER.index(name) if name in PAPERS_ORDER else len(PAPERS_ORDER)
    return GROUPS.index(row.group), known


def _group(sampler: Component | None) -> str:
    if sampler is None:
        return "Baseline"
    uses_labels = sampler.uses_labels
    if uses_labels is None:
        uses_labels = may_use_labels(create_sampler(sampler.name, **sampler.parameters))
    return "Supervised" if uses_labels else "Unsupervised"


@dataclass(frozen=True)
class Champion:
    """A cell, and the row that it was found in.

    Attributes
    ----------
    row : Row
    found : FoundCell
    """

    row: Row
    found: FoundCell


def best_cells(rows: Sequence[Row], channels: int, n_best: int) -> list[Champion]:
    """Choose the baselines' cells, and the best of each group of samplers.

    These are what the paper draws in Figure 3 and evaluates again in Table 5. The choice is by
    the same test accuracy that a table shows, so the accuracy of a chosen cell on that dataset
    is optimistic; on another dataset it is not.

    Parameters
    ----------
    rows : sequence of Row
        Of all searchers.
    channels : int
        Width at which cells are compared.
    n_best : int
        So many distinct cells of each group; of equal ones the first.

    Returns
    -------
    list of Champion
        Baselines in their order, then each group, best first. A cell that has not been
        evaluated at that width is left out of the groups.
    """
    baselines = [
        Champion(row, found) for row in rows if row.group == GROUPS[0] for found in row.found
    ]
    chosen = _distinct(baselines)
    for group in GROUPS[1:]:
        members = [
            Champion(row, found)
            for row in rows
            if row.group == group
            for found in row.found
            if channels in found.evaluations
        ]
        members.sort(key=lambda one: -one.found.evaluations[channels].mean)
        chosen += _distinct(members)[:n_best]
    return chosen


def _distinct(champions: list[Champion]) -> list[Champion]:
    first: dict[tuple[str, Cell], Champion] = {}
    for one in champions:
        first.setdefault((one.row.group, one.found.cell), one)
    return list(first.values())
