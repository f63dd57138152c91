from __future__ import annotations

import gc
import io

import numpy as np
import pytest
import torch
from PIL import Image

from proxysample import CCOutlierRemoval, InputError, RandomSampling, load_dataset
from proxysample.data import Samples, read_stream

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
LABELS = [index % 3 for index in range(12)]


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, make):
        self.make = make

    def __iter__(self):
        for index in range(12):
            yield self.make(index)


FORMS = {
    "arrays": lambda index: (PIXELS[index], LABELS[index]),
    "pictures": lambda index: (Image.fromarray(PIXELS[index]), LABELS[index]),
    "tensors": lambda index: (torch.from_numpy(PIXELS[index]).permute(2, 0, 1), LABELS[index]),
    "usual names": lambda index: {"image": PIXELS[index], "label": LABELS[index]},
    "webdataset's": lambda index: {
        "__key__": f"{index:03}",
        "jpg": Image.fromarray(PIXELS[index]),
        "cls": LABELS[index],
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_a_stream_is_read_once_and_kept(tmp_path, form):
    dataset = read_stream(Stream(FORMS[form]), tmp_path / "kept")
    assert np.array_equal(dataset.images, PIXELS)
    assert dataset.targets.tolist() == LABELS
    keys = [f"{index:03}" for index in range(12)] if form == "webdataset's" else None
    assert dataset.keys == keys
    chosen = CCOutlierRemoval().select(dataset, 0.5)
    assert np.array_equal(chosen, CCOutlierRemoval().select(PIXELS, 0.5, y=LABELS))
    spec = f"npy:{tmp_path}/kept/images.npy,{tmp_path}/kept/labels.npy"
    assert np.array_equal(load_dataset(spec).train.images, PIXELS)
    assert np.array_equal(np.load(tmp_path / "kept" / "images.npy"), PIXELS)
    with pytest.raises(InputError, match="is there already"):
        read_stream(Stream(FORMS[form]), tmp_path / "kept")


# The package leaves its files to the collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stream_of_webdataset(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as writer:
        for index in range(12):
            stream = io.BytesIO()
            Image.fromarray(PIXELS[index]).save(stream, "PNG")
            writer.write({"__key__": f"{index}", "png": stream.getvalue(), "cls": LABELS[index]})
    stream = webdataset.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False).decode("pil")
    dataset = read_stream(stream, tmp_path / "kept")
    del stream, writer
    gc.collect()
    assert np.array_equal(dataset.images, PIXELS)
    assert dataset.keys == [str(index) for index in range(12)]


def test_images_of_several_sizes_are_brought_to_one(tmp_path):
    images = [PIXELS[0], PIXELS[1, :4], PIXELS[2, ..., :1]]
    dataset = read_stream(iter(images), tmp_path / "a", image_size=4)
    assert dataset.images.shape == (3, 4, 4, 3)
    assert dataset.targets is None
    with pytest.raises(InputError, match=r"sample 1 has shape \(4, 5, 3\).*pass image_size="):
        read_stream(iter(images), tmp_path / "b")
    assert sorted(file.name for file in (tmp_path / "b").iterdir()) == []


def raising():
    yield PIXELS[0]
    raise OSError("the line is cut")


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (iter([]), "the stream is empty"),
        (raising(), "sample 1 of the stream cannot be read: OSError: the line is cut"),
        (iter([{"__key__": "a", "image": PIXELS[0]}, {"image": PIXELS[1]}]), "1 of 2 samples have"),
        (iter(["a.png"]), "not an image"),
        (PIXELS, "a ndarray is no stream"),
    ],
)
def test_streams_that_do_not_fit_are_refused_and_leave_nothing(tmp_path, stream, message):
    with pytest.raises(InputError, match=message):
        read_stream(stream, tmp_path / "kept")
    assert list(tmp_path.rglob("*.npy")) == []


@pytest.mark.parametrize("stream", [Stream(FORMS["arrays"]), iter([PIXELS[0]]), raising()])
def test_samplers_say_how_to_read_a_stream(stream):
    for sampler in (RandomSampling(random_state=0), CCOutlierRemoval()):
        with pytest.raises(
            InputError, match=r"not a map-style dataset.*read_stream\(dataset, FOLD"
        ):
            sampler.select(stream, 0.5)
    with pytest.raises(InputError, match="its attribute dataset"):
        Samples(torch.utils.data.DataLoader([1]))
