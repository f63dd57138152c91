"""Scores against values worked out by hand, their directions, ties, and others' mistakes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from proxysample import InputError
from proxysample.dynamics import SCORES, Dynamics, from_arrays, score
from proxysample.dynamics.scores import easy_first

# Samples of class 0 of two, in four epochs: learned at once, forgotten once, never learned.
P_TRUE = np.array([[0.8, 0.6, 0.1], [0.9, 0.3, 0.2], [0.9, 0.7, 0.1], [1.0, 0.8, 0.0]])
P_TRUE_INSIDE = np.clip(P_TRUE, 0.05, 0.95)


def of_two_classes(p_true=P_TRUE_INSIDE) -> Dynamics:
    both = np.stack([p_true, 1 - p_true], axis=-1)
    return from_arrays(np.log(both), labels=np.zeros(p_true.shape[1], dtype=int))


def of_p_true(p_true) -> Dynamics:
    return from_arrays(np.asarray(p_true), labels=np.zeros(np.shape(p_true)[1], dtype=int))


def close(values, expected):
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-7)


def test_el2n_is_one_epochs_distance_to_the_one_hot_vector():
    dynamics = of_two_classes()
    # Of two classes both errors are 1 - p.
    close(score("el2n", dynamics, epoch=1), np.sqrt(2) * (1 - P_TRUE_INSIDE[1]))
    close(score("el2n", dynamics), np.sqrt(2) * (1 - P_TRUE_INSIDE[0]))
    close(score("el2n", dynamics, epoch=-1), np.sqrt(2) * (1 - P_TRUE_INSIDE[3]))
    three = from_arrays(np.log([[[0.5, 0.3, 0.2]]]), labels=[1])
    close(score("el2n", three), [np.sqrt(0.25 + 0.49 + 0.04)])


@pytest.mark.parametrize(("epochs", "expected"), [(5, 0), (20, 2), (200, 20), (1, 0)])
def test_el2n_is_taken_after_a_tenth_of_the_training(epochs, expected):
    p_true = np.linspace(0.1, 0.9, epochs)[:, None]
    close(score("el2n", of_two_classes(p_true)), np.sqrt(2) * (1 - p_true[expected]))


def test_forgetting_counts_falls_and_never_learned_is_hardest():
    dynamics = of_two_classes()
    # In DeepCore and others a sample that was never learned was never forgotten, and so easiest.
    assert score("forgetting", dynamics).tolist() == [0, 1, 4]
    # The most that can be forgotten in four epochs is less than that.
    right_by_turns = of_two_classes(np.array([[0.9], [0.1], [0.9], [0.1]]))
    assert score("forgetting", right_by_turns).tolist() == [2]


def test_ties_of_integers_go_by_the_mean_probability_and_then_by_index():
    p_true = np.array([[0.6, 0.9, 0.7, 0.6, 0.1], [0.6, 0.9, 0.3, 0.6, 0.1]])
    dynamics = of_two_classes(p_true)
    assert score("forgetting", dynamics).tolist() == [0, 0, 1, 0, 2]
    order = np.argsort(easy_first("forgetting", dynamics), kind="stable")
    assert order.tolist() == [1, 0, 3, 2, 4]
    order = np.argsort(easy_first("learning-speed", dynamics), kind="stable")
    assert order.tolist() == [1, 0, 3, 2, 4]
    order = np.argsort(easy_first("first-learned", dynamics), kind="stable")
    assert order.tolist() == [1, 0, 3, 2, 4]


def test_a_tie_of_outputs_is_not_right():
    flat = from_arrays(np.zeros((2, 1, 3)), labels=[0])
    assert score("learning-speed", flat).tolist() == [0]


def test_aum_is_a_mean_over_all_epochs_of_margins_of_logits():
    logits = [[[3.0, 1.0, -1.0], [0.0, 2.0, 8.0]], [[1.0, 2.0, 0.0], [0.0, 5.0, 1.0]]]
    dynamics = from_arrays(logits, labels=[0, 1])
    # Neither the last epoch alone (1, 4), nor of probabilities.
    assert score("aum", dynamics).tolist() == [(2 - 1) / 2, (-6 + 4) / 2]
    assert easy_first("aum", dynamics).tolist() == [-0.5, 1.0]


def test_aum_p_is_a_sum_over_all_epochs_of_margins_of_probabilities():
    close(score("aum-p", of_two_classes()), (2 * P_TRUE_INSIDE - 1).sum(axis=0))


def test_margins_of_the_last_epoch():
    dynamics = from_arrays(np.log([[[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]]), labels=[0, 2])
    close(score("margin", dynamics), [0.2, 0.7])
    close(score("margin", dynamics, supervised=True), [-0.3, 0.7])
    assert easy_first("margin", dynamics)[0] > easy_first("margin", dynamics)[1]


def test_entropy_and_least_confidence_are_of_probabilities_in_the_last_epoch():
    logits = [[[9.0, 0.0], [0.0, 0.0]], [[2.0, 2.0], [7.0, 7.0 - np.log(4)]]]
    dynamics = from_arrays(logits, labels=[0, 0])
    close(score("entropy", dynamics), [np.log(2), -0.8 * np.log(0.8) - 0.2 * np.log(0.2)])
    # The largest logit would say the second is no surer than its 7 of any scale.
    close(score("least-confidence", dynamics), [0.5, 0.2])
    close(score("entropy", dynamics, epoch=0)[1], np.log(2))


def test_data_maps():
    dynamics = of_two_classes()
    close(score("confidence", dynamics), P_TRUE_INSIDE.mean(axis=0))
    # Divided by the number of epochs, not one less.
    close(score("variability", of_p_true([[0.2, 0.5], [0.4, 0.5]])), [0.1, 0.0])


def test_dyn_unc_takes_every_window_and_divides_by_their_number():
    p_true = [[0.1, 0.0], [0.3, 0.0], [0.7, 0.0], [0.7, 0.5]]
    # Deviations of pairs: .2, .4, 0 over sqrt 2; the last window counts, and zeros do.
    close(score("dyn-unc", of_p_true(p_true), window=2), np.array([0.6 / 3, 0.5 / 3]) / np.sqrt(2))
    # As many windows as one where the window is all epochs: not infinite.
    close(score("dyn-unc", of_p_true(p_true), window=4), np.std(p_true, axis=0, ddof=1))
    close(score("dyn-unc", of_p_true(p_true)), np.std(p_true, axis=0, ddof=1))


def test_dual_weighs_the_deviation_by_difficulty():
    p_true = [[0.1], [0.3], [0.7]]
    expected = (0.2 * (1 - 0.2) + 0.4 * (1 - 0.5)) / np.sqrt(2) / 2
    close(score("dual", of_p_true(p_true), window=2), [expected])
    close(score("dual", of_p_true(p_true), window=2, epochs=2), [0.2 * 0.8 / np.sqrt(2)])


@pytest.mark.parametrize(("epochs", "taken"), [(12, 12), (40, 30), (200, 30), (400, 60)])
def test_dual_takes_the_first_30_epochs_of_200(epochs, taken):
    p_true = np.random.default_rng(0).random((epochs, 3))
    close(score("dual", of_p_true(p_true)), score("dual", of_p_true(p_true[:taken]), epochs=taken))


def slow_tdds(p, epochs, window):
    """As the authors define it, by loops."""
    q = [np.abs(b * (np.log(b + 1e-8) - np.log(a + 1e-8))).sum(-1) for a, b in pairwise(p)]
    total = 0
    for k in range(epochs - window + 1):
        moves = np.array(q[k : k + window - 1])
        norm = np.sqrt(((moves - moves.mean(axis=0)) ** 2).sum(axis=0))
        total = total + 0.9 * 0.1 ** (epochs - window - k) * norm
    return total


@pytest.mark.parametrize(("epochs", "window"), [(8, 3), (8, 8), (6, 4)])
def test_tdds_against_its_definition(epochs, window):
    p = np.random.default_rng(0).dirichlet(np.ones(5), size=(8, 6))
    dynamics = from_arrays(np.log(p), labels=np.arange(6) % 5)
    found = score("tdds", dynamics, epochs=epochs, window=window)
    np.testing.assert_allclose(found, slow_tdds(p, epochs, window), rtol=1e-4)


def test_tdds_moves_its_window_and_reads_probabilities():
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=(9, 40))
    dynamics = from_arrays(np.log(p) + 5, labels=np.zeros(40, dtype=int))
    orders = {
        tuple(np.argsort(score("tdds", dynamics, epochs=epochs, window=3))) for epochs in (3, 6, 9)
    }
    assert len(orders) == 3
    # By hand: two classes, p of one .5, .8, .8, .5.
    p_one = np.array([0.5, 0.8, 0.8, 0.5])
    both = np.stack([p_one, 1 - p_one], axis=-1)[:, None]
    rise = 0.8 * np.log(0.8 / 0.5) + 0.2 * np.log(0.5 / 0.2)
    fall = 0.5 * np.log(0.8 / 0.5) + 0.5 * np.log(0.5 / 0.2)
    one = from_arrays(np.log(both), labels=[0])
    expected = 0.9 * fall / np.sqrt(2) + 0.09 * rise / np.sqrt(2)
    np.testing.assert_allclose(score("tdds", one, window=3), [expected], rtol=1e-5)


def test_csl_learning_speed_and_first_learned():
    dynamics = of_two_classes()
    close(score("csl", dynamics), -np.log(P_TRUE_INSIDE).sum(axis=0))
    assert score("learning-speed", dynamics).tolist() == [1, 0.75, 0]
    assert score("first-learned", dynamics).tolist() == [0, 0, 4]
    late = of_two_classes(np.array([[0.1], [0.4], [0.6]]))
    assert score("first-learned", late).tolist() == [2]


def with_held_out(losses, held_out) -> Dynamics:
    labels = np.arange(losses.shape[1]) % 2
    measures = {"loss": losses.astype(np.float32), "p_true": np.exp(-losses)}
    return Dynamics(labels, 2, measures, np.asarray(held_out, dtype=float))


def test_cld_correlates_changes_with_those_of_the_class():
    held_out = np.array([[3.0, 1.0], [2.0, 1.5], [1.5, 0.5], [1.4, 0.2]])
    losses = np.random.default_rng(0).random((4, 6))
    found = score("cld", with_held_out(losses, held_out))
    for sample in range(6):
        own = np.diff(losses[:, sample].astype(np.float32).astype(float))
        expected = np.corrcoef(own, np.diff(held_out[:, sample % 2]))[0, 1]
        assert found[sample] == pytest.approx(expected, abs=1e-6)
    # The very curve of its class, its mirror, and one that falls evenly.
    curves = np.stack([held_out[:, 0], 5 - held_out[:, 1], [4.0, 3.0, 2.0, 1.0]], axis=1)
    close(score("cld", with_held_out(curves, held_out)), [1, -1, 0])
    even = np.array([[4.0, 1.1], [3.0, 1.1], [2.0, 1.1], [1.0, 1.1]])
    assert score("cld", with_held_out(losses, even)).tolist() == [0] * 6


def test_cld_needs_held_out_samples_of_each_class():
    with pytest.raises(InputError, match="record_held_out"):
        score("cld", of_two_classes())
    held_out = np.ones((4, 2))
    held_out[2, 1] = np.nan
    with pytest.raises(InputError, match="no held-out sample of class 1 was recorded in epoch 2"):
        score("cld", with_held_out(np.ones((4, 3)), held_out))


def test_scores_that_public_code_had_wrong_are_high_and_low_at_the_ends_they_say():
    easy_to_hard = of_two_classes(np.linspace(0.95, 0.05, 7) * np.linspace(0.8, 1, 6)[:, None])
    for name, known in SCORES.items():
        if known.needs in ("features", "held-out") or name in (
            *("margin", "entropy", "least-confidence"),
            *("variability", "dyn-unc", "dual", "tdds"),
        ):
            continue
        assert np.all(np.diff(easy_first(name, easy_to_hard)) > 0), name
    # Without labels: sure at both ends.
    for name in ("margin", "entropy", "least-confidence"):
        values = easy_first(name, easy_to_hard)
        assert values[[2, 3]].min() > max(values[0], values[-1]), name
    # Ambiguous samples are high, very easy and never learned ones low.
    p_true = np.full((12, 3), [0.99, 0.5, 0.01])
    p_true[::2, 1] = 0.9
    for name in ("variability", "dyn-unc", "dual"):
        values = score(name, of_p_true(p_true))
        assert values[1] > max(values[0], values[2]), name


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("dul", {}, "did you mean 'dual'"),
        (
            "el2n",
            {"epochs": 3},
            "unknown option of the score 'el2n' 'epochs'; did you mean 'epoch'",
        ),
        ("aum", {"epoch": 3}, "unknown option"),
        ("el2n", {"epoch": 4}, "epoch=4 of 4 recorded ones"),
        ("el2n", {"epoch": 1.5}, "epoch must be an integer"),
        ("el2n", {"epoch": True}, "epoch must be an integer"),
        ("dual", {"epochs": 5}, "epochs=5, and 4 were recorded"),
        ("dual", {"epochs": 0}, "at least 1"),
        ("dual", {"window": 5}, "window=5 epochs, and there are 4"),
        ("dyn-unc", {"window": 1}, "at least 2"),
        ("tdds", {"window": 2}, "at least 3"),
        ("tdds", {"epochs": 2}, "3 or more are needed"),
        ("margin", {"supervised": 1}, "True or False"),
        ("grand", {}, r"record\(..., features=h\)"),
    ],
)
def test_options_are_checked(name, options, words):
    with pytest.raises(InputError, match=words):
        score(name, of_two_classes(), **options)


@pytest.mark.parametrize("name", SCORES)
def test_too_few_epochs_are_told(name):
    one = of_two_classes(P_TRUE_INSIDE[:1])
    if SCORES[name].least_epochs > 1:
        with pytest.raises(InputError, match=r"1 epoch\(s\)|features"):
            score(name, one)
    else:
        assert np.isfinite(score(name, one)).all()


def test_probabilities_of_labels_serve_some_scores_and_others_say_so():
    dynamics = of_p_true(P_TRUE)
    for name in ("confidence", "variability", "dyn-unc", "dual", "csl"):
        assert np.isfinite(score(name, dynamics)).all()
    for name in sorted(
        SCORES.keys() - {"confidence", "variability", "dyn-unc", "dual", "csl", "cld"}
    ):
        with pytest.raises(InputError, match="nothing was recorded that gives"):
            score(name, dynamics)


def test_what_is_rare_is_measured_beyond_single_precision():
    # Single precision takes either for one.
    logits = np.array([[[20.0, 0.0], [25.0, 0.0]]])
    dynamics = from_arrays(logits, labels=[0, 0])
    assert np.all(np.diff(score("csl", dynamics)) < 0)
    close(score("csl", dynamics) / np.exp([-20, -25]), [1, 1])
    close(score("el2n", dynamics) / np.exp([-20, -25]), np.sqrt([2, 2]))
