"""What holds of every keeping rule, and each rule by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from proxysample import (
    CCS,
    BetaDraw,
    CCOutlierRemoval,
    HistogramDraw,
    InputError,
    KeepBottom,
    KeepMiddle,
    KeepTop,
    NotNestedWarning,
    Prototypes,
    Ranking,
    WeightedDraw,
    ZCore,
)
from proxysample.data.classes import Classes
from proxysample.keeping import as_rule
from proxysample.registry import RULES
from proxysample.rules.strata import stratum_of
from proxysample.testing import check_sampler, small_digits

ALL = [
    "easy",
    "hard",
    "top",
    "bottom",
    KeepMiddle(),
    KeepMiddle(per_class=False),
    CCS(beta=0),
    CCS(beta=0.3, n_bins=5),
    CCS(beta=0.2, cut_by="probability", seed=3),
    WeightedDraw(),
    WeightedDraw(power=2, seed=1),
    HistogramDraw(),
    HistogramDraw("p2", width=0.5),
    HistogramDraw("p3", seed=5),
    BetaDraw(),
    BetaDraw(steepness=11, total=16, seed=2),
]


@st.composite
def ranked(draw):
    """Scores with ties and zeros, classes and a column of probabilities."""
    n = draw(st.integers(3, 60))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = generator.integers(0, draw(st.integers(1, 12)), n).astype(float)
    if draw(st.booleans()):
        scores += generator.random(n)
    codes = None
    if draw(st.booleans()):
        codes = np.unique(generator.integers(0, 4, n), return_inverse=True)[1]
    return Ranking(scores, codes, columns={"probability": generator.random(n)})


def test_every_rule_is_looked_at():
    assert {as_rule(one).id for one in ALL} == {one for one in RULES if RULES.is_built_in(one)} - {
        "given"
    }


@pytest.mark.parametrize("keep", ALL, ids=str)
@settings(max_examples=40)
@given(ranked(), st.sampled_from(["low", "high"]))
def test_counts_are_exact_sets_nest_where_promised_and_a_file_cuts_alike(keep, data, natural):
    ranking = replace(data, keep=keep, natural=natural)
    n = len(ranking)
    sizes = [n] if ranking.codes is None else np.bincount(ranking.codes).tolist()
    again = replace(ranking)
    smaller: set[int] = set()
    for m in range(1, n - as_rule(keep).n_cut([n]) + 1):
        kept = ranking.select(n=m)
        assert len(kept) == m
        assert np.all(np.diff(kept) > 0)
        assert np.array_equal(kept, again.select(n=m))
        if ranking.nested:
            assert smaller <= set(kept.tolist())
            smaller = set(kept.tolist())
        if ranking.codes is not None:
            shares = m * np.array(sizes) / n
            counts = np.bincount(ranking.codes[kept], minlength=len(sizes))
            assert np.all(np.abs(counts - shares) < 1)


@pytest.mark.parametrize("keep", [one for one in ALL if not hasattr(as_rule(one), "seed")], ids=str)
@settings(max_examples=15)
@given(data=ranked(), seed=st.integers(0, 2**32 - 1))
def test_what_is_not_drawn_moves_with_its_samples(keep, data, seed):
    # Without ties, which go by place.
    ranking = replace(data, keep=keep, scores=data.scores + np.linspace(0, 0.5, len(data)))
    assume(len(np.unique(ranking.scores)) == len(ranking))
    order = np.random.default_rng(seed).permutation(len(ranking))
    moved = replace(
        ranking,
        scores=ranking.scores[order],
        codes=None if ranking.codes is None else ranking.codes[order],
        columns={},
    )
    m = max(1, len(ranking) // 3)
    kept = [np.sort(one.scores[one.select(n=m)]) for one in (ranking, moved)]
    assert np.array_equal(*kept)


@pytest.mark.parametrize("keep", ALL, ids=str)
def test_files_hold_the_rule_and_what_it_needs(keep, tmp_path):
    generator = np.random.default_rng(0)
    path = tmp_path / "ranking.npz"
    ranking = Ranking(
        generator.random(40),
        keep=keep,
        columns={"probability": generator.random(40)},
        natural="high",
    )
    ranking.save(path)
    loaded = Ranking.load(path)
    assert loaded == ranking
    assert loaded != replace(ranking, columns={})
    assert np.array_equal(loaded.select(0.25), ranking.select(0.25))
    written = as_rule(keep).to_json()
    assert as_rule(json.loads(json.dumps(written))) == as_rule(keep)
    if isinstance(written, dict):
        words = ",".join(f"{name}={value}" for name, value in written["parameters"].items())
        spelled = (f"{written['name']}:{words}", f"{written['name']}({words})", str(as_rule(keep)))
        assert [as_rule(one) for one in spelled] == [as_rule(keep)] * 3


def test_a_file_without_columns_is_read(tmp_path):
    path = tmp_path / "ranking.npz"
    Ranking(np.arange(4.0)).save(path)
    assert set(np.load(path)) == {"header", "scores"}
    assert "natural" not in json.loads(str(np.load(path)["header"]))
    assert Ranking.load(path).natural == "low"


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (
            "ccs:betta=0.3",
            "unknown parameter of the keeping rule 'ccs' 'betta'; did you mean 'beta'",
        ),
        ("ccs:0.3", "name=value"),
        ("csc:beta=0.3", "unknown rule for keep 'csc'; did you mean 'ccs'"),
        ("ccs:beta=1", "beta of the keeping rule 'ccs' must be a number from 0 to below 1, not 1"),
        ("ccs:beta=-0.1", "from 0 to below 1"),
        ("ccs:beta=high", "from 0 to below 1"),
        ("ccs:n_bins=0", "n_bins of the keeping rule 'ccs' must be a positive integer"),
        ("ccs:n_bins=2.5", "positive integer"),
        ("ccs:seed=-1", "seed of the keeping rule 'ccs' must be an integer from 0"),
        ("ccs:seed=true", "seed"),
        ("ccs:cut_by=7", "cut_by of the keeping rule 'ccs' must be the name of a column"),
        ('ccs:beta={"0.5":0.6}', "cuts 0.6 at r=0.5, which leaves less"),
        ('ccs:beta={"half":0.1}', "by ratio, not by 'half'"),
        ('ccs:beta={"50":0.1}', "did you mean 0.5"),
        ("ccs:beta={}", "has no ratio"),
        ("middle:per_class=yes", "per_class of the keeping rule 'middle' must be True or False"),
        ("weighted:power=-1", "power"),
        ("histogram:weighting=p4", "unknown weighting 'p4'"),
        ("histogram:width=0", "width of the keeping rule 'histogram' must be a positive number"),
        ("beta:steepness=0", "steepness"),
        ("beta:total=10", "a number of at least 15"),
        ("easy:first=1", "unknown parameter of the keeping rule 'easy' 'first'"),
    ],
)
def test_parameters_that_cannot_work_are_refused_by_name(keep, message):
    with pytest.raises(InputError, match=message):
        CCOutlierRemoval(keep=keep).check_parameters()


def test_numpy_numbers_are_numbers():
    assert CCS(beta=np.float64(0.25), n_bins=np.int64(3)).to_json() == {
        "name": "ccs",
        "parameters": {"beta": 0.25, "n_bins": 3},
    }


# Directions


def test_top_is_the_natural_end():
    scores = np.array([3.0, 1.0, 2.0])
    orders = {
        (natural, keep): Ranking(scores, keep=keep, natural=natural).order.tolist()
        for natural in ("low", "high")
        for keep in (KeepTop(), KeepBottom())
    }
    assert orders["low", KeepTop()] == orders["high", KeepBottom()] == [1, 2, 0]
    assert orders["high", KeepTop()] == orders["low", KeepBottom()] == [0, 2, 1]


def test_a_sampler_without_a_rule_keeps_its_natural_end():
    digits = small_digits(60)
    for sampler, same in (
        (ZCore(n_draws=100, random_state=0), "hard"),
        (CCOutlierRemoval(), "easy"),
    ):
        expected = clone(sampler).set_params(keep=same).select(digits, 0.3)
        for keep in (None, "top"):
            found = clone(sampler).set_params(keep=keep)
            assert np.array_equal(found.select(digits, 0.3), expected)
        other = clone(sampler).set_params(keep="bottom").select(digits, 0.3)
        assert not np.array_equal(other, expected)


# Middle


def test_the_middle_by_hand():
    scores = np.array([0.0, 10.0, 11.0, 12.0, 99.0, 13.0])
    # Ranks 0 1 2 3 5 4, the middle is 2.5; the lower rank first.
    assert KeepMiddle().order(scores).tolist() == [2, 3, 1, 5, 0, 4]


def test_the_middle_of_each_class_or_of_all():
    scores = np.array([1.0, 2.0, 3.0, 10.0, 20.0, 30.0])
    codes = np.array([0, 0, 0, 1, 1, 1])
    assert Ranking(scores, codes, "middle").select(n=2).tolist() == [1, 4]
    # Ranked together, the class of large scores keeps its smallest.
    assert Ranking(scores, codes, KeepMiddle(per_class=False)).select(n=2).tolist() == [2, 3]
    classes = Classes(("a", "b"), codes)
    overall = Ranking(scores, keep="middle", classes=classes)
    assert overall.select(n=2).tolist() == [2, 3]
    assert overall.select(n=2, balance="proportional").tolist() == [1, 4]


@pytest.mark.parametrize(("n", "r"), [(60, 0.25), (60, 0.75), (60, 0.5), (61, 0.25), (7, 0.5)])
def test_the_middle_is_exact_where_public_code_keeps_one_more_or_less(n, r):
    kept = Ranking(np.arange(float(n)), keep="middle").select(r)
    assert len(kept) == round(n * r)
    assert np.array_equal(kept, np.arange(kept[0], kept[0] + len(kept)))
    assert abs(kept.mean() - (n - 1) / 2) <= 0.5


# Cut and strata


def budgets_by_the_source(sizes, m):
    """Water filling as the authors describe it: from the smallest stratum up."""
    budgets = np.zeros_like(sizes)
    left, rest = len(sizes), m
    for place in np.argsort(sizes, kind="stable"):
        budgets[place] = min(sizes[place], rest // left)
        rest -= budgets[place]
        left -= 1
    return budgets


@settings(max_examples=80)
@given(st.integers(1, 80), st.integers(1, 12), st.floats(0, 0.9), st.integers(0, 2**32 - 1))
def test_strata_have_the_budgets_of_the_source_at_every_number(n, n_bins, beta, seed):
    scores = np.random.default_rng(seed).normal(size=n) ** 3
    rule = CCS(beta=beta, n_bins=n_bins)
    n_cut = int(beta * n)
    left = np.argsort(-scores, kind="stable")[n_cut:]
    bins = stratum_of(scores[left], n_bins)
    bin_of = dict(zip(left.tolist(), bins.tolist(), strict=True))
    order = rule.order(scores)
    for m in range(1, n - n_cut + 1):
        counts = np.zeros(n_bins, dtype=int)
        for index in order[:m].tolist():
            counts[bin_of[index]] += 1
        expected = budgets_by_the_source(np.bincount(bins, minlength=n_bins), m)
        assert counts.tolist() == expected.tolist()


def test_the_hardest_are_never_kept():
    scores = np.array([5.0, 1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0, 0.0])
    ranking = Ranking(scores, keep=CCS(beta=0.3, n_bins=3))
    assert ranking.select(0.7).tolist() == [0, 1, 3, 5, 7, 8, 9]
    with pytest.raises(InputError, match=r"cuts 3 of 10 samples, and 8 are .* at most 7"):
        ranking.select(0.8)
    # What a person names is kept all the same.
    assert 2 in ranking.select(0.5, must_keep=[2])


def test_a_cut_that_leaves_too_few_is_refused_before_any_scoring():
    class ScoredError(Exception):
        pass

    class Never(CCOutlierRemoval):
        def _score(self, samples, codes):
            raise ScoredError

    digits = small_digits(200)
    # Where the authors' code keeps 100 of 140 and says nothing.
    with pytest.raises(InputError, match="cuts 100 of 200 samples, and 140 are to be kept"):
        Never(keep=CCS(beta=0.5)).select(digits, 0.7)
    with pytest.raises(InputError, match="cuts 100 of 200 samples"):
        Never(keep=CCS(beta=0.5)).select_many(digits, [0.1, 0.7])
    with pytest.raises(ScoredError):
        Never(keep=CCS(beta=0.5)).select(digits, 0.5)


@pytest.mark.parametrize("shift", [0, -100, -5])
def test_the_highest_score_has_a_stratum_whatever_the_sign(shift):
    # An edge of max * 1.0001 lies below a negative maximum, which is lost then.
    scores = np.arange(200.0) + shift
    kept = Ranking(scores, keep=CCS(beta=0)).select(1.0)
    assert len(kept) == 200
    bins = stratum_of(scores, 50)
    assert bins[-1] == 49
    assert np.bincount(bins).tolist() == [4] * 50


def test_strata_of_equal_and_of_huge_scores():
    assert stratum_of(np.full(3, 7.0), 50).tolist() == [0, 0, 0]
    assert stratum_of(np.array([-1.7e308, 0.0, 1.7e308]), 2).tolist() == [0, 1, 1]
    # Half open: an edge belongs to the stratum above it.
    assert stratum_of(np.array([0.0, 1.0, 2.0, 4.0]), 4).tolist() == [0, 1, 2, 3]


def test_each_class_is_cut_and_divided_by_itself():
    """Public code takes the size of the last class for all: 10, 10 and 10 of these."""
    codes = np.repeat([0, 1, 2], [50, 30, 20])
    scores = np.random.default_rng(0).random(100) + codes
    ranking = Ranking(scores, codes, CCS(beta=0.4))
    kept = ranking.select(0.5)
    assert np.bincount(codes[kept]).tolist() == [25, 15, 10]
    for code, size in enumerate([50, 30, 20]):
        own = np.flatnonzero(codes == code)
        hardest = own[np.argsort(-scores[own])[: int(0.4 * size)]]
        assert not set(hardest) & set(ranking.select(0.6).tolist())


def test_shares_that_need_what_is_cut_are_refused():
    classes = Classes(("a", "b"), np.repeat([0, 1], [90, 10]))
    ranking = Ranking(np.arange(100.0), keep=CCS(beta=0.5), classes=classes)
    assert len(ranking.select(0.1, balance="equal")) == 10
    with pytest.raises(InputError, match="5 of them would have to be kept"):
        ranking.select(0.2, balance={"a": 10, "b": 10})


def test_the_cut_can_be_by_another_score():
    scores = np.arange(10.0)
    columns = {"aum": -np.arange(10.0)}
    ranking = Ranking(scores, keep=CCS(beta=0.3, cut_by="aum"), columns=columns)
    assert ranking.select(0.7).tolist() == [3, 4, 5, 6, 7, 8, 9]
    with pytest.raises(InputError, match=r"needs the column 'aum' .*ranking does not give"):
        Ranking(scores, keep=CCS(cut_by="aum")).select(0.5)
    with pytest.raises(InputError, match=r"needs the column 'aum' .*sampler 'cc-or' does not give"):
        CCOutlierRemoval(keep="ccs:cut_by=aum").check_parameters()


def test_a_beta_for_each_ratio_does_not_nest_and_serves_no_other():
    rule = CCS(beta={0.5: 0.1, 0.1: 0.5})
    assert (
        rule == as_rule(json.loads(json.dumps(rule.to_json()))) == CCS(beta={"0.1": 0.5, 0.5: 0.1})
    )
    ranking = Ranking(np.arange(40.0), keep=rule)
    assert not ranking.nested
    with pytest.warns(NotNestedWarning, match="no part of a larger one"):
        sets = ranking.select_many([0.1, 0.5])
    assert sets[0.1].max() < 20
    assert 20 <= sets[0.5].max() < 36
    with pytest.raises(InputError, match=r"a beta for r = 0.1, 0.5, and 8 of 40"):
        ranking.select(0.2)
    assert "no part of a larger one" in str(
        CCOutlierRemoval(keep=rule).report(small_digits(40), 0.5)
    )


# Draws


@pytest.mark.parametrize("m", [1, 3, 6])
def test_keys_draw_by_the_law_of_numpys_choice(m):
    weights = np.array([0.1, 0.5, 1.0, 2.0, 4.0, 0.4, 3.0, 0.05])
    n_draws = 3000
    generator = np.random.default_rng(8)
    counts = np.zeros((2, len(weights)))
    for seed in range(n_draws):
        counts[0, WeightedDraw(seed=seed).order(weights)[:m]] += 1
        drawn = generator.choice(len(weights), m, replace=False, p=weights / weights.sum())
        counts[1, drawn] += 1
    shares = counts.mean(axis=0) / n_draws
    deviations = np.sqrt(2 * n_draws * shares * (1 - shares))
    assert np.all(np.abs(counts[0] - counts[1]) < 4 * deviations + 1e-9)


def test_what_weighs_nothing_comes_last_and_a_negative_weight_is_refused():
    scores = np.array([0.0, 1.0, 0.0, 2.0])
    assert set(WeightedDraw().order(scores)[:2].tolist()) == {1, 3}
    assert len(Ranking(scores, keep="weighted").select(n=3)) == 3
    assert len(Ranking(np.zeros(4), keep="weighted").select(n=3)) == 3
    for rule in ("weighted", "histogram"):
        with pytest.raises(InputError, match="the score of sample 1 is -1"):
            Ranking(np.array([0.0, -1.0]), keep=rule).select(n=1)


@pytest.mark.parametrize("weighting", ["p1", "p2", "p3"])
def test_weights_of_the_histogram_by_hand(weighting):
    """Of three bins of 4, 2 and 1: P1 (4 - h + 1) / h, P2 1 / h, P3 1 / h**2."""
    expected = {
        "p1": [1 / 4, 3 / 2, 4 / 1],
        "p2": [1 / 4, 1 / 2, 1],
        "p3": [1 / 16, 1 / 4, 1],
    }[weighting]
    found = HistogramDraw(weighting)._weights(np.array([4.0, 2.0, 1.0]))
    np.testing.assert_allclose(found, expected)


def test_an_entropy_on_an_edge_and_an_entropy_of_zero_have_a_bin():
    """Public code raises where a value lies on an edge of the histogram."""
    scores = np.array([1.0, 10**0.25, 10**0.5, 0.0, 1.0])
    order = HistogramDraw().order(scores)
    assert sorted(order.tolist()) == [0, 1, 2, 3, 4]
    # The value on an edge is in the bin above: those of 1 and of 10**0.25 do not share one.
    first = [HistogramDraw("p3", seed=s).order(np.r_[np.ones(50), 10**0.25])[0] for s in range(40)]
    assert np.mean(np.array(first) == 50) > 0.9


def test_rare_scores_are_likelier_kept():
    scores = np.r_[np.full(90, 0.5), np.full(10, 50.0)]
    for weighting in ("p1", "p2", "p3"):
        kept = [
            (Ranking(scores, keep=HistogramDraw(weighting, seed=s)).select(n=10) >= 90).sum()
            for s in range(20)
        ]
        assert np.mean(kept) > 3


def test_beta_sampling_by_hand():
    scores = np.linspace(0.1, 0.3, 12)
    confidence = np.linspace(0.9, 0.2, 12)
    mu = confidence[2:].mean()
    a, b = BetaDraw().parameters(scores, confidence, 0.25)
    assert b == pytest.approx(15 * (1 - mu) * (1 - 0.75**4))
    assert a == pytest.approx(15 - b)
    assert BetaDraw(total=16).parameters(scores, confidence, 0.25)[0] == pytest.approx(16 - b)
    # The law is that of numpy's choice with these weights.
    from scipy.stats import beta

    weights = beta.pdf(confidence, a, b) * scores
    columns = {"probability": confidence}
    counts = np.zeros(12)
    for seed in range(3000):
        counts[BetaDraw(seed=seed).order(scores, n_kept=3, columns=columns)[0]] += 1
    expected = 3000 * weights / weights.sum()
    assert np.all(np.abs(counts - expected) < 4 * np.sqrt(expected) + 3)


def test_beta_sampling_keeps_the_number_that_was_asked_for_and_easier_samples_where_few_are():
    """``int((1 - (1 - r)) * n)`` is 4,999 at r = 0.1 and 9,999 at 0.2."""
    generator = np.random.default_rng(0)
    confidence = generator.random(50_000)
    scores = confidence * (1 - confidence) * generator.random(50_000)
    ranking = Ranking(scores, keep="beta", columns={"probability": confidence})
    few, many = ranking.select(0.1), ranking.select(0.2)
    assert (len(few), len(many)) == (5_000, 10_000)
    assert confidence[few].mean() > confidence[many].mean() + 0.02
    # One noise serves all: near ratios keep much the same.
    near = ranking.select(0.11)
    assert len(np.intersect1d(few, near)) > 0.9 * 5_000


def test_probabilities_at_the_ends_and_none_at_all():
    columns = {"probability": np.array([0.0, 1.0, 0.5, 1.0])}
    assert len(Ranking(np.ones(4), keep="beta", columns=columns).select(n=3)) == 3
    assert len(Ranking(np.zeros(4), keep="beta", columns=columns).select(n=3)) == 3
    with pytest.raises(InputError, match="holds probabilities, and runs from 0 to 2"):
        Ranking(np.ones(2), keep="beta", columns={"probability": np.array([0.0, 2.0])}).select(n=1)
    with pytest.raises(InputError, match="needs the column 'probability'"):
        Ranking(np.ones(4)).with_rule("beta")


@pytest.mark.parametrize(
    "column", [np.ones(3), np.array([1, 2, 3, 4]), np.array([1, 2, np.nan, 4])]
)
def test_a_column_that_does_not_fit_is_refused(column):
    with pytest.raises(InputError, match="the column 'probability'"):
        Ranking(np.ones(4), columns={"probability": column})


def test_columns_of_skipped_samples_are_not_looked_at(tmp_path):
    whole = Ranking(
        np.array([1.0, 2.0, 3.0]), keep="beta", columns={"probability": np.array([0.1, 0.5, 0.9])}
    )
    spread = whole.spread(np.array([0, 2, 3]), 5)
    assert np.isnan(spread.columns["probability"][[1, 4]]).all()
    assert spread.select(n=2).tolist() == np.array([0, 2, 3])[whole.select(n=2)].tolist()
    spread.save(tmp_path / "ranking.npz")
    assert Ranking.load(tmp_path / "ranking.npz") == spread


# With samplers


@pytest.mark.parametrize(
    "keep", ["top", "middle", CCS(beta=0.3), CCS(beta={0.1: 0.5, 0.3: 0.3, 0.5: 0.1}), "weighted"]
)
def test_a_sampler_keeps_its_promises_with_any_rule(keep):
    small = small_digits(120)
    sampler = CCOutlierRemoval(keep=keep)
    if isinstance(keep, CCS) and not keep.nested:
        assert len(sampler.select(small, 0.3)) == 36
        return
    check_sampler(sampler, small)


def test_a_rule_that_does_not_nest_is_told_of():
    class WithConfidence(Prototypes):
        id = "with-confidence"
        gives = ("probability",)

        def _columns(self, names):
            assert list(names) == ["probability"]
            return {"probability": np.linspace(0, 1, 60)}

    digits = small_digits(60)
    sampler = WithConfidence(keep="beta")
    with pytest.warns(NotNestedWarning):
        sampler.select_many(digits, [0.1, 0.5])
    assert not sampler.ranking_.nested
    assert list(sampler.ranking_.columns) == ["probability"]
    with pytest.raises(InputError, match="needs the column 'probability'"):
        Prototypes(keep="beta").select(digits, 0.5)
