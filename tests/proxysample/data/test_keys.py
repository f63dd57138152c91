from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from proxysample import ArrayDataset, InputError
from proxysample.data.keys import Keys, check_text, indices_of, keys_of


def array_dataset(*files):
    images = np.zeros((len(files), 4, 4), dtype=np.uint8)
    return ArrayDataset(images, files=[Path(file) for file in files])


class ImageFolder:
    """As torchvision's."""

    root = "photos"

    def __init__(self):
        self.samples = [("photos/cat/1.png", 0), ("photos/dog/1.png", 1)]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        pytest.fail("read")


def test_files_are_those_that_a_dataset_tells():
    assert keys_of(array_dataset("a.png", "b.png")) == Keys(("a.png", "b.png"), "file")
    assert keys_of(ImageFolder()) == Keys(
        ("photos/cat/1.png", "photos/dog/1.png"), "file", "photos"
    )


def test_subsets_and_joined_parts_are_looked_through():
    dataset = array_dataset("a.png", "b.png", "c.png")
    assert keys_of(Subset(dataset, [2, 0])).values == ("c.png", "a.png")
    joined = ConcatDataset([dataset, array_dataset("d.png")])
    assert keys_of(joined).values == ("a.png", "b.png", "c.png", "d.png")


def test_parts_of_which_one_tells_nothing_or_the_same_tell_nothing():
    dataset = array_dataset("a.png")
    images = np.zeros((1, 4, 4), dtype=np.uint8)
    assert keys_of(ConcatDataset([dataset, ArrayDataset(images)])) is None
    assert keys_of(ConcatDataset([dataset, dataset])) is None


def test_tables_name_their_samples_in_a_column_or_by_an_index():
    pandas = pytest.importorskip("pandas")
    numbers = {"x": [1.0, 2.0]}
    assert keys_of(pandas.DataFrame(numbers)) is None
    assert keys_of(pandas.DataFrame(numbers, index=["p", "q"])) == Keys(("p", "q"), "key")
    assert keys_of(pandas.DataFrame(numbers, index=[7, 7])) is None
    assert keys_of(pandas.DataFrame(numbers | {"id": [5, 6]})) == Keys(("5", "6"), "key")
    paths = pandas.DataFrame(numbers | {"path": ["a.png", "b.png"], "id": [5, 6]})
    assert keys_of(paths) == Keys(("a.png", "b.png"), "file")


def test_huggingface_ids_are_keys():
    datasets = pytest.importorskip("datasets")
    dataset = datasets.Dataset.from_dict({"x": [1.0, 2.0], "image_id": ["p", "q"]})
    assert keys_of(dataset) == Keys(("p", "q"), "key")


@pytest.mark.parametrize(
    "dataset", [None, [1, 2], np.zeros((2, 3)), ArrayDataset(np.zeros((2, 3), dtype=np.uint8))]
)
def test_what_has_no_names_gives_none(dataset):
    assert keys_of(dataset) is None


def test_a_tensor_dataset_has_no_names():
    import torch

    assert keys_of(TensorDataset(torch.zeros(2, 3))) is None


def test_samples_of_another_length_are_no_files():
    dataset = ImageFolder()
    dataset.imgs, dataset.samples = [("a.png", 0)], dataset.samples
    dataset.files = ["a.png"]
    assert keys_of(dataset).values == ("photos/cat/1.png", "photos/dog/1.png")


def test_a_name_that_is_no_text_is_refused_with_the_way_out():
    with pytest.raises(InputError, match=r"sample 1, 'b\\udcff.png', is no UTF-8.*rename it"):
        check_text(Keys(("a.png", "b\udcff.png"), "file"), by_line=False)
    check_text(Keys(("a\n.png",), "file"), by_line=False)
    with pytest.raises(InputError, match="has a line break"):
        check_text(Keys(("a\n.png",), "file"), by_line=True)


def test_files_are_found_by_the_end_of_their_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = Keys(("photos/cat/1.png", "photos/dog/1.png", "photos/dog/2.png"), "file")
    assert indices_of(["dog/1.png", "2.png", "./photos/cat/1.png"], keys, "x") == [1, 2, 0]
    assert indices_of([f"{tmp_path}/photos/dog/2.png"], keys, "x") == [2]
    with pytest.raises(InputError, match="fits samples 0 and 1; give more of the path"):
        indices_of(["1.png"], keys, "exclude")
    with pytest.raises(InputError, match=r"exclude names '3.png', which is no file of the dataset"):
        indices_of(["3.png"], keys, "exclude")
    with pytest.raises(InputError, match="no files or keys; give indices"):
        indices_of(["3.png"], None, "exclude")


def test_keys_are_found_whole_only():
    keys = Keys(("a/b", "b"), "key")
    assert indices_of(["b"], keys, "x") == [1]
    with pytest.raises(InputError, match="is no key"):
        indices_of(["c/b"], keys, "x")


def test_a_list_that_mixes_files_and_indices_is_told_so():
    keys = Keys(("photos/1.png", "photos/2.png"), "file")
    with pytest.raises(InputError, match=r"names '1', .* by their files alone, or by indices"):
        indices_of(["photos/1.png", "1"], keys, "must_keep")
