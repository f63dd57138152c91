"""Samplers whose default is a rule: a score of training dynamics, cut as its authors do."""

from __future__ import annotations

import numpy as np
import pytest

from proxysample import CCS, BetaDraw, InputError, NotNestedWarning, Ranking, create_sampler
from proxysample.dynamics import from_arrays
from proxysample.dynamics.scores import score
from proxysample.testing import check_sampler, small_digits


@pytest.fixture(scope="module")
def recorded():
    """Probabilities of 40 epochs and 240 samples, of which some are never learned."""
    generator = np.random.default_rng(0)
    digits = small_digits()
    labels = np.asarray(digits.targets)
    speed = generator.random((1, 240, 1)) * 6 - 1
    logits = generator.normal(size=(40, 240, 10))
    logits += (np.eye(10)[labels] * speed) * np.linspace(0, 1, 40)[:, None, None]
    return digits, from_arrays(logits, labels, kind="logits")


@pytest.mark.parametrize("name", ["ccs", "dual"])
def test_a_named_sampler_keeps_its_promises(name, recorded):
    digits, record = recorded
    check_sampler(create_sampler(name, record=record, random_state=3), digits)


def test_ccs_cuts_the_hardest_and_keeps_all_others_evenly(recorded):
    digits, record = recorded
    sampler = create_sampler("ccs", record=record, random_state=5)
    kept = sampler.select(digits, 0.5)
    margins = score("aum-p", record)
    hardest = np.argsort(margins, kind="stable")[: int(0.3 * 240)]
    assert not set(hardest) & set(kept)
    assert sampler.ranking_.rule == CCS(beta=0.3, seed=5)
    assert sampler.ranking_.nested
    ready = Ranking(-margins, keep=CCS(beta=0.3, seed=5))
    assert np.array_equal(kept, ready.select(0.5))
    with pytest.raises(InputError, match="cuts 72 of 240 samples, and 192 are to be kept"):
        sampler.select(digits, 0.8)
    less = create_sampler("ccs", record=record, keep="ccs:beta=0.1")
    assert len(less.select(digits, 0.8)) == 192


def test_dual_draws_by_beta_weights_of_its_own_epochs(recorded, tmp_path):
    digits, record = recorded
    sampler = create_sampler("dual", record=record, random_state=5)
    kept = sampler.select(digits, 0.25)
    # Thirty epochs of fewer than 200.
    probability = record.require("p_true")[:30].mean(axis=0).astype(float)
    ready = Ranking(
        score("dual", record), keep=BetaDraw(seed=5), columns={"probability": probability}
    )
    assert np.array_equal(kept, ready.select(0.25))
    assert not sampler.ranking_.nested
    with pytest.warns(NotNestedWarning):
        sampler.select_many(digits, [0.1, 0.2])
    sampler.ranking_.save(tmp_path / "dual.npz")
    assert np.array_equal(Ranking.load(tmp_path / "dual.npz").select(0.25), kept)
    short = create_sampler("dual", record=record, options={"epochs": 12}).fit(digits)
    assert np.allclose(
        short.ranking_.columns["probability"], record.require("p_true")[:12].mean(axis=0), atol=1e-6
    )


def test_top_of_dual_is_its_hard_end(recorded):
    digits, record = recorded
    kept = create_sampler("dual", record=record, keep="top").select(digits, 0.1)
    highest = np.argsort(-score("dual", record), kind="stable")[:24]
    assert set(kept) == set(highest)


@pytest.mark.parametrize("name", ["el2n", "aum", "dyn-unc", "forgetting"])
def test_any_score_can_be_cut_by_another(name, recorded):
    digits, record = recorded
    rule = CCS(beta=0.3, cut_by="aum-p")
    kept = create_sampler(name, record=record, keep=rule).select(digits, 0.5)
    hardest = np.argsort(score("aum-p", record), kind="stable")[:72]
    assert not set(hardest) & set(kept)
    with pytest.raises(InputError, match="needs the column 'aum-q'"):
        create_sampler(name, record=record, keep="ccs:cut_by=aum-q").check_parameters()


@pytest.mark.parametrize("name", ["entropy", "dual", "el2n"])
@pytest.mark.parametrize(
    "keep", ["weighted", "histogram:weighting=p3", "beta:steepness=11", "middle"]
)
def test_every_rule_takes_these_scores(name, keep, recorded):
    digits, record = recorded
    assert len(create_sampler(name, record=record, keep=keep).select(digits, 0.1)) == 24
