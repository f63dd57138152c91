from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from torch import nn

from proxysample import Features, InputError, KMeansOutlierRemoval, embed
from proxysample.features import store as stores
from proxysample.features.batches import ROWS_PER_BLOCK
from proxysample.features.store import CHECKSUMS, FEATURES, KEYS, LABELS, RECORD
from proxysample.files import map_npy


@pytest.fixture
def made(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (600, 2, 3), dtype=np.uint8)
    return embed(images, np.arange(600) % 7, folder=tmp_path / "features", backbone=nn.Flatten())


def spoil(path, place, content=b"\7"):
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(content)


def test_a_store_is_an_array(made):
    array = np.asarray(made)
    assert array.shape == made.shape == (600, 6)
    assert made.dtype == array.dtype == np.float32
    assert made.nbytes == array.nbytes
    assert (made.ndim, len(made)) == (2, 600)
    np.testing.assert_array_equal(made[3:5], array[3:5])
    np.testing.assert_array_equal(made[np.array([7, 1])], array[[7, 1]])
    assert np.asarray(made, dtype=np.float64).dtype == np.float64
    # Nothing is copied, and nobody writes to it.
    assert np.shares_memory(array, np.asarray(made))
    assert not array.flags.writeable
    assert made.key in repr(made)


@pytest.mark.parametrize("place", [200, 600 * 24 + 100])
def test_a_changed_byte_is_found_out(made, place):
    spoil(made.folder / FEATURES, place)
    with pytest.raises(InputError, match=r"is damaged: samples .* embed the dataset again"):
        Features.open(made.folder)


def test_of_large_stores_some_blocks_are_looked_at_and_all_by_verify(made, monkeypatch):
    monkeypatch.setattr(stores, "BYTES_CHECKED", 100)
    monkeypatch.setattr(stores, "BLOCKS_CHECKED", 2)
    spoil(made.folder / FEATURES, 128 + 300 * 24)
    opened = Features.open(made.folder)
    with pytest.raises(InputError, match="samples 256 to 511"):
        opened.verify()
    spoil(made.folder / FEATURES, 128)
    with pytest.raises(InputError, match="samples 0 to 255"):
        Features.open(made.folder)


def test_a_cut_or_longer_file_is_refused(made):
    path = made.folder / FEATURES
    content = path.read_bytes()
    for other in (content[:-1], content[:50], b"", content + b"\0", b"PK" + content):
        path.write_bytes(other)
        with pytest.raises(InputError, match=r"features\.npy is no \.npy file, is damaged"):
            Features.open(made.folder)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        Features.open(made.folder)


def rewritten(made, **changes):
    record = json.loads((made.folder / RECORD).read_text()) | changes
    (made.folder / RECORD).write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "no record of features, or is damaged"),
        ({"n_samples": -1}, "no record of features, or is damaged"),
        ({"n_samples": 599}, "does not hold|not the features of"),
        ({"n_samples": 10**15}, "does not hold|not the features of"),
        ({"dtype": "float16"}, "not the features of"),
        ({"rows_per_block": 100}, "does not hold the sums"),
        ({"checksums": "0"}, "is not what .* names"),
        ({"key": "0"}, "its key 0 does not name"),
        ({"made_of": {"dataset": "another"}}, "does not name what it says"),
        ({"made_of": []}, "no record of features, or is damaged"),
    ],
)
def test_a_record_of_something_else_is_refused(made, changes, message):
    rewritten(made, **changes)
    with pytest.raises(InputError, match=message):
        Features.open(made.folder)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1}', "[" * 100_000, " " * (1 << 21)])
def test_what_is_no_record_is_refused(made, text):
    (made.folder / RECORD).write_text(text)
    with pytest.raises(InputError, match="no record of features"):
        Features.open(made.folder)


@pytest.mark.parametrize("name", [CHECKSUMS, LABELS, FEATURES, KEYS])
def test_python_objects_are_never_loaded(made, name):
    np.save(made.folder / name, np.array([print] * 600, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"Python objects"):
        assert Features.open(made.folder).keys


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (CHECKSUMS, np.zeros(3, np.uint32), "is not what"),
        (CHECKSUMS, np.zeros(2, np.uint32), "does not hold the sums of 3 blocks"),
        (LABELS, np.zeros(599, np.int64), "does not hold the labels of 600 samples"),
        (LABELS, np.zeros(600), "does not hold the labels of 600 samples"),
        (KEYS, np.zeros(600), "does not hold the files of 600 samples"),
        (FEATURES, np.zeros((600, 5), np.float32), "not the features of"),
    ],
)
def test_files_of_another_store_are_refused(made, name, array, message):
    np.save(made.folder / name, array)
    with pytest.raises(InputError, match=message):
        assert Features.open(made.folder).keys


def test_a_damaged_store_is_not_embedded_over(made):
    images = np.random.default_rng(0).integers(0, 256, (600, 2, 3), dtype=np.uint8)
    spoil(made.folder / FEATURES, 200)
    with pytest.raises(InputError, match="remove its folder"):
        embed(images, folder=made.folder.parent, backbone=nn.Flatten())


def test_a_folder_without_a_store_or_with_several_says_so(made, tmp_path):
    with pytest.raises(InputError, match="holds no features that are whole: make them with"):
        Features.open(tmp_path / "nowhere")
    images = np.zeros((3, 2, 2), dtype=np.uint8)
    sampler = KMeansOutlierRemoval(n_clusters=1, features=f"embed:{tmp_path / 'nowhere'}")
    with pytest.raises(InputError, match="holds no features that are whole"):
        sampler.rank(images)
    assert Features.open(made.folder.parent).key == made.key
    embed(images, folder=made.folder.parent, backbone=nn.Flatten(), dtype="float16")
    with pytest.raises(InputError, match=r"several stores; name one .*Flatten, float16"):
        Features.open(made.folder.parent)


def test_labels_may_be_names(tmp_path):
    images = np.zeros((3, 2, 2), dtype=np.uint8)
    features = embed(images, ["cat", "dog", "cat"], folder=tmp_path, backbone=nn.Flatten())
    assert features.labels.tolist() == ["cat", "dog", "cat"]


def test_a_mapped_array_is_the_one_that_is_read(tmp_path):
    for array in (np.arange(6).reshape(2, 3), np.asfortranarray(np.ones((3, 2), np.float16))):
        np.save(tmp_path / "a.npy", array)
        mapped = map_npy(tmp_path / "a.npy")
        np.testing.assert_array_equal(mapped, array)
        assert isinstance(mapped, np.memmap)


@pytest.mark.parametrize("way", ["removed", "moved"])
def test_a_store_that_is_lost_while_it_is_written_is_told_and_not_begun_anew(tmp_path, way):
    images = np.random.default_rng(0).integers(0, 256, (ROWS_PER_BLOCK + 9, 2), dtype=np.uint8)
    there, moved = tmp_path / "there", tmp_path / "moved"

    class Losing(nn.Module):
        def forward(self, images):
            if len(list(there.glob("*/making.json"))) and images.shape[0] == 9:
                shutil.rmtree(there) if way == "removed" else there.rename(moved)
            return images.flatten(1)

    with pytest.raises(InputError, match="is gone: it was removed or moved while features"):
        embed(images[:, :, np.newaxis], folder=there, backbone=Losing())
    assert not there.exists()
    if way == "moved":
        features = embed(images[:, :, np.newaxis], folder=moved, backbone=Losing())
        # It goes on with what had been written.
        assert features.provenance["samples_taken_over"] == ROWS_PER_BLOCK
