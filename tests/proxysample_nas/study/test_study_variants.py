"""Studies with several searches per setting, the paper's data protocol, transfers and lookups."""

from __future__ import annotations

import csv
import statistics

import numpy as np
import pytest

from proxysample import InputError
from proxysample.data.datasets import load_dataset
from proxysample_nas.space.cell import all_cells
from proxysample_nas.study import Lookup, Study, Transfer

RANDOM = "random:n_nodes=4,n_samples=1"


def settings(**changed):
    return {
        "dataset": "digits",
        "n_train": 120,
        "samplers": ["cc-or", "rs"],
        "ratios": [0.5, 0.25],
        "searchers": [RANDOM],
        "channels": [4],
        "seeds": [777],
        "training": {"epochs": 1, "cells_per_stage": 1, "batch_size": 64},
        "augmentation": {"flip": False},
    } | changed


@pytest.fixture(scope="module")
def other_digits(tmp_path_factory):
    """Other data than the digits themselves: their left halves."""
    path = tmp_path_factory.mktemp("data") / "left.npz"
    digits = load_dataset("digits")
    np.savez(
        path,
        train_images=digits.train.images[:100, :, :4],
        train_labels=digits.train.targets[:100],
        test_images=digits.test.images[:, :, :4],
        test_labels=digits.test.targets,
    )
    return f"npz:{path}"


def test_several_searches_of_a_setting_are_a_distribution(tmp_path):
    study = Study(**settings(search_seeds=[0, 1, 2]), folder=tmp_path)
    assert study.run(progress=False) == 0
    rows = study.rows("random")
    assert [[one.seed for one in row.found] for row in rows] == [[0, 1, 2]] * 5
    assert len({one.cell for row in rows for one in row.found}) > 1
    (baseline, *_) = rows
    means = baseline.accuracies(4)
    assert means == [one.evaluations[4].accuracies[0] for one in baseline.found]
    text = study.table()
    assert f"{statistics.fmean(means):.1f} ± {statistics.stdev(means):.1f}" in text
    assert "3 searches per row" in text
    with next(p for p in study.save_tables() if p.suffix == ".csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [line["search_seed"] for line in lines] == ["0", "1", "2"] * 5
    assert [float(line["accuracy_mean_c4"]) for line in lines[:3]] == means


def test_the_first_search_does_not_depend_on_how_many_there_are(tmp_path):
    one = Study(**settings(samplers=["rs"]), folder=tmp_path / "one")
    two = Study(**settings(samplers=["rs"], search_seeds=[0, 5]), folder=tmp_path / "two")
    for study in (one, two):
        assert study.run(progress=False) == 0
    for alone, beside in zip(one.rows("random"), two.rows("random"), strict=True):
        assert alone.found[0].cell == beside.found[0].cell


def test_the_papers_protocol_searches_and_judges_on_halves_of_the_test_part(tmp_path):
    searcher = "darts-v1:n_nodes=3,channels=4,cells_per_stage=1,epochs=1,protocol=paper"
    study = Study(
        **settings(searchers=[searcher], samplers=["rs"], architecture_data="test-half"),
        folder=tmp_path,
    )
    assert study.run(progress=False) == 0
    (run,) = study.rows("darts-v1")[0].found[0].evaluations[4].runs
    assert (run.split, run.n_test, run.n_train) == ("test half", 180, 120)
    text = study.table()
    assert "180 test images (half of the test part)" in text
    assert "120 images train weights and 180 the architecture" in text
    assert "architecture data half of the test part" in text
    assert "The other half is never seen" in text


def test_halves_of_the_test_part_are_apart():
    from proxysample_nas.study.experiments.data import load_study_data

    data = load_study_data("digits", architecture_data="test-half")
    whole = load_study_data("digits")
    parts = [data.architecture_images.images, data.test_images.images]
    together = np.concatenate([part.flatten(1).numpy() for part in parts])
    expected = whole.test_images.images.flatten(1).numpy()
    assert sorted(map(bytes, together)) == sorted(map(bytes, expected))


def test_the_best_cells_are_evaluated_on_another_dataset(tmp_path, other_digits):
    transfer = Transfer(
        dataset=other_digits,
        n_best=1,
        channels=8,
        training={"epochs": 1, "cells_per_stage": 1},
        augmentation={"flip": False},
    )
    study = Study(**settings(transfers=[transfer]), folder=tmp_path)
    assert study.run(progress=False) == 0
    rows = study.results().rows
    best = {}
    for row in rows:
        for one in row.found:
            best.setdefault(row.group, []).append((one.evaluations[4].mean, one.cell))
    expected = {cell for _, cell in best.pop("Baseline")}
    expected |= {max(members, key=lambda member: member[0])[1] for members in best.values()}
    cells = list({one.cell for row in rows for one in row.found})
    evaluated = study.results().transferred(transfer, cells)
    assert set(evaluated) == expected
    for accuracy in evaluated.values():
        (run,) = accuracy.runs
        assert (run.n_train, run.n_test, run.split) == (100, 360, "test")


def test_transfers_read_words():
    words = "cifar10:data,n_best=1,channels=16,epochs=3,flip=false"
    assert Transfer.parse(words) == Transfer(
        dataset="cifar10:data",
        n_best=1,
        channels=16,
        training={"epochs": 3},
        augmentation={"flip": False},
    )


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "published.csv"
    with path.open("w") as stream:
        writer = csv.writer(stream)
        writer.writerow(["index", "arch", "cifar100_test_200ep"])
        for index, cell in enumerate(all_cells(4)):
            writer.writerow([index, cell, round(70 * index / 15_624, 4)])
    return path


def test_published_accuracies_stand_in_for_training(tmp_path, published):
    lookup = Lookup(path=str(published), dataset="cifar100")
    study = Study(**settings(channels=[16], lookup=lookup), folder=tmp_path / "study")
    assert study.run(progress=False) == 0
    with published.open() as stream:
        expected = {line["arch"]: line["cifar100_test_200ep"] for line in csv.DictReader(stream)}
    for row in study.rows("random"):
        (one,) = row.found
        assert one.evaluations[16].is_looked_up
        assert one.evaluations[16].accuracies == (float(expected[str(one.cell)]),)
    text = study.table()
    assert "nothing was trained" in text
    assert Study.open(tmp_path / "study").table() == text


def test_changed_accuracies_are_looked_up_again(tmp_path, published):
    lookup = Lookup(path=str(published), dataset="cifar100")
    study = Study(**settings(channels=[16], lookup=lookup), folder=tmp_path / "study")
    study.run(progress=False)
    (before,) = study.rows("random")[0].accuracies(16)
    with published.open() as stream:
        lines = list(csv.reader(stream))
    with published.open("w") as stream:
        csv.writer(stream).writerows(
            lines[:1] + [[index, arch, float(a) / 2] for index, arch, a in lines[1:]]
        )
    study.run(progress=False)
    assert study.rows("random")[0].accuracies(16) == [before / 2]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lookup": {"path": "missing.csv", "dataset": "cifar100"}}, "no such file"),
        ({"transfers": ["npz:missing.npz"]}, "no such file"),
    ],
)
def test_what_cannot_be_read_is_refused_before_any_work(changed, message, tmp_path):
    study = Study(**settings(channels=[16]) | changed, folder=tmp_path)
    with pytest.raises(InputError, match=message):
        study.run(progress=False)
    assert not (tmp_path / "study.sqlite").exists()


