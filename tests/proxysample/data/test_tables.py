from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from datasets import Dataset, DatasetDict, Features, Value
from datasets import Image as ImageFeature

from proxysample import (
    CCOutlierRemoval,
    CCRandomSampling,
    InputError,
    RandomSampling,
    load_dataset,
)
from proxysample.data.reading import Samples, read_labels


@pytest.fixture(scope="module")
def digits():
    train = load_dataset("digits").train
    return train.images[:200], train.targets[:200]


@pytest.fixture(scope="module")
def expected(digits):
    images, labels = digits
    return CCOutlierRemoval().select(images, 0.25, y=labels)


def huggingface(digits, label_column="label"):
    images, labels = digits
    return Dataset.from_dict(
        {
            "image": [Image.fromarray(image[..., 0]) for image in images],
            label_column: labels.tolist(),
        },
        features=Features({"image": ImageFeature(), label_column: Value("int64")}),
    )


def test_a_huggingface_dataset_is_selected_from_like_its_array(digits, expected):
    dataset = huggingface(digits)
    assert np.array_equal(CCOutlierRemoval().select(dataset, 0.25), expected)
    kept = CCOutlierRemoval().subset(dataset, 0.25)
    assert isinstance(kept, Dataset)
    assert kept["label"][:] == digits[1][expected].tolist()


def test_labels_of_a_column_are_read_without_decoding_an_image(digits, monkeypatch):
    dataset = huggingface(digits, "colour")
    monkeypatch.setattr(ImageFeature, "decode_example", lambda *_, **__: pytest.fail("decoded"))
    assert read_labels(dataset, "colour").tolist() == digits[1].tolist()


def test_a_missing_column_is_named(digits):
    with pytest.raises(InputError, match="did you mean 'label'"):
        Samples(huggingface(digits), "labels").labels  # noqa: B018
    with pytest.raises(InputError, match="label='label': sample 0 is a ndarray, and has no such"):
        Samples(digits[0], "label").labels  # noqa: B018


def test_a_frame_of_features(digits, expected):
    images, labels = digits
    frame = pd.DataFrame(images.reshape(200, -1) / 255, index=np.arange(1000, 1200))
    frame["target"] = labels
    assert np.array_equal(CCOutlierRemoval().select(frame, 0.25), expected)
    frame = frame.rename(columns={"target": "species"})
    assert np.array_equal(CCOutlierRemoval().select(frame, 0.25, y="species"), expected)
    kept = CCOutlierRemoval().subset(frame, 0.25, y="species")
    assert kept.index.tolist() == (1000 + expected).tolist()


def test_a_frame_of_images(digits, expected):
    images, labels = digits
    frame = pd.DataFrame({"image": list(images), "label": [f"digit {label}" for label in labels]})
    assert np.array_equal(CCOutlierRemoval().select(frame, 0.25), expected)


def test_a_series_of_images(digits, expected):
    images, labels = digits
    series = pd.Series(list(images), index=np.arange(200)[::-1])
    assert np.array_equal(CCOutlierRemoval().select(series, 0.25, y=pd.Series(labels)), expected)


def test_a_frame_of_words_is_refused():
    frame = pd.DataFrame({"size": [1.0, 2.0], "name": ["a", "b"], "label": [0, 1]})
    with pytest.raises(InputError, match="column 'name' holds no numbers"):
        Samples(frame).images  # noqa: B018


def test_labels_of_a_frame_of_paths_are_enough_for_samplers_that_read_no_image():
    frame = pd.DataFrame({"path": list("abcd"), "label": [0, 0, 1, 1]})
    assert RandomSampling(random_state=0).subset(frame, 0.5).shape == (2, 2)
    assert sorted(CCRandomSampling(random_state=0).subset(frame, 0.5)["label"]) == [0, 1]
    with pytest.raises(InputError, match="a does not decode as an image"):
        CCOutlierRemoval().select(frame, 0.5)


def test_a_column_of_images_of_another_name_is_told(digits):
    dataset = huggingface(digits).rename_column("image", "photo")
    with pytest.raises(InputError, match=r"with photo, label; .*pixel_values: pass image='photo'"):
        CCOutlierRemoval().select(dataset, 0.5)


def test_a_dictionary_of_datasets_is_refused(digits):
    parts = DatasetDict(train=huggingface(digits), test=huggingface(digits))
    with pytest.raises(InputError, match="a DatasetDict with train, test is no dataset: pass one"):
        CCOutlierRemoval().select(parts, 0.5)


def test_a_streamed_dataset_is_refused(digits):
    with pytest.raises(InputError, match="not a map-style dataset"):
        Samples(huggingface(digits).to_iterable_dataset())
