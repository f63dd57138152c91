"""What holds for any data: numbers, nesting, shares, directions, and the order of the samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxysample import Ranking, create_sampler

RATIOS = st.lists(st.floats(0.05, 1), min_size=1, max_size=4)


@st.composite
def labelled(draw, least: int = 4):
    """Scores with ties, and class codes of which each has two samples or more."""
    n = draw(st.integers(least, 40))
    n_classes = draw(st.integers(1, n // 2))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes = np.concatenate(
        [np.repeat(np.arange(n_classes), 2), generator.integers(0, n_classes, n)]
    )
    codes = generator.permutation(codes)
    scores = generator.integers(0, draw(st.integers(1, 12)), len(codes)).astype(float)
    return scores, codes


@settings(max_examples=60, deadline=None)
@given(labelled(), RATIOS, st.booleans(), st.sampled_from(["easy", "hard"]))
def test_kept_sets_have_the_count_are_unique_nest_and_keep_shares(data, ratios, per_class, keep):
    scores, codes = data
    ranking = Ranking(scores, codes if per_class else None, keep=keep)
    sizes = np.bincount(codes)
    smaller: set[int] = set()
    for r in sorted(ratios):
        if round(r * len(scores)) < 1:
            continue
        kept = ranking.select(r)
        assert len(kept) == round(r * len(scores))
        assert np.all(np.diff(kept) > 0)
        assert smaller <= set(kept.tolist())
        smaller = set(kept.tolist())
        if per_class:
            shares = len(kept) * sizes / len(scores)
            assert np.all(np.abs(np.bincount(codes[kept], minlength=len(sizes)) - shares) < 1)


@settings(max_examples=60, deadline=None)
@given(labelled())
def test_hard_is_easy_reversed_up_to_ties(data):
    scores, _ = data
    easy, hard = (scores[Ranking(scores, keep=keep).order] for keep in ("easy", "hard"))
    assert easy.tolist() == hard[::-1].tolist() == sorted(scores)
    unequal = scores + np.arange(len(scores)) / (2 * len(scores))
    orders = [Ranking(unequal, keep=keep).order.tolist() for keep in ("easy", "hard")]
    assert orders[0] == orders[1][::-1]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_scores_that_are_not_drawn_move_with_their_samples(seed, is_paper):
    """The distance to a class's mean knows nothing of where a sample stands."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (24, 3, 3), dtype=np.uint8)
    labels = generator.permutation(np.repeat([0, 1, 2], 8))
    order = generator.permutation(24)
    protocol = "paper" if is_paper else "default"
    sampler = create_sampler("cc-or", protocol=protocol)
    scores = sampler.rank(images, y=labels).scores
    moved = sampler.rank(images[order], y=labels[order]).scores
    # Sums of floats depend on their order in the last bits.
    np.testing.assert_allclose(moved, scores[order], rtol=1e-9, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["rs", "cc-rs"]))
def test_drawn_scores_stay_with_the_places(seed, name):
    """A seed draws for the first sample, the second, ...: whatever these are."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (12, 2, 2), dtype=np.uint8)
    order = generator.permutation(12)
    sampler = create_sampler(name, random_state=3)
    labels = np.repeat([0, 1], 6)
    scores = sampler.rank(images, y=labels).scores
    assert np.array_equal(scores, sampler.rank(images[order], y=labels).scores)


@pytest.mark.parametrize("seed", range(3))
def test_clusters_that_are_plain_are_scored_alike_in_any_order(seed):
    """K-Means draws its start; where clusters lie far apart every start ends in them."""
    generator = np.random.default_rng(seed)
    centres = np.array([[0, 0], [100, 0], [0, 100]])
    features = np.repeat(centres, 10, axis=0) + generator.normal(0, 0.5, (30, 2))
    order = generator.permutation(30)
    sampler = create_sampler("km-or", n_clusters=3, random_state=0)
    scores = sampler.rank(features).scores
    moved = sampler.rank(features[order]).scores
    np.testing.assert_allclose(moved, scores[order], rtol=1e-4, atol=1e-5)
