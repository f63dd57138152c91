from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from proxysample import InputError
from proxysample.data.folders import read_image_files as read_image_folder
from proxysample.data.keys import Keys
from proxysample.files import replace_folder
from proxysample.subset_folder import make_subset_folder


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
        "proxysample.subset_folder.os.path.lexists",
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
    from proxysample.data.keys import keys_of

    dataset = ArrayDataset(np.zeros((2, 4, 4), dtype=np.uint8), [0, 0], ["cat"], files=files)
    make_subset_folder(tmp_path / "kept", keys_of(dataset), np.array([1]))
    again = read_image_folder(tmp_path / "kept")
    assert again.classes == ["cat"]
    assert again.images.max() == 1


def test_of_two_that_fill_one_folder_the_second_is_told(keys, tmp_path):
    def fill():
        with replace_folder(tmp_path / "kept") as folder:
            (folder / "first").touch()
            make_subset_folder(tmp_path / "kept", keys, np.array([0]))

    with pytest.raises(InputError, match="kept has been filled meanwhile"):
        fill()
    assert found(tmp_path / "kept") == {"cat/1.png": "cat/1.png"}
    assert {one.name for one in tmp_path.iterdir()} == {"photos", "kept"}
