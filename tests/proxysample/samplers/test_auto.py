"""The automatic sampler takes what its table of findings says, and a random part without one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from proxysample import (
    CCRandomSampling,
    DynamicsRecorder,
    Herding,
    InputError,
    RandomSampling,
    create_sampler,
)
from proxysample.samplers import auto
from proxysample.samplers.auto import Finding
from proxysample.testing import check_sampler, small_digits

DIGITS = small_digits(120)


def test_without_a_finding_it_is_a_random_part_of_each_class_and_says_so():
    sampler = create_sampler("auto", random_state=3)
    ranking = sampler.rank(DIGITS)
    assert (ranking.select(0.25) == CCRandomSampling(random_state=3).select(DIGITS, r=0.25)).all()
    assert ranking.provenance["sampler"] == "auto"
    assert ranking.provenance["details"]["chosen"] == (
        "cc-rs: no sampler is shown to be better than a random part where neither features nor the "
        "record of a training are given (docs/which-sampler.md)"
    )
    assert "chosen" in str(sampler.report(DIGITS, r=0.25))


def test_without_classes_it_is_a_random_part():
    images = np.random.default_rng(0).random((20, 4))
    kept = create_sampler("auto", random_state=1).select(images, r=0.5)
    assert (kept == RandomSampling(random_state=1).select(images, r=0.5)).all()


def test_a_finding_is_taken_where_what_it_needs_is_there(monkeypatch):
    finding = Finding("herding", "features", "+5.0 ± 0.4 points at r = 0.1 (somewhere)")
    monkeypatch.setattr(auto, "FINDINGS", (finding,))
    features = np.random.default_rng(0).random((len(DIGITS), 5))
    sampler = create_sampler("auto", features=features)
    ranking = sampler.rank(DIGITS)
    expected = create_sampler("herding", features=features).rank(DIGITS)
    assert (ranking.select(0.3) == expected.select(0.3)).all()
    assert ranking.provenance["details"]["chosen"] == f"herding: {finding.why}"
    assert create_sampler("auto").fit(DIGITS).chosen_.id == "cc-rs"


def test_labels_that_only_items_tell_are_read_for_features_alone():
    pairs = [
        (image, int(label)) for image, label in zip(DIGITS.images, DIGITS.targets, strict=True)
    ]
    features = np.random.default_rng(0).random((len(DIGITS), 5))
    sampler = create_sampler("auto", features=features, random_state=0)
    kept = sampler.select(pairs, r=0.3)
    assert (kept == clone(sampler).select(DIGITS, r=0.3)).all()
    without = create_sampler("auto", random_state=0).rank(pairs)
    assert (without.select(0.3) == RandomSampling(random_state=0).select(pairs, r=0.3)).all()
    assert "no classes are seen" in without.provenance["details"]["chosen"]


def test_features_are_herded_as_the_evidence_has_it():
    features = np.random.default_rng(0).random((len(DIGITS), 5))
    sampler = create_sampler("auto", features=features, random_state=0)
    kept = sampler.select(DIGITS, r=0.3)
    expected = Herding(features=features, metric="cosine", cut=0.3, random_state=0)
    assert (kept == expected.select(DIGITS, r=0.3)).all()
    assert "linear head" in sampler.ranking_.provenance["details"]["chosen"]


def test_a_record_is_used_as_the_evidence_has_it(tmp_path):
    rng = np.random.default_rng(0)
    record = DynamicsRecorder(len(DIGITS), 10)
    for _ in range(3):
        record.record(np.arange(len(DIGITS)), rng.normal(size=(len(DIGITS), 10)), DIGITS.targets)
        record.end_epoch()
    record.save(tmp_path / "record.npz")
    for given in (record, tmp_path / "record.npz"):
        sampler = create_sampler("auto", record=given, random_state=0)
        kept = clone(sampler).select(DIGITS, r=0.3)
        expected = create_sampler("ccs", per_class=True, record=record, random_state=0)
        assert (kept == expected.select(DIGITS, r=0.3)).all()
        assert sampler.named_by()["record"] == expected.named_by()["record"]
    features = rng.random((len(DIGITS), 5))
    both = create_sampler("auto", record=record, features=features, random_state=0)
    herding = Herding(features=features, metric="cosine", cut=0.3, record=record, random_state=0)
    assert (both.select(DIGITS, r=0.3) == herding.select(DIGITS, r=0.3)).all()
    with pytest.raises(InputError, match="record must be"):
        create_sampler("auto", record=3).check_parameters()


def test_it_passes_the_checks_of_every_sampler():
    check_sampler(create_sampler("auto", random_state=0))
    with pytest.raises(InputError, match="features must be"):
        create_sampler("auto", features=3).check_parameters()
