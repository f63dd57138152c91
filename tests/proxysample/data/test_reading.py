from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset

from proxysample import ArrayDataset, InputError, load_dataset
from proxysample.data.decoding import DEFAULT_SIZE, FormChangedError, ImageSizeWarning
from proxysample.data.fingerprint import fingerprint
from proxysample.data.images import Fitting, fitted
from proxysample.data.labels import check_labels, check_not_all_different, encode_labels
from proxysample.data.reading import Samples

TYPES = (torch.uint8, torch.float32)


class Photos(Dataset):
    """A torchvision-like dataset that counts how often it decodes."""

    def __init__(self, images, targets, transform=None, target_transform=None):
        self.images, self.targets = images, targets
        self.transform, self.target_transform = transform, target_transform
        self.decoded = 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.decoded += 1
        image = Image.fromarray(self.images[index])
        label = self.targets[index]
        return (
            self.transform(image) if self.transform else image,
            self.target_transform(label) if self.target_transform else label,
        )


class Unlabelled(Photos):
    """Labels are only in the items."""

    def __init__(self, images, targets):
        super().__init__(images, None)
        self.hidden = targets

    def __getitem__(self, index):
        return self.images[index], self.hidden[index]


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)


@pytest.fixture
def labels():
    return [1, 0, 2, 2, 1, 0]


def test_labels_of_known_classes_are_read_without_decoding(pixels, labels):
    photos = ArrayDataset(pixels, labels)
    nested = ConcatDataset([Subset(Subset(photos, [5, 3, 1]), [2, 0]), photos])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArrayDataset, "__getitem__", lambda *_: pytest.fail("decoded"))
        assert Samples(nested).labels.tolist() == [0, 0, *labels]


def test_labels_of_other_classes_are_confirmed_by_a_few_items():
    photos = Photos(np.zeros((500, 4, 4), np.uint8), [0, 1] * 250)
    assert Samples(photos).labels.tolist() == photos.targets
    assert photos.decoded < 30


def test_a_target_transform_is_respected(pixels, labels):
    photos = Photos(pixels, labels, target_transform=lambda label: label + 10)
    assert Samples(Subset(photos, [0, 2])).labels.tolist() == [11, 12]


def test_pil_images_decode_to_their_pixels(pixels, labels):
    samples = Samples(Photos(pixels, labels), batch_size=4)
    assert samples.images.dtype == np.uint8
    assert np.array_equal(samples.images, pixels)


def test_images_are_decoded_once(pixels, labels):
    photos = Photos(pixels, labels)
    samples = Samples(photos)
    assert len(samples.images) == len(samples.images) == 6
    n_probes = 4 * 3 + 2
    assert photos.decoded == 6 + n_probes


def test_hidden_labels_come_with_the_images(pixels, labels):
    samples = Samples(Unlabelled(pixels, labels))
    assert samples.labels.tolist() == labels
    assert np.array_equal(samples.images, pixels)


def test_tensors_are_channels_first_and_arrays_channels_last(pixels, labels):
    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    assert np.array_equal(Samples(tensor, labels).images, pixels)
    assert np.array_equal(Samples(pixels, labels).images, pixels)
    dataset = TensorDataset(tensor, torch.tensor(labels))
    assert np.array_equal(Samples(dataset).images, pixels)
    assert Samples(dataset).labels.tolist() == labels


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_workers_and_batches_do_not_change_what_is_read(pixels, labels, batch_size, num_workers):
    to_tensor = Photos(pixels, labels, transform=_to_float)
    samples = Samples(to_tensor, batch_size=batch_size, num_workers=num_workers)
    assert np.array_equal(samples.images, pixels.astype(np.float32) / 255)


