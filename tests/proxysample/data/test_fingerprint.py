from __future__ import annotations

import numpy as np
import pytest
from torch.utils.data import Subset

from proxysample import (
    ArrayDataset,
    CCOutlierRemoval,
    CCRandomSampling,
    InputError,
    KMeansOutlierRemoval,
    RandomSampling,
    load_dataset,
)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits").train


@pytest.fixture(scope="module")
def ranking(digits):
    return CCOutlierRemoval().rank(digits)


def test_the_ranked_dataset_passes_in_any_guise(digits, ranking):
    ranking.check_dataset(digits)
    ranking.check_dataset(digits.images, digits.targets)
    ranking.check_dataset(digits.images)
    ranking.check_dataset(Subset(digits, range(len(digits))))
    assert len(ranking.subset(digits, 0.25)) == 359


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda d: Subset(d, range(100)), "1,437 samples, the dataset has 100"),
        (lambda d: ArrayDataset(d.images, d.targets[::-1]), "labels are not those"),
        (lambda d: ArrayDataset(255 - d.images, d.targets), "pixels are not those"),
    ],
)
def test_other_datasets_are_refused(digits, ranking, changed, message):
    with pytest.raises(InputError, match=message):
        ranking.check_dataset(changed(digits))
    with pytest.raises(InputError, match=message):
        ranking.subset(changed(digits), 0.25)


def test_what_samplers_do_not_read_is_not_checked(digits):
    ranking = CCRandomSampling(random_state=0).rank(digits)
    ranking.check_dataset(255 - digits.images, digits.targets)
    with pytest.raises(InputError, match="labels are not those"):
        ranking.check_dataset(digits.images, np.roll(digits.targets, 1))
    RandomSampling(random_state=0).rank(digits).check_dataset(255 - digits.images)


def test_the_provenance_says_what_the_fingerprint_is_of(digits, ranking):
    samplers = RandomSampling(), CCRandomSampling(), KMeansOutlierRemoval(n_clusters=2, n_init=1)
    of = [sampler.rank(digits).provenance["dataset"]["of"] for sampler in samplers]
    assert of == ["size", "size, labels", "size, 64 samples"]
    assert ranking.provenance["dataset"]["of"] == "size, labels, 64 samples"
