"""The command ``proxysample compare``, from a dry run to the page."""

from __future__ import annotations

import re

import pytest

from proxysample.cli import main

SETTINGS = ["--dataset", "digits", "--sampler", "cc-or", "-r", "0.1", "--features", "pixels"]
SETTINGS += ["--seeds", "2", "--draws", "2", "--evaluator", "head:epochs=1", "--workers", "1"]


def test_dry_run_then_run_then_shown_again(command_line, tmp_path):
    folder = tmp_path / "results"
    code, out, _ = command_line(main, "compare", *SETTINGS, "-o", str(folder), "--dry-run")
    assert code == 0
    assert out.splitlines()[0] == "5 scorings, 0 of them done and 10 trainings, 0 of them done"
    assert re.search(r"CC-OR +1 +2 +3\n", out)
    assert not folder.exists()

    code, out, err = command_line(main, "compare", *SETTINGS, "-o", str(folder))
    assert code == 0
    # No bar but at a terminal.
    assert err == ""
    assert "## What is worth keeping of digits" in out
    assert "Take a class-random part" in out or "Keep 0.1 of the data" in out
    page = (folder / "report" / "comparison.html").read_text()
    assert "data:image/svg+xml;base64," in page
    assert "What is kept and dropped at r = 0.1" in page
    assert "<script" not in page
    assert (folder / "report" / "comparison.tex").read_text().count("CC-OR") == 1
    assert (folder / "comparison.csv").read_text().startswith("method,arm,r,n_kept,mean_accuracy")

    code, again, _ = command_line(main, "compare", "-o", str(folder))
    assert code == 0
    assert again == out
    code, out, _ = command_line(main, "compare", *SETTINGS, "-o", str(folder), "--dry-run")
    assert out.splitlines()[0] == "5 scorings, 5 of them done and 10 trainings, 10 of them done"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "nowhere"], "no comparison at"),
        (["--sampler", "cc-or", "-o", "nowhere"], "give --dataset, too"),
        (["--dataset", "digits", "-r", "0.1", "-o", "nowhere"], "give at least one --sampler"),
        (["--dataset", "digits", "--sampler", "cc-or", "-o", "nowhere"], "at least one ratio"),
        ([*SETTINGS, "--budget", "time", "-o", "nowhere"], "unknown budget 'time'"),
        ([*SETTINGS, "--executor", "raye", "-o", "nowhere"], "did you mean 'ray'"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(
    command_line, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    code, _, err = command_line(main, "compare", *words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_failures_are_told_and_the_exit_code_says_so(command_line, tmp_path):
    bad = ["--sampler", "km-or:n_clusters=5000", "--features", "pixels"]
    words = ["--dataset", "digits", *bad, "-r", "0.1", "--seeds", "1", "--draws", "1"]
    words += ["--evaluator", "head:epochs=1", "--workers", "1", "-o", str(tmp_path / "one")]
    code, out, err = command_line(main, "compare", *words)
    assert code == 2
    assert "failed: scoring:" in err
    assert "--retry-failed runs them again" in err
    assert "There is nothing to tell: " in out or "CC-RS" in out


def test_numbers_of_samples_are_an_option_beside_ratios(command_line, tmp_path):
    words = ["compare", *SETTINGS, "-n", "50", "-o", str(tmp_path / "x"), "--dry-run"]
    code, out, _ = command_line(main, *words)
    assert code == 0
    # Once more on each of cc-or, cc-rs, rs and RS2, from the same scorings.
    assert out.splitlines()[0] == "5 scorings, 0 of them done and 18 trainings, 0 of them done"
    code, _, err = command_line(main, "compare", "-n", "50", "-o", str(tmp_path / "x"))
    assert (code, "give --dataset, too" in err) == (2, True)
