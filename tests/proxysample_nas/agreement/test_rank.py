"""Ranking cells on proxies, from the library and from the command line."""

from __future__ import annotations

import numpy as np
import pytest

from proxysample import RankAgreement, load_dataset
from proxysample.errors import InputError
from proxysample_nas import Cell, plan_ranking, rank_cells, rank_study
from proxysample_nas.agreement import draw_distinct_cells, scorers
from proxysample_nas.agreement.rank import zero_cost_scores
from proxysample_nas.cli import main
from proxysample_nas.cli_rank import lookup_settings

SMALL = {"channels": 4, "epochs": 1}
SETTINGS = {"n_cells": 4, "n_nodes": 3, "n_train": 100, "proxy_seeds": [0], "training": SMALL}
RUN = {"progress": False}
CELLS = [
    "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|",
]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "accuracies.csv"
    rows = [f"{place},{cell},{50 + place},{30 - place}" for place, cell in enumerate(CELLS)]
    header = "index,arch,cifar100_test_200ep,cifar100_test_12ep"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize("scored", ["alone", "supernet"])
def test_cells_are_ranked_on_every_proxy_at_both_budgets(scored):
    found = rank_cells(
        "digits", ["cc-or"], [0.5], scored=scored, budgets=["epochs", "steps"], run=RUN, **SETTINGS
    )
    assert [(row.method, row.budget) for row in found.rows] == [
        ("Full DS, another seed", ""),
        ("CC-RS", "epochs"),
        ("CC-OR", "epochs"),
        ("CC-RS", "steps"),
        ("CC-OR", "steps"),
    ]
    assert not found.store.failures()
    n_scores = len(found.store.results("scores"))
    # Two trainings of the full data and two proxies at two budgets, for each cell or for all.
    assert n_scores == 6 * (4 if scored == "alone" else 1)
    assert found.scores().index.name == "cell"


def test_a_supernet_goes_on_between_its_epochs_to_the_same_scores(tmp_path, monkeypatch):
    def planned(name):
        given = SETTINGS | {"training": SMALL | {"epochs": 3}, "folder": tmp_path / name}
        return plan_ranking("digits", [], scored="supernet", seeds=[0, 1], **given)

    def watch(loss, epoch, rate):
        trained.append(epoch)
        if trained == [0, 1, 2]:
            raise KeyboardInterrupt

    planned("whole").run(**RUN)
    trained = []
    monkeypatch.setattr(scorers, "check_loss", watch)
    with pytest.raises(KeyboardInterrupt):
        planned("stopped").run(**RUN)
    (left,) = (tmp_path / "stopped" / "unfinished").glob("*.safetensors")
    planned("stopped").run(**RUN)
    # The first of two trainings had ended two of its epochs.
    assert trained[3:] == [2, 0, 1, 2]
    assert not left.exists()
    whole, stopped = planned("whole"), planned("stopped")
    assert whole.scores().equals(stopped.scores())
    assert whole.store.states().keys() == stopped.store.states().keys()


def test_published_accuracies_are_a_reference_and_other_lengths_stand_beside(table):
    found = rank_cells(
        "digits", ["cc-or"], [0.5], cells=CELLS, lookup={"path": str(table), "dataset": "cifar100"},
        run=RUN, n_train=100, proxy_seeds=[0], training=SMALL,
    )  # fmt: skip
    published = [row for row in found.rows if row.reference.startswith("published")]
    assert {row.reference for row in published} == {
        "published accuracies of cifar100 after 200 epochs"
    }
    assert (published[0].method, published[0].tau) == (
        "published accuracies of cifar100 after 12 epochs", -1,
    )  # fmt: skip
    assert [row.method for row in published[1:]] == ["Full DS", "CC-RS", "CC-OR"]


def test_scores_without_training_take_the_data_as_rankings_do():
    digits, cells = load_dataset("digits"), [Cell.from_string(CELLS[0])]
    named = zero_cost_scores(cells, "digits", ["naswot"])
    assert zero_cost_scores(cells, (digits.train, digits.test), ["naswot"]) == named
    assert zero_cost_scores(cells, {"train": digits.train}, ["naswot"]) == named
    pair = (digits.train.images, digits.train.targets)
    assert zero_cost_scores(cells, pair, ["naswot"]) == named