def _to_float(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255


def test_reading_leaves_the_global_generator_alone(pixels, labels):
    before = torch.random.get_rng_state()
    assert len(Samples(Photos(pixels, labels)).images) == 6
    assert torch.equal(before, torch.random.get_rng_state())


def test_chunks_scale_uint8_to_one_and_leave_floats(pixels):
    ((rows, features),) = Samples(pixels).feature_chunks()
    assert rows == slice(0, 6)
    assert np.allclose(features, pixels.reshape(6, -1) / 255)
    ((_, features),) = Samples(pixels.astype(np.float32)).feature_chunks()
    assert np.allclose(features, pixels.reshape(6, -1))


def test_a_random_transform_is_refused(pixels, labels):
    generator = np.random.default_rng(0)
    noisy = Photos(pixels, labels, transform=lambda image: generator.random((4, 4)))
    with pytest.raises(InputError, match="transform is random"):
        Samples(noisy).images  # noqa: B018


def test_images_of_two_sizes_come_to_one_with_a_warning(labels):
    images = [np.full((4, 4), 7, np.uint8)] * 5 + [np.full((3, 5), 7, np.uint8)]
    words = r"sample 0 is 4x4, sample 5 5x3.*64 pixels.*image_size="
    with pytest.warns(ImageSizeWarning, match=words) as told:
        read = Samples(Photos(images, labels)).images
    assert len(told) == 1
    assert read.shape == (6, DEFAULT_SIZE, DEFAULT_SIZE, 1)
    assert (read == 7).all()
    assert Samples(Photos(images, labels), image_size=2).images.shape == (6, 2, 2, 1)


def test_a_single_image_of_another_size_is_found_wherever_it_is(labels):
    """Past the samples that are looked at before the others, so that decoding begins anew."""
    images = [np.full((4, 4), number % 9, np.uint8) for number in range(200)]
    images[150] = np.full((8, 9), 6, np.uint8)
    labels = [number % 2 for number in range(200)]
    with pytest.warns(ImageSizeWarning, match="sample 150 9x8") as told:
        read = Samples(Photos(images, labels), batch_size=7).images
    assert len(told) == 1
    assert read[:, 5, 5, 0].tolist() == [image[0, 0] for image in images]
    images[150] = np.full((4, 4, 3), 6, np.uint8)
    read = Samples(Photos(images, labels)).images
    assert read.shape == (200, 4, 4, 3)
    assert read[:, 3, 3, 2].tolist() == [image.flat[0] for image in images]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_named(pixels, value):
    images = pixels.astype(np.float32)
    images[4, 2, 1, 0] = value
    with pytest.raises(InputError, match="sample 4 holds NaN or infinite pixels"):
        Samples(images).images  # noqa: B018


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (np.zeros((0, 4)), "empty"),
        (np.zeros(4), "shape"),
        (np.zeros((2, 0, 4)), "nothing in them"),
        (np.array([["a"], ["b"]]), "type"),
        ("digits", "load_dataset"),
        (Path("photos"), "not the name 'photos'.*load_dataset"),
        (iter([1]), "not a map-style dataset"),
        (load_dataset("digits"), "attribute train"),
        (DataLoader([1]), "attribute dataset"),
        (np.array(3), "no axes"),
        (torch.tensor(3), "no axes"),
        ((np.zeros((3, 4, 4)), np.zeros(3)), r"labels as y=, or join both, as .*ArrayDataset"),
        ({"images": np.zeros((3, 4, 4)), "labels": np.zeros(3)}, "with images, labels is no"),
        (["a.png", "b.png"], r"a\.png does not decode as an image"),
    ],
)
def test_what_is_not_a_dataset_is_refused(dataset, message):
    with pytest.raises(InputError, match=message):
        Samples(dataset).images  # noqa: B018


def test_a_mapping_from_indices_and_a_pair_of_images_are_datasets(pixels):
    assert np.array_equal(Samples(dict(enumerate(pixels))).images, pixels)
    assert np.array_equal(Samples((pixels[0], pixels[1])).images, pixels[:2])


def test_bfloat16_is_read_as_float32(pixels):
    tensor = torch.from_numpy(pixels[..., 0]).bfloat16()
    for dataset in (tensor, list(tensor)):
        images = Samples(dataset).images
        assert images.dtype == np.float32
        assert np.array_equal(images[..., 0] if images.ndim == 4 else images, tensor.float())


def test_parts_of_two_types_are_not_mixed(pixels):
    units = ConcatDataset(
        [ArrayDataset(pixels[:3]), ArrayDataset(pixels[3:].astype(np.float32) / 255)]
    )
    assert np.array_equal(Samples(units).images, pixels.astype(np.float32) / 255)
    mixed = ConcatDataset([TensorDataset(torch.from_numpy(pixels).to(dtype)) for dtype in TYPES])
    with pytest.raises(InputError, match=r"sample 6 has type float32.*convert"):
        Samples(mixed).images  # noqa: B018


def test_parts_of_two_sizes_are_refused(pixels):
    parts = ConcatDataset([ArrayDataset(pixels), ArrayDataset(pixels[:, :4])])
    with pytest.warns(ImageSizeWarning, match="4x5"):
        images = Samples(parts).images
    assert images.shape == (12, 64, 64, 3)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1


@pytest.mark.parametrize("place", [0, 5])
def test_a_grey_image_among_coloured_ones_becomes_rgb(pixels, labels, place):
    grey = pixels[place, ..., 0]
    images = [grey if index == place else image for index, image in enumerate(pixels)]
    expected = pixels.copy()
    expected[place] = grey[..., np.newaxis]
    assert np.array_equal(Samples(Photos(images, labels)).images, expected)


def test_images_of_other_channels_do_not_go_together(pixels, labels):
    items = [*pixels[:5], np.zeros((5, 4, 4), np.uint8)]
    with pytest.raises(InputError, match=r"sample 5 has shape \(5, 4, 4\), .*'RGB'"):
        Samples(items, labels).images  # noqa: B018
    features = [*np.eye(3), np.ones(4)]
    with pytest.raises(InputError, match=r"sample 3 has shape \(4,\), .*one length"):
        Samples(features).images  # noqa: B018


