from __future__ import annotations

import dataclasses
import gzip
import io
import os
import pickle
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from proxysample import InputError, load_dataset
from proxysample.data import datasets, official
from proxysample.data.official import CIFAR10, CIFAR100, read_cifar

from .official_pickles import mutations, python2_pickle

# The official formats with fewer images in each file.
SMALL10 = dataclasses.replace(
    CIFAR10, train=dict.fromkeys(CIFAR10.train, 12), test=dict.fromkeys(CIFAR10.test, 15)
)
SMALL100 = dataclasses.replace(CIFAR100, train={"train": 150}, test={"test": 120})
LAYOUTS = {"cifar10": SMALL10, "cifar100": SMALL100}


def drawn(layout):
    """Images (n, 32, 32, 3), labels and superclasses of each file, every class among them."""
    generator = np.random.default_rng(0)
    return {
        file: (
            generator.integers(0, 256, (size, 32, 32, 3), dtype=np.uint8),
            np.arange(size) * 7 % layout.n_classes,
            np.arange(size) % 20,
        )
        for file, size in (layout.train | layout.test).items()
    }


def python_files(layout, name) -> dict[str, bytes]:
    files = {}
    for file, (images, labels, coarse) in drawn(layout).items():
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)
        batch = {"batch_label": "training batch 1 of 5", layout.labels_key: labels.tolist()}
        if name == "cifar100":
            batch["coarse_labels"] = coarse.tolist()
        batch |= {"data": planes, "filenames": [f"s_{n:06}.png" for n in range(len(images))]}
        files[file] = python2_pickle(batch)
    names = [f"class {n}" for n in range(layout.n_classes)]
    files[layout.python_names] = python2_pickle({"num_vis": 3072, layout.names_key: names})
    return files


def binary_files(layout, name) -> dict[str, bytes]:
    files = {}
    for file, (images, labels, coarse) in drawn(layout).items():
        files[f"{file}.bin"] = b"".join(
            (bytes([above]) if name == "cifar100" else b"")
            + bytes([label])
            + image.transpose(2, 0, 1).tobytes()
            for image, label, above in zip(images, labels, coarse, strict=True)
        )
    names = "".join(f"class_{n}\n" for n in range(layout.n_classes)) + "\n"
    return files | {layout.binary_names: names.encode()}


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    root.mkdir(parents=True)
    for file, content in files.items():
        (root / file).write_bytes(content)
    return root


def write_archive(path: Path, folder: str, files: dict[str, bytes]) -> Path:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for file, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{file}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    path.write_bytes(gzip.compress(packed.getvalue(), compresslevel=1, mtime=0))
    return path


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("version", ["python", "binary"])
@pytest.mark.parametrize("place", ["folder", "above", "archive"])
def test_the_official_files_are_read(tmp_path, monkeypatch, name, version, place):
    layout = LAYOUTS[name]
    monkeypatch.setattr(datasets, name.upper(), layout)
    write = python_files if version == "python" else binary_files
    folder = layout.python_folder if version == "python" else layout.binary_folder
    path = tmp_path / "another name" if place == "folder" else tmp_path / folder
    if place == "archive":
        path = write_archive(tmp_path / "cifar.tar.gz", folder, write(layout, name))
    else:
        write_folder(path, write(layout, name))
    splits = load_dataset(f"{name}:{tmp_path if place == 'above' else path}")
    parts = drawn(layout)
    for dataset, files in ((splits.train, layout.train), (splits.require_test(), layout.test)):
        assert np.array_equal(dataset.images, np.concatenate([parts[file][0] for file in files]))
        assert np.array_equal(dataset.targets, np.concatenate([parts[file][1] for file in files]))
    space = " " if version == "python" else "_"
    assert splits.train.classes[:2] == [f"class{space}0", f"class{space}1"]
    assert splits.train.images.flags.c_contiguous


def test_the_official_sizes():
    assert sum(CIFAR10.train.values()) == sum(CIFAR100.train.values()) == 50_000
    assert sum(CIFAR10.test.values()) == sum(CIFAR100.test.values()) == 10_000
    assert CIFAR10.versions(CIFAR10.train)[0].files[:2] == ("data_batch_1", "data_batch_2")
    assert CIFAR100.versions(CIFAR100.test)[1].all_files == ("test.bin", "fine_label_names.txt")


