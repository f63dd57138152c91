"""Train a network on the samples that it will score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from proxysample.errors import InputError
from proxysample.keeping import FloatArray, IntArray


def minibatches(n_samples: int, batch_size: int, generator: torch.Generator) -> Iterator[IntArray]:
    """Deal all samples, shuffled, into batches.

    A single sample left over joins the batch before it: batch normalisation cannot be trained
    on one.

    Parameters
    ----------
    n_samples, batch_size : int
    generator : torch.Generator
        On the CPU.

    Yields
    ------
    ndarray of int64
        Indices.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> [len(batch) for batch in minibatches(9, 4, generator)]
    [4, 5]
    """
    order = torch.randperm(n_samples, generator=generator).numpy()
    starts = list(range(0, n_samples, batch_size))
    if len(starts) > 1 and n_samples - starts[-1] == 1:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], n_samples], strict=True):
        yield order[start:stop]


def train(
    loss_of: Callable[[IntArray], Tensor],
    optimizer: torch.optim.Optimizer,
    *,
    n_samples: int,
    epochs: int,
    batch_size: int,
    generator: torch.Generator,
    progress: bool = False,
) -> FloatArray:
    """Take one optimiser step on each batch of each epoch.

    Parameters
    ----------
    loss_of : callable
        Maps the indices of a batch, (rows,), to its mean loss, a scalar tensor with a gradient.
    optimizer : torch.optim.Optimizer
        Of the trained parameters.
    n_samples, epochs, batch_size : int
    generator : torch.Generator
        On the CPU; orders the samples of each epoch.
    progress : bool
        Show a progress bar.

    Returns
    -------
    ndarray of shape (epochs,), float64
        Mean loss of the samples in each epoch, as they were trained on.

    Raises
    ------
    InputError
        If the loss of an epoch is not finite; whether it was so before any step is told.
    """
    curve = np.empty(epochs)
    first_loss: Tensor | None = None
    with tqdm(
        total=epochs * n_samples, desc="training", unit="sample", disable=not progress
    ) as bar:
        for epoch in range(epochs):
            # Stays on the device, so that no step waits for the one before it.
            loss_sum: Tensor | float = 0.0
            for rows in minibatches(n_samples, batch_size, generator):
                loss = loss_of(rows)
                first_loss = loss.detach() if first_loss is None else first_loss
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                loss_sum = loss_sum + loss.detach().double() * len(rows)
                bar.update(len(rows))
            curve[epoch] = float(loss_sum) / n_samples
            bar.set_postfix(loss=f"{curve[epoch]:.4g}")
            if not math.isfinite(curve[epoch]):
                raise _divergence(curve[epoch], epoch, optimizer, first_loss)
    return curve


def _divergence(
    loss: float, epoch: int, optimizer: torch.optim.Optimizer, first_loss: Tensor | None
) -> InputError:
    told = f"the training loss of epoch {epoch + 1} is {loss}"
    if first_loss is not None and not math.isfinite(float(first_loss)):
        return InputError(
            f"{told}, and was not finite before the first step: what is trained on is too large, "
            "or the network that gives it does not give finite numbers; scale the features, or "
            "take another network"
        )
    return InputError(
        f"{told}: training diverged; lower learning_rate, which is "
        f"{optimizer.param_groups[0]['lr']:g}"
    )
