from __future__ import annotations

import dataclasses
import os
import pickle

import numpy as np
import pytest

from proxysample import InputError, load_dataset
from proxysample.data import datasets
from proxysample.data.official import IMAGENET16_120, read_imagenet16

from .official_pickles import mutations, python3_pickle

SIZE = 40
# Classes as many as NAS-Bench-201's in batches that are smaller than the official ones.
SMALL = dataclasses.replace(IMAGENET16_120, n_train=320, n_test=120)


def drawn():
    """Images (n, 16, 16, 3) and labels of each file: every class up to 160, then others."""
    generator = np.random.default_rng(0)
    files = {}
    for number, file in enumerate(IMAGENET16_120.files.files):
        size = 160 if file == "val_data" else SIZE
        images = generator.integers(0, 256, (size, 16, 16, 3), dtype=np.uint8)
        labels = (np.arange(size) + number * size) % 160 + 1
        labels[labels > 155] += 840
        files[file] = images, labels
    return files


def batch(images, drawn_labels, **changed) -> dict[str, object]:
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)
    return {"data": planes, "labels": drawn_labels.tolist(), "mean": planes.mean(axis=0)} | changed


def write(folder, protocol=3, **changed):
    folder.mkdir(parents=True)
    for file, (images, labels) in drawn().items():
        content = python3_pickle(batch(images, labels), protocol)
        (folder / file).write_bytes(changed.get(file, content))
    return folder


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("place", ["", "ImageNet16"])
def test_the_first_classes_are_kept_and_counted_from_0(tmp_path, monkeypatch, protocol, place):
    write(tmp_path / "a" / place, protocol)
    monkeypatch.setattr(datasets, "read_imagenet16", lambda path: read_imagenet16(path, SMALL))
    splits = load_dataset(f"imagenet16-120:{tmp_path / 'a'}")
    files = drawn()
    test = files.pop("val_data")
    train = [
        np.concatenate([files[f"train_data_batch_{n}"][k] for n in range(1, 11)]) for k in (0, 1)
    ]
    for dataset, (images, labels) in ((splits.train, train), (splits.require_test(), test)):
        kept = labels <= 120
        assert not kept.all()
        assert np.array_equal(dataset.images, images[kept])
        assert np.array_equal(dataset.targets, labels[kept] - 1)
        assert np.unique(dataset.targets).tolist() == list(range(120))


def test_the_official_sizes(tmp_path):
    with pytest.raises(InputError, match=r"320 training images of these classes.*151,700"):
        read_imagenet16(write(tmp_path / "a"))
    assert IMAGENET16_120.n_test == 6_000


def test_numpy_labels_are_read_too(tmp_path):
    images, labels = drawn()["train_data_batch_2"]
    content = python3_pickle(batch(images, labels, labels=labels.astype(np.int64)), 3)
    plain = read_imagenet16(write(tmp_path / "a"), SMALL)
    arrays = read_imagenet16(write(tmp_path / "b", train_data_batch_2=content), SMALL)
    assert np.array_equal(arrays.train.labels, plain.train.labels)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": [0] * SIZE}, "run from 0 to 0, and should from 1 to 1000"),
        ({"labels": [1001] * SIZE}, "run from 1001"),
        ({"labels": [1 << 40] * SIZE}, "needed: a list of integers"),
        ({"labels": [1.5] * SIZE}, "needs pickle's BINFLOAT"),
        ({"data": np.zeros((SIZE, 3072), np.uint8)}, r"of shape \(40, 3072\); needed"),
        ({"data": np.zeros((SIZE, 768), np.float32)}, "an array of float32"),
        ({"data": np.array([["a"] * 768] * SIZE, dtype=object)}, "type 'O8'"),
        ({"data": np.zeros((SIZE - 1, 768), np.uint8)}, "39 images and 40 labels"),
    ],
)
def test_other_batches_are_refused(tmp_path, changed, message):
    content = python3_pickle(batch(*drawn()["train_data_batch_4"], **changed), 3)
    with pytest.raises(InputError, match=f"train_data_batch_4.*{message}"):
        read_imagenet16(write(tmp_path / "a", train_data_batch_4=content), SMALL)


def test_missing_files_and_folders_are_named(tmp_path):
    folder = write(tmp_path / "a")
    (folder / "train_data_batch_10").unlink()
    with pytest.raises(InputError, match="lacks train_data_batch_10 of ImageNet16"):
        read_imagenet16(folder, SMALL)
    for path in (tmp_path / "none", folder / "val_data"):
        with pytest.raises(InputError, match="no such folder; needed: the folder with train_data"):
            read_imagenet16(path, SMALL)


def test_a_hostile_batch_is_refused_and_not_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/marker",)

    content = pickle.dumps(batch(*drawn()["val_data"], mean=Hostile()), protocol=3)
    with pytest.raises(InputError, match=r"val_data names '.* system'"):
        read_imagenet16(write(tmp_path / "a", val_data=content), SMALL).test  # noqa: B018
    assert not (tmp_path / "marker").exists()


def test_a_mutated_batch_is_read_or_refused(tmp_path):
    tiny = dataclasses.replace(
        SMALL,
        files=dataclasses.replace(SMALL.files, files=("train_data_batch_1", "val_data")),
        n_train=3,
        n_test=3,
    )
    images, labels = (part[:3] for part in drawn()["train_data_batch_1"])
    content = python3_pickle(batch(images, labels), 3)
    for file in tiny.files.files:
        (tmp_path / file).write_bytes(content)
    assert len(read_imagenet16(tmp_path, tiny).train.images) == 3
    refused = 0
    for mutated in mutations(content, 2_000):
        # A file that is written over would be flushed to the disk.
        (tmp_path / "val_data").unlink()
        (tmp_path / "val_data").write_bytes(mutated)
        try:
            read_imagenet16(tmp_path, tiny).test  # noqa: B018
        except InputError:
            refused += 1
    assert refused > 500
