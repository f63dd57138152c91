"""The published checks over every sampler, and that they see what they are for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader

from proxysample import ArrayDataset, InputError, Sampler, create_sampler, list_samplers
from proxysample.registry import takes_parameter
from proxysample.samplers.random import RandomSampling
from proxysample.testing import check_sampler, sampler_checks, small_digits

# What makes a sampler quick on a few hundred samples.
QUICK = {
    "n_clusters": 5,
    "n_draws": 100,
    "epochs": 1,
    "backbone": nn.Flatten(),
    "random_state": 0,
    "device": "cpu",
}
# Of those that train a classifier and record it.
RECORDED = {"features": "pixels", "epochs": 3}
ALL = list_samplers()
# Most scores of recorded trainings differ in what they make of a record, and not in how it comes
# about: those are checked on a record that is given, in test_recorded.py.
TRAINED = ("el2n", "grand", "cld")
CHECKED = [name for name in ALL if name in TRAINED or not takes_parameter(name, "record")]


def quick(name: str, **parameters):
    given = QUICK | (RECORDED if takes_parameter(name, "record") else {})
    chosen = {key: value for key, value in given.items() if takes_parameter(name, key)}
    return create_sampler(name, **(chosen | parameters))


@pytest.fixture(scope="module")
def digits():
    return small_digits()


@pytest.mark.parametrize("check", sampler_checks(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", CHECKED)
def test_published_checks(name, check, digits):
    check(quick(name), digits)


@pytest.mark.parametrize("name", ALL)
def test_a_subset_feeds_a_dataloader(name, digits):
    subset = quick(name).subset(digits, 0.1)
    (images, labels), *_ = DataLoader(subset, batch_size=8)
    assert images.shape == (8, 1, 8, 8)
    assert len(subset) == round(0.1 * len(digits))
    assert labels[0] == digits.targets[subset.indices[0]]


@pytest.mark.parametrize("name", ALL)
def test_a_class_with_one_sample_stops_nobody(name, digits):
    images, labels = digits.images[:30], np.array([0, 1] * 14 + [0, 2])
    chosen = quick(name)
    assert len(chosen.select(images, 0.5, y=labels)) == 15
    assert np.isfinite(chosen.scores_).all()
    assert name != "cc-or" or chosen.scores_[-1] == 0


@settings(max_examples=25)
@given(
    st.integers(2, 30),
    st.integers(2, 30),
    st.floats(0.1, 1),
    st.sampled_from(["rs", "cc-rs", "km-or", "cc-or"]),
)
def test_two_classes_of_any_size(n_first, n_second, r, name):
    total = n_first + n_second
    images = np.random.default_rng(total).integers(0, 256, (total, 3, 3), dtype=np.uint8)
    dataset = ArrayDataset(images, [0] * n_first + [1] * n_second)
    if round(r * total) < 1:
        return
    sampler = create_sampler(name, **({"n_clusters": 2} if name == "km-or" else {}))
    assert len(sampler.select(dataset, r)) == round(r * total)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(InputError, match="did you mean 'km-or'"):
        create_sampler("kmor")
    with pytest.raises(InputError, match="did you mean 'n_clusters'"):
        create_sampler("km-or", n_cluster=3)


class EveryThird(Sampler):
    """Goes by the place of a sample and nothing else."""

    id = "every-third"

    def _score(self, samples, codes):
        return np.arange(len(samples)) % 3


def test_a_sampler_that_goes_by_the_order_of_rows_is_found(digits):
    with pytest.raises(AssertionError, match="where the rows are in another order"):
        check_sampler(EveryThird(), digits)


class Unseeded(RandomSampling):
    """Draws from numpy's global generator, out of the context that scores."""

    def select(self, *given, **options):
        np.random.random()  # noqa: NPY002
        return super().select(*given, **options)


class Seeding(RandomSampling):
    """Seeds torch's global generator, out of the context that scores."""

    def select(self, *given, **options):
        torch.manual_seed(0)
        return super().select(*given, **options)


class Unlike(RandomSampling):
    """Says that it needs labels, and does without."""

    needs_labels = True


class Rewriting(RandomSampling):
    """Changes a parameter while it fits."""

    def _score(self, samples, codes):
        self.random_state = 7
        return super()._score(samples, codes)


class Fresh(RandomSampling):
    """Draws from a generator of its own, another each time."""

    def _score(self, samples, codes):
        return np.random.default_rng().random(len(samples))


class Renaming(RandomSampling):
    """Stores a parameter under another name."""

    def __init__(self, *, random_state=None, power=2):
        super().__init__(random_state=random_state)
        self.exponent = power


class Short(RandomSampling):
    """Scores all samples but one."""

    def _score(self, samples, codes):
        return super()._score(samples, codes)[:-1]


class Nameless(RandomSampling):
    """Has no id."""

    id = ""


