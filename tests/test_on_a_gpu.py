"""The script that measures all there is on a GPU: what it skips, runs, and goes on with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STEPS = (
    "01-gpu-tests",
    "02-kmeans-torch",
    "03-kmeans-faiss",
    "04-embed",
    "05-search-steps",
    "06-recorder",
    "07-study",
)


@pytest.fixture
def visit(tmp_path):
    """Run the script with a double of Python, which tells what it is given and ends as told."""
    double = tmp_path / "python"
    double.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *"$(cat {tmp_path}/fails 2> /dev/null || echo -)"*) exit 3 ;; esac\n'
        'case "$1" in -c) ;; *) echo "ran $*" ;; esac\n'
    )
    double.chmod(0o755)

    def run(*words, fails=None):
        (tmp_path / "fails").write_text(fails or "nothing of this name")
        environment = os.environ | {"PYTHON": str(double), "TMPDIR": str(tmp_path)}
        command = [ROOT / "benchmarks" / "on_a_gpu.sh", "--output", tmp_path / "gpu", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        found = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
        return done.returncode, found, done

    return run


def test_without_a_gpu_only_the_simulated_one_is_tried_and_the_rest_skipped(visit, tmp_path):
    code, told, _ = visit("--device", "cpu", "--dry-run")
    assert code == 0
    assert tuple(told) == STEPS
    assert told.pop("01-gpu-tests").startswith("to do: ")
    assert set(told.values()) == {"skipped, no GPU"}
    assert not (tmp_path / "gpu").exists()


def test_a_visit_runs_in_order_and_the_next_goes_on_where_it_ended(visit, tmp_path):
    words = ("--device", "cuda", "--data", "synthetic")
    code, told, _ = visit(*words, fails="embed.py")
    assert code == 1
    assert told.pop("04-embed").startswith("failed (3)")
    assert set(told.values()) == {"runs"}
    assert "--backend torch --device cuda" in (tmp_path / "gpu" / "02-kmeans-torch.md").read_text()

    code, told, _ = visit(*words, "--dry-run")
    assert {name for name, what in told.items() if what != "done"} == {"04-embed"}

    code, told, done = visit(*words)
    assert code == 0, done.stderr
    tables = (tmp_path / "gpu" / "tables.md").read_text()
    assert [line[3:] for line in tables.splitlines() if line.startswith("## ")] == list(STEPS)
    assert "--preset cifar100-small" in tables


def test_what_no_time_is_left_for_waits_for_the_next_visit(visit):
    code, told, _ = visit("--device", "cuda", "--minutes", "0", "--only", "06-recorder")
    assert (code, told) == (0, {"06-recorder": "left for the next visit"})


def test_a_word_that_it_does_not_know_is_answered_with_its_usage(visit):
    code, _, done = visit("--devise", "cuda")
    assert code == 2
    assert done.stderr.startswith("usage: ")
