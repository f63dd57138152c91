"""The command line as a user types it."""

from __future__ import annotations

import subprocess
import sys
import warnings
from functools import partial

import numpy as np
import pytest
from PIL import Image

from proxysample import CCOutlierRemoval, Ranking, load_dataset
from proxysample.cli import main
from proxysample.wording import parse_parameters


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
        ({"--param": "progress=no"}, "progress must be True or False, not 'no'"),
        ({"--sampler": "rs", "--param": "random_state=x"}, "random_state must be an integer"),
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


@pytest.mark.parametrize(
    ("command", "output", "message"),
    [
        ("score", "out.pdf", "a ranking is saved as .npz, not 'out.pdf'"),
        ("report -r 0.5", "out.pdf", "a report is saved as .html, not 'out.pdf'"),
        ("select -r 0.5", "missing/out.npy", "the folder missing does not exist; make it first"),
    ],
)
def test_where_nothing_can_be_written_no_work_is_done(
    proxysample, command, output, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(CCOutlierRemoval, "_score", lambda *_: pytest.fail("scored"))
    words = f"{command} --dataset digits --sampler cc-or -o {output}"
    code, _out, err = proxysample(*words.split())
    assert (code, err) == (2, f"error: {message}\n")


def test_a_warning_is_one_line(proxysample, tmp_path):
    for name in ("0.png", "1.png"):
        (tmp_path / "photos" / "cat").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "photos" / "cat" / name)
    (tmp_path / "photos" / "cat" / "2.png").write_text("no image")
    words = f"select --dataset folder-skip-broken:{tmp_path}/photos --sampler rs -r 0.5 -o"
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, _out, err = proxysample(*words.split(), f"{tmp_path}/indices.npy")
    assert code == 0
    assert err.startswith("warning: 1 of 3 images in ")
    assert err.count("\n") == 1
    assert ".py" not in err


def test_words_mean_what_python_or_json_has_them_mean():
    given = ["a=False", "b=false", "c=True", "d=true", "e=None", "f=null", "g=falsch", "h= False"]
    read = parse_parameters(given)
    assert [read[name] for name in "abcdef"] == [False, False, True, True, None, None]
    assert (read["g"], read["h"]) == ("falsch", False)


@pytest.mark.parametrize("at_a_terminal", [False, True])
def test_who_waits_at_a_terminal_sees_progress(proxysample, tmp_path, monkeypatch, at_a_terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: at_a_terminal)
    path = tmp_path / "cc-or.npz"
    words = "score --dataset digits --sampler cc-or -o"
    for asked, expected in (("", at_a_terminal), (" --param progress=false", False)):
        code, _out, err = proxysample(*f"{words} {path}{asked}".split())
        assert code == 0, err
        assert Ranking.load(path).provenance["parameters"]["progress"] is expected


def test_listing_samplers_loads_nothing_heavy():
    code = (
        "import sys, proxysample; proxysample.list_samplers(); "
        "print([m for m in ('torch', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
