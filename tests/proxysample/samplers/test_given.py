"""What was picked or ranked elsewhere, as samplers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from proxysample import (
    CCOutlierRemoval,
    InputError,
    RandomSampling,
    Ranking,
    create_sampler,
    list_samplers,
)
from proxysample.described import describe_sampler
from proxysample.samplers import GivenIndices, GivenRanking
from proxysample.testing import small_digits

PICKED = np.array([7, 3, 200, 11])


@pytest.fixture(scope="module")
def digits():
    return small_digits()


@pytest.fixture(scope="module")
def ranking(digits):
    return CCOutlierRemoval().rank(digits)


@pytest.mark.parametrize("given", [PICKED, PICKED.tolist(), PICKED.astype(np.uint64)], ids=str)
def test_given_indices_are_kept(given, digits):
    sampler = GivenIndices(given)
    r = len(PICKED) / len(digits)
    kept = sampler.select(digits, r)
    assert kept.dtype == np.int64
    assert kept.tolist() == sorted(PICKED.tolist())
    assert clone(sampler).rank(digits).select(r).tolist() == kept.tolist()
    assert sampler.subset(digits, r).indices == kept.tolist()
    assert "keeps 4 of 240 samples" in str(sampler.report(digits, r))


@pytest.mark.parametrize("n_samples", [3, 7, 10, 240, 1437, 49_999])
def test_every_size_has_a_ratio_that_fits(n_samples):
    data = np.zeros((n_samples, 1))
    for n_kept in {1, 2, n_samples // 3, n_samples // 2, n_samples - 1, n_samples}:
        sampler = GivenIndices(np.arange(n_kept))
        assert len(sampler.select(data, n_kept / n_samples)) == n_kept


def test_a_ratio_that_does_not_fit_names_the_one_that_does(digits, tmp_path):
    ranking = GivenIndices(PICKED).rank(digits)
    ranking.save(tmp_path / "ranking.npz")
    for one in (ranking, Ranking.load(tmp_path / "ranking.npz")):
        with pytest.raises(
            InputError, match=r"4 given indices cannot be cut to 60: .* r=0\.01666666666666666"
        ):
            one.select(0.25)
    with pytest.raises(InputError, match="cannot be cut"):
        GivenIndices(PICKED).select_many(digits, [0.5])


def test_indices_in_a_file(digits, tmp_path):
    path = tmp_path / "picked.npy"
    np.save(path, PICKED)
    sampler = create_sampler("indices", path=str(path))
    assert sampler.select(digits, 4 / 240).tolist() == sorted(PICKED.tolist())
    assert sampler.ranking_.provenance["parameters"]["path"] == str(path)
    path.unlink()
    with pytest.raises(InputError, match=r"picked\.npy: no such file"):
        sampler.check_parameters()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"give indices or a path to them, such as indices:path=FILE in words"),
        ({"indices": [1], "path": "a.npy"}, "not both"),
        ({"path": 3}, "path must be a path, not 3"),
        ({"path": "missing.npy"}, "missing.npy: no such file"),
        ({"indices": [1, 1]}, "indices names a sample twice"),
        ({"indices": [-1]}, "holds the index -1; they count from 0"),
        ({"indices": []}, "does not hold a one-dimensional array of integers"),
        ({"indices": np.zeros(0, int)}, "holds no index"),
        ({"indices": [0.5]}, "one-dimensional array of integers"),
        ({"indices": [[1, 2]]}, "one-dimensional array of integers"),
        ({"indices": [[1], [1, 2]]}, "indices cannot be read"),
        ({"indices": np.array([2**63 + 1], np.uint64)}, "9223372036854775809, which no dataset"),
    ],
)
def test_indices_that_cannot_be_used_are_refused_before_any_work(given, message):
    with pytest.raises(InputError, match=message):
        GivenIndices(**given).check_parameters()


def test_indices_of_another_dataset_are_refused(digits):
    with pytest.raises(InputError, match=r"240 training samples: it holds the index 240; select"):
        GivenIndices([240]).select(digits, 1 / 240)


def test_a_given_ranking_is_cut_at_every_ratio(ranking, digits, tmp_path):
    path = tmp_path / "ranking.npz"
    ranking.save(path)
    for sampler in (GivenRanking(ranking), create_sampler("ranking", path=path)):
        assert sampler.rank(digits) == ranking
        assert sampler.scores_.shape == (240,)
        for r, kept in sampler.select_many(digits, [0.1, 0.5]).items():
            assert kept.tolist() == ranking.select(r).tolist()
        assert sampler.uses_labels
        assert "cc-or keeps 60 of 240" in str(sampler.report(digits, 0.25))
    assert not GivenRanking(RandomSampling(random_state=0).rank(digits)).uses_labels
    assert not GivenRanking(Ranking(np.zeros(3))).uses_labels


@pytest.mark.parametrize(("per_class", "used"), [(None, True), (False, False)])
def test_a_ranking_by_a_sampler_that_may_use_labels_is_described(digits, per_class, used):
    ranking = create_sampler("herding", per_class=per_class, random_state=0).rank(digits)
    sampler = GivenRanking(ranking)
    assert sampler.uses_labels is used
    assert describe_sampler(sampler, {}).to_json()["uses_labels"] is used


def test_a_ranking_of_another_dataset_is_refused(ranking, digits):
    changed = small_digits()
    changed.images = 255 - changed.images
    with pytest.raises(InputError, match="the dataset's pixels are not those that were ranked"):
        GivenRanking(ranking).fit(changed)
    with pytest.raises(InputError, match="the ranking is of 240 samples, the dataset has 239"):
        GivenRanking(ranking).fit(digits.images[:239], y=digits.targets[:239])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give ranking or a path to them"),
        ({"ranking": np.zeros(3)}, "ranking must be a Ranking"),
        ({"path": "missing.npz"}, "missing.npz: no such file"),
    ],
)
def test_a_ranking_that_cannot_be_used_is_refused_before_any_work(given, message):
    with pytest.raises(InputError, match=message):
        GivenRanking(**given).check_parameters()


def test_samplers_that_pick_themselves_are_listed():
    assert not {"indices", "ranking"} & set(list_samplers())
