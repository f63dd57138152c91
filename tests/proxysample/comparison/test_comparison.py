"""Comparisons whose outcome is known: a good sampler wins, a bad one loses, chance is no win."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from torch import nn

import proxysample
from proxysample import (
    ArrayDataset,
    Comparison,
    InputError,
    Splits,
    compare,
    create_sampler,
    embed,
    load_dataset,
)
from proxysample.comparison.comparison import set_up
from proxysample.comparison.configuration import Method
from proxysample.comparison.data import CLEAN, IMBALANCE, NOISE, load_comparison_data
from proxysample.comparison.experiments import Listing, read_comparison
from proxysample.comparison.results import CLASS_RANDOM
from proxysample.data.datasets import as_splits
from proxysample.dynamics import from_arrays
from proxysample.features import backbones
from proxysample.testing import small_digits

from .planted import N_TRAIN, Alike, Planted, planted_data

QUICK = {"evaluator": "head:epochs=10,batch_size=16", "seeds": 5, "draws": 5}


@pytest.fixture(scope="module")
def planted():
    splits, is_wrong = planted_data()
    rng = np.random.default_rng(1)
    good = Planted(is_wrong + 0.5 * rng.random(N_TRAIN))
    bad = Planted(~is_wrong + 0.5 * rng.random(N_TRAIN), name="bad")
    good.set_params(name="good")
    return compare(splits, [good, bad, Alike()], [0.1, 0.25], **QUICK)


def of(comparison, words, r, arm=CLEAN):
    """Find the row of a sampler by a word of its label."""
    (row,) = [
        row
        for row in comparison.results().rows
        if words in row.method and (row.r, row.arm) == (r, arm)
    ]
    return row


def test_a_planted_good_sampler_wins_a_bad_one_loses_and_an_equal_one_is_not_told_apart(planted):
    for r in (0.1, 0.25):
        good, bad, alike = (
            of(planted, word, r).cells["epochs"] for word in ("name=good", "name=bad", "ALIKE")
        )
        assert good.is_better
        assert bad.is_worse
        assert not alike.is_better
        assert not alike.is_worse
    assert planted.verdict.startswith("Keep 0.")
    assert "name=good" in planted.verdict
    assert "name=bad" not in planted.verdict.split(";")[0]


def test_where_nothing_is_better_one_is_told_to_take_random():
    splits, is_wrong = planted_data()
    bad = Planted(~is_wrong)
    comparison = compare(splits, [bad, Alike()], [0.1], **QUICK)
    assert comparison.verdict.startswith("Take a class-random part: of 2 samplers none is better")
    assert "; worse beyond chance: PLANTED" in comparison.verdict
    alone = compare(splits, [Alike()], [0.1], **QUICK)
    assert alone.verdict.startswith("Take a class-random part: ALIKE is not better at r = 0.1")
    assert "worse" not in alone.verdict


def test_a_single_seed_gives_no_interval_and_says_so():
    splits, is_wrong = planted_data()
    comparison = compare(splits, [Planted(is_wrong)], [0.1], seeds=1, draws=1)
    cell = of(comparison, "PLANTED", 0.1).cells["epochs"]
    assert (cell.difference.half, cell.corrected, cell.is_better) == (None, None, False)
    assert comparison.verdict.startswith("One seed cannot tell a difference from chance")
    assert "A single seed gives no interval" in comparison.table()


def test_the_frame_has_a_line_for_each_training(planted):
    frame = planted.to_frame()
    # All data, cc-rs, rs and RS2, and three samplers, at two ratios by five seeds.
    assert len(frame) == 5 + 6 * 2 * 5
    assert frame.accuracy.between(0, 100).all()
    assert set(frame.n_kept[frame.r == 0.25]) == {N_TRAIN // 4}
    drawn = frame[(frame.method == "ALIKE") & (frame.r == 0.1)]
    # A sampler that draws draws anew for each seed.
    assert drawn.accuracy.nunique() > 1


def test_differences_are_paired_by_seed(planted):
    row, rival = of(planted, "ALIKE", 0.1), of(planted, CLASS_RANDOM, 0.1)
    ours, theirs = row.cells["epochs"].by_seed, rival.cells["epochs"].by_seed
    expected = np.mean([ours[seed] - theirs[seed] for seed in range(5)])
    assert row.cells["epochs"].difference.mean == pytest.approx(expected)


def test_what_is_random_has_more_draws_than_others_have_seeds():
    splits, is_wrong = planted_data()
    settings = {"evaluator": "head:epochs=1", "seeds": [3, 7], "draws": 4}
    comparison = compare(splits, [Planted(is_wrong)], [0.1], **settings)
    seeds = comparison.to_frame().groupby("method").seed.agg(list).to_dict()
    assert sorted(seeds["CC-RS"]) == sorted(seeds["RS"]) == [0, 1, 3, 7]
    assert sorted(seeds["RS2"]) == sorted(seeds["all data"]) == [3, 7]


def test_equal_steps_take_as_many_steps_as_all_data_do():
    splits, is_wrong = planted_data()
    settings = {"evaluator": "head:epochs=4,batch_size=16", "seeds": 2, "draws": 2}
    comparison = compare(splits, [Planted(is_wrong)], [0.1], budget="both", **settings)
    rows = comparison.results().rows
    assert {row.method for row in rows if "steps" in row.cells} == {
        "CC-RS",
        "RS",
        of(comparison, "PLANTED", 0.1).method,
        "all data",
    }
    alone = compare(splits, [Planted(is_wrong)], [0.1], budget="steps", **settings)
    both, steps = (of(one, "PLANTED", 0.1).cells["steps"].by_seed for one in (comparison, alone))
    assert both == steps
    assert "RS2" not in alone.to_frame().method.unique()
    # All data are trained on once: their epochs are their steps.
    cells = of(comparison, "all data", 1.0).cells
    assert cells["epochs"].runs == cells["steps"].runs
    assert of(alone, "all data", 1.0).cells["steps"].by_seed == cells["epochs"].by_seed
    header = comparison.save()[1].read_text().partition("\n")[0].split(",")
    by_epochs = [name for name in header if name.endswith("epochs")]
    assert len(by_epochs) >= 4
    assert {name.replace("epochs", "steps") for name in by_epochs} < set(header)
    titles = [axes.get_title() for axes in comparison.figure().axes]
    assert [title.partition(", ")[2] for title in titles] == ["equal epochs", "equal steps"]


def by_both_budgets(results, flat):
    """Give every training by the one budget for the other, too; by `flat` nothing is gained."""
    rival = {(run.r, run.seed): run for run in results.runs if run.method == CLASS_RANDOM}
    runs = []
    for run in results.runs:
        for budget in ("epochs", "steps"):
            if budget == "steps" and run.method in ("RS2", "all data"):
                continue
            like = rival[run.r, run.seed] if budget == flat and run.r < 1 else run
            runs.append(replace(run, budget=budget, accuracy=like.accuracy))
    configuration = replace(results.configuration, budgets=("epochs", "steps"))
    return replace(results, configuration=configuration, runs=tuple(runs))


def test_the_verdict_tells_of_equal_steps_where_they_are_compared_too(planted):
    results = planted.results()
    gain = re.search(r"%, (\S+ ± \S+ points) more", results.verdict)[1]
    assert f"; at equal steps, +{gain}" in by_both_budgets(results, None).verdict
    assert "; at equal steps, +0.0 ± " in by_both_budgets(results, "steps").verdict
    assert "points, which may be chance" in by_both_budgets(results, "steps").verdict
    told = by_both_budgets(results, "epochs").verdict
    assert told.startswith("Take a class-random part")
    assert re.search(r"; at equal steps PLANTED \(.*name=good\) is, at r = 0\.25 \(\+", told)
    alone = by_both_budgets(results, None)
    alone = replace(alone, configuration=replace(alone.configuration, budgets=("steps",)))
    assert "(all of the data: " in alone.verdict


def test_labels_are_flipped_for_training_alone_and_classes_are_cut_on_request():
    settings = {"evaluator": "head:epochs=5", "seeds": 2, "draws": 2, "features": "pixels"}
    comparison = compare("digits", ["cc-or"], [0.2], noise=0.4, imbalance=10, **settings)
    whole = comparison.results().find("all data", 1.0)
    noisy = comparison.results().find("all data", 1.0, NOISE)
    unequal = comparison.results().find("all data", 1.0, IMBALANCE)
    assert noisy.cells["epochs"].mean < whole.cells["epochs"].mean - 1
    assert unequal.n_kept < 0.6 * whole.n_kept
    # Each arm has experiments of its own, and the first none that others share.
    assert (
        comparison.store.states().keys()
        > compare("digits", ["cc-or"], [0.2], **settings).store.states().keys()
    )


def test_models_can_be_held_to_a_part_that_no_sampler_sees():
    digits = load_dataset("digits").train
    seen = []

    class Spy(Planted):
        id = "spy"

        def _score(self, samples, codes):
            seen.append((len(samples), samples.images.copy()))
            return np.zeros(len(samples))

    splits = Splits("mine", digits)
    settings = {"seeds": 2, "draws": 2, "evaluator": "head:epochs=1", "features": "pixels"}
    comparison = compare(splits, [Spy([0])], [0.5], held_out=0.2, **settings)
    ((n_seen, images),) = seen
    assert n_seen == len(digits) - round(0.2 * len(digits))
    assert comparison.results().info.arms[CLEAN].n_held_out == round(0.2 * len(digits))
    shown = {image.tobytes() for image in images}
    assert len(shown) <= n_seen
    assert "20 % of the training part" in comparison.table()
    with pytest.raises(
        InputError, match=r"no test part to hold models to: give held_out.*own as held_out="
    ):
        compare(splits, ["cc-or"], [0.5])


def logistic(train, held_out, seed, budget):
    """A model of the user's own."""
    model = LogisticRegression(max_iter=200, random_state=seed)
    return model.fit(train.X, train.y).predict(held_out.X)


