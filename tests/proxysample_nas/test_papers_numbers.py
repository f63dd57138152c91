from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path

import pytest

from proxysample_nas.paper import (
    CHANNELS,
    papers_row,
    papers_rows,
    papers_transfer_rows,
    table_number,
)

from .extract_papers_numbers import extract

SAMPLERS = ("rs", "km-or", "ae", "cc-rs", "cc-or", "tl")
RATIOS = (0.75, 0.5, 0.25)


def test_every_setting_of_the_papers_grid_is_there_once():
    found = [(row.searcher, row.sampler, row.r) for row in papers_rows()]
    grid = [
        (searcher, sampler, r)
        for searcher in ("darts-v1", "darts-v2", "enas", "gdas")
        for sampler, r in [(None, 1.0), *((s, r) for s in SAMPLERS for r in RATIOS)]
    ]
    assert found == grid
    assert all(tuple(row.accuracies) == CHANNELS for row in papers_rows())


@pytest.mark.parametrize(
    ("searcher", "sampler", "r", "channels", "printed"),
    [
        ("darts-v1", None, 1.0, 16, "32.6 ± 0.7"),
        ("darts-v1", "ae", 0.5, 64, "75.7 ± 0.1"),
        ("darts-v2", "cc-or", 0.75, 32, "72.5 ± 0.2"),
        ("darts-v2", "tl", 0.5, 64, "75.7 ± 0.2"),
        ("enas", "rs", 0.75, 16, "11.7 ± 0.53"),
        ("enas", "cc-or", 0.5, 64, "18.3 ± 0.1"),
        ("gdas", "cc-rs", 0.25, 32, "39.0 ± 0.8"),
        ("gdas", "tl", 0.25, 64, "65.6 ± 0.1"),
    ],
)
def test_numbers_stand_as_they_are_printed(searcher, sampler, r, channels, printed):
    assert papers_row(searcher, sampler, r).accuracies[channels].printed == printed


def test_the_local_optimum_is_marked_where_the_paper_marks_it():
    marked = [(row.table, row.method, row.r) for row in papers_rows() if row.is_marked]
    assert marked == [
        (1, "RS", 0.5),
        (1, "RS", 0.25),
        *((1, "CC-RS", r) for r in RATIOS),
        *((2, "RS", r) for r in RATIOS),
        (2, "KM-OR", 0.5),
        (2, "CC-RS", 0.25),
        (3, "CC-OR", 0.5),
    ]


def test_table_5_has_the_baselines_and_six_proxies():
    rows = papers_transfer_rows()
    groups = [row.group for row in rows]
    assert groups == ["nas-bench-201"] * 4 + ["baseline"] * 3 + ["ae"] * 3 + ["tl"] * 3
    resnet, best = rows[0], rows[10]
    assert (resnet.model, resnet.accuracies["imagenet16-120"].mean) == ("ResNet", 43.6)
    assert resnet.accuracies["cifar100"].std is None
    assert (best.model, best.r) == ("DARTS-V2", 0.5)
    assert best.accuracies["imagenet16-120"].printed == "54.2 ± 0.8"
    # The proxies' accuracies on CIFAR-100 are those of Tables 1 to 4 at 64 channels.
    for row in rows[7:]:
        same = papers_row(row.model.lower(), row.group, row.r)
        assert same.accuracies[64].mean == row.accuracies["cifar100"].mean


def test_what_the_paper_has_not_is_none():
    assert papers_row("random", None, 1.0) is None
    assert papers_row("gdas", "rs", 0.1) is None
    assert table_number("random") is None
    assert table_number("enas") == 3


def test_the_data_are_what_the_papers_text_says():
    path = os.environ.get("PROXYSAMPLE_PAPER")
    if path is None:
        pytest.skip("PROXYSAMPLE_PAPER does not name the paper's text")
    package = files("proxysample_nas")
    kept = json.loads(package.joinpath("papers_numbers.json").read_text(encoding="utf-8"))
    assert extract(Path(path).read_text()) == kept
