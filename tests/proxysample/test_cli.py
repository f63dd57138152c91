"""The command line as a user types it."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from proxysample import CCOutlierRemoval, Ranking, load_dataset
from proxysample.cli import main


@pytest.fixture
def proxysample(command_line):
    return partial(command_line, main)


def test_select_writes_the_indices_that_python_gives(proxysample, tmp_path):
    path = tmp_path / "indices.npy"
    words = "select --dataset digits --sampler cc-or -r 0.25 -o"
    code, out, err = proxysample(*words.split(), str(path))
    assert code == 0, err
    assert "keeps 359 of the 1,437 training samples of digits" in out
    expected = CCOutlierRemoval().select(load_dataset("digits").train, 0.25)
    assert np.array_equal(np.load(path), expected)


def test_score_writes_a_ranking(proxysample, tmp_path):
    path = tmp_path / "km-or.npz"
    words = "score --dataset digits --sampler km-or --param n_clusters=10 -o"
    code, _out, err = proxysample(*words.split(), str(path))
    assert code == 0, err
    assert Ranking.load(path).provenance["parameters"]["n_clusters"] == 10


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"-r": "0"}, "must be in (0, 1]"),
        ({"-r": "1.5"}, "must be in (0, 1]"),
        ({"-r": "nan"}, "must be in (0, 1]"),
        ({"-r": "half"}, "not 'half'"),
        ({"--sampler": "cc-ro"}, "did you mean"),
        ({"--dataset": "npz:missing.npz"}, "no such file"),
        ({"--param": "n_clusters"}, "name=value"),
        ({"-o": "indices.txt"}, "written as .npy"),
        ({"-o": "missing/indices.npy"}, "does not exist"),
    ],
)
def test_bad_input_gets_one_clear_message(proxysample, changed, message, tmp_path):
    options = {"--dataset": "digits", "--sampler": "cc-or", "-r": "0.5"}
    options |= {"-o": str(tmp_path / "indices.npy")} | changed
    code, _out, err = proxysample(
        "select", *(word for option in options.items() for word in option)
    )
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_listing_samplers_loads_nothing_heavy():
    code = (
        "import sys, proxysample; proxysample.list_samplers(); "
        "print([m for m in ('torch', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
