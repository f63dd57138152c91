from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proxysample import CCRandomSampling, InputError, RandomSampling, load_dataset
from proxysample.data.folders import SUFFIXES, SkippedFilesWarning, list_folder, parts_of
from proxysample.data.whole import BrokenImageWarning, read_whole


def put(root: Path, *names: str, content: bytes = b"") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    root = put(
        tmp_path / "photos",
        *("b/2.png", "b/10.JPG", "b/z/1.webp", "b/a/1.tiff", "b/a-b/1.bmp", "b/a/c/9.pgm"),
        *("a/é.ppm", "a/Z.jpeg", "a/_.tif", "A/1.png", "10/1.png", "9/x/y/1.png", "b/1.png"),
    )
    put(tmp_path / "elsewhere", "5.png", "deep/6.png")
    (root / "c").mkdir()
    (root / "c" / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "c" / "0.png").symlink_to(tmp_path / "elsewhere" / "5.png")
    return root


def test_files_order_and_suffixes_are_those_of_torchvision(nested):
    folder = pytest.importorskip("torchvision.datasets.folder")
    listing, theirs = list_folder(nested), folder.ImageFolder(nested)
    assert list(zip(map(str, listing.files), listing.labels, strict=True)) == theirs.samples
    assert len(theirs.samples) == 16
    assert listing.classes == theirs.classes
    assert set(SUFFIXES) == set(folder.IMG_EXTENSIONS)


def test_clutter_is_not_seen_and_other_files_are_counted(tmp_path):
    put(tmp_path, "cat/1.png", "cat/._1.png", "cat/.DS_Store", "cat/Thumbs.db", "dog/1.png")
    put(tmp_path, ".git/1.png", "__MACOSX/1.png", "cat/.ipynb_checkpoints/1.png", ".hidden.png")
    listing = list_folder(tmp_path)
    assert [file.relative_to(tmp_path).as_posix() for file in listing.files] == [
        "cat/1.png",
        "dog/1.png",
    ]
    assert listing.classes == ["cat", "dog"]
    assert listing.skipped == {}
    put(tmp_path, "cat/a.txt", "cat/b.TXT", "dog/c.gif", "dog/README", "1.png", "notes.md")
    with pytest.warns(SkippedFilesWarning) as told:
        load_dataset(f"folder:{tmp_path}")
    (message,) = [str(one.message) for one in told]
    assert "6 files" in message
    for part in ("1 .gif", "2 .txt", "1 without a suffix", "1 .png beside the class folders"):
        assert part in message


def test_a_flat_folder_has_no_classes(tmp_path):
    put(tmp_path, "b.png", "a.png", ".DS_Store")
    train = load_dataset(f"folder:{tmp_path}").train
    assert [file.name for file in train.files] == ["a.png", "b.png"]
    assert train.targets is train.classes is None
    assert len(RandomSampling(random_state=0).select(train, 0.5)) == 1
    with pytest.raises(InputError, match="label"):
        CCRandomSampling(random_state=0).select(train, 0.5)


def test_the_layout_of_kaggle_has_a_flat_test_part(tmp_path):
    put(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/1.png", "test/2.png", "sample.csv")
    splits = load_dataset(f"folder:{tmp_path}")
    assert splits.train.classes == ["cat", "dog"]
    assert len(splits.require_test()) == 2
    assert splits.require_test().targets is None


def test_classes_may_be_empty_or_in_one_part_only_and_are_numbered_alike(tmp_path):
    put(tmp_path, "train/dog/1.png", "train/cat/1.png", "val/ant/1.png", "val/dog/1.png")
    (tmp_path / "train" / "bee").mkdir()
    splits = load_dataset(f"folder:{tmp_path}")
    assert splits.train.classes == ["bee", "cat", "dog"]
    assert splits.train.targets.tolist() == [1, 2]
    assert splits.test.classes == ["bee", "cat", "dog", "ant"]
    assert splits.test.targets.tolist() == [2, 3]


def test_a_broken_test_part_stops_nobody_who_selects(tmp_path):
    put(tmp_path, "train/dog/1.png", "test/notes.txt")
    splits = load_dataset(f"folder:{tmp_path}")
    assert len(splits.train) == 1
    with pytest.raises(InputError, match=r"no images \(skipped: 1 \.txt\)"):
        splits.test  # noqa: B018


def test_a_class_may_be_called_train(tmp_path):
    put(tmp_path, "train/1.png", "plane/1.png", "bus/1.png")
    assert parts_of(tmp_path) == (tmp_path, None)
    put(tmp_path / "b", "train/1.png", "test/2.png")
    assert parts_of(tmp_path / "b") == (tmp_path / "b" / "train", tmp_path / "b" / "test")


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path / "photos", "cat/1.png")
    assert load_dataset("folder:~/photos").train.files == (tmp_path / "photos/cat/1.png",)


def test_no_file_is_opened_before_its_sample_is_asked_for(tmp_path):
    put(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png", content=b"no image")
    train = load_dataset(f"folder:{tmp_path}").train
    assert len(RandomSampling(random_state=0).select(train, 0.5)) == 2
    assert len(CCRandomSampling(random_state=0).select(train, 0.5)) == 2
    with pytest.raises(InputError, match=r"image 1 of 4: .*cat/2\.png does not decode"):
        train[1]


@pytest.mark.parametrize("kind", ["folder", "folder,broken=skip"])
def test_folders_that_are_no_datasets_are_refused(tmp_path, kind):
    for name, message in (
        ("missing", "no such folder"),
        ("file", "it is no folder"),
        ("empty", "no class folders and no images; needed"),
        ("words", r"no images \(skipped: 2 \.txt\); needed"),
        ("classes", r"class folders in .* hold no images"),
    ):
        root = tmp_path / name
        if name == "file":
            root.touch()
        elif name != "missing":
            root.mkdir()
        if name == "words":
            put(root, "1.txt", "2.txt")
        if name == "classes":
            (root / "cat").mkdir()
        with pytest.raises(InputError, match=message):
            load_dataset(f"{kind}:{root}")


def test_links_that_lead_round_are_refused(tmp_path):
    put(tmp_path, "cat/1.png")
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat")
    with pytest.raises(InputError, match="a link to a folder that it is in"):
        load_dataset(f"folder:{tmp_path}")


def test_a_pipe_is_no_image(tmp_path):
    put(tmp_path, "cat/1.png")
    os.mkfifo(tmp_path / "cat" / "2.png")
    assert len(load_dataset(f"folder:{tmp_path}").train) == 1


def test_broken_images_are_left_out_with_their_classes_named(tmp_path):
    put(tmp_path, "cat/1.png", "dog/1.png", "dog/2.png", content=b"no image")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "dog" / "1.png")
    with pytest.warns(BrokenImageWarning, match="2 of 3 samples"):
        train, _ = read_whole(load_dataset(f"folder,broken=skip:{tmp_path}").train)
    assert train.targets.tolist() == [1]
    assert train.classes == ["cat", "dog"]
