"""Images and labels without items: of the very classes that are known, confirmed for others."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from datasets import Dataset as HuggingFaceDataset
from datasets import Features, Value
from datasets import Image as ImageFeature
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from proxysample import ArrayDataset, CCRandomSampling, InputError, TransferLoss
from proxysample.data import Samples
from proxysample.data.image_files import ImageFiles
from proxysample.data.shortcuts import find_array, find_labels, sample_file

N = 24
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 4, 4, 1), dtype=np.uint8)
LABELS = np.arange(N) % 3


class Relabelled:
    """Gives other labels than its attributes tell, and darker images."""

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image * 0 + 1, (label + 1) % 3


class OtherArrays(Relabelled, ArrayDataset):
    pass


class OtherTensors(Relabelled, TensorDataset):
    pass


class OtherSubset(Relabelled, Subset):
    def __getitems__(self, indices):
        return [self[index] for index in indices]


class OtherJoined(Relabelled, ConcatDataset):
    pass


ARRAYS = ArrayDataset(PIXELS, LABELS)
TENSORS = TensorDataset(torch.zeros(N, 1, 4, 4), torch.tensor(LABELS))


@pytest.mark.parametrize(
    "dataset",
    [
        OtherArrays(PIXELS, LABELS),
        OtherTensors(*TENSORS.tensors),
        OtherSubset(ARRAYS, range(N)),
        OtherJoined([ARRAYS]),
        Subset(OtherTensors(*TENSORS.tensors), range(N)),
    ],
    ids=lambda dataset: type(dataset).__name__,
)
def test_what_derives_from_a_known_class_is_read_by_its_items(dataset):
    samples = Samples(dataset)
    assert samples.labels.tolist() == ((LABELS + 1) % 3).tolist()
    assert samples.array is None
    assert np.all(samples.images == 1)


def test_known_classes_are_not_read_by_their_items():
    for dataset in (ARRAYS, TENSORS, Subset(ARRAYS, [2, 1]), ConcatDataset([ARRAYS, ARRAYS])):
        assert find_array(dataset) is not None
        assert find_labels(dataset).is_sure


class VisionDataset(Dataset):
    """As torchvision's classes are."""

    def __init__(self, samples, target_transform=None):
        self.samples, self.target_transform = samples, target_transform
        self.targets = [label for _, label in samples]
        self.decoded = 0

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        self.decoded += 1
        path, label = self.samples[index]
        if path == "broken":
            raise OSError(path)
        image = Image.fromarray(np.full((4, 4), index, np.uint8))
        return image, self.target_transform(label) if self.target_transform else label


@pytest.fixture
def image_folder(monkeypatch):
    """torchvision's ImageFolder, or, where it is not installed, a class by its name."""
    module = ModuleType("torchvision.datasets.folder")
    kind = type("ImageFolder", (VisionDataset,), {"__module__": module.__name__})
    module.ImageFolder = kind
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return kind


def test_an_image_folder_tells_its_labels_by_its_samples(image_folder):
    photos = image_folder([("a.png", 0), ("b.png", 1)] * 4)
    # Which is what it gives, whatever somebody did to this.
    photos.targets = [5] * 8
    assert Samples(photos).labels.tolist() == [0, 1] * 4
    assert photos.decoded == 0
    tens = image_folder([("a.png", 0), ("b.png", 1)] * 4, target_transform=lambda n: n * 10)
    assert Samples(Subset(tens, [1, 0, 3])).labels.tolist() == [10, 0, 10]
    assert sample_file(Subset(photos, [1]), 0) == "b.png"


def test_a_subclass_of_an_image_folder_is_read_by_its_items(image_folder):
    class Remapped(image_folder):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return image, 1 - label

    assert Samples(Remapped([("a.png", 0), ("b.png", 1)] * 4)).labels.tolist() == [1, 0] * 4


