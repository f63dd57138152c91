"""REINFORCE: what a controller's samples, and their rewards, come to as a loss.

Source: Williams, "Simple statistical gradient-following algorithms" (1992); Pham et al.,
"Efficient Neural Architecture Search via Parameter Sharing" (2018), section 2.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from proxysample_nas.searchers.controller import Walk


@dataclass(frozen=True)
class PolicyLoss:
    """The loss of a batch of sampled cells.

    Attributes
    ----------
    loss : Tensor of shape ()
        To be descended; only its gradient has a meaning.
    rewards : Tensor of shape (n,)
        Accuracy, from 0 to 1, plus the weighted entropy, without a gradient.
    entropies : Tensor of shape (n,)
        Along each cell, in nats, without a gradient.
    baseline : float
        What the next batch is compared to.
    """

    loss: Tensor
    rewards: Tensor
    entropies: Tensor
    baseline: float


def policy_loss(
    walk: Walk, accuracies: Tensor, baseline: float | None, *, entropy_weight: float, decay: float
) -> PolicyLoss:
    """Ascend the expected accuracy plus the weighted entropy of the controller.

    The gradient of -loss is an unbiased estimate of that of E[accuracy] + entropy_weight * H, up
    to the baseline of the very first batch, which is its own mean: with the reward
    R = accuracy + entropy_weight * h held fixed, h the entropy along the sampled cell, it is the
    mean of (R - baseline) * grad log p + entropy_weight * grad h. The baseline is the moving
    average of the rewards of the batches before.

    Parameters
    ----------
    walk : Walk
        Sampled cells, with their graph.
    accuracies : Tensor of shape (n,)
        From 0 to 1.
    baseline : float or None
        From the batch before; None in the first.
    entropy_weight : float
    decay : float
        Share of the baseline that one reward leaves.

    Returns
    -------
    PolicyLoss
    """
    entropies = walk.entropies.detach()
    rewards = accuracies + entropy_weight * entropies
    if baseline is None:
        baseline = float(rewards.mean())
    advantages = rewards - baseline
    loss = -(walk.log_probabilities * advantages + entropy_weight * walk.entropies).mean()
    following = moving_average(baseline, rewards.tolist(), decay)
    return PolicyLoss(loss, rewards, entropies, following)


def policy_loss_of_the_authors(
    walk: Walk, accuracies: Tensor, carried: float | None, *, entropy_weight: float, decay: float
) -> PolicyLoss:
    """Follow the authors' code, in which two things differ from REINFORCE.

    The baseline of a sample is ``decay * carried + (1 - decay) * reward``, where ``carried``
    stays what the epoch before left, so that it hardly ever moves; before there is one, each
    sample's own accuracy is its baseline. And the entropy in the reward keeps its gradient,
    which -log p multiplies: it lowers the entropy.

    Parameters
    ----------
    walk : Walk
        Sampled cells, with their graph.
    accuracies : Tensor of shape (n,)
        From 0 to 1.
    carried : float or None
        The last sample's baseline in the epoch before; None in the first epoch.
    entropy_weight : float
    decay : float

    Returns
    -------
    PolicyLoss
        Its baseline is that of the last sample.
    """
    rewards = accuracies + entropy_weight * walk.entropies
    baselines = accuracies if carried is None else carried - (1 - decay) * (carried - rewards)
    loss = -(walk.log_probabilities * (rewards - baselines)).mean()
    last = float(baselines[-1].detach())
    return PolicyLoss(loss, rewards.detach(), walk.entropies.detach(), last)


def moving_average(start: float, values: list[float], decay: float) -> float:
    """Average exponentially, the latest value the heaviest.

    Parameters
    ----------
    start : float
    values : list of float
        In order.
    decay : float
        Share that one value leaves of what was before.

    Returns
    -------
    float

    Examples
    --------
    >>> moving_average(1.0, [0.0, 1.0], decay=0.5)
    0.75
    """
    for value in values:
        start = decay * start + (1 - decay) * value
    return start
