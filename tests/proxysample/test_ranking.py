from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from proxysample import (
    ArrayDataset,
    CCOutlierRemoval,
    InputError,
    RandomSampling,
    Ranking,
    load_dataset,
)
from proxysample.data.classes import Classes
from proxysample.files import replace_file
from proxysample.ranking_files import FORMAT


@pytest.fixture(scope="module")
def ranking():
    return CCOutlierRemoval().rank(load_dataset("digits").train)


def test_a_saved_ranking_comes_back_whole(ranking, tmp_path):
    path = tmp_path / "cc-or.npz"
    ranking.save(path)
    loaded = Ranking.load(path)
    assert loaded == ranking
    assert np.array_equal(loaded.scores, ranking.scores)
    assert np.array_equal(loaded.order, ranking.order)
    assert loaded.provenance == ranking.provenance
    assert loaded.provenance["sampler"] == "cc-or"
    for r in (0.1, 0.5, 1.0):
        assert np.array_equal(loaded.select(r), ranking.select(r))
    assert [file.name for file in tmp_path.iterdir()] == ["cc-or.npz"]


@pytest.mark.parametrize(
    "changed",
    [
        {"scores": np.array([0.0, 2.0])},
        {"codes": None},
        {"codes": np.array([1, 0])},
        {"keep": "hard"},
        {"rounding": "floor"},
        {"provenance": {"sampler": "rs"}},
        {"classes": Classes(("a", "b"), np.array([0, 1]))},
    ],
)
def test_rankings_that_differ_are_unequal(changed):
    ranking = Ranking(np.array([0.0, 1.0]), np.array([0, 1]))
    assert ranking == replace(ranking)
    assert ranking != replace(ranking, **changed)
    assert ranking != 1


def test_kept_sets_are_prefixes_of_the_order(ranking):
    for r in (0.1, 0.25, 0.9):
        kept = ranking.select(r)
        assert sorted(ranking.order[: len(kept)]) == kept.tolist()


def test_a_pickle_is_never_loaded(tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, header=np.array([{"a": 1}], dtype=object), scores=np.zeros(3))
    with pytest.raises(InputError, match=r"no \.npz file"):
        Ranking.load(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InputError, match=r"no \.npz file"):
        Ranking.load(path)


def test_a_truncated_ranking_is_refused(ranking, tmp_path):
    path = tmp_path / "cc-or.npz"
    ranking.save(path)
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cc-or\.npz"):
            Ranking.load(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Ranking.load(tmp_path / "missing.npz")
    header = np.array(json.dumps({"format": "something-else"}))
    np.savez(tmp_path / "other.npz", header=header, scores=np.zeros(2))
    with pytest.raises(InputError, match="something-else"):
        Ranking.load(tmp_path / "other.npz")
    # Otherwise it would be cut for a dataset whose samples it does not rank.
    told = {"format": FORMAT, "rounding": "exact", "keep": "easy"}
    header = np.array(json.dumps(told | {"provenance": {"dataset": {"n_samples": 3}}}))
    np.savez(tmp_path / "other.npz", header=header, scores=np.zeros(2))
    with pytest.raises(InputError, match="2 scores are of a dataset of 3 samples"):
        Ranking.load(tmp_path / "other.npz")


def test_a_ranking_is_saved_where_it_can_be(ranking, tmp_path):
    with pytest.raises(InputError, match=r"\.npz"):
        ranking.save(tmp_path / "cc-or.pkl")
    with pytest.raises(InputError, match="does not exist"):
        ranking.save(tmp_path / "missing" / "cc-or.npz")


@pytest.mark.parametrize("scores", [np.zeros((2, 2)), np.zeros(0), np.array([0.0, np.nan])])
def test_scores_that_cannot_rank_are_refused(scores):
    with pytest.raises(InputError):
        Ranking(scores)


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write_half():
        with replace_file(path) as stream:
            stream.write(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_the_classes_are_saved_by_name(tmp_path):
    dataset = ArrayDataset(np.zeros((3, 4, 4), dtype=np.uint8), [1, 0, 1], ["cat", "dog é"])
    ranking = RandomSampling(random_state=0).rank(dataset)
    ranking.save(tmp_path / "rs.npz")
    loaded = Ranking.load(tmp_path / "rs.npz")
    assert loaded == ranking
    assert loaded.classes.labels.tolist() == ["dog é", "cat", "dog é"]
    assert loaded.codes is None


def test_a_ranking_from_before_classes_were_kept_is_read(tmp_path):
    Ranking(np.array([0.5, 0.25])).save(tmp_path / "old.npz")
    with np.load(tmp_path / "old.npz") as arrays:
        assert set(arrays) == {"header", "scores"}
    assert Ranking.load(tmp_path / "old.npz").classes is None


@pytest.mark.parametrize(
    ("names", "codes"),
    [
        (["a"], None),
        (None, [0, 0]),
        (["a", "a"], [0, 1]),
        ([["a", "b"]], [0, 1]),
        ([1, 2], [0, 1]),
        (["a", "b"], [0, 0]),
        (["a"], [0, 1]),
        (["a", "b"], [0, 5]),
        (["a", "b"], [-1, 1]),
        (["a", "b"], [0.0, 1.0]),
        (["a", "b"], [0, 1, 1]),
    ],
)
def test_classes_that_cannot_be_are_refused(names, codes, tmp_path):
    Ranking(np.array([0.5, 0.25])).save(tmp_path / "saved.npz")
    with np.load(tmp_path / "saved.npz") as arrays:
        written = dict(arrays)
    if names is not None:
        written["class_names"] = np.array(names)
    if codes is not None:
        written["class_codes"] = np.array(codes)
    np.savez(tmp_path / "saved.npz", **written)
    with pytest.raises(InputError):
        Ranking.load(tmp_path / "saved.npz")


def test_a_saved_ranking_is_cut_by_rules_as_the_one_that_was_saved(ranking, tmp_path):
    ranking.save(tmp_path / "cc-or.npz")
    loaded = Ranking.load(tmp_path / "cc-or.npz")
    rules = {"balance": "equal", "must_keep": [5], "exclude": [0], "min_per_class": 2}
    assert np.array_equal(loaded.select(n=50, **rules), ranking.select(n=50, **rules))
    assert len(loaded.subset(load_dataset("digits").train, n=50, **rules)) == 50
