"""The command line as a user types it, in processes of its own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from proxysample import CCOutlierRemoval, Ranking, load_dataset


def proxysample(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from proxysample.cli import main; main()", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_select_writes_the_indices_that_python_gives(tmp_path):
    path = tmp_path / "indices.npy"
    words = "select --dataset digits --sampler cc-or -r 0.25 -o"
    done = proxysample(*words.split(), str(path))
    assert done.returncode == 0, done.stderr
    assert "keeps 359 of the 1,437 training samples of digits" in done.stdout
    expected = CCOutlierRemoval().select(load_dataset("digits").train, 0.25)
    assert np.array_equal(np.load(path), expected)


def test_score_writes_a_ranking(tmp_path):
    path = tmp_path / "km-or.npz"
    words = "score --dataset digits --sampler km-or --param n_clusters=10 -o"
    done = proxysample(*words.split(), str(path))
    assert done.returncode == 0, done.stderr
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
def test_bad_input_gets_one_clear_message(changed, message, tmp_path):
    options = {"--dataset": "digits", "--sampler": "cc-or", "-r": "0.5"}
    options |= {"-o": str(tmp_path / "indices.npy")} | changed
    done = proxysample("select", *(word for option in options.items() for word in option))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_listing_samplers_loads_nothing_heavy():
    code = (
        "import sys, proxysample; proxysample.list_samplers(); "
        "print([m for m in ('torch', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
