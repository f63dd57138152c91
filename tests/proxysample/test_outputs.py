from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest

from proxysample import InputError, MissingDependencyError, RandomSampling, Ranking
from proxysample.data.classes import Classes
from proxysample.data.keys import Keys
from proxysample.outputs import SelectionWriter, check_destination, check_names, spread
from proxysample.selection import Cut

RANKING = Ranking(
    np.array([0.25, 0.1, 0.5, 0.75]),
    classes=Classes(("cat", "dog"), np.array([0, 1, 0, 1])),
    provenance={"sampler": "rs", "parameters": {"random_state": 0}},
)
KEYS = Keys(("a.png", "b,c.png", 'd"e.png', "é.png"), "file")


@pytest.fixture
def write(tmp_path):
    def written(name, keys=KEYS, **asked):
        cut = Cut(**(asked or {"n": 2}))
        path = tmp_path / name
        check_destination(str(path))
        indices = RANKING.select(cut.r, n=cut.n, exclude=cut.exclude)
        SelectionWriter(RANKING, keys, "folder:photos").write(str(path), cut, indices)
        return path

    return written


def test_a_csv_has_a_row_for_each_sample(write):
    with write("kept.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["index", "file", "label", "score", "rank", "kept"],
        ["0", "a.png", "cat", "0.25", "2", "True"],
        ["1", "b,c.png", "dog", "0.1", "1", "True"],
        ["2", 'd"e.png', "cat", "0.5", "3", "False"],
        ["3", "é.png", "dog", "0.75", "4", "False"],
    ]


def test_a_parquet_holds_what_the_frame_holds(write):
    parquet = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("pandas")
    table = parquet.read_table(write("kept.parquet", keys=None)).to_pandas()
    frame = RANKING.to_frame(n=2)
    assert table.to_dict("list") == frame.to_dict("list")
    assert list(frame) == ["index", "label", "score", "rank", "kept"]
    assert list(RANKING.to_frame()) == ["index", "label", "score", "rank"]


def test_a_text_lists_the_kept_files(write):
    assert write("kept.txt").read_text(encoding="utf-8") == "a.png\nb,c.png\n"


def test_json_tells_what_was_asked_for(write):
    written = json.loads(write("kept.json", r=0.5, exclude=[0]).read_text())
    assert written["indices"] == [1, 2]
    assert written["files"] == ["b,c.png", 'd"e.png']
    assert (written["sampler"], written["r"], written["n"]) == ("rs", 0.5, 2)
    assert written["dataset"] == "folder:photos"


def test_indices_are_an_array(write):
    indices = np.load(write("kept.npy"))
    assert indices.dtype == np.int64
    assert indices.tolist() == [0, 1]


def test_excluded_samples_rank_last_and_the_kept_ones_first():
    pytest.importorskip("pandas")
    frame = RANKING.to_frame(n=2, exclude=[1], must_keep=[3])
    assert frame["rank"].tolist() == [2, 4, 3, 1]
    assert frame["kept"].tolist() == (frame["rank"] <= 2).tolist()


def test_a_frame_checks_the_dataset_and_names_its_samples():
    pandas = pytest.importorskip("pandas")
    dataset = pandas.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]}, index=["p", "q", "r", "s"])
    ranking = RandomSampling(random_state=0).rank(dataset)
    assert ranking.to_frame(dataset=dataset)["key"].tolist() == ["p", "q", "r", "s"]
    with pytest.raises(InputError, match="the ranking is of 4 samples"):
        ranking.to_frame(dataset=dataset[:3])


def test_a_missing_package_is_named_with_its_extra(monkeypatch, tmp_path):
    for module in ("pandas", "pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=r"'proxysample\[pandas\]'"):
        RANKING.to_frame()
    with pytest.raises(MissingDependencyError, match=r"'proxysample\[parquet\]'"):
        check_destination(str(tmp_path / "kept.parquet"))


def test_names_are_checked_where_they_are_written():
    hostile = Keys(("a\udcff.png",), "file")
    check_names(["kept.npy", "-"], hostile)
    for name in ("kept.csv", "kept.txt", "kept.json", "kept.parquet"):
        with pytest.raises(InputError, match="is no UTF-8"):
            check_names([name], hostile)
    with pytest.raises(InputError, match="these samples have none"):
        check_names(["kept.txt"], Keys(("p",), "key"))


def test_a_destination_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"to -, standard output; not 'kept.pdf'"):
        check_destination(str(tmp_path / "kept.pdf"))
    with pytest.raises(InputError, match="does not exist"):
        check_destination(str(tmp_path / "missing" / "kept.csv"))
    check_destination("-")


def test_a_pattern_names_each_set():
    assert spread("{n}.csv", [Cut(r=0.5), Cut(n=3)]) == ["0.5.csv", "3.csv"]
    with pytest.raises(InputError, match=r"put \{r\} in it"):
        spread("kept.csv", [Cut(r=0.5), Cut(n=3)])
    with pytest.raises(InputError, match="standard output takes one"):
        spread("-", [Cut(r=0.5), Cut(n=3)])
