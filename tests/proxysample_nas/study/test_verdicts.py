"""Which rows are told apart, what it takes to tell them, and what chance alone does."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from proxysample import InputError
from proxysample.comparison.statistics import paired_interval
from proxysample_nas.space.cell import all_cells
from proxysample_nas.study import Study
from proxysample_nas.study.experiments.published import RANDOM_CELL, RandomCell
from proxysample_nas.study.reports.report import all_documents, to_html
from proxysample_nas.study.reports.statistics import (
    crossed_interval,
    differences,
    luck_of,
    pooled_deviation,
    power_of,
    searches_needed,
)
from proxysample_nas.study.reports.verdicts import verdict_table, verdicts

from .written_store import LOOKED_UP, write_results

CELLS = list(all_cells(3))


class Accuracies:
    """Gives every search a cell of its own, and each cell the accuracy that was asked for."""

    def __init__(self, accuracy):
        self.accuracy, self.known = accuracy, {}

    def found(self, setting, seed, draw=None):
        # Connected ones: the last operation of the enumeration leads from input to output.
        cell = CELLS[-1 - len(self.known)]
        name = None if setting.sampler is None else setting.sampler.name
        self.known[cell] = self.accuracy(name, setting.r, seed, draw)
        return cell, 3.0

    def of(self, cell, channels):
        return [self.known[cell]]


def study_of(folder, accuracy, **settings):
    accuracies = Accuracies(accuracy)
    return write_results(
        folder,
        accuracies.found,
        accuracies.of,
        **(
            {
                "searchers": ["gdas:n_nodes=3"],
                "samplers": ["cc-rs", "cc-or", "rs"],
                "ratios": [0.5],
                "search_seeds": range(6),
                "seeds": [7],
            }
            | settings
        ),
    )


NOISE = [0.3, -1.1, 0.6, 0.9, -0.4, -0.3]


def planted(name, r, seed, draw):
    shift = {"cc-or": -9.0, None: 2.0}.get(name, 0.0)
    # What a seed does to all rows is gone by pairing.
    return 60 + 5 * seed + shift + NOISE[(seed + len(name or "")) % 6] + (0.2 * (draw or 0))


def test_a_planted_difference_is_told_and_equal_rows_are_not(tmp_path):
    results = study_of(tmp_path, planted)
    (searcher,) = results.configuration.searchers
    found = {one.method: one for one in verdicts(results, searcher)}
    worse = found["CC-OR"]
    assert (worse.to_full.sign, worse.to_random.sign) == (-1, -1)
    assert worse.words == "below the full data, below class-random"
    assert found["RS"].to_random.sign == 0
    assert "not told from class-random" in found["RS"].words
    assert found["CC-RS"].to_random.interval is None
    rows = {row.method: row.by_seeds(16) for row in results.rows}
    by_hand = paired_interval(
        *({seed: value for (seed, _), value in rows[name].items()} for name in ("RS", "Full DS")),
        resolution=100 / 360,
    )
    assert found["RS"].to_full.interval == by_hand
    # Three rows were asked about: the smallest p-value counts three times.
    assert worse.to_full.p_value == pytest.approx(3 * worse.to_full.interval.p_value)


def test_the_table_says_what_was_told_what_it_takes_and_what_luck_does(tmp_path):
    results = study_of(tmp_path, planted)
    documents = all_documents(results)
    text = documents["verdicts.md"]
    for words in (
        "of 3 rows, 0 lie above the full data and",
        "to see a difference of 5 points takes",
        "This study has 6.",
        "the best of 3 proxy rows (6 searches each) would lie above the full data in 75% of",
        "How a random cell of this space does is not known here",
    ):
        assert words in text, words
    lines = list(csv.DictReader(io.StringIO(documents["verdicts.csv"])))
    assert [one["method"] for one in lines] == ["Full DS", "RS", "CC-RS", "CC-OR"]
    assert float(lines[3]["difference_to_full"]) < -9
    assert float(lines[3]["p_holm_to_random"]) < 0.05
    assert "verdicts.tex" in documents
    assert "below the full data, below class-random" in to_html(results, {}, {})
    assert "below class-random" in Study.open(tmp_path).verdicts()


def test_one_search_seed_tells_nothing_and_says_so(tmp_path):
    results = study_of(tmp_path, planted, search_seeds=[0])
    (searcher,) = results.configuration.searchers
    words = {one.words for one in verdicts(results, searcher)[1:]}
    assert words == {"one search seed: cannot be told"}
    notes = " ".join(verdict_table(results).notes)
    assert "one search seed says nothing of how much a search varies" in notes
    assert "the best of 3 proxy rows (1 search each)" in notes


def test_without_class_random_the_rival_is_asked_for(tmp_path):
    results = study_of(tmp_path, planted, samplers=["cc-or"])
    assert any(
        "Class-random (cc-rs) was not searched" in note for note in verdict_table(results).notes
    )


def test_without_an_evaluated_proxy_there_is_no_table(tmp_path):
    results = write_results(tmp_path, lambda *_: None, lambda *_: [], searchers=["gdas"])
    assert verdict_table(results) is None
    assert Study.open(tmp_path).verdicts() == ""


def test_draws_are_pooled_in_a_row_and_their_chance_is_in_the_interval(tmp_path):
    def accuracy(name, r, seed, draw):
        # What a draw does to all of its searches is large.
        return (
            planted(name, r, seed, 0) + {None: 0, 1: 8, 2: -6, 3: 1}[draw if name == "rs" else None]
        )

    results = study_of(tmp_path, accuracy, proxy_seeds=[1, 2, 3], search_seeds=range(3))
    (searcher,) = results.configuration.searchers
    found = {one.method: one for one in verdicts(results, searcher)}
    assert {name: len(one.accuracies) for name, one in found.items()} == {
        "Full DS": 3,
        "RS": 9,
        "CC-RS": 9,
        "CC-OR": 3,
    }
    # A t-test over the nine would take them for nine chances: the three draws are the chance.
    assert found["RS"].to_full.interval.half > 10
    assert found["CC-RS"].to_full.interval.half < 5
    documents = all_documents(results)
    assert "9 of 9" in documents["table-gdas.md"]
    assert "3 searches on each of 3 draws per row" in documents["table-gdas.md"]
    lines = list(csv.DictReader(io.StringIO(documents["table-gdas.csv"])))
    assert [one["proxy_seed"] for one in lines if one["method"] == "RS"] == ["1", "2", "3"] * 3
    assert "draws are pooled" in documents["verdicts.md"]


def test_where_a_table_is_known_a_random_cell_has_a_line(tmp_path):
    results = study_of(
        tmp_path,
        planted,
        searchers=["random:n_nodes=4"],
        lookup={"path": "published.csv", "dataset": "cifar100"},
    )
    # Looked-up studies have no trainings; the accuracies stand in their place.
    assert verdict_table(results) is None
    store = results.store
    store.set_info(RANDOM_CELL, RandomCell.of(np.linspace(10, 80, 701)).to_json())
    for row in results.rows:
        for one in row.found:
            store.put(
                "lookup",
                {
                    "data": LOOKED_UP,
                    "dataset": "cifar100",
                    "epochs": 200,
                    "cell": str(one.cell),
                },
                {"cell": str(one.cell), "accuracy": 73.0},
            )
    results = Study.open(tmp_path).results()
    table = verdict_table(results)
    first, full = table.rows[:2]
    assert first.method == "random cell of this space"
    assert first.words == "median 45.0, deviation 20.2, best 80.0"
    assert first.mean == pytest.approx(45.0)
    # As the others' it is a mean of places, not the place of a mean.
    assert first.percentile == 50
    assert first.regret == pytest.approx(35.0)
    assert full.percentile == pytest.approx(90.0)
    assert full.regret == pytest.approx(7.0)
    assert any("a cell of the table drawn by chance" in note for note in table.notes)
    text = all_documents(results)["table-random.md"]
    assert (
        "A random cell of the 701 in the table: mean 45.0 ± 20.2, median 45.0, best 80.0." in text
    )
    store.set_info(RANDOM_CELL, '{"n_cells": 0}')
    with pytest.raises(InputError, match="what the store knows of random cells is damaged"):
        verdict_table(Study.open(tmp_path).results())


def test_differences_are_of_the_same_seed_and_draw():
    ours = {(0, 1): 5.0, (0, 2): 6.0, (1, 1): 9.0, (2, 1): 1.0}
    assert differences(ours, {(0, 1): 1.0, (1, 2): 4.0}) == {(0, 1): 4.0}
    assert differences({(0, None): 5.0}, {(0, 1): 1.0, (0, 2): 2.0}) == {(0, 1): 4.0, (0, 2): 3.0}
    assert crossed_interval({}) is None


@pytest.mark.parametrize(
    "deviations", [(3.0, 0.0, 1.0), (0.0, 3.0, 1.0), (2.0, 2.0, 1.0), (0, 0, 1.0)]
)
def test_an_interval_over_seeds_and_draws_holds_the_mean_as_often_as_it_says(deviations):
    generator = np.random.default_rng(3)
    n_seeds, n_draws, n_studies, held = 4, 3, 600, 0
    for _ in range(n_studies):
        seeds, draws, rest = (
            deviation * generator.normal(size=shape)
            for deviation, shape in zip(
                deviations, [(n_seeds, 1), (1, n_draws), (n_seeds, n_draws)], strict=True
            )
        )
        table = seeds + draws + rest
        values = {(s, d): float(table[s, d]) for s in range(n_seeds) for d in range(n_draws)}
        interval = crossed_interval(values)
        held += abs(interval.mean) <= interval.half
    assert held / n_studies > 0.92


def test_power_is_what_studies_have():
    generator = np.random.default_rng(0)
    seen = [
        paired_interval(dict(enumerate(generator.normal(5, 8, 6))), dict.fromkeys(range(6), 0.0))
        for _ in range(2_000)
    ]
    share = np.mean([one.excludes_zero for one in seen])
    assert power_of(6, 8.0) == pytest.approx(share, abs=0.03)


def test_searches_needed_are_the_tables_of_power():
    # Cohen's d of 0.2, 0.5 and 0.8 in a paired t-test: 199, 34 and 15 pairs.
    assert [searches_needed(5 / d) for d in (0.2, 0.5, 0.8)] == [199, 34, 15]
    assert searches_needed(0.0) == 2
    assert searches_needed(10_000.0) is None


def test_luck_is_that_of_the_first_of_equal_rows():
    def normal(generator, shape):
        return generator.normal(60, 10, shape)

    assert luck_of([3] * 18, 3, normal).chance == pytest.approx(18 / 19, abs=0.01)
    assert luck_of([3], 3, normal).median_lead == pytest.approx(0, abs=0.3)
    # The best of few searches is further off than that of many.
    assert luck_of([1] * 3, 9, normal).median_lead > 2 * luck_of([9] * 3, 9, normal).median_lead


def test_a_pooled_deviation_is_of_groups_with_several_values():
    assert pooled_deviation([[1.0], []]) is None
    assert pooled_deviation([[1.0, 3.0], [5.0]]) == pytest.approx(2**0.5)
