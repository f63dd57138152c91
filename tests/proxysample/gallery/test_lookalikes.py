from __future__ import annotations

import numpy as np
import pytest

from proxysample import CCOutlierRemoval, Herding, InputError, RandomSampling
from proxysample.data.reading import Samples
from proxysample.gallery.lookalikes import features_at_hand, of_features, of_pixels
from proxysample.testing import small_digits


def brute_force(rows, compared, metric):
    if metric == "cosine":
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    distances = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    distances[:, np.setdiff1d(np.arange(len(rows)), compared)] = np.inf
    np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)


def test_neighbours_by_features_are_exact():
    features = np.random.default_rng(0).normal(size=(40, 6))
    samples = Samples(np.zeros((40, 8, 8), dtype=np.uint8))
    found = of_features(samples, features, np.arange(40), 3)
    expected = brute_force(features, np.arange(40), "cosine")[:, :3]
    assert np.allclose(found.likeness, 1 - expected**2 / 2)
    assert found.unit == "cosine"
    assert found.told == "cosine of 6 features"
    # What is not compared need not be finite.
    features[39] = np.nan
    fewer = of_features(samples, features, np.arange(39), 3)
    expected = brute_force(features[:39], np.arange(39), "cosine")[:, :3]
    assert np.allclose(fewer.likeness[:39], 1 - expected**2 / 2)


def test_samples_that_are_not_compared_are_nobodys_neighbours():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 192), dtype=np.uint8)
    compared = np.setdiff1d(np.arange(40), [4, 17])
    found = of_pixels(pixels, compared, 5)
    assert set(found.indices[[4, 17]].ravel().tolist()) == {-1}
    assert not np.isin(found.indices[compared], [-1, 4, 17]).any()
    expected = brute_force(pixels.astype(float), compared, "euclidean")[compared, :5]
    assert np.allclose(found.likeness[compared], expected / np.sqrt(192))
    assert "8 x 8" in found.told


def test_copies_are_near_duplicates_and_strangers_are_not():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 192), dtype=np.uint8)
    pixels[31] = pixels[8]
    pixels[32] = pixels[9] // 2 * 2
    found = of_pixels(pixels, np.arange(40), 5)
    twins = {
        (row, int(other))
        for row in range(40)
        for other in found.indices[row][found.is_duplicate[row]]
    }
    assert twins == {(8, 31), (31, 8), (9, 32), (32, 9)}


@pytest.mark.parametrize("n_samples", [1, 2])
def test_few_samples_have_few_neighbours(n_samples):
    found = of_pixels(np.zeros((n_samples, 192), np.uint8), np.arange(n_samples))
    assert found.indices.tolist() == [[1], [0]][:n_samples] if n_samples == 2 else [[]]


def test_features_that_need_no_more_work_are_at_hand():
    digits = small_digits(20)
    array = np.ones((20, 3))
    assert features_at_hand(array, Samples(digits)) is array
    assert features_at_hand("pixels", Samples(digits)) is None
    assert features_at_hand(None, Samples(digits)) is None
    assert features_at_hand("resnet18", Samples(array)).shape == (20, 3)


def test_a_report_takes_its_samplers_features():
    digits = small_digits(20)
    array = np.ones((20, 3))
    assert Herding(features=array).report(digits, 0.5).gallery.features is array
    assert CCOutlierRemoval().report(digits, 0.5).gallery.features is None
    assert RandomSampling().report(digits, 0.5).gallery.features is None


def test_features_that_would_have_to_be_read_need_all_samples():
    with pytest.raises(InputError, match="give features= as an array"):
        of_features(Samples(small_digits(20)), lambda images: images, np.arange(19))
