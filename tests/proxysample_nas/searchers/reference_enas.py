"""ENAS written out plainly: one sample at a time, `Categorical`, and gradients that add up.

This follows the description of the authors' code, not the library. Where their code draws, the
reference is told what was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn import functional as F

from proxysample_nas.searchers.controller import Controller
from tests.proxysample_nas.space.reference_supernet import ReferenceSupernet

Batch = tuple[Tensor, Tensor]


def walk(controller: Controller, operations: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Feed one cell through the controller's modules; return log probability and entropy."""
    inputs, state = controller.first_input.reshape(1, 1, -1), None
    log_probabilities, entropies = [], []
    for operation in operations:
        output, state = controller.lstm(inputs, state)
        logits = 2.5 * torch.tanh(controller.output(output.squeeze(0)) / 5.0)
        distribution = Categorical(logits=logits)
        index = torch.tensor([operation])
        log_probabilities.append(distribution.log_prob(index))
        entropies.append(distribution.entropy())
        inputs = controller.embedding(index).unsqueeze(0)
    return sum(log_probabilities).squeeze(), sum(entropies).squeeze()


@dataclass
class ControllerTraining:
    """The authors' controller epoch over given cells and accuracies."""

    controller: Controller
    optimizer: torch.optim.Optimizer
    entropy_weight: float
    clip: float

    def paper_epoch(
        self,
        cells: Sequence[Sequence[int]],
        accuracies: Sequence[float],
        n_aggregate: int,
        previous: float | None,
    ) -> list[float]:
        """Return the baseline of every sample; the last is what the next epoch gets."""
        baselines = []
        self.optimizer.zero_grad()
        for step, (cell, accuracy) in enumerate(zip(cells, accuracies, strict=True)):
            log_probability, entropy = walk(self.controller, cell)
            reward = accuracy + self.entropy_weight * entropy
            if previous is None:
                baseline = torch.tensor(accuracy, dtype=reward.dtype)
            else:
                baseline = previous - (1 - 0.99) * (previous - reward)
            baselines.append(baseline.item())
            (-log_probability * (reward - baseline) / n_aggregate).backward()
            if (step + 1) % n_aggregate == 0:
                nn.utils.clip_grad_norm_(self.controller.parameters(), self.clip)
                self.optimizer.step()
                self.optimizer.zero_grad()
        return baselines

    def default_update(
        self, cells: Sequence[Sequence[int]], accuracies: Sequence[float], baseline: float
    ) -> float:
        """One update; return the moving average after it."""
        self.optimizer.zero_grad()
        after = baseline
        for cell, accuracy in zip(cells, accuracies, strict=True):
            log_probability, entropy = walk(self.controller, cell)
            reward = accuracy + self.entropy_weight * entropy.item()
            objective = log_probability * (reward - baseline) + self.entropy_weight * entropy
            (-objective / len(cells)).backward()
            after = 0.99 * after + 0.01 * reward
        nn.utils.clip_grad_norm_(self.controller.parameters(), self.clip)
        self.optimizer.step()
        return after


def child_step(
    supernet: ReferenceSupernet,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    operations: Sequence[int],
    clip: float,
    *,
    as_the_authors: bool = False,
) -> None:
    """One step of the shared weights; gradients are zeroed and not removed.

    In the authors' code what has never run has none, and its optimiser passes it by.
    """
    optimizer.zero_grad(set_to_none=False)
    images, labels = batch
    F.cross_entropy(supernet.forward_sampled(images, operations), labels).backward()
    for parameter in supernet.parameters():
        if parameter.grad is None and not as_the_authors:
            parameter.grad = torch.zeros_like(parameter)
    nn.utils.clip_grad_norm_(supernet.parameters(), clip)
    optimizer.step()
