"""The two halves of an ENAS epoch, and what is told of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from proxysample.sampler import Protocol
from proxysample_nas.progress import counted
from proxysample_nas.searchers.enas_updates import (
    ControllerState,
    measuring,
    update_controller,
    update_shared_weights,
)
from proxysample_nas.searchers.separate_batches import SeparateBatches


def train_shared_weights(
    state: ControllerState,
    batches: SeparateBatches,
    bar: tqdm[Any],
    *,
    gradient_clip: float | None,
) -> tuple[float, float]:
    """Go through the weight batches of an epoch, with a cell of its own for every batch.

    Parameters
    ----------
    state : ControllerState
        Changed in place.
    batches : SeparateBatches
    bar : tqdm
        Advanced once per batch.
    gradient_clip : float or None

    Returns
    -------
    loss : float
        Mean cross-entropy, in nats, before each step.
    accuracy : float
        Percent.
    """
    with torch.no_grad():
        # The controller stays as it is meanwhile, so that all cells can be drawn at once.
        walk = state.controller.sample(batches.steps_per_epoch, state.generators["operations"])
    totals = torch.zeros(2, dtype=torch.float64, device=batches.data.weights.images.device)
    weight_batches = counted(batches.weight_epoch(state.generators["weight batches"]), bar)
    for batch, operations in zip(weight_batches, walk.operations.tolist(), strict=True):
        totals += update_shared_weights(state, batch, operations, gradient_clip=gradient_clip)
    loss, right = (totals / batches.samples_per_epoch).tolist()
    return loss, 100 * right


@dataclass(frozen=True)
class ControllerEpoch:
    """What is known of the cells that a controller sampled in an epoch.

    Attributes
    ----------
    loss : float
        Mean cross-entropy of their samples, in nats.
    accuracy : float
        Percent of these.
    reward, entropy : float
        Means over the cells.
    baseline : float
        What the next epoch begins with.
    """

    loss: float
    accuracy: float
    reward: float
    entropy: float
    baseline: float


def train_controller(
    state: ControllerState,
    batches: SeparateBatches,
    bar: tqdm[Any],
    *,
    n_updates: int,
    n_samples: int,
    protocol: Protocol,
    entropy_weight: float,
    decay: float,
    gradient_clip: float | None,
) -> ControllerEpoch:
    """Update the controller `n_updates` times, by `n_samples` cells each.

    Parameters
    ----------
    state : ControllerState
        Changed in place.
    batches : SeparateBatches
    bar : tqdm
        Advanced once per cell.
    n_updates, n_samples : int
    protocol : {"default", "paper"}
        In the default the baseline moves with every update; in the authors' code every update
        reads the one that the epoch before left.
    entropy_weight, decay : float
    gradient_clip : float or None

    Returns
    -------
    ControllerEpoch
    """
    generator = state.generators["architecture batches"]
    stock = counted(batches.architecture_batches(n_updates * n_samples, generator), bar)
    baseline = carried = state.baseline
    outcomes, rewards, entropies, n_judged = [], [], [], 0
    with measuring(state.supernet, protocol):
        for _ in range(n_updates):
            own = list(itertools.islice(stock, n_samples))
            result, outcome = update_controller(
                state,
                own,
                carried if protocol == "paper" else baseline,
                protocol=protocol,
                entropy_weight=entropy_weight,
                decay=decay,
                gradient_clip=gradient_clip,
            )
            baseline = result.baseline
            outcomes.append(outcome)
            rewards.append(result.rewards)
            entropies.append(result.entropies)
            n_judged += sum(len(labels) for _, labels in own)
    state.baseline = result.baseline
    loss, right = (torch.cat(outcomes).sum(dim=0) / n_judged).tolist()
    return ControllerEpoch(
        loss=loss,
        accuracy=100 * right,
        reward=float(torch.cat(rewards).mean()),
        entropy=float(torch.cat(entropies).mean()),
        baseline=result.baseline,
    )
