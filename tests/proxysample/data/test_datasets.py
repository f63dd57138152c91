from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proxysample import (
    ArrayDataset,
    CCOutlierRemoval,
    InputError,
    RandomSampling,
    load_dataset,
)
from proxysample.data.reading import Samples
from proxysample.data.whole import BrokenImageWarning, read_whole


def write_folder(root, sizes=((4, 4), (4, 4)), mode="RGB"):
    generator = np.random.default_rng(0)
    for label, size in zip(("cat", "dog"), sizes, strict=True):
        (root / label).mkdir(parents=True)
        for number in range(3):
            shape = size if mode == "L" else (*size, 3)
            pixels = generator.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number}.png")
    return root


def test_digits_are_split_once_and_for_all():
    first, second = load_dataset("digits"), load_dataset("digits")
    assert np.array_equal(first.train.images, second.train.images)
    assert len(first.train) + len(first.require_test()) == 1797
    assert first.train.images.dtype == np.uint8
    assert first.train.images.max() == 255
    assert len(np.unique(first.train.targets)) == 10


def test_whoever_changes_the_digits_changes_those_of_nobody_else():
    for part in load_dataset("digits"), load_dataset("digits"):
        train = part.train
        assert (int(train.images.max()), int(train.targets.max())) == (255, 9)
        assert train.classes[-1] == "9"
        train.images[:] = train.targets[:] = 0
        train.classes[-1] = "nine"


def test_an_npz_in_our_form_and_in_kerass(tmp_path):
    images, labels = np.zeros((4, 5, 5, 3), np.uint8), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    np.savez(tmp_path / "b.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    whole = load_dataset(f"npz:{tmp_path}/a.npz")
    assert whole.train.targets.tolist() == [0, 1, 0, 1]
    with pytest.raises(InputError, match="test_images and test_labels"):
        whole.require_test()
    assert len(load_dataset(f"npz:{tmp_path}/b.npz").require_test()) == 4


@pytest.mark.parametrize(
    ("image", "label", "test_image", "test_label"),
    [
        ("X", "Y", None, None),
        ("images", "targets", None, None),
        ("embeddings", "label", None, None),
        ("X_train", "y_train", "X_test", "y_test"),
    ],
)
def test_arrays_of_an_npz_have_any_usual_names(tmp_path, image, label, test_image, test_label):
    rows, labels = np.zeros((4, 3)), np.array([0, 1, 0, 1])
    arrays = {image: rows, label: labels, "weights": rows}
    if test_image is not None:
        arrays |= {test_image: rows[:2], test_label: labels[:2]}
    np.savez(tmp_path / "a.npz", **arrays)
    splits = load_dataset(f"npz:{tmp_path}/a.npz")
    assert splits.train.targets.tolist() == [0, 1, 0, 1]
    assert (splits.test is not None) == (test_image is not None)
    assert load_dataset(f"npz,label={label}:{tmp_path}/a.npz").train.targets.tolist() == [
        0,
        1,
        0,
        1,
    ]


def test_a_folder_of_classes(tmp_path):
    splits = load_dataset(f"folder:{write_folder(tmp_path / 'photos')}")
    assert splits.train.images.shape == (6, 4, 4, 3)
    assert splits.train.targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert splits.train.classes == ["cat", "dog"]


def test_a_folder_with_train_and_test(tmp_path):
    write_folder(tmp_path / "train", mode="L")
    write_folder(tmp_path / "test", mode="L")
    splits = load_dataset(f"folder:{tmp_path}")
    assert splits.train.images.shape == splits.require_test().images.shape == (6, 4, 4, 1)


def test_grey_images_among_coloured_ones_become_rgb(tmp_path):
    root = write_folder(tmp_path)
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4)
    Image.fromarray(grey).save(root / "cat" / "0.png")
    images = load_dataset(f"folder:{root}").train.images
    assert np.array_equal(images[0], np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", "did you mean 'digits'"),
        ("digits:x", "takes no path"),
        ("npz", "needs a path"),
        ("folder:", "needs a path"),
        ("photos.npz", r"an \.npz is named 'npz:photos\.npz'"),
        ("data/train.csv", r"a \.csv is named 'csv:data/train\.csv'"),
        ("C:photos.H5", r"an \.h5 is named 'hdf5:C:photos\.H5'"),
        ("train.parquet", r"pandas\.read_parquet"),
        ("npz:missing.npz", "no such file"),
        ("folder:missing", "no such folder"),
        ("cifar-100:x", "did you mean 'cifar100'"),
        ("cifar10", "cifar10 needs a path"),
        ("imagenet16:x", "did you mean 'imagenet16-120'"),
        (7, "named by a string"),
    ],
)
def test_unknown_datasets_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        load_dataset(spec)


