"""The commands of studies as a user types them."""

from __future__ import annotations

import csv
import sys
from functools import partial

import pytest

from proxysample_nas.cli import main
from proxysample_nas.space.cell import all_cells
from proxysample_nas.study import Study

SMALL = (
    "study run --preset digits-demo --n-train 100 --sampler rs -r 0.5 --workers 1 "
    "--searcher random:n_nodes=4,n_samples=1 "
)


@pytest.fixture
def proxysample_nas(command_line):
    return partial(command_line, main)


def test_every_setting_has_an_option(proxysample_nas, tmp_path):
    words = SMALL + "--search-seed 0 --search-seed 1 --architecture-data test-half --channels 4 "
    words += "--seed 777 --recipe paper --train epochs=1 --train cells_per_stage=1 "
    words += "--augment crop_padding=0 --augment flip=False"
    code, out, err = proxysample_nas(*words.split(), "--output", str(tmp_path / "study"))
    assert code == 0, err
    configuration = Study.open(tmp_path / "study").configuration
    assert configuration.search_seeds == (0, 1)
    assert configuration.architecture_data == "test-half"
    assert configuration.recipe == "paper"
    assert configuration.training == {"epochs": 1, "cells_per_stage": 1}
    assert configuration.augmentation == {"crop_padding": 0, "flip": False}
    assert "2 searches per row" in out


def test_published_accuracies_are_looked_up(proxysample_nas, tmp_path):
    published = tmp_path / "published.csv"
    with published.open("w") as stream:
        writer = csv.writer(stream)
        writer.writerow(["index", "arch", "cifar100_test_200ep"])
        writer.writerows([index, cell, 12.5] for index, cell in enumerate(all_cells(4)))
    words = SMALL + f"--channels 16 --lookup {published} --lookup-dataset cifar100"
    code, out, err = proxysample_nas(*words.split(), "--output", str(tmp_path / "study"))
    assert code == 0, err
    assert "12.5" in out
    assert "looked up in published.csv" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--lookup missing.csv --channels 16", "missing.csv: no such file"),
        ("--architecture-data test", "did you mean 'test-half'"),
        ("--recipe papers", "did you mean 'paper'"),
        ("--transfer npz:other.npz,n_bst=1", "n_bst"),
        ("--augment flips=false", "did you mean 'flip'"),
        ("--augment flip=no", "flip must be True or False, not 'no'"),
        ("--train epoch=1", "did you mean 'epochs'"),
        ("--seed -1", "seeds must be"),
    ],
)
def test_bad_settings_get_one_clear_message(proxysample_nas, words, message, tmp_path):
    command = (SMALL + words).split()
    code, _out, err = proxysample_nas(*command, "--output", str(tmp_path / "study"))
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_what_could_not_be_tried_is_told_from_what_failed(proxysample_nas, tmp_path):
    words = SMALL + "--sampler km-or:n_clusters=500 --channels 4 --train epochs=1"
    code, _out, err = proxysample_nas(*words.split(), "--output", str(tmp_path / "study"))
    assert code == 2
    assert err.count("failed: ") == 1
    assert "2 experiments failed, or need one that did" in err


def test_a_presets_transfers_can_be_taken_away(proxysample_nas, tmp_path):
    words = "study run --preset paper --transfer none --dataset npz:missing.npz -o"
    code, _out, err = proxysample_nas(*words.split(), str(tmp_path / "study"))
    assert code == 2
    # The transfer's dataset is missing as well: the study's own is what is complained of.
    assert "missing.npz" in err


@pytest.mark.parametrize("at_a_terminal", [False, True])
def test_who_waits_for_a_dry_run_sees_what_it_times(
    proxysample_nas, tmp_path, monkeypatch, at_a_terminal
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: at_a_terminal)
    words = SMALL + "--channels 4 --train epochs=1 --dry-run --calibration-seconds 0"
    code, out, err = proxysample_nas(*words.split(), "--output", str(tmp_path / "study"))
    assert code == 0
    assert "timing: " not in out
    assert ("train a cell at C=4" in err) == ("timing: " in err) == at_a_terminal
    assert at_a_terminal or err == ""
