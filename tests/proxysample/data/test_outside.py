"""Readers open regular files in the folder that they were given, and nothing else."""

from __future__ import annotations

import io
import json
import os
import socket
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proxysample import GivenIndices, InputError, Ranking, create_sampler, load_dataset
from proxysample.data import read_csv
from proxysample.data.folders import SkippedFilesWarning
from proxysample.data.image_files import ImageFiles, on_threads
from proxysample.data.images import Room, read_image
from proxysample.features import Features
from proxysample.files import check_regular, read_bounded, read_npy, read_npz
from proxysample.outputs import read_sample_list
from proxysample_nas import TrainedCell
from proxysample_nas.searchers import SearchResult
from proxysample_nas.searchers.checkpoint import Checkpoint
from proxysample_nas.study.experiments.published import PublishedAccuracies

SPECIAL = ("/dev/zero", "/dev/null", "/proc/self/environ", "/proc/kmsg", "fifo", "socket", "link")


@pytest.fixture(params=SPECIAL)
def special(request, tmp_path):
    """Give a path of what is no regular file."""
    path = tmp_path / request.param
    if request.param == "fifo":
        os.mkfifo(path)
    elif request.param == "socket":
        # A socket's path may not be long.
        os.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("socket")
    elif request.param == "link":
        path.symlink_to("/dev/zero")
    else:
        path = Path(request.param)
    return path


@pytest.fixture(autouse=True)
def stays_here(monkeypatch):
    monkeypatch.chdir(".")


