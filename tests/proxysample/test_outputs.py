"""Kept sets as files, lists of samples that are read, and folders of links."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from proxysample import InputError, MissingDependencyError, RandomSampling, Ranking
from proxysample.data.classes import Classes
from proxysample.data.folders import read_image_files as read_image_folder
from proxysample.data.keys import Keys, keys_of
from proxysample.files import replace_folder
from proxysample.outputs import (
    SelectionWriter,
    check_destination,
    check_names,
    make_subset_folder,
    read_sample_list,
    spread,
)
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


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"3\n5\n", [3, 5]),
        (b"3\r\n\r\n 5", [3, 5]),
        (b"cat/1.png\r\n2\n", ["cat/1.png", "2"]),
        ("é 1.png".encode(), ["é 1.png"]),
    ],
)
def test_lines_are_indices_or_names(written, read, tmp_path):
    (tmp_path / "list.txt").write_bytes(written)
    assert read_sample_list(tmp_path / "list.txt") == read


def test_what_select_wrote_is_a_list(tmp_path):
    np.save(tmp_path / "list.npy", np.array([4, 2]))
    assert read_sample_list(tmp_path / "list.npy") == [4, 2]


@pytest.mark.parametrize(
    ("name", "written", "message"),
    [
        ("list.txt", b"", "lists no sample"),
        ("list.txt", b"\xff\n", "no text in UTF-8"),
        ("list.npy", b"3\n", "list.npy"),
    ],
)
def test_what_lists_nothing_is_refused(name, written, message, tmp_path):
    (tmp_path / name).write_bytes(written)
    with pytest.raises(InputError, match=message):
        read_sample_list(tmp_path / name)


def test_a_missing_file_a_folder_and_fractions_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_sample_list(tmp_path / "list.txt")
    with pytest.raises(InputError, match="is a folder"):
        read_sample_list(tmp_path)
    np.save(tmp_path / "list.npy", np.array([0.5]))
    with pytest.raises(InputError, match="one-dimensional array of integers"):
        read_sample_list(tmp_path / "list.npy")


@pytest.fixture
def keys(tmp_path):
    files = []
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        files.append(str(file))
    return Keys(tuple(files), "file")


def found(folder):
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*.png")}


@pytest.mark.parametrize("kind", ["symbolic", "hard", "copy"])
def test_class_folders_are_kept(keys, tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "kept"
    relative = Keys(tuple(os.path.relpath(file) for file in keys.values), "file")
    make_subset_folder("kept", relative, np.array([0, 2]), kind)
    assert found(folder) == {"cat/1.png": "cat/1.png", "dog/1.png": "dog/1.png"}
    assert (folder / "cat" / "1.png").is_symlink() == (kind == "symbolic")
    assert Path(keys.values[0]).samefile(folder / "cat" / "1.png") == (kind != "copy")
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_a_folder_that_holds_something_is_refused_and_an_empty_one_is_filled(keys, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    make_subset_folder(folder, keys, np.array([0]))
    with pytest.raises(InputError, match="exists and is not empty"):
        make_subset_folder(folder, keys, np.array([1]))
    assert found(folder) == {"cat/1.png": "cat/1.png"}
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is no folder"):
        make_subset_folder(tmp_path / "file", keys, np.array([1]))
    with pytest.raises(InputError, match="does not exist"):
        make_subset_folder(tmp_path / "missing" / "kept", keys, np.array([1]))


def test_a_file_that_went_away_leaves_no_half_of_a_folder(keys, tmp_path):
    Path(keys.values[2]).unlink()
    with pytest.raises(InputError, match=r"dog/1.png is no file any more"):
        make_subset_folder(tmp_path / "kept", keys, np.array([0, 2]))
    assert [one.name for one in tmp_path.iterdir()] == ["photos"]


def test_a_file_of_two_samples_is_told(keys, tmp_path):
    twice = Keys((keys.values[0], keys.values[0], keys.values[2]), "file")
    with pytest.raises(InputError, match="the file of two kept samples"):
        make_subset_folder(tmp_path / "kept", twice, np.array([0, 1]))


@pytest.mark.parametrize("root", ["photos/dog", "elsewhere", "photos/../photos/cat"])
def test_nothing_lies_outside_whatever_root_a_dataset_tells(keys, tmp_path, root, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    hostile = Keys(keys.values, "file", str(tmp_path / root))
    make_subset_folder(tmp_path / "deep" / "kept", hostile, np.array([0, 1, 2]), "copy")
    assert len(found(tmp_path / "deep" / "kept")) == 3
    assert [one.name for one in (tmp_path / "deep").iterdir()] == ["kept"]


def test_names_with_dots_lead_nowhere_else(keys, tmp_path):
    dotted = Keys((f"{tmp_path}/photos/dog/../cat/1.png", keys.values[2]), "file")
    make_subset_folder(tmp_path / "kept", dotted, np.array([0, 1]), "copy")
    assert sorted(found(tmp_path / "kept")) == ["cat/1.png", "dog/1.png"]


def test_a_file_system_without_case_has_its_clash_told(keys, tmp_path, monkeypatch):
    original = os.path.lexists
    monkeypatch.setattr(
        "proxysample.outputs.os.path.lexists",
        lambda path: str(path).endswith("2.png") or original(path),
    )
    with pytest.raises(InputError, match="another kept file has its name there"):
        make_subset_folder(tmp_path / "kept", keys, np.array([0, 1]))


def test_samples_without_files_make_no_folder(tmp_path):
    for keys in (None, Keys(("p",), "key")):
        with pytest.raises(InputError, match="have no files of their own"):
            make_subset_folder(tmp_path / "kept", keys, np.array([0]))


def test_a_folder_of_links_is_a_dataset_again(tmp_path):
    from PIL import Image

    files = []
    for number in range(2):
        file = tmp_path / "photos" / "cat" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number).save(file)
        files.append(file)
    from proxysample import ArrayDataset

    dataset = ArrayDataset(np.zeros((2, 4, 4), dtype=np.uint8), [0, 0], ["cat"], files=files)
    make_subset_folder(tmp_path / "kept", keys_of(dataset), np.array([1]))
    again = read_image_folder(tmp_path / "kept")
    assert again.classes == ["cat"]
    assert again.images.max() == 1


def test_a_folder_in_that_of_the_dataset_is_refused(keys, tmp_path):
    photos = tmp_path / "photos"
    inside = Keys(keys.values, "file", str(photos))
    (tmp_path / "link").symlink_to(photos)
    for folder in (photos / "kept", tmp_path / "link" / "kept", photos / "cat" / "kept"):
        with pytest.raises(InputError, match="would then hold the kept files twice"):
            make_subset_folder(folder, inside, np.array([0]))
    make_subset_folder(tmp_path / "photos-kept", inside, np.array([0]))


def test_a_listed_folder_is_known_as_the_datasets(keys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = keys_of(read_image_folder(Path("photos")))
    for folder in ("photos/kept", str(tmp_path / "photos" / "cat")):
        with pytest.raises(InputError, match=r"would then hold the kept files twice|not empty"):
            make_subset_folder(folder, listed, np.array([0]))
    make_subset_folder("kept", listed, np.array([0]))
    assert len(list((tmp_path / "kept").rglob("*.*"))) == 1


def test_of_two_that_fill_one_folder_the_second_is_told(keys, tmp_path):
    def fill():
        with replace_folder(tmp_path / "kept") as folder:
            (folder / "first").touch()
            make_subset_folder(tmp_path / "kept", keys, np.array([0]))

    with pytest.raises(InputError, match="kept has been filled meanwhile"):
        fill()
    assert found(tmp_path / "kept") == {"cat/1.png": "cat/1.png"}
    assert {one.name for one in tmp_path.iterdir()} == {"photos", "kept"}