def test_a_folder_without_its_kind_is_told(tmp_path):
    with pytest.raises(InputError, match=f"named 'folder:{tmp_path}'"):
        load_dataset(str(tmp_path))


def test_an_npz_with_channels_first_is_refused(tmp_path):
    labels = np.array([0, 1, 0, 1])
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 3, 8, 8), np.uint8), labels=labels)
    with pytest.raises(InputError, match=r"3 rows, 8 columns and 8 channels.*moveaxis"):
        load_dataset(f"npz:{tmp_path}/a.npz")
    for shape in ((4, 8, 8, 3), (4, 3, 3, 3), (4, 1, 8, 5), (4, 3, 8, 4)):
        np.savez(tmp_path / "a.npz", images=np.zeros(shape, np.uint8), labels=labels)
        assert load_dataset(f"npz:{tmp_path}/a.npz").train.images.shape == shape


def test_files_that_are_no_datasets_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match=r"no \.npz file"):
        load_dataset(f"npz:{tmp_path}/text.npz")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(InputError, match="holds weights; needed: images and labels"):
        load_dataset(f"npz:{tmp_path}/other.npz")
    np.savez(tmp_path / "objects.npz", images=np.array([None, "x"], dtype=object))
    with pytest.raises(InputError, match="Python objects"):
        load_dataset(f"npz:{tmp_path}/objects.npz")


def test_a_truncated_npz_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 5, 5), np.uint8), labels=np.arange(4))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        load_dataset(f"npz:{tmp_path}/a.npz")


def test_a_broken_image_ends_the_reading_by_its_index_and_name(tmp_path):
    root = write_folder(tmp_path / "photos")
    files = load_dataset(f"folder:{root}").train.files
    whole = files[1].read_bytes()
    files[1].write_bytes(whole[: len(whole) // 2])
    train = load_dataset(f"folder:{root}").train
    for read in (lambda: train.images, lambda: train[1], lambda: Samples(train).images):
        with pytest.raises(InputError, match=rf"image 1 of {len(files)}: {files[1]} does not dec"):
            read()
    # Who reads no pixels is not stopped.
    assert len(RandomSampling(random_state=0).select(train, 0.5)) == 3
    assert Samples(train).labels.tolist() == [0, 0, 0, 1, 1, 1]


def skipping(root):
    """Read what can be read of a folder, and tell which images these are."""
    return read_whole(load_dataset(f"folder,broken=skip:{root}").train)


def test_broken_images_are_skipped_on_request_and_indices_stay_those_of_all(tmp_path):
    root = write_folder(tmp_path / "photos")
    before = load_dataset(f"folder:{root}").train
    images = before.images
    before.files[1].write_text("no image")
    with pytest.warns(BrokenImageWarning, match=rf"sample 1 \({before.files[1]}\): ") as told:
        after, indices = skipping(root)
    assert len(told) == 1
    assert indices.tolist() == [0, 2, 3, 4, 5]
    assert np.array_equal(after.images, images[indices])
    assert list(after.targets) == list(before.targets[indices])
    assert after.classes == ["cat", "dog"]
    view = load_dataset(f"folder:{root}", broken="skip").train
    with pytest.warns(BrokenImageWarning):
        ranking = CCOutlierRemoval().rank(view)
    assert ranking.skipped.tolist() == [1]
    # What is said anew counts.
    with pytest.raises(InputError, match="image 1 of 6"):
        CCOutlierRemoval().rank(view, broken="stop")


def test_a_folder_of_which_no_image_decodes_is_refused(tmp_path):
    (tmp_path / "emu").mkdir()
    (tmp_path / "emu" / "0.png").write_text("no image")
    with pytest.raises(InputError, match=r"none of 1 samples can be read; the first: "):
        skipping(tmp_path)


def cut(file):
    """Leave the header, and too few pixels."""
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])


