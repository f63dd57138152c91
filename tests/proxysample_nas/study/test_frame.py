"""A study's results as a pandas frame, and as a notebook shows them."""

from __future__ import annotations

import json
import sys

import pytest

from proxysample import InputError, MissingDependencyError
from proxysample_nas.space.cell import Cell
from proxysample_nas.study import Study
from proxysample_nas.study.reports.results import COLUMNS

from .written_store import write_results

CONVOLUTION = Cell.filled("nor_conv_3x3", n_nodes=4)
SKIP = Cell.filled("skip_connect", n_nodes=4)


@pytest.fixture
def study(tmp_path):
    """Two searchers; one search is missing, and one width of one cell."""
    write_results(
        tmp_path,
        lambda setting, seed: (
            None
            if (setting.searcher.name, setting.r) == ("gdas", 0.5) and seed == 1
            else (CONVOLUTION if setting.sampler else SKIP, 3.0 + seed)
        ),
        lambda cell, channels: [70.0, 71.0] if (cell, channels) != (SKIP, 8) else [],
        searchers=["gdas:n_nodes=4,epochs=3", "random:n_nodes=4"],
        samplers=["km-or:n_clusters=5"],
        search_seeds=[0, 1],
        channels=[4, 8],
        seeds=[777, 888],
    )
    return Study.open(tmp_path)


def test_a_frame_has_one_line_for_each_evaluation(study):
    frame = study.to_frame()
    assert list(frame.columns) == list(COLUMNS)
    # A baseline has one width, of four; searches of one searcher and of the other.
    assert frame.groupby(["searcher", "method"]).size().to_dict() == {
        ("gdas", "Full DS"): 4,
        ("gdas", "KM-OR (n_clusters=5)"): 4,
        ("random", "Full DS"): 4,
        ("random", "KM-OR (n_clusters=5)"): 8,
    }
    line = frame[(frame.searcher == "random") & (frame.r == 0.5)].iloc[-1]
    assert line.sampler_parameters == {"n_clusters": 5}
    assert line[["group", "sampler", "search_seed", "channels", "evaluation_seed"]].tolist() == [
        "Unsupervised", "km-or", 1, 8, 888,
    ]  # fmt: skip
    assert (line.accuracy, line.search_seconds, line.scoring_seconds) == (71.0, 4.0, 2.0)
    assert Cell.from_string(line.cell) == CONVOLUTION
    assert frame[frame.method == "Full DS"].is_parameter_free.all()
    assert frame[frame.method == "Full DS"].sampler.isna().all()
    assert str(frame.channels.dtype) == "Int64"


def test_one_csv_file_has_all_lines_of_the_frame(study):
    pandas = pytest.importorskip("pandas")
    paths = study.save_tables()
    (path,) = [one for one in paths if one.name == "searches.csv"]
    written, frame = pandas.read_csv(path), study.to_frame()
    assert list(written.columns) == list(COLUMNS)
    assert len(written) == len(frame)
    for name in ("cell", "accuracy", "n_parameters", "n_flops", "search_seed", "is_collapsed"):
        assert written[name].tolist() == frame[name].tolist()
    assert written.sampler_parameters[4:5].map(json.loads).tolist() == [{"n_clusters": 5}]


def test_a_search_without_an_evaluation_has_a_line(tmp_path):
    write_results(
        tmp_path, lambda *_: (SKIP, 3.0), lambda *_: [], searchers=["random:n_nodes=4"],
    )  # fmt: skip
    frame = Study.open(tmp_path).to_frame()
    assert len(frame) == 2
    assert frame.accuracy.isna().all()
    assert frame.channels.isna().all()


def test_without_pandas_the_extra_is_named(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'proxysample\[pandas\]'"):
        study.to_frame()


def test_a_notebook_shows_the_tables(study, tmp_path):
    shown = study._repr_html_()
    assert shown.count("<table") == 2
    assert "KM-OR (n_clusters=5)" in shown
    assert "71" in shown
    new = Study(
        dataset="<digits>", samplers=["rs"], searchers=["random"], ratios=[0.5],
        folder=tmp_path / "new",
    )  # fmt: skip
    assert "Study of &lt;digits&gt; in " in new._repr_html_()
    assert repr(new).endswith("/new: RS at r = 0.5; RANDOM")
    with pytest.raises(InputError, match="run one first"):
        new.to_frame()