def test_zero_cost_scores_are_estimates():
    planned = plan_ranking(
        "digits", [], [], cells=CELLS, zero_cost=["parameters", "naswot"], training=SMALL
    )
    estimates = planned.design.estimates
    assert list(estimates) == ["zero-cost: parameters", "zero-cost: naswot"]
    with_convolution, without = estimates["zero-cost: parameters"][1:]
    assert with_convolution > without


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"zero_cost": ["grasp"]}, "unknown zero-cost score 'grasp'"),
        ({"scored": "twice"}, "unknown way to score cells 'twice'"),
        ({"training": {"epoch": 3}}, "unknown parameter of CellTrainer 'epoch'"),
        ({"scored": "supernet", "training": {"seeds": [1]}}, "unknown parameter of OneSupernet"),
        ({"augmentation": {"flop": True}}, "unknown parameter of augmentation"),
        ({"augmentation": np.zeros((4, 0))}, "augmentation must be"),
        ({"training": np.zeros(2)}, "training must be"),
        ({"cells": [CELLS[0], "|none~0|"]}, "different numbers of nodes"),
        ({"cells": CELLS[:2]}, "2 cells have no order"),
        (
            {"cells": CELLS, "scored": "supernet", "space": "none+avg_pool_3x3"},
            "is not in the search space of none, avg_pool_3x3",
        ),
        ({"lookup": {"path": "nowhere.csv", "dataset": "cifar100"}}, "nowhere.csv"),
        ({"lookup": {"pth": "nowhere.csv"}}, "did you mean 'path'"),
    ],
)
def test_what_cannot_be_used_is_refused(changed, message, tmp_path):
    with pytest.raises(InputError, match=message):
        plan_ranking("digits", ["cc-or"], [0.5], folder=tmp_path, **(SETTINGS | changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"run": {"workers": 2}}, "unknown option of run 'workers'; did you mean 'n_workers'"),
        ({"cell": CELLS}, "unknown keyword of rank_cells 'cell'; did you mean 'cells'"),
    ],
)
def test_a_setting_that_is_not_known_is_named_with_the_nearest(changed, message):
    with pytest.raises(InputError, match=message):
        rank_cells("digits", ["cc-or"], [0.5], **changed)


@pytest.mark.parametrize(
    ("run", "message"),
    [(["n_workers"], "run must be a mapping"), ({"workers": 2}, "of run 'workers'")],
)
def test_options_that_no_run_has_are_refused_first(run, message, tmp_path):
    for ranks, data in ((rank_cells, ("nowhere", ["rs"])), (rank_study, ("no study",))):
        with pytest.raises(InputError, match=message):
            ranks(*data, run=run)


def words(folder, *more):
    return (
        "rank", "--dataset", "digits", "--sampler", "cc-or", "-r", "0.5", "--cells", "4",
        "--nodes", "3", "--n-train", "100", "--proxy-seed", "0", "--train", "channels=4",
        "--train", "epochs=1", "--workers", "1", "-o", str(folder), *more,
    )  # fmt: skip


def test_the_command_line_ranks_and_shows_again(command_line, tmp_path):
    code, out, err = command_line(main, *words(tmp_path))
    assert code == 0, err
    assert "Rank agreement over 4 cells" in out
    assert (tmp_path / "tau.svg").exists()
    again = command_line(main, "rank", "-o", str(tmp_path))
    assert again[:2] == (0, out)
    quiet = command_line(main, "rank", "-q", "-o", str(tmp_path))
    assert quiet[1] == out[: out.index("saved ")]
    # The same as from the library.
    found = rank_cells("digits", ["cc-or"], [0.5], folder=tmp_path, run=RUN, **SETTINGS)
    assert found.table() == RankAgreement.open(tmp_path).table()


def test_a_dry_run_counts_and_writes_nothing(command_line, tmp_path):
    folder = tmp_path / "none"
    code, out, _ = command_line(main, *words(folder, "--dry-run"))
    assert code == 0
    assert "digits: 80 samples train, 20 score" in out
    assert "CC-OR, r=0.5, equal epochs: 4 trainings" in out
    assert not folder.exists()


def test_the_command_line_says_what_is_missing(command_line, tmp_path):
    given = ("--dataset", "digits", "--sampler", "cc-or", "-o", str(tmp_path))
    code, _, err = command_line(main, "rank", *given)
    assert code == 2
    assert "give at least one ratio" in err
    code, _, err = command_line(main, "rank", "-o", str(tmp_path))
    assert code == 2
    assert "no rank agreement at" in err
    code, _, err = command_line(main, "rank", "-o", str(tmp_path), "-r", "0.5")
    assert (code, "give --dataset, too" in err) == (2, True)


def test_no_two_cells_compute_the_same_and_all_are_connected():
    cells = draw_distinct_cells(40, 3, seed=3)
    assert len({cell.unique_form() for cell in cells}) == 40
    assert all(cell.is_connected for cell in cells)


def test_more_cells_begin_with_the_same_ones():
    assert draw_distinct_cells(9, seed=1)[:4] == draw_distinct_cells(4, seed=1)
    assert draw_distinct_cells(4, seed=2) != draw_distinct_cells(4, seed=1)


def test_too_many_are_refused_with_how_many_there_are():
    # Four operations but none on the one edge.
    with pytest.raises(InputError, match="only 4 cells of 2 nodes"):
        draw_distinct_cells(5, 2)


@pytest.mark.parametrize("n", [0, 2.5])
def test_a_number_that_is_none_is_refused(n):
    with pytest.raises(InputError, match="n_cells"):
        draw_distinct_cells(n)


@pytest.mark.parametrize("given", [("cifar10", None), (None, 12)])
def test_what_to_read_of_no_table_is_refused(given):
    with pytest.raises(InputError, match=r"give --lookup FILE\.csv"):
        lookup_settings(None, *given)
    assert lookup_settings(None, None, None) is None
