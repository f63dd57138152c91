"""Samplers read what they say they read, and nothing else stops them."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import Dataset

from proxysample import (
    ArrayDataset,
    AutoencoderLoss,
    CCOutlierRemoval,
    CCRandomSampling,
    InputError,
    KMeansOutlierRemoval,
    RandomSampling,
    TransferLoss,
    load_dataset,
)
from proxysample.cli import main
from proxysample.data import Splits

N = 20


class Unreadable(Dataset):
    def __init__(self, size=N, **attributes):
        self.size = size
        vars(self).update(attributes)

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        raise OSError(index)

    def __getattr__(self, name):
        raise AttributeError(name)


def test_samplers_say_what_they_read():
    assert RandomSampling().reads == "nothing"
    assert CCRandomSampling().reads == "labels"
    assert {AutoencoderLoss().reads, CCOutlierRemoval().reads} == {"pixels"}
    assert TransferLoss().reads == "features"
    features = ("pixels", lambda images: images, nn.Flatten(), "resnet18", np.zeros((2, 2)))
    reads = [KMeansOutlierRemoval(features=one).reads for one in features]
    assert reads == ["pixels", "pixels", "features", "features", "nothing"]


def test_rs_takes_no_read_of_a_large_dataset():
    kept = RandomSampling(random_state=0).select(Unreadable(200_000), 0.25)
    assert len(kept) == 50_000
    assert np.array_equal(kept, RandomSampling(random_state=0).select(np.zeros((200_000, 1)), 0.25))


class Loud(Unreadable):
    """Looking at its labels is an error."""

    @property
    def targets(self):
        raise RuntimeError("looked at")


def test_rs_does_not_look_at_labels():
    assert len(RandomSampling().select(Loud(), 0.5)) == N // 2
    assert len(RandomSampling().select(Loud(), 0.5, y=[0, 1])) == N // 2
    assert len(RandomSampling().select(pd.DataFrame({"a": ["x"] * N}), 0.5, label="b")) == N // 2
    twice = pd.DataFrame({"a": ["x.png"] * N, "b": ["y.png"] * N})
    assert len(RandomSampling().select(twice, 0.5)) == N // 2


def test_no_item_is_read_by_who_needs_none():
    class Photos(Unreadable):
        read = 0

        def __getitem__(self, index):
            type(self).read += 1
            return PIXELS[index % N], index % 2

    photos = Photos(targets=[number % 2 for number in range(N)])
    assert len(RandomSampling(random_state=0).select(photos, n=7, exclude=[0])) == 7
    assert photos.read == 0
    assert len(CCRandomSampling(random_state=0).select(photos, 0.5)) == N // 2
    assert 0 < photos.read <= N


def test_features_that_are_given_spare_the_images():
    features = np.random.default_rng(0).random((N, 3))
    sampler = KMeansOutlierRemoval(n_clusters=2, features=features, random_state=0)
    assert np.array_equal(sampler.select(Unreadable(), 0.5), sampler.select(features, 0.5))
    ranking = sampler.rank(Unreadable())
    assert ranking.provenance["dataset"]["of"] == "size"


ODD = {
    "masks": np.zeros((N, 8, 8), np.uint8),
    "boxes": [np.zeros((number % 3, 4)) for number in range(N)],
    "several": [[number, 1] if number % 2 else [number] for number in range(N)],
    "one-hot": np.eye(N),
    "floats": np.linspace(0.1, 0.9, N),
    "mappings": [{"boxes": [], "labels": [1]}] * N,
    "none": [None] * N,
    "some none": [0, None] * (N // 2),
    "nan": [float("nan"), 1.0] * (N // 2),
    "all different": np.arange(N),
}
WORDS = {
    "masks": "such as masks",
    "boxes": "of several shapes|such as masks or boxes",
    "several": "lists of several values",
    "one-hot": "one-hot",
    "floats": "targets of a regression",
    "mappings": "mappings with boxes, labels",
    "none": "has no labels|missing for 20 of 20",
    "some none": "missing for 10 of 20 samples, first for sample 1",
    "nan": "such as nan for sample 0|missing for",
    "all different": "all 20 labels are different",
}
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 8, 8, 1), dtype=np.uint8)


@pytest.mark.parametrize("kind", ODD)
def test_odd_labels_stop_only_samplers_that_need_classes(kind):
    labels = ODD[kind]
    datasets = [
        (list(zip(PIXELS, labels, strict=True)), {}),
        (ArrayDataset(PIXELS, labels), {}),
        (PIXELS, {"y": labels}),
    ]
    for dataset, fields in datasets:
        assert len(RandomSampling().select(dataset, 0.5, **fields)) == N // 2
        clusters = KMeansOutlierRemoval(n_clusters=2, random_state=0)
        assert len(clusters.select(dataset, 0.5, **fields)) == N // 2
        assert "keeps 10 of 20" in str(RandomSampling().report(dataset, 0.5, **fields))
        for sampler in (
            CCRandomSampling(),
            CCOutlierRemoval(),
            TransferLoss(backbone=nn.Flatten()),
        ):
            with pytest.raises(InputError, match=f"({WORDS[kind]}).*(label=|y=)"):
                sampler.select(dataset, 0.5, **fields)
    assert len(AutoencoderLoss(epochs=1).select(datasets[0][0], 0.5)) == N // 2


@pytest.mark.parametrize(
    "kind", [kind for kind in ODD if kind not in ("some none", "all different", "several")]
)
def test_odd_labels_are_refused_before_long_work(kind, monkeypatch):
    monkeypatch.setattr(TransferLoss, "_features", lambda *_: pytest.fail("computed"))
    items = list(zip(PIXELS, ODD[kind], strict=True))
    for dataset in (items, ArrayDataset(PIXELS, ODD[kind])):
        with pytest.raises(InputError, match=r"label=|y="):
            TransferLoss(backbone=nn.Flatten()).fit(dataset)


def test_labels_that_are_all_different_are_confirmed():
    kept = CCRandomSampling(random_state=0).select(
        PIXELS, 0.5, y=np.arange(N), distinct_labels=True
    )
    assert len(kept) == N // 2
    assert CCRandomSampling().select(PIXELS[:1], 1.0, y=[3]).tolist() == [0]


def test_images_of_several_sizes_stop_nobody_who_reads_none(tmp_path):
    for number in range(6):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        Image.new("L", (4 + number, 5)).save(tmp_path / "ab"[number % 2] / f"{number}.png")
    (tmp_path / "a" / "9.png").write_text("no image")
    train = load_dataset(f"folder:{tmp_path}").train
    assert len(RandomSampling().select(train, 0.5)) == 4
    assert len(CCRandomSampling().select(train, 0.5)) == 4


def test_the_test_part_is_read_when_it_is_asked_for():
    asked = []

    def read_test():
        asked.append(1)
        return "test"

    splits = Splits("mine", "train", read_test=read_test)
    assert "train" in repr(splits)
    assert asked == []
    assert splits.test == splits.require_test() == "test"
    assert asked == [1]
    with pytest.raises(InputError, match="not both"):
        Splits("mine", "train", "test", read_test=read_test)


@pytest.fixture
def proxysample(command_line):
    return lambda *words: command_line(main, *words)


def images_and_labels(n=N):
    return PIXELS[:n], np.arange(n) % 2


def test_select_never_touches_the_test_part(proxysample, tmp_path):
    images, labels = images_and_labels()
    np.savez(
        tmp_path / "a.npz",
        train_images=images,
        train_labels=labels,
        test_images=np.array([None, 3], dtype=object),
        test_labels=labels,
    )
    for part in ("train/a", "train/b", "test"):
        (tmp_path / "folder" / part).mkdir(parents=True)
    for number in range(4):
        file = tmp_path / "folder" / "train" / "ab"[number % 2] / f"{number}.png"
        Image.fromarray(images[number, ..., 0]).save(file)
    (tmp_path / "folder" / "test" / "other").mkdir()
    (tmp_path / "folder" / "test" / "other" / "x.png").write_text("no image")
    for spec in (f"npz:{tmp_path}/a.npz", f"folder:{tmp_path}/folder"):
        words = f"select --dataset {spec} --sampler cc-or -r 0.5 -o {tmp_path}/kept.npy"
        code, _out, err = proxysample(*words.split(), "--overwrite")
        assert (code, err) == (0, "")
    with pytest.raises(InputError, match="Python objects"):
        load_dataset(f"npz:{tmp_path}/a.npz").require_test()


def test_fields_are_options_of_the_command_line(proxysample, tmp_path):
    images, labels = images_and_labels()
    np.savez(tmp_path / "a.npz", pixels=images, fine=np.arange(N), coarse=labels)
    words = f"select --dataset npz:{tmp_path}/a.npz --sampler cc-or -r 0.5 -o {tmp_path}/kept.npy"
    words += " --overwrite"
    code, _out, err = proxysample(*words.split(), "--image", "pixels", "--label", "coarse")
    assert code == 0, err
    expected = CCOutlierRemoval().select(images, 0.5, y=labels)
    assert np.array_equal(np.load(tmp_path / "kept.npy"), expected)
    for more, message in {
        "--image pixels --label coarsely": "array for label= 'coarsely'; did you mean 'coarse'",
        "--image pixels --label fine": "all 20 labels are different",
        "--image pixels --label coarse --broken ignore": "way to treat broken samples 'ignore'",
        "": "holds pixels, fine, coarse; needed: images and labels",
    }.items():
        code, _out, err = proxysample(*words.split(), *more.split())
        assert code == 2
        assert message in err
    code, _out, err = proxysample(
        *words.split(), *["--image", "pixels", "--label", "fine", "--distinct-labels"]
    )
    assert code == 0, err


def test_what_is_skipped_is_counted_on_the_command_line(proxysample, tmp_path):
    images, labels = images_and_labels()
    images = images / np.float32(255)
    images[3] = np.nan
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    words = f"--dataset npz:{tmp_path}/a.npz --sampler cc-or"
    code, _out, err = proxysample(*f"select {words} -r 0.5 -o {tmp_path}/kept.npy".split())
    assert code == 2
    assert "sample 3 holds NaN" in err
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, out, err = proxysample(
            *f"select {words} -r 1.0 --broken skip -o {tmp_path}/kept.npy".split()
        )
        assert code == 0
        assert "1 of 20 samples cannot be read" in err
        assert "keeps 19 of the 19 training samples" in out
        assert "1 more cannot be read and are skipped" in out
        for command in (f"score {words} -o {tmp_path}/scores.npz", f"report {words} -r 0.5"):
            code, out, _err = proxysample(*command.split(), "--broken", "skip")
            assert code == 0
            assert "1 more cannot be read" in out
    assert np.load(tmp_path / "kept.npy").tolist() == [n for n in range(N) if n != 3]


def test_a_registered_reader_is_told_of_fields_or_its_parts_are_views(tmp_path):
    from proxysample import register
    from proxysample.registry import READERS

    rows = [{"photo": pixels, "kind": number % 2} for number, pixels in enumerate(PIXELS)]

    @register(kind="reader", name="rows")
    def read_rows(path):
        return Splits(f"rows:{path}", rows, rows)

    @register(kind="reader", name="named-rows")
    def read_named(path, *, label=None, broken="stop"):
        return Splits(f"{label} {broken}", rows)

    try:
        splits = load_dataset("rows:x", image="photo", label="kind")
        assert splits.train[1][1] == splits.test[1][1] == 1
        assert len(CCOutlierRemoval().select(splits.train, 0.5)) == N // 2
        assert load_dataset("rows:x").train is rows
        assert load_dataset("named-rows:x", label="kind", broken="skip").name == "kind skip"
        assert load_dataset("named-rows:x", image="photo").train[0][0].shape == (8, 8, 1)
    finally:
        READERS.unregister("rows")
        READERS.unregister("named-rows")


def test_a_tensor_of_targets_is_read_like_a_list():
    class Photos(Unreadable):
        def __getitem__(self, index):
            return PIXELS[index], index % 2

    by_tensor = Photos(targets=torch.arange(N) % 2)
    by_list = Photos(targets=[number % 2 for number in range(N)])
    chosen = [CCRandomSampling(random_state=0).select(one, 0.5) for one in (by_tensor, by_list)]
    assert np.array_equal(*chosen)