def test_without_names_of_classes(tmp_path):
    files = python_files(SMALL10, "cifar10")
    del files["batches.meta"]
    assert read_cifar(write_folder(tmp_path / "a", files), SMALL10).classes is None


def changed(key, value):
    """A batch of CIFAR-10 with one thing changed."""
    batch = {"data": np.zeros((12, 3072), np.uint8), "labels": [1] * 12} | {key: value}
    return python2_pickle({key: value for key, value in batch.items() if value is not None})


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("data_batch_3", None, "lacks data_batch_3 of cifar-10-batches-py"),
        ("data_batch_3", b"", "data_batch_3 is no pickle"),
        ("data_batch_3", changed("data", None), "has no 'data'; it holds labels"),
        ("data_batch_3", changed("labels", None), "has no 'labels'; it holds data"),
        ("data_batch_3", changed("data", np.zeros((12, 3071), np.uint8)), r"shape \(12, 3071\)"),
        ("data_batch_3", changed("data", np.zeros((12, 3072), np.int32)), "an array of int32"),
        ("data_batch_3", changed("data", "pixels"), "'data' is a str; needed: an array of uint8"),
        ("data_batch_3", changed("data", np.zeros((11, 3072), np.uint8)), "11 images and 12"),
        ("data_batch_3", changed("labels", [1] * 11 + [10]), "run from 1 to 10, and should from 0"),
        ("data_batch_3", changed("labels", [1] * 11 + [-1]), "run from -1"),
        ("data_batch_3", changed("labels", [1] * 11 + ["2"]), "a list of int, str; needed"),
        ("data_batch_3", changed("labels", [1] * 11 + [True]), "a list of bool, int; needed"),
        ("data_batch_3", changed("labels", "123456789012"), "'labels' is a str; needed"),
        ("test_batch", changed("labels", [1] * 12), "holds 12 images, and the official file 15"),
        ("batches.meta", python2_pickle({"names": []}), "no list of names under 'label_names'"),
        ("batches.meta", python2_pickle({"label_names": ["a"] * 10}), "10 classes .1 of them"),
        ("batches.meta", python2_pickle({"label_names": ["a", 1]}), "no list of names"),
    ],
)
def test_python_files_that_are_others_are_refused(tmp_path, file, content, message):
    files = python_files(SMALL10, "cifar10") | {file: content}
    files = {file: content for file, content in files.items() if content is not None}
    with pytest.raises(InputError, match=message):
        read_cifar(write_folder(tmp_path / "a", files), SMALL10).test  # noqa: B018


@pytest.mark.parametrize("content", [None, b"no pickle"])
def test_who_takes_the_training_part_hears_nothing_of_the_test_part(tmp_path, content):
    files = python_files(SMALL10, "cifar10") | {"test_batch": content}
    files = {file: content for file, content in files.items() if content is not None}
    folder = write_folder(tmp_path / "a", files)
    assert len(read_cifar(folder, SMALL10).train.images) == 60


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("train.bin", lambda content: content[:-1], "no multiple of 3,074"),
        ("train.bin", lambda content: content[:-3074], "149 images, and the official file 150"),
        ("test.bin", lambda content: content[:1] + b"\x64" + content[2:], "0 to 100, and should"),
        ("test.bin", lambda content: b"", "0 images, and the official file 120"),
        ("fine_label_names.txt", lambda content: content[8:], "names 99 classes"),
    ],
)
def test_binary_files_that_are_others_are_refused(tmp_path, file, change, message):
    files = binary_files(SMALL100, "cifar100")
    files[file] = change(files[file])
    with pytest.raises(InputError, match=message):
        read_cifar(write_folder(tmp_path / "a", files), SMALL100).test  # noqa: B018


def test_a_hostile_batch_is_refused_and_not_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/marker",)

    files = python_files(SMALL10, "cifar10")
    files["data_batch_2"] = pickle.dumps({"data": Hostile(), "labels": [0] * 12}, protocol=2)
    for path in (
        write_folder(tmp_path / "a", files),
        write_archive(tmp_path / "a.tar.gz", SMALL10.python_folder, files),
    ):
        with pytest.raises(InputError, match=r"data_batch_2 names '.* system'"):
            read_cifar(path, SMALL10)
    assert not (tmp_path / "marker").exists()


