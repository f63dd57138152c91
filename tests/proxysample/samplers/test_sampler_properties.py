"""What holds for any data: numbers, nesting, shares, directions, and the order of the samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from proxysample import InputError, Ranking, create_sampler, list_samplers
from proxysample.registry import takes_parameter

# What makes a sampler quick.
QUICK = {"n_clusters": 3, "epochs": 1, "backbone": nn.Flatten(), "device": "cpu"}
RECORDED = {"features": "pixels", "epochs": 3}
RATIOS = st.lists(st.floats(0.05, 1), min_size=1, max_size=4)


def quick(name: str, **parameters):
    given = QUICK | (RECORDED if takes_parameter(name, "record") else {}) | parameters
    return create_sampler(name, **{k: v for k, v in given.items() if takes_parameter(name, k)})


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


@settings(max_examples=60)
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


@settings(max_examples=60)
@given(labelled())
def test_hard_is_easy_reversed_up_to_ties(data):
    scores, _ = data
    easy, hard = (scores[Ranking(scores, keep=keep).order] for keep in ("easy", "hard"))
    assert easy.tolist() == hard[::-1].tolist() == sorted(scores)
    unequal = scores + np.arange(len(scores)) / (2 * len(scores))
    orders = [Ranking(unequal, keep=keep).order.tolist() for keep in ("easy", "hard")]
    assert orders[0] == orders[1][::-1]


@settings(max_examples=10)
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


@settings(max_examples=10)
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


@pytest.mark.parametrize("name", list_samplers())
@settings(max_examples=6)
@given(labelled(least=6), RATIOS, st.sampled_from(["easy", "hard"]))
def test_every_sampler_keeps_the_count_nests_and_keeps_its_shares_and_direction(
    name, data, ratios, keep
):
    _, codes = data
    # A classifier needs two classes.
    assume((name != "tl" and not takes_parameter(name, "record")) or codes.any())
    images = np.random.default_rng(len(codes)).integers(0, 256, (len(codes), 8, 8), dtype=np.uint8)
    sampler = quick(name, keep=keep, random_state=0)
    ranking = sampler.rank(images, y=codes)
    sizes = np.bincount(codes)
    smaller: set[int] = set()
    for r in sorted(ratios):
        if round(r * len(codes)) < 1:
            continue
        kept = ranking.select(r)
        assert len(kept) == round(r * len(codes))
        assert np.all(np.diff(kept) > 0)
        assert 0 <= kept[0] <= kept[-1] < len(codes)
        assert smaller <= set(kept.tolist())
        smaller = set(kept.tolist())
        has_shares = ranking.codes is not None
        check_direction(ranking, kept, codes if has_shares else np.zeros_like(codes))
        if has_shares:
            shares = len(kept) * sizes / len(codes)
            assert np.all(np.abs(np.bincount(codes[kept], minlength=len(sizes)) - shares) < 1)


def check_direction(ranking, kept, groups):
    """Within each group nothing that is dropped would have come before what is kept."""
    dropped = np.setdiff1d(np.arange(len(groups)), kept)
    for group in np.unique(groups):
        inside, outside = (ranking.scores[part[groups[part] == group]] for part in (kept, dropped))
        if len(inside) and len(outside):
            if ranking.keep == "easy":
                assert inside.max() <= outside.min()
            else:
                assert inside.min() >= outside.max()


def drawn(seed: int, n: int = 24):
    """Images, labels and another order of them."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (n, 8, 8), dtype=np.uint8)
    return images, generator.permutation(np.repeat([0, 1, 2], n // 3)), generator.permutation(n)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_an_autoencoder_trained_on_all_at_once_scores_alike_in_any_order(seed, loss):
    """A step on all samples knows no order; one on a batch depends on which samples are in it.

    Batches are drawn by place, and so move with the seed and not with the samples.
    """
    images, _, order = drawn(seed)
    sampler = quick("ae", loss=loss, training_batch_size=24, epochs=3, random_state=0)
    scores = sampler.rank(images).scores
    moved = sampler.rank(images[order]).scores
    assert np.ptp(scores) > 1e-3
    # Adam makes more of the last bits than they are.
    np.testing.assert_allclose(moved, scores[order], rtol=1e-3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("protocol", ["default", "paper"])
def test_a_classifier_that_does_not_learn_scores_alike_in_any_order(seed, protocol):
    """Dropout is drawn by place, and so no training at all is free of the order.

    A step too small for any weight to move leaves what is: features, the statistics of all
    samples, and the loss.
    """
    images, labels, order = drawn(seed)
    still = {"learning_rate": 1e-30, "training_batch_size": 24, "epochs": 3}
    sampler = quick("tl", protocol=protocol, random_state=0, **still)
    scores = sampler.rank(images, y=labels).scores
    moved = sampler.rank(images[order], y=labels[order]).scores
    assert np.ptp(scores) > 1e-3
    np.testing.assert_allclose(moved, scores[order], rtol=1e-5)


@pytest.mark.parametrize("name", ["ae", "tl"])
def test_a_loss_that_is_not_finite_names_the_epoch_and_the_fix(name):
    images, labels, _ = drawn(0)
    sampler = quick(name, learning_rate=1e30, epochs=4, training_batch_size=8, random_state=0)
    with pytest.raises(InputError, match=r"loss of epoch \d is (nan|inf).*lower learning_rate"):
        sampler.rank(images, y=labels)