def test_one_array_holds_images_of_one_size(tmp_path):
    root = write_folder(tmp_path, sizes=((4, 4), (4, 5)))
    with pytest.raises(InputError, match=r"dog/0\.png is 5x4, .*cat/0\.png is 4x4; resize all"):
        load_dataset(f"folder:{root}").train.images  # noqa: B018


@pytest.mark.parametrize(("broken", "index"), [("cat/0.png", 0), ("cat/1.png", 1)])
def test_the_size_of_a_skipped_image_does_not_count(tmp_path, broken, index):
    root = write_folder(tmp_path)
    before = load_dataset(f"folder:{root}").train
    images = before.images
    Image.new("RGB", (40, 50), "red").save(root / broken)
    cut(root / broken)
    with pytest.warns(BrokenImageWarning, match=rf"sample {index} .*{root / broken} does not") as t:
        after, kept = skipping(root)
    assert len(t) == 1
    assert np.array_equal(after.images, np.delete(images, index, axis=0))
    assert kept.tolist() == np.delete(np.arange(6), index).tolist()


def test_broken_images_are_told_in_order_whatever_is_wrong_with_them(tmp_path):
    root = write_folder(tmp_path)
    cut(root / "cat" / "1.png")
    (root / "dog" / "0.png").write_text("no image")
    with pytest.warns(BrokenImageWarning, match="2 of 6 samples .*: sample 1 .*; sample 3 "):
        assert len(skipping(root)[0]) == 4


def test_the_colours_of_a_skipped_image_do_not_count(tmp_path):
    root = write_folder(tmp_path, mode="L")
    before = load_dataset(f"folder:{root}").train.images
    Image.effect_noise((4, 4), 50).convert("RGB").save(root / "cat" / "2.png")
    cut(root / "cat" / "2.png")
    with pytest.warns(BrokenImageWarning):
        after = skipping(root)[0].images
    assert np.array_equal(after, np.delete(before, 2, axis=0))


def test_a_folder_takes_the_memory_of_its_images_once(tmp_path):
    (tmp_path / "emu").mkdir()
    for number in range(100):
        Image.new("RGB", (80, 80), (number, 0, 0)).save(tmp_path / "emu" / f"{number:02}.png")
    load_dataset(f"folder:{tmp_path}").train.images  # noqa: B018
    tracemalloc.start()
    try:
        images = load_dataset(f"folder:{tmp_path}").train.images
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert images[:, 7, 7, 0].tolist() == list(range(100))
    assert images.nbytes <= peak < 1.5 * images.nbytes


@pytest.mark.parametrize("at_a_terminal", [False, True])
def test_who_waits_for_a_folder_at_a_terminal_sees_progress(
    tmp_path, monkeypatch, capsys, at_a_terminal
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: at_a_terminal)
    train = load_dataset(f"folder:{write_folder(tmp_path)}").train
    assert capsys.readouterr() == ("", "")
    Samples(train).images  # noqa: B018
    out, err = capsys.readouterr()
    assert out == ""
    if not at_a_terminal:
        assert err == ""
    for _ in range(at_a_terminal):
        assert "decoding: 100%" in err
        assert "6/6" in err
        assert "image" in err


def test_skipping_and_stopping_agree_on_whole_folders(tmp_path):
    root = write_folder(tmp_path / "photos")
    stop, (skip, indices) = load_dataset(f"folder:{root}").train, skipping(root)
    assert np.array_equal(stop.images, skip.images)
    assert indices.tolist() == list(range(len(stop)))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_an_item_is_its_own_whatever_holds_the_array(tmp_path, dtype):
    features = np.ones((2, 3), dtype=dtype)
    np.save(tmp_path / "x.npy", features)
    for dataset in (ArrayDataset(features), load_dataset(f"npy:{tmp_path}/x.npy").train):
        item, _ = dataset[0]
        item += 1
        assert np.array_equal(dataset.images, features)
        assert (features == 1).all()


def test_a_path_alone_and_no_name_are_no_dataset():
    with pytest.raises(InputError, match="such as 'folder:photos', not by a path alone"):
        load_dataset(Path("photos"))
    with pytest.raises(InputError, match="unknown dataset ''"):
        load_dataset("")


def test_names_of_classes_that_make_no_array_are_refused():
    with pytest.raises(InputError, match="classes cannot be read as an array"):
        ArrayDataset(np.zeros((3, 2)), [0, 1, 2], classes=["\ud800", 2, b"\xf5"])
