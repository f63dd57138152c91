from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, disable_progress_bars
from datasets import Image as ImageFeature

from proxysample import InputError, load_dataset
from proxysample.data.decoding import ImageSizeWarning
from proxysample.errors import MissingDependencyError

from .official_pickles import mutations

disable_progress_bars()
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
NAMES = ["cat", "dog"]


def table(labels, image="img", label="fine_label", kind=None, pixels=PIXELS):
    images = [Image.fromarray(pixels[n]) for n in range(len(labels))]
    return Dataset.from_dict(
        {image: images, "title": ["x"] * len(labels), label: labels},
        features=Features(
            {
                image: ImageFeature(),
                "title": Value("string"),
                label: kind or ClassLabel(names=NAMES),
            }
        ),
    )


def saved(folder, dataset) -> str:
    dataset.save_to_disk(folder)
    return f"huggingface:{folder}"


@pytest.mark.parametrize("split", ["test", "validation", "valid"])
def test_a_saved_dataset_is_read(tmp_path, split):
    parts = DatasetDict({"train": table([0, 1, 1, 0, 1]), "more": table([0]), split: table([1, 0])})
    splits = load_dataset(saved(tmp_path / "d", parts))
    assert np.array_equal(splits.train.images, PIXELS[:5])
    assert splits.train.targets.tolist() == [0, 1, 1, 0, 1]
    assert splits.train.classes == NAMES
    assert np.array_equal(splits.require_test().images, PIXELS[:2])
    assert splits.require_test().targets.tolist() == [1, 0]


def test_the_test_split_wins_over_validation(tmp_path):
    parts = {"train": table([0, 1]), "validation": table([0, 1]), "test": table([0, 1, 1])}
    assert len(load_dataset(saved(tmp_path / "d", DatasetDict(parts))).require_test()) == 3


def test_a_single_split_of_grey_images_and_strings(tmp_path):
    grey = table(["b", "a", "b"], "image", "label", Value("string"), PIXELS[..., 0])
    splits = load_dataset(saved(tmp_path / "d", grey))
    assert np.array_equal(splits.train.images, PIXELS[:3, ..., :1])
    assert splits.train.targets.tolist() == ["b", "a", "b"]
    assert splits.train.classes is None
    with pytest.raises(InputError, match="no test part"):
        splits.require_test()


@pytest.mark.parametrize(("mode", "shape"), [("P", (5, 4, 3)), ("1", (5, 4, 1))])
def test_images_with_a_palette_and_of_single_bits_become_pixels(tmp_path, mode, shape):
    images = [Image.fromarray(one).convert(mode) for one in PIXELS[:2]]
    dataset = Dataset.from_dict({"image": images, "label": [0, 1]})
    found = load_dataset(saved(tmp_path / "d", dataset)).train.images
    expected = [np.asarray(one.convert("RGB" if mode == "P" else "L")) for one in images]
    assert np.array_equal(found, np.stack(expected).reshape(2, *shape))
    assert found.dtype == np.uint8
    assert found.max() == 255


def test_a_selection_is_read_in_its_order(tmp_path):
    chosen = table([0, 1, 1, 0]).select([3, 1])
    assert np.array_equal(load_dataset(saved(tmp_path / "d", chosen)).train.images, PIXELS[[3, 1]])


def test_classes_without_samples_stay_unnamed(tmp_path):
    parts = DatasetDict({"train": table([0, 1]), "test": table([1, 1])})
    splits = load_dataset(saved(tmp_path / "d", parts))
    assert splits.train.classes is None
    assert splits.train.targets.tolist() == [0, 1]


def without_images() -> DatasetDict:
    return DatasetDict({"train": Dataset.from_dict({"text": ["a"], "label": [0]})})


def of_two_sizes() -> Dataset:
    images = [Image.fromarray(PIXELS[0]), Image.fromarray(PIXELS[0, :3])]
    return Dataset.from_dict({"image": images, "label": [0, 1]})


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (
            lambda: DatasetDict({"test": table([0, 1])}),
            "has the splits test; needed: train, and test",
        ),
        (without_images, "sample 0 is a mapping with text, label; its image is looked for under"),
    ],
)
def test_datasets_that_do_not_fit_are_refused(tmp_path, create, message):
    with pytest.raises(InputError, match=f"huggingface:.*{message}"):
        load_dataset(saved(tmp_path / "d", create()))


def test_images_of_two_sizes_come_to_one(tmp_path):
    with pytest.warns(ImageSizeWarning, match="sample 1"):
        train = load_dataset(saved(tmp_path / "d", of_two_sizes())).train
    assert train.images.shape[1:3] == (64, 64)


def test_without_a_network_the_error_says_so():
    with pytest.raises(InputError, match=r"hub cannot be reached: .*save_to_disk.*network"):
        load_dataset("huggingface:someone/something")


@pytest.mark.parametrize(
    "name", ["/no/such/folder", "./missing", "a/b/c", "https://host/x", "pandas"]
)
def test_a_path_is_not_looked_up_on_the_hub(name):
    with pytest.raises(InputError, match="no such folder, and no name on the hub"):
        load_dataset(f"huggingface:{name}")


def test_a_folder_that_save_to_disk_did_not_write_is_refused(tmp_path):
    with pytest.raises(InputError, match="neither a folder that save_to_disk wrote"):
        load_dataset(f"huggingface:{tmp_path}")


def test_the_extra_is_named_where_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"proxysample\[huggingface\]"):
        load_dataset(f"huggingface:{tmp_path}")


def test_offsets_beyond_the_file_are_refused(tmp_path):
    """Arrow would read another's memory, or end the process."""
    spec = saved(tmp_path / "d", table(["left", "right"], kind=Value("string")))
    (path,) = (tmp_path / "d").glob("*.arrow")
    offsets = np.array([0, 4, 9], dtype=np.int32).tobytes()
    content = path.read_bytes()
    assert content.count(offsets) == 1
    beyond = np.array([0, 4, 1 << 30], dtype=np.int32).tobytes()
    path.unlink()
    path.write_bytes(content.replace(offsets, beyond))
    with pytest.raises(InputError, match="is damaged"):
        load_dataset(spec)


def test_mutated_folders_are_read_or_refused(tmp_path):
    spec = saved(tmp_path / "d", table([0, 1, 0]))
    for path in sorted((tmp_path / "d").iterdir()):
        content = path.read_bytes()
        refused = 0
        for mutated in mutations(content, 700):
            # A file that is written over would be flushed to the disk.
            path.unlink()
            path.write_bytes(mutated)
            try:
                load_dataset(spec)
            except InputError:
                refused += 1
        path.unlink()
        path.write_bytes(content)
        assert refused > 300
    assert json.loads((tmp_path / "d" / "state.json").read_text())["_data_files"]
