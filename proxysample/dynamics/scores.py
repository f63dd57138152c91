"""Scores of samples from what was recorded of a training; pure functions, and one table of them.

Each has the sign and the range that its authors give it, in double precision. Epochs count from 0.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from proxysample.checks import has_attributes
from proxysample.errors import InputError, check_names, unknown_name
from proxysample.keeping import FloatArray
from proxysample.printing import shown

if TYPE_CHECKING:
    from proxysample.dynamics.record import Dynamics

End = Literal["low", "high"]

WINDOW = 10
"""Epochs of a window of Dyn-Unc, TDDS and DUAL."""
SHARE_OF_EARLY = 0.1
"""EL2N is taken after a tenth of the training: epoch 20 of 200."""


def _epoch(epoch: object, n_epochs: int, default: int) -> int:
    """Check which epoch; from the end where it is negative."""
    if epoch is None:
        return min(default, n_epochs - 1)
    if isinstance(epoch, bool) or not isinstance(epoch, int | np.integer):
        raise InputError(f"epoch must be an integer, counted from 0, not {shown(epoch)}")
    if not -n_epochs <= epoch < n_epochs:
        raise InputError(f"epoch={epoch} of {n_epochs} recorded ones, which count from 0")
    return int(epoch) % n_epochs


def _first_epochs(epochs: object, n_epochs: int, default: int) -> int:
    """Check how many epochs from the first."""
    if epochs is None:
        return min(default, n_epochs)
    if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer) or epochs < 1:
        raise InputError(f"epochs must be a number of epochs of at least 1, not {shown(epochs)}")
    if epochs > n_epochs:
        raise InputError(f"epochs={epochs}, and {n_epochs} were recorded")
    return int(epochs)


def _window(window: object, n_epochs: int, least: int) -> int:
    """Check the length of a window; by default `WINDOW`, or all epochs where they are fewer."""
    if n_epochs < least:
        raise InputError(f"{n_epochs} epoch(s) were recorded; {least} or more are needed here")
    if window is None:
        return min(WINDOW, n_epochs)
    if isinstance(window, bool) or not isinstance(window, int | np.integer) or window < least:
        raise InputError(
            f"window must be a number of epochs of at least {least}, not {shown(window)}"
        )
    if window > n_epochs:
        raise InputError(f"window={window} epochs, and there are {n_epochs}: take a shorter one")
    return int(window)


def el2n(dynamics: Dynamics, *, epoch: int | None = None) -> FloatArray:
    """Distance of the probabilities to the label's one-hot vector, early in training (el2n).

    Parameters
    ----------
    dynamics : Dynamics
    epoch : int, optional
        By default that at a tenth of the training: epoch 20 of 200, as its authors (M. Paul, S.
        Ganguli and G. K. Dziugaite, 2021) have it, who take the mean over ten runs.

    Returns
    -------
    ndarray of shape (n,), float64
        In [0, sqrt(2)]; high is hard.
    """
    errors = dynamics.require("error")
    chosen = _epoch(epoch, len(errors), int(SHARE_OF_EARLY * len(errors)))
    return np.asarray(errors[chosen], dtype=np.float64)


def grand(dynamics: Dynamics, *, epoch: int | None = None) -> FloatArray:
    """Length of the gradient of the loss by the weights and biases of the last layer (grand).

    It is ``el2n * sqrt(1 + |h|^2)`` with h what goes into the layer: for a linear model that of
    all weights.

    Parameters
    ----------
    dynamics : Dynamics
        Recorded with ``features=``.
    epoch : int, optional
        As for `el2n`, but never the first: near initialisation the length is little else than that
        of the input (A. Kirsch, 2023).

    Returns
    -------
    ndarray of shape (n,), float64
        High is hard.
    """
    gradients = dynamics.require("gradient", 2)
    chosen = _epoch(epoch, len(gradients), max(1, int(SHARE_OF_EARLY * len(gradients))))
    if chosen == 0:
        raise InputError(
            "epoch=0 is too early for grand, which then tells inputs apart: take later"
        )
    return np.asarray(gradients[chosen], dtype=np.float64)


def forgetting(dynamics: Dynamics) -> FloatArray:
    """Count how often a sample that was right is wrong in the next epoch (forgetting).

    Parameters
    ----------
    dynamics : Dynamics

    Returns
    -------
    ndarray of shape (n,), float64
        Integers; a sample that was never right has the number of epochs, which no other reaches (M.
        Toneva and others, 2019).
    """
    right = dynamics.require("right", 2)
    events = np.count_nonzero(right[:-1] & ~right[1:], axis=0)
    return np.where(right.any(axis=0), events, len(right)).astype(np.float64)


def aum(dynamics: Dynamics) -> FloatArray:
    """Mean over epochs of the margin of the label's logit over the largest other (aum).

    Parameters
    ----------
    dynamics : Dynamics

    Returns
    -------
    ndarray of shape (n,), float64
        Low is hard, and mislabelled (G. Pleiss, T. Zhang, E. Elenberg and K. Weinberger, 2020).
    """
    return np.asarray(dynamics.require("margin").mean(axis=0, dtype=np.float64))


def aum_p(dynamics: Dynamics) -> FloatArray:
    """Sum over epochs of the margin of the label's probability over the largest other (aum-p).

    Parameters
    ----------
    dynamics : Dynamics

    Returns
    -------
    ndarray of shape (n,), float64
        In [-epochs, epochs]; low is hard (H. Zheng, R. Liu, F. Lai and A. Prakash, 2023).
    """
    return np.asarray(dynamics.require("probability_margin").sum(axis=0, dtype=np.float64))


def margin(dynamics: Dynamics, *, epoch: int | None = None, supervised: bool = False) -> FloatArray:
    """Margin of the largest probability over the second at one epoch (margin).

    Parameters
    ----------
    dynamics : Dynamics
    epoch : int, optional
        The last by default.
    supervised : bool
        That of the label's probability over the largest other instead, which may be negative.

    Returns
    -------
    ndarray of shape (n,), float64
        Low is hard.
    """
    if not isinstance(supervised, bool):
        raise InputError(f"supervised must be True or False, not {shown(supervised)}")
    found = dynamics.require("probability_margin" if supervised else "top_margin")
    return np.asarray(found[_epoch(epoch, len(found), len(found) - 1)], dtype=np.float64)


def entropy(dynamics: Dynamics, *, epoch: int | None = None) -> FloatArray:
    """Entropy of the probabilities at one epoch, in nats (entropy).

    Parameters
    ----------
    dynamics : Dynamics
    epoch : int, optional
        The last by default.

    Returns
    -------
    ndarray of shape (n,), float64
        High is hard (C. Coleman and others, 2020).
    """
    found = dynamics.require("entropy")
    return np.asarray(found[_epoch(epoch, len(found), len(found) - 1)], dtype=np.float64)


def least_confidence(dynamics: Dynamics, *, epoch: int | None = None) -> FloatArray:
    """One less the largest probability, not logit, at one epoch (least-confidence).

    Parameters
    ----------
    dynamics : Dynamics
    epoch : int, optional
        The last by default.

    Returns
    -------
    ndarray of shape (n,), float64
        High is hard (C. Coleman and others, 2020).
    """
    found = dynamics.require("uncertainty")
    return np.asarray(found[_epoch(epoch, len(found), len(found) - 1)], dtype=np.float64)


def confidence(dynamics: Dynamics) -> FloatArray:
    """Mean over epochs of the label's probability: a data map's height (confidence).

    Parameters
    ----------
    dynamics : Dynamics

    Returns
    -------
    ndarray of shape (n,), float64
        In [0, 1]; low is hard (S. Swayamdipta and others, 2020).
    """
    return np.asarray(dynamics.require("p_true").mean(axis=0))


def variability(dynamics: Dynamics) -> FloatArray:
    """Deviation over epochs of the label's probability: a data map's width (variability).

    Parameters
    ----------
    dynamics : Dynamics

    Returns
    -------
    ndarray of shape (n,), float64
        A standard deviation, divided by the number of epochs; high is ambiguous, low at both other
        ends (S. Swayamdipta and others, 2020).
    """
    return np.asarray(dynamics.require("p_true", 2).std(axis=0))


def _windows(p_true: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    """Give mean and deviation (of window - 1) of every window of epochs, (windows, n)."""
    views = np.lib.stride_tricks.sliding_window_view(p_true, window, axis=0)
    # A window at a time, whose copies would take as many times the memory of all.
    means = np.stack([view.mean(axis=-1) for view in views])
    return means, np.stack([view.std(axis=-1, ddof=1) for view in views])


def dyn_unc(dynamics: Dynamics, *, window: int | None = None) -> FloatArray:
    """Mean over all windows of epochs of the deviation of the label's probability (dyn-unc).

    Parameters
    ----------
    dynamics : Dynamics
    window : int, optional
        Epochs of a window: 10, or all where they are fewer.

    Returns
    -------
    ndarray of shape (n,), float64
        High is kept; low at both ends, very easy and never learned (M. He and others, 2024).
    """
    p_true = dynamics.require("p_true", 2)
    _, deviations = _windows(p_true, _window(window, len(p_true), 2))
    return np.asarray(deviations.mean(axis=0))


EARLY_EPOCHS, OF_EPOCHS = 30, 200


def dual_epochs(dynamics: Dynamics, epochs: int | None = None) -> int:
    """Count the epochs, from the first, that `dual` goes by."""
    n_epochs = len(dynamics.require("p_true", 2))
    default = max(EARLY_EPOCHS, round(n_epochs * EARLY_EPOCHS / OF_EPOCHS))
    return _first_epochs(epochs, n_epochs, default)


def dual(dynamics: Dynamics, *, epochs: int | None = None, window: int | None = None) -> FloatArray:
    """Mean over windows of the label's probability's deviation times one less its mean (dual).

    Parameters
    ----------
    dynamics : Dynamics
    epochs : int, optional
        From the first: 30, as its authors take of 200, all where fewer were recorded, and as large
        a part of more than 200.
    window : int, optional
        Epochs of a window: 10, or all of those where they are fewer.

    Returns
    -------
    ndarray of shape (n,), float64
        High is kept (Y. Cho, B. Shin, C. Kang and C. Yun, 2025).
    """
    early = dynamics.require("p_true", 2)[: dual_epochs(dynamics, epochs)]
    means, deviations = _windows(early, _window(window, len(early), 2))
    return np.asarray((deviations * (1 - means)).mean(axis=0))


WEIGHT_OF_LAST, WEIGHT_OF_EARLIER = 0.9, 0.1


def tdds(dynamics: Dynamics, *, epochs: int | None = None, window: int | None = None) -> FloatArray:
    """How unevenly the probabilities of all classes move, the last window of epochs first (tdds).

    Each epoch moves them by ``sum_c |p ln(p) - p ln(p of the epoch before)|``; a window of J epochs
    has J - 1 such moves, whose distance to their mean is its norm; windows weigh 0.9 times a
    tenth of the weight of the next.

    Parameters
    ----------
    dynamics : Dynamics
    epochs : int, optional
        From the first; all by default. Its authors (X. Zhang, J. Du, Y. Li, W. Xie and J. Zhou,
        2024) choose it by the ratio; the last window has nine tenths of the weight.
    window : int, optional
        J, at least 3: 10, or all where they are fewer.

    Returns
    -------
    ndarray of shape (n,), float64
        High is kept.
    """
    changes = dynamics.require("change", 3)
    n_epochs = _first_epochs(epochs, len(changes), len(changes))
    length = _window(window, n_epochs, 3)
    total = np.zeros(changes.shape[1])
    for first in range(n_epochs - length + 1):
        # The change of an epoch is that since the one before.
        moves = changes[first + 1 : first + length].astype(np.float64)
        norms = np.linalg.norm(moves - moves.mean(axis=0), axis=0)
        total += WEIGHT_OF_LAST * WEIGHT_OF_EARLIER ** (n_epochs - length - first) * norms
    return total


def csl(dynamics: Dynamics) -> FloatArray:
    """Sum over epochs of the cross-entropy, in nats: a proxy of memorisation (csl).

    Parameters
    ----------
    dynamics : Dynamics

    Returns
    -------
    ndarray of shape (n,), float64
        High is hard: memorised, atypical or mislabelled (D. Ravikumar and others, 2025).
    """
    return np.asarray(dynamics.require("loss").sum(axis=0, dtype=np.float64))


def learning_speed(dynamics: Dynamics) -> FloatArray:
    """Share of epochs in which a sample was right (learning-speed).

    Parameters
    ----------
    dynamics : Dynamics

    Returns
    -------
    ndarray of shape (n,), float64
        In [0, 1]; low is hard.
    """
    return np.asarray(dynamics.require("right").mean(axis=0, dtype=np.float64))


def first_learned(dynamics: Dynamics) -> FloatArray:
    """First epoch in which a sample was right, counted from 0 (first-learned).

    Parameters
    ----------
    dynamics : Dynamics

    Returns
    -------
    ndarray of shape (n,), float64
        Integers; the number of epochs where it never was. High is hard.
    """
    right = dynamics.require("right")
    return np.where(right.any(axis=0), right.argmax(axis=0), len(right)).astype(np.float64)


def cld(dynamics: Dynamics) -> FloatArray:
    """Correlation of a sample's changes of loss with those of held-out samples of its class (cld).

    Parameters
    ----------
    dynamics : Dynamics
        With held-out samples of each class in each epoch
        (`DynamicsRecorder.record_held_out`).

    Returns
    -------
    ndarray of shape (n,), float64
        In [-1, 1]; high is kept: what makes it learned helps others of its class. 0 where either
        loss moves evenly (M. Nagaraj and others, 2025).
    """
    losses = dynamics.require("loss", 3).astype(np.float64)
    if dynamics.held_out is None:
        raise InputError(
            "cld needs samples that are not trained on: record_held_out(logits, labels)"
        )
    unknown = np.argwhere(np.isnan(dynamics.held_out[:, np.unique(dynamics.labels)]))
    if len(unknown):
        epoch, place = unknown[0]
        label = np.unique(dynamics.labels)[place]
        raise InputError(f"no held-out sample of class {label} was recorded in epoch {epoch}")
    moves = np.diff(losses, axis=0)
    moves -= moves.mean(axis=0)
    theirs = np.diff(dynamics.held_out, axis=0)
    theirs = theirs - theirs.mean(axis=0)
    products = np.zeros(len(dynamics.labels))
    for move, their in zip(moves, theirs, strict=True):
        products += move * their[dynamics.labels]
    own, their_own = np.linalg.norm(moves, axis=0), np.linalg.norm(theirs, axis=0)
    still = (own <= _rounding(losses)) | (their_own <= _rounding(dynamics.held_out))[
        dynamics.labels
    ]
    scale = np.where(still, 1, own * their_own[dynamics.labels])
    return np.where(still, 0.0, np.clip(products / scale, -1, 1))


def _rounding(losses: FloatArray) -> FloatArray:
    """Tell what rounding alone makes of changes that are all the same, in single precision."""
    return np.asarray(1e-6 * np.abs(losses).max(axis=0))


@dataclass(frozen=True)
class Score:
    """A score, and what its ends mean.

    Attributes
    ----------
    function : callable
        Takes `Dynamics` and options, and gives (n,), float64.
    hard : {"low", "high"}
        Which of its ends is hard.
    keeps : {"easy", "hard"}
        Which end its authors keep; where they keep none, the easy one.
    step : float or None
        Of scores with few values: what lies between two of them, as a function of the number of
        epochs. Samplers break their ties by the mean probability of the label.
    needs : str
        What has to be recorded beyond outputs and labels.
    least_epochs : int
        How many have to be recorded.
    """

    function: Callable[..., FloatArray]
    hard: End
    keeps: Literal["easy", "hard"]
    step: Callable[[int], float] | None = None
    needs: str = ""
    least_epochs: int = 1

    @property
    def options(self) -> list[str]:
        """What its function takes beside `Dynamics`."""
        return list(inspect.signature(self.function).parameters)[1:]


SCORES: dict[str, Score] = {
    "el2n": Score(el2n, "high", "hard"),
    "grand": Score(grand, "high", "hard", needs="features", least_epochs=2),
    "forgetting": Score(forgetting, "high", "hard", step=lambda _: 1.0, least_epochs=2),
    "aum": Score(aum, "low", "easy"),
    "aum-p": Score(aum_p, "low", "easy"),
    "margin": Score(margin, "low", "hard"),
    "entropy": Score(entropy, "high", "hard"),
    "least-confidence": Score(least_confidence, "high", "hard"),
    "confidence": Score(confidence, "low", "easy"),
    "variability": Score(variability, "high", "hard", least_epochs=2),
    "dyn-unc": Score(dyn_unc, "high", "hard", least_epochs=2),
    "tdds": Score(tdds, "high", "hard", needs="changes", least_epochs=3),
    "dual": Score(dual, "high", "hard", least_epochs=2),
    "csl": Score(csl, "high", "easy"),
    "learning-speed": Score(learning_speed, "low", "easy", step=lambda epochs: 1 / epochs),
    "first-learned": Score(first_learned, "high", "easy", step=lambda _: 1.0),
    "cld": Score(cld, "low", "easy", needs="held-out", least_epochs=3),
}
"""Every score by its id."""


def score(name: str, dynamics: Dynamics, **options: Any) -> FloatArray:
    """Score each sample of a record by the id of a score.

    Parameters
    ----------
    name : str
        Of `SCORES`.
    dynamics : Dynamics
    **options
        Of that score's function.

    Returns
    -------
    ndarray of shape (n,), float64

    Raises
    ------
    InputError
        If there is no such score or option, or what it needs was not recorded.

    Examples
    --------
    >>> from proxysample.dynamics import from_arrays
    >>> p_true = np.array([[0.2, 0.9], [0.4, 0.9]])
    >>> dynamics = from_arrays(p_true, labels=[0, 1], kind="probabilities")
    >>> score("confidence", dynamics).round(2).tolist()
    [0.3, 0.9]
    """
    if not isinstance(name, str) or name not in SCORES:
        raise unknown_name("score", name, SCORES)
    if not has_attributes(dynamics, "require", "measures"):
        raise InputError(f"dynamics must be those of a record, not {shown(dynamics)}")
    check_names(f"option of the score {name!r}", options, SCORES[name].options)
    return np.asarray(SCORES[name].function(dynamics, **options), dtype=np.float64)


def easy_first(name: str, dynamics: Dynamics, **options: Any) -> FloatArray:
    """Score as rankings do: low is easy, and few values are told apart by the mean probability.

    Parameters
    ----------
    name, dynamics, **options
        See `score`.

    Returns
    -------
    ndarray of shape (n,), float64
    """
    known = SCORES.get(name)
    values = score(name, dynamics, **options)
    assert known is not None
    values = -values if known.hard == "low" else values
    if known.step is not None:
        # Half a step at most, so that no sample passes one of another value.
        values = values + known.step(dynamics.n_epochs) * (1 - confidence(dynamics)) / 2
    # No negative zeros.
    return values + 0.0
