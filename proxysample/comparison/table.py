"""A comparison as one table: a line for each method at each ratio."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

from proxysample.comparison.data import CLEAN
from proxysample.comparison.parts import BudgetKind
from proxysample.comparison.results import CLASS_RANDOM, Cell, ComparisonResults, Row
from proxysample.rendering import NUMBER, TEXT, Column, Kind, Section, Table, seconds
from proxysample.wording import pluralize

ACCURACY = Kind(
    lambda cell: f"{cell.mean:.1f}" + ("" if cell.std is None else f" ± {cell.std:.1f}"),
    is_number=True,
    parts={
        "mean_": lambda cell: cell.mean,
        "std_": lambda cell: cell.std,
        "n_seeds_": lambda cell: len(cell.runs),
    },
)
DIFFERENCE = Kind(
    lambda one: f"{one.mean:+.1f}" + ("" if one.half is None else f" ± {one.half:.1f}"),
    is_number=True,
    parts={"": lambda one: one.mean, "half_interval_of_": lambda one: one.half},
)
P_VALUE = Kind(lambda p: "< 0.001" if p < 0.001 else f"{p:.3f}", is_number=True)
ONE_PLACE = Kind(lambda value: f"{value:.1f}", is_number=True)

BUDGET_WORDS: dict[BudgetKind, str] = {"epochs": "equal epochs", "steps": "equal steps"}


def comparison_table(results: ComparisonResults) -> Table[Row]:
    """Lay out a comparison: a section for each ratio of each arm."""
    budgets = results.configuration.budgets
    columns: list[Column[Row]] = [
        Column("kept by", TEXT, lambda row: row.method, csv_name="method"),
        Column(None, TEXT, lambda row: row.arm, csv_name="arm"),
        Column(None, NUMBER, lambda row: row.r, csv_name="r"),
        Column("samples", NUMBER, lambda row: row.n_kept, csv_name="n_kept"),
        # What is told by two budgets stands side by side.
        *chain(*zip(*(_columns_of(one, len(budgets) > 1) for one in budgets), strict=True)),
        Column(
            "scoring, s", seconds(1), lambda row: row.scoring_seconds, csv_name="scoring_seconds"
        ),
        Column(
            "training saved, s",
            seconds(1),
            lambda row: row.saved_seconds,
            csv_name="saved_seconds",
        ),
    ]
    return Table(
        f"What is worth keeping of {results.configuration.dataset}",
        tuple(columns),
        tuple(_sections(results)),
        tuple(notes(results)),
    )


def _columns_of(budget: BudgetKind, is_told: bool) -> Iterator[Column[Row]]:
    words = f", {BUDGET_WORDS[budget]}" if is_told else ""

    def cell_of(row: Row) -> Cell | None:
        return row.cells.get(budget)

    def of_cell(name: str, row: Row) -> Any:
        cell = cell_of(row)
        return None if cell is None else getattr(cell, name)

    yield Column(f"accuracy, %{words}", ACCURACY, cell_of, csv_name=f"accuracy_{budget}")
    yield Column(
        f"against {CLASS_RANDOM}{words}",
        DIFFERENCE,
        partial(of_cell, "difference"),
        csv_name=f"difference_{budget}",
    )
    yield Column(
        f"p (Holm){words}", P_VALUE, partial(of_cell, "corrected"), csv_name=f"p_holm_{budget}"
    )
    yield Column(
        f"worst class, %{words}",
        ONE_PLACE,
        partial(of_cell, "worst_class"),
        csv_name=f"worst_class_{budget}",
    )


def _sections(results: ComparisonResults) -> Iterator[Section[Row]]:
    for arm, info in results.info.arms.items():
        for r in sorted({row.r for row in results.rows}, reverse=True):
            rows = [row for row in results.rows if (row.arm, row.r) == (arm, r)]
            words = f" ({info.words})" if info.words else ""
            if rows:
                yield Section(_heading(results, rows[0]) + words, rows)


def _heading(results: ComparisonResults, row: Row) -> str:
    if row.r == 1:
        return "all data"
    named = results.size_in_words(row)
    return f"{named} (r = {row.r:.4g})" if named.startswith("n") else f"r = {row.r:.4g}"


def notes(results: ComparisonResults) -> Iterator[str]:
    """Say what has to be known to read the numbers."""
    configuration, info = results.configuration, results.info
    clean = info.arms[CLEAN]
    yield (
        f"Trained: {configuration.evaluator_words}; held to {info.held_out}. "
        f"{clean.n_train:,} training samples, {clean.n_classes:,} classes."
    )
    yield (
        f"{pluralize(len(configuration.seeds), 'seed')}; a sampler that draws draws anew for each. "
        f"{CLASS_RANDOM} and RS: {pluralize(len(configuration.draws), 'draw')}."
    )
    if len(configuration.seeds) > 1:
        fewer = len(configuration.seeds) < len(configuration.draws)
        alone = f", and so to the first {len(configuration.seeds)} draws alone" if fewer else ""
        yield (
            f"Differences are to {CLASS_RANDOM} of the same seed{alone}, with 95 % t intervals; "
            "p is corrected by Holm over the samplers of a ratio. ± after an accuracy is a sample "
            "standard deviation."
        )
    else:
        yield "A single seed gives no interval: differences may be chance."
    for budget, words in {
        "epochs": "Equal epochs: training on a part r takes a part r of the steps.",
        "steps": "Equal steps: as many steps as on all data, so that no training time is saved.",
    }.items():
        if budget in configuration.budgets:
            yield words
    if configuration.follows_schedules and "epochs" in configuration.budgets:
        yield (
            "RS2 trains on another random part each epoch: it costs as much and needs all of the "
            "data at hand."
        )
    yield from _notes_on_features(results)
    for machine in results.machines:
        yield f"Ran on {machine}."
    yield from results.versions
    if results.n_missing or results.failures:
        yield (
            f"{_have(results.n_missing, 'training')} no result, and "
            f"{_have(len(results.failures), 'experiment')} failed."
        )
    if results.failed:
        told = (f"{pluralize(n, 'training')} on {words}" for words, n in results.failed.items())
        yield f"Failed, and so in no number: {', '.join(told)}."


def _notes_on_features(results: ComparisonResults) -> Iterator[str]:
    info = results.info
    if not info.features:
        return
    sharing = [one.component.label for one in results.configuration.methods if one.shares_features]
    seconds_spent = f", made in {info.features_seconds:.0f} s" if info.features_seconds else ""
    yield f"Features: {info.features}{seconds_spent}; time for them is in no other number." + (
        f" They are what these samplers compare, too: {', '.join(sharing)}." if sharing else ""
    )


def _have(number: int, noun: str) -> str:
    return f"{pluralize(number, noun)} {'has' if number == 1 else 'have'}"
