"""A linear classifier on features, trained anew for each kept set."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from proxysample.checks import (
    DECAY_RATE,
    NOT_NEGATIVE,
    POSITIVE,
    POSITIVE_INTEGER,
    Constraints,
)
from proxysample.comparison.evaluators import Evaluator, Found
from proxysample.comparison.parts import Budget, Part, Schedule, epochs_of
from proxysample.wording import pluralize

# Rows of which principal components are taken: their directions need no more.
ROWS_FOR_COMPONENTS = 8_000
LARGEST_BATCH, SMALLEST_BATCH = 128, 8
STEPS_AN_EPOCH = 64
"""So many at least on all samples: on a few hundred, batches of 128 would train nothing."""


def batch_size_for(n_all: int, given: int | None = None) -> int:
    """Choose a batch size by the size of the whole training part, the same for every kept set.

    Examples
    --------
    >>> batch_size_for(50_000), batch_size_for(1437), batch_size_for(1437, 100)
    (128, 22, 100)
    """
    return given or min(LARGEST_BATCH, max(SMALLEST_BATCH, n_all // STEPS_AN_EPOCH))


def batches(
    schedule: Schedule, batch_size: int, n_steps: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Give the rows of each step: every epoch's samples in a new order."""
    given = 0
    for indices in epochs_of(schedule):
        rows = torch.from_numpy(indices)
        shuffled = rows[torch.randperm(len(rows), generator=generator)]
        for batch in torch.split(shuffled, batch_size):
            if given == n_steps:
                return
            given += 1
            yield batch


@dataclass(frozen=True)
class HeadData:
    """Features in the head's coordinates and a column of ones, and class codes, of both parts."""

    inputs: Tensor
    labels: Tensor
    held_out_inputs: Tensor
    held_out: Part
    n_classes: int


def _with_bias(inputs: npt.NDArray[np.float32]) -> Tensor:
    return torch.nn.functional.pad(torch.from_numpy(inputs), (0, 1), value=1.0)


@dataclass(frozen=True)
class LinearHead(Evaluator):
    """Train a linear classifier on principal components of the features (head).

    Softmax regression by SGD with momentum and a cosine schedule, from zero. Components and scale
    are those of the whole training part, whose labels they do not look at.

    Attributes
    ----------
    epochs : int
        On all samples; see `Budget`.
    batch_size : int or None
        By default 128, or less where there are few samples: see `batch_size_for`.
    rate, momentum, decay : float
        Of SGD.
    n_components : int
        Principal components, or all features where there are fewer.
    """

    epochs: int = 30
    batch_size: int | None = None
    rate: float = 0.05
    momentum: float = 0.9
    decay: float = 5e-4
    n_components: int = 256

    id: ClassVar[str] = "head"
    uses_features: ClassVar[bool] = True
    follows_schedules: ClassVar[bool] = True
    is_quick: ClassVar[bool] = True
    _constraints: ClassVar[Constraints] = {
        "epochs": POSITIVE_INTEGER,
        "batch_size": POSITIVE_INTEGER.or_none(),
        "rate": POSITIVE,
        "momentum": DECAY_RATE,
        "decay": NOT_NEGATIVE,
        "n_components": POSITIVE_INTEGER,
    }

    def prepare(self, train: Part, held_out: Part) -> HeadData:
        """Find the components, and bring both parts to them."""
        features = train.X
        mean = features.mean(axis=0)
        centred = features - mean
        # Spread over all: a dataset may lie class by class.
        some = np.linspace(0, len(centred) - 1, min(len(centred), ROWS_FOR_COMPONENTS))
        *_, found = np.linalg.svd(centred[some.astype(np.int64)], full_matrices=False)
        directions = found[: self.n_components].T
        projected = centred @ directions
        scale = float(projected.std()) or 1.0
        others = (held_out.X - mean) @ directions
        return HeadData(
            _with_bias(projected / np.float32(scale)),
            torch.from_numpy(train.y),
            _with_bias(others / np.float32(scale)),
            held_out,
            train.n_classes,
        )

    def evaluate(self, prepared: HeadData, schedule: Schedule, seed: int, budget: Budget) -> Found:
        """Train and predict."""
        with torch.no_grad():
            outputs = prepared.held_out_inputs @ self._train(prepared, schedule, seed, budget)
        return Found.of_predictions(outputs.argmax(dim=1).numpy(), prepared.held_out.y)

    def _train(self, data: HeadData, schedule: Schedule, seed: int, budget: Budget) -> Tensor:
        # The gradient of a softmax is written down: recording it would take most of the time.
        generator = torch.Generator().manual_seed(seed)
        size = batch_size_for(budget.n_all, self.batch_size)
        n_steps = budget.steps(self.epochs, size)
        weights = torch.zeros(data.inputs.shape[1], data.n_classes)
        velocity = torch.zeros_like(weights)
        for step, rows in enumerate(batches(schedule, size, n_steps, generator)):
            rate = self.rate * (1 + math.cos(math.pi * step / n_steps)) / 2
            batch = data.inputs[rows]
            error = torch.softmax(batch @ weights, dim=1)
            error[torch.arange(len(rows)), data.labels[rows]] -= 1
            velocity.mul_(self.momentum).addmm_(batch.T, error, alpha=1 / len(rows))
            velocity.add_(weights, alpha=self.decay)
            weights.add_(velocity, alpha=-rate)
        return weights

    def describe(self) -> str:
        """Say what is trained."""
        return (
            f"a linear head on the first {self.n_components} principal components of the features, "
            f"{pluralize(self.epochs, 'epoch')} of SGD with a cosine schedule"
        )
