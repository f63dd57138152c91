"""What every sampler does with what is to be kept, whatever it scores by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from proxysample import (
    ArrayDataset,
    CCOutlierRemoval,
    GivenRanking,
    InputError,
    LostClassesWarning,
    RandomSampling,
    compare,
    create_sampler,
)
from proxysample.testing import small_digits


@pytest.fixture
def digits():
    return small_digits(200)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"n": 201}, "more than the 200 samples"),
        ({"n": 2, "must_keep": [1, 2, 3]}, "must_keep names 3"),
        ({"n": 2, "must_keep": [1], "exclude": [1]}, "is in must_keep and in exclude"),
        ({"n": 9, "min_per_class": 1}, "makes 10 samples"),
        ({"balance": {"3": 100}}, "keeps 100 of class '3'"),
        ({"r": 1.0, "exclude": [1]}, "199 are not excluded"),
        ({"n": 2, "must_keep": ["a.png"]}, "no files or keys; give indices"),
    ],
)
@pytest.mark.parametrize("way", ["select", "subset", "report", "fit_resample"])
def test_what_contradicts_itself_is_refused_before_any_scoring(
    digits, monkeypatch, asked, message, way
):
    monkeypatch.setattr(CCOutlierRemoval, "_score", lambda *_: pytest.fail("scored"))
    with pytest.raises(InputError, match=message):
        getattr(CCOutlierRemoval(), way)(digits, **asked)


def test_numbers_are_checked_before_several_sets_are_scored(digits, monkeypatch):
    monkeypatch.setattr(CCOutlierRemoval, "_score", lambda *_: pytest.fail("scored"))
    with pytest.raises(InputError, match="more than the 200 samples"):
        CCOutlierRemoval().select_many(digits, [0.5], n=[201])


def test_samplers_without_classes_keep_balanced_sets_too(digits):
    sampler = RandomSampling(random_state=0)
    kept = sampler.select(digits, n=50, balance="equal")
    assert np.bincount(digits.targets[kept]).tolist() == [5] * 10
    assert np.array_equal(kept, sampler.ranking_.select(n=50, balance="equal"))
    several = sampler.select_many(digits, [0.5], n=[50], balance="equal")
    assert np.array_equal(several[50], kept)
    assert set(kept) <= set(several[0.5])


def test_labels_that_only_items_tell_are_read_for_a_balance(digits):
    items = [digits[index] for index in range(200)]
    kept = RandomSampling(random_state=0).select(items, n=50, balance="equal")
    assert np.bincount(digits.targets[kept]).tolist() == [5] * 10
    assert RandomSampling(random_state=0).rank(items).classes is None


def test_labels_that_are_no_classes_stop_only_what_needs_classes(digits):
    digits.targets = np.linspace(0.1, 0.9, 200)
    with pytest.raises(InputError):
        RandomSampling().select(digits, n=50, balance="equal")


def test_samples_are_named_by_their_files():
    images = np.zeros((4, 4, 4), dtype=np.uint8)
    files = [Path(f"photos/{kind}/{n}.png") for kind in ("cat", "dog") for n in (1, 2)]
    dataset = ArrayDataset(images, [0, 0, 1, 1], ["cat", "dog"], files=files)
    kept = RandomSampling(random_state=0).select(
        dataset, n=2, must_keep=["dog/2.png"], exclude=[Path("photos/cat/1.png"), "cat/2.png"]
    )
    assert kept.tolist() == [2, 3]
    counted = RandomSampling(random_state=0).select(dataset, balance={"cat": 1, "dog": 2})
    assert np.bincount(dataset.targets[counted]).tolist() == [1, 2]


def test_a_set_that_loses_classes_names_them(digits):
    with pytest.warns(
        LostClassesWarning, match=r"^rs keeps 4 samples and none of \d of the 10"
    ) as one:
        RandomSampling(random_state=0).select(digits, n=4)
    assert len(one) == 1
    assert one[0].filename == __file__


def test_a_number_is_kept_whatever_the_rounding(digits):
    sampler = CCOutlierRemoval(protocol="paper")
    assert len(sampler.select(digits, n=37)) == 37
    assert len(sampler.subset(digits, n=37)) == 37
    assert sampler.report(digits, n=37).title.startswith("cc-or keeps 37 of 200 samples (r=0.185)")


@pytest.mark.parametrize(
    "given", [{2, 1}, frozenset({1, 2}), range(1, 3), {1: 0, 2: 0}.keys(), np.array([1, 2])]
)
def test_samples_to_keep_are_given_in_any_collection(digits, given):
    sampler = RandomSampling(random_state=0)
    expected = sampler.select(digits, n=9, must_keep=[1, 2])
    assert np.array_equal(sampler.select(digits, n=9, must_keep=given), expected)
    with pytest.raises(InputError, match="must be indices of samples"):
        sampler.select(digits, n=9, exclude={"a", 1})
    none = sampler.select(digits, n=9)
    for empty in ([], set(), np.array([])):
        assert np.array_equal(sampler.select(digits, n=9, must_keep=empty), none)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda data, one: one.select(data, 0.5, seed=3),
            r"of select 'seed'; random_state is a .*"
            r"RandomSampling\(random_state=",
        ),
        (lambda data, one: one.rank(data, seed=3), r"of fit 'seed'; random_state is a parameter"),
        (lambda data, one: one.select(data, ratio=0.5), "did you mean 'r'"),
        (lambda data, one: one.fit(data, labels="x"), "did you mean 'label'"),
        (lambda data, one: one.rank(data, balance="equal"), r"ranking.select\(r, balance="),
        (lambda data, one: one.select_many(data, [0.5], exlude=[1]), "did you mean 'exclude'"),
        (lambda data, one: one.rank(data).select(0.5, balanced="equal"), "did you mean 'balance'"),
        (lambda data, one: one.rank(data).select_many([0.5], seed=1), "of select 'seed'; Known: r"),
        (lambda data, one: one.rank(data).to_frame(0.5, must_kep=1), "did you mean 'must_keep'"),
        (lambda data, one: GivenRanking(one.rank(data)).rank(data, lable=1), "mean 'label'"),
        (lambda data, one: create_sampler("auto").rank(data, seed=1), "random_state is a param"),
        (lambda data, one: create_sampler("rs", seed=1), "did you mean 'random_state'"),
        (lambda data, one: create_sampler("rs:seed=1"), "beside the name 'rs', as keywords"),
        (lambda data, one: compare(data, ["rs"], [0.5], workers=2), "did you mean 'n_workers'"),
        (lambda data, one: compare(data, ["rs"], [0.5], heldout=0.2), "did you mean 'held_out'"),
    ],
)
def test_a_keyword_that_is_not_known_is_named_with_the_nearest(digits, call, message):
    with pytest.raises(InputError, match=message):
        call(digits, RandomSampling(random_state=0))