def accuracy_alone(train, held_out, seed, budget):
    return len(train) / 1000


def test_a_function_of_the_users_own_is_the_evaluator():
    splits, is_wrong = planted_data()
    good = Planted(is_wrong + 0.5 * np.random.default_rng(1).random(N_TRAIN))
    comparison = compare(splits, [good], [0.2], logistic, seeds=3)
    cell = of(comparison, "PLANTED", 0.2).cells["epochs"]
    assert cell.difference.mean > 10
    # It cannot be given other samples each epoch, and draws cost what they cost.
    frame = comparison.to_frame()
    assert "RS2" not in frame.method.unique()
    assert (frame[frame.method == "CC-RS"].seed.sort_values() == [0, 1, 2]).all()
    assert "logistic" in comparison.table()


def test_a_function_may_give_an_accuracy_alone():
    splits, is_wrong = planted_data()
    comparison = compare(splits, [Planted(is_wrong)], [0.1], accuracy_alone, seeds=2)
    row = of(comparison, "PLANTED", 0.1)
    assert row.cells["epochs"].mean == pytest.approx(4.0)
    assert row.cells["epochs"].worst_class is None


def test_what_a_function_gives_is_checked_and_told_once_a_training():
    splits, is_wrong = planted_data()

    def wrong(train, held_out, seed, budget):
        return [0.5, 2.5]

    comparison = set_up(splits, [Planted(is_wrong)], [0.1], evaluator=wrong, seeds=1)
    n_failed = comparison.run(progress=False)
    failures = comparison.store.failures()
    assert n_failed == len(failures) == 4
    assert "predicted class codes for the 600 samples held out" in failures[0].error
    assert "4 trainings have no result" in comparison.table()
    assert "Failed, and so in no number: 1 training on all data" in comparison.table()
    assert comparison.verdict.startswith("There is nothing to tell: 4 experiments have failed")
    assert failures[0].error in comparison.verdict