def test_a_patched_class_is_found_out_where_images_are_read_anyway(image_folder, monkeypatch):
    plain = image_folder.__getitem__
    monkeypatch.setattr(
        image_folder, "__getitem__", lambda self, i: (plain(self, i)[0], 7), raising=True
    )
    photos = image_folder([("a.png", 0), ("b.png", 1)] * 4)
    with pytest.raises(
        InputError, match=r"samples has 0 for sample 0, and the item itself 7; pass"
    ):
        TransferLoss(backbone=torch.nn.Flatten()).select(photos, 0.5)
    # Who reads labels alone reads no item.
    assert len(CCRandomSampling().select(photos, 0.5)) == 4


class Photos(Dataset):
    """A class that nobody knows."""

    def __init__(self, hidden, /, **attributes):
        self.hidden = hidden
        self.decoded = 0
        vars(self).update(attributes)

    def __len__(self):
        return len(self.hidden)

    def __getitem__(self, index):
        self.decoded += 1
        return PIXELS[index % N], self.hidden[index]


def test_an_attribute_of_another_class_is_confirmed_by_items():
    labels = [0, 1] * 200
    photos = Photos(labels, targets=labels)
    assert Samples(photos).labels.tolist() == labels
    assert photos.decoded < 40
    # One item of each class is among those that are compared.
    rare = [0] * 201 + [1] + [0] * 198
    with pytest.raises(InputError, match=r"Photos\.targets has 1 for sample 201, and the item it"):
        Samples(Photos([0] * 400, targets=rare)).labels  # noqa: B018


@pytest.mark.parametrize(
    "attributes",
    [
        {"labels": ["cat", "dog", "emu"]},
        {"labels": [f"class {number}" for number in range(N)]},
        {"targets": torch.zeros(7)},
        {"targets": np.zeros((N, 4))},
        {"targets": {"train": [0]}},
        {"targets": lambda: 3},
        {"y": "species"},
        {"labels": [{"boxes": []}] * N},
        {"targets": None},
        {"labels": 3},
    ],
)
def test_an_attribute_that_is_no_list_of_labels_is_passed_over(attributes):
    assert Samples(Photos(LABELS.tolist(), **attributes)).labels.tolist() == LABELS.tolist()


def test_class_names_that_are_as_many_as_samples_are_no_labels():
    assert Samples(Photos([1, 1], labels=["cat", "dog"])).labels.tolist() == [1, 1]


def test_items_that_cannot_be_read_contradict_nobody():
    class Broken(Photos):
        def __getitem__(self, index):
            raise OSError(index)

    labels = [0, 1] * 10
    assert len(CCRandomSampling().select(Broken(labels, targets=labels), 0.5)) == 10


def test_a_transform_of_huggingface_is_confirmed_by_its_items():
    columns = {"image": [Image.fromarray(one[..., 0]) for one in PIXELS], "label": LABELS.tolist()}
    kinds = Features({"image": ImageFeature(), "label": Value("int64")})
    dataset = HuggingFaceDataset.from_dict(columns, features=kinds)

    def other(batch):
        return {"image": batch["image"], "label": [9 - label for label in batch["label"]]}

    assert Samples(dataset.with_format("torch")).labels.tolist() == LABELS.tolist()
    same = dataset.with_transform(lambda batch: batch)
    assert Samples(same).labels.tolist() == LABELS.tolist()
    with pytest.raises(
        InputError, match="column 'label' has 0 for sample 0, and the item itself 9"
    ):
        Samples(dataset.with_transform(other)).labels  # noqa: B018


def test_files_and_arrays_without_labels_are_not_read_for_them(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFiles, "raw_item", lambda *_: pytest.fail("decoded"))
    files = ImageFiles([tmp_path / "a.png", tmp_path / "b.png"])
    for dataset in (files, ArrayDataset(PIXELS), Subset(files, [0])):
        with pytest.raises(InputError, match="has no labels, and they are needed here"):
            CCRandomSampling().select(dataset, 1.0)