READERS = {
    "npz": lambda path: load_dataset(f"npz:{path}"),
    "npy": lambda path: load_dataset(f"npy:{path}"),
    "pt": lambda path: load_dataset(f"pt:{path}"),
    "safetensors": lambda path: load_dataset(f"safetensors:{path}"),
    "hdf5": lambda path: load_dataset(f"hdf5:{path}"),
    "zarr": lambda path: load_dataset(f"zarr:{path}"),
    "csv": lambda path: load_dataset(f"csv:{path}"),
    "folder": lambda path: load_dataset(f"folder:{path}"),
    "webdataset": lambda path: load_dataset(f"webdataset:{path}"),
    "huggingface": lambda path: load_dataset(f"huggingface:{path}"),
    "cifar10": lambda path: load_dataset(f"cifar10:{path}"),
    "imagenet16-120": lambda path: load_dataset(f"imagenet16-120:{path}"),
    "image": read_image,
    "image file": lambda path: ImageFiles([path])[0],
    "read_npy": read_npy,
    "read_npz": read_npz,
    "sample list": read_sample_list,
    "ranking": Ranking.load,
    "indices": lambda path: GivenIndices(path=path).select(np.zeros((3, 2)), 0.5),
    "features": Features.open,
    "search result": SearchResult.load,
    "network": TrainedCell.load,
    "checkpoint": lambda path: Checkpoint.load(Path(path)),
    "published": PublishedAccuracies.read if hasattr(PublishedAccuracies, "read") else read_npy,
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_only_regular_files_are_read(reader, special):
    with pytest.raises(InputError):
        reader(special)


def test_official_files_and_records_are_regular_files(tmp_path):
    for name in ("data_batch_1", "test_batch"):
        (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(InputError):
        load_dataset(f"cifar10:{tmp_path}")


def test_a_file_is_read_up_to_a_bound(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bounded(tmp_path / "a", 5) == b"12345"
    with pytest.raises(InputError, match="far too large"):
        read_bounded(tmp_path / "a", 4)
    with pytest.raises(InputError, match="a folder"):
        check_regular(tmp_path)
    with pytest.raises(InputError, match="null"):
        check_regular("a\0b")


@pytest.mark.parametrize(
    "row",
    ["/etc/passwd", "../outside.png", "sub/../../outside.png", "http://127.0.0.1:9/a.png",
     "ftp://127.0.0.1/a.png", "file:///etc/passwd", "pipe:touch ran", "~/a.png", "link.png"],
)  # fmt: skip
def test_a_row_of_a_table_opens_nothing_outside_its_folder(row, tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "outside.png")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    (folder / "table.csv").write_text(f"path,label\n{row},1\n{row},2\n")
    with pytest.raises(InputError):
        _ = read_csv(folder / "table.csv")[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "outside.png"]


def grey(*files):
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(file)


@pytest.mark.parametrize(
    "place", ["cat/1.png", "1.png", "cat", "train", "test/cat", "train/cat/deep/1.png"]
)
def test_a_link_in_a_folder_of_images_opens_nothing_outside_unless_it_is_told_to(place, tmp_path):
    name = f"folder:{tmp_path / 'in'}"
    grey(tmp_path / "out" / "cat" / "1.png")
    if place == "test/cat":
        grey(tmp_path / "in" / "train" / "cat" / "1.png")
    link = tmp_path / "in" / place
    link.parent.mkdir(parents=True, exist_ok=True)
    outside = {"1.png": "out/cat/1.png", "cat": "out/cat", "train": "out"}
    link.symlink_to(tmp_path / outside[link.name])
    with pytest.raises(InputError, match=r"link that leads out of .*follow_links=true"):
        load_dataset(name).test  # noqa: B018
    splits = load_dataset(name, follow_links=True)
    for part in (splits.train, splits.test or splits.train):
        assert part[0] is not None
    # Where the folder itself is a link, what it leads to is the folder.
    (tmp_path / "link").symlink_to(tmp_path / "out")
    assert len(load_dataset(f"folder:{tmp_path / 'link'}").train) == 1


def test_links_within_a_folder_of_images_are_followed(tmp_path):
    grey(tmp_path / "train" / "cat" / "1.png", tmp_path / "train" / "dog" / "1.png")
    (tmp_path / "train" / "dog" / "2.png").symlink_to("../cat/1.png")
    (tmp_path / "test").symlink_to("train")
    # No image, so it is not opened.
    (tmp_path / "train" / "dog" / "notes.txt").symlink_to("/etc/passwd")
    with pytest.warns(SkippedFilesWarning, match=r"1 \.txt"):
        splits = load_dataset(f"folder:{tmp_path}")
    assert len(splits.train) == 3
    with pytest.warns(SkippedFilesWarning):
        assert len(splits.test) == 3


@pytest.mark.parametrize(
    "kind",
    ["folder", "npz", "npy", "csv", "pt", "safetensors", "hdf5", "zarr", "webdataset", "cifar10",
     "huggingface", "imagenet16-120"],
)  # fmt: skip
def test_the_home_of_nobody_is_a_missing_folder(kind):
    suffix = ".safetensors" if kind == "safetensors" else ""
    with pytest.raises(InputError, match="~nobody-of-this-name"):
        load_dataset(f"{kind}:~nobody-of-this-name/a{suffix}")


def test_official_files_are_in_their_folder(tmp_path):
    for name in ("data_batch_1", "test_batch"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data_batch_1").symlink_to(tmp_path / "data_batch_1")
    with pytest.raises(InputError, match="data_batch_1 is a link that leads out"):
        load_dataset(f"cifar10:{tmp_path / 'in'}").train  # noqa: B018


def test_shards_that_are_found_are_in_their_folder_and_those_that_are_named_anywhere(tmp_path):
    content = io.BytesIO()
    Image.new("L", (4, 4)).save(content, "png")
    (tmp_path / "in" / "deep").mkdir(parents=True)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("d.png")
        member.size = len(content.getvalue())
        archive.addfile(member, io.BytesIO(content.getvalue()))
    for place in ("in/a.tar", "in/deep/b.tar"):
        (tmp_path / place).symlink_to(tmp_path / "a.tar")
    for pattern in ("in", "in/*.tar", "in/*/b.tar", "i[n]/deep/b.tar"):
        if pattern != "i[n]/deep/b.tar":
            with pytest.raises(InputError, match=r"(a|b)\.tar is a link that leads out"):
                load_dataset(f"webdataset:{tmp_path / pattern}")
        else:
            assert len(load_dataset(f"webdataset:{tmp_path / pattern}").train) == 1
    assert len(load_dataset(f"webdataset:{tmp_path}/in/{{a,deep/b}}.tar").train) == 2


@pytest.mark.parametrize("pattern", ["pipe:touch RAN", "http://127.0.0.1:9/a.tar", "/dev/stdin"])
def test_a_pattern_of_shards_names_files_alone(pattern, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        load_dataset(f"webdataset:{pattern}")
    assert not list(tmp_path.iterdir())


def test_members_that_are_links_or_devices_are_no_images(tmp_path):
    content = io.BytesIO()
    Image.new("L", (4, 4)).save(content, "png")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (("a", tarfile.SYMTYPE), ("b", tarfile.LNKTYPE), ("c", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(f"{name}.png")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        member = tarfile.TarInfo("d.png")
        member.size = len(content.getvalue())
        archive.addfile(member, io.BytesIO(content.getvalue()))
    assert len(load_dataset(f"webdataset:{tmp_path / 'a.tar'}").train) == 1


PLACES = (
    "/etc/hostname", "../outside.png", "ftp://127.0.0.1:9/a.png", "http://127.0.0.1:9/a.png",
    "zip://a.png::file:///tmp/a.zip", "reference://a", "hf://datasets/a/b/c.png", "nowhere.png",
)  # fmt: skip


@pytest.mark.parametrize("column", ["image", "other", "label"])
@pytest.mark.parametrize("place", PLACES)
def test_a_row_of_huggingface_opens_nothing(place, column, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="the extra huggingface is not installed")
    import fsspec
    import pyarrow

    Image.new("L", (4, 4)).save(tmp_path / "outside.png")
    content = (tmp_path / "outside.png").read_bytes()
    kind = pyarrow.struct({"bytes": "binary", "path": "string"})
    good = pyarrow.array([{"bytes": content, "path": None}] * 2, kind)
    bad = pyarrow.array([{"bytes": None, "path": place}] * 2, kind)
    columns = {"image": good, "label": pyarrow.array([0, 1]), column: bad}
    # As saved by hand: the library itself puts what rows name into the folder.
    datasets.Dataset(pyarrow.table(columns)).save_to_disk(tmp_path / "d")
    info = tmp_path / "d" / "dataset_info.json"
    notes = json.loads(info.read_text())
    for name, values in columns.items():
        if values.type == kind:
            notes["features"][name] = {"_type": "Image"}
    info.write_text(json.dumps(notes))
    opened = []

    def refuse(*given, **named):
        opened.append(given)
        raise AssertionError(given)

    train = load_dataset(f"huggingface:{tmp_path / 'd'}").train
    monkeypatch.setattr(fsspec, "open", refuse)
    monkeypatch.setattr("datasets.utils.file_utils.xopen", refuse)
    monkeypatch.setattr("datasets.features.image.xopen", refuse)
    if column == "other":
        assert train[0][0].shape == (4, 4, 1)
    else:
        with pytest.raises(InputError):
            create_sampler("cc-or").select(train, 0.5)
    assert not opened


@pytest.mark.parametrize("place", ["../e/data-00000-of-00001.arrow", "/etc/passwd", "a::b", ".."])
def test_notes_of_huggingface_name_files_of_their_folder(place, tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra huggingface is not installed")
    columns = {"x": [[0.5, 1.0], [2.0, 4.0]], "label": [3, 5]}
    for name in ("d", "e"):
        datasets.Dataset.from_dict(columns).save_to_disk(tmp_path / name)
    state = tmp_path / "d" / "state.json"
    state.write_text(
        json.dumps(json.loads(state.read_text()) | {"_data_files": [{"filename": place}]})
    )
    with pytest.raises(InputError, match="no file of its folder"):
        load_dataset(f"huggingface:{tmp_path / 'd'}")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "dataset_dict.json").write_text(json.dumps({"splits": [place]}))
    with pytest.raises(InputError, match="no file of its folder"):
        load_dataset(f"huggingface:{tmp_path / 'f'}")


@pytest.mark.parametrize("name", ["data-00000-of-00001.arrow", "state.json", "dataset_info.json"])
def test_files_of_huggingface_are_in_their_folder(name, tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra huggingface is not installed")
    columns = {"x": [[0.5, 1.0], [2.0, 4.0]], "label": [3, 5]}
    datasets.Dataset.from_dict(columns).save_to_disk(tmp_path / "d")
    (tmp_path / "d" / name).rename(tmp_path / name)
    (tmp_path / "d" / name).symlink_to(tmp_path / name)
    with pytest.raises(InputError, match=f"{name} is a link that leads out"):
        load_dataset(f"huggingface:{tmp_path / 'd'}")


def test_batches_of_huggingface_that_are_compressed_are_refused(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra huggingface is not installed")
    import pyarrow

    columns = {"x": [[0.5, 1.0], [2.0, 4.0]], "label": [3, 5]}
    datasets.Dataset.from_dict(columns).save_to_disk(tmp_path / "d")
    (file,) = (tmp_path / "d").glob("*.arrow")
    for compression in (None, "zstd"):
        table = pyarrow.table(columns)
        options = pyarrow.ipc.IpcWriteOptions(compression=compression)
        with pyarrow.ipc.new_stream(str(file), table.schema, options=options) as stream:
            stream.write_table(table)
        if compression is None:
            assert len(load_dataset(f"huggingface:{tmp_path / 'd'}").train) == 2
    with pytest.raises(InputError, match="is compressed"):
        load_dataset(f"huggingface:{tmp_path / 'd'}")


@pytest.mark.parametrize("kind", ["fifo", "device", "outside"])
def test_chunks_of_zarr_are_files_in_the_store(kind, tmp_path):
    zarr = pytest.importorskip("zarr", reason="the extra zarr is not installed")
    zarr.save_array(str(tmp_path / "a"), np.ones((4, 2)))
    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    (chunk,) = [path for path in files if path.suffix != ".json" and path.name[0] == "0"]
    chunk.rename(tmp_path / "chunk")
    if kind == "fifo":
        os.mkfifo(chunk)
    else:
        chunk.symlink_to("/dev/zero" if kind == "device" else tmp_path / "chunk")
    with pytest.raises(InputError, match=r"regular|leads out"):
        load_dataset(f"zarr:{tmp_path / 'a'}")


def test_an_array_of_zarr_is_a_folder_in_the_store(tmp_path):
    zarr = pytest.importorskip("zarr", reason="the extra zarr is not installed")
    zarr.save_group(str(tmp_path / "a"), images=np.ones((4, 2, 2)), labels=np.arange(4) % 2)
    (tmp_path / "a" / "images").rename(tmp_path / "elsewhere")
    (tmp_path / "a" / "images").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="images is a link that leads out of the store"):
        load_dataset(f"zarr:{tmp_path / 'a'}")


@pytest.mark.parametrize("kind", ["external", "group", "virtual", "storage"])
def test_arrays_of_hdf5_are_in_their_file(kind, tmp_path):
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["images"] = np.zeros((4, 2, 2), dtype=np.uint8)
    place = str(tmp_path / "other.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["labels"] = np.arange(4) % 2
        if kind == "external":
            file["images"] = h5py.ExternalLink(place, "/images")
        elif kind == "group":
            file["elsewhere"] = h5py.ExternalLink(place, "/")
            file["images"] = h5py.SoftLink("/elsewhere/images")
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4, 2, 2), dtype="u1")
            layout[:] = h5py.VirtualSource(place, "images", shape=(4, 2, 2))
            file.create_virtual_dataset("images", layout)
        else:
            file.create_dataset("images", (4, 2, 2), dtype="u1", external=[(place, 0, 16)])
    with pytest.raises(InputError, match=r"images (is a link|leads to other files)"):
        load_dataset(f"hdf5:{tmp_path / 'a.h5'}")


def test_tensors_that_share_bytes_are_refused(tmp_path):
    tensors = {
        "images": {"dtype": "U8", "shape": [4, 2, 2], "data_offsets": [0, 16]},
        "labels": {"dtype": "I32", "shape": [4], "data_offsets": [0, 16]},
    }
    header = json.dumps(tensors).encode()
    file = tmp_path / "a.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(InputError, match="damaged"):
        load_dataset(f"safetensors:{file}")


def test_images_that_are_decoded_side_by_side_share_a_room():
    room = Room(10)
    inside, most = [], []

    def work(size):
        with room.taken(size):
            inside.append(size)
            most.append(sum(inside))
            time.sleep(0.01)
            inside.remove(size)

    threads = [threading.Thread(target=work, args=(size,)) for size in (6, 6, 3, 50, 4, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # What is larger than the room has it alone.
    assert max(size for size in most if size != 50) <= 10
    assert room.left == 10


def test_large_images_wait_for_no_more_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr("proxysample.data.image_files.BYTES_AHEAD", 100)
    begun = []

    def read(index):
        begun.append(index)
        return np.zeros(60, dtype=np.uint8)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    results = on_threads(read, range(50))
    for n_taken in range(1, 20):
        next(results)
        assert len(begun) <= n_taken + 2
    results.close()
