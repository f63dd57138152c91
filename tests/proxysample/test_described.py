"""What names a sampler's results: its parameters, and of files what is in them."""

from __future__ import annotations

import numpy as np
import pytest

from proxysample import DynamicsRecorder, InputError, Sampler, compare, create_sampler
from proxysample.comparison import Comparison
from proxysample.comparison.configuration import Method
from proxysample.described import describe_sampler, sampler_key


def record_of(labels, seed: int) -> DynamicsRecorder:
    rng = np.random.default_rng(seed)
    recorder = DynamicsRecorder(len(labels), 2)
    for _ in range(3):
        recorder.record(np.arange(len(labels)), rng.normal(size=(len(labels), 2)), labels)
        recorder.end_epoch()
    return recorder


def test_a_record_names_results_by_what_is_in_it_wherever_it_lies(tmp_path):
    labels = np.arange(10) % 2
    first, second = (record_of(labels, seed) for seed in (0, 1))
    first.save(tmp_path / "record.npz")
    first.save(tmp_path / "copy.npz")
    named, copied, given = (
        sampler_key(create_sampler("aum", record=one))["record"]
        for one in (str(tmp_path / "record.npz"), tmp_path / "copy.npz", first)
    )
    assert named == copied == given
    second.save(tmp_path / "record.npz")
    assert sampler_key(create_sampler("aum", record=tmp_path / "record.npz"))["record"] != named


def test_a_comparison_is_shown_when_its_record_is_gone(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    data = rng.normal(size=(40, 3)) + labels[:, None]
    np.savez(
        tmp_path / "data.npz",
        train_images=data,
        train_labels=labels,
        test_images=data,
        test_labels=labels,
    )
    path = tmp_path / "record.npz"
    record_of(labels, 0).save(path)
    words = [f"npz:{tmp_path / 'data.npz'}", [f"aum:record={path}"], [0.5], "head:epochs=1"]
    options = {"seeds": 2, "draws": 2, "features": "pixels", "folder": tmp_path / "out"}
    found = compare(*words, **options)
    n_before = len(found.store.states())
    path.unlink()
    opened = Comparison.open(tmp_path / "out")
    assert opened.table() == found.table()
    with pytest.raises(InputError, match=r"record\.npz"):
        compare(*words, **options)
    record_of(labels, 1).save(path)
    assert len(compare(*words, **options).store.states()) > n_before


def test_a_record_beside_features_leaves_the_comparisons_features_to_a_sampler(tmp_path):
    path = tmp_path / "record.npz"
    record_of(np.arange(6) % 2, 0).save(path)
    shares = {
        word: Method.describe(f"{word}record={path}", has_features=True).shares_features
        for word in ("aum:", "herding:cut=0.3,")
    }
    assert shares == {"aum:": False, "herding:cut=0.3,": True}


class Own(Sampler):
    def _score(self, samples, codes):
        return np.arange(len(samples))


class Unnamed(Own):
    id = "unnamed"

    def __init__(self, **parameters):
        self.parameters = parameters


class Unkept(Own):
    id = "unkept"

    def __init__(self, *, a=1):
        self.b = a


class Changed(Own):
    id = "changed"

    def __init__(self, *, a=1):
        self.a = a + 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Unnamed(a=1), r"Unnamed takes \*\*parameters, of which no result could be named"),
        (Unkept(), "Unkept cannot be made again from its parameters .*no attribute 'a'"),
        (Changed(), "Changed cannot be made again from its parameters .*modifies parameter a"),
    ],
)
def test_what_its_parameters_do_not_make_again_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        describe_sampler(given, {})