def test_an_array_comes_to_a_size_on_request(pixels):
    images = Samples(pixels, image_size=2).images
    assert images.shape == (6, 2, 2, 3)
    assert np.array_equal(images[4], fitted(pixels[4], Fitting(2)))
    square = np.ascontiguousarray(pixels[:, :4])
    assert Samples(square, image_size=4).images is square


def test_rows_are_read_as_the_dataset_has_them(pixels, labels):
    """Whatever size samplers read them at, so that a fingerprint does not depend on it."""
    samples = Samples(Photos(pixels, labels), image_size=2)
    assert samples.images.shape[1:] == (2, 2, 3)
    assert np.array_equal(samples.rows(np.array([4]))[0], pixels[4])
    grey = Samples(pixels[..., 0])
    before = grey.rows(np.array([1]))[0]
    assert grey.images.ndim == 4
    assert np.array_equal(grey.rows(np.array([1]))[0], before)


def test_labels_of_many_values_are_refused_only_where_they_are_needed(pixels):
    samples = Samples(Unlabelled(pixels, torch.eye(6)))
    assert np.array_equal(samples.images, pixels)
    with pytest.raises(InputError, match="argmax"):
        samples.labels  # noqa: B018


def test_missing_labels_say_how_to_give_them(pixels):
    with pytest.raises(InputError, match="pass them as y="):
        Samples(pixels).required_labels  # noqa: B018


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], "2 labels for 3 samples"),
        (np.eye(3), "argmax"),
        ([0.5, 1.0, 2.0], "integers or strings"),
        ([0.0, np.nan, 1.0], "no NaN"),
        (np.array(["a", 1, "b"], dtype=object), "a mix of int, str .needed: all integers or all"),
        (["a", None, "b"], "missing for 1 of 3 samples, first for sample 1"),
        ([{"boxes": [], "labels": []}] * 3, "mappings with boxes, labels.*label="),
        ([[1], [1, 2], []], r"lists of several values, such as \[1\].*label="),
        (np.zeros((3, 8, 8)), r"arrays of shape \(8, 8\), such as masks.*label="),
        ([2**70, 1, 2], "which is no class"),
        ([1e300, 1.0, 2.0], "floating point numbers"),
        (3, "labels are 3"),
    ],
)
def test_labels_that_cannot_serve_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        check_labels(labels, 3)


@pytest.mark.parametrize(
    "labels",
    [
        ["b", "a", "b"],
        np.array(["b", "a", "b"], dtype=object),
        torch.tensor([1, 0, 1]),
        [1.0, 0, 1],
    ],
)
def test_strings_and_integers_are_encoded_alike(labels):
    assert encode_labels(check_labels(labels, 3))[1].tolist() == [1, 0, 1]


def test_labels_that_are_all_different_are_questioned():
    with pytest.raises(InputError, match=r"all 3 labels are different.*distinct_labels=True"):
        check_not_all_different(np.array([7, 8, 9]))
    check_not_all_different(np.array([7, 8, 8]))
    check_not_all_different(np.array([7]))


def test_labels_of_array_datasets_are_among_their_classes_where_they_are_needed(pixels, labels):
    assert len(ArrayDataset(pixels, labels, classes=["cat", "dog", "cow", "frog"]).classes) == 4
    few = ArrayDataset(pixels, labels, classes=["cat", "dog"])
    assert np.array_equal(Samples(few).images, pixels)
    with pytest.raises(InputError, match="labels run from 0 to 2"):
        Samples(few).labels  # noqa: B018


def test_masked_values_are_no_pixels():
    values = np.random.default_rng(0).random((8, 4))
    with pytest.raises(InputError, match=r"masked values; fill them, such as images.filled\(0\)"):
        Samples(np.ma.array(values, mask=values > 0.9)).images  # noqa: B018
    assert Samples(np.ma.array(values)).images.shape == (8, 4)
    items = [np.ma.array(row, mask=row > 0.9) for row in values]
    with pytest.raises(InputError, match="hold masked values"):
        Samples(items).images  # noqa: B018


class Growing(Dataset):
    """Images of a size that is told later, and how many of them were there at one time."""

    def __init__(self):
        self.size, self.made, self.most = 4, [], 0

    def __len__(self):
        return 200

    def __getitem__(self, index):
        image = np.zeros((self.size, self.size, 3), dtype=np.uint8)
        self.made.append(weakref.ref(image))
        self.most = max(self.most, sum(one() is not None for one in self.made))
        return image


def test_images_that_are_larger_than_the_first_do_not_add_up_in_a_batch():
    dataset = Growing()
    samples = Samples(dataset)
    form = samples.form()
    dataset.size, dataset.made, dataset.most = 400, [], 0
    with pytest.warns(ImageSizeWarning), pytest.raises(FormChangedError):
        next(samples.decoded(form, None))
    assert len(dataset.made) > 100
    assert dataset.most <= 2


def test_images_that_tell_one_dataset_from_another_do_not_add_up():
    dataset = Growing()
    assert fingerprint(Samples(dataset), labels=False, pixels=True)["of"] == "size, 64 samples"
    assert dataset.most <= 2
