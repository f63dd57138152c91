from __future__ import annotations

import pytest

from proxysample_nas.space.cell import Cell
from proxysample_nas.study.reports.notes import (
    describe_machines,
    protocol_notes,
    reading_rules,
    what_was_run,
)

from .written_store import CIFAR100, HALF_OF_CIFAR100, MACHINE, write_results


def notes(folder, **settings):
    results = write_results(
        folder,
        lambda setting, seed: (Cell.filled("nor_conv_3x3", n_nodes=4), 2.0),
        lambda *_: [50.0, 52.0],
        **({"searchers": ["gdas:n_nodes=4"], "seeds": [7, 8]} | settings),
    )
    return results, " ".join(protocol_notes(results, results.configuration.searchers[0]))


def test_a_table_states_data_search_machine_evaluation_and_cost(tmp_path):
    _, text = notes(tmp_path)
    for words in (
        "data, 1,437 training and 360 test images, fingerprint d1d1d1d1d1d1.",
        "gdas, 4 nodes, C=16, 5 cells a stage, 250 epochs of batches of 64, seed 0",
        "(718 images train weights and 719 the architecture at r=1)",
        "The test images are never seen",
        "a processor, 2 cores, device cpu",
        "200 epochs, batches of 256, learning rate 0.1 (recipe 'nas-bench-201' with nothing ",
        "mean ± sample standard deviation over seeds 7, 8",
        # Two searches, one cell that both found.
        "2.0 s scoring, 4.0 s searching, 6.0 s evaluating 2 trainings",
        "One search per row",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("searcher", "words"),
    [
        ("gdas:n_nodes=4", "a smaller r also means fewer updates"),
        ("gdas:n_nodes=4,steps_per_epoch=20", "20 updates an epoch at every r"),
    ],
)
def test_whether_less_data_also_means_fewer_updates_is_said(tmp_path, searcher, words):
    _, text = notes(tmp_path, searchers=[searcher])
    assert words in text


def test_the_papers_split_is_named(tmp_path):
    results, text = notes(
        tmp_path,
        info=HALF_OF_CIFAR100,
        architecture_data="test-half",
        searchers=["gdas:n_nodes=4,protocol=paper"],
    )
    assert "5,000 test images (half of the test part)" in text
    assert "The other half is never seen" in text
    assert any("half of the test part" in rule for rule in reading_rules(results))


def test_what_was_changed_of_a_search_is_named(tmp_path):
    _, text = notes(
        tmp_path,
        info=HALF_OF_CIFAR100,
        architecture_data="test-half",
        searchers=["gdas:n_nodes=4,protocol=paper,learning_rate=0.05"],
        augmentation={"flip": False},
    )
    changed = "{'learning_rate': 0.05, 'protocol': 'paper', 'augmentation': {'flip': False}}"
    assert f"epochs of batches of 64 (with {changed} changed), seed 0" in text


def test_one_training_seed_has_no_spread(tmp_path):
    _, text = notes(tmp_path, seeds=[7])
    assert "after the last epoch, seed 7." in text
    assert "One search per row: it says nothing" in text


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_published_accuracies_have_no_spread_over_trainings(tmp_path, seeds):
    results, text = notes(
        tmp_path, search_seeds=seeds, lookup={"path": "published.csv", "dataset": "cifar100"}
    )
    text += " ".join([*what_was_run(results), *reading_rules(results)])
    assert "evaluated at C = 16 by the published accuracies of cifar100." in text
    for words in ("seeds that train", "over its trainings", "over the trainings", "seeds 7"):
        assert words not in text, words


def test_changed_augmentation_is_said(tmp_path):
    _, text = notes(tmp_path, augmentation={"flip": False})
    assert "5 cells a stage, augmentation with {'flip': False} changed; test accuracy" in text


def test_searches_on_several_machines_call_for_caution():
    other = MACHINE | {"device": "a GPU", "n_side_by_side": 4}
    assert "caution" not in describe_machines([MACHINE, MACHINE])
    text = describe_machines([MACHINE, other, MACHINE])
    assert text.count("a processor") == 2
    assert "4 experiments at a time" in text
    assert "caution" in text


def test_the_summary_names_everything_that_was_compared(tmp_path):
    results, _ = notes(
        tmp_path,
        info=CIFAR100,
        samplers=["rs", "km-or:n_clusters=50"],
        ratios=[0.5, 0.25],
        search_seeds=[3],
    )
    text = " ".join(what_was_run(results))
    for words in (
        "50,000 training and 10,000 test images of 32x32x3 in 100 classes",
        "RS, KM-OR (n_clusters=50)",
        "r = 0.5, 0.25",
        "GDAS (n_nodes=4)",
        "Searched from seed 3; evaluated at C = 16 from seeds 7, 8",
    ):
        assert words in text
    assert not any("none of its tables fits" in rule for rule in reading_rules(results))


def test_of_a_search_without_training_no_epochs_are_told(tmp_path):
    zero_cost = ["zero-cost:n_nodes=4,batch_size=32"]
    _, text = notes(tmp_path, searchers=zero_cost)
    assert "without training, scored on one of the batches of 32" in text
    assert "Nothing is trained, so r decides only which images are looked at." in text
    assert " 0 epochs" not in text
    assert "Equal epochs" not in text


def test_of_one_random_cell_no_epochs_are_told(tmp_path):
    _, text = notes(tmp_path, searchers=["random:n_nodes=4,n_samples=1"])
    assert "one cell is drawn, and nothing is trained, so r decides nothing." in text
    assert "batches of 64" not in text
    assert "Equal epochs" not in text
