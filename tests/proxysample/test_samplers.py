"""Checks that every sampler passes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from torch.utils.data import DataLoader, Subset

from proxysample import ArrayDataset, InputError, create_sampler, list_samplers, load_dataset
from proxysample.registry import sampler_class, takes_parameter

ALL = list_samplers()
PER_CLASS = [name for name in ALL if sampler_class(name).per_class]


def small(name: str, **parameters):
    """A sampler that is quick on a few samples."""
    if takes_parameter(name, "n_clusters"):
        parameters.setdefault("n_clusters", 5)
    if takes_parameter(name, "epochs"):
        parameters.setdefault("epochs", 1)
    if takes_parameter(name, "random_state"):
        parameters.setdefault("random_state", 0)
    return create_sampler(name, **parameters)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits").train


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("r", [0.1, 0.25, 0.5, 0.75, 1.0])
def test_indices_are_exact_in_number_sorted_and_unique(name, r, digits):
    indices = small(name).select(digits, r)
    assert indices.dtype == np.int64
    assert len(indices) == round(r * len(digits))
    assert np.all(np.diff(indices) > 0)
    assert indices[0] >= 0
    assert indices[-1] < len(digits)


@pytest.mark.parametrize("name", ALL)
def test_smaller_sets_are_part_of_larger_ones(name, digits):
    kept = small(name).select_many(digits, [0.1, 0.33, 0.5, 0.9])
    sets = [set(indices.tolist()) for indices in kept.values()]
    assert all(inner < outer for inner, outer in pairwise(sets))


@pytest.mark.parametrize("name", PER_CLASS)
def test_class_shares_are_within_one_sample(name, digits):
    sizes = np.bincount(digits.targets)
    for r in (0.1, 0.25, 0.77):
        kept = np.bincount(digits.targets[small(name).select(digits, r)], minlength=len(sizes))
        share = round(r * len(digits)) * sizes / len(digits)
        assert np.all(np.abs(kept - share) < 1)


@pytest.mark.parametrize("name", ALL)
def test_repeated_runs_agree(name, digits):
    first, second = small(name), small(name)
    assert np.array_equal(first.select(digits, 0.3), second.select(digits, 0.3))
    assert np.array_equal(first.select(digits, 0.3), first.select(digits, 0.3))


@pytest.mark.parametrize("name", [n for n in ALL if takes_parameter(n, "batch_size")])
def test_decoding_does_not_change_indices(name, digits):
    items = Subset(_ItemsOnly(digits), range(0, len(digits), 7))
    expected = small(name).select(items, 0.3)
    for batch_size, num_workers in ((1, 0), (50, 2)):
        sampler = small(name, batch_size=batch_size, num_workers=num_workers)
        assert np.array_equal(sampler.select(items, 0.3), expected)


class _ItemsOnly:
    """A dataset that has nothing but items."""

    def __init__(self, dataset):
        self._dataset = dataset

    def __len__(self):
        return len(self._dataset)

    def __getitem__(self, index):
        return self._dataset[index]


@pytest.mark.parametrize("name", ALL)
def test_arrays_subsets_and_datasets_give_the_same_indices(name, digits):
    rows = np.arange(0, len(digits), 3)
    expected = small(name).select(digits.images[rows], 0.3, y=digits.targets[rows])
    assert np.array_equal(small(name).select(Subset(digits, rows.tolist()), 0.3), expected)
    names = np.array([f"digit {label}" for label in digits.targets[rows]])
    assert np.array_equal(small(name).select(digits.images[rows], 0.3, y=names), expected)


@pytest.mark.parametrize("name", ALL)
def test_a_subset_feeds_a_dataloader(name, digits):
    subset = small(name).subset(digits, 0.1)
    (images, labels), *_ = DataLoader(subset, batch_size=8)
    assert images.shape == (8, 1, 8, 8)
    assert len(subset) == round(0.1 * len(digits))
    assert labels[0] == digits.targets[subset.indices[0]]


@pytest.mark.parametrize("name", ALL)
def test_scikit_learn_conventions(name):
    sampler = small(name)
    parameters = sampler.get_params()
    copy = clone(sampler)
    assert copy is not sampler
    assert copy.get_params() == parameters
    assert sampler.set_params(protocol="paper").get_params()["protocol"] == "paper"
    assert not [attribute for attribute in vars(copy) if attribute.endswith("_")]
    assert type(sampler).__name__ in repr(sampler)


@pytest.mark.parametrize("name", ALL)
def test_fit_sets_what_it_learned(name, digits):
    sampler = small(name)
    assert sampler.fit(digits) is sampler
    assert sampler.scores_.shape == (len(digits),)
    assert sampler.n_samples_ == len(digits)
    assert np.array_equal(sampler.ranking_.select(0.2), sampler.select(digits, 0.2))


@pytest.mark.parametrize("name", ALL)
def test_fitting_changes_neither_parameters_nor_data(name, digits):
    sampler = small(name)
    before, pixels = sampler.get_params(), digits.images.copy()
    sampler.fit(digits)
    assert sampler.get_params() == before
    assert np.array_equal(digits.images, pixels)


@pytest.mark.parametrize("name", [n for n in ALL if takes_parameter(n, "keep")])
def test_the_hard_end_is_the_other_end_of_the_same_scores(name, digits):
    easy, hard = small(name, keep="easy"), small(name, keep="hard")
    kept_easy, kept_hard = easy.select(digits, 0.2), hard.select(digits, 0.2)
    assert np.array_equal(easy.scores_, hard.scores_)
    assert np.array_equal(easy.scores_, small(name).fit(digits).scores_)
    assert easy.scores_[kept_easy].max() <= np.quantile(easy.scores_, 0.21)
    assert hard.scores_[kept_hard].min() >= np.quantile(hard.scores_, 0.79)


@pytest.mark.parametrize("name", [n for n in ALL if takes_parameter(n, "keep")])
def test_unknown_directions_are_refused_before_the_data_is_touched(name):
    with pytest.raises(InputError, match="did you mean 'hard'"):
        small(name, keep="harder").select(object(), 0.5)


@pytest.mark.parametrize("name", ALL)
def test_global_random_states_are_neither_read_nor_advanced(name, digits):
    torch.manual_seed(1)
    before_torch, before_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = small(name).fit(digits).scores_
    assert torch.equal(torch.get_rng_state(), before_torch)
    assert np.array_equal(np.random.get_state()[1], before_numpy)  # noqa: NPY002
    torch.manual_seed(2)
    assert np.array_equal(small(name).fit(digits).scores_, first)


@pytest.mark.parametrize("name", PER_CLASS)
def test_class_conditional_samplers_need_labels(name, digits):
    with pytest.raises(InputError, match="has no labels"):
        small(name).select(digits.images, 0.5)
    with pytest.raises(InputError, match="has one sample"):
        small(name).select(np.zeros((3, 4)), 0.5, y=[0, 0, 1])


@pytest.mark.parametrize("name", [n for n in ALL if n not in PER_CLASS])
def test_other_samplers_do_not(name, digits):
    assert len(small(name).select(digits.images, 0.5)) == round(0.5 * len(digits))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("r", [0, 1.5, float("nan"), "half"])
def test_bad_ratios_are_refused_before_the_data_is_touched(name, r):
    untouchable = object()
    with pytest.raises(InputError, match=r"\(0, 1\]"):
        small(name).select(untouchable, r)


@pytest.mark.parametrize("name", ALL)
def test_unknown_protocols_are_refused_before_the_data_is_touched(name):
    with pytest.raises(InputError, match="did you mean 'paper'"):
        small(name, protocol="papers").select(object(), 0.5)


@pytest.mark.parametrize("name", [n for n in ALL if takes_parameter(n, "batch_size")])
def test_pixels_that_are_not_finite_are_refused(name):
    images = np.random.default_rng(0).random((8, 8, 8))
    images[3, 0, 0] = np.nan
    with pytest.raises(InputError, match="sample 3"):
        small(name).select(images, 0.5, y=[0, 0, 0, 0, 1, 1, 1, 1])


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 30), st.integers(2, 30), st.floats(0.1, 1), st.sampled_from(ALL))
def test_two_classes_of_any_size(n_first, n_second, r, name):
    total = n_first + n_second
    images = np.random.default_rng(total).integers(0, 256, (total, 8, 8), dtype=np.uint8)
    dataset = ArrayDataset(images, [0] * n_first + [1] * n_second)
    if round(r * total) < 1:
        return
    sampler = small(name, **({"n_clusters": 2} if name == "km-or" else {}))
    assert len(sampler.select(dataset, r)) == round(r * total)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(InputError, match="did you mean 'km-or'"):
        create_sampler("kmor")
    with pytest.raises(InputError, match="did you mean 'n_clusters'"):
        create_sampler("km-or", n_cluster=3)
