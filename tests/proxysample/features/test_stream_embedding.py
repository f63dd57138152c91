"""Streams are embedded in one pass, with their keys; what cannot be read is skipped on request."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torch import nn
from torch.utils.data import IterableDataset

from proxysample import (
    CCOutlierRemoval,
    Features,
    InputError,
    KMeansOutlierRemoval,
    embed,
    load_dataset,
)
from proxysample.data.whole import BrokenImageWarning
from proxysample.features.batches import ROWS_PER_BLOCK

N = ROWS_PER_BLOCK + 9
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 6, 6, 3), dtype=np.uint8)
BROKEN = [0, 70, N - 1]


class Pipeline(IterableDataset):
    """As those of the package webdataset: each pass begins anew, and none knows its length."""

    def __init__(self, broken=()):
        self.broken = set(broken)
        self.n_passes = 0

    def __iter__(self):
        self.n_passes += 1
        for number, pixels in enumerate(PIXELS):
            image = "no image" if number in self.broken else Image.fromarray(pixels)
            yield {"__key__": f"shard/{number:05}", "png": image, "cls": number % 2}


def embedded(stream, folder, **options):
    return embed(stream, backbone=nn.Flatten(), folder=folder, **options)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_stream_is_embedded_in_one_pass_to_the_features_of_its_images(tmp_path, dtype):
    stream = Pipeline()
    features = embedded(stream, tmp_path / "a", dtype=dtype)
    assert stream.n_passes == 1
    expected = embedded(PIXELS, tmp_path / "b", dtype=dtype)
    assert np.array_equal(np.asarray(features), np.asarray(expected))
    assert features.keys.tolist() == [f"shard/{number:05}" for number in range(N)]
    assert features.labels.tolist() == [number % 2 for number in range(N)]
    # The same stream again is the same store, and nothing else lies there.
    assert embedded(Pipeline(), tmp_path / "a", dtype=dtype).key == features.key
    assert [path.name for path in (tmp_path / "a").iterdir()] == [features.key]
    again = load_dataset(f"embed:{tmp_path}/a").train
    assert isinstance(again, Features)
    assert len(CCOutlierRemoval().select(again, n=7)) == 7


def test_a_stream_that_raises_leaves_nothing_behind(tmp_path):
    def cut():
        yield from PIXELS[:100]
        raise OSError("connection lost")

    with pytest.raises(InputError, match=r"sample 100 of the stream cannot be read: .*lost"):
        embedded(cut(), tmp_path / "a")
    assert list((tmp_path / "a").iterdir()) == []
    with pytest.raises(InputError, match="the stream is empty"):
        embedded(iter([]), tmp_path / "a")


def test_what_a_stream_cannot_decode_stops_or_is_skipped(tmp_path):
    with pytest.raises(InputError, match="sample 0 is a str, not an image"):
        embedded(Pipeline(BROKEN), tmp_path / "a")
    told = r"3 of 265 .*sample 70 \(shard/00070\): it is a str"
    with pytest.warns(BrokenImageWarning, match=told):
        features = embedded(Pipeline(BROKEN), tmp_path / "a", broken="skip")
    rows = np.asarray(features)
    assert np.flatnonzero(np.isnan(rows).any(axis=1)).tolist() == BROKEN
    whole = np.setdiff1d(np.arange(N), BROKEN)
    flat = PIXELS[whole].transpose(0, 3, 1, 2).reshape(-1, 108)
    assert np.array_equal(rows[whole], flat / np.float32(255))
    assert features.labels.tolist() == [number % 2 for number in range(N)]
    with pytest.raises(InputError, match="sample 0 holds NaN"):
        CCOutlierRemoval().select(features, n=7)
    with pytest.warns(BrokenImageWarning):
        assert CCOutlierRemoval().rank(features, broken="skip").skipped.tolist() == BROKEN


def test_images_of_several_sizes_need_one(tmp_path):
    def of_sizes():
        for number in range(70):
            yield np.full((8, 8 + (number == 69), 3), number, np.uint8)

    told = "sample 69 is 9x8, and those before it 8x8; pass input_size"
    with pytest.raises(InputError, match=told):
        embedded(of_sizes(), tmp_path)
    assert embedded(of_sizes(), tmp_path, input_size=4).shape == (70, 48)


def test_depths_and_modes_of_a_stream_go_together(tmp_path):
    white = [
        Image.new("L", (4, 4), 255),
        Image.new("I;16", (4, 4), 65_535),
        Image.new("RGB", (4, 4), "white"),
        np.ones((4, 4, 3), np.float32),
    ]
    assert (np.asarray(embedded(iter(white), tmp_path)) == 1).all()


def test_what_a_stream_does_not_do_is_refused(tmp_path):
    for options in ({"y": [1]}, {"num_workers": 2}, {"executor": "ray"}):
        with pytest.raises(InputError, match="can only be read from its beginning, here and once"):
            embedded(Pipeline(), tmp_path, **options)


class Items:
    """Some of which raise."""

    def __len__(self):
        return N

    def __getitem__(self, index):
        if index in BROKEN:
            raise OSError("cut")
        return PIXELS[index], index % 2


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_a_dataset_cannot_read_is_skipped_and_refused_by_who_does_not_skip(
    tmp_path, num_workers
):
    with pytest.raises(InputError, match="sample 0 cannot be read"):
        embedded(Items(), tmp_path)
    with pytest.warns(BrokenImageWarning, match="3 of 265"):
        features = embedded(Items(), tmp_path, broken="skip", num_workers=num_workers)
    whole = np.setdiff1d(np.arange(N), BROKEN)
    expected = embedded(PIXELS, tmp_path / "b")
    assert np.array_equal(np.asarray(features)[whole], np.asarray(expected)[whole])
    assert np.isnan(np.asarray(features)[BROKEN]).all()
    assert features.provenance["samples_skipped"] == 3
    # Found again by who skips, and by nobody else.
    assert embedded(Items(), tmp_path, broken="skip").key == features.key
    with pytest.raises(InputError, match="sample 0 cannot be read"):
        embedded(Items(), tmp_path)
    sampler = KMeansOutlierRemoval(n_clusters=2, features=features, random_state=0)
    with pytest.warns(BrokenImageWarning):
        ranking = sampler.rank(Items(), broken="skip")
    assert ranking.skipped.tolist() == BROKEN
