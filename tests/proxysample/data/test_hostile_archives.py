"""Archives and pickles that a user is handed: what the tests of their readers leave out."""

from __future__ import annotations

import dataclasses
import gzip
import io
import tarfile

import pytest

from proxysample import InputError
from proxysample.data.official import CIFAR10, read_cifar
from proxysample.data.pickles import read_plain_pickle

ONE_IMAGE = dataclasses.replace(CIFAR10, train={"data_batch_1": 1}, test={"test_batch": 1})


def packed(folder: str) -> bytes:
    """An archive of the two files, each of one image, in a folder of any name."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in ("data_batch_1.bin", "test_batch.bin"):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = 3_073
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return gzip.compress(stream.getvalue(), mtime=0)


@pytest.mark.parametrize("place", ["", "/", "../", "/etc/../", "other/", "cifar-10-batches-bin/"])
def test_members_are_taken_from_the_official_folder_only(tmp_path, place):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(packed(f"{place}cifar-10-batches-bin"))
    if place:
        with pytest.raises(InputError, match="holds none of the official files"):
            read_cifar(path, ONE_IMAGE)
    else:
        assert len(read_cifar(path, ONE_IMAGE).train.images) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"\x80\x02]U\x01aK\x01s.", "set in what is no dict"),
        (b"\x80\x02}(U\x01au.", "set in what is no dict"),
        (b"\x80\x02}K\x01a.", "appended to what is no list"),
    ],
)
def test_values_go_into_what_can_hold_them(pickled, message):
    with pytest.raises(InputError, match=message):
        read_plain_pickle(pickled, "batch")