def test_ready_indices_are_compared_at_the_ratio_that_they_are():
    splits, _ = planted_data()
    picked = np.arange(0, N_TRAIN, 5)
    comparison = compare(splits, [picked], [], **QUICK)
    row = of(comparison, "INDICES", 0.2)
    assert (row.n_kept, row.cells["epochs"].difference.n) == (len(picked), 5)


def test_samplers_with_features_get_those_of_the_comparison_unless_they_say_otherwise():
    splits, _ = planted_data()
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N_TRAIN + 600, 5)).astype(np.float32)
    settings = QUICK | {"seeds": 2, "features": features}
    comparison = compare(splits, ["herding", "herding:features=pixels"], [0.1], **settings)
    shared, own = (one.shares_features for one in comparison.configuration.others)
    assert (shared, own) == (True, False)
    # Random features tell nothing: the head is at chance, whatever is kept.
    assert abs(of(comparison, "CC-RS", 0.1).cells["epochs"].mean - 25) < 6
    assert "what these samplers compare, too: HERDING." in comparison.table()
    assert "same seed, and so to the first 2 draws alone, with" in comparison.table()


def test_what_was_made_of_others_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(backbones, "as_backbone", None)
    digits = small_digits(40)
    settings = {"seeds": 1, "draws": 1, "held_out": 0.25}
    ranking = create_sampler("rs", random_state=0).rank(digits)
    record = from_arrays(np.eye(10)[digits.targets][np.newaxis] + 0.5, digits.targets)
    embedded = embed(digits, backbone=nn.Flatten(), folder=tmp_path)
    by_features = [
        create_sampler("herding", features=one)
        for one in (np.zeros((40, 2)), embedded, embedded.folder)
    ]
    for given, message in (
        (ranking, "is of 40 samples, and samplers pick from 30 here"),
        ([3, 33], "is up to 33, and samplers pick from 30 here"),
        (create_sampler("auto", record=record), "is of 40 samples, and samplers pick from 30 here"),
        *((one, "is of 40 samples, and samplers pick from 30 here") for one in by_features),
    ):
        with pytest.raises(InputError, match=message):
            compare(digits, [given], [0.5], "head:epochs=1", **settings)
    el2n, by_class = create_sampler("el2n", record=record), create_sampler("cc-or").rank(digits)
    pair = Splits("two parts", digits, digits)
    for given, changed, message in (
        (el2n, {"noise": 0.2}, "was made by the labels as they are, and noise=0.2 flips"),
        (by_class, {"noise": 0.2}, "was made by the labels as they are, and noise=0.2 flips"),
        ([3, 33], {"imbalance": 2}, "is of all training samples, and imbalance=2 leaves some"),
        (ranking, {"imbalance": 2}, "is of all training samples, and imbalance=2 leaves some"),
        (by_features[0], {"imbalance": 2}, "and imbalance=2 leaves some"),
    ):
        with pytest.raises(InputError, match=message):
            compare(pair, [given], [0.5], "head:epochs=1", seeds=1, draws=1, **changed)


