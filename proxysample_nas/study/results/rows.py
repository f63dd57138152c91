"""Results of a study, read from its store alone: one row per setting, one cell per search."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from proxysample.errors import InputError
from proxysample.experiments.store import Store
from proxysample.registry import sampler_class
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.experiments.facts import StudyFacts
from proxysample_nas.study.grid.component import Component
from proxysample_nas.study.grid.configuration import StudyConfiguration
from proxysample_nas.study.grid.judging import Transfer
from proxysample_nas.study.grid.settings import Setting, Specifications, settings_of
from proxysample_nas.study.results.accuracy import CellAccuracy
from proxysample_nas.training.evaluation import TrainingRun

GROUPS = ("Baseline", "Unsupervised", "Supervised")
PAPERS_ORDER = ("rs", "km-or", "ae", "cc-rs", "cc-or", "tl")


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
        Accuracy by number of channels; a width that has not been judged is left out.
    """

    seed: int
    cell: Cell
    n_kept: int
    seconds: float
    evaluations: dict[int, CellAccuracy]


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
        Wall-clock time of the sampler's one pass for all ratios.
    """

    setting: Setting
    group: str
    found: tuple[FoundCell, ...]
    scoring_seconds: float | None

    @property
    def method(self) -> str:
        """The sampler as in the paper, with a * where every cell found has no parameters."""
        name = "Full DS" if self.setting.sampler is None else self.setting.sampler.label
        free = bool(self.found) and all(one.cell.is_parameter_free for one in self.found)
        return name + ("*" if free else "")

    @property
    def n_kept(self) -> int | None:
        """Samples searched on; None where no search has ended."""
        return self.found[0].n_kept if self.found else None

    @property
    def search_seconds(self) -> float | None:
        """Mean wall-clock time of a search; None where none has ended."""
        return statistics.fmean(one.seconds for one in self.found) if self.found else None

    def accuracies(self, channels: int) -> list[float]:
        """Give the mean accuracy of each search's cell that was judged at a width, in percent."""
        judged = [one.evaluations[channels] for one in self.found if channels in one.evaluations]
        return [accuracy.mean for accuracy in judged]


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
    """
    reader = _Reader(store)
    searchers = reader.configuration.searchers if searcher is None else (searcher,)
    rows = [reader.row(one) for one in settings_of(reader.configuration)]
    # Sorting is stable: variants of a sampler stay in the order that the study names them in.
    return [
        row
        for chosen in searchers
        for row in sorted((row for row in rows if row.setting.searcher == chosen), key=_place)
    ]


def read_transfer(store: Store, transfer: Transfer, cells: list[Cell]) -> dict[Cell, CellAccuracy]:
    """Read how cells did on another dataset.

    Parameters
    ----------
    store : Store
    transfer : Transfer
        One of the study's.
    cells : list of Cell

    Returns
    -------
    dict
        A cell that has not been judged there is left out.
    """
    reader = _Reader(store)
    found = {}
    for cell in cells:
        named = [
            reader.specifications.transfer(transfer, cell, seed)
            for seed in reader.configuration.seeds
        ]
        accuracy = reader.trained(named)
        if accuracy is not None:
            found[cell] = accuracy
    return found


def read_configuration(store: Store) -> tuple[StudyConfiguration, StudyFacts]:
    """Read what a store's study compares, and what is known of its data.

    Parameters
    ----------
    store : Store

    Returns
    -------
    configuration : StudyConfiguration
    facts : StudyFacts

    Raises
    ------
    InputError
        If no study was run in the store, or it is damaged.
    """
    written, known = store.info("configuration"), store.info("facts")
    if written is None or known is None:
        raise InputError(f"no study was run in {store.path}")
    configuration, facts = StudyConfiguration.from_json(written), StudyFacts.from_json(known)
    names = [configuration.dataset, *(transfer.dataset for transfer in configuration.transfers)]
    unknown = [name for name in names if name not in facts.datasets]
    if unknown:
        raise InputError(
            f"{store.path} is damaged: it knows nothing of the data {unknown[0]!r:.80}"
        )
    return configuration, facts


def _place(row: Row) -> tuple[int, int]:
    sampler = row.setting.sampler
    name = "" if sampler is None else sampler.name
    known = PAPERS_ORDER.index(name) if name in PAPERS_ORDER else len(PAPERS_ORDER)
    return GROUPS.index(row.group), known


def _group(sampler: Component | None) -> str:
    if sampler is None:
        return "Baseline"
    return "Supervised" if sampler_class(sampler.name).needs_labels else "Unsupervised"


class _Reader:
    """Looks up the experiments of one store's study."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.configuration, facts = read_configuration(store)
        self.specifications = Specifications(self.configuration, facts)

    def row(self, setting: Setting) -> Row:
        found = []
        for seed in self.configuration.search_seeds:
            result = self._result("search", self.specifications.search(setting, seed))
            if result is not None:
                cell = Cell.from_string(result["cell"])
                found.append(
                    FoundCell(
                        seed, cell, result["n_kept"], result["seconds"], self._evaluations(cell)
                    )
                )
        return Row(
            setting, _group(setting.sampler), tuple(found), self._scoring_seconds(setting.sampler)
        )

    def trained(self, specifications: list[dict[str, Any]]) -> CellAccuracy | None:
        results = [self._result("training", one) for one in specifications]
        runs = [_training_run(result) for result in results if result is not None]
        return CellAccuracy.trained(runs) if runs else None

    def _evaluations(self, cell: Cell) -> dict[int, CellAccuracy]:
        found = {}
        for channels in self.configuration.channels:
            accuracy = self._evaluation(cell, channels)
            if accuracy is not None:
                found[channels] = accuracy
        return found

    def _evaluation(self, cell: Cell, channels: int) -> CellAccuracy | None:
        if self.configuration.lookup is not None:
            result = self._result("lookup", self.specifications.lookup(cell))
            return None if result is None else CellAccuracy.looked_up(result["accuracy"])
        return self.trained(
            [
                self.specifications.training(cell, channels, seed)
                for seed in self.configuration.seeds
            ]
        )

    def _scoring_seconds(self, sampler: Component | None) -> float | None:
        if sampler is None:
            return None
        result = self._result("selection", self.specifications.selection(sampler))
        return None if result is None else float(result["seconds"])

    def _result(self, kind: str, specification: dict[str, Any]) -> dict[str, Any] | None:
        record = self.store.get(kind, specification)
        return None if record is None else record.result


def _training_run(result: dict[str, Any]) -> TrainingRun:
    return TrainingRun.from_dict({k: v for k, v in result.items() if k != "machine"})