class NotANumber(RandomSampling):
    """Scores a sample with NaN."""

    def _score(self, samples, codes):
        scores = super()._score(samples, codes)
        scores[0] = np.nan
        return scores


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Unseeded, "numpy's global generator"),
        (Fresh, "a second run differs: draw from a generator of random_state"),
        (Seeding, "torch's global generator"),
        (Unlike, "does without"),
        (Rewriting, "changed a parameter"),
        (NotANumber, "score of sample 0 is nan"),
        (Renaming, "takes 'power' and does not store self.power"),
        (Short, r"Short._score gives scores of shape \(239,\) for 240 samples"),
        (Nameless, "Nameless has no id"),
    ],
)
def test_the_published_checks_see_broken_samplers(broken, message, digits):
    with pytest.raises((AssertionError, InputError), match=message):
        check_sampler(broken(random_state=0), digits)


def test_a_sampler_without_an_id_and_one_without_numbers_are_told(digits):
    class Plain(Sampler):
        def _score(self, samples, codes):
            return ["low"] * len(samples)

    with pytest.raises(InputError, match="Plain has no id"):
        Plain().select(digits, r=0.5)
    Plain.id = "plain"
    with pytest.raises(InputError, match=r"what Plain\._score gives cannot be read as an array"):
        Plain().select(digits, r=0.5)


def test_what_a_broken_sampler_raises_says_in_which_check(digits):
    with pytest.raises(InputError) as caught:
        check_sampler(NotANumber(random_state=0), digits)
    assert caught.value.__notes__[0].startswith("check_indices: Indices are int64")


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("keep", "best", "unknown rule for keep 'best'.* Known: easy, hard"),
        ("protocol", "papers", "did you mean 'paper'"),
        ("device", "gpu", "device must be 'auto', 'cpu' or 'cuda', .* not 'gpu'"),
        ("device", "mps", "device must be 'auto', 'cpu' or 'cuda', .* not 'mps'"),
        ("device", True, "device must be 'auto', 'cpu' or 'cuda', .* not True"),
        ("batch_size", 0, "batch_size must be a positive integer, not 0"),
        ("num_workers", 30_000, "num_workers must be at most 4,096, not 30000"),
        ("num_workers", -1, "num_workers must be an integer of at least 0, not -1"),
        ("progress", "maybe", "progress must be True or False, not 'maybe'"),
        ("random_state", "seven", "random_state must be an integer of at least 0.* not 'seven'"),
        ("random_state", -1, "random_state must be an integer of at least 0.* not -1"),
        ("random_state", 0.5, "random_state must be an integer of at least 0.* not 0.5"),
    ],
)
@pytest.mark.parametrize("name", ALL)
def test_shared_parameters_are_checked_before_the_data_is_touched(name, parameter, value, message):
    if takes_parameter(name, parameter):
        sampler = quick(name, **{parameter: value})
        with pytest.raises(InputError, match=message):
            sampler.select(object(), 0.5)
        with pytest.raises(InputError, match=message):
            sampler.check_parameters()


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("km-or", {"n_clusters": 0}, "n_clusters must be a positive integer"),
        ("km-or", {"distance": "per-class"}, "did you mean 'per-cluster'"),
        ("km-or", {"backend": "fais"}, "did you mean 'faiss'"),
        ("km-or", {"features": "latents.npy"}, "names a file"),
        ("ae", {"loss": "msee"}, "did you mean 'mse'"),
        ("ae", {"latent_channels": 0}, "latent_channels must be"),
        ("tl", {"training_batch_size": 1}, "at least 2"),
        ("tl", {"weights": "hubb"}, "did you mean 'hub'"),
    ],
)
def test_a_samplers_own_parameters_are_checked_without_data(name, parameters, message):
    with pytest.raises(InputError, match=message):
        create_sampler(name, **parameters).check_parameters()


@pytest.mark.parametrize("name", [name for name in ALL if takes_parameter(name, "device")])
def test_only_fitting_asks_what_this_machine_has(name, digits):
    elsewhere = quick(name, device="cuda:99")
    elsewhere.check_parameters()
    with pytest.raises(InputError, match="device 'cuda:99' is not available here"):
        elsewhere.fit(digits)


class Brightness(Sampler):
    """Says how it scores, and nothing else."""

    id = "brightness"

    def __init__(self, *, keep="easy", progress=False):
        self.keep = keep
        self.progress = progress

    def _score(self, samples, codes):
        return samples.images.mean(axis=(1, 2, 3))


def test_a_sampler_of_others_is_checked_like_ours(digits):
    check_sampler(Brightness(), digits)
    Brightness().check_parameters()
    with pytest.raises(InputError, match="did you mean 'easy'"):
        Brightness(keep="eazy").check_parameters()
    with pytest.raises(InputError, match="progress must be True or False"):
        Brightness(progress="yes").check_parameters()


def test_a_generator_is_not_drawn_from_by_the_check():
    expected = np.random.default_rng(0).random(4)
    given = RandomSampling(random_state=np.random.default_rng(0)).fit(np.zeros((4, 2)))
    assert given.scores_.tolist() == expected.tolist()
