"""Which part of an item is the image, which the label: named, or beyond doubt, or refused."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset as HuggingFaceDataset
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset

from proxysample import (
    CCOutlierRemoval,
    CCRandomSampling,
    InputError,
    KMeansOutlierRemoval,
    RandomSampling,
    load_dataset,
)
from proxysample.data import ArrayDataset, FieldView, Samples
from proxysample.errors import ProxysampleWarning

N = 40


@pytest.fixture(scope="module")
def images():
    return load_dataset("digits").train.images[:N]


@pytest.fixture(scope="module")
def labels():
    return np.arange(N) % 4


@pytest.fixture(scope="module")
def expected(images, labels):
    return CCOutlierRemoval().select(images, 0.25, y=labels)


class Items:
    """A dataset that has nothing but items."""

    def __init__(self, items):
        self.items = list(items)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def select(dataset, **fields):
    return CCOutlierRemoval().select(dataset, 0.25, **fields)


Sample = namedtuple("Sample", ["identity", "photo", "kind"])


@dataclass
class Record:
    photo: np.ndarray
    kind: int


GUISES = {
    "dicts": (lambda i, y: {"photo": i, "mask": i, "kind": y}, "photo", "kind"),
    "triples": (lambda i, y: (i, y, i.sum()), 0, 1),
    "turned": (lambda i, y: (y, i), 1, 0),
    "from the end": (lambda i, y: (7, i, y), -2, -1),
    "named": (lambda i, y: Sample(i.sum(), i, y), "photo", "kind"),
    "records": (Record, "photo", "kind"),
    "nested": (
        lambda i, y: {"a": {"photo": i}, "b": [{"kind": y}]},
        lambda item: item["a"]["photo"],
        lambda item: item["b"][0]["kind"],
    ),
    "detection": (
        lambda i, y: (i, {"boxes": np.zeros((2, 4)), "labels": np.array([y, 9])}),
        None,
        lambda item: item[1]["labels"][0],
    ),
}


@pytest.mark.parametrize("guise", GUISES)
def test_fields_are_named_by_key_position_or_function(guise, images, labels, expected):
    make, image, label = GUISES[guise]
    items = Items(map(make, images, labels))
    assert np.array_equal(select(items, image=image, label=label), expected)
    assert np.array_equal(select(FieldView(items, image=image, label=label)), expected)
    subset = CCOutlierRemoval().subset(items, 0.25, image=image, label=label)
    assert subset.indices == expected.tolist()


@pytest.mark.parametrize("name", ["rs", "km-or"])
def test_a_doubtful_label_stops_nobody_who_needs_none(name, images, labels):
    sampler = {"rs": RandomSampling(random_state=0)}.get(
        name, KMeansOutlierRemoval(n_clusters=2, random_state=0)
    )
    triples = Items((image, label, label) for image, label in zip(images, labels, strict=True))
    assert np.array_equal(sampler.select(triples, 0.5), sampler.select(images, 0.5))


def test_tensors_and_items_of_three_are_refused_alike(images, labels, expected):
    x, y, group = torch.from_numpy(images).permute(0, 3, 1, 2), torch.tensor(labels), torch.ones(N)
    tensors, items = TensorDataset(x, y, group), Items(zip(x, y, group, strict=True))
    for dataset in (tensors, items, Subset(tensors, range(N)), ConcatDataset([tensors])):
        with pytest.raises(InputError, match="the label is not sure: pass label=1 or label=2"):
            select(dataset)
        assert np.array_equal(select(dataset, label=1), expected)
        assert np.array_equal(select(dataset, label=-2), expected)
        assert np.array_equal(select(dataset, y=labels), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda i, y: {"x": i, "z": i, "label": y}, "pass image='x' or image='z'"),
        (lambda i, y: {"image": i, "img": i, "label": y}, "pass image='image' or image='img'"),
        (lambda i, y: {"text": "a", "label": y}, "pass image= with a key, a position"),
        (lambda i, y: {"image": i, "label": y, "target": y}, "label='label' or label='target'"),
        (lambda i, y: (i, i, y), "which is the image is not sure: pass image=0 or image=1"),
        (lambda i, y: (y, i), "which is the image is not sure: pass image=1"),
    ],
)
def test_what_is_not_sure_is_refused_with_the_candidates(make, message, images, labels):
    with pytest.raises(InputError, match=message):
        select(Items(map(make, images, labels)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"image": "photo", "label": "knid"},
            "unknown field for label= 'knid'; did you mean 'kind'",
        ),
        (
            {"image": "photo", "label": 5},
            "label=5: sample 0 is a mapping with photo, kind, and has no such",
        ),
        (
            {"image": "photo", "label": lambda item: item["x"]},
            "function that fails on sample 0.*KeyError: 'x'",
        ),
        (
            {"image": lambda item: item.photo, "label": "kind"},
            "image= is a function that fails on sample 0",
        ),
        ({"image": 1.5}, "image= must be a key, a position, a column or a function"),
        ({"label": True}, "label= must be a key"),
        ({"features": [1, 2]}, "features= must be .* a list of columns or an array"),
        ({"image": "photo", "features": "photo"}, "give image= or features=, not both"),
        ({"label": "kind", "y": np.zeros(N)}, "give y= or label=, not both"),
        ({"broken": "ignore"}, "unknown way to treat broken samples 'ignore'.*stop, skip"),
    ],
)
def test_fields_that_there_are_not_are_named(fields, message, images, labels):
    items = Items({"photo": i, "kind": y} for i, y in zip(images, labels, strict=True))
    with pytest.raises(InputError, match=message):
        select(items, **fields)


def test_items_of_nothing_are_refused():
    with pytest.raises(InputError, match="sample 0 is an empty tuple"):
        KMeansOutlierRemoval(n_clusters=2).select(Items([()] * 4), 0.5)


def test_labels_are_read_whatever_the_image_is(labels):
    paths = Items((f"{number}.png", label) for number, label in enumerate(labels))
    by_array = CCRandomSampling(random_state=0).select(np.zeros((N, 2)), 0.25, y=labels)
    assert np.array_equal(CCRandomSampling(random_state=0).select(paths, 0.25), by_array)
    sizes = Items((np.zeros((n + 1, 2)), label) for n, label in enumerate(labels))
    assert np.array_equal(CCRandomSampling(random_state=0).select(sizes, 0.25), by_array)


def table(images, labels):
    flat = images.reshape(N, -1) / 255
    columns = {"vector": list(flat), "first": flat[:, 20], "second": flat[:, 21]}
    return columns | {"kind": labels, "other": labels[::-1], "row": np.arange(N)}


@pytest.mark.parametrize("kind", [HuggingFaceDataset.from_dict, pd.DataFrame])
def test_columns_of_vectors_and_of_numbers_are_features(kind, images, labels):
    dataset = kind(table(images, labels))
    flat = images.reshape(N, -1) / 255
    by_array = CCOutlierRemoval().select(flat, 0.25, y=labels)
    assert np.array_equal(select(dataset, features="vector", label="kind"), by_array)
    assert np.array_equal(
        select(dataset, features=lambda row: row["vector"], label="kind"), by_array
    )
    two = select(dataset, features=["first", "second"], label="kind")
    assert np.array_equal(two, CCOutlierRemoval().select(flat[:, 20:22], 0.25, y=labels))
    given = select(dataset, features=flat, label=lambda row: row["kind"])
    assert np.array_equal(given, by_array)
    with pytest.raises(InputError, match="unknown column 'vectors'; did you mean 'vector'"):
        select(dataset, features="vectors", label="kind")


def test_features_that_are_none_are_refused(images, labels):
    frame = pd.DataFrame({"ragged": [[1.0], [1.0, 2.0]] * 20, "word": ["a"] * N, "kind": labels})
    with pytest.raises(InputError, match="vectors of several lengths"):
        select(frame, features="ragged", label="kind")
    with pytest.raises(InputError, match="column 'word' holds no numbers"):
        select(frame, features=["word"], label="kind")
    with pytest.raises(InputError, match=r"features= has 3 rows for 40 samples"):
        select(frame, features=np.zeros((3, 2)), label="kind")
    items = Items(zip(images, labels, strict=True))
    with pytest.raises(InputError, match=r"features= gives arrays of shape .*pass images by image"):
        select(items, features=0)


def test_a_second_column_of_labels_is_no_feature_in_secret(images, labels):
    frame = pd.DataFrame(images.reshape(N, -1)[:, 20:24]).assign(label=labels, target=labels)
    with pytest.raises(InputError, match="label and target may each be the labels: pass label="):
        KMeansOutlierRemoval(n_clusters=2).select(frame, 0.5)


def test_a_view_is_a_dataset_for_all(images, labels, expected):
    items = Items({"photo": i, "kind": y} for i, y in zip(images, labels, strict=True))
    view = FieldView(items, image="photo", label="kind")
    kept = CCOutlierRemoval().subset(view, 0.25)
    (_, batch), *_ = DataLoader(kept, batch_size=4)
    assert batch.tolist() == labels[expected[:4]].tolist()
    ranking = CCOutlierRemoval().rank(view)
    ranking.check_dataset(view)
    ranking.check_dataset(images, labels)
    joined = ConcatDataset([Subset(view, range(20)), Subset(view, range(20, N))])
    assert np.array_equal(select(joined), expected)
    assert Samples(Subset(FieldView(ArrayDataset(images, labels)), [3])).array.shape[0] == 1
    assert repr(view).endswith("image='photo', label='kind')")


def test_fields_beside_a_view_go_before_its_own(images, labels, expected):
    view = FieldView(Items(zip(images, labels[::-1], labels, strict=True)), image=0, label=1)
    assert not np.array_equal(select(view), expected)
    assert np.array_equal(select(view, label=2), expected)
    assert np.array_equal(select(view, y=labels), expected)


def test_rows_of_numbers_in_lists_are_told_to_be_made_an_array():
    with pytest.raises(InputError, match=r"pass them as an array, numpy\.asarray\(rows\)"):
        CCOutlierRemoval().select([[0.0, 1.0, 2.0]] * 4, 0.5, y=[0, 0, 1, 1])


def test_the_finer_of_two_labels_is_not_taken_without_a_word():
    items = [{"image": np.zeros((4, 4)), "fine_label": n, "coarse_label": n // 2} for n in range(4)]
    items += items
    with pytest.warns(ProxysampleWarning, match="pass label='fine_label' or label='coarse_label'"):
        assert sorted(CCRandomSampling().select(items, n=4) % 4) == [0, 1, 2, 3]
    for label, n_classes in (("fine_label", 4), ("coarse_label", 2)):
        ranking = CCRandomSampling().rank(items, label=label)
        assert len(np.unique(ranking.codes)) == n_classes
