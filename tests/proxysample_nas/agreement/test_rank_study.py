"""Ranking cells on what a study compares, kept beside its results and on the same page."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from proxysample import rank_agreement
from proxysample.data.datasets import ArrayDataset
from proxysample.errors import InputError
from proxysample_nas import cli
from proxysample_nas.agreement.rank import plan_study_ranking
from proxysample_nas.space.cell import Cell
from proxysample_nas.study import Study
from proxysample_nas.study.reports.ranking import RANKING_FOLDER, ranking_of
from proxysample_nas.study.reports.report import to_html

from ..study.written_store import write_results


def constant(configuration, train, held_out, seed):
    return 0.5


def of_class(configuration, train, held_out, seed):
    return float(configuration) + seed / len(train)


@pytest.fixture
def study(tiny_settings, tmp_path):
    def create(**changed):
        return Study(**tiny_settings(**changed), folder=tmp_path)

    return create


def test_cells_are_ranked_on_what_the_study_compares(study, tmp_path):
    compared = study(samplers=["cc-or", np.arange(40)], ratios=[0.5, 0.25], proxy_seeds=[3, 4])
    planned = plan_study_ranking(compared, 3)
    design = planned.design
    assert [one.name for one in design.samplers] == ["cc-rs", "cc-or"]
    assert (design.dataset, design.ratios, design.proxy_seeds) == ("digits", (0.5, 0.25), (3, 4))
    assert (design.n_train, design.random_state, len(design.names)) == (120, 0, 3)
    assert {Cell.from_string(name).n_nodes for name in design.names} == {3}
    assert planned.folder == tmp_path / RANKING_FOLDER
    assert "flip" in str(design.evaluation)
    assert plan_study_ranking(compared, 3, ratios=[0.1], n_nodes=4).design.ratios == (0.1,)


def test_what_cannot_be_ranked_together_is_said(study):
    searchers = ["random:n_nodes=3", "random:n_nodes=4"]
    with pytest.raises(InputError, match="cells of 3, 4 nodes, which do not rank together"):
        plan_study_ranking(study(searchers=searchers))
    # What was picked elsewhere leaves the full data alone.
    (sampler,) = plan_study_ranking(study(samplers=[np.arange(40)]), 3).design.samplers or [None]
    assert sampler is None or sampler.name == "cc-rs"


def test_the_page_shows_what_is_kept_beside_the_study(tmp_path):
    results = write_results(
        tmp_path,
        lambda setting, seed: (Cell.filled("nor_conv_3x3", n_nodes=3), 1.0),
        lambda *_: [50.0],
        searchers=["gdas:n_nodes=3"],
    )
    assert ranking_of(tmp_path) is None
    data = ArrayDataset(np.zeros((40, 2)), np.arange(40) % 2)
    rank_agreement(
        of_class,
        [1, 2, 3],
        data,
        ["cc-rs"],
        [0.5],
        folder=tmp_path / RANKING_FOLDER,
        progress=False,
    )
    page = to_html(results, {}, {}, ranking_of(tmp_path))
    assert '<h2 id="rank-agreement">' in page
    assert "Full DS, another seed" in page
    assert 'id="rank-agreement-tau"' in page
    assert "rank-agreement" not in to_html(results, {}, {})


def test_the_command_ranks_in_the_time_that_is_left(monkeypatch):
    study, ranking = mock.Mock(), mock.Mock()
    study.run.return_value, ranking.run.return_value = 0, 0
    ranking.store.failures.return_value = []
    ranking.table.return_value = "the table"
    monkeypatch.setattr(cli, "_planned_ranking", lambda *_: ranking)
    monkeypatch.setattr(cli, "_report", lambda *_: None)
    clock = iter([0.0, 0.0, 0.0, 1800.0, 1800.0, 1800.0])
    monkeypatch.setattr(cli.time, "monotonic", lambda: next(clock))
    cli._finish(study, rank_cells=3, max_hours=2.0, drop=False)
    assert ranking.run.call_args.kwargs["max_hours"] == 1.5
    assert "drop" not in ranking.run.call_args.kwargs


def test_cells_that_all_score_the_same_have_no_order_which_is_said():
    data = ArrayDataset(np.zeros((40, 2)), np.arange(40) % 2)
    found = rank_agreement(constant, [1, 2, 3], data, ["cc-rs"], [0.5], progress=False)
    assert found.verdict.startswith("Nothing can be said: on the full data")
    assert "score the same" in found.verdict
