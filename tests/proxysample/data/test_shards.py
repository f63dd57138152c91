from __future__ import annotations

import gc
import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from proxysample import CCOutlierRemoval, InputError, RandomSampling, load_dataset
from proxysample.data.shards import expand

from ...mutations import mutations  # tests are no package

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)


def png(index):
    stream = io.BytesIO()
    Image.fromarray(PIXELS[index]).save(stream, "PNG")
    return stream.getvalue()


def write_shard(path, members):
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def members(start, stop, label=lambda index: str(index % 3)):
    for index in range(start, stop):
        yield f"train/{index:03}.png", png(index)
        yield f"train/{index:03}.cls", label(index).encode()
        yield f"train/{index:03}.json", b"{}"


@pytest.fixture
def shards(tmp_path):
    for number in range(3):
        write_shard(tmp_path / f"train-{number:02}.tar", members(4 * number, 4 * number + 4))
    return tmp_path


@pytest.mark.parametrize(
    "pattern", ["", "/train-{00..02}.tar", "/train-*.tar", "/train-{00,01,02}.tar"]
)
def test_shards_are_read_where_they_lie(shards, pattern):
    train = load_dataset(f"webdataset:{shards}{pattern}").train
    assert np.array_equal(train.images, PIXELS)
    assert train.targets.tolist() == [index % 3 for index in range(12)]
    assert list(train.keys) == [f"train/{index:03}" for index in range(12)]
    chosen = CCOutlierRemoval().select(train, 0.5)
    assert np.array_equal(chosen, CCOutlierRemoval().select(PIXELS, 0.5, y=train.targets))


# The package leaves its files to the collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_package_webdataset_reads_the_same(shards):
    webdataset = pytest.importorskip("webdataset")
    urls = [str(file) for file in expand(str(shards))]
    stream = webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8")
    theirs = [(item["__key__"], item["png"], item["cls"]) for item in stream]
    del stream
    gc.collect()
    train = load_dataset(f"webdataset:{shards}").train
    assert [key for key, _, _ in theirs] == list(train.keys)
    assert [label for _, _, label in theirs] == train.targets.tolist()
    assert np.array_equal([image for _, image, _ in theirs], train.images)


def test_labels_may_be_words_or_missing(tmp_path):
    write_shard(tmp_path / "a.tar", members(0, 4, lambda index: "cat" if index else "dog"))
    assert load_dataset(f"webdataset:{tmp_path}").train.targets.tolist() == ["dog"] + 3 * ["cat"]
    write_shard(tmp_path / "a.tar", [("1.png", png(1)), ("2.png", png(2))])
    train = load_dataset(f"webdataset:{tmp_path}/a.tar").train
    assert train.targets is None
    assert len(RandomSampling(random_state=0).select(train, 0.5)) == 1


def test_a_broken_image_stops_who_asks_for_it(tmp_path):
    write_shard(tmp_path / "a.tar", [("1.png", png(1)), ("2.png", b"no image")])
    train = load_dataset(f"webdataset:{tmp_path}/a.tar").train
    assert np.array_equal(train.raw_item(0)[0], PIXELS[1])
    with pytest.raises(InputError, match=r"image 1 of 2: .*a\.tar/2\.png does not decode"):
        train[1]


def link(name, target):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def test_links_in_a_shard_are_not_followed(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(link("1.png", "/etc/passwd"))
        member = tarfile.TarInfo("../../2.png")
        member.size = len(png(2))
        archive.addfile(member, io.BytesIO(png(2)))
    before = sorted(tmp_path.iterdir())
    train = load_dataset(f"webdataset:{tmp_path}/a.tar").train
    assert np.array_equal(train.images, PIXELS[2:3])
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([("1.txt", b"a")], "hold no images"),
        ([("1.png", b"a"), ("1.seg.png", b"a")], r"has the images 1\.png and 1\.seg\.png"),
        ([("1.png", b"a"), ("1.cls", b"0"), ("2.png", b"a")], r"sample '2' has no \.cls"),
        ([("1.png", b"a"), ("1.cls", b"0" * 2000)], "holds no label"),
        ([("1.png", b"a"), ("1.cls", b"\xff")], "damaged"),
        ([("1.cls", b"0"), ("1.cls", b"0"), ("1.png", b"a")], "holds no label"),
    ],
)
def test_shards_that_do_not_fit_are_refused(tmp_path, content, message):
    write_shard(tmp_path / "a.tar", content)
    with pytest.raises(InputError, match=f"webdataset:.*{message}"):
        load_dataset(f"webdataset:{tmp_path}/a.tar")


def test_shards_that_are_none_are_refused(shards):
    for name, message in (
        ("missing.tar", "no such file"),
        ("none-*.tar", "no file is named"),
        ("a-{0..99999999}.tar", "more than"),
        ("train-{00..03}.tar", r"train-03\.tar: no such file"),
    ):
        with pytest.raises(InputError, match=message):
            load_dataset(f"webdataset:{shards}/{name}")
    (shards / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no \.tar"):
        load_dataset(f"webdataset:{shards}/empty")
    with tarfile.open(shards / "packed.tar", "w:gz") as archive:
        archive.add(shards / "train-00.tar", "1.png")
    with pytest.raises(InputError, match=r"compressed .then unpack it by gunzip"):
        load_dataset(f"webdataset:{shards}/packed.tar")
    whole = (shards / "train-00.tar").read_bytes()
    (shards / "cut.tar").write_bytes(whole[:700])
    with pytest.raises(InputError, match=r"is cut|damaged"):
        load_dataset(f"webdataset:{shards}/cut.tar")


def test_mutated_shards_are_read_or_refused(shards):
    whole = (shards / "train-00.tar").read_bytes()
    refused = 0
    for mutated in mutations(whole, 300, head=2000):
        (shards / "a.tar").write_bytes(mutated)
        try:
            train = load_dataset(f"webdataset:{shards}/a.tar").train
            for index in range(len(train)):
                train.raw_item(index)
        except InputError:
            refused += 1
    assert refused > 100