def test_two_parts_are_given_in_any_way_that_a_study_takes():
    digits = small_digits(40)
    pair = (digits.images, digits.targets)
    splits = Splits("given data", digits, digits)
    known = set()
    for given in (splits, (digits, digits), {"train": digits, "test": digits}, [pair, pair]):
        configuration = set_up(given, ["herding"], [0.5], features="pixels").configuration
        data = load_comparison_data(configuration.source)
        known.add((configuration.dataset, data.arms[CLEAN].info.fingerprint, data.info.held_out))
    ((name, _, held_out),) = known
    assert name.startswith("Splits('given data', ArrayDataset(40 samples")
    assert held_out == "the test part of given data, 40 samples"
    one = set_up(pair, ["herding"], [0.5], features="pixels", held_out=0.25).configuration
    assert load_comparison_data(one.source).arms[CLEAN].info.n_train == 30
    assert as_splits(["cat.png", "dog.png"]) is as_splits([(digits[0][0], 1), digits[1]]) is None


def test_samplers_of_training_dynamics_see_the_pixels_where_the_comparison_does():
    given = ["el2n", "ccs", "dual:network=small", create_sampler("aum"), "margin:features=resnet18"]

    def methods(features, evaluator):
        samplers = [*given, "herding", "cc-or", "tl", "auto"]
        found = set_up("digits", samplers, [0.1], features=features, evaluator=evaluator)
        return {one.component.name: one for one in found.configuration.others}

    seen = methods("pixels", "head")
    made = {name: one.make(0, None) for name, one in seen.items()}
    assert [made[name].features for name in ("el2n", "ccs", "aum")] == ["pixels"] * 3
    assert (made["dual"].features, made["dual"].reads) == (None, "pixels")
    # What says otherwise, sees pixels by itself, or is nothing without its backbone stays.
    own = [made[name].features for name in ("margin", "herding", "tl", "auto")]
    assert own == ["resnet18", "pixels", None, None]
    assert seen["el2n"].key(0, "")["features"] == "pixels"
    assert Method.describe(seen["el2n"].to_json(), False).takes_pixels
    by_itself = methods(None, "network")["el2n"]
    assert (by_itself.make(0, None).features, by_itself.key(0, "").get("features")) == (None, None)


def test_a_comparison_on_pixels_asks_for_no_backbone(monkeypatch):
    monkeypatch.setattr(backbones, "as_backbone", None)
    settings = {"seeds": 1, "draws": 1, "features": "pixels", "held_out": 0.3}
    found = compare(small_digits(60), ["el2n:epochs=2"], [0.5], "head:epochs=1", **settings)
    assert of(found, "EL2N", 0.5).n_kept == 21


