from __future__ import annotations

import json
import os
import sys

import numpy as np
import pyarrow
import pytest
from PIL import Image
from torch.utils.data import ConcatDataset, Subset

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from datasets import (
    ClassLabel,
    Dataset,
    DatasetDict,
    Features,
    Sequence,
    Value,
    disable_progress_bars,
)
from datasets import Image as ImageFeature

from proxysample import (
    CCOutlierRemoval,
    CCRandomSampling,
    InputError,
    RandomSampling,
    load_dataset,
)
from proxysample.data.decoding import ImageSizeWarning
from proxysample.errors import MissingDependencyError, ProxysampleWarning

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


def test_classes_without_samples_keep_their_names(tmp_path):
    parts = DatasetDict({"train": table([0, 1]), "test": table([1, 1])})
    splits = load_dataset(saved(tmp_path / "d", parts))
    assert splits.train.classes == splits.require_test().classes == NAMES
    assert splits.require_test().targets.tolist() == [1, 1]
    assert splits.train.targets.tolist() == [0, 1]


def without_images() -> DatasetDict:
    return DatasetDict({"train": Dataset.from_dict({"text": ["a", "b"], "label": [0, 0]})})


def of_several_vectors() -> Dataset:
    return Dataset.from_dict({"left": [[0.5]] * 2, "right": [[0.5]] * 2, "label": [0, 0]})


def test_images_of_any_size_and_mode_are_read_one_by_one(tmp_path):
    images = [Image.fromarray(PIXELS[0]), Image.fromarray(PIXELS[0, :3]).convert("CMYK")]
    images.append(Image.fromarray(PIXELS[0, ..., 0]))
    dataset = Dataset.from_dict({"image": images, "label": [0, 1, 1]})
    train = load_dataset(saved(tmp_path / "d", dataset)).train
    assert [train[index][0].shape for index in range(3)] == [(5, 4, 3), (3, 4, 3), (5, 4, 1)]
    assert len(RandomSampling(random_state=0).select(train, 0.5)) == 2


def test_an_image_column_of_any_name_is_found_by_its_type(tmp_path):
    images = [Image.fromarray(one) for one in PIXELS[:2]]
    train = load_dataset(
        saved(tmp_path / "d", Dataset.from_dict({"photo": images, "label": [0, 1]}))
    ).train
    assert np.array_equal(train.images, PIXELS[:2])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_columns_of_vectors_and_of_numbers_are_features(tmp_path, dtype):
    features = np.arange(12).reshape(6, 2)
    vectors = Features({"embedding": Sequence(Value(dtype), length=2), "label": Value("int64")})
    columns = {"embedding": features.tolist(), "label": [0, 1] * 3}
    train = load_dataset(saved(tmp_path / "a", Dataset.from_dict(columns, features=vectors))).train
    assert train.images.dtype == dtype
    assert np.array_equal(train.images[1:4], features[1:4])
    assert train.targets.tolist() == [0, 1] * 3
    columns = {
        "a": features[:, 0],
        "b": features[:, 1],
        "name": list("uvwxyz"),
        "label": [0, 1] * 3,
    }
    other = load_dataset(saved(tmp_path / "b", Dataset.from_dict(columns))).train
    assert np.array_equal(other.images[:], features)
    chosen = [CCOutlierRemoval().select(dataset, 0.5).tolist() for dataset in (train, other)]
    assert chosen[0] == chosen[1]


def test_vectors_of_several_lengths_are_refused(tmp_path):
    dataset = Dataset.from_dict({"embedding": [[0.5, 1.0], [2.0]], "label": [0, 0]})
    with pytest.raises(InputError, match=r"several lengths|cannot be read"):
        CCOutlierRemoval().select(load_dataset(saved(tmp_path / "d", dataset)).train, 0.5)


