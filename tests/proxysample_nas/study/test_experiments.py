"""A kind of experiment is one class: what it says of itself is all that a study needs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from proxysample import InputError
from proxysample.experiments.experiment import Outcome
from proxysample.experiments.store import Contents
from proxysample.records import AMOUNT
from proxysample_nas.study import Component, Study
from proxysample_nas.study.experiments import plan
from proxysample_nas.study.experiments.base import (
    SPECIFICATION,
    Counts,
    Part,
    Progress,
    StudyExperiment,
    Trial,
)
from proxysample_nas.study.experiments.data import StudyContext
from proxysample_nas.study.experiments.search import Search
from proxysample_nas.study.results import Findings

FAST = "random:n_nodes=4,n_samples=1"


@dataclass(frozen=True, eq=False)
class Nap(StudyExperiment):
    """Sleep once for each search that has ended, once all have."""

    kind: ClassVar[str] = "nap"
    stage: ClassVar[str] = "nap"
    contents: ClassVar[Contents] = Contents({"seconds": AMOUNT}, SPECIFICATION)
    fills_rows: ClassVar[bool] = True

    seed: int | None = None

    @classmethod
    def list_all(cls, progress: Progress) -> Iterator[Self]:
        common = {"data": progress.study.data.fingerprint, "parameters": {"length": 0.01}}
        if not progress.has_ended(Search.stage):
            yield cls(common, n_unnamed=len(progress.experiments(Search)))
            return
        for seed, _ in enumerate(progress.results(Search)):
            yield cls(common | {"seed": seed}, seed)

    @property
    def group(self) -> str:
        return "take a nap"

    @property
    def label(self) -> str:
        return f"took nap {self.seed}"

    @classmethod
    def describe(cls, specification: Mapping[str, Any]) -> str:
        return f"number {specification['seed']}"

    def run(self, context: StudyContext) -> Outcome:
        if self.seed == 1:
            raise InputError("no pillow")
        time.sleep(self.specification["parameters"]["length"])
        return Outcome({"seconds": 0.01})

    def add_to(self, findings: Findings, result: Mapping[str, Any]) -> None:
        findings.add_scoring(Component("rs"), 1_000 + result["seconds"])

    def counts(self, context: StudyContext) -> Counts:
        return {"sleep": self.specification["parameters"]["length"]}

    def trials(self, context: StudyContext) -> Sequence[Trial[float]]:
        def run(length: float) -> tuple[Counts, float]:
            return {"sleep": length}, 5.0 * length

        longer = Part[float](lambda length, factor: factor * length, most=100)
        return [Trial(0.001, [longer], run)]


@pytest.fixture
def study(tiny_settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A small study that naps, too."""
    monkeypatch.setattr(plan, "KINDS", (*plan.KINDS, Nap))
    return Study(**tiny_settings(searchers=[FAST]), folder=tmp_path)


def test_a_new_kind_is_estimated_run_shown_and_reported(study: Study) -> None:
    before = {one.label: one for one in study.estimate(seconds_each=0.0, progress=False).groups}
    nap = before["take a nap"]
    assert (nap.stage, nap.count, nap.is_upper_bound, nap.failure) == ("nap", 2, True, None)
    assert nap.each.likely == pytest.approx(0.05)

    assert study.run(progress=False) == 1

    status = study.status()
    (stage,) = [one for one in status.stages if one.name == "nap"]
    assert (stage.n_done, len(stage.failed), stage.n_left) == (1, 1, 0)
    assert "naps" in str(status)
    assert "failed: take a nap: InputError: no pillow" in str(status)
    assert [row.scoring_seconds for row in study.rows("random")] == [None, 1_000.01]
    assert study.run(progress=False, retry_failed=True) == 1


def test_a_result_that_its_kind_does_not_know_is_refused(study: Study) -> None:
    assert study.run(progress=False) == 1
    (key,) = study.store.results("nap")
    study.store.database.write(
        "UPDATE experiments SET result = ? WHERE key = ?", ['{"seconds": "long"}', key]
    )
    with pytest.raises(InputError, match="its seconds is 'long'"):
        study.rows("random")