def test_variants_of_a_sampler_stand_in_the_order_they_were_named(tmp_path):
    samplers = [f"km-or:n_clusters={k}" for k in (5, 10, 20)]
    study = Study(**settings(samplers=[*samplers, "rs"], ratios=[0.5]), folder=tmp_path)
    assert study.run(progress=False) == 0
    names = [row.method.rstrip("*") for row in study.rows("random")]
    assert names == ["Full DS", "RS", *(f"KM-OR (n_clusters={k})" for k in (5, 10, 20))]


def test_data_that_changed_between_two_runs_are_refused(tmp_path):
    path = tmp_path / "own.npz"
    digits = load_dataset("digits")
    arrays = {
        "train_images": digits.train.images[:100].copy(),
        "train_labels": digits.train.targets[:100],
        "test_images": digits.test.images,
        "test_labels": digits.test.targets,
    }
    np.savez(path, **arrays)
    own = settings(dataset=f"npz:{path}", n_train=None, samplers=["rs"], ratios=[0.5])
    study = Study(**own, folder=tmp_path / "study")
    assert study.run(progress=False) == 0
    before = study.table()
    arrays["train_images"][0, 0, 0] ^= 1
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="have changed since this study's last run"):
        study.run(progress=False)
    assert study.table() == before
    # Another folder is another study.
    assert Study(**own, folder=tmp_path / "other").run(progress=False) == 0
