"""What tables tell of a sampler that a file names, and that it can be run again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from proxysample import DynamicsRecorder, InputError, create_sampler
from proxysample.components import Component, check_labels
from proxysample.described import describe_sampler, make_sampler


@pytest.fixture
def record(tmp_path):
    recorder = DynamicsRecorder(6, 2)
    for epoch in range(2):
        logits = np.random.default_rng(epoch).standard_normal((6, 2))
        recorder.record(np.arange(6), logits, np.arange(6) % 2)
        recorder.end_epoch()
    recorder.save(tmp_path / "record.npz")
    return tmp_path / "record.npz"


def test_a_record_is_told_by_the_files_name_and_named_by_its_content(record):
    given = [
        f"aum:record={record}",
        create_sampler("aum", record=str(record)),
        create_sampler("aum", record=Path(record)),
    ]
    found = [describe_sampler(one, {}) for one in given]
    assert {one.label for one in found} == {"AUM (record=record.npz)"}
    assert len({one.identity for one in found}) == 1
    assert str(record) not in found[0].identity
    for one in found:
        assert make_sampler(one, {}).record == str(record)
    cut = describe_sampler(f"herding:record={record},cut=0.3", {"random_state": 0})
    assert cut.label == "HERDING (record=record.npz, cut=0.3)"


def test_picks_in_a_file_are_told_by_its_name(tmp_path):
    np.save(tmp_path / "picked.npy", np.arange(3))
    found = describe_sampler(f"indices:path={tmp_path}/picked.npy", {})
    assert found.label == "INDICES (path=picked.npy)"


def test_two_files_of_one_name_are_refused():
    two = [Component.parse(f"aum:record={folder}/r.npz") for folder in "ab"]
    with pytest.raises(InputError, match=r"two samplers are told as AUM \(record=r.npz\): give"):
        check_labels(two)
    check_labels([two[0], Component.parse("el2n:record=b/r.npz")])


def test_what_changes_no_result_neither_tells_nor_tells_apart():
    words = ["km-or:n_clusters=5", "km-or:n_clusters=5,num_workers=2,progress=false"]
    found = [describe_sampler(one, {}) for one in words]
    assert {one.label for one in found} == {"KM-OR (n_clusters=5)"}
    assert len({one.identity for one in found}) == 1
    own = Component("mine", {"cache": 3}, resolved={"cache": 3})
    assert own.label == "MINE (cache=3)"