def test_a_comparison_is_opened_again_without_what_was_compared(tmp_path):
    splits, is_wrong = planted_data()
    comparison = compare(splits, [Planted(is_wrong), Alike()], [0.1], folder=tmp_path, **QUICK)
    opened = Comparison.open(tmp_path)
    assert opened.table() == comparison.table()
    assert opened.verdict == comparison.verdict
    assert opened.to_frame().equals(comparison.to_frame())
    assert opened.verdict in opened._repr_html_()
    with pytest.raises(InputError, match="only the results of this comparison are known"):
        opened.run()
    # Whoever has changed its store by hand is told, before any number is read.
    written, known = (json.loads(opened.store.info(name)) for name in ("configuration", "facts"))
    evaluator = written["evaluator"] | {"parameters": {"decay": np.nan}}
    for values, told, words in (
        (written | {"budgets": []}, known, "no budgets"),
        (written | {"evaluator": evaluator}, known, "not finite"),
        (written, known | {"arms": {}}, "nothing of the data as they are"),
    ):
        opened.store.describe(json.dumps(values), json.dumps(told))
        with pytest.raises(InputError, match=f"damaged: it .*{words}"):
            Comparison.open(tmp_path)


def test_versions_that_are_mixed_are_told(planted, tmp_path):
    assert f"Versions: proxysample {proxysample.__version__}, Python" in planted.table()
    copied = shutil.copytree(planted.folder, tmp_path / "copied")
    with closing(sqlite3.connect(copied / "comparison.sqlite")) as store, store:
        store.execute(
            "UPDATE experiments SET result = json_set(result, '$.machine.proxysample', '0.0')"
            " WHERE key = (SELECT min(key) FROM experiments)"
        )
    told = f": proxysample 0.0, {proxysample.__version__}."
    opened = Comparison.open(copied)
    assert told in opened.table()
    assert len(repr(opened.results())) < 300


def test_ratios_and_samplers_are_added_to_a_comparison_that_was_run(tmp_path):
    splits, is_wrong = planted_data()
    compare(splits, [Alike()], [0.1], folder=tmp_path, **QUICK)
    first = set(Comparison.open(tmp_path).store.states())
    compare(splits, [Alike(), Planted(is_wrong)], [0.1, 0.2], folder=tmp_path, **QUICK)
    store = Comparison.open(tmp_path).store
    assert first < store.states().keys()
    # Nothing was run again.
    finished = {key: when for key, (_, when) in store.states().items()}
    assert max(finished[key] for key in first) < min(
        when for key, when in finished.items() if key not in first
    )


def test_other_data_under_the_same_name_are_refused(tmp_path):
    path = tmp_path / "data.npz"
    rng = np.random.default_rng(0)

    def write(seed):
        images = np.random.default_rng(seed).normal(size=(60, 4)).astype(np.float32)
        labels = np.arange(60) % 3
        np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)

    settings = {"evaluator": "head:epochs=1", "seeds": 1, "draws": 1}
    write(rng.integers(9))
    folder = tmp_path / "results"
    compare(f"npz:{path}", ["cc-or"], [0.5], folder=folder, **settings)
    write(99)
    with pytest.raises(InputError, match="are not those of this comparison's last run"):
        compare(f"npz:{path}", ["cc-or"], [0.5], folder=folder, **settings)


