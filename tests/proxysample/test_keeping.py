from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from sklearn.base import clone

from proxysample import NotNestedWarning, Ranking, register
from proxysample.errors import InputError
from proxysample.keeping import (
    KeepingRule,
    as_rule,
    check_ratio,
    n_kept,
)
from proxysample.registry import RULES
from proxysample.samplers import (
    AutoencoderLoss,
    CCOutlierRemoval,
    CCRandomSampling,
    KMeansOutlierRemoval,
    RandomSampling,
)
from proxysample.shares import interleave_classes
from proxysample.testing import small_digits


@pytest.mark.parametrize(
    "r",
    [
        *(0, 1.5, -0.1, float("nan"), float("inf"), "half", None, True),
        *(np.timedelta64(1, "m"), np.timedelta64("NaT", "m")),
    ],
)
def test_a_ratio_outside_zero_to_one_is_refused(r):
    with pytest.raises(InputError, match=r"\(0, 1\]"):
        check_ratio(r)


def test_a_percentage_gets_a_hint():
    with pytest.raises(InputError, match=r"did you mean 0\.25"):
        check_ratio(25)


@pytest.mark.parametrize("r", [1, 0.5, np.float32(0.5), Fraction(1, 3)])
def test_any_real_number_serves_as_ratio(r):
    assert check_ratio(r) == float(r)


def test_counts_are_rounded_and_the_paper_floors():
    assert n_kept(10, 0.26) == 3
    assert n_kept(10, 0.26, "floor") == 2
    # The authors' int(n * r) inherits the float product: 0.29 * 100 = 28.999...
    assert n_kept(100, 0.29, "floor") == 28
    assert n_kept(100, 0.29) == 29


def test_a_ratio_that_keeps_nothing_is_refused():
    with pytest.raises(InputError, match=r"smallest useful r is 0\.01"):
        n_kept(100, 0.001)


def test_ties_break_by_index_in_both_directions():
    scores = np.array([1.0, 0.0, 1.0, 0.0])
    assert as_rule("easy").order(scores).tolist() == [1, 3, 0, 2]
    assert as_rule("hard").order(scores).tolist() == [0, 2, 1, 3]


@dataclass(frozen=True)
class KeepBand(KeepingRule):
    """Samples near one quantile of the scores first."""

    id = "band"
    quantile: float = 0.5

    def __post_init__(self):
        if not 0 <= self.quantile <= 1:
            raise InputError(f"quantile must be in [0, 1], not {self.quantile}")

    def order(self, scores, codes=None, n_kept=None):
        return np.argsort(np.abs(scores - np.quantile(scores, self.quantile)), kind="stable")


@dataclass(frozen=True)
class KeepApart(KeepingRule):
    """Samples spread evenly over the scores: a smaller set is no part of a larger one."""

    id = "apart"
    nested = False

    def order(self, scores, codes=None, n_kept=None):
        by_score = np.argsort(scores, kind="stable")
        first = by_score[np.linspace(0, len(scores) - 1, n_kept).round().astype(int)]
        return np.concatenate([first, np.setdiff1d(by_score, first)])


@dataclass(frozen=True)
class KeepSome(KeepingRule):
    """Forgets a sample."""

    id = "some"
    wanted: object = None

    def order(self, scores, codes=None, n_kept=None):
        return np.arange(len(scores) - 1)


@pytest.fixture
def rules():
    for rule in (KeepBand, KeepApart, KeepSome):
        register(rule)


SCORERS = [
    RandomSampling(random_state=0),
    CCRandomSampling(random_state=0),
    CCOutlierRemoval(),
    KMeansOutlierRemoval(n_clusters=3, random_state=0),
    AutoencoderLoss(epochs=1, random_state=0),
]


@pytest.mark.parametrize("scorer", [one for one in SCORERS if hasattr(one, "keep")], ids=repr)
@pytest.mark.parametrize("keep", ["band", KeepBand(0.25), KeepApart()])
def test_a_rule_of_a_plug_in_works_with_every_scorer(rules, scorer, keep, tmp_path):
    digits = small_digits()
    sampler = clone(scorer).set_params(keep=keep)
    ranking = sampler.rank(digits)
    kept = ranking.select(0.25)
    expected = as_rule(keep).order(ranking.scores, n_kept=60)
    if ranking.codes is None:
        assert kept.tolist() == sorted(expected[:60])
    else:
        by_share = interleave_classes(expected, ranking.codes)
        assert kept.tolist() == sorted(by_share[:60])
    ranking.save(tmp_path / "ranking.npz")
    assert Ranking.load(tmp_path / "ranking.npz") == ranking
    with nullcontext() if ranking.nested else pytest.warns(NotNestedWarning, match="apart"):
        assert ranking.select_many([0.25, 0.5])[0.25].tolist() == kept.tolist()
    assert str(as_rule(keep)) in str(sampler.report(digits, 0.25))
    assert ranking.provenance["parameters"]["keep"] == as_rule(keep).to_json()


def test_a_saved_ranking_names_its_rule_and_parameters(rules, tmp_path):
    path = tmp_path / "ranking.npz"
    ranking = Ranking(np.arange(5.0), keep=KeepBand(0.25))
    ranking.save(path)
    header = json.loads(str(np.load(path)["header"]))
    assert header["keep"] == {"name": "band", "parameters": {"quantile": 0.25}}
    assert Ranking.load(path).rule == KeepBand(0.25)
    assert Ranking.load(path) != Ranking(np.arange(5.0), keep="band")
    # Rules without parameters are written as they always were.
    Ranking(np.arange(5.0), keep=as_rule("hard")).save(path)
    assert json.loads(str(np.load(path)["header"]))["keep"] == "hard"


def test_a_ranking_whose_rule_is_not_installed_says_so(rules, tmp_path):
    path = tmp_path / "ranking.npz"
    Ranking(np.arange(5.0), keep=KeepBand(0.25)).save(path)
    RULES.unregister("band")
    with pytest.raises(InputError, match=r"ranking.npz: .*unknown rule for keep 'band'"):
        Ranking.load(path)


def test_a_rule_that_does_not_nest_has_no_one_order(rules):
    ranking = Ranking(np.arange(10.0), keep="apart")
    assert ranking.select(0.2).tolist() == [0, 9]
    assert ranking.select(0.3).tolist() == [0, 4, 9]
    assert not ranking.nested
    with pytest.raises(InputError, match="another order for each ratio"):
        _ = ranking.order


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ("easiest", "unknown rule for keep 'easiest'; did you mean 'easy'"),
        (None, "unknown rule for keep None"),
        ({"name": "band", "parameters": {"quantil": 1}}, "did you mean 'quantile'"),
        (
            {"name": "band", "parameters": [1]},
            r"parameters of the keeping rule 'band' are \[1\]",
        ),
        ({"name": "band", "parameters": {"quantile": "low"}}, "keeping rule 'band': "),
        ({"name": "band", "parameters": {"quantile": 2}}, r"quantile must be in \[0, 1\]"),
        (KeepSome(np.zeros(2)), "must be plain JSON values"),
        (KeepSome((1, 2)), "must be plain JSON values"),
        (KeepSome(), "'some' gives no order|rule some gives no order of the 3 samples"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(rules, keep, message):
    with pytest.raises(InputError, match=message):
        _ = Ranking(np.zeros(3), keep=keep).order


def test_a_rule_that_no_file_could_name_is_refused():
    with pytest.raises(InputError, match=r"proxysample.register\(KeepBand\) makes it known"):
        CCOutlierRemoval(keep=KeepBand()).check_parameters()
