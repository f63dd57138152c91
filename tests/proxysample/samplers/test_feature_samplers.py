"""Samplers on features: what they keep, by hand, per class and overall, from any features."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from proxysample import (
    D2,
    DynamicsRecorder,
    FacilityLocation,
    Herding,
    InputError,
    KCenter,
    Moderate,
    Prototypes,
    Ranking,
    SemDeDup,
    ZCore,
    create_sampler,
)
from proxysample.testing import check_sampler, small_digits

NAMES = (
    "herding",
    "k-center",
    "facility-location",
    "d2",
    "moderate",
    "semdedup",
    "prototypes",
    "zcore",
)
SEEDED = {"k-center", "semdedup", "prototypes", "zcore"}
every_sampler = pytest.mark.parametrize("name", NAMES)


def sampler_of(name: str, **parameters):
    return create_sampler(name, **({"random_state": 0} if name in SEEDED else {}), **parameters)


@pytest.mark.parametrize(
    "sampler",
    [
        Herding(per_class=False, n_components=8),
        Herding(metric="cosine", cut=0.3, random_state=0),
        KCenter(start="random", random_state=0),
        FacilityLocation(metric="euclidean"),
        D2(n_neighbours=3, metric="euclidean", gamma=0.1),
        SemDeDup(n_clusters=4, first="random", random_state=0),
        Prototypes(n_clusters=4, random_state=0, per_class=False),
        ZCore(per_class=True, n_draws=200, random_state=0),
    ],
    ids=repr,
)
def test_samplers_keep_the_promises_of_the_library_with_other_parameters(sampler):
    check_sampler(sampler, small_digits(60))


@every_sampler
def test_classes_keep_their_shares_by_default_and_not_overall(name):
    generator = np.random.default_rng(0)
    features = generator.standard_normal((60, 4))
    features[40:] *= 1e-3
    labels = np.repeat(["a", "b", "c"], 20)
    sampler = sampler_of(name, features=features)
    kept = sampler.select(features, 0.25, y=labels)
    if name != "zcore":
        assert np.bincount(kept // 20).tolist() == [5, 5, 5]
    overall = sampler.set_params(per_class=False).select(features, 0.25, y=labels)
    assert overall.tolist() == sampler.select(features, 0.25).tolist()
    by_class = sampler.set_params(per_class=True).select(features, 0.25, y=labels)
    assert np.bincount(by_class // 20).tolist() == [5, 5, 5]
    with pytest.raises(InputError, match="labels"):
        sampler.select(features, 0.25)


@every_sampler
def test_a_class_of_one_a_dataset_of_one_and_constant_features(name):
    features = np.random.default_rng(1).standard_normal((9, 3))
    labels = [0] * 8 + [1]
    sampler = sampler_of(name, features=features)
    assert len(sampler.select(features, 0.5, y=labels)) == 4
    assert sampler.select(features, 1, y=labels).tolist() == list(range(9))
    assert sampler_of(name).select(np.zeros((1, 4)), 1).tolist() == [0]
    constant = np.full((6, 4), 0.1)
    kept = sampler_of(name, features=constant).select(constant, 0.5)
    assert len(kept) == 3
    if name not in ("zcore", "moderate"):
        assert kept.tolist() == [0, 1, 2]


@every_sampler
@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1))
def test_a_class_knows_nothing_of_the_others(name, seed):
    if name == "zcore":
        return
    generator = np.random.default_rng(seed)
    features, codes = generator.standard_normal((24, 5)), generator.permutation(24) % 2
    sampler = sampler_of(name, features=features)
    together = sampler.fit(features, codes).scores_
    alone = sampler_of(name, features=features[codes == 0]).fit(features[codes == 0]).scores_
    np.testing.assert_allclose(together[codes == 0], alone, atol=1e-12)


@every_sampler
def test_features_may_be_an_array_a_map_a_function_or_the_pixels(name, tmp_path):
    images = small_digits(60).images
    features = images.reshape(60, -1).astype(np.float32)
    np.save(tmp_path / "features.npy", features)
    kinds = [
        features,
        np.load(tmp_path / "features.npy", mmap_mode="r"),
        lambda batch: batch.reshape(len(batch), -1).astype(np.float32),
    ]
    kept = [sampler_of(name, features=kind).select(images, 0.3).tolist() for kind in kinds]
    assert kept[0] == kept[1] == kept[2]
    assert len(sampler_of(name, n_components=5).select(images, 0.3)) == 18
    copy = clone(sampler_of(name, features=features))
    assert copy.features is features


@every_sampler
def test_bad_parameters_are_refused(name):
    for parameters in ({"per_class": "no"}, {"n_components": 0}, {"features": 3}):
        with pytest.raises(InputError, match=next(iter(parameters))):
            sampler_of(name, **parameters).select(np.zeros((4, 2)), 0.5)
    with pytest.raises(InputError, match="3 samples"):
        sampler_of(name, features=np.zeros((4, 2))).select(np.zeros((3, 2)), 1)


def test_cosines_are_of_the_features_as_given():
    """About their mean, the first two are opposite; as given, they are nearly the same."""
    features = np.array([[10.0, 1.0], [10.0, -1.0], [-9.0, 10.0]])
    sampler = SemDeDup(features=features).fit(features)
    assert sorted(sampler.scores_.round(2).tolist())[-1] == 0.98


def test_the_middle_by_hand():
    """Distances to the median 3: 3, 2, 0, 4, 9; in order 2, 1, 0, 3, 4; the middle is 0."""
    features = np.array([[0.0], [1.0], [3.0], [7.0], [12.0]])
    sampler = Moderate(features=features).fit(features)
    assert sampler.distances_.tolist() == [3, 2, 0, 4, 9]
    # From rank 2 outwards, the nearer side first: ranks 2, 1, 3, 0, 4.
    assert sampler.ranking_.order.tolist() == [0, 1, 3, 2, 4]


@pytest.mark.parametrize("n", [4, 5])
@pytest.mark.parametrize("r", [0.25, 0.5, 0.75, 1])
def test_the_middle_has_the_exact_count_where_public_code_is_off_by_one(n, r):
    features = np.arange(4.0 * n)[:, None]
    assert len(Moderate(features=features).select(features, r)) == round(r * 4 * n)


def test_near_duplicates_go_first_and_the_threshold_is_told():
    angles = np.radians([0, 1, 30, 31, 90])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    far = SemDeDup(features=features).fit(features)
    # The mean lies at 28.6 degrees: the order is 90, 0, 1, 31, 30.
    expected = [0, np.cos(np.radians(1)), np.cos(np.radians(1)), np.cos(np.radians(30)), -1]
    np.testing.assert_allclose(far.scores_, expected, atol=1e-9)
    assert far.select(features, 0.6).tolist() == [0, 3, 4]
    near = SemDeDup(features=features, first="near")
    assert near.select(features, 0.6).tolist() == [1, 2, 4]
    assert far.similarity_at(0.6) == pytest.approx(np.cos(np.radians(30)))
    assert far.similarity_at(0.8) == pytest.approx(np.cos(np.radians(1)))
    assert far.ratio_at(0.999) == 0.6
    assert far.ratio_at(1) == 1


def test_the_firsts_of_clusters_are_kept_before_what_is_unlike_them():
    """Source code gives firsts a 0, which ties with all that is at a right angle."""
    features = np.eye(4)
    sampler = SemDeDup(features=features).fit(features)
    assert sorted(sampler.scores_.tolist()) == [-1, 0, 0, 0]


def test_prototypes_by_hand():
    features = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0], [5.0, 5.0], [0.0, 2.0], [1.0, 1.0]])
    sampler = Prototypes(features=features)
    scores = sampler.fit(features, [0, 0, 0, 1, 1, 1]).scores_
    # The mean direction of the first class is (1, 1).
    np.testing.assert_allclose(scores[:3], [1 - np.sqrt(0.5), 1 - np.sqrt(0.5), 0], atol=1e-9)
    assert scores[3] == scores[5] < scores[4]
    assert sampler.select(features, 1 / 3, y=[0, 0, 0, 1, 1, 1]).tolist() == [2, 3]
    hard = sampler.set_params(keep="hard")
    assert hard.select(features, 1 / 3, y=[0, 0, 0, 1, 1, 1]).tolist() == [0, 4]


def test_d2_takes_any_difficulty():
    features = np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.01, 1.0]])
    for difficulty in ([4, 1, 1, 3], np.array([4.0, 1, 1, 3]), Ranking(np.array([4.0, 1, 1, 3]))):
        sampler = D2(features=features, difficulty=difficulty, n_neighbours=1)
        assert sampler.select(features, 0.5).tolist() == [0, 3]
    for bad in ([1, -1, 0, 0], [1, np.nan, 0, 0], ["hard"], [[1, 2, 3, 4]]):
        with pytest.raises(InputError, match="difficulty"):
            D2(features=features, difficulty=bad).check_parameters()
    with pytest.raises(InputError, match="3 values of difficulty for 4 samples"):
        D2(features=features, difficulty=[1, 2, 3]).select(features, 0.5)


def test_k_center_from_a_drawn_start():
    features = np.arange(20.0)[:, None]
    starts = {
        int(KCenter(features=features, start="random", random_state=seed).select(features, 0.05)[0])
        for seed in range(8)
    }
    assert len(starts) > 3
    assert KCenter(features=features).select(features, 0.05).tolist() == [9]


def test_too_many_clusters_are_refused():
    for kind in (SemDeDup, Prototypes):
        with pytest.raises(InputError, match="n_clusters=9 for 4 samples"):
            kind(n_clusters=9).select(np.eye(4), 0.5)


def recorded(labels, hard) -> DynamicsRecorder:
    """A training in which some samples went wrong throughout."""
    recorder = DynamicsRecorder(len(labels), 2)
    logits = np.where(np.eye(2)[labels] > 0, 4.0, 0.0) + np.arange(len(labels))[:, None] * 1e-3
    logits[hard] = logits[hard][:, ::-1]
    for _ in range(2):
        recorder.record(np.arange(len(labels)), logits, labels)
        recorder.end_epoch()
    return recorder


def test_what_is_hard_comes_last_and_the_mean_is_still_that_of_all():
    # Class 0 is the rows of the example by hand, class 1 the same farther out.
    features = np.array([[0.0], [1.0], [4.0], [5.0], [100.0], [101.0], [104.0], [105.0]])
    labels = np.repeat([0, 1], 4)
    whole = Herding(features=features).rank(features, y=labels)
    assert whole.scores.tolist() == [2, 0, 1, 3] * 2
    cut = Herding(features=features, cut=0.25, record=recorded(labels, [1, 5]))
    # Of 0, 4 and 5, with the mean 2.5 of all: 4, then 0 (2.0), then 5; at last 1.
    assert cut.rank(features, y=labels).scores.tolist() == [1, 3, 0, 2] * 2
    assert cut.record_ is cut.record
    assert cut.ranking_.nested


def test_a_head_that_is_trained_here_tells_what_is_hard():
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    features = rng.normal(size=(80, 3)) + 3 * labels[:, None]
    wrong = np.array([3, 10, 41, 66])
    given_labels = labels.copy()
    given_labels[wrong] = 1 - labels[wrong]
    sampler = Herding(features=features, cut=0.1, random_state=0)
    kept = sampler.select(features, r=0.85, y=given_labels)
    assert not np.isin(wrong, kept).any()
    assert np.isin(wrong, Herding(features=features).select(features, r=0.85, y=given_labels)).any()
    assert sampler.needs_labels
    with pytest.raises(InputError, match="no labels"):
        sampler.select(features, r=0.5)


def test_directions_are_herded_as_rows_of_unit_length_are():
    features = np.random.default_rng(0).normal(size=(30, 4)) + 1
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    directed = Herding(features=features, metric="cosine").rank(features)
    assert np.array_equal(directed.order, Herding(features=unit).rank(features).order)
    assert not np.array_equal(directed.order, Herding(features=features).rank(features).order)


def test_a_record_without_a_cut_is_questioned():
    with pytest.raises(InputError, match="a record tells what is hard, for cut="):
        Herding(record=recorded(np.arange(4) % 2, [])).check_parameters()