def test_what_is_accepted_is_listed(tmp_path):
    (tmp_path / "notes.tar.gz").write_text("hello")
    for path in ("missing", "", "notes.tar.gz"):
        with pytest.raises(InputError, match=r"cifar-10-batches-py \(data_batch_1, .*bin"):
            read_cifar(tmp_path / path, CIFAR10)
    with pytest.raises(InputError, match=r"official files; .*cifar-100-python"):
        read_cifar(write_archive(tmp_path / "a.tar.gz", "cifar-10-batches-py", {}), CIFAR100)


def test_an_archive_of_links_and_a_bomb_are_refused(tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "link.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("cifar-100-python/train")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(InputError, match="no regular file"):
        read_cifar(tmp_path / "link.tar.gz", SMALL100)
    claim = tarfile.TarInfo("cifar-100-python/train")
    claim.size = 1 << 40
    (tmp_path / "claim.tar.gz").write_bytes(gzip.compress(claim.tobuf() + bytes(10_240)))
    with pytest.raises(InputError, match="larger than 256 MB"):
        read_cifar(tmp_path / "claim.tar.gz", SMALL100)
    # A name of a gigabyte, which a reader of archives holds in memory as a whole.
    name = tarfile.TarInfo("x")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    with gzip.open(tmp_path / "bomb.tar.gz", "wb", compresslevel=1) as stream:
        stream.write(name.tobuf())
        for _ in range(64):
            stream.write(bytes(1 << 20))
    monkeypatch.setattr(official, "MOST_BYTES_UNPACKED", 1 << 25)
    with pytest.raises(InputError, match="unpacks to more than 32 MB"):
        read_cifar(tmp_path / "bomb.tar.gz", SMALL100)


def replace(path: Path, content: bytes) -> None:
    # A file that is written over is flushed to the disk, thousands of times; a new one is not.
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def refusals(path: Path, contents: Iterable[bytes], layout) -> int:
    refused = 0
    for content in contents:
        replace(path, content)
        try:
            read_cifar(path if path.suffix == ".gz" else path.parent, layout)
        except InputError:
            refused += 1
    return refused


@pytest.mark.parametrize("write", [python_files, binary_files])
def test_mutated_files_are_read_or_refused(tmp_path, write):
    tiny = dataclasses.replace(SMALL10, train={"data_batch_1": 2}, test={"test_batch": 1})
    files = write(tiny, "cifar10")
    batch, _, names = files
    root = write_folder(tmp_path / "a", {file: files[file] for file in files if file != names})
    assert refusals(root / batch, mutations(files[batch], 2_000), tiny) > 200
    replace(root / batch, files[batch])
    assert refusals(root / names, mutations(files[names], 1_000), tiny) > 200


def test_a_mutated_archive_is_read_or_refused(tmp_path):
    tiny = dataclasses.replace(SMALL10, train={"data_batch_1": 1}, test={"test_batch": 1})
    path = write_archive(
        tmp_path / "a.tar.gz", "cifar-10-batches-bin", binary_files(tiny, "cifar10")
    )
    packed = path.read_bytes()
    assert refusals(path, mutations(packed, 1_000), tiny) > 500
    # Within the compression, where the archive's own heads are reached.
    unpacked = mutations(gzip.decompress(packed), 2_000)
    assert refusals(path, (gzip.compress(one, compresslevel=0) for one in unpacked), tiny) > 500


REAL = Path(__file__).parents[3] / ".data" / "cifar100.npz"


@pytest.mark.skipif(not REAL.exists(), reason="the real CIFAR-100 is not in .data/cifar100.npz")
def test_the_real_cifar100_in_binary(tmp_path):
    with np.load(REAL) as arrays:
        real = {name: arrays[name] for name in arrays.files}
    for part in ("train", "test"):
        images, labels = real[f"{part}_images"], real[f"{part}_labels"]
        rows = np.empty((len(images), 3074), np.uint8)
        rows[:, 0], rows[:, 1] = 0, labels
        rows[:, 2:] = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        rows.tofile(tmp_path / f"{part}.bin")
    splits = load_dataset(f"cifar100:{tmp_path}")
    for part, dataset in (("train", splits.train), ("test", splits.require_test())):
        assert np.array_equal(dataset.images, real[f"{part}_images"])
        assert np.array_equal(dataset.targets, real[f"{part}_labels"])