def test_an_image_that_is_a_path_is_opened_in_the_folder_only(tmp_path):
    Image.fromarray(PIXELS[0]).save(tmp_path / "outside.png")
    rows = [{"bytes": None, "path": str(tmp_path / "outside.png")}] * 2
    storage = pyarrow.array(rows, pyarrow.struct({"bytes": "binary", "path": "string"}))
    dataset = Dataset(pyarrow.table({"image": storage, "label": pyarrow.array([0, 1])}))
    dataset.save_to_disk(tmp_path / "d")
    train = load_dataset(f"huggingface:{tmp_path / 'd'}").train
    with pytest.raises(InputError, match=r"outside\.png', which is not in"):
        train[0]
    (tmp_path / "outside.png").rename(tmp_path / "d" / "inside.png")
    rows = [{"bytes": None, "path": "inside.png"}] * 2
    storage = pyarrow.array(rows, pyarrow.struct({"bytes": "binary", "path": "string"}))
    dataset = Dataset(pyarrow.table({"image": storage, "label": pyarrow.array([0, 1])}))
    dataset.save_to_disk(tmp_path / "e")
    (tmp_path / "d" / "inside.png").rename(tmp_path / "e" / "inside.png")
    assert np.array_equal(load_dataset(f"huggingface:{tmp_path / 'e'}").train[1][0], PIXELS[0])


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (
            lambda: DatasetDict({"test": table([0, 1])}),
            "has the splits test; needed: train, and test",
        ),
    ],
)
def test_datasets_that_do_not_fit_are_refused(tmp_path, create, message):
    with pytest.raises(InputError, match=f"huggingface:.*{message}"):
        load_dataset(saved(tmp_path / "d", create()))


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (without_images, "a mapping with text, label; its image is looked for under image"),
        (of_several_vectors, "pass features='left' or features='right'"),
    ],
)
def test_what_has_no_sure_images_stops_only_who_reads_them(tmp_path, create, message):
    train = load_dataset(saved(tmp_path / "d", create())).train
    assert len(RandomSampling(random_state=0).select(train, 0.5)) > 0
    with pytest.raises(InputError, match=message):
        CCOutlierRemoval().select(train, 0.5)


def test_images_of_two_sizes_come_to_one(tmp_path):
    images = [Image.fromarray(PIXELS[0]), Image.fromarray(PIXELS[0, :3])]
    dataset = Dataset.from_dict({"image": images, "label": [0, 1]})
    train = load_dataset(saved(tmp_path / "d", dataset)).train
    with pytest.warns(ImageSizeWarning, match="sample 1"):
        assert train.images.shape[1:3] == (64, 64)


def test_columns_are_named_and_labels_cost_no_image(tmp_path):
    columns = {
        "photo": [Image.fromarray(one) for one in PIXELS],
        "mask": [Image.fromarray(255 - one) for one in PIXELS],
        "fine_label": [0, 1, 2] * 2,
        "coarse_label": [0, 1] * 3,
        "left": np.arange(12.0).reshape(6, 2).tolist(),
        "right": np.arange(6.0).reshape(6, 1).tolist(),
    }
    spec = saved(tmp_path / "d", Dataset.from_dict(columns))
    # Which of several images is meant stops only who reads them.
    with pytest.warns(ProxysampleWarning, match="fine_label and coarse_label, and fine_label is"):
        both = load_dataset(spec).train
    assert len(RandomSampling(random_state=0).select(both, 0.5)) == 3
    assert len(CCRandomSampling(random_state=0).select(both, 0.5)) == 3
    with pytest.raises(InputError, match=r"pass image='photo' or image='mask'"):
        CCOutlierRemoval().select(both, 0.5)
    kept = CCOutlierRemoval().select(both, 0.5, image="mask", label="fine_label").tolist()
    assert kept == CCOutlierRemoval().select(255 - PIXELS, 0.5, y=[0, 1, 2] * 2).tolist()
    assert np.array_equal(both[3]["photo"], PIXELS[3])
    train = load_dataset(spec, image="mask", label="coarse_label").train
    assert np.array_equal(train.images, 255 - PIXELS)
    assert train.targets.tolist() == [0, 1] * 3
    train = load_dataset(spec, features="left", label="fine_label").train
    assert train.images.shape == (6, 2)
    assert train.targets.tolist() == [0, 1, 2] * 2
    with pytest.raises(InputError, match="'photos'; did you mean 'photo'"):
        load_dataset(spec, image="photos", label="fine_label")
    broken = {"image": [{"bytes": b"no image", "path": None}] * 4, "label": [0, 1] * 2}
    features = Features({"image": ImageFeature(), "label": Value("int64")})
    train = load_dataset(saved(tmp_path / "e", Dataset.from_dict(broken, features))).train
    assert len(CCRandomSampling(random_state=0).select(train, 0.5)) == 2
    with pytest.raises(InputError, match=r"image 0 does not decode"):
        train[0]


def test_without_a_network_the_error_says_so(monkeypatch):
    # The hub's own library waits between its attempts, 23 seconds in all.
    monkeypatch.setattr("time.sleep", lambda seconds: None)
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


def test_classes_are_called_as_their_column_calls_them():
    kinds = Features({"image": ImageFeature(), "label": ClassLabel(names=["ant", "bee", "cat"])})
    images = [Image.fromarray(one) for one in PIXELS]
    dataset = Dataset.from_dict({"image": images, "label": [0, 1, 2] * 2}, features=kinds)
    for given in (dataset, Subset(dataset, range(6)), ConcatDataset([dataset, dataset])):
        assert CCOutlierRemoval().rank(given).classes.names == ("ant", "bee", "cat")
    # Labels of somebody else's are none of these classes.
    ranking = CCOutlierRemoval().rank(dataset, y=[0, 1] * 3)
    assert ranking.classes.names == ("0", "1")