def test_a_folder_that_is_not_named_goes_with_the_comparison():
    splits, _ = planted_data()
    settings = {"evaluator": "head:epochs=1", "seeds": 1, "draws": 1}
    comparison = compare(splits, [Alike()], [0.1], **settings)
    folder = comparison.folder
    assert folder.is_dir()
    del comparison
    assert not folder.exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"samplers": []}, "needs a sampler besides cc-rs and rs"),
        ({"samplers": ["herding", "herding"]}, "names a sampler twice"),
        ({"samplers": ["hearding"]}, "did you mean 'herding'"),
        ({"samplers": "herding"}, "samplers must be a list"),
        ({"ratios": []}, "needs at least one ratio"),
        ({"ratios": [1.0]}, "r=1 is all of the data"),
        ({"ratios": [0.1, 0.1]}, "names a ratio twice"),
        ({"ratios": [2]}, "r is the fraction to keep"),
        ({"evaluator": "heed"}, "unknown evaluator 'heed'; did you mean 'head'"),
        ({"evaluator": "head:epoch=3"}, "did you mean 'epochs'"),
        ({"evaluator": "head:epochs=0"}, "epochs must be a positive integer"),
        ({"evaluator": 3}, "or a function"),
        ({"seeds": 0}, "seeds must be a positive integer"),
        ({"seeds": []}, "seeds needs at least one integer"),
        ({"draws": -1}, "draws must be"),
        ({"budget": "epoch"}, "did you mean 'epochs'"),
        ({"noise": 1.0}, "noise must be the part of the labels"),
        ({"noise": "a lot"}, "noise must be the part of the labels"),
        ({"imbalance": 0.5}, "imbalance must be how many times"),
        ({"held_out": 1.5}, "held_out must be the part of the training data"),
        ({"random_state": -1}, "random_state must be"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_read(changed, words, tmp_path):
    settings = {"dataset": "npz:nowhere.npz", "samplers": ["cc-or"], "ratios": [0.1]}
    with pytest.raises(InputError, match=words):
        compare(**(settings | changed), folder=tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_features_that_do_not_fit_are_refused():
    splits, _ = planted_data()
    wrong = np.zeros((N_TRAIN + 1, 3))
    with pytest.raises(InputError, match="a row for each of the 400 training samples and then of"):
        compare(splits, ["herding"], [0.1], features=wrong)
    pair = np.zeros((N_TRAIN, 2)), np.zeros((600, 3))
    with pytest.raises(InputError, match="2 features a sample, and what is held out 3"):
        compare(splits, ["herding"], [0.1], features=pair)


def test_classes_that_the_training_part_lacks_are_named():
    images = np.zeros((4, 2), dtype=np.float32)
    splits = Splits("mine", ArrayDataset(images, [0, 0, 1, 1]), ArrayDataset(images, [0, 1, 2, 2]))
    with pytest.raises(InputError, match="class 2 is in what is held out"):
        compare(splits, ["cc-or"], [0.5])


def test_numbers_of_samples_stand_beside_ratios():
    splits, is_wrong = planted_data()
    settings = {"evaluator": "head:epochs=1", "seeds": 2, "draws": 2}
    comparison = compare(splits, [Planted(is_wrong)], [0.25], n=[7], **settings)
    row = of(comparison, "PLANTED", 7 / N_TRAIN)
    assert row.n_kept == 7
    assert row.cells["epochs"].difference is not None
    assert f"n = 7 (r = {7 / N_TRAIN:.4g})" in comparison.table()
    assert "of the same seed, with" in comparison.table()
    assert "at r = 0.25 and n = 7" in repr(comparison)
    written, info = read_comparison(comparison.store)
    assert written.n == (7,)
    # What was named by its ratio keeps its name.
    before = set_up(splits, [Planted(is_wrong)], [0.25], **settings).configuration
    assert '"n":' not in before.to_json()
    keys = {place.training.key for place in Listing(before, info).places()}
    assert keys < comparison.store.states().keys()


@pytest.mark.parametrize(
    ("ratios", "n", "words"),
    [
        ([0.5], [N_TRAIN // 2], "is r=0.5 of"),
        ([], [N_TRAIN], "is not less than"),
        ([], [0.5], "given as r=0.5"),
        ([], [7, 7], "names a number of samples twice"),
        ([], 7, r"such as n=\[7\]"),
        ([], [], r"such as n=\[500\]"),
    ],
)
def test_numbers_of_samples_that_cannot_be_kept_are_refused(ratios, n, words):
    splits, is_wrong = planted_data()
    with pytest.raises(InputError, match=words):
        set_up(splits, [Planted(is_wrong)], ratios, n=n).configuration.check_sizes(N_TRAIN)


def test_numbers_of_samples_are_held_against_the_data_before_anything_runs():
    splits, is_wrong = planted_data()
    with pytest.raises(InputError, match="n=10,000 is not less than the"):
        compare(splits, [Planted(is_wrong)], n=[10_000], evaluator="head:epochs=1", seeds=2)


def test_a_folder_that_is_moved_away_while_it_runs_is_told(tmp_path):
    splits, _ = planted_data()
    there = tmp_path / "there"

    def moving(train, held_out, seed, budget):
        if there.exists():
            there.rename(tmp_path / "moved")
        return 0.5

    with pytest.raises(InputError, match=r"comparison\.sqlite is gone"):
        compare(splits, [Alike()], [0.1], moving, 1, there, draws=1)
    assert not there.exists()
