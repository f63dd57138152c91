"""Rankings, datasets and indices that a user is handed: read, or refused by our own error."""

from __future__ import annotations

import io
import json
import pickle
import tracemalloc
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

import numpy as np
import pytest
import torch

from proxysample import InputError, RandomSampling, Ranking, load_dataset
from proxysample.files import read_npy, read_npz, read_npz_stream
from proxysample.samplers.given import read_indices

from ...mutations import archive, mutated_archives, mutations


def npy(array, **options) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), **options)
    return stream.getvalue()


def claiming(shape: str, kind: str = "|u1", content: bytes = b"abcd") -> bytes:
    """An array whose header claims what does not follow."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@contextmanager
def little_memory(most: int = 8 << 20) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a file ran code",)


@pytest.fixture(scope="module")
def ranking_members() -> dict[str, bytes]:
    images = np.random.default_rng(0).integers(0, 256, (12, 2, 2), dtype=np.uint8)
    ranking = RandomSampling(random_state=0).rank(images, y=[0, 1] * 6)
    ranking = Ranking(ranking.scores, np.array([0, 1] * 6), provenance=ranking.provenance)
    stream = io.BytesIO()
    ranking.write(stream)
    with zipfile.ZipFile(stream) as written:
        return {name: written.read(name) for name in written.namelist()}


def use_ranking(content: bytes) -> None:
    """Read a ranking and do with it all that a user does."""
    ranking = Ranking.read(io.BytesIO(content), "a.npz")
    assert repr(ranking)
    kept = ranking.select(1.0)
    assert np.array_equal(kept, np.arange(len(ranking)))
    with pytest.raises(InputError):
        ranking.check_dataset(np.zeros((5, 7)))


def n_refused(contents, use) -> int:
    refused = 0
    for content in contents:
        try:
            use(content)
        except InputError:
            refused += 1
    return refused


def n_refused_in_little_memory(contents: Iterable[bytes], use) -> int:
    """Counting memory makes all else slow: one in eight tells; claims of every kind are below."""
    drawn = list(contents)
    with little_memory():
        refused = n_refused(drawn[::8], use)
    return refused + sum(n_refused(drawn[start::8], use) for start in range(1, 8))


def test_a_mutated_ranking_is_read_or_refused(ranking_members):
    packed = archive(list(ranking_members.items()), zipfile.ZIP_DEFLATED)
    use_ranking(packed)
    contents = chain(
        mutations(packed, 800, head=len(packed)),
        mutated_archives(ranking_members, 1_400, head=600),
    )
    assert n_refused_in_little_memory(contents, use_ranking) > 1_000


def test_a_mutated_dataset_is_read_or_refused(tmp_path):
    images = np.arange(4 * 9, dtype=np.uint8).reshape(4, 3, 3)
    members = {
        "images.npy": npy(images),
        "labels.npy": npy([0, 1, 0, 1]),
        "classes.npy": npy(["cat", "dog"]),
    }
    path = tmp_path / "a.npz"

    def use(content: bytes) -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        train = load_dataset(f"npz:{path}").train
        assert repr(train)
        image, _ = train[len(train) - 1]
        assert torch.isfinite(image).all()
        RandomSampling(random_state=0).select(train, 1.0)

    packed = archive(list(members.items()))
    use(packed)
    contents = chain(mutations(packed, 800, head=len(packed)), mutated_archives(members, 1_400))
    assert n_refused_in_little_memory(contents, use) > 1_000


def test_mutated_indices_are_read_or_refused(tmp_path):
    path = tmp_path / "a.npy"

    def use(content: bytes) -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        indices = read_indices(path, 40)
        assert indices.dtype == np.int64
        assert np.all((indices >= 0) & (indices < 40))

    content = npy(np.arange(0, 40, 3))
    use(content)
    assert n_refused_in_little_memory(mutations(content, 2_200, head=128), use) > 1_000


@pytest.mark.parametrize(
    "content",
    [
        claiming("(1000000000000,)"),
        claiming("(9223372036854775807, 9223372036854775807)", "<f8"),
        claiming("(1,)", "<U999999999"),
        claiming("(-4,)"),
        claiming("(True, 4)"),
        claiming("(4,)", "|O"),
        claiming("(4,)", "<M8[s]"),
        claiming("(" * 5000),
        claiming("(4,)", "<U1", b"\xff" * 16),
        claiming("(3,)"),
        claiming("(4L,)"),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
        b"\x93NUMPY\x03\x00" + bytes(20),
        npy(np.zeros(4, dtype="<i4,<i4")),
    ],
)
def test_what_a_header_claims_is_not_believed(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    (tmp_path / "a.npz").write_bytes(archive([("images.npy", content)]))
    with little_memory(1 << 20):
        with pytest.raises(InputError, match=r"a\.npy is no \.npy file, is damaged"):
            read_npy(tmp_path / "a.npy")
        with pytest.raises(InputError, match=r"a\.npz is no \.npz file, is damaged"):
            read_npz(tmp_path / "a.npz")


def header_of(**changed) -> bytes:
    """An array of four bytes, but for what is changed."""
    values = {"descr": "|u1", "fortran_order": False, "shape": (4,)} | changed
    header = f"{ {name: one for name, one in values.items() if one is not None} }\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"abcd"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header_of(descr="|O", shape=()) + b"efgh", r"its type '\|O' is neither"),
        (header_of(descr="<M8[s]", shape=()) + b"efgh", "is neither of numbers nor of strings"),
        (header_of(descr=[("a", "|u1")]), "is neither"),
        (header_of(extra=1), "not that of an array"),
        (header_of(fortran_order=None), "not that of an array"),
        (header_of(shape=(4,) + (1,) * 32), "its shape .* is none"),
        (header_of(shape=(-2, -2)), "its shape .* is none"),
        (header_of(shape=(4, True)), "its shape .* is none"),
        (header_of(shape=[4]), "its shape .* is none"),
        (header_of(fortran_order=1), "its shape .* is none"),
        (header_of(shape=(3,)), r"takes 3 bytes, and there are 4"),
        (header_of(descr="<U1", shape=()).replace(b"abcd", b"\0\xd8\0\0"), "no character"),
    ],
)
def test_each_thing_that_is_wrong_with_a_header_is_named(tmp_path, content, message):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_npy(tmp_path / "a.npy")


def test_each_thing_that_is_wrong_with_an_archive_is_named():
    array = npy([1, 2, 3])
    wrong = {
        "names an array twice": archive([("scores.npy", array)] * 2),
        "in a way that numpy never writes": archive([("scores.npy", array)], zipfile.ZIP_BZIP2),
    }
    for message, content in wrong.items():
        with pytest.raises(InputError, match=message):
            read_npz_stream(io.BytesIO(content), "a.npz")


def test_a_member_that_ends_early_is_cut():
    """Its sum is right, and only its size is not."""
    packed = bytearray(archive([("scores.npy", header_of()[:-2])], zipfile.ZIP_DEFLATED))
    size = packed.rindex(b"PK\x01\x02") + 24
    packed[size : size + 4] = len(header_of()).to_bytes(4, "little")
    with pytest.raises(InputError, match="it is cut"):
        read_npz_stream(io.BytesIO(packed), "a.npz")


def test_no_pickle_is_loaded(tmp_path):
    objects = npy(np.array([Bomb()], dtype=object), allow_pickle=True)
    for content in (objects, pickle.dumps(Bomb()), archive([("images.npy", objects)])):
        (tmp_path / "a.npz").write_bytes(content)
        for read in (read_npz, read_npy, Ranking.load, lambda path: read_indices(path, 9)):
            with pytest.raises(InputError, match="Python objects"):
                read(tmp_path / "a.npz")


def test_a_bomb_is_not_unpacked(monkeypatch):
    """Members that claim more than their bytes can hold, and ones that hold far too much."""
    packed = bytearray(
        archive([("images.npy", npy(np.zeros(50_000, np.uint8)))], zipfile.ZIP_DEFLATED)
    )
    directory = packed.rindex(b"PK\x01\x02")
    packed[directory + 24 : directory + 28] = (0xFFFF_FFF0).to_bytes(4, "little")
    with little_memory(1 << 20), pytest.raises(InputError, match="more bytes than it can hold"):
        read_npz_stream(io.BytesIO(packed), "a.npz")
    monkeypatch.setattr("proxysample.files.LARGE_BYTES", 1 << 20)
    zeros = archive([("images.npy", npy(np.zeros(4 << 20, np.uint8)))], zipfile.ZIP_DEFLATED)
    with little_memory(1 << 20), pytest.raises(InputError, match="would unpack to 4,194,432"):
        read_npz_stream(io.BytesIO(zeros), "a.npz")


def test_arrays_of_every_plain_type_come_back(tmp_path):
    arrays = {
        "bytes": np.arange(6, dtype=np.uint8).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "swapped": np.arange(4, dtype=">i4"),
        "half": np.arange(3, dtype=np.float16),
        "words": np.array(["emu", "gnü"]),
        "flags": np.array([True, False]),
        "one": np.array(7),
        "empty": np.zeros((0, 4)),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        read = read_npz(tmp_path / "a.npz")
        assert list(read) == list(arrays)
        for name, array in arrays.items():
            assert np.array_equal(read[name], array)
            assert read[name].shape == array.shape
            assert read[name].dtype == array.dtype.newbyteorder("=")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"keep": "hardest"}, "keep is 'hardest'"),
        ({"rounding": []}, "rounding is"),
        ({"provenance": 3}, "provenance is 3"),
        ({"provenance": {"seconds": "long"}}, "seconds is 'long'"),
        ({"provenance": {"dataset": {"n_samples": "many"}}}, "n_samples is 'many'"),
        ({"format": {}}, "has format {}"),
    ],
)
def test_a_header_of_wrong_values_is_refused(changed, message):
    header = {
        "format": "proxysample-ranking-1",
        "keep": "easy",
        "rounding": "exact",
        "provenance": {},
    }
    stream = io.BytesIO()
    np.savez(stream, header=np.array(json.dumps(header | changed)), scores=np.zeros(3))
    stream.seek(0)
    with pytest.raises(InputError, match=message):
        Ranking.read(stream, "a.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"scores": np.array(["1", "2"] * 6)}, "<U1"),
        ({"codes": np.array([0, 1 << 40] * 6)}, "codes run to"),
        ({"codes": np.array([0.5, 1] * 6)}, "float64"),
        ({"codes": np.array([0, 1, 1])}, "3 class codes for 12 scores"),
    ],
)
def test_arrays_that_cannot_rank_are_refused(arrays, message, ranking_members):
    members = ranking_members | {"scores.npy": npy(np.zeros(12)), "codes.npy": npy([0, 1] * 6)}
    members |= {f"{name}.npy": npy(array) for name, array in arrays.items()}
    with pytest.raises(InputError, match=message):
        Ranking.read(io.BytesIO(archive(list(members.items()))), "a.npz")
