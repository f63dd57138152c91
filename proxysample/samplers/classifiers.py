"""Training of a classifier on rows of a dataset, watched batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from proxysample.data.reading import ROWS_PER_CHUNK
from proxysample.keeping import FloatArray, IntArray
from proxysample.samplers.networks import train

MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
WARM_UP = 0.1

Watch = Callable[[IntArray, Tensor, Tensor | None], None]
"""Gets the rows of a batch, their logits, and what went into the last linear layer."""


class Inputs(Protocol):
    """Inputs of a network by their rows, on its device."""

    def __getitem__(self, rows: IntArray) -> Tensor:
        """Read a batch."""
        ...


class LastInputs:
    """Sees what goes into a network's last linear layer, where it has one."""

    def __init__(self, network: nn.Module) -> None:
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
        self._seen: Tensor | None = None
        self._hook = layers[-1].register_forward_pre_hook(self._see) if layers else None

    def _see(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:  # noqa: ARG002
        self._seen = inputs[0].detach()

    def take(self) -> Tensor | None:
        """Give what was seen of the last batch."""
        seen, self._seen = self._seen, None
        return seen

    def close(self) -> None:
        """Look no longer."""
        if self._hook is not None:
            self._hook.remove()


def train_classifier(
    network: nn.Module,
    inputs: Inputs,
    targets: Inputs,
    rows: IntArray,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    change: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    watch: Watch | None = None,
    after_epoch: Callable[[], None] | None = None,
    progress: bool = False,
) -> FloatArray:
    """Train by SGD with momentum, whose learning rate rises for a tenth and falls as a cosine.

    Parameters
    ----------
    network : nn.Module
        Trained in place, on the device of `inputs`; left in training mode.
    inputs, targets : Inputs
        Of all samples.
    rows : ndarray of int64
        Of the samples to train on; each is seen once an epoch.
    epochs, batch_size : int
    learning_rate : float
        The highest.
    seed : int
        Of the order of samples and of `change`.
    change : callable, optional
        What becomes of a batch's inputs before the network sees them, such as `augmented`.
    watch : callable, optional
        Called with each batch as the training step saw it.
    after_epoch : callable, optional
        The network is in evaluation mode meanwhile.
    progress : bool
        Show a progress bar.

    Returns
    -------
    ndarray of shape (epochs,), float64
        Mean training loss of each epoch.
    """
    order, drawn = (torch.Generator().manual_seed(one) for one in _two_seeds(seed))
    optimizer = torch.optim.SGD(
        network.parameters(), learning_rate, MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
    )
    progress_made = _Progress(len(rows), epochs)
    last = LastInputs(network)

    def loss_of(places: IntArray) -> Tensor:
        _set_rate(optimizer, learning_rate * rate_at(progress_made.share))
        chosen = rows[places]
        batch = inputs[chosen]
        logits = network(batch if change is None else change(batch, drawn))
        if watch is not None:
            watch(chosen, logits, last.take())
        loss: Tensor = F.cross_entropy(logits, targets[chosen])
        return loss

    def after_batch(n_rows: int) -> None:
        if progress_made.advance(n_rows) and after_epoch is not None:
            network.eval()
            after_epoch()
            network.train()

    network.train()
    try:
        return train(
            loss_of,
            optimizer,
            n_samples=len(rows),
            epochs=epochs,
            batch_size=batch_size,
            generator=order,
            progress=progress,
            after_batch=after_batch,
        )
    finally:
        last.close()


class _Progress:
    """How far a training is."""

    def __init__(self, n_rows: int, epochs: int) -> None:
        self._n_rows, self._total, self._done = n_rows, n_rows * epochs, 0

    @property
    def share(self) -> float:
        return self._done / self._total

    def advance(self, n_rows: int) -> bool:
        """Count a batch; tell whether an epoch has ended."""
        self._done += n_rows
        return self._done % self._n_rows == 0


def rate_at(share: float) -> float:
    """Give the learning rate after a share of a training, of the highest.

    Examples
    --------
    >>> [round(rate_at(share), 2) for share in (0, 0.06, 0.1, 0.55, 1)]
    [0.05, 0.62, 1.0, 0.5, 0.0]
    """
    if share < WARM_UP:
        return 0.05 + 0.95 * share / WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP))


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _two_seeds(seed: int) -> list[int]:
    seeds: list[int] = np.random.default_rng(seed).integers(2**63, size=2).tolist()
    return seeds


def outputs_in_order(
    network: nn.Module, inputs: Inputs, rows: IntArray
) -> Iterator[tuple[IntArray, Tensor, Tensor | None]]:
    """Give the logits of rows, some at a time, and what went into the last linear layer.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    inputs : Inputs
    rows : ndarray of int64
    """
    last = LastInputs(network)
    try:
        for start in range(0, len(rows), ROWS_PER_CHUNK):
            chosen = rows[start : start + ROWS_PER_CHUNK]
            with torch.no_grad():
                logits = network(inputs[chosen])
            yield chosen, logits, last.take()
    finally:
        last.close()


@contextmanager
def own_generators(seed: int) -> Iterator[None]:
    """Seed torch's global generators, which a user's module may draw from; restored on leaving."""
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
